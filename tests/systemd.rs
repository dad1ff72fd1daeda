//! systemd's protocols, against real sockets: `sd_notify`, the watchdog, socket activation.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::harness::{Client, Daemon, PATIENCE, Sandbox, eventually, in_time};

/// A service manager's end of the notify socket: collects every datagram, with its time.
struct Manager {
    messages: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Manager {
    fn at_path(sandbox: &Sandbox) -> (Self, String) {
        let path = sandbox.path("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("binds");
        (Self::reading(socket), path.to_str().expect("UTF-8").to_owned())
    }

    fn reading(socket: UnixDatagram) -> Self {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&messages);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                sink.lock().expect("not poisoned").push((Instant::now(), message));
            }
        });
        Self { messages }
    }

    fn messages(&self) -> Vec<String> {
        self.messages.lock().expect("not poisoned").iter().map(|(_, message)| message.clone()).collect()
    }

    /// Times of the messages that are exactly `message`.
    fn times(&self, message: &str) -> Vec<Instant> {
        let messages = self.messages.lock().expect("not poisoned");
        messages.iter().filter(|(_, text)| text == message).map(|(time, _)| *time).collect()
    }

    /// Waits for the `count`th message that starts with `prefix`.
    #[track_caller]
    fn wait(&self, prefix: &str, count: usize) -> String {
        eventually(&format!("message {count} {prefix:?} among {:?}", self.messages()), || {
            self.messages().into_iter().filter(|message| message.starts_with(prefix)).nth(count - 1)
        })
    }
}

fn serve_with(sandbox: &Sandbox, variables: &[(&str, &str)]) -> Daemon {
    let mut command = sandbox.vpo(["serve", "--port", "0"]);
    command.envs(variables.iter().copied());
    Daemon::spawn(command, &sandbox.library())
}

#[test]
fn the_manager_hears_of_every_turn_of_life() {
    let sandbox = Sandbox::new();
    let (manager, path) = Manager::at_path(&sandbox);
    let mut daemon = serve_with(&sandbox, &[("NOTIFY_SOCKET", &path)]);
    manager.wait("READY=1", 1);
    assert_eq!(daemon.get("/health").status, 200, "READY=1 means that probes are answered");
    assert_eq!(daemon.stop().code(), Some(0));
    manager.wait("STATUS=stopping", 1);
    let messages = manager.messages();
    let place = |prefix: &str| {
        messages
            .iter()
            .position(|message| message.starts_with(prefix))
            .unwrap_or_else(|| panic!("{prefix}: {messages:?}"))
    };
    assert!(place("STATUS=starting") < place("READY=1"), "{messages:?}");
    assert!(place("STATUS=running") < place("READY=1"), "{messages:?}");
    assert!(place("READY=1") < place("STOPPING=1"), "{messages:?}");
    assert!(place("STOPPING=1") < place("STATUS=stopping"), "{messages:?}");
    assert!(messages.iter().all(|message| !message.contains("WATCHDOG")), "{messages:?}");
}

#[test]
fn an_abstract_socket_will_do() {
    let sandbox = Sandbox::new();
    let name = format!("vpo-test-{}", sandbox.path("").display());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let manager = Manager::reading(UnixDatagram::bind_addr(&address).expect("binds"));
    let mut daemon = serve_with(&sandbox, &[("NOTIFY_SOCKET", &format!("@{name}"))]);
    manager.wait("READY=1", 1);
    daemon.stop();
    manager.wait("STOPPING=1", 1);
}

#[test]
fn a_reload_is_announced_with_its_time_and_ends_ready_good_or_bad() {
    let sandbox = Sandbox::new();
    let config = sandbox.write(".vpo/config.toml", "");
    let (manager, path) = Manager::at_path(&sandbox);
    let mut daemon = serve_with(&sandbox, &[("NOTIFY_SOCKET", &path)]);
    manager.wait("READY=1", 1);

    let micros = || {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
    };
    let before = micros();
    daemon.signal(Signal::HUP);
    let reloading = manager.wait("RELOADING=1\nMONOTONIC_USEC=", 1);
    let at: i64 = reloading.rsplit('=').next().expect("a value").parse().expect("a number");
    assert!((before..=micros()).contains(&at), "{before} {at} {}", micros());
    manager.wait("READY=1", 2);

    std::fs::write(&config, "[server]\nport = \"many\"\n").expect("writable");
    daemon.signal(Signal::HUP);
    manager.wait("RELOADING=1", 2);
    manager.wait("READY=1", 3);
    manager.wait("STATUS=running, the last reload failed: ", 1);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn the_watchdog_is_fed_twice_per_period_even_with_a_broken_library() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let (manager, path) = Manager::at_path(&sandbox);
        let mut daemon = serve_with(&sandbox, &[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", "1000000")]);
        daemon.wait_healthy();
        let fed = |count| {
            eventually("the watchdog is fed", || (manager.times("WATCHDOG=1").len() >= count).then_some(()));
        };
        fed(3);
        std::fs::remove_file(sandbox.library()).expect("removable");
        eventually("/health is 503", || (daemon.get("/health").status == 503).then_some(()));
        let before = manager.times("WATCHDOG=1").len();
        // A library that is gone is a verdict, and no reason to be restarted.
        fed(before + 3);
        let times = manager.times("WATCHDOG=1");
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("several");
        daemon.stop();
        let limit = Duration::from_secs(1);
        if longest < limit { Ok(()) } else { Err(format!("{longest:?} between two signs of life")) }
    });
}

#[test]
fn the_watchdog_of_another_process_is_not_ours() {
    let sandbox = Sandbox::new();
    let (manager, path) = Manager::at_path(&sandbox);
    let mut daemon =
        serve_with(&sandbox, &[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")]);
    manager.wait("READY=1", 1);
    daemon.get("/health");
    daemon.stop();
    manager.wait("STOPPING=1", 1);
    assert!(manager.times("WATCHDOG=1").is_empty(), "{:?}", manager.messages());
}

#[test]
fn a_manager_that_does_not_read_or_is_gone_disturbs_nothing() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("notify.sock");
    let deaf = UnixDatagram::bind(&path).expect("binds");
    let path = path.to_str().expect("UTF-8");
    // A sign of life each millisecond fills the queue at once.
    let mut daemon = serve_with(&sandbox, &[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "2000")]);
    daemon.wait_healthy();
    // Another sender finds no room either, which shows that the queue is full.
    let neighbour = UnixDatagram::unbound().expect("a socket");
    neighbour.set_nonblocking(true).expect("a socket");
    eventually("the queue is full", || {
        neighbour
            .send_to(b"X=1", path)
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
            .then_some(())
    });
    assert_eq!(daemon.get("/health").status, 200);
    drop(deaf);
    assert_eq!(daemon.get("/health").status, 200);
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());

    for address in ["/nowhere/at/all", "@", "", "vsock:2:1234", "relative"] {
        let mut daemon = serve_with(&sandbox, &[("NOTIFY_SOCKET", address)]);
        daemon.wait_healthy();
        assert_eq!(daemon.stop().code(), Some(0), "{address:?}: {}", daemon.log());
    }
}

#[test]
fn a_manager_that_reads_late_learns_of_every_turn_of_life() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("notify.sock");
    let deaf = UnixDatagram::bind(&path).expect("binds");
    let path = path.to_str().expect("UTF-8");
    let neighbour = UnixDatagram::unbound().expect("a socket");
    neighbour.set_nonblocking(true).expect("a socket");
    while neighbour.send_to(b"X=1", path).is_ok() {}

    // A sign of life each millisecond: many more than may wait.
    let mut daemon = serve_with(&sandbox, &[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "2000")]);
    daemon.wait_log("running");
    eventually("some hundred signs of life", || {
        daemon.get("/health").json()["uptime_seconds"]
            .as_f64()
            .is_some_and(|uptime| uptime > 0.5)
            .then_some(())
    });
    let manager = Manager::reading(deaf);
    manager.wait("READY=1", 1);
    manager.wait("WATCHDOG=1", 1);
    daemon.stop();
    manager.wait("STOPPING=1", 1);
    let messages = manager.messages();
    let place = |prefix: &str| messages.iter().position(|message| message.starts_with(prefix));
    let turns = ["READY=1", "WATCHDOG=1", "STOPPING=1"].map(place);
    assert!(turns.is_sorted(), "{turns:?} in {messages:?}");
}

/// `vpo serve` that finds `sockets` from descriptor 3 on, with `LISTEN_FDS` and `LISTEN_PID` set as systemd sets
/// them. The shell takes them from its standard streams 0 and 1, and becomes `vpo` under its own pid.
fn activated(sandbox: &Sandbox, sockets: Vec<OwnedFd>) -> Command {
    let serve = sandbox.vpo(["serve"]);
    let mut command = Command::new("sh");
    let count = sockets.len();
    command
        .arg("-c")
        .arg(match count {
            1 => "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"",
            _ => "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$@\"",
        })
        .arg("sh")
        .arg(serve.get_program())
        .args(serve.get_args())
        .env_clear()
        .env("HOME", sandbox.path(""))
        .current_dir(sandbox.path(""));
    let mut sockets = sockets.into_iter();
    command.stdin(sockets.next().map_or(Stdio::null(), Stdio::from));
    command.stdout(sockets.next().map_or(Stdio::null(), Stdio::from));
    command
}

#[test]
fn a_passed_tcp_socket_is_served_and_outlives_the_daemon() {
    let sandbox = Sandbox::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound");
    let pass = || vec![OwnedFd::from(socket.try_clone().expect("a descriptor"))];
    let mut daemon = Daemon::spawn_with_stdin(activated(&sandbox, pass()), &sandbox.library());
    assert_eq!(daemon.address(), address);
    daemon.wait_healthy();
    assert_eq!(daemon.stop().code(), Some(0));

    let mut early = Client::connect(address);
    early.send(b"GET /livez HTTP/1.1\r\nHost: vpo\r\n\r\n").expect("the socket is still there");
    let mut daemon = Daemon::spawn_with_stdin(activated(&sandbox, pass()), &sandbox.library());
    assert_eq!(early.receive(false).expect("the next daemon answers").status, 200);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_passed_unix_socket_is_served() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("vpo.sock");
    let socket = UnixListener::bind(&path).expect("binds");
    let mut daemon = Daemon::spawn_with_stdin(activated(&sandbox, vec![socket.into()]), &sandbox.library());
    let mut stream = UnixStream::connect(&path).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // Web pages cannot reach a Unix socket, so any host may be named.
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    daemon.wait_log("running");
    let lock =
        std::fs::read_to_string(sandbox.library().with_file_name("library.db.lock")).expect("a lock file");
    assert_eq!(lock.lines().nth(1), Some(format!("unix:{}", path.display()).as_str()));
    assert_healthcheck(&sandbox, &format!("unix:{}", path.display()));
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(path.exists(), "the socket belongs to the service manager");
}

/// `vpo healthcheck` finds the daemon, and reports a lost database.
#[track_caller]
fn assert_healthcheck(sandbox: &Sandbox, address: &str) {
    for (args, answer) in
        [(&["healthcheck"][..], "healthy\n"), (&["healthcheck", "--route", "livez"], "alive\n")]
    {
        let output = sandbox.run(args);
        assert_eq!(String::from_utf8_lossy(&output.stdout), answer, "{address}: {output:?}");
        assert!(output.status.success());
    }
    let lock = std::fs::read_to_string(sandbox.lock()).expect("a lock file");
    assert_eq!(lock.lines().nth(1), Some(address));
}

#[test]
fn a_passed_abstract_socket_is_served_and_found() {
    let sandbox = Sandbox::new();
    let name = format!("vpo/{}", sandbox.path("").display());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixListener::bind_addr(&address).expect("binds");
    let mut daemon = Daemon::spawn_with_stdin(activated(&sandbox, vec![socket.into()]), &sandbox.library());
    let line = daemon.wait_log("listening");
    assert!(line.contains(&format!("unix:@{name}")), "{line}");
    daemon.wait_log("running");
    assert_healthcheck(&sandbox, &format!("unix:@{name}"));
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_passed_socket_whose_name_is_no_text_is_served() {
    let sandbox = Sandbox::new();
    let name = [b"vpo\n\xff".as_slice(), sandbox.path("").as_os_str().as_encoded_bytes()].concat();
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixListener::bind_addr(&address).expect("binds");
    let mut daemon = Daemon::spawn_with_stdin(activated(&sandbox, vec![socket.into()]), &sandbox.library());
    daemon.wait_log("running");
    let mut stream = UnixStream::connect_addr(&address).expect("connects");
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: vpo\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let lock = std::fs::read_to_string(sandbox.lock()).expect("a lock file");
    assert!(lock.starts_with(&format!("{}\nunix:\nstarted ", daemon.pid())), "{lock}");
    let output = sandbox.run(["healthcheck"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("socket without a name"), "{said}");
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_restart_under_socket_activation_refuses_no_connection() {
    const RESTARTS: usize = 8;
    let sandbox = Sandbox::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0;
                    while !done.load(Ordering::Relaxed) {
                        let mut client = Client::connect(address);
                        assert_eq!(client.get("/livez").status, 200);
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        for _ in 0..RESTARTS {
            let pass = vec![OwnedFd::from(socket.try_clone().expect("a descriptor"))];
            let mut daemon = Daemon::spawn_with_stdin(activated(&sandbox, pass), &sandbox.library());
            daemon.wait_healthy();
            assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
        }
        // The last daemon is there for those who still wait.
        let pass = vec![OwnedFd::from(socket.try_clone().expect("a descriptor"))];
        let mut daemon = Daemon::spawn_with_stdin(activated(&sandbox, pass), &sandbox.library());
        daemon.wait_healthy();
        done.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().expect("every request is answered") > 0);
        }
        assert_eq!(daemon.stop().code(), Some(0));
    });
}

#[test]
fn what_cannot_be_served_is_refused_with_the_fix() {
    let file = || OwnedFd::from(std::fs::File::open("/dev/null").expect("opens"));
    let udp = || OwnedFd::from(UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    let tcp = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let connected = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        OwnedFd::from(std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connects"))
    };
    let bound = || {
        use rustix::net::{AddressFamily, SocketType, bind, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
        bind(&socket, &any).expect("a free port");
        socket
    };
    let cases = [
        (vec![file()], "not a TCP or Unix stream socket"),
        (vec![udp()], "not a TCP or Unix stream socket"),
        (vec![connected()], "a socket that does not listen"),
        (vec![bound()], "a socket that does not listen"),
        (vec![tcp(), tcp()], "2 sockets"),
    ];
    for (index, (sockets, found)) in cases.into_iter().enumerate() {
        let sandbox = Sandbox::new();
        let output = activated(&sandbox, sockets).stderr(Stdio::piped()).output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "case {index}: {stderr}");
        assert_eq!(
            stderr.lines().filter(|line| line.contains(".socket unit")).count(),
            1,
            "case {index}: {stderr}"
        );
        assert!(stderr.contains(found), "case {index}: {stderr}");
    }
}

#[test]
fn a_count_of_sockets_that_is_none_is_refused() {
    for (count, word) in [
        ("x", "not a number"),
        ("-1", "not a number"),
        ("", "not a number"),
        ("99999999999999999999", "not a number"),
        ("1000000000", "1000000000 sockets"),
    ] {
        let sandbox = Sandbox::new();
        let serve = sandbox.vpo(["serve", "--port", "0"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"])
            .arg(serve.get_program())
            .args(serve.get_args());
        command.env_clear().env("HOME", sandbox.path("")).env("LISTEN_FDS", count);
        let mut daemon = Daemon::spawn(command, &sandbox.library());
        let ended = eventually(&format!("a refusal of {count:?}"), || daemon.try_wait());
        daemon.wait();
        assert_eq!(ended.code(), Some(1), "{count:?}: {}", daemon.log());
        assert!(daemon.log().contains(word), "{count:?}: {}", daemon.log());
    }
}

#[test]
fn sockets_passed_to_another_process_are_not_ours() {
    let sandbox = Sandbox::new();
    let mut daemon = serve_with(&sandbox, &[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    daemon.wait_healthy();
    assert_eq!(daemon.stop().code(), Some(0));
    let mut daemon = serve_with(&sandbox, &[("LISTEN_FDS", "1")]);
    daemon.wait_healthy();
    assert_eq!(daemon.stop().code(), Some(0));
}
