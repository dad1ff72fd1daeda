//! The routes and the protocol: what every client gets, however it asks.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::harness::{Answer, Client, Daemon, Sandbox, in_time};

const NO_ARGS: [&str; 0] = [];
const ROUTES: [&str; 4] = ["/health", "/readyz", "/livez", "/metrics"];

/// Sends `request` on a connection of its own; the answer, unless the connection was closed without one.
fn ask(daemon: &Daemon, request: &str) -> Option<Answer> {
    let mut client = daemon.client();
    client.send(request.as_bytes()).expect("sent");
    client.receive(request.starts_with("HEAD"))
}

#[track_caller]
fn assert_error(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.json()["error"].is_string(), "{}", answer.body);
}

/// No client's mistake is worth more than a debug line.
#[track_caller]
fn assert_quiet(daemon: &mut Daemon) {
    daemon.stop();
    let log = daemon.log();
    assert!(!log.contains(" error ") && !log.contains(" warning "), "{log}");
}

#[test]
fn routes_answer_get_and_head_alike() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    for route in ROUTES {
        let get = daemon.get(route);
        assert_eq!(get.status, 200, "{route}");
        assert_eq!(get.header("cache-control"), Some("no-store"), "{route}");
        let head = ask(&daemon, &format!("HEAD {route} HTTP/1.1\r\nHost: vpo\r\n\r\n")).expect("an answer");
        assert_eq!(head.status, 200, "{route}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{route}");
        assert!(head.header("content-length").is_some(), "{route}");
        assert_eq!(head.body, "");
    }
}

#[test]
fn health_has_the_public_keys() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    for route in ["/health", "/readyz", "/health?verbose=1"] {
        let health = daemon.get(route).json();
        assert_eq!(health["status"], "healthy");
        assert_eq!(health["database"], "connected");
        assert!(health["uptime_seconds"].as_f64().expect("a number") > 0.0);
        assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(health["shutting_down"], false);
        assert_eq!(health["phase"], "running");
        assert_eq!(health["schema_version"], 7);
        let check = &health["checks"][0];
        assert_eq!(check["name"], "database");
        assert_eq!(check["status"], "pass");
        assert!(check["reason"].is_null() && check["detail"].is_null());
        assert!(check["age_seconds"].as_f64().expect("a number") < 2.0);
    }
    assert_eq!(daemon.get("/livez").json()["status"], "alive");
}

#[test]
fn unknown_paths_are_404_and_a_trailing_slash_makes_one() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(NO_ARGS);
    for path in
        ["/", "/health/", "/metrics/", "/healthz", "//health", "/HEALTH", "/%68ealth", "/api/v1/none/"]
    {
        assert_error(&daemon.get(path), 404);
    }
    assert_quiet(&mut daemon);
}

#[test]
fn other_methods_are_405_and_say_which_are_allowed() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(NO_ARGS);
    for route in ROUTES {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer =
                ask(&daemon, &format!("{method} {route} HTTP/1.1\r\nHost: vpo\r\n\r\n")).expect("an answer");
            assert_error(&answer, 405);
            assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method} {route}");
        }
    }
    assert_quiet(&mut daemon);
}

#[test]
fn every_form_of_request_target_gets_an_answer() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(NO_ARGS);
    for (line, status) in [
        ("GET health", 400),
        ("HEAD health", 400),
        ("GET x:1", 400),
        ("CONNECT x:1", 400),
        ("GET *", 404),
        ("OPTIONS *", 404),
        ("GET http://x", 404),
        ("GET http://x/health", 200),
        ("GET http://x?verbose=1", 404),
    ] {
        let answer = ask(&daemon, &format!("{line} HTTP/1.1\r\nHost: vpo\r\n\r\n"));
        let answer = answer.unwrap_or_else(|| panic!("no answer to {line:?}: {}", daemon.log()));
        assert_eq!(answer.status, status, "{line:?}: {answer:?}");
        if status == 400 && !line.starts_with("HEAD") {
            assert_error(&answer, 400);
            assert_eq!(answer.json()["error"], "the request target must be a path");
        }
    }
    assert_quiet(&mut daemon);
}

#[test]
fn http_1_1_wants_exactly_one_host() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    for (headers, status) in [
        ("Host: vpo\r\n", 200),
        ("Host: [::1]:8321\r\n", 200),
        ("Host:\r\n", 200),
        ("", 400),
        ("Host: a\r\nHost: a\r\n", 400),
        ("Host: a\r\nHost: b\r\n", 400),
        ("Host: a b\r\n", 400),
        ("Host: a/b\r\n", 400),
    ] {
        let answer = ask(&daemon, &format!("GET /livez HTTP/1.1\r\n{headers}\r\n")).expect("an answer");
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 400 {
            assert_error(&answer, 400);
        }
    }
}

#[test]
fn http_1_0_needs_no_host_and_closes_unless_asked_to_stay() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let mut client = daemon.client();
    client.send(b"GET /health HTTP/1.0\r\n\r\n").expect("sent");
    assert_eq!(client.receive(false).expect("an answer").status, 200);
    assert!(client.closed());
    let mut client = daemon.client();
    for _ in 0..2 {
        client.send(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").expect("sent");
        assert_eq!(client.receive(false).expect("an answer").status, 200);
    }
}

#[test]
fn connections_stay_open_until_the_client_wants_no_more() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let mut client = daemon.client();
    for _ in 0..10 {
        assert_eq!(client.get("/health").status, 200);
    }
    client.send(b"GET /health HTTP/1.1\r\nHost: vpo\r\nConnection: close\r\n\r\n").expect("sent");
    let last = client.receive(false).expect("an answer");
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(client.closed());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let mut client = daemon.client();
    let path = |index| if index % 2 == 0 { "/livez" } else { "/nothing" };
    let requests: Vec<String> =
        (0..200).map(|index| format!("GET {} HTTP/1.1\r\nHost: vpo\r\n\r\n", path(index))).collect();
    let requests = requests.concat();
    client.send(requests.as_bytes()).expect("sent");
    for index in 0..200 {
        let status = client.receive(false).expect("an answer").status;
        assert_eq!(status, if index % 2 == 0 { 200 } else { 404 }, "answer {index}");
    }
}

#[test]
fn requests_in_pieces_are_put_together() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let mut client = daemon.client();
    for _ in 0..2 {
        for byte in b"\r\nGET /health HTTP/1.1\nHost: vpo\r\n\r\n" {
            client.send(&[*byte]).expect("sent");
        }
        assert_eq!(client.receive(false).expect("an answer").status, 200);
    }
}

#[test]
fn a_client_that_closed_its_side_still_gets_the_answer() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let mut client = daemon.client();
    client.send(b"GET /health HTTP/1.1\r\nHost: vpo\r\n\r\n").expect("sent");
    client.stream().shutdown(Shutdown::Write).expect("closed");
    assert_eq!(client.receive(false).expect("an answer").status, 200);
    assert!(client.closed());
}

#[test]
fn bodies_are_refused_and_the_answer_gets_through() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(NO_ARGS);
    let megabyte = "x".repeat(1024 * 1024);
    for (headers, body) in [
        ("Content-Length: 3", "abc"),
        ("Content-Length: 1048576", megabyte.as_str()),
        ("Content-Length: 1048576", "not all of it"),
        ("Content-Length: 1048576\r\nExpect: 100-continue", ""),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ] {
        for method in ["GET", "POST"] {
            let mut client = daemon.client();
            let head = format!("{method} /health HTTP/1.1\r\nHost: vpo\r\n{headers}\r\n\r\n");
            client.send(head.as_bytes()).expect("sent");
            let _ = client.send(body.as_bytes());
            let answer = client.receive(false).expect("an answer");
            // The method is wrong whatever follows.
            assert_error(&answer, if method == "GET" { 413 } else { 405 });
            assert_eq!(answer.header("allow"), (method == "POST").then_some("GET, HEAD"));
            assert_eq!(answer.header("connection"), Some("close"));
            assert!(client.closed());
        }
    }
    let empty =
        ask(&daemon, "GET /health HTTP/1.1\r\nHost: vpo\r\nContent-Length: 0\r\n\r\n").expect("an answer");
    assert_eq!(empty.status, 200);
    assert_quiet(&mut daemon);
}

#[test]
fn request_whose_length_is_stated_in_two_ways_is_400() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(NO_ARGS);
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 0\r\ntransfer-encoding:chunked",
    ] {
        for method in ["GET", "POST"] {
            let mut client = daemon.client();
            let smuggled = "0\r\n\r\nGET /livez HTTP/1.1\r\nHost: vpo\r\n\r\n";
            let request = format!("{method} /livez HTTP/1.1\r\nHost: vpo\r\n{fields}\r\n\r\n{smuggled}");
            client.send(request.as_bytes()).expect("sent");
            assert_error(&client.receive(false).expect("an answer"), 400);
            assert!(client.closed(), "what follows is not answered");
        }
    }
    assert_quiet(&mut daemon);
}

#[test]
fn malformed_bytes_are_400_or_nothing_and_no_error() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(NO_ARGS);
    for request in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /health\r\n\r\n",
        "GET /health HTTP/9.9\r\nHost: vpo\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost vpo\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: vpo\r\n folded: yes\r\n\r\n",
        "GET /hea\u{7f}lth HTTP/1.1\r\nHost: vpo\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: vpo\r\nContent-Length: -1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: vpo\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: vpo\r\nTransfer-Encoding: gzip\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
    ] {
        if let Some(answer) = ask(&daemon, request) {
            assert_eq!(answer.status, 400, "{request:?}");
        }
    }
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..200 {
        let mut stream = TcpStream::connect(daemon.address()).expect("connects");
        let noise: Vec<u8> = (0..256)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random.to_le_bytes()[0]
            })
            .collect();
        stream.write_all(&noise).expect("sent");
        stream.shutdown(Shutdown::Write).expect("closed");
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(daemon.get("/health").status, 200);
    assert_quiet(&mut daemon);
}

/// Sends `piece` until 50 MB are sent or the daemon closes the connection, and reads the answer.
fn flood(daemon: &Daemon, start: &str, piece: &[u8]) -> Option<Answer> {
    let mut client = daemon.client();
    client.send(start.as_bytes()).expect("sent");
    client.stream().set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    for _ in 0..50 * 1024 * 1024 / piece.len() {
        if client.send(piece).is_none() {
            break;
        }
    }
    client.receive(false)
}

#[test]
fn endless_uris_and_headers_are_cut_short() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(NO_ARGS);
    let long = |count| "x".repeat(count);
    for (request, status) in [
        (format!("GET /{} HTTP/1.1\r\nHost: vpo\r\n\r\n", long(8000)), 404),
        (format!("GET /{} HTTP/1.1\r\nHost: vpo\r\n\r\n", long(9000)), 414),
        (format!("GET /livez HTTP/1.1\r\nHost: vpo\r\nx: {}\r\n\r\n", long(15_000)), 200),
        (format!("GET /livez HTTP/1.1\r\nHost: vpo\r\nx: {}\r\n\r\n", long(17_000)), 431),
        (format!("GET /livez HTTP/1.1\r\nHost: vpo\r\n{}\r\n", "x: y\r\n".repeat(200)), 431),
    ] {
        let answer = ask(&daemon, &request).expect("an answer");
        assert_eq!(answer.status, status, "{}…", &request[..60]);
    }
    let piece = long(64 * 1024);
    // The answer may be lost to a client that never stops talking; what it gets is never anything else.
    let answer = flood(&daemon, "GET /", piece.as_bytes());
    assert!(answer.is_none_or(|answer| answer.status == 414));
    let answer = flood(&daemon, "GET / HTTP/1.1\r\nHost: vpo\r\nx: ", piece.as_bytes());
    assert!(answer.is_none_or(|answer| answer.status == 431));
    let memory = resident(&daemon);
    assert!(memory < 32 * 1024 * 1024, "{memory} bytes resident after the floods");
    assert_eq!(daemon.get("/health").status, 200);
    assert_quiet(&mut daemon);
}

/// Resident memory in bytes.
fn resident(daemon: &Daemon) -> u64 {
    let metrics = daemon.get("/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    line.expect("a figure").parse().expect("a number")
}

#[test]
fn an_answer_after_the_limit_of_10_seconds_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(NO_ARGS);
    let begun = std::time::Instant::now();
    let mut silent = daemon.client();
    let mut dripping = daemon.client();
    let mut idle = daemon.client();
    assert_eq!(idle.get("/livez").status, 200);
    dripping.stream().set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    for byte in b"GET /livez HTTP/1.1\r\nHost: vpo\r\nx: ".iter().chain(std::iter::repeat(&b'x')) {
        let open = dripping.send(&[*byte]).is_some() && !matches!(dripping.stream().peek(&mut [0]), Ok(0));
        if !open {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "a byte now and then keeps the connection");
    }
    assert!(begun.elapsed() > Duration::from_secs(9));
    assert!(silent.closed());
    assert_eq!(idle.get("/livez").status, 200, "an idle connection may stay longer");
    let name = "vpo_http_connections_closed_total{reason=\"timeout\"} 2\n";
    assert!(daemon.get("/metrics").body.contains(name));
    assert_quiet(&mut daemon);
}

#[test]
fn a_half_sent_request_may_still_be_completed_when_the_daemon_stops() {
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve(NO_ARGS);
        let mut client = daemon.client();
        client.send(b"G").expect("sent");
        assert_eq!(daemon.get("/livez").status, 200);
        daemon.signal(rustix::process::Signal::TERM);
        daemon.wait_log("stopping");
        let sent = client.send(b"ET /health HTTP/1.1\r\nHost: vpo\r\n\r\n");
        let answer = sent.and_then(|()| client.receive(false)).ok_or("no answer in the time of grace")?;
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
        assert_eq!(daemon.wait().code(), Some(0));
        Ok(())
    });
}

#[test]
fn what_was_pipelined_before_the_stop_is_answered_to_the_last() {
    // More than can be answered before the timeout of idle connections.
    const CLIENTS: usize = 100;
    const REQUESTS: usize = 300;
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve(NO_ARGS);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| daemon.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/livez").status, 200);
    }
    daemon.freeze();
    let requests = "GET /livez HTTP/1.1\r\nHost: vpo\r\n\r\n".repeat(REQUESTS);
    for client in &mut clients {
        client.send(requests.as_bytes()).expect("sent");
    }
    daemon.signal(rustix::process::Signal::TERM);
    daemon.signal(rustix::process::Signal::CONT);
    for client in &mut clients {
        for index in 1..=REQUESTS {
            let answer = client.receive(false).expect("an answer");
            assert_eq!(answer.status, 200);
            let closes = answer.header("connection") == Some("close");
            assert_eq!(closes, index == REQUESTS, "answer {index}");
        }
        assert!(client.closed());
    }
    assert_eq!(daemon.wait().code(), Some(0));
}
