//! The stop: what reached the daemon is answered whole, and nothing holds the exit longer than it may.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Client, Daemon, Sandbox, eventually, in_time, within};

/// Stops the daemon and holds its exit against a deadline of the product.
fn stops_within(daemon: &mut Daemon, limit: Duration) -> Result<(), String> {
    let start = Instant::now();
    let status = daemon.stop();
    let took = start.elapsed();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    if took < limit { Ok(()) } else { Err(format!("stopped after {took:?} instead of {limit:?}")) }
}

#[test]
fn idle_it_stops_in_milliseconds() {
    in_time(|| {
        let sandbox = Sandbox::new();
        stops_within(&mut sandbox.serve([""; 0]), Duration::from_millis(50))
    });
}

#[test]
fn every_request_that_reached_it_is_answered_whole() {
    const OPEN: usize = 200;
    const NEW: usize = 200;
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve([""; 0]);
    let address = daemon.address();
    let mut clients: Vec<Client> = (0..OPEN).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/livez").status, 200);
    }
    daemon.freeze();
    clients.extend((0..NEW).map(|_| Client::connect(address)));
    for client in &mut clients {
        client.send(b"GET /livez HTTP/1.1\r\nHost: vpo\r\n\r\n").expect("sent");
    }
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::CONT);
    let answers: Vec<_> = clients.iter_mut().map(|client| client.receive(false)).collect();
    let whole = answers.iter().flatten().filter(|answer| answer.status == 200).count();
    let (open, new) = answers.split_at(OPEN);
    assert_eq!(
        whole,
        OPEN + NEW,
        "lost on open connections: {}, on new ones: {}\n{}",
        open.iter().filter(|answer| answer.is_none()).count(),
        new.iter().filter(|answer| answer.is_none()).count(),
        daemon.log()
    );
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
}

/// Out of the backlog come clients whose request is still on its way: after a restart behind systemd's socket
/// most of all.
#[test]
fn a_client_that_has_only_just_connected_is_answered() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve([""; 0]);
        daemon.freeze();
        let mut client = Client::connect(daemon.address());
        daemon.signal(Signal::TERM);
        daemon.signal(Signal::CONT);
        eventually("the stop begins", || daemon.log().contains("stopping").then_some(()));
        let sent = client.send(b"GET /livez HTTP/1.1\r\nHost: vpo\r\n\r\n");
        let answer = sent.and_then(|()| client.receive(false));
        assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.log());
        answer.map(|answer| assert_eq!(answer.status, 200)).ok_or_else(|| "no answer".to_owned())
    });
}

#[test]
fn under_load_no_request_is_dropped() {
    let sandbox = Sandbox::new();
    for _ in 0..5 {
        let mut daemon = sandbox.serve([""; 0]);
        let address = daemon.address();
        let clients: Vec<_> = (0..8).map(|_| std::thread::spawn(move || load(address))).collect();
        let seen = |daemon: &Daemon| daemon.get("/metrics").body.len();
        eventually("the load has begun", || (seen(&daemon) > 0).then_some(()));
        assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
        for client in clients {
            client.join().expect("no request is dropped");
        }
    }
}

/// A connection for each request, until the listener is closed. What was accepted must be answered.
fn load(address: SocketAddr) {
    while let Some(mut client) = Client::try_connect(address) {
        let Some(()) = client.send(b"GET /livez HTTP/1.1\r\nHost: vpo\r\nConnection: close\r\n\r\n") else {
            return;
        };
        match client.receive(false) {
            Some(answer) => assert_eq!(answer.status, 200),
            // Completed by the kernel in the instant in which the listener was closed: refused by a reset.
            None => assert!(Client::try_connect(address).is_none(), "dropped while still listening"),
        }
    }
}

#[test]
fn probes_learn_of_the_stop_on_open_connections() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve(["--shutdown-timeout", "60"]);
        let mut probe = daemon.client();
        assert_eq!(probe.get("/health").status, 200);
        // Its first byte is there before the stop, and its last only when the stop is known to have begun: a whole
        // request that waits in the socket may rightly be answered before the signal is seen.
        probe.send(b"GET /health HTTP/1.1\r\n").expect("sent");
        daemon.signal(Signal::TERM);
        daemon.wait_log("stopping");
        let sent = probe.send(b"Host: vpo\r\n\r\n");
        let answer = sent.and_then(|()| probe.receive(false)).ok_or("no answer in the time of grace")?;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.json()["shutting_down"], true);
        assert_eq!(answer.json()["phase"], "stopping");
        assert_eq!(daemon.wait().code(), Some(0));
        Ok(())
    });
}

#[test]
fn idle_connections_do_not_hold_the_exit() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve(["--shutdown-timeout", "60"]);
        let mut clients: Vec<Client> = (0..1000).map(|_| Client::connect(daemon.address())).collect();
        for client in &mut clients {
            assert_eq!(client.get("/livez").status, 200);
        }
        stops_within(&mut daemon, Duration::from_millis(500))
    });
}

#[test]
fn half_sent_requests_and_slow_bodies_do_not_hold_the_exit() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve(["--shutdown-timeout", "2"]);
        let mut clients = Vec::new();
        for part in [
            "GET /health HTTP/1.1\r\nHo",
            "G",
            "POST /health HTTP/1.1\r\nHost: vpo\r\nContent-Length: 1000\r\n\r\nhalf",
        ] {
            for _ in 0..20 {
                let mut stream = TcpStream::connect(daemon.address()).expect("connects");
                stream.write_all(part.as_bytes()).expect("sent");
                clients.push(stream);
            }
        }
        assert_eq!(daemon.get("/livez").status, 200);
        stops_within(&mut daemon, Duration::from_millis(2700))
    });
}

#[test]
fn clients_that_do_not_read_are_cut_at_the_timeout_and_named() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve(["--shutdown-timeout", "0.3"]);
        let _readers: Vec<Client> = (0..4).map(|_| daemon.client_that_does_not_read()).collect();
        let stopped = stops_within(&mut daemon, Duration::from_secs(1));
        let log = daemon.log();
        // A client that has not read for a second is disconnected before the timeout, so the warning names nothing.
        if log.contains("cancelled after 300ms") { stopped } else { Err(log) }
    });
}

#[test]
fn a_locked_database_does_not_hold_the_exit() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve(["--shutdown-timeout", "0.5"]);
        let neighbour = rusqlite::Connection::open(sandbox.library()).expect("opens");
        neighbour.execute_batch("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE;").expect("locks");
        stops_within(&mut daemon, Duration::from_millis(1200))
    });
}

#[test]
fn with_roots_the_stop_leaves_one_whole_file() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("videos")).expect("a directory");
    let mut daemon = sandbox.serve(["--library".as_ref(), sandbox.path("videos").as_os_str()]);
    let mode = || {
        let library = rusqlite::Connection::open(sandbox.library()).expect("opens");
        library.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).expect("a mode")
    };
    assert_eq!(mode(), "wal");
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
    for left in ["library.db-wal", "library.db-shm"] {
        assert!(!sandbox.library().with_file_name(left).exists(), "{left} is left:\n{}", daemon.log());
    }
    let library = rusqlite::Connection::open(sandbox.library()).expect("opens");
    let sound: String = library.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checks");
    assert_eq!(sound, "ok");
}

/// A directory on a file system that never answers: FUSE without a server behind it. The shell holds the
/// server's end; without it every access would fail instead of hanging.
struct HungDirectory {
    server: Child,
    path: PathBuf,
}

impl HungDirectory {
    fn mount(path: PathBuf) -> Self {
        let options = "fd=5,rootmode=40000,user_id=0,group_id=0";
        let script = format!(
            "exec 5<>/dev/fuse; mount -i -t fuse -o {options} hung \"$1\" && echo up && exec sleep 600"
        );
        let mut server = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut up = String::new();
        BufReader::new(server.stdout.take().expect("piped")).read_line(&mut up).expect("a line");
        assert_eq!(up, "up\n", "mount(8) failed");
        Self { server, path }
    }
}

impl Drop for HungDirectory {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[test]
#[ignore = "needs root: mounts a file system that never answers"]
fn a_hung_disk_holds_neither_the_start_nor_the_exit() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve(["--shutdown-timeout", "0.5"]);
        let mut client = daemon.client();
        let hung = HungDirectory::mount(sandbox.path(".vpo"));
        within(Duration::from_millis(1500), "/health is 503", || {
            (client.get("/health").status == 503).then_some(())
        });
        assert_eq!(client.get("/health").json()["checks"][0]["reason"], "timeout");
        let stopped = stops_within(&mut daemon, Duration::from_millis(1200));
        drop(hung);
        stopped
    });
    in_time(|| {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("share")).expect("a directory");
        let _hung = HungDirectory::mount(sandbox.path("share"));
        let mut command = sandbox.vpo(["serve", "--port", "0", "--database"]);
        command.arg(sandbox.path("share/library.db"));
        let mut daemon = Daemon::spawn(command, &sandbox.library());
        daemon.wait_log("starting");
        stops_within(&mut daemon, Duration::from_millis(100))
    });
}

#[test]
#[ignore = "needs root: mounts a file system that never answers"]
fn a_hung_root_does_not_hold_the_exit() {
    in_time(|| {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("share")).expect("a directory");
        let _hung = HungDirectory::mount(sandbox.path("share"));
        let mut daemon = sandbox.serve(["--library".as_ref(), sandbox.path("share").as_os_str()]);
        stops_within(&mut daemon, Duration::from_millis(1600))
    });
}
