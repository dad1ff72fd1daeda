//! Too many clients, too slow ones, and too little of everything: a probe is still answered within 100 ms.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Client, Daemon, Sandbox, eventually};

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
