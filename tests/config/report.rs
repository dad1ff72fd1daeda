//! The report as a whole: one problem hides no other, makes up no other, and is said once and in few words.

use super::faults::file;
use super::{Said, Sandbox};

#[test]
fn a_refused_value_takes_no_part_in_further_checks() {
    let empty = "it is empty: give a path";
    file("library.roots = ['', ' ']", &[&format!("library.roots = \"\": @:1:17: {empty}")]);
    file(
        "library.roots = ['/a', '/a/../b', '/a/../b/c']",
        &[
            "library.roots: /a/../b has .. in it: @:1:17: give the path without it",
            "library.roots: /a/../b/c has .. in it: @:1:17: give the path without it",
        ],
    );
    let advice = "give the path of the library's file";
    file("database_path = 5\ndatabase.path = '/b'", &[&format!("database.path = 5: @:1:17: {advice}")]);
    file("database_path = '/a'\ndatabase.path = 5", &[&format!("database.path = 5: @:2:17: {advice}")]);
    // A path that was refused needs no default.
    let sandbox = Sandbox::new();
    let said =
        Said::by(sandbox.vpo(["config", "--config", "/dev/null", "--database", ""]).env_remove("HOME"));
    said.refused(&[&format!("database.path = \"\": --database: {empty}")]);
}

#[test]
fn a_refused_token_leaves_only_those_of_higher_layers_to_look_at() {
    let sandbox = Sandbox::new();
    sandbox.write("credentials/auth_token", "");
    let directory = sandbox.path("credentials");
    let directory = ("CREDENTIALS_DIRECTORY", directory.to_str().expect("UTF-8"));
    let line = "server.auth_token_file = \"\": VPO_SERVER_AUTH_TOKEN_FILE: it is empty: give a path";
    let unset = ("VPO_SERVER_AUTH_TOKEN_FILE", "");
    sandbox.config_with(&[], &[unset]).refused(&[line]);
    sandbox.config_with(&[], &[unset, ("VPO_SERVER_AUTH_TOKEN", "a")]).refused(&[line]);
    sandbox.write(".vpo/config.toml", "server.auth_token_file = '/none'");
    sandbox.config_with(&[], &[unset, directory]).refused(&[line]);

    sandbox.write(".vpo/config.toml", "server.auth_token = ''");
    let said = sandbox.config_with(&[], &[directory]);
    assert!(!said.stderr.contains("holds no token"), "{}", said.stderr);
    let said = sandbox.config_with(&[], &[("VPO_SERVER_AUTH_TOKEN_FILE", "/none"), directory]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(78), 2), "{}", said.stderr);
    assert!(said.stderr.contains("/none cannot be read"), "{}", said.stderr);
}
