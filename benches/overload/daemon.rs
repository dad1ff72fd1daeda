//! `vpo serve` as a child, and its memory.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Another program than the one that was built with this bench.
pub(crate) static OTHER: OnceLock<PathBuf> = OnceLock::new();

fn program() -> &'static Path {
    OTHER.get().map_or(Path::new(env!("CARGO_BIN_EXE_vpo")), PathBuf::as_path)
}

/// A directory for one daemon; gone when dropped.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn films(&self) -> PathBuf {
        self.0.path().join("films")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.path().join(".vpo/library.db")
    }

    /// A connection to the database, as another program has it.
    pub(crate) fn open(&self) -> Connection {
        let connection = Connection::open(self.database()).expect("the database opens");
        connection.busy_timeout(Duration::from_secs(60)).expect("a timeout");
        connection
    }

    pub(crate) fn count(&self, sql: &str) -> u32 {
        self.open().query_one(sql, [], |row| row.get(0)).expect("a number")
    }

    /// `vpo ARGS`, from a shell that runs `before`, such as [`Group::enter`].
    pub(crate) fn vpo(&self, args: &[&str], before: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-ec").arg(format!("{before}\nexec \"$0\" \"$@\"")).arg(program()).args(args);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.0.path());
        command
    }
}

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Daemon {
    /// Starts it, with the root of the home or without one, and waits for its first answer.
    pub(crate) fn start(home: &Home, with_root: bool, before: &str) -> Self {
        let films = home.films();
        let mut args = vec!["serve", "--port", "0", "--log-level", "error"];
        if with_root {
            args.extend(["--root", films.to_str().expect("UTF-8")]);
        }
        let child = home.vpo(&args, before).spawn().expect("vpo is there");
        let pid = child.id().to_string();
        let begun = Instant::now();
        let address = loop {
            let text = fs::read_to_string(home.database().with_extension("db.lock")).unwrap_or_default();
            let mut lines = text.lines();
            let is_ours = lines.next() == Some(&pid);
            if let Some(address) =
                lines.next().filter(|_| is_ours).and_then(|line| line.strip_prefix("http://"))
            {
                break address.parse().expect("an address");
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "vpo does not start");
            std::thread::sleep(Duration::from_millis(1));
        };
        Self { child, address }
    }

    /// The largest resident memory so far, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number").div_ceil(1024)
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A control group of 128 MiB, in version 2 or 1; gone when dropped.
pub(crate) struct Group(PathBuf);

impl Group {
    pub(crate) fn new() -> Option<Self> {
        let name = format!("vpo-bench-{}", std::process::id());
        let try_in = |base: &str, limit: &str| {
            let path = Path::new(base).join(&name);
            fs::create_dir(&path).ok()?;
            let group = Self(path);
            fs::write(group.0.join(limit), (128_u32 << 20).to_string()).ok()?;
            Some(group)
        };
        try_in("/sys/fs/cgroup", "memory.max")
            .or_else(|| try_in("/sys/fs/cgroup/memory", "memory.limit_in_bytes"))
    }

    /// Has a shell enter it.
    pub(crate) fn enter(&self) -> String {
        format!("echo $$ >{}/cgroup.procs", self.0.display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
