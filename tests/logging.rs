//! What is logged and where; a log that is not read does not block the daemon.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use vpo::base::timestamp::Timestamp;

use crate::harness::{Daemon, Sandbox, Terminal, eventually, in_time};

/// `vpo serve` with its standard streams as the shell's redirections `streams` make them.
fn redirected(sandbox: &Sandbox, streams: &str, arguments: &[&str]) -> Command {
    let serve = sandbox.vpo(["serve", "--port", "0"].iter().chain(arguments));
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("exec \"$@\" {streams}"))
        .arg("sh")
        .arg(serve.get_program())
        .args(serve.get_args())
        .env_clear()
        .env("HOME", sandbox.path(""))
        .current_dir(sandbox.path(""));
    command
}

#[test]
fn every_json_line_parses_and_has_its_keys() {
    let sandbox = Sandbox::new();
    let config = sandbox.write(".vpo/config.toml", "");
    let mut daemon = sandbox.serve(["--log-format", "json", "--log-level", "debug"]);
    std::fs::write(&config, "[server]\nmax_connections = 9\n").expect("writable");
    daemon.signal(Signal::HUP);
    daemon.wait_log("reloaded");
    std::fs::write(&config, "\"new\\nline\" = 1\n").expect("writable");
    daemon.signal(Signal::HUP);
    daemon.wait_log("reload failed");
    std::fs::remove_file(sandbox.library()).expect("removable");
    daemon.wait_log("missing");
    daemon.stop();
    let log = daemon.log();
    let levels = ["debug", "info", "warning", "error"];
    let mut seen = Vec::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no {key}: {line}")).to_owned();
        let timestamp = text("timestamp");
        assert!(
            timestamp.len() == 24 && timestamp.ends_with('Z') && timestamp.as_bytes()[19] == b'.',
            "{line}"
        );
        assert!(levels.contains(&text("level").as_str()), "{line}");
        assert!(text("logger").starts_with("vpo::"), "other crates keep their debug lines: {line}");
        assert_eq!(line["daemon"], true, "{line}");
        text("message");
        seen.push(text("level"));
    }
    for level in levels {
        assert!(seen.iter().any(|seen| seen == level), "no line at {level}:\n{log}");
    }
}

#[test]
fn a_text_too_long_for_a_line_is_cut_and_the_line_is_not_lost() {
    for format in ["json", "text"] {
        let sandbox = Sandbox::new();
        // Every problem names the file, and each control character takes five to write: far more than the log's queue.
        let directory = format!("{}/", "\u{1}".repeat(250)).repeat(14);
        let name = format!("{directory}c.toml");
        let config = sandbox.write(&name, "");
        let arguments = ["--config".as_ref(), config.as_os_str(), "--log-format".as_ref(), format.as_ref()];
        let mut daemon = sandbox.serve(arguments);
        let keys: Vec<String> = (0..50).map(|index| format!("key{index} = 1\n")).collect();
        sandbox.write(&name, keys.concat());
        daemon.signal(Signal::HUP);
        let line = daemon.wait_log("reload failed");
        assert!(line.contains("unknown key key0: ") && line.contains('…'), "{line}");
        assert!((16 * 1024..64 * 1024).contains(&line.len()), "{} bytes", line.len());
        daemon.stop();
        let log = daemon.log();
        assert!(!log.contains("log lines were lost"), "{log}");
        if format == "json" {
            for line in log.lines() {
                serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            }
        }
    }
}

#[test]
fn a_name_cannot_forge_a_line() {
    let name = "evil\n2026-01-01T00:00:00.000Z error forged\u{1b}[2J\u{202e}";
    for format in ["text", "json"] {
        let sandbox = Sandbox::new();
        let library = sandbox.path(name).join("library.db");
        std::fs::create_dir(sandbox.path(name)).expect("a directory");
        let mut command = sandbox.vpo(["serve", "--port", "0", "--log-format", format, "--database"]);
        command.arg(&library);
        let mut daemon = Daemon::spawn(command, &library);
        daemon.wait_healthy();
        daemon.stop();
        let log = daemon.log();
        assert!(log.contains("evil") && !log.contains('\u{1b}') && !log.contains('\u{202e}'), "{log:?}");
        assert!(!log.lines().any(|line| line.starts_with("2026-01-01T")), "{log}");
    }
}

#[test]
fn the_journal_gets_priorities_and_no_timestamps() {
    for (format, names_it) in [("text", true), ("json", true), ("text", false)] {
        let sandbox = Sandbox::new();
        let log = File::create(sandbox.path("journal")).expect("creates");
        let stat = log.metadata().expect("metadata");
        let inode = if names_it { stat.ino() } else { stat.ino() + 1 };
        let mut command = sandbox.vpo(["serve", "--port", "0", "--bind", "0.0.0.0", "--log-format", format]);
        command.env("JOURNAL_STREAM", format!("{}:{inode}", stat.dev()));
        let mut daemon = Daemon::spawn_logging_to(command, log.into(), &sandbox.library());
        daemon.wait_healthy();
        daemon.stop();
        let log = std::fs::read_to_string(sandbox.path("journal")).expect("readable");
        for line in log.lines() {
            assert_eq!(line.starts_with('<'), names_it, "{line}");
            let rest = if names_it { line.get(3..).expect("a prefix") } else { line };
            if format == "json" {
                let parsed: Value = serde_json::from_str(rest).expect("JSON");
                let priority = match parsed["level"].as_str() {
                    Some("warning") => "<4>",
                    Some("info") => "<6>",
                    other => panic!("{other:?}: {line}"),
                };
                assert!(line.starts_with(priority), "{line}");
            } else {
                assert_eq!(rest.starts_with("20"), !names_it, "a timestamp is for those without: {line}");
            }
        }
        assert!(log.contains(if names_it { "<4>" } else { " warning " }), "{log}");
    }
}

#[test]
fn standard_output_on_request() {
    let sandbox = Sandbox::new();
    let mut command = redirected(&sandbox, ">out 2>err", &[]);
    command.env("VPO_LOGGING_OUTPUT", "stdout");
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    assert_eq!(daemon.stop().code(), Some(0));
    let read = |name| std::fs::read_to_string(sandbox.path(name)).expect("readable");
    assert!(read("out").contains("running") && read("err").is_empty(), "{} / {}", read("out"), read("err"));
}

#[test]
fn a_log_that_goes_nowhere_disturbs_nothing() {
    for streams in ["2>&-", "2>/dev/full", ">&- 2>&- <&-"] {
        for arguments in [&["--log-level", "debug"][..], &["--log-format", "json"]] {
            let sandbox = Sandbox::new();
            let mut daemon = Daemon::spawn(redirected(&sandbox, streams, arguments), &sandbox.library());
            daemon.wait_healthy();
            for _ in 0..50 {
                assert_eq!(daemon.get("/health").status, 200);
            }
            assert_eq!(daemon.stop().code(), Some(0), "{streams} {arguments:?}");
        }
    }
}

#[test]
fn a_log_that_nobody_reads_holds_neither_probes_nor_the_exit() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let full = vec![b'.'; 1 << 20];
        // Not a byte fits any more.
        rustix::io::ioctl_fionbio(writer.as_fd(), true).expect("a pipe");
        while rustix::io::write(&writer, &full).is_ok() {}
        rustix::io::ioctl_fionbio(writer.as_fd(), false).expect("a pipe");
        let command = sandbox.vpo(["serve", "--port", "0", "--log-level", "debug"]);
        let mut daemon = Daemon::spawn_logging_to(command, writer.into(), &sandbox.library());
        daemon.wait_healthy();
        let mut client = daemon.client();
        for _ in 0..200 {
            assert_eq!(client.get("/health").status, 200);
        }
        let start = Instant::now();
        assert_eq!(daemon.stop().code(), Some(0));
        let took = start.elapsed();
        drop(reader);
        if took < Duration::from_millis(500) { Ok(()) } else { Err(format!("stopped after {took:?}")) }
    });
}

#[test]
fn a_refusal_into_a_stuck_pipe_still_ends() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let (_reader, writer) = std::io::pipe().expect("a pipe");
        rustix::io::ioctl_fionbio(writer.as_fd(), true).expect("a pipe");
        while rustix::io::write(&writer, &[b'.'; 4096]).is_ok() {}
        rustix::io::ioctl_fionbio(writer.as_fd(), false).expect("a pipe");
        let start = Instant::now();
        let mut command = sandbox.vpo(["serve", "--port", "no-number"]);
        let status = command.stderr(Stdio::from(writer)).status().expect("runs");
        assert!(status.code().is_some_and(|code| code != 0), "{status}");
        let took = start.elapsed();
        if took < Duration::from_secs(2) { Ok(()) } else { Err(format!("ended after {took:?}")) }
    });
}

#[test]
fn lost_lines_are_counted_and_told() {
    let sandbox = Sandbox::new();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let command = sandbox.vpo(["serve", "--port", "0", "--log-level", "debug"]);
    let mut daemon = Daemon::spawn_logging_to(command, writer.into(), &sandbox.library());
    daemon.wait_healthy();
    let dropped = || {
        let metrics = daemon.get("/metrics").body;
        let line =
            metrics.lines().find(|line| line.starts_with("vpo_log_lines_dropped_total")).expect("a metric");
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    let complain = || {
        // A client's mistake is a debug line.
        daemon.client().send(b"nonsense\r\n\r\n").expect("sent");
    };
    // Nobody reads: pipe and queue fill up.
    eventually("lines are dropped", || {
        (0..100).for_each(|_| complain());
        (dropped() > 0.0).then_some(())
    });
    let log = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&log);
    let reading = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            sink.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    eventually("the log tells of lost lines", || {
        complain();
        log.lock().expect("not poisoned").contains("log lines were lost").then_some(())
    });
    assert_eq!(daemon.stop().code(), Some(0));
    reading.join().expect("read to the end");
    let log = log.lock().expect("not poisoned");
    assert!(log.lines().all(|line| line.starts_with("20")), "only whole lines are dropped:\n{log}");
}

/// What `vpo serve` with these variables logs on a terminal until it runs, and after it has stopped.
fn on_a_terminal(variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let sandbox = Sandbox::new();
    let terminal = Terminal::new();
    let mut command = sandbox.vpo(["serve", "--port", "0"].iter().chain(arguments));
    command.envs(variables.iter().copied());
    let mut daemon = Daemon::spawn_logging_to(command, terminal.end().into(), &sandbox.library());
    daemon.wait_healthy();
    daemon.stop();
    eventually("the last line", || terminal.shown().contains("stopped after").then(|| terminal.shown()))
}

#[test]
fn a_terminal_shows_local_time_and_colours_and_no_module_path() {
    let shown = on_a_terminal(&[("TERM", "xterm"), ("TZ", "XST-5:30")], &[]);
    let line = shown.lines().find(|line| line.contains("listening")).expect("a line");
    let (head, text) = line.split_once(" \u{1b}[32minfo   \u{1b}[0m ").unwrap_or_else(|| panic!("{line:?}"));
    assert!(text.starts_with("listening \u{1b}[2maddress=\u{1b}[0mhttp://127.0.0.1:"), "{line:?}");
    assert!(!shown.contains("vpo::"), "{shown:?}");
    let time = head.strip_prefix("\u{1b}[2m").and_then(|head| head.strip_suffix("\u{1b}[0m")).expect("faint");
    let time = Timestamp::parse(time).expect("a time").unix_seconds() - (5 * 60 + 30) * 60;
    assert!(Timestamp::now().unix_seconds().abs_diff(time) < 120, "{line:?}");
}

#[test]
fn no_colour_where_none_is_wanted_or_none_can_be_shown() {
    for variables in [&[("TERM", "xterm"), ("NO_COLOR", "1")][..], &[("TERM", "dumb")], &[]] {
        let shown = on_a_terminal(variables, &[]);
        assert!(!shown.contains('\u{1b}'), "{variables:?}: {shown:?}");
        assert!(shown.contains(" info    listening address=http://"), "{variables:?}: {shown:?}");
    }
    let shown = on_a_terminal(&[("TERM", "xterm"), ("NO_COLOR", "")], &[]);
    assert!(shown.contains('\u{1b}'), "an empty NO_COLOR counts as unset: {shown:?}");
}

#[test]
fn json_is_the_same_on_a_terminal() {
    let shown = on_a_terminal(&[("TERM", "xterm")], &["--log-format", "json"]);
    for line in shown.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        assert!(line["logger"].as_str().is_some_and(|logger| logger.starts_with("vpo::")), "{line}");
    }
}
