//! Everything that can be wrong: exit 78, every problem of every layer in one report, each with its exact origin.

use std::os::unix::ffi::OsStrExt;

use super::{Said, Sandbox, remove_from};

/// `vpo config --config c.toml` with this content must be refused with these lines; `@` stands for the file.
#[track_caller]
pub(super) fn file(content: &str, lines: &[&str]) {
    let sandbox = Sandbox::new();
    let path = sandbox.write("c.toml", content).to_str().expect("UTF-8").to_owned();
    let lines: Vec<String> = lines.iter().map(|line| line.replace('@', &path)).collect();
    sandbox.config(&["--config", "c.toml"]).refused(&lines.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A variable with this value must be refused: the text before the origin, and after it.
#[track_caller]
fn variable(name: &str, value: &str, what: &str, advice: &str) {
    let line = format!("{what}: {name}: {advice}");
    Sandbox::new().config_with(&[], &[(name, value)]).refused(&[&line]);
}

const BIND: &str = "give localhost or an IP address such as 127.0.0.1, 0.0.0.0 or ::1";
const PORT: &str = "give a whole number from 0 to 65535 (0 = any free port)";
const TIMEOUT: &str = "give seconds from 0 to 86400, such as 30 or 2.5";
const CONNECTIONS: &str = "give a whole number from 1 to 4294967295";
const TOKEN: &str = "give 1 to 1024 printable ASCII characters, without a space at either end";
const LEVEL: &str = "give debug, info, warning or error";
const ROOTS: &str = "give directories (in the file, a list of strings)";
const INTERVAL: &str = "give seconds from 0 to 31536000, such as 3600 (0 = never)";
const HOSTS: &str =
    "give host names such as films.example.org, .example.org or * (in the file, a list of strings)";
const VERIFY: &str =
    "give seconds from 0 to 31536000, such as 86400 (0 = only after the start and after faults)";
const RETENTION: &str = "give a whole number of days from 0 to 65535 (0 = keep for ever)";
const HISTORY: &str = "give a whole number of days from 0 to 65535 (0 = keep the latest million changes)";
const EXTENSIONS: &str = "give file name extensions such as mkv,mp4: without *, separated by commas (in the file, a list of strings)";

#[test]
fn every_value_in_the_file_that_does_not_fit_is_named_with_line_and_column() {
    for (section, field, values, advice) in [
        ("server", "bind", &["\"localhost.\"", "\"\"", "1", "\"127.0.0.256\"", "[]"][..], BIND),
        (
            "server",
            "port",
            &["-1", "65536", "99999999999999999999", "80.0", "nan", "\"80\"", "true", "{}"],
            PORT,
        ),
        (
            "server",
            "shutdown_timeout",
            &["nan", "-nan", "inf", "-inf", "-0.5", "-1", "86400.1", "1e300", "\"30\""],
            TIMEOUT,
        ),
        ("server", "max_connections", &["0", "-1", "4294967296", "1.0", "\"\""], CONNECTIONS),
        (
            "server",
            "hosts",
            &[
                "[\"\"]",
                "[\".\"]",
                "[\"a:80\"]",
                "[\"http://a.example\"]",
                "[\"*.example.org\"]",
                "[\"a..b\"]",
                "[\"a b\"]",
                "[\"[::1]\"]",
                "[\"münchen.example\"]",
                "\"a.example\"",
                "[1]",
                "true",
            ],
            HOSTS,
        ),
        ("logging", "level", &["\"verbose\"", "\"\"", "1", "[\"info\"]"], LEVEL),
        ("logging", "format", &["\"xml\"", "false"], "give text or json"),
        ("logging", "output", &["\"file\"", "0"], "give stderr or stdout"),
        ("database", "path", &["1", "[]", "1979-05-27"], "give the path of the database file"),
        ("database", "verify_interval", &["-1", "nan", "31536001", "\"1d\""], VERIFY),
        ("scan", "job_retention_days", &["-1", "65536", "1.5", "\"90\"", "true"], RETENTION),
        ("scan", "history_days", &["-1", "65536", "1.5"], HISTORY),
        ("scan", "roots", &["\"/videos\"", "[1]", "{}"], ROOTS),
        ("scan", "watch", &["\"true\"", "1", "0.0"], "give true or false"),
        ("scan", "rescan_interval", &["-1", "nan", "31536001", "\"1h\"", "true"], INTERVAL),
        (
            "scan",
            "extensions",
            &["[]", "[\"\"]", "[\".\"]", "[\"tar.gz\"]", "[\"a/b\"]", "[\"a b\"]", "\"mkv\"", "[1]"],
            EXTENSIONS,
        ),
    ] {
        for value in values {
            let column = field.len() + 4;
            let line = format!("{section}.{field} = {value}: @:3:{column}: {advice}");
            file(&format!("# ours\n[{section}]\n{field} = {value}\n"), &[&line]);
        }
    }
}

#[test]
fn every_variable_that_does_not_fit_is_named() {
    for (name, key, values, advice) in [
        ("VPO_SERVER_BIND", "server.bind", &["example.org", "", "[::1]"][..], BIND),
        ("VPO_SERVER_PORT", "server.port", &["", " 80", "80 ", "-1", "65536", "0x50", "8e1", "eighty"], PORT),
        (
            "VPO_SERVER_SHUTDOWN_TIMEOUT",
            "server.shutdown_timeout",
            &["NaN", "inf", "infinity", "-0.1", "86401", "1e999", "30s", ""],
            TIMEOUT,
        ),
        (
            "VPO_SERVER_MAX_CONNECTIONS",
            "server.max_connections",
            &["0", "-1", "4294967296", "1.5"],
            CONNECTIONS,
        ),
        ("VPO_SERVER_HOSTS", "server.hosts", &["a,", "a b", "a;b", "a/", "a:80", "*.a"], HOSTS),
        ("VPO_LOGGING_LEVEL", "logging.level", &["verbose", ""], LEVEL),
        ("VPO_SCAN_WATCH", "scan.watch", &["yes", "1", ""], "give true or false"),
        ("VPO_SCAN_RESCAN_INTERVAL", "scan.rescan_interval", &["never", "-1"], INTERVAL),
        (
            "VPO_SCAN_EXTENSIONS",
            "scan.extensions",
            &["", "mkv,", ".", "tar.gz", "mkv;mp4", "*.mkv"],
            EXTENSIONS,
        ),
        ("VPO_DATABASE_VERIFY_INTERVAL", "database.verify_interval", &["daily", "-1", ""], VERIFY),
        ("VPO_SCAN_JOB_RETENTION_DAYS", "scan.job_retention_days", &["90d", "-1", "1.5", ""], RETENTION),
    ] {
        for value in values {
            variable(name, value, &format!("{key} = {value:?}"), advice);
        }
    }
}

#[test]
fn every_flag_that_does_not_fit_is_named() {
    for (flag, key, value, advice) in [
        ("--bind", "server.bind", "example.org", BIND),
        ("--port", "server.port", "70000", PORT),
        ("-p", "server.port", "x", PORT),
        ("--shutdown-timeout", "server.shutdown_timeout", "NaN", TIMEOUT),
        ("--log-level", "logging.level", "trace", LEVEL),
        ("--log-format", "logging.format", "yaml", "give text or json"),
    ] {
        let origin = if flag == "-p" { "--port" } else { flag };
        let line = format!("{key} = {value:?}: {origin}: {advice}");
        Sandbox::new().config(&[flag, value]).refused(&[&line]);
    }
    Sandbox::new()
        .config(&["--database", ""])
        .refused(&["database.path = \"\": --database: it is empty: give a path"]);
}

#[test]
fn every_problem_of_every_layer_is_in_one_report() {
    let sandbox = Sandbox::new();
    let content = "[server]\nport = -1\nprot = 1\n[loging]\n[scan]\nwatch = 0\n";
    let path = sandbox.write("c.toml", content);
    let path = path.display();
    let variables = [
        ("VPO_SERVER_PORT", "x"),
        ("VPO_LOGGING_LEVEL", "loud"),
        ("VPO_SERVER_PROT", "1"),
        ("VPO_SERVER_AUTH_TOKEN", " "),
    ];
    let said = sandbox.config_with(&["--config", "c.toml", "--port", "y", "--bind", "z"], &variables);
    said.refused(&[
        "warning: unknown variable: VPO_SERVER_PROT: it is skipped; did you mean VPO_SERVER_PORT?",
        &format!("server.port = -1: {path}:2:8: {PORT}"),
        &format!("unknown key server.prot: {path}:3:1: did you mean port?"),
        &format!("unknown section [loging]: {path}:4:2: did you mean [logging]?"),
        &format!("scan.watch = 0: {path}:6:9: give true or false"),
        &format!("logging.level = \"loud\": VPO_LOGGING_LEVEL: {LEVEL}"),
        &format!("server.auth_token is not a valid token: VPO_SERVER_AUTH_TOKEN: {TOKEN}"),
        &format!("server.port = \"x\": VPO_SERVER_PORT: {PORT}"),
        &format!("server.bind = \"z\": --bind: {BIND}"),
        &format!("server.port = \"y\": --port: {PORT}"),
    ]);
}

#[test]
fn unknown_names_get_a_did_you_mean_or_what_there_is() {
    file(
        "prot = 1",
        &["unknown key prot: @:1:1: remove it; the sections are server, database, logging, scan"],
    );
    file("port = 1", &["unknown key port: @:1:1: did you mean server.port?"]);
    file("[databse]", &["unknown section [databse]: @:1:2: did you mean [database]?"]);
    file("[scan]\nrots = []", &["unknown key scan.rots: @:2:1: did you mean roots?"]);
    file(
        "scan.recsan_interval = 1",
        &["unknown key scan.recsan_interval: @:1:6: did you mean rescan_interval?"],
    );
    file("[database]\nzzz = 1", &[&format!("unknown key database.zzz: @:2:1: {}", remove_from("database"))]);
    file("database_pth = ''", &["unknown key database_pth: @:1:1: did you mean database.path?"]);
}

#[test]
fn what_is_not_toml_is_named_with_line_and_column() {
    let quoted = "put text in quotes";
    file(
        "[server]\nbind = 0.0.0.0\n",
        &[&format!("not TOML: invalid float, expected nothing: @:2:11: {quoted}")],
    );
    file("server = 1", &["server is not a section: @:1:10: write [server] on a line of its own"]);
    file("[[server]]\nport = 1", &["server is not a section: @:1:1: write [server] on a line of its own"]);
    // Columns are characters, not bytes, and a byte order mark is none.
    file(
        "\u{feff}server = { port = 1, 'ä' = 1, prt = 1 }",
        &[
            &format!("unknown key server.ä: @:1:22: {}", remove_from("server")),
            "unknown key server.prt: @:1:31: did you mean port?",
        ],
    );
}

#[test]
fn a_long_or_many_lined_value_is_shown_in_part() {
    let long = "x".repeat(100);
    file(
        &format!("logging.level = \"{long}\""),
        &[&format!("logging.level = \"{}…: @:1:17: {LEVEL}", &long[..59])],
    );
    file("scan.extensions = [\n1]", &[&format!("scan.extensions = […: @:1:19: {EXTENSIONS}")]);
    variable("VPO_LOGGING_LEVEL", "a\nb\u{1b}", r#"logging.level = "a\nb\u{1b}""#, LEVEL);
}

#[test]
fn a_token_is_never_shown_not_even_a_wrong_one() {
    for (content, problem) in [
        ("auth_token = \"swordfish \"", "not a valid token"),
        ("auth_token = \"swordfish\\n\"", "not a valid token"),
        ("auth_token = [\"swordfish\"]", "not a valid token"),
        ("auth_token = \"\"", "empty"),
    ] {
        file(&format!("[server]\n{content}"), &[&format!("server.auth_token is {problem}: @:2:14: {TOKEN}")]);
    }
    for value in [" x", "x ", "a\tb", "a\nb", "ä", &"x".repeat(1025)] {
        variable("VPO_SERVER_AUTH_TOKEN", value, "server.auth_token is not a valid token", TOKEN);
    }
    variable("VPO_SERVER_AUTH_TOKEN", "", "server.auth_token is empty", TOKEN);
}

#[test]
fn a_token_and_its_file_in_one_layer_are_refused() {
    let line =
        "server.auth_token_file and server.auth_token (@:2:14) are both set: @:3:19: remove one of the two";
    file("[server]\nauth_token = \"a\"\nauth_token_file = \"/b\"", &[line]);
    let variables = [("VPO_SERVER_AUTH_TOKEN", "a"), ("VPO_SERVER_AUTH_TOKEN_FILE", "/b")];
    Sandbox::new().config_with(&[], &variables).refused(&[
        "server.auth_token_file and server.auth_token (VPO_SERVER_AUTH_TOKEN) are both set: VPO_SERVER_AUTH_TOKEN_FILE: \
         remove one of the two",
    ]);
}

#[test]
fn roots_must_be_apart() {
    file(
        "scan.roots = ['/a', '/a/b']",
        &["scan.roots: /a/b is inside /a: @:1:14: remove the inner one: the outer one covers it"],
    );
    file(
        "scan.roots = ['/a/b/', '/a']",
        &["scan.roots: /a/b is inside /a: @:1:14: remove the inner one: the outer one covers it"],
    );
    file("scan.roots = ['/a', '/a/.']", &["scan.roots: /a is listed twice: @:1:14: remove one of the two"]);
    file("scan.roots = ['/a/../b']", &["scan.roots: /a/../b contains ..: @:1:14: give the path without it"]);
    Sandbox::new()
        .config(&["--root", "/a", "--root", "/a"])
        .refused(&["scan.roots: /a is listed twice: --root: remove one of the two"]);
    // Neighbours whose names begin alike are apart.
    Sandbox::new().config(&["--root", "/a", "--root", "/ab"]).quietly();
}

#[test]
fn variables_that_are_not_utf8_are_named_and_those_of_others_do_no_harm() {
    let bytes = std::ffi::OsStr::from_bytes(b"/\xff");
    for name in
        ["VPO_DATABASE_PATH", "VPO_SERVER_PORT", "VPO_SCAN_ROOTS", "VPO_SERVER_AUTH_TOKEN", "VPO_CONFIG_PATH"]
    {
        let said = Said::by(Sandbox::new().vpo(["config"]).env(name, bytes));
        said.refused(&[&format!("the value is not UTF-8: {name}: give a value in UTF-8, or unset it")]);
    }
    for name in ["CONFIGURATION_DIRECTORY", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"] {
        let said = Said::by(Sandbox::new().vpo(["config"]).env(name, bytes));
        said.refused(&[&format!("the value is not UTF-8: {name}: give a value in UTF-8, or unset it")]);
    }
    Said::by(Sandbox::new().vpo(["config"]).env("OTHER", bytes).env(bytes, "x").env("VPO_OTHER", bytes))
        .quietly();
    let said = Said::by(Sandbox::new().vpo(["config", "--database", "/library.db"]).env("HOME", bytes));
    assert_eq!(said.code, Some(0));
    assert_eq!(
        said.stderr,
        "vpo: warning: $HOME is not UTF-8: HOME: correct it; ~/.vpo/config.toml is not read\n"
    );
}

#[test]
fn unknown_variables_under_a_sections_prefix_are_warnings() {
    let variables =
        [("VPO_SCAN_ROOT", "/a"), ("VPO_SERVER_XYZZY", "1"), ("VPO_TOOLS_FFMPEG", "x"), ("VPO_PORT", "1")];
    let said = Sandbox::new().config_with(&["--check"], &variables);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "OK: valid, without a configuration file\n"));
    assert_eq!(
        said.stderr,
        "vpo: warning: unknown variable: VPO_SCAN_ROOT: it is skipped; did you mean VPO_SCAN_ROOTS?\n\
         vpo: warning: unknown variable: VPO_SERVER_XYZZY: it is skipped; see docs/configuration.md\n"
    );
}

#[test]
fn the_file_may_hold_what_other_vpo_programs_want() {
    let sandbox = Sandbox::new();
    let path = sandbox.write(
        ".vpo/config.toml",
        "database_path = '/data/library.db'\njobs = 3\n[tools]\nffmpeg = 'x'\n[detection]\n[behavior]\n[plugins]\n[worker]\n\
         [transcription]\n[language]\n[processing]\n[profiles.a]\n[logging]\nlevel = 'DEBUG'\nmax_bytes = 1\nfile = '/x'\n\
         include_stderr = true\nbackup_count = 5\n[server.rate_limit]\nx = 1\n",
    );
    let said = sandbox.config_with(&[], &[("VPO_LOGGING_FILE", "/x"), ("VPO_SERVER_RATE_LIMIT", "1")]);
    let skipped = "they are skipped; other VPO programs may use them";
    assert_eq!(
        said.stderr,
        format!(
            "vpo: warning: not supported here: logging.max_bytes, logging.file, logging.include_stderr, logging.backup_count, \
             server.rate_limit: {}:15:1: {skipped}\n\
             vpo: warning: not supported here: VPO_LOGGING_FILE, VPO_SERVER_RATE_LIMIT: VPO_LOGGING_FILE: {skipped}\n",
            path.display()
        )
    );
    let origin = format!("{}:1:17", path.display());
    assert_eq!(said.value("database.path"), Some((r#""/data/library.db""#, origin.as_str())));
    file(
        "database_path = '/a'\ndatabase.path = '/b'",
        &["database_path and database.path differ: @:1:17: remove database_path, the older spelling"],
    );
}

#[test]
fn older_names_of_the_section_its_variables_and_its_flag_are_accepted() {
    let sandbox = Sandbox::new();
    let file = sandbox
        .write(".vpo/config.toml", "[library]\nroots = ['/a']\n[scan]\nwatch = false\n")
        .display()
        .to_string();
    let said = sandbox.config(&[]).quietly();
    assert_eq!(said.value("scan.roots"), Some((r#"["/a"]"#, format!("{file}:2:9").as_str())));
    assert_eq!(said.value("scan.watch"), Some(("false", format!("{file}:4:9").as_str())));
    let older = ("VPO_LIBRARY_ROOTS", "/b");
    let said = sandbox.config_with(&[], &[older]).quietly();
    assert_eq!(said.value("scan.roots"), Some((r#"["/b"]"#, "VPO_LIBRARY_ROOTS")));
    let said = sandbox.config_with(&[], &[older, ("VPO_SCAN_ROOTS", "/c")]).quietly();
    assert_eq!(said.value("scan.roots"), Some((r#"["/c"]"#, "VPO_SCAN_ROOTS")));
    let said = sandbox.config_with(&["--library", "/d", "--root=/e"], &[older]).quietly();
    assert_eq!(said.value("scan.roots"), Some((r#"["/e", "/d"]"#, "--root")));
    for command in ["serve", "config", "scan"] {
        let help = String::from_utf8(sandbox.run([command, "--help"]).stdout).expect("UTF-8");
        assert!(help.contains("--root") && !help.contains("--library"), "{help}");
    }
    self::file(
        "[library]\nwatch = true\n[scan]\nwatch = false",
        &["scan.watch is also set: @:2:9: @:4:1: remove one of the two; [library] is older"],
    );
}

#[test]
fn kubernetes_service_links_are_survived() {
    // What a Service called vpo-server with the named ports http and metrics, and one called vpo-server-admin, leave
    // in every pod of the namespace.
    let links = [
        ("VPO_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("VPO_SERVER_SERVICE_PORT", "8321"),
        ("VPO_SERVER_SERVICE_PORT_HTTP", "8321"),
        ("VPO_SERVER_SERVICE_PORT_METRICS", "9"),
        ("VPO_SERVER_PORT", "tcp://10.0.0.1:8321"),
        ("VPO_SERVER_PORT_8321_TCP", "tcp://10.0.0.1:8321"),
        ("VPO_SERVER_PORT_8321_TCP_PROTO", "tcp"),
        ("VPO_SERVER_PORT_8321_TCP_PORT", "8321"),
        ("VPO_SERVER_PORT_8321_TCP_ADDR", "10.0.0.1"),
        ("VPO_SERVER_PORT_53_UDP", "udp://10.0.0.1:53"),
        ("VPO_SERVER_ADMIN_SERVICE_HOST", "10.0.0.2"),
        ("VPO_SERVER_ADMIN_PORT", "tcp://10.0.0.2:1"),
        ("VPO_SERVER_ADMIN_PORT_1_TCP_ADDR", "10.0.0.2"),
        ("VPO_DATABASE_PORT", "tcp://10.0.0.3:1"),
        ("VPO_SCAN_SERVICE_PORT", "1"),
    ];
    let said = Sandbox::new().config_with(&[], &links);
    assert_eq!(said.code, Some(0));
    assert_eq!(
        said.stderr,
        "vpo: warning: \"tcp://10.0.0.1:8321\" is a Kubernetes service link, not a port: VPO_SERVER_PORT: it is skipped; set \
         enableServiceLinks: false on the pod, or rename the Service\n"
    );
    assert_eq!(said.value("server.port"), Some(("8321", "default")));
    // Names that only look like it are still unknown.
    let said =
        Sandbox::new().config_with(&[], &[("VPO_SERVER_PORT_HTTP", "1"), ("VPO_SERVER_PORT_1_TCP_X", "1")]);
    assert_eq!(said.stderr.lines().count(), 2);
}

#[test]
fn a_library_whose_path_can_only_be_a_directory_is_no_file() {
    for path in [
        "/data/",
        "data/",
        "~/",
        "/data/library.db//",
        "/data/.",
        "/data/..",
        "/",
        ".",
        "..",
        "./..",
        "~",
        "$HOME",
        "${HOME}",
    ] {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("data")).expect("made");
        for command in ["serve", "healthcheck", "config"] {
            let output = sandbox.run([command, "--database", path]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(78), "{command} {path}: {said}");
            assert!(said.contains(&format!("database.path = {path:?}")), "{said}");
            assert!(
                said.contains("the path of a directory: give the path of a file in it")
                    && said.contains("--database"),
                "{said}"
            );
        }
    }
}
