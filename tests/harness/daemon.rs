//! `vpo serve` as a child process: where it listens, what it logged, how it ended.

use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Answer, Client, PATIENCE, PROBE, eventually, in_time};

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    library: PathBuf,
    log: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Starts `command` (a `vpo serve`); its stderr is collected as the log.
    pub(crate) fn spawn(mut command: Command, library: &Path) -> Self {
        command.stdin(Stdio::null());
        Self::spawn_with_stdin(command, library)
    }

    /// As [`Self::spawn`], with standard input as the command has it.
    pub(crate) fn spawn_with_stdin(mut command: Command, library: &Path) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("vpo serve starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut stderr = child.stderr.take().expect("piped");
        let sink = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                sink.lock().expect("not poisoned").extend_from_slice(&buffer[..count]);
            }
        });
        Self { child, library: library.to_owned(), log, reader: Some(reader) }
    }

    /// As [`Self::spawn`], with stderr going elsewhere: [`Self::log`] stays empty.
    pub(crate) fn spawn_logging_to(mut command: Command, stderr: OwnedFd, library: &Path) -> Self {
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn().expect("vpo serve starts");
        Self { child, library: library.to_owned(), log: Arc::default(), reader: None }
    }

    /// The child's pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address that the daemon wrote into the lock file, once it has.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        eventually("the daemon publishes its address", || self.published())
    }

    /// The address, if it is published yet.
    fn published(&self) -> Option<SocketAddr> {
        let text = std::fs::read_to_string(self.library.with_file_name("library.db.lock")).ok()?;
        let mut lines = text.lines();
        (lines.next()? == self.pid().to_string())
            .then(|| lines.next()?.strip_prefix("http://")?.parse().ok())?
    }

    /// A new connection to it.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// `GET path` on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().get(path)
    }

    /// A client that has asked for more than the sockets' buffers hold, and reads none of it. The daemon has given
    /// up on writing to it when this returns.
    #[track_caller]
    pub(crate) fn client_that_does_not_read(&self) -> Client {
        let mut client = self.client();
        client.stream().set_write_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        // Ends once the daemon reads no more, as it cannot write; or before, when it is only slow to read.
        while client.send(&b"GET /metrics HTTP/1.1\r\nHost: vpo\r\n\r\n".repeat(100)).is_some() {}
        // What was sent keeps it busy for a while yet: its event loop sleeps only when nothing more can be done.
        eventually("the daemon has nothing more to do", || {
            let before = self.event_loop();
            std::thread::sleep(Duration::from_millis(5));
            (before.contains("(sleeping)") && self.event_loop() == before).then_some(())
        });
        client
    }

    /// Whether the event loop's thread sleeps, and how often it has been woken.
    fn event_loop(&self) -> String {
        let status = format!("/proc/{0}/task/{0}/status", self.pid());
        let status = std::fs::read_to_string(status).expect("it runs");
        let told = |line: &&str| line.starts_with("State:") || line.contains("ctxt_switches");
        status.lines().filter(told).collect()
    }

    /// Asserts that a probe on a connection of its own is answered 200 within the product's 100 ms.
    #[track_caller]
    pub(crate) fn assert_probe_in_time(&self) {
        let address = self.address();
        in_time(|| {
            let start = Instant::now();
            let answer = Client::try_connect(address).and_then(|mut client| client.try_get("/health"));
            let took = start.elapsed();
            match answer {
                Some(answer) if answer.status == 200 && took < PROBE => Ok(()),
                Some(answer) => Err(format!("{} after {took:?}", answer.status)),
                None => Err(format!("no answer after {took:?}")),
            }
        });
    }

    /// Waits until `/health` is 200.
    #[track_caller]
    pub(crate) fn wait_healthy(&self) {
        let address = self.address();
        eventually("/health is 200", || {
            (Client::try_connect(address)?.try_get("/health")?.status == 200).then_some(())
        });
    }

    /// As [`Self::wait_healthy`]; `None` when the daemon has ended instead.
    pub(crate) fn try_wait_healthy(&mut self) -> Option<()> {
        eventually("/health is 200, or the end", || {
            if self.try_wait().is_some() {
                return Some(None);
            }
            let address = self.published()?;
            (Client::try_connect(address)?.try_get("/health")?.status == 200).then_some(Some(()))
        })
    }

    /// Waits until the watch of `root` is in `state`, as `/metrics` names it.
    #[track_caller]
    pub(crate) fn wait_watch(&self, root: &Path, state: &str) {
        let line = format!("vpo_root_watch_state{{root=\"{}\",state=\"{state}\"}} 1", root.display());
        eventually(&line, || self.get("/metrics").body.contains(&line).then_some(()));
    }

    /// As [`freeze`].
    #[track_caller]
    pub(crate) fn freeze(&self) {
        freeze(self.pid());
    }

    /// The exit status, if it has ended.
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("waitable")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("not 0");
        kill_process(pid, signal).expect("the daemon is there");
    }

    /// Waits for the end; fails the test when it does not come in time.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waitable") {
                if let Some(reader) = self.reader.take() {
                    reader.join().expect("the log's reader");
                }
                return status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "the daemon did not exit within {PATIENCE:?}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// SIGTERM, and the exit it leads to.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// What was logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().expect("not poisoned")).into_owned()
    }

    /// Waits for a line that contains `text` and returns it.
    #[track_caller]
    pub(crate) fn wait_log(&self, text: &str) -> String {
        eventually(&format!("a log line with {text:?}"), || {
            // A long line comes in pieces.
            let log = self.log();
            let mut lines = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            lines.find(|line| line.contains(text)).map(str::to_owned)
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the daemon with pid {}\n{}", self.pid(), self.log());
        }
    }
}

/// SIGSTOP to a child process, and the wait until all its threads are stopped.
#[track_caller]
pub(crate) fn freeze(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not 0"), Signal::STOP)
        .expect("it is there");
    eventually("the process stands still", || {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let stopped = |stat: String| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"));
        threads
            .flatten()
            .all(|thread| std::fs::read_to_string(thread.path().join("stat")).is_ok_and(stopped))
            .then_some(())
    });
}
