//! Signals that must not end the daemon, and the one of a terminal that closes.

use std::process::Command;

use rustix::process::Signal;

use crate::harness::{Daemon, Sandbox, Terminal, eventually};

#[test]
fn stray_signals_are_ignored() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve([""; 0]);
    for signal in [Signal::USR1, Signal::USR2, Signal::XFSZ] {
        daemon.signal(signal);
        assert_eq!(daemon.get("/livez").status, 200, "{signal:?}");
    }
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
}

/// `vpo ARGS` whose files may have so many blocks of 512 bytes.
fn limited(sandbox: &Sandbox, blocks: u32, args: &[&str]) -> Command {
    let vpo = sandbox.vpo(args);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -f {blocks} && exec \"$@\""), "sh"]);
    command.arg(vpo.get_program()).args(vpo.get_args());
    command.env_clear().env("HOME", sandbox.path("")).current_dir(sandbox.path(""));
    command
}

#[test]
fn limit_on_the_size_of_files_is_an_error_that_names_the_limit() {
    let sandbox = Sandbox::new();
    let output = limited(&sandbox, 20, &["serve", "--port", "0"]).output().expect("vpo runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error[database-create]") && stderr.contains("ulimit -f"), "{stderr}");
    assert!(!sandbox.library().exists());

    let film = sandbox.film("films/0.mkv");
    for copy in 1..300 {
        std::fs::hard_link(&film, sandbox.path(format!("films/{copy}.mkv"))).expect("a film");
    }
    let mut daemon = sandbox.serve([""; 0]);
    daemon.stop();
    let blocks = std::fs::metadata(sandbox.library()).expect("there").len() / 512;
    let blocks = u32::try_from(blocks).expect("a small database") + 40;
    let output = limited(&sandbox, blocks, &["scan", "films"]).output().expect("vpo runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some(), "ended by {:?}", output.status);
    assert!(stderr.contains("ulimit -f"), "{stderr}");
    assert_eq!(sandbox.serve([""; 0]).get("/health").status, 200);

    let output = limited(&sandbox, 20, &["backup", "copy.db"]).output().expect("vpo runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error[backup-path]: ") && stderr.contains("copy.db: "), "{stderr}");
    assert!(stderr.contains("ulimit -f") && !sandbox.path("copy.db").exists(), "{stderr}");
}

/// The next attempt follows at its own interval: the check, which can read, neither fails nor has the scan begin at once.
#[test]
fn daemon_beyond_the_limit_on_the_size_of_files_stays_healthy_and_warns() {
    let sandbox = Sandbox::new();
    sandbox.serve([""; 0]).stop();
    let film = sandbox.film("films/0.mkv");
    for copy in 1..300 {
        std::fs::hard_link(&film, sandbox.path(format!("films/{copy}.mkv"))).expect("a film");
    }
    let blocks = std::fs::metadata(sandbox.library()).expect("there").len() / 512;
    let blocks = u32::try_from(blocks).expect("a small database") + 40;
    let root = sandbox.path("films");
    let root = root.to_str().expect("UTF-8");
    let command = limited(&sandbox, blocks, &["serve", "--port", "0", "--root", root]);
    let daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_log("scan failed");
    let checks = || {
        let body = daemon.get("/metrics").body;
        let count =
            body.lines().find_map(|line| line.strip_prefix("vpo_database_check_duration_seconds_count "));
        count.and_then(|count| count.parse::<u64>().ok()).expect("a count")
    };
    let before = checks();
    eventually("five checks after the failure", || {
        let answer = daemon.get("/health");
        assert_eq!(answer.status, 200, "{}", answer.body);
        (checks() > before + 5).then_some(())
    });
    assert!(daemon.get("/health").body.contains("ulimit -f"), "{}", daemon.get("/health").body);
    let log = daemon.log();
    assert_eq!(log.matches("scan failed").count(), 1, "{log}");
    assert!(!log.contains("is back"), "{log}");
}

#[test]
fn sighup_stops_what_was_started_on_a_terminal() {
    let sandbox = Sandbox::new();
    let terminal = Terminal::new();
    let mut command = sandbox.vpo(["serve", "--port", "0"]);
    command.stdin(terminal.end());
    let mut daemon = Daemon::spawn_with_stdin(command, &sandbox.library());
    daemon.wait_healthy();
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
    assert!(daemon.log().contains("SIGHUP of the terminal: stopping"), "{}", daemon.log());
}
