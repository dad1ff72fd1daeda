//! Where files are looked for and how paths are meant: `--config`, systemd's directories, `~`, the current directory.

use std::fs::{Permissions, create_dir_all, set_permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{Said, Sandbox};

fn with_port(sandbox: &Sandbox, name: &str, port: u16) -> String {
    sandbox.write(name, format!("server.port = {port}\n")).to_str().expect("UTF-8").to_owned()
}

#[test]
fn the_file_is_the_named_one_else_the_first_that_exists() {
    let sandbox = Sandbox::new();
    let in_home = with_port(&sandbox, ".vpo/config.toml", 1);
    let in_unit = with_port(&sandbox, "unit/config.toml", 2);
    let by_variable = with_port(&sandbox, "variable.toml", 3);
    let by_flag = with_port(&sandbox, "flag.toml", 4);
    create_dir_all(sandbox.path("empty")).expect("a directory");
    let directories = format!("{0}/empty::{0}/missing:{0}/unit:{0}/.vpo", sandbox.home());

    let at = |file: &str| format!("{file}:1:15");
    let port = |said: Said| {
        let said = said.quietly();
        said.value("server.port").map(|(port, origin)| (port.to_owned(), origin.to_owned()))
    };
    assert_eq!(port(sandbox.config(&[])), Some(("1".into(), at(&in_home))));
    let unit = [("CONFIGURATION_DIRECTORY", directories.as_str())];
    assert_eq!(port(sandbox.config_with(&[], &unit)), Some(("2".into(), at(&in_unit))));
    let named = [unit[0], ("VPO_CONFIG_PATH", "~/variable.toml")];
    assert_eq!(port(sandbox.config_with(&[], &named)), Some(("3".into(), at(&by_variable))));
    let flags = ["--config", "./empty/../flag.toml"];
    let said = sandbox.config_with(&flags, &named).quietly();
    assert!(said.value("server.port").is_some_and(|(port, _)| port == "4"), "{by_flag}");
    let said = sandbox.config(&["--check", "--config", "flag.toml"]).quietly();
    assert_eq!(said.stdout, format!("OK: {by_flag} is valid\n"));
    // The usual name for no file.
    let said = sandbox.config(&["--config", "/dev/null"]).quietly();
    assert_eq!(said.value("server.port"), Some(("8321", "default")));
}

#[test]
fn a_named_file_must_be_a_readable_file() {
    let sandbox = Sandbox::new();
    let path = |name: &str| sandbox.path(name).to_str().expect("UTF-8").to_owned();
    create_dir_all(sandbox.path("directory")).expect("a directory");
    sandbox.write("latin1.toml", b"a = 1\n# caf\xe9\n");
    sandbox.write("large.toml", vec![b'\n'; (1 << 20) + 1]);
    rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.path("fifo"), rustix::fs::Mode::from_raw_mode(0o644))
        .expect("a FIFO");
    for (name, what, place) in [
        ("missing", "cannot be read: No such file or directory", ""),
        ("directory", "is a directory, not a file", ""),
        ("latin1.toml", "is not UTF-8", ":2:6"),
        ("large.toml", "is larger than 1 MiB", ""),
        ("fifo", "is not a regular file", ""),
    ] {
        let line = |origin| {
            format!(
                "configuration file from {origin} {what}: {}{place}: name a readable TOML file",
                path(name)
            )
        };
        sandbox.config(&["--config", name]).refused(&[&line("--config")]);
        sandbox.config_with(&[], &[("VPO_CONFIG_PATH", name)]).refused(&[&line("VPO_CONFIG_PATH")]);
    }
    sandbox
        .config_with(&[], &[("VPO_CONFIG_PATH", "")])
        .refused(&["the path is empty: VPO_CONFIG_PATH: give a path, or unset it"]);
    sandbox.config(&["--config", "~bob/x"]).refused(&[
        "configuration file \"~bob/x\": --config: only ~ and ~/… are understood: give the whole path, or ./~… for a file of that name",
    ]);
}

#[test]
fn a_file_that_may_not_be_read_is_refused_and_a_place_that_may_not_be_looked_at_is_a_warning() {
    let sandbox = Sandbox::new();
    let path = sandbox.write(".vpo/config.toml", "");
    set_permissions(&path, Permissions::from_mode(0o000)).expect("ours");
    let said = Said::by(&mut sandbox.vpo_as_nobody(["config"]));
    assert_eq!(said.code, Some(78));
    assert!(said.stderr.contains("cannot be read: permission denied: vpo runs as "), "{}", said.stderr);
    assert!(
        said.stderr.contains(" with mode 0000. Give that user access, for example with `setfacl "),
        "{}",
        said.stderr
    );

    set_permissions(sandbox.path(".vpo"), Permissions::from_mode(0o000)).expect("ours");
    let said = Said::by(&mut sandbox.vpo_as_nobody(["config", "--database", "/data/library.db"]));
    set_permissions(sandbox.path(".vpo"), Permissions::from_mode(0o700)).expect("ours");
    assert_eq!(said.code, Some(0));
    assert_eq!(
        said.stderr,
        format!(
            "vpo: warning: cannot access the configuration file: Permission denied: {}: it is skipped; name the file \
                 with --config, or correct the permissions of its directory\n",
            path.display()
        )
    );
}

#[test]
fn a_directory_of_the_units_configuration_that_may_not_be_entered_is_refused() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("unit/config.toml", "server.auth_token = 'swordfish'\n");
    set_permissions(sandbox.path("unit"), Permissions::from_mode(0o000)).expect("ours");
    let run = |args: &[&str]| {
        let mut command = sandbox.vpo_as_nobody(args.iter().copied());
        Said::by(command.env("CONFIGURATION_DIRECTORY", sandbox.path("unit")))
    };
    let line = format!(
        "cannot access the configuration file: Permission denied: {}: correct the permissions of its directory, or \
         name another file with --config",
        path.display()
    );
    for command in ["config", "serve", "healthcheck"] {
        run(&[command]).refused(&[&line]);
    }
    // If another file is named, the directory is not read.
    assert_eq!(run(&["config", "--config", "/dev/null"]).code, Some(0));
    set_permissions(sandbox.path("unit"), Permissions::from_mode(0o700)).expect("ours");
}

#[test]
fn a_directory_that_systemd_would_not_name_is_refused() {
    for name in ["CONFIGURATION_DIRECTORY", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"] {
        let said = Sandbox::new().config_with(&[], &[(name, "/none:~bob/x")]);
        said.refused(&[&format!(
            "cannot use the directory \"~bob/x\": {name}: only ~ and ~/… are understood: give the whole path, or ./~… for \
             a file of that name"
        )]);
    }
}

#[test]
fn a_dangling_link_is_a_file_that_someone_meant() {
    let sandbox = Sandbox::new();
    create_dir_all(sandbox.path(".vpo")).expect("a directory");
    symlink("nowhere", sandbox.path(".vpo/config.toml")).expect("a link");
    let said = sandbox.config(&[]);
    assert_eq!(said.code, Some(78));
    assert!(said.stderr.contains("cannot be read: No such file"), "{}", said.stderr);
}

#[test]
fn the_default_library_is_in_the_state_directory_else_at_home() {
    let sandbox = Sandbox::new();
    let said = sandbox.config_with(&[], &[("STATE_DIRECTORY", "/var/lib/vpo:/var/lib/other")]).quietly();
    assert_eq!(
        said.value("database.path"),
        Some((r#""/var/lib/vpo/library.db""#, "default, from $STATE_DIRECTORY"))
    );
    let said = sandbox.config_with(&[], &[("STATE_DIRECTORY", "")]).quietly();
    assert_eq!(said.value("database.path"), Some((format!("{:?}", sandbox.library()).as_str(), "default")));
}

#[test]
fn without_a_home_only_what_needs_it_fails() {
    let sandbox = Sandbox::new();
    for (home, why) in [
        (None, "$HOME is not set"),
        (Some(""), "$HOME is not set"),
        (Some("relative"), "$HOME is not an absolute path"),
    ] {
        let vpo = |args: &[&str]| {
            let mut command = sandbox.vpo(["config"]);
            command.args(args).env_remove("HOME").envs(home.map(|home| ("HOME", home)));
            Said::by(&mut command)
        };
        let said = vpo(&["--config", "/dev/null"]);
        let default = format!(
            "database.path has no default: {why}: HOME: set HOME to an absolute path, or give database.path (VPO_DATABASE_PATH, --database)"
        );
        said.refused(&[&default]);
        vpo(&["--config", "/dev/null", "--database", "/data/library.db"]).quietly();
        for path in ["~", "~/x", "$HOME", "${HOME}/x"] {
            let said = vpo(&["--config", "/dev/null", "--database", path]);
            said.refused(&[&format!(
                "database.path = {path:?}: --database: {why}: set HOME to an absolute path, or give an absolute path"
            )]);
        }
    }
}

#[test]
fn home_and_relative_paths_are_resolved_once_for_all() {
    let sandbox = Sandbox::new();
    let home = sandbox.home();
    let parent = sandbox.path("").parent().expect("a parent").to_str().expect("UTF-8").to_owned();
    for (given, meant) in [
        ("~/a", format!("{home}/a")),
        ("~//a/", format!("{home}/a")),
        ("$HOME/a", format!("{home}/a")),
        ("${HOME}", home.clone()),
        ("a/./b//c/", format!("{home}/a/b/c")),
        ("./~a", format!("{home}/~a")),
        ("../a", format!("{parent}/a")),
        ("./.././a", format!("{parent}/a")),
        ("$HOMER/a", format!("{home}/$HOMER/a")),
        ("/a/~", "/a/~".into()),
        ("/a:b,c d", "/a:b,c d".into()),
    ] {
        // A file's path cannot end in a slash.
        let file = given.trim_end_matches('/');
        // Nor can it be the home directory.
        if file != "${HOME}" {
            let said = sandbox.config(&["--database", file]).quietly();
            let shown = format!("{meant:?}");
            assert_eq!(said.value("database.path"), Some((shown.as_str(), "--database")), "{given}");
        }
        let said = sandbox.config(&["--root", given]).quietly();
        assert_eq!(said.value("scan.roots"), Some((format!("[{meant:?}]").as_str(), "--root")), "{given}");
    }
}

#[test]
fn the_token_comes_from_a_file_or_a_credential() {
    let sandbox = Sandbox::new();
    let credential = sandbox.write("credentials/auth_token", "swordfish\n");
    let directory = sandbox.path("credentials");
    let variables = [("CREDENTIALS_DIRECTORY", directory.to_str().expect("UTF-8"))];
    let said = sandbox.config_with(&[], &variables).quietly();
    assert_eq!(
        said.value("server.auth_token_file"),
        Some((format!("{credential:?}").as_str(), "default, from $CREDENTIALS_DIRECTORY"))
    );
    assert!(!said.stdout.contains("swordfish"));

    let said = sandbox.config_with(&[], &[("CREDENTIALS_DIRECTORY", "/nonexistent")]).quietly();
    assert_eq!(said.value("server.auth_token_file"), None);

    let one_line =
        "write 1 to 1024 printable ASCII characters into it, on one line, without a space at either end";
    let alone = "write the token into it, on one line and nothing else";
    for (content, problem) in [
        ("swordfish", None),
        ("swordfish\n", None),
        ("swordfish\r\n", None),
        ("sword fish", None),
        ("", Some(("is empty", alone))),
        ("\n", Some(("is empty", alone))),
        ("swordfish\n\n", Some(("has more than one line", alone))),
        ("swordfish\nsecond\n", Some(("has more than one line", alone))),
        (" swordfish", Some(("does not contain a valid token", one_line))),
        ("sword\tfish", Some(("does not contain a valid token", one_line))),
        ("schwertfisch ü", Some(("does not contain a valid token", one_line))),
    ] {
        let path = sandbox.write("token", content);
        let said = sandbox.config_with(&["--check"], &[("VPO_SERVER_AUTH_TOKEN_FILE", "token")]);
        match problem {
            None => drop(said.quietly()),
            Some((what, advice)) => said.refused(&[&format!(
                "server.auth_token_file {} {what}: VPO_SERVER_AUTH_TOKEN_FILE: {advice}",
                path.display()
            )]),
        }
    }
    for (name, what) in
        [("", "is a directory, not a file"), ("missing", "cannot be read: No such file or directory")]
    {
        let path = sandbox.home() + if name.is_empty() { "" } else { "/missing" };
        let said = sandbox.config_with(&[], &[("VPO_SERVER_AUTH_TOKEN_FILE", &path)]);
        let advice = "name a readable file that holds the token on one line";
        said.refused(&[&format!(
            "server.auth_token_file {path} {what}: VPO_SERVER_AUTH_TOKEN_FILE: {advice}"
        )]);
    }
}

#[test]
fn a_credential_that_may_not_be_read_is_no_reason_to_go_without() {
    let sandbox = Sandbox::new();
    let credential = sandbox.write("credentials/auth_token", "swordfish\n");
    for (path, mode) in [(credential.as_path(), 0o000), (credential.parent().expect("a parent"), 0o000)] {
        set_permissions(path, Permissions::from_mode(mode)).expect("ours");
        let mut command = sandbox.vpo_as_nobody(["config"]);
        let said = Said::by(command.env("CREDENTIALS_DIRECTORY", sandbox.path("credentials")));
        assert_eq!(said.code, Some(78));
        assert!(said.stderr.contains("cannot be read: permission denied: vpo runs as "), "{}", said.stderr);
    }
    set_permissions(sandbox.path("credentials"), Permissions::from_mode(0o700)).expect("ours");
}

#[test]
fn a_scan_needs_no_token() {
    let sandbox = Sandbox::new();
    create_dir_all(sandbox.path("videos")).expect("a directory");
    let token = ("VPO_SERVER_AUTH_TOKEN_FILE", "/none");
    let scanned = sandbox.vpo(["scan", "videos", "--database", "library.db"]).env(token.0, token.1).output();
    let scanned = scanned.expect("vpo runs");
    assert_eq!(scanned.status.code(), Some(0), "{}", String::from_utf8_lossy(&scanned.stderr));
    // The daemon does, and so does `vpo config --check`.
    assert_eq!(sandbox.config_with(&["--check"], &[token]).code, Some(78));
}
