//! The report as a whole: a problem does not hide or cause another, and is reported once, in few words.

use std::time::{Duration, Instant};

use super::faults::file;
use super::{Said, Sandbox, remove_from};
use vpo::config::error::MAX_PROBLEMS;

const QUOTES: &str = "put text in quotes";

#[test]
fn of_a_file_that_is_not_toml_the_first_error_alone_is_reported() {
    let unquoted = format!("not TOML: invalid float, expected nothing: @:4:11: {QUOTES}");
    file("[server]\nport = -1\nprot = 1\nbind = 0.0.0.0\n[loging]\n[scan]\nwatch = yes\n", &[&unquoted]);
    let forgotten = "not TOML: missing comma between array elements, expected `,`: @:2:1";
    file("scan.roots = ['/a'\n'', '/a/b']\n", &[forgotten]);
    file("scan.roots = ['/a'\n[logging]\nlevel = 'x'\n", &[forgotten]);
    // Nor are other sources reported, where a default may be missing because of it.
    let sandbox = Sandbox::new();
    let path = sandbox.write("c.toml", "[database]\npath = /data/library.db\n");
    let mut command = sandbox.vpo(["config", "--port", "x", "--config"]);
    let said = Said::by(command.arg(&path).env_remove("HOME").env("VPO_LOGGING_LEVEL", "loud"));
    let line = format!(
        "not TOML: string values must be quoted, expected literal string: {}:2:8: {QUOTES}",
        path.display()
    );
    said.refused(&[&line]);
}

#[test]
fn the_advice_on_what_is_not_toml_fits_it() {
    for (content, place, advice) in [
        ("[logging]\nlevel = info\n", "2:9", QUOTES),
        ("[logging]\nformat = text\n", "2:10", QUOTES),
        ("[server]\nbind = ::1\n", "2:8", QUOTES),
        ("[server]\nbind=1.2.3.4 # = 'x'\n", "2:9", QUOTES),
        ("[server]\nport =\n", "2:7", ""),
        ("[server]\nport = 1\nport = 2\n", "3:1", ""),
        ("[server]\n[server]\n", "2:2", ""),
        ("[server]\nprot: 1\n", "2:5", ""),
        ("[server\nport = -1\n", "1:8", ""),
        ("logging.level = '''x\n[servr]\n", "3:1", ""),
        ("[]\nport = 1\n", "1:2", ""),
        ("port 1\n", "1:6", ""),
    ] {
        let sandbox = Sandbox::new();
        let path = sandbox.write("c.toml", content);
        let said = sandbox.config(&["--config", "c.toml"]);
        let advice = if advice.is_empty() { String::new() } else { format!(": {advice}") };
        let end = format!(": {}:{place}{advice}\n", path.display());
        assert!(said.stderr.starts_with("vpo: not TOML: ") && said.stderr.ends_with(&end), "{}", said.stderr);
        assert_eq!((said.code, said.stderr.lines().count()), (Some(78), 1));
    }
}

#[test]
fn a_refused_value_takes_no_part_in_further_checks() {
    let empty = "it is empty: give a path";
    file("scan.roots = ['', ' ']", &[&format!("scan.roots = \"\": @:1:14: {empty}")]);
    file(
        "scan.roots = ['/a', '/a/../b', '/a/../b/c']",
        &[
            "scan.roots: /a/../b contains ..: @:1:14: give the path without it",
            "scan.roots: /a/../b/c contains ..: @:1:14: give the path without it",
        ],
    );
    let advice = "give the path of the database file";
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
    assert!(!said.stderr.contains("a valid token"), "{}", said.stderr);
    let said = sandbox.config_with(&[], &[("VPO_SERVER_AUTH_TOKEN_FILE", "/none"), directory]);
    assert_eq!((said.code, said.stderr.lines().count()), (Some(78), 2), "{}", said.stderr);
    assert!(said.stderr.contains("/none cannot be read"), "{}", said.stderr);
}

#[test]
fn what_is_said_stays_short_and_is_said_once() {
    let long = "x".repeat(900_000);
    let shown = format!("{}…", &long[..60]);
    let sections = "remove it; the sections are server, database, logging, scan";
    file(&format!("{long} = 1"), &[&format!("unknown key {shown}: @:1:1: {sections}")]);
    file(&format!("[{long}]"), &[&format!("unknown section [{shown}]: @:1:2: {sections}")]);
    file(
        &format!("[database]\n{long} = 1"),
        &[&format!("unknown key database.{shown}: @:2:1: remove it; [database] has path, verify_interval")],
    );
    let half = &long[..300_000];
    let sandbox = Sandbox::new();
    sandbox.write("c.toml", format!("scan.roots = ['/{half}', '/{half}/b']"));
    let said = sandbox.config(&["--config", "c.toml"]);
    assert_eq!(said.code, Some(78));
    assert!(
        said.stderr.contains(": remove the inner one") && said.stderr.len() < 2000,
        "{} bytes",
        said.stderr.len()
    );
    let said =
        Sandbox::new().config_with(&["--check"], &[(&format!("VPO_SERVER_{}", &long[..100_000]), "1")]);
    let known = "unknown variable: VPO_SERVER_xxx";
    assert!(said.stderr.contains(known) && said.stderr.len() < 200, "{} bytes", said.stderr.len());

    file("scan.roots = ['', '', '']", &["scan.roots = \"\": @:1:14: it is empty: give a path"]);
    let nested = "[".repeat(40);
    file(&format!("[tools]\na = {nested}"), &["not TOML: unclosed array, expected `]`: @:2:45"]);
}

#[test]
fn what_is_no_configuration_at_all_is_told_in_few_lines_and_soon() {
    // Of very many problems the first are reported.
    let unknown = |line: usize| format!("unknown key server.x{line}: @:{line}:1: ");
    let advice = remove_from("server");
    let keys = |last: usize| {
        let keys = (2..=last).map(|line| format!("x{line} = 1\n")).collect::<Vec<_>>().concat();
        format!("[server]\n{keys}")
    };
    // The first is on line 2.
    let most = MAX_PROBLEMS + 1;
    let mut told: Vec<String> = (2..=most).map(|line| unknown(line) + &advice).collect();
    file(&keys(most), &told.iter().map(String::as_str).collect::<Vec<_>>());
    told.push(format!("and more problems: @:{}:1: correct those above first", most + 1));
    for last in [most + 1, 60_000] {
        file(&keys(last), &told.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // A quadratic search would take minutes over these.
    let start = Instant::now();
    let first = "not TOML: key with no value, expected `=`: @:1:3";
    file(&"a b c d\n".repeat(130_000), &[first]);
    let roots = (0..80_000).map(|index| format!("'/a{index}',")).collect::<Vec<_>>().concat();
    let sandbox = Sandbox::new();
    sandbox.write("c.toml", format!("scan.roots = [{roots}]"));
    assert_eq!(sandbox.config(&["--config", "c.toml", "--check"]).quietly().code, Some(0));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
