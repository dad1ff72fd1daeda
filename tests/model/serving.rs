//! The daemon and `vpo scan` as processes.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};

use super::plan::Rng;
use super::poller::verdict;
use super::restore::identity;
use super::table::State;
use super::world::{SCAN, World};
use crate::harness::{Client, Daemon};

/// `vpo scan` that runs beside.
pub(super) struct Scan(Child);

impl Scan {
    /// Lets it end; it follows a job that may never be done.
    pub(super) fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.end();
    }
}

/// What came of a start.
pub(super) enum Start {
    Healthy,
    /// The process has ended.
    Refused,
    /// It runs, and `/health` answers this.
    Sick(String),
}

impl World {
    fn vpo(&self, words: &[&str]) -> Command {
        let mut command = self.sandbox.vpo(words);
        command.arg("--database").arg(&self.database).arg("--library").arg(&self.root);
        if geteuid().is_root() { restricted(&command) } else { command }
    }

    /// Starts the daemon, and waits until it has reported its health.
    pub(super) fn start(&mut self, state: State) -> Start {
        if !self.is_wal() {
            // The start converts it, and waits for a reader that has it open.
            self.close_other();
        }
        let mut daemon =
            Daemon::spawn(self.vpo(&["serve", "--port", "0", "--log-level", "debug"]), &self.database);
        let begun = Instant::now();
        let outcome = loop {
            if daemon.try_wait().is_some() {
                break Start::Refused;
            }
            let address = listening(&daemon.log());
            let answer = address.and_then(|address| Client::try_connect(address)?.try_get("/health"));
            let verdict = answer.as_ref().map_or_else(|| "silent".to_owned(), verdict);
            if ["healthy", "replaced"].contains(&verdict.as_str()) {
                // Before the daemon's first write, writes of the other program cannot be distinguished from other content.
                let is_unmarked = identity(&self.connect()).is_none();
                let state = if is_unmarked { State::PerhapsReplaced } else { state };
                self.line.base(state, begun, begun);
                self.poller.ask(address);
                break Start::Healthy;
            }
            if begun.elapsed() > SCAN {
                self.line.base(State::Wild, begun, begun);
                self.poller.ask(address);
                break Start::Sick(verdict);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if matches!(outcome, Start::Refused) {
            self.logs.push_str(&daemon.log());
        } else {
            self.daemon = Some(daemon);
        }
        outcome
    }

    /// Whether the database is in WAL mode, by the read and write versions of its header (<https://www.sqlite.org/fileformat.html>,
    /// 1.3.3).
    fn is_wal(&self) -> bool {
        let mut header = [0; 20];
        let read = File::open(&self.database).and_then(|mut file| file.read_exact(&mut header));
        read.is_ok() && header[18..] == [2, 2]
    }

    /// As [`Self::start`], of which only one end is right.
    #[track_caller]
    pub(super) fn start_healthy(&mut self, state: State) {
        match self.start(state) {
            Start::Healthy => {}
            Start::Refused => panic!("the daemon does not start"),
            Start::Sick(verdict) => panic!("the daemon is not healthy after its start: {verdict}"),
        }
    }

    /// SIGTERM, and a clean end.
    pub(super) fn terminate(&mut self) {
        self.poller.ask(None);
        let mut daemon = self.daemon.take().expect("it runs");
        let status = daemon.stop();
        self.logs.push_str(&daemon.log());
        assert!(status.success(), "the daemon ended with {status}");
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.poller.ask(None);
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.signal(Signal::KILL);
        daemon.wait();
        self.logs.push_str(&daemon.log());
    }

    /// Does `work` while SIGSTOP holds the daemon.
    pub(super) fn frozen(&mut self, work: impl FnOnce(&mut Self)) {
        let from = Instant::now();
        self.daemon.as_ref().expect("it runs").freeze();
        work(self);
        self.daemon.as_ref().expect("it runs").signal(Signal::CONT);
        self.line.during(State::Frozen, from, Instant::now());
    }

    /// `vpo scan` to its end: of a running daemon, or in the foreground.
    pub(super) fn scan(&self) -> Result<(), String> {
        let expected = if self.films.is_incomplete() { (Some(1), true) } else { (Some(0), false) };
        let output = self.vpo(&["scan", "--json"]).output().expect("vpo runs");
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        // Scans that could not read everything say so, and only those.
        let is_incomplete = stderr.contains("error[scan-incomplete]");
        if (output.status.code(), is_incomplete) == expected {
            Ok(())
        } else {
            Err(format!("vpo scan: {}: {stdout}{stderr}", output.status))
        }
    }

    /// Makes work for a scan, asks for one, and returns when it is under way (or was too fast to be seen).
    pub(super) fn begin_scan(&mut self, rng: &mut Rng) -> Scan {
        self.films.touch_many(rng);
        self.films.add(rng);
        self.expected.seen(&self.films.tree);
        let mut command = self.vpo(&["scan", "--json"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("vpo runs");
        let begun = Instant::now();
        let daemon = self.daemon.as_ref().expect("it runs");
        let mut client = daemon.client();
        while begun.elapsed() < Duration::from_millis(1300) {
            let running = client.try_get("/metrics").is_some_and(|answer| {
                answer.body.lines().any(|line| line.starts_with("vpo_scan_running") && line.ends_with(" 1"))
            });
            if running {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Scan(child)
    }
}

/// The command without the capabilities by which root reads every file.
fn restricted(command: &Command) -> Command {
    let mut restricted = Command::new("/usr/bin/setpriv");
    restricted
        .args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]);
    restricted.arg(command.get_program()).args(command.get_args()).env_clear();
    let given = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    restricted.envs(given);
    restricted.current_dir(command.get_current_dir().expect("the sandbox"));
    restricted
}

/// Where a daemon listens, by its log.
fn listening(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("listening") && line.contains("http://"))?;
    let rest = &line[line.find("http://")? + "http://".len()..];
    rest.split(|character: char| character.is_whitespace() || character == '"').next()?.parse().ok()
}
