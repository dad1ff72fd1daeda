//! `vpo healthcheck`: finds the daemon, queries it, reports the reason.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

use crate::harness::{Daemon, Sandbox, eventually};

const NO_ARGS: [&str; 0] = [];

/// The exit code and the one line, of either stream.
#[track_caller]
fn said(output: &Output) -> (i32, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "one line: {text:?}");
    (output.status.code().expect("a code"), text.trim_end().to_owned())
}

#[test]
fn it_follows_the_daemon_to_whatever_port_it_bound() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.serve(NO_ARGS);
    assert_eq!(said(&sandbox.run(["healthcheck"])), (0, "healthy".into()));
    assert_eq!(said(&sandbox.run(["healthcheck", "--route", "readyz"])), (0, "healthy".into()));
    assert_eq!(said(&sandbox.run(["healthcheck", "--route", "livez"])), (0, "alive".into()));
    let library = sandbox.library();
    let library = library.to_str().expect("UTF-8");
    let elsewhere = Sandbox::new();
    assert_eq!(said(&elsewhere.run(["healthcheck", "--database", library])), (0, "healthy".into()));
}

#[test]
fn it_reaches_a_daemon_that_listens_everywhere() {
    for bind in ["0.0.0.0", "::"] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.vpo(["serve", "--port", "0", "--bind", bind]);
        let mut daemon = command.stderr(std::process::Stdio::null()).spawn().expect("vpo serve starts");
        eventually("healthcheck is healthy", || sandbox.run(["healthcheck"]).status.success().then_some(()));
        daemon.kill().expect("killed");
        daemon.wait().expect("gone");
    }
}

#[test]
fn it_follows_the_daemon_to_a_port_of_its_own() {
    let sandbox = Sandbox::new();
    // All of 127.0.0.0/8 is the loopback: an address of this process has every port free.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let bind = format!("127.{}.{b}.{c}", a.max(1));
    let mut command = sandbox.vpo(["serve", "--port", "9000", "--bind", &bind]);
    let mut daemon = Daemon::spawn(
        {
            command.env("VPO_SERVER_PORT", "9001");
            command
        },
        &sandbox.library(),
    );
    daemon.wait_healthy();
    assert_eq!(daemon.address().to_string(), format!("{bind}:9000"));
    for route in [[""; 0].as_slice(), &["--route", "readyz"]] {
        assert_eq!(said(&sandbox.run(["healthcheck"].iter().chain(route))), (0, "healthy".into()));
    }
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn it_says_one_line_whatever_the_daemon_warns_of() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("two\nlines");
    let daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    eventually("the root is warned about", || {
        daemon.get("/health").body.contains("unreadable").then_some(())
    });
    let (code, line) = said(&sandbox.run(["healthcheck"]));
    assert_eq!(code, 0);
    let expected = format!("healthy, with warnings: root:{} unreadable", root.display()).replace('\n', "\\n");
    assert_eq!(line, expected, "and no more than the reason: the rest is in /health and the log");
}

#[test]
fn it_names_what_is_wrong() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    std::fs::remove_file(sandbox.library()).expect("removed");
    eventually("/health is 503", || (daemon.get("/health").status == 503).then_some(()));
    let (code, line) = said(&sandbox.run(["healthcheck"]));
    assert_eq!(code, 1);
    assert!(line.contains("unhealthy: database missing ("), "{line}");
    assert_eq!(said(&sandbox.run(["healthcheck", "--route", "livez"])).0, 0);
}

#[test]
fn it_needs_no_secret() {
    let sandbox = Sandbox::new();
    let token = sandbox.write("token", "secret\n");
    let config = sandbox.write("config.toml", format!("[server]\nauth_token_file = {token:?}\n"));
    let config = config.to_str().expect("UTF-8");
    let _daemon = sandbox.serve(["--config", config]);
    // Neither given to it, nor readable for it, nor there.
    std::fs::remove_file(&token).expect("removed");
    assert_eq!(said(&sandbox.run(["healthcheck", "--config", config])), (0, "healthy".into()));
}

#[test]
fn without_a_daemon_it_says_so() {
    // Bound, but not listening: no other program can listen, and every connection is refused.
    let taken = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&taken, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("binds");
    let port = SocketAddr::try_from(getsockname(&taken).expect("an address")).expect("of TCP").port();
    let (sandbox, config) = configured(&port.to_string());
    let (code, line) = said(&sandbox.run(["healthcheck", "--config", &config]));
    assert_eq!(code, 1);
    assert!(
        line.contains(&format!("unhealthy: no answer at http://127.0.0.1:{port}: Connection refused")),
        "{line}"
    );
    sandbox.serve(NO_ARGS).stop();
    let (code, line) = said(&sandbox.run(["healthcheck"]));
    assert_eq!(code, 1);
    assert!(line.contains("unhealthy: no daemon runs on ") && line.contains("library.db"), "{line}");
}

/// A server that answers each connection with `answer` a byte at a time, for ever if `endless`.
fn impostor(answer: &'static [u8], endless: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
            while endless && stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    port
}

fn configured(port: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let config = sandbox.write("config.toml", format!("[server]\nport = {port}\n"));
    let config = config.to_str().expect("UTF-8").to_owned();
    (sandbox, config)
}

#[test]
fn an_answer_that_never_ends_does_not_hold_it() {
    for answer in [b"".as_slice(), b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"] {
        let (sandbox, config) = configured(&impostor(answer, true));
        let start = Instant::now();
        let (code, line) = said(&sandbox.run(["healthcheck", "--config", &config, "--timeout", "0.3"]));
        let took = start.elapsed();
        assert_eq!(code, 1);
        assert!(line.contains("no answer within 0.3 s"), "{line}");
        assert!((Duration::from_millis(300)..Duration::from_millis(1300)).contains(&took), "{took:?}");
    }
}

#[test]
fn it_is_not_fooled_by_another_server() {
    for answer in [
        b"".as_slice(),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nwelcome",
        b"HTTP/1.1 200 OK\r\n\r\n{\"status\":\"up\"}",
        b"HTTP/1.1 404 Not Found\r\n\r\n{}",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}",
    ] {
        let (sandbox, config) = configured(&impostor(answer, false));
        for route in ["health", "readyz", "livez"] {
            let (code, line) = said(&sandbox.run(["healthcheck", "--config", &config, "--route", route]));
            assert_eq!(code, 1, "{route}: {line}");
            assert!(line.contains("another program may listen there"), "{route}: {line}");
        }
    }
}

#[test]
fn a_broken_configuration_file_does_not_hide_a_daemon_whose_database_is_named() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.serve::<&str>([]);
    let config = sandbox.write(".vpo/config.toml", "[database\n");
    let library = sandbox.library();
    let library = library.to_str().expect("UTF-8");
    assert_eq!(said(&sandbox.run(["healthcheck", "--database", library])), (0, "healthy".into()));
    let by_variable = sandbox.vpo(["healthcheck"]).env("VPO_DATABASE_PATH", library).output();
    assert_eq!(said(&by_variable.expect("vpo runs")), (0, "healthy".into()));
    let (code, line) = said(&sandbox.run(["healthcheck"]));
    assert!(code == 78 && line.ends_with(&format!(" {}:1:10", config.display())), "{code} {line}");
}

#[test]
fn a_wrong_configuration_is_78_and_wrong_usage_64() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("config.toml", "nonsense = [\n");
    let output = sandbox.run(["healthcheck", "--config", config.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(78));
    // One line, however much is wrong.
    let keys: Vec<String> = (0..50).map(|index| format!("x{index} = 1\n")).collect();
    let config = sandbox.write("many.toml", format!("[database]\n{}", keys.concat()));
    let config = config.to_str().expect("UTF-8");
    let mut healthcheck = sandbox.vpo(["healthcheck", "--config", config]);
    // A warning is not for a probe either.
    let output = healthcheck.env("VPO_SERVER_PROT", "1").output().expect("vpo runs");
    let line = format!(
        "vpo: unknown key database.x0: {config}:2:1: remove it; [database] has path, verify_interval (and 49 more; see `vpo config --check`)"
    );
    assert_eq!(said(&output), (78, line));
    for args in [["--timeout", "0"], ["--timeout", "soon"], ["--route", "metrics"]] {
        let output = sandbox.run(["healthcheck", args[0], args[1]]);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
    }
}

#[test]
fn a_daemon_of_another_library_does_not_answer_for_one_that_is_gone() {
    let (gone, other) = (Sandbox::new(), Sandbox::new());
    gone.serve(NO_ARGS).stop();
    let daemon = other.serve(NO_ARGS);
    // By a user who may read the lock file, but not write it.
    let mut healthcheck = gone.vpo_as_nobody(["healthcheck", "--database"]);
    healthcheck.arg(gone.library());
    std::fs::set_permissions(gone.lock(), Permissions::from_mode(0o444)).expect("ours");
    for directory in [gone.path(""), gone.path(".vpo")] {
        std::fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("ours");
    }
    healthcheck.env("VPO_SERVER_PORT", daemon.address().port().to_string());
    let (code, line) = said(&healthcheck.output().expect("vpo runs"));
    assert_eq!(code, 1, "{line}");
    assert!(line.contains("unhealthy: no daemon runs on "), "{line}");
}

#[test]
fn misspelt_warnings_of_a_probe_are_refused() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve::<&str>([]);
    for path in ["/health", "/readyz"] {
        for (query, status) in [
            ("", 200),
            ("?warnings=fail", 200),
            ("?t=1&warnings=fail&x", 200),
            ("?warnings=FAIL", 400),
            ("?warnings=x", 400),
            ("?warnings", 400),
            ("?warning=fail", 400),
            ("?Warnings=fail", 400),
            ("?warnings=fail&warnings=x", 400),
        ] {
            let answer = daemon.get(&format!("{path}{query}"));
            assert_eq!(answer.status, status, "{path}{query}: {}", answer.body);
            assert_eq!(answer.body.contains("give warnings=fail"), status == 400, "{}", answer.body);
        }
    }
    assert!(sandbox.run(["healthcheck", "--strict"]).status.success());
}
