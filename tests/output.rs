//! The output of commands does not control a terminal, for any names of files, titles, arguments and variables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::{Sandbox, eventually, samples, settled};

/// Sets the title, rings, clears the screen, turns text red by a C1 control, reverses it, and forges a line.
const EVIL: &str = "\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{200e}\u{200f}\u{61c}\u{7f}\u{85}\u{2028}\r\nforged: 9 videos";

fn is_unsafe(c: char) -> bool {
    c != '\n'
        && (c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[track_caller]
fn assert_safe(what: &str, text: &str) {
    assert!(!text.contains(is_unsafe), "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("forged")), "{what}: {text}");
}

/// A sandbox with a root of that kind of name, a film with such a title in it, a file that is none, and two files whose
/// names are stored alike, which the walk reports.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let track = samples::track(1, 0x11, "S_TEXT/UTF8", &[samples::name(EVIL)]);
    let segment = [samples::element(0x1654_AE6B, &track), samples::element(0x1F43_B675, &[])].concat();
    let film = [samples::ebml_header("matroska"), samples::element(0x1853_8067, &segment)].concat();
    settled(&sandbox.write(&format!("{EVIL}/film{EVIL}.mkv"), film));
    settled(&sandbox.write(&format!("{EVIL}/none{EVIL}.mkv"), "no video"));
    for clash in [&b"\x1b[2J\x9b\x9b\x07.mkv"[..], b"\x1b[2J%9B%9B\x07.mkv"] {
        let path = sandbox.path(EVIL).join(OsStr::from_bytes(clash));
        std::fs::write(&path, "no video").expect("written");
        settled(&path);
    }
    sandbox
}

/// Runs it in a terminal of its own, which gets standard output and standard error alike: what the terminal received.
fn in_a_terminal(sandbox: &Sandbox, command: &Command) -> String {
    let quoted = |word: &OsStr| format!("'{}'", word.to_str().expect("UTF-8").replace('\'', r"'\''"));
    let words: Vec<String> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    let mut script = Command::new("/usr/bin/script");
    script.args(["-q", "-c", &words.join(" "), "/dev/null"]).stdin(Stdio::null());
    script.env_clear().env("HOME", sandbox.path("")).env("TERM", "xterm").env("SHELL", "/bin/sh");
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    script.envs(variables).current_dir(sandbox.path(""));
    let output = script.output().expect("Debian's bsdutils");
    String::from_utf8(output.stdout).expect("UTF-8").replace("\r\n", "\n")
}

fn piped(command: &mut Command) -> (String, String) {
    let Output { stdout, stderr, .. } = command.stdin(Stdio::null()).output().expect("vpo runs");
    (String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"))
}

/// Every command with names of that kind wherever it takes or finds one.
fn commands(sandbox: &Sandbox) -> Vec<Command> {
    let film = format!("{EVIL}/film{EVIL}.mkv");
    let none = format!("{EVIL}/none{EVIL}.mkv");
    let missing = format!("missing{EVIL}");
    sandbox.write(&format!("{EVIL}/config.toml"), "[server]\nport = 1\n");
    let wrong = format!("wrong{EVIL}.toml");
    sandbox.write(&wrong, "[server]\n\"p\\u001b[2Jrt\u{202e}\" = 1\nbind = \"\u{9b}\"\n\"\\u202e\u{200f}\" = '''\n\u{2067}'''\n");
    let config = format!("{EVIL}/config.toml");
    let database = format!("{EVIL}/library.db");
    let mut commands: Vec<Command> = [
        &["scan", EVIL][..],
        &["scan", "--json", EVIL],
        &["scan", "--dry-run", EVIL],
        &["scan", "--dry-run", "--json", EVIL],
        &["scan", "--library", EVIL, "--log-level", "debug"],
        &["scan", &film, &none],
        &["scan", &missing],
        &["scan", "--json", &missing],
        &["scan", "--dry-run", &missing],
        &["scan", &format!("{EVIL}/../{EVIL}")],
        &["scan", "--database", &film, EVIL],
        &["inspect", &film],
        &["inspect", "--json", &film],
        &["inspect", &none, &missing, EVIL, &film],
        &["healthcheck", "--database", &database],
        &["healthcheck", "--config", &missing],
        &["healthcheck", "--timeout", EVIL],
        &["healthcheck", "--route", EVIL],
        &["config", "--database", &database, "--library", EVIL],
        &["config", "--check", "--config", &config],
        &["config", "--config", &config, "--bind", EVIL, "--port", EVIL, "--log-level", EVIL],
        &["config", "--config", &wrong],
        &["serve", "--config", &wrong],
        &["serve", "--config", &missing],
        &["serve", "--port", "0", "--database", &film],
        &["serve", "--port", "0", "--database", &format!("{missing}/library.db")],
        &["serve", "--port", "0", "--log-format", "json", "--database", &film],
        &["serve", "--port", EVIL],
        &["serve", EVIL],
        &["serve", &format!("--{EVIL}")],
        &["serve", &format!("--{EVIL}={EVIL}")],
        &[EVIL],
        &[&format!("-{EVIL}")],
        &["--version", EVIL],
        &["scan", "--help", EVIL],
    ]
    .into_iter()
    .map(|args| sandbox.vpo(args))
    .collect();
    for (name, value) in [
        ("VPO_LOGGING_LEVEL", EVIL),
        ("VPO_CONFIG_PATH", &missing),
        ("VPO_LIBRARY_ROOTS", EVIL),
        (&format!("VPO_SERVER_{EVIL}"), "1"),
        ("VPO_SERVER_HOSTS", EVIL),
        ("HOME", EVIL),
        ("STATE_DIRECTORY", EVIL),
        ("VPO_SERVER_AUTH_TOKEN_FILE", &missing),
    ] {
        let mut command = sandbox.vpo(["config"]);
        command.env(name, value);
        commands.push(command);
    }
    commands
}

#[test]
fn no_command_writes_what_a_terminal_obeys() {
    let sandbox = sandbox();
    for mut command in commands(&sandbox) {
        let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let (stdout, stderr) = piped(&mut command);
        assert_safe(&what, &stdout);
        assert_safe(&what, &stderr);
        assert!(!stdout.is_empty() || !stderr.is_empty(), "{what} says nothing");
    }
}

#[test]
fn no_command_writes_it_to_a_terminal_either() {
    let sandbox = sandbox();
    for command in commands(&sandbox) {
        let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let mut text = in_a_terminal(&sandbox, &command);
        // The log's colours, and of the bar: go to the begin of the line, lines up or down (a long path takes three), and clear it.
        let bar = ["\u{1b}[2K", "\u{1b}[1A", "\u{1b}[2A", "\u{1b}[1B", "\r"];
        let log = ["\u{1b}[2m", "\u{1b}[1;31m", "\u{1b}[33m", "\u{1b}[32m", "\u{1b}[0m"];
        for own in bar.iter().chain(&log) {
            text = text.replace(own, "");
        }
        assert!(!text.is_empty(), "{what} says nothing");
        assert_safe(&what, &text);
    }
}

#[test]
fn the_bar_on_a_terminal_shows_a_name_and_does_not_send_it() {
    let sandbox = sandbox();
    // Still being written: the scan waits for it.
    sandbox.write(&format!("{EVIL}/fresh.mkv"), "no video");
    let text = in_a_terminal(&sandbox, &sandbox.vpo(["scan", EVIL]));
    assert!(text.contains("\u{1b}[2K") && text.contains("waiting for files"), "a bar is drawn: {text:?}");
    assert!(text.contains(r"\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}31m\u{202e}"), "{text:?}");
    for evil in ["\u{1b}]", "\u{7}", "\u{1b}[2J", "\u{9b}", "\u{202e}", "\u{200f}", "\u{61c}", "\nforged"] {
        assert!(!text.contains(evil), "{evil:?}: {text:?}");
    }
}

#[test]
fn json_is_safe_and_parses_to_the_names_themselves() {
    let sandbox = sandbox();
    let parsed = |args: &[&str]| -> Value {
        let (stdout, _) = piped(&mut sandbox.vpo(args));
        assert_safe(args[0], &stdout);
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    };
    let root = sandbox.path(EVIL);
    let film = format!("{EVIL}/film{EVIL}.mkv");
    let inspected = parsed(&["inspect", "--json", &film]);
    assert_eq!(inspected["path"], film.as_str());
    assert_eq!(inspected["tracks"][0]["title"], EVIL);
    let root = root.to_str().expect("UTF-8");
    assert_eq!(parsed(&["scan", "--json", EVIL])["scans"][0]["path"], root);
    assert_eq!(parsed(&["scan", "--json", "--dry-run", EVIL])["scans"][0]["root"], root);
}

#[test]
fn the_configuration_is_shown_as_a_file_that_leads_to_the_same() {
    let sandbox = sandbox();
    let database = format!("{EVIL}/library.db");
    let (shown, _) = piped(&mut sandbox.vpo(["config", "--database", &database, "--root", EVIL]));
    assert_safe("config", &shown);
    let config = sandbox.write("again.toml", &shown);
    let (again, _) = piped(sandbox.vpo(["config", "--config"]).arg(config));
    let values = |text: &str| text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(values(&shown), values(&again));
    assert_eq!(values(&shown)["scan"]["roots"][0].as_str(), sandbox.path(EVIL).to_str());
}

#[test]
fn the_daemon_s_log_and_answers_are_safe() {
    for format in ["text", "json"] {
        let sandbox = sandbox();
        let mut daemon = sandbox.serve(["--log-level", "debug", "--log-format", format, "--root", EVIL]);
        let answer = eventually("the films are recorded", || {
            let answer = daemon.get("/api/v1/files");
            (answer.json()["files"].as_array()?.len() >= 3).then_some(answer)
        });
        assert_safe("files", &answer.body);
        let film = sandbox.path(format!("{EVIL}/film{EVIL}.mkv"));
        let paths: Vec<Value> = answer.json()["files"]
            .as_array()
            .expect("files")
            .iter()
            .map(|file| file["path"].clone())
            .collect();
        assert!(paths.contains(&Value::from(film.to_str().expect("UTF-8"))), "{paths:?}");
        for path in [
            "/health",
            "/api/v1/library",
            "/api/v1/jobs",
            "/api/v1/jobs/%1B%C2%9B%E2%80%AE",
            "/api/v1/files?%C2%9B=%E2%80%AE",
        ] {
            assert_safe(path, &daemon.get(path).body);
        }
        // Beside it, and the check of a root that is removed.
        let (stdout, stderr) = piped(&mut sandbox.vpo(["scan", "--library", EVIL]));
        assert_safe("scan", &(stdout + &stderr));
        std::fs::rename(sandbox.path(EVIL), sandbox.path("away")).expect("moved");
        eventually("the root's check warns", || {
            daemon.get("/health").body.contains("\"warn\"").then_some(())
        });
        let (stdout, stderr) = piped(&mut sandbox.vpo(["healthcheck"]));
        assert!(stdout.contains("forged"), "it names the root: {stdout}");
        assert_safe("healthcheck", &(stdout + &stderr));
        daemon.stop();
        assert_safe("log", &daemon.log());
    }
}

#[test]
fn a_panic_is_a_line_that_no_terminal_obeys() {
    if std::env::var_os("VPO_TEST_PANICS").is_some() {
        vpo::telemetry::report_panics();
        panic!("{EVIL}");
    }
    // No command is known to panic: this test, run once more by itself, does.
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "output::a_panic_is_a_line_that_no_terminal_obeys", "--nocapture"]);
    command.env("VPO_TEST_PANICS", "1").env_remove("RUST_BACKTRACE");
    let (_, stderr) = piped(&mut command);
    assert!(stderr.starts_with("vpo: panic at tests/output.rs:"), "{stderr}");
    assert!(stderr.contains(r": \u{1b}]0;t\u{7}"), "{stderr}");
    assert_safe("panic", &stderr);
}
