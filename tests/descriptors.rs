//! Connections and scans share the limit of open files: a scan that lacks descriptors gets those of idle connections.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{Client, Daemon, Sandbox, eventually};

/// The limit of open files. Half of them are for connections.
const FILES: usize = 96;
const CONNECTIONS: usize = FILES / 2;

/// A daemon with that limit, in whose root is a directory within a directory within a directory, more of them than there
/// are descriptors while all connections are open, and each with a film. It has not scanned them. Returns how many.
fn serve(sandbox: &Sandbox) -> (Daemon, usize) {
    sandbox.film("films/first.mkv");
    let vpo = sandbox.vpo(["serve", "--port", "0", "--root", "films"]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {FILES} && exec \"$0\" \"$@\"")]);
    command.arg(vpo.get_program()).args(vpo.get_args()).current_dir(sandbox.path(""));
    command.env_clear().env("HOME", sandbox.path("")).env("VPO_SCAN_WATCH", "false");
    let daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    eventually("the first scan is over", || {
        (sandbox.value::<u32>("SELECT count(*) FROM jobs WHERE status = 'completed'") == 1).then_some(())
    });
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("its descriptors").count();
    let depth = FILES - CONNECTIONS - open + 12;
    let mut path = "films".to_owned();
    for level in 0..depth {
        path = format!("{path}/{level}");
        sandbox.film(&format!("{path}/{level}.mkv"));
    }
    (daemon, depth)
}

/// A scan of the root finds every film of the tree.
#[track_caller]
fn assert_all_found(sandbox: &Sandbox, depth: usize) {
    let scan = sandbox.scan(&[]);
    for (figure, expected) in [("walk_errors", 0), ("unreadable", 0), ("added", depth)] {
        assert_eq!(scan[figure], expected, "{figure}: {scan}");
    }
    let stored = sandbox.value::<i64>("SELECT count(*) FROM files WHERE scan_status = 'ok'");
    assert_eq!(usize::try_from(stored), Ok(depth + 1));
}

#[test]
fn scan_gets_the_descriptors_of_idle_connections() {
    let sandbox = Sandbox::new();
    let (daemon, depth) = serve(&sandbox);
    let mut idle: Vec<Client> = (0..CONNECTIONS).map(|_| daemon.client()).collect();
    for client in &mut idle {
        assert_eq!(client.get("/livez").status, 200);
    }
    assert_all_found(&sandbox, depth);
    assert!(daemon.log().contains("out of file descriptors"), "{}", daemon.log());
}

/// Holds that many idle connections. Opens another one as soon as one is closed.
fn hold_connections(address: SocketAddr, over: &AtomicBool) {
    let connect = |_| {
        let stream = TcpStream::connect(address).expect("the daemon listens");
        stream.set_nonblocking(true).expect("a socket");
        stream
    };
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS).map(connect).collect();
    while !over.load(Ordering::Relaxed) {
        for stream in &mut idle {
            if stream.peek(&mut [0]).is_ok() {
                *stream = connect(0);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn scan_gets_the_descriptors_of_connections_that_are_opened_again_at_once() {
    let sandbox = Sandbox::new();
    let (daemon, depth) = serve(&sandbox);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| hold_connections(daemon.address(), &over));
        eventually("the connections are open", || {
            let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("its descriptors").count();
            (open >= FILES - depth).then_some(())
        });
        let found = std::panic::catch_unwind(|| assert_all_found(&sandbox, depth));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = found {
            std::panic::resume_unwind(panic);
        }
    });
}
