//! From the first moment to the last: signals at any time, reload, refusals.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Client, Daemon, Sandbox, eventually, in_time};

/// A `vpo serve` that is not waited for.
fn begin(sandbox: &Sandbox) -> Daemon {
    Daemon::spawn(sandbox.vpo(["serve", "--port", "0"]), &sandbox.library())
}

/// Ended as asked, or by the signal's default action before there were handlers.
fn ended_well(status: ExitStatus) -> bool {
    status.code() == Some(0) || status.signal() == Some(Signal::TERM.as_raw())
}

#[test]
fn sigterm_at_any_moment_of_the_start_ends_cleanly() {
    const MOMENTS: u32 = 240;
    let sandbox = Sandbox::new();
    let start = Instant::now();
    let mut daemon = begin(&sandbox);
    daemon.wait_healthy();
    let span = start.elapsed() * 2;
    daemon.stop();
    let mut by_handler = 0;
    for moment in 0..MOMENTS {
        let after = span * moment / MOMENTS;
        // Every other one starts without a library: the signal may then fall into its creation, and the
        // next start shows what it left. The shared library is opened again in the next round but one.
        let fresh = (moment % 2 == 0).then(Sandbox::new);
        let sandbox = fresh.as_ref().unwrap_or(&sandbox);
        let mut daemon = begin(sandbox);
        std::thread::sleep(after);
        let status = daemon.stop();
        assert!(ended_well(status), "SIGTERM after {after:?}: {status}\n{}", daemon.log());
        assert!(!daemon.log().contains(" error "), "{}", daemon.log());
        by_handler += u32::from(status.code() == Some(0));
        if fresh.is_some() {
            let mut again = begin(sandbox);
            let healthy = again.try_wait_healthy().is_some();
            assert!(healthy, "after SIGTERM at {after:?} the next start fails:\n{}", again.log());
            assert_eq!(again.stop().code(), Some(0), "{}", again.log());
        }
    }
    assert!(by_handler > MOMENTS / 2, "only {by_handler} of {MOMENTS} signals met a handler");
}

/// How `vpo ARGS` ends when a signal comes within a system call, as strace(1)'s `inject=` says, and how often it changed a
/// signal's handler until then.
fn traced(sandbox: &Sandbox, args: &[&str], inject: &str) -> (ExitStatus, usize) {
    let trace = sandbox.path("trace");
    let vpo = sandbox.vpo(args);
    let mut command = Command::new("timeout");
    command.args(["20", "strace", "-f", "-e", "trace=rt_sigaction,listen", "-e", inject, "-o"]).arg(&trace);
    command.arg(vpo.get_program()).args(vpo.get_args()).current_dir(sandbox.path(""));
    command.env_clear().env("HOME", sandbox.path("")).env("PATH", std::env::var_os("PATH").expect("a PATH"));
    let status = command.output().expect("strace runs").status;
    let traced = fs::read_to_string(trace).expect("a trace");
    (status, traced.lines().filter(|line| line.contains("rt_sigaction(")).count())
}

#[test]
#[ignore = "needs Debian's strace, which delivers a signal within a system call"]
fn signal_that_meets_the_setting_of_its_handler_is_not_lost() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/0.mkv");
    for copy in 1..200 {
        fs::hard_link(&film, sandbox.path(format!("films/{copy}.mkv"))).expect("a film");
    }
    let root = sandbox.root();
    let serve = ["serve", "--port", "0"];
    let scan = ["scan", "--library", root.to_str().expect("UTF-8")];
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT")] {
        for (args, code) in [(&serve, 0), (&scan, 128 + signal.as_raw())] {
            // In a whole run, which ends when the daemon listens.
            let (status, changes) = traced(&sandbox, args, "inject=listen:signal=TERM");
            assert!(status.success() && changes > 4, "{status} after {changes} changes of handlers");
            let mut by_handler = 0;
            for moment in 1..=changes {
                let inject = format!("inject=rt_sigaction:signal={name}:when={moment}");
                let (status, _) = traced(&sandbox, args, &inject);
                let handled = status.code() == Some(code);
                assert!(
                    handled || status.signal() == Some(signal.as_raw()),
                    "SIG{name} in change {moment} of {changes} of vpo {}: {status}",
                    args[0]
                );
                by_handler += u32::from(handled);
            }
            assert!(by_handler > 0, "no SIG{name} met a handler of vpo {}", args[0]);
        }
    }
}

#[test]
fn signals_that_whoever_started_it_had_blocked_are_obeyed() {
    let sandbox = Sandbox::new();
    let vpo = sandbox.vpo(["serve", "--port", "0"]);
    let mut command = Command::new("env");
    command.arg("--block-signal=TERM").arg(vpo.get_program()).args(vpo.get_args());
    command.env_clear().env("HOME", sandbox.path(""));
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    assert!(daemon.stop().success());
}

#[test]
fn any_number_of_sigterms_is_one_request() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve([""; 0]);
    let mut sent = 0;
    let status = loop {
        // A hundred in a burst, and then more until the process has ended.
        daemon.signal(Signal::TERM);
        sent += 1;
        if sent >= 100 && daemon.try_wait().is_some() {
            // The status is kept; this waits for the log's last lines.
            break daemon.wait();
        }
    };
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert_eq!(daemon.log().matches("SIGTERM").count(), 1, "{}", daemon.log());
}

#[test]
fn sigint_stops_as_sigterm_does() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve([""; 0]);
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
}

#[test]
fn second_sigint_leaves_at_once() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve(["--shutdown-timeout", "60"]);
        let _reader = daemon.client_that_does_not_read();
        daemon.signal(Signal::INT);
        daemon.wait_log("stopping");
        // For a second: then a client that does not read is cut off.
        if daemon.try_wait().is_some() {
            return Err(format!("a request in progress did not hold the exit:\n{}", daemon.log()));
        }
        let start = Instant::now();
        daemon.signal(Signal::INT);
        assert_eq!(daemon.wait().code(), Some(130), "{}", daemon.log());
        let took = start.elapsed();
        if took < Duration::from_millis(200) { Ok(()) } else { Err(format!("left after {took:?}")) }
    });
}

#[test]
fn sigpipe_and_unknown_signals_change_nothing() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve([""; 0]);
    daemon.signal(Signal::PIPE);
    daemon.signal(Signal::WINCH);
    daemon.signal(Signal::CHILD);
    assert_eq!(daemon.get("/health").status, 200);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn sighup_applies_the_level_and_names_what_needs_a_restart() {
    let sandbox = Sandbox::new();
    let config = sandbox.write(".vpo/config.toml", "[logging]\nlevel = \"info\"\n");
    let mut daemon = sandbox.serve([""; 0]);
    assert!(!daemon.log().contains(" debug "), "{}", daemon.log());

    fs::write(&config, "[logging]\nlevel = \"debug\"\n[server]\nmax_connections = 7\nbind = \"127.0.0.2\"\n")
        .expect("writable");
    daemon.signal(Signal::HUP);
    let line = daemon.wait_log("need a restart");
    assert!(line.contains("server.bind") && line.contains("server.max_connections"), "{line}");
    assert!(!line.contains("logging"), "{line}");
    daemon.wait_log("reloaded");
    // A client's mistake is a debug line.
    daemon.client().send(b"nonsense\r\n\r\n").expect("sent");
    daemon.wait_log(" debug ");
    assert_eq!(daemon.log().matches("need a restart").count(), 1, "{}", daemon.log());
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn sighup_with_a_bad_file_changes_nothing() {
    let sandbox = Sandbox::new();
    let config = sandbox.write(".vpo/config.toml", "[logging]\nlevel = \"info\"\n");
    let mut daemon = sandbox.serve([""; 0]);
    fs::write(&config, "[logging]\nlevel = \"debug\"\n[server]\nport = \"many\"\nbnd = 1\n")
        .expect("writable");
    daemon.signal(Signal::HUP);
    let line = daemon.wait_log("reload failed");
    assert!(line.contains(" error ") && line.contains("config.toml:"), "{line}");
    assert_eq!(daemon.get("/health").status, 200);
    assert!(!daemon.log().contains(" debug "), "{}", daemon.log());

    fs::write(&config, "[logging]\nlevel = \"debug\"\n").expect("writable");
    daemon.signal(Signal::HUP);
    daemon.wait_log("reloaded");
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let sandbox = Sandbox::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let output = sandbox.run(["serve", "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    let errors: Vec<_> = stderr.lines().filter(|line| line.contains(" error ")).collect();
    assert!(errors.len() == 1 && errors[0].contains("error[address-in-use]"), "{stderr}");
    assert!(errors[0].contains(&port) && errors[0].contains("--port"), "{stderr}");
    assert!(!sandbox.path(".vpo").exists(), "a database was created: {stderr}");
}

#[test]
fn a_daemon_on_the_same_port_and_database_is_named() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve([""; 0]);
    let port = daemon.address().port().to_string();
    let output = sandbox.run(["serve", "--port", &port]);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("the daemon with pid {}", daemon.pid())), "{stderr}");
}

#[test]
fn daemon_without_roots_says_how_to_add_one() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve([""; 0]);
    assert!(daemon.wait_log("no roots: nothing is scanned").contains("--root DIRECTORY"));
    daemon.stop();
    let mut daemon = sandbox.serve(["--root".as_ref(), sandbox.path("").as_os_str()]);
    daemon.stop();
    assert!(!daemon.log().contains("no roots"), "{}", daemon.log());
}

#[test]
fn localhost_is_an_address_to_listen_on() {
    let sandbox = Sandbox::new();
    sandbox.write(".vpo/config.toml", "[server]\nbind = \"localhost\"\n");
    let daemon = sandbox.serve([""; 0]);
    assert_eq!(daemon.address().ip().to_string(), "127.0.0.1");
    assert!(!daemon.log().contains("every client that reaches this address"), "{}", daemon.log());
}

#[test]
fn exposed_without_a_token_is_warned_about_once() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(["--bind", "0.0.0.0"]);
    daemon.stop();
    assert_eq!(daemon.log().matches("server.auth_token").count(), 1, "{}", daemon.log());

    let mut command = sandbox.vpo(["serve", "--port", "0", "--bind", "0.0.0.0"]);
    command.env("VPO_SERVER_AUTH_TOKEN", "correct-horse");
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    daemon.stop();
    assert!(!daemon.log().contains("auth_token") && !daemon.log().contains("horse"), "{}", daemon.log());
}

#[test]
fn sigterm_ends_a_start_that_waits_for_another_program() {
    in_time(|| {
        let sandbox = Sandbox::new();
        sandbox.serve([""; 0]).stop();
        let neighbour = rusqlite::Connection::open(sandbox.library()).expect("opens");
        neighbour.execute_batch("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE;").expect("locks");
        let mut daemon = begin(&sandbox);
        daemon.wait_log("starting");
        let start = Instant::now();
        assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
        let took = start.elapsed();
        if took < Duration::from_millis(100) { Ok(()) } else { Err(format!("stopped after {took:?}")) }
    });
}

#[test]
fn sighups_in_a_burst_and_a_stop_among_them_are_obeyed() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve([""; 0]);
    for _ in 0..200 {
        daemon.signal(Signal::HUP);
    }
    daemon.wait_log("reloaded");
    assert_eq!(daemon.get("/health").status, 200);
    for _ in 0..50 {
        daemon.signal(Signal::HUP);
    }
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
}

/// A second daemon on the same library, which must be refused in favour of the first.
#[track_caller]
fn assert_refused_beside(sandbox: &Sandbox, daemon: &Daemon) {
    let mut second = begin(sandbox);
    assert_eq!(second.wait().code(), Some(1), "{}", second.log());
    let text = second.log();
    let holder = format!("in use by the daemon with pid {} at http://{}", daemon.pid(), daemon.address());
    assert!(text.contains(&holder), "{text}");
}

/// The database check, once `/health` gives this reason for a warning.
#[track_caller]
fn await_warning(address: SocketAddr, reason: &str) -> serde_json::Value {
    eventually(&format!("the check warns {reason}"), || {
        let answer = Client::connect(address).get("/health");
        let check = answer.json()["checks"][0].clone();
        (answer.status == 200 && check["reason"] == reason).then_some(check)
    })
}

/// The last `main` line in the lock file that the daemon has open, and that is at no path any more.
fn noted(daemon: &Daemon) -> Option<String> {
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it runs");
    let open: Vec<_> = open.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let is_lost = |path: &&PathBuf| {
        fs::read_link(path).is_ok_and(|to| to.to_string_lossy().ends_with("library.db.lock (deleted)"))
    };
    let text = fs::read_to_string(open.iter().find(is_lost).expect("it is kept open")).expect("readable");
    text.lines().rfind(|line| line.starts_with("main ")).map(|line| line.trim_end().to_owned())
}

#[test]
fn a_lock_file_that_is_removed_or_replaced_is_warned_about_until_a_restart() {
    const THEIRS: &str = "4711\nhttp://127.0.0.1:1\n";
    for is_replaced in [false, true] {
        in_time(|| {
            let sandbox = Sandbox::new();
            sandbox.film("films/a.mkv");
            let roots = ["--root".into(), sandbox.root()];
            let mut daemon = sandbox.serve(&roots);
            let (address, start) = (daemon.address(), Instant::now());
            fs::remove_file(sandbox.lock()).expect("removed");
            if is_replaced {
                sandbox.write(".vpo/library.db.lock", THEIRS);
            }
            let warned = await_warning(address, "lock_lost");
            let took = start.elapsed();
            assert_eq!(warned["status"], "warn");
            assert!(warned["detail"].as_str().is_some_and(|text| text.contains("restart")), "{warned}");

            // What is saved from now on is noted in the file that is still open, and in no other.
            sandbox.film("films/b.mkv");
            eventually("the save is noted", || {
                let is_saved = sandbox.rows().len() == 2;
                let note = noted(&daemon).filter(|_| is_saved)?;
                note.ends_with(&format!(" done {}", sandbox.stamp())).then_some(())
            });
            let found = fs::read_to_string(sandbox.lock());
            assert_eq!(found.ok().as_deref(), is_replaced.then_some(THEIRS));

            // Without a lock file it asks at the configured address. One that nobody holds means that no daemon runs.
            let mut healthcheck = sandbox.vpo(["healthcheck"]);
            let output = healthcheck.env("VPO_SERVER_PORT", address.port().to_string()).output();
            let said = output.expect("vpo runs");
            let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
            assert!(
                said.contains(if is_replaced { "no daemon runs" } else { "database lock_lost" }),
                "{said}"
            );

            assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
            let daemon = sandbox.serve(&roots);
            assert_eq!(daemon.get("/health").json()["checks"][0]["status"], "pass");
            assert_refused_beside(&sandbox, &daemon);
            if took < Duration::from_millis(1500) { Ok(()) } else { Err(format!("warned after {took:?}")) }
        });
    }
}

#[test]
fn a_lock_file_is_known_in_a_directory_that_took_the_place_of_the_librarys() {
    for is_carried in [true, false] {
        let sandbox = Sandbox::new();
        let daemon = sandbox.serve([""; 0]);
        let address = daemon.address();
        let status = || Client::connect(address).get("/health").status;
        fs::rename(sandbox.path(".vpo"), sandbox.path("old")).expect("moved");
        eventually("/health is 503", || (status() == 503).then_some(()));
        fs::create_dir(sandbox.path(".vpo")).expect("made");
        if is_carried {
            for name in ["library.db.lock", "library.db"] {
                fs::rename(sandbox.path("old").join(name), sandbox.path(".vpo").join(name)).expect("moved");
            }
            eventually("/health is 200", || (status() == 200).then_some(()));
            assert_refused_beside(&sandbox, &daemon);
        } else {
            fs::copy(sandbox.path("old/library.db"), sandbox.library()).expect("restored");
            await_warning(address, "lock_lost");
            assert!(!sandbox.lock().exists());
        }
    }
}

#[test]
fn a_link_in_the_librarys_place_hides_no_daemon() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve([""; 0]);
    fs::create_dir(sandbox.path("disk")).expect("made");
    fs::rename(sandbox.library(), sandbox.path("disk/films.db")).expect("moved");
    symlink(sandbox.path("disk/films.db"), sandbox.library()).expect("linked");
    eventually("/health is 503", || (daemon.get("/health").status == 503).then_some(()));
    let output = sandbox.run(["healthcheck"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("now leads to") && said.contains("restart it"), "{said}");
    assert_refused_beside(&sandbox, &daemon);
    assert!(!sandbox.path("disk/films.db.lock").exists());
}

#[test]
fn a_reload_that_changes_nothing_says_so() {
    let sandbox = Sandbox::new();
    let config = sandbox.write(".vpo/config.toml", "");
    let mut daemon = sandbox.serve([""; 0]);
    daemon.signal(Signal::HUP);
    daemon.wait_log("reloaded: nothing changed");
    fs::write(config, "[server]\nmax_connections = 7\n").expect("writable");
    daemon.signal(Signal::HUP);
    daemon.wait_log("reloaded: nothing else changed");
    assert!(!daemon.log().contains("changed="), "{}", daemon.log());
    assert_eq!(daemon.stop().code(), Some(0));
}
