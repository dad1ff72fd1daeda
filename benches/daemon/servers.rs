//! The servers that are compared.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cost::on_server_core;
use crate::load;

/// A server that answers `GET /health`.
pub(crate) trait Server {
    fn name(&self) -> &'static str;
    fn address(&self) -> SocketAddr;
    fn pid(&self) -> u32;
}

/// A directory for one daemon; gone when dropped.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self(tempfile::tempdir().expect("a temporary directory")))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// `vpo serve`, and how long its start and stop took.
pub(crate) struct Vpo {
    child: Child,
    program: PathBuf,
    home: Rc<Home>,
    address: SocketAddr,
    pub(crate) first_answer: Duration,
    pub(crate) exit: Duration,
}

impl Vpo {
    pub(crate) fn start(program: &Path) -> Self {
        Self::start_in(program, &Home::new())
    }

    /// Starts it and waits for its first 200.
    pub(crate) fn start_in(program: &Path, home: &Rc<Home>) -> Self {
        let lock = home.path().join(".vpo/library.db.lock");
        let mut command = Command::new(program);
        command.args(["serve", "--port", "0", "--log-level", "warning"]).env_clear().env("HOME", home.path());
        let begun = Instant::now();
        let child = on_server_core(&mut command);
        let pid = child.id().to_string();
        let address = loop {
            let text = std::fs::read_to_string(&lock).unwrap_or_default();
            let mut lines = text.lines();
            let address = lines
                .next()
                .filter(|line| *line == pid)
                .and_then(|_| lines.next()?.strip_prefix("http://")?.parse().ok());
            if let Some(address) = address {
                break address;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{} does not start", program.display());
            std::thread::sleep(Duration::from_micros(50));
        };
        loop {
            if load::answer_of(address).starts_with(b"HTTP/1.1 200") {
                break;
            }
        }
        let first_answer = begun.elapsed();
        Self {
            child,
            program: program.to_owned(),
            home: Rc::clone(home),
            address,
            first_answer,
            exit: Duration::ZERO,
        }
    }

    /// SIGTERM, and the wait for the exit.
    pub(crate) fn stopped(mut self) -> Self {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("not 0");
        let begun = Instant::now();
        kill_process(pid, Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("it ends");
        self.exit = begun.elapsed();
        assert!(status.success(), "{status}");
        self
    }

    /// The command that probes it.
    pub(crate) fn probe(&self) -> Vec<OsString> {
        vec![self.program.clone().into(), "healthcheck".into()]
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Server for Vpo {
    fn name(&self) -> &'static str {
        "vpo"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Vpo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of the system in `PATH`, or where Debian keeps daemons.
pub(crate) fn find(name: &str) -> Option<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .map(Into::into)
}

/// The others that are there, each with an answer of the same length.
pub(crate) fn installed(answer: &[u8]) -> Vec<Box<dyn Server>> {
    let body_start = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |head| head + 4);
    let body = "x".repeat(answer.len() - body_start);
    let mut servers: Vec<Box<dyn Server>> = Vec::new();
    if let Some(program) = find("nginx") {
        servers.extend(Other::start("nginx", |dir, port| {
            let config = format!(
                "daemon off; master_process off; pid {0}/pid; error_log {0}/error; events {{ worker_connections 2048; }}
                 http {{ access_log off; keepalive_requests 1000000000; server {{ listen 127.0.0.1:{port} backlog=4096;
                 location = /health {{ default_type application/json; return 200 '{body}'; }} }} }}",
                dir.display()
            );
            std::fs::write(dir.join("conf"), config).expect("written");
            let mut command = Command::new(&program);
            command.arg("-p").arg(dir).arg("-c").arg(dir.join("conf")).arg("-e").arg(dir.join("error"));
            command
        }));
    }
    if let Some(program) = find("static-web-server") {
        servers.extend(Other::start("static-web-server", |dir, port| {
            std::fs::write(dir.join("health"), &body).expect("written");
            let mut command = Command::new(&program);
            command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--threads-multiplier", "1"]);
            command.arg("--root").arg(dir).args(["--log-level", "error"]);
            command
        }));
    }
    servers
}

struct Other {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Other {
    fn start(name: &'static str, command: impl Fn(&Path, u16) -> Command) -> Option<Box<dyn Server>> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // These take no port 0; nothing else on this machine is about to take the one just given back.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).ok()?;
        let mut command = command(dir.path(), address.port());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = on_server_core(&mut command);
        let server = Self { name, child, address, _dir: dir };
        let begun = Instant::now();
        while load::try_answer_of(address).is_none_or(|answer| !answer.starts_with(b"HTTP/1.1 200")) {
            if begun.elapsed() > Duration::from_secs(5) {
                println!("{name} is installed but does not answer: left out");
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Box::new(server))
    }
}

impl Server for Other {
    fn name(&self) -> &'static str {
        self.name
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
