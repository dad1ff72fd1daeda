//! The command line: accepted and rejected arguments, exit codes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Output, Stdio};

use super::harness::Sandbox;

const COMMANDS: [&str; 12] = [
    "serve",
    "healthcheck",
    "config",
    "scan",
    "inspect",
    "list",
    "changes",
    "forget",
    "stats",
    "status",
    "backup",
    "restore",
];

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// The one line on stderr that a refused command line ends in.
#[track_caller]
fn usage_error<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let output = Sandbox::new().run(args);
    let stderr = text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(64), "{stderr}");
    assert_eq!(text(&output.stdout), "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("vpo: ") && stderr.ends_with(" --help`\n"), "{stderr}");
    stderr
}

#[track_caller]
fn succeeds<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let Output { status, stdout, stderr } = Sandbox::new().run(args);
    assert_eq!(status.code(), Some(0), "{}", text(&stderr));
    assert_eq!(text(&stderr), "");
    text(&stdout).to_owned()
}

#[test]
fn version_names_program_version_and_schema() {
    let expected = format!("vpo {} (library schema 7)\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(succeeds(["--version"]), expected);
    assert_eq!(succeeds(["-V"]), expected);
    // With the commit, if the build was given it.
    assert!(succeeds(["version"]).starts_with(&expected));
    let json: serde_json::Value = serde_json::from_str(&succeeds(["version", "--json"])).expect("JSON");
    assert_eq!((&json["version"], &json["schema_version"]), (&env!("CARGO_PKG_VERSION").into(), &7.into()));
    assert_eq!(json["commit"].is_null(), json["date"].is_null());
}

#[test]
fn help_has_examples_that_run_and_variables_that_are_read() {
    let sandbox = Sandbox::new();
    sandbox.film("film.mkv");
    assert!(sandbox.run(["scan", "."]).status.success());
    let mut examples = Vec::new();
    for command in COMMANDS {
        let help = succeeds([command, "--help"]);
        let (_, after) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{command}: {help}"));
        let found = after.lines().take_while(|line| !line.is_empty()).map(|line| line.trim().to_owned());
        let found: Vec<_> = found.collect();
        assert!(
            !found.is_empty() && found.iter().all(|line| line.starts_with(&format!("vpo {command} "))),
            "{help}"
        );
        examples.extend(found);
        if help.contains("--database") {
            assert!(
                help.contains("VPO_DATABASE_PATH: ") || help.contains("Each key has a variable"),
                "{help}"
            );
        }
        assert_eq!(help.contains("--color"), help.contains("NO_COLOR: "), "{help}");
    }
    let needs_more = ["serve", "healthcheck", "/srv/films"];
    for example in examples.iter().filter(|line| !needs_more.iter().any(|part| line.contains(part))) {
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_vpo")).parent().expect("a directory");
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", example]).env_clear().env("PATH", bin).env("HOME", sandbox.path(""));
        let output = shell.current_dir(sandbox.path("")).output().expect("sh runs");
        assert!(output.status.success(), "{example}: {}", text(&output.stderr));
    }
}

#[test]
fn help_is_a_success_for_vpo_and_each_command() {
    for command in COMMANDS {
        assert!(succeeds(["--help"]).contains(command));
        for flag in ["--help", "-h"] {
            let help = succeeds([command, flag]);
            assert!(help.starts_with(&format!("Usage: vpo {command}")), "{help}");
        }
    }
    assert_eq!(succeeds(["help"]), succeeds(["-h"]));
}

#[test]
fn help_of_a_command_is_shown_and_the_command_is_not_run() {
    for command in COMMANDS {
        let sandbox = Sandbox::new();
        // What `vpo scan help` would scan.
        sandbox.film("help/film.mkv");
        let output = sandbox.run(["help", command]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), succeeds([command, "--help"]));
        assert!(!sandbox.path(".vpo").exists(), "vpo help {command} created a database");
    }
    assert!(usage_error(["help", "scn"]).contains("unknown argument scn, did you mean scan?"));
    assert!(usage_error(["help", "scan", "."]).contains("`vpo help` takes one command"));
}

#[test]
fn without_arguments_the_usage_is_shown_as_an_error() {
    let output = Sandbox::new().run([""; 0]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(64), ""));
    assert_eq!(text(&output.stderr), succeeds(["--help"]));
}

#[test]
fn configuration_file_has_a_short_flag() {
    let sandbox = Sandbox::new();
    sandbox.write("c.toml", "[server]\nport = 0\n[database]\npath = \"films.db\"\n");
    let output = sandbox.run(["config", "-c", "c.toml"]);
    assert!(text(&output.stdout).contains("port = 0 # "), "{}", text(&output.stderr));
    for command in ["serve", "healthcheck", "config", "scan", "list", "backup", "restore"] {
        assert!(succeeds([command, "--help"]).contains("-c, --config"), "{command}");
    }
}

#[test]
fn a_wrong_command_line_is_64_and_one_line_with_a_pointer_to_help() {
    assert!(usage_error(["srve"]).contains("unknown argument srve, did you mean serve?"));
    for command in ["ls", "search", "find"] {
        assert!(usage_error([command]).contains("did you mean list?"), "{command}");
    }
    assert!(usage_error(["--vresion"]).contains("did you mean --version?"));
    assert!(usage_error(["-v"]).contains("did you mean --version?"));
    assert!(usage_error(["serve", "/srv/videos"]).contains("give a directory of videos with --root"));
    assert!(usage_error(["frobnicate"]).contains("unknown argument frobnicate; "));
    assert!(usage_error(["--prot"]).contains("see `vpo --help`"));
    assert!(
        usage_error(["serve", "--prot", "80"])
            .contains("--prot, did you mean --port?; see `vpo serve --help`")
    );
    assert!(usage_error(["serve", "surplus"]).contains("surplus"));
    assert!(usage_error(["serve", "--port"]).starts_with("vpo: --port needs a value; "));
    assert!(usage_error(["scan", "-c"]).starts_with("vpo: -c needs a value; "));
    let twice = usage_error(["serve", "--port", "1", "--port", "2"]);
    assert!(twice.starts_with("vpo: --port is given twice; "), "{twice}");
    assert!(usage_error(["backup"]).starts_with("vpo: FILE is missing; "));
    assert!(usage_error(["forget"]).starts_with("vpo: --missing-for is missing; "));
    for (args, hint) in [
        (["changes", "--since", "x"], "--since \"x\" is not valid: give an age"),
        (["changes", "--limit", "x"], "--limit \"x\" is not valid: give a whole number"),
        (["forget", "--missing-for", "1y"], "--missing-for \"1y\" is not valid: give hours"),
        (["list", "--color", "red"], "--color \"red\" is not valid: give auto, always or never"),
        (
            ["healthcheck", "--route", "\u{1f}"],
            "--route \"\\u{1f}\" is not valid: give health, livez or readyz",
        ),
    ] {
        let said = usage_error(args);
        assert!(said.starts_with(&format!("vpo: {hint}")), "{said}");
    }
    assert!(usage_error(["config", "--check=yes"]).contains("--check=yes"));
    assert!(usage_error(["inspect"]).contains("no file to inspect"));
    for timeout in ["0", "-1", "nan", "inf", "1e300", "soon", ""] {
        assert!(usage_error(["healthcheck", "--timeout", timeout]).contains("give seconds above 0"));
    }
}

#[test]
fn an_empty_argument_is_seen_and_a_flag_behind_the_end_of_flags_is_explained() {
    for args in [&[""][..], &["serve", ""], &["config", ""], &["healthcheck", ""]] {
        let said = usage_error(args);
        assert!(said.contains("unknown argument \"\" (a variable that is not set?); "), "{args:?}: {said}");
    }
    assert!(usage_error(["serve", "a b"]).contains("unknown argument \"a b\"; "));
    let said = usage_error(["config", "--", "--check"]);
    assert!(
        said.contains("--check follows --, after which no argument is a flag: put it before --; "),
        "{said}"
    );
}

#[test]
fn the_help_says_what_each_flag_is() {
    let help = succeeds(["config", "--help"]);
    assert!(help.contains("address to listen on") && help.contains("a directory of videos"), "{help}");
    let serve = succeeds(["serve", "--help"]);
    for line in serve.lines().skip_while(|line| *line != "Options:").take_while(|line| !line.is_empty()) {
        assert!(help.contains(line), "{line:?} of vpo serve is not in {help}");
    }
}

#[test]
fn a_flag_before_the_command_is_shown_its_place() {
    for (args, example) in [
        (&["--port", "1", "serve"][..], "--port must follow the command, as in `vpo serve --port …`"),
        (&["--port=1", "serve"], "`vpo serve --port …`"),
        (&["-p", "1", "serve"], "`vpo serve -p …`"),
        (&["--database", "x", "healthcheck"], "`vpo healthcheck --database …`"),
        (&["--json", "inspect", "x"], "`vpo inspect --json`"),
        (&["--json", "serve"], "`vpo scan --json`"),
        (&["--timeout", "1"], "`vpo healthcheck --timeout …`"),
    ] {
        let said = usage_error(args);
        assert!(said.contains(example), "{args:?}: {said}");
    }
    assert!(!usage_error(["serve", "--json"]).contains("must follow the command"));
}

#[test]
fn arguments_that_are_not_utf8_are_64() {
    let bytes = OsStr::from_bytes(b"/videos/\xff");
    assert!(usage_error([OsStr::new("serve"), OsStr::new("--root"), bytes]).contains(r"\xff"));
    assert!(usage_error([OsStr::new("inspect"), bytes]).contains("not UTF-8"));
    assert!(usage_error([bytes]).contains("not UTF-8"));
}

#[test]
fn a_value_may_follow_its_flag_after_an_equals_sign() {
    let shown = succeeds(["config", "--port=9000", "--root=/a=b"]);
    assert!(shown.contains("port = 9000 # --port\n"), "{shown}");
    assert!(shown.contains("roots = [\"/a=b\"] # --root\n"), "{shown}");
}

#[test]
fn a_reader_that_wants_no_more_is_no_failure() {
    for args in [&["config"][..], &["--help"], &["--version"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Sandbox::new().vpo(args).stdout(writer).output().expect("vpo runs");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn output_that_is_lost_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = Sandbox::new().vpo(["config"]).stdout(full).output().expect("vpo runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("vpo: cannot write to standard output: "));
}

#[test]
fn a_full_or_closed_stderr_changes_no_exit_code() {
    for (args, code) in [(&["serv"][..], 64), (&["config", "--port", "x"], 78)] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let status = Sandbox::new().vpo(args).stderr(full).status().expect("vpo runs");
        assert_eq!(status.code(), Some(code));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status =
            Sandbox::new().vpo(args).stderr(writer).stdout(Stdio::null()).status().expect("vpo runs");
        assert_eq!(status.code(), Some(code));
    }
}
