//! Too many clients, too slow ones, and too little of everything: a probe is still answered within 100 ms.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Answer, Client, Daemon, PROBE, Sandbox, eventually, in_time};

const NO_ARGS: [&str; 0] = [];

fn metric(daemon: &Daemon, name: &str) -> u64 {
    let metrics = daemon.get("/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().expect("a number")
}

#[test]
fn a_thousand_idle_connections() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let mut idle: Vec<Client> = (0..1000).map(|_| daemon.client()).collect();
    for client in &mut idle {
        assert_eq!(client.get("/livez").status, 200);
    }
    for _ in 0..20 {
        daemon.assert_probe_in_time();
    }
    // All of them are still welcome.
    assert!(idle.iter_mut().all(|client| client.try_get("/livez").is_some()));
}

#[test]
fn two_hundred_clients_that_never_finish_their_request() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let mut slow: Vec<Client> = (0..200).map(|_| daemon.client()).collect();
    for byte in b"GET /health HT" {
        for client in &mut slow {
            client.send(&[*byte]).expect("sent");
        }
        daemon.assert_probe_in_time();
    }
}

#[test]
fn at_the_limit_the_longest_idle_goes_first() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("config.toml", "[server]\nmax_connections = 10\n");
    let daemon = sandbox.serve(["--config", config.to_str().expect("UTF-8")]);
    let mut clients: Vec<Client> = (0..10).map(|_| daemon.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/livez").status, 200);
        // Times are told apart by the millisecond.
        std::thread::sleep(Duration::from_millis(3));
    }
    assert_eq!(clients[0].get("/livez").status, 200, "no longer the one that has been idle for longest");
    daemon.assert_probe_in_time();
    assert!(clients[1].closed());
    assert_eq!(clients[0].get("/livez").status, 200);
    assert!(metric(&daemon, "vpo_http_connections_evicted_total") >= 1);
    assert!(metric(&daemon, "vpo_http_connections_open") <= 10);
}

#[test]
fn a_flood_of_connections_does_not_shut_probes_out() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("config.toml", "[server]\nmax_connections = 20\n");
    let daemon = sandbox.serve(["--config", config.to_str().expect("UTF-8")]);
    let mut held = Vec::new();
    for count in 0..500 {
        let mut client = daemon.client();
        client.send(b"GET /hea").expect("sent");
        held.push(client);
        if count % 50 == 0 {
            daemon.assert_probe_in_time();
        }
    }
    let log = daemon.log();
    assert!(!log.contains(" error ") && !log.contains(" warning "), "{log}");
}

#[test]
fn clients_that_do_not_read_do_not_shut_probes_out() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("config.toml", "[server]\nmax_connections = 4\n");
    let daemon = sandbox.serve(["--config", config.to_str().expect("UTF-8")]);
    let _readers: Vec<Client> = (0..4).map(|_| daemon.client_that_does_not_read()).collect();
    daemon.assert_probe_in_time();
}

#[test]
fn sixty_four_file_descriptors() {
    let sandbox = Sandbox::new();
    let vpo = sandbox.vpo(["serve", "--port", "0"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]).arg(vpo.get_program()).args(vpo.get_args());
    command.env_clear().env("HOME", sandbox.path(""));
    let daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    daemon.wait_log("max_connections");
    let mut crowd = Vec::new();
    for count in 0..200 {
        let mut client = daemon.client();
        let request: &[u8] =
            if count % 2 == 0 { b"GET /hea" } else { b"GET /livez HTTP/1.1\r\nHost: vpo\r\n\r\n" };
        let _ = client.send(request);
        crowd.push(client);
        if count % 20 == 0 {
            daemon.assert_probe_in_time();
        }
    }
    assert_eq!(
        metric(&daemon, "vpo_http_accept_exhausted_total"),
        0,
        "the limit keeps clear of the descriptors'"
    );
    assert!(!daemon.log().contains(" error "), "{}", daemon.log());
}

/// Processes that want all the CPU there is; gone when dropped.
struct Burners(Vec<Child>);

impl Burners {
    fn light() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let burn = || {
            let mut command = Command::new("sh");
            command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
            command.spawn().expect("sh runs")
        };
        Self((0..2 * cores).map(|_| burn()).collect())
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn full_cpu_load() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let _burners = Burners::light();
    for _ in 0..20 {
        daemon.assert_probe_in_time();
    }
}

#[test]
fn connections_that_went_are_forgotten() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    for _ in 0..300 {
        assert_eq!(daemon.get("/livez").status, 200);
    }
    eventually("only the connection that asks is open", || {
        (metric(&daemon, "vpo_http_connections_open") == 1).then_some(())
    });
    assert!(metric(&daemon, "vpo_http_connections_accepted_total") >= 300);
}

/// As many requests as that which wait for a library that another program has locked, each on a connection of its
/// own: none can be closed in favour of another while the lock is held, for 3 s at most.
fn requests_in_progress(daemon: &Daemon, count: usize) -> Vec<Client> {
    let ask = |_| {
        let mut client = daemon.client();
        client.send(b"GET /api/v1/files HTTP/1.1\r\nHost: vpo\r\n\r\n").expect("sent");
        client
    };
    let clients = (0..count).map(ask).collect();
    // Whoever comes now comes after all of them.
    assert_eq!(daemon.get("/livez").status, 200);
    clients
}

/// Whether an answer came, and what was wrong with it or with its time.
fn judge(client: Option<Client>, path: &str, status: u16) -> Result<Answer, String> {
    let start = Instant::now();
    let answer = client.and_then(|mut client| client.try_get(path));
    let took = start.elapsed();
    match answer {
        Some(answer) if answer.status == status && took < PROBE => Ok(answer),
        Some(answer) => Err(format!("{path}: {} {} after {took:?}", answer.status, answer.body)),
        None => Err(format!("{path}: no answer after {took:?}")),
    }
}

#[test]
fn probes_get_in_where_every_connection_has_a_request_in_progress() {
    const LIMIT: usize = 8;
    in_time(|| {
        let sandbox = Sandbox::new();
        let config = sandbox.write("config.toml", format!("[server]\nmax_connections = {LIMIT}\n"));
        let daemon = sandbox.serve(["--config", config.to_str().expect("UTF-8")]);
        let address = daemon.address();
        let neighbour = sandbox.database();
        neighbour.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").expect("locked");
        eventually("/health is 503", || (daemon.get("/health").status == 503).then_some(()));

        let start = Instant::now();
        let busy = requests_in_progress(&daemon, LIMIT + 20);
        // More of those who say nothing than there is room for take nobody's.
        let _silent: Vec<Client> = (0..20).map(|_| daemon.client()).collect();
        while start.elapsed() < Duration::from_secs(2) {
            for (path, status) in [("/livez", 200), ("/health", 503), ("/readyz", 503)] {
                let answer = judge(Client::try_connect(address), path, status)?;
                assert!(!answer.body.contains("too many"), "{answer:?}");
                assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
            }
            for path in ["/api/v1/files", "/metrics", "/"] {
                let answer = judge(Client::try_connect(address), path, 503)?;
                assert_eq!(answer.json()["error"], "too many connections");
                assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
            }
        }
        if start.elapsed() > Duration::from_millis(2500) {
            return Err("the requests in progress may have come to their end meanwhile".to_owned());
        }
        neighbour.execute_batch("ROLLBACK; PRAGMA locking_mode = NORMAL").expect("unlocked");
        drop(neighbour);
        for (index, mut client) in busy.into_iter().enumerate() {
            let answer = client.receive(false).expect("an answer");
            assert_eq!(answer.status, if index < LIMIT { 200 } else { 503 }, "{index}: {answer:?}");
        }
        eventually("there is room again", || {
            let answer = Client::try_connect(address)?.try_get("/api/v1/files")?;
            (answer.status == 200 && answer.header("connection").is_none()).then_some(())
        });
        Ok(())
    });
}

#[test]
fn requests_beyond_those_that_may_wait_for_the_library_are_told_at_once() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let neighbour = sandbox.database();
    neighbour.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").expect("locked");
    in_time(|| {
        let _waiting = requests_in_progress(&daemon, 40);
        // Only where none has got its turn for 100 ms.
        std::thread::sleep(Duration::from_millis(150));
        let answer = judge(Some(daemon.client()), "/api/v1/files", 503)?;
        assert!(answer.body.contains("requests or more wait for the library"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
        Ok(())
    });
}

#[test]
fn many_requests_at_once_are_all_answered_while_the_library_is_well() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    for mut client in requests_in_progress(&daemon, 100) {
        assert_eq!(client.receive(false).expect("an answer").status, 200);
    }
}

/// Clients that send for as long as they can, whatever they have been answered, and connect again when they are closed.
struct Uploaders {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Uploaders {
    fn start(address: SocketAddr, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let connect = move || {
            let mut stream = TcpStream::connect(address).ok()?;
            let head = b"POST /livez HTTP/1.1\r\nHost: vpo\r\nContent-Length: 999999999\r\n\r\n";
            stream.write_all(head).ok()?;
            stream.set_nonblocking(true).ok()?;
            Some(stream)
        };
        let thread = std::thread::spawn(move || {
            let mut streams: Vec<TcpStream> = Vec::new();
            while !told.load(Ordering::Relaxed) {
                streams.extend((streams.len()..count).filter_map(|_| connect()));
                streams.retain_mut(|stream| match stream.write(&[b'x'; 4096]) {
                    Ok(_) => true,
                    Err(error) => error.kind() == ErrorKind::WouldBlock,
                });
                std::thread::sleep(Duration::from_millis(2)); // as a network would have it
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Uploaders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn clients_that_go_on_sending_after_their_answer_do_not_shut_probes_out() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("config.toml", "[server]\nmax_connections = 8\n");
    let daemon = sandbox.serve(["--config", config.to_str().expect("UTF-8")]);
    let _uploaders = Uploaders::start(daemon.address(), 12);
    eventually("they are there", || {
        (metric(&daemon, "vpo_http_connections_accepted_total") > 12).then_some(())
    });
    for _ in 0..20 {
        daemon.assert_probe_in_time();
    }
}
