//! One run with one fault, and what must hold after it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::judge::{ids, judge_copy, judge_end, judge_report};
use super::steps::{Phase, Step};
use super::trace::{self, Attached, Call};
use crate::harness::{Client, Daemon, Sandbox, settled, video};

/// Films that are recorded before a fault, and films that a scan then finds.
const OLD: usize = 20;
const NEW: usize = 100;

/// How long a run with a fault may take to do its work, and how long a normal one.
const FAULTY: Duration = Duration::from_secs(5);
const NORMAL: Duration = Duration::from_secs(20);

/// After a failure of the scan the daemon gets this long for what else it does.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// The exit code, as a shell would give it, of a process that was killed.
const KILLED: i32 = 137;

/// What came of a step.
pub(super) enum Outcome {
    /// All that must hold held. These threads were hit.
    Passed {
        /// Their names.
        threads: Vec<String>,
    },
    /// The call was not made this time.
    NotReached,
    /// In words.
    Failed(String),
}

/// What all runs share: films, and databases to begin with.
pub(super) struct Scene {
    films: TempDir,
    /// A database with [`OLD`] films.
    scanned: TempDir,
    /// The same, with a log that another program has left.
    interrupted: TempDir,
}

/// What of a film the database must say: path → size.
pub(super) type Films = BTreeMap<String, i64>;

/// A daemon's own figures.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    completed: u64,
    failed: u64,
    hashed: u64,
}

/// How far a daemon came.
pub(super) struct Ran {
    /// It did all that it had to do.
    pub(super) done: bool,
    /// Its exit code, if it ended before the stop.
    pub(super) ended: Option<i32>,
    /// The answers of `/health` other than `pass`.
    pub(super) health: BTreeSet<String>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let films = TempDir::new().expect("a directory");
        // Names of different lengths make films of different sizes: a scan would hash films of one size itself, to see
        // whether one has moved. So hashes are always the work of the second pass.
        for (root, count) in [("old", OLD), ("newer", NEW)] {
            let root = films.path().join(root);
            std::fs::create_dir(&root).expect("made");
            for number in 0..count {
                let name = format!("{} {number:03}", root.display());
                let path = root.join(format!("{number:03}.mkv"));
                std::fs::write(&path, video::matroska(&name, &["eng", "ger"])).expect("written");
                settled(&path);
            }
        }
        let mut scene = Self {
            films,
            scanned: TempDir::new().expect("a directory"),
            interrupted: TempDir::new().expect("a directory"),
        };
        scene.prepare();
        scene
    }

    fn root(&self, name: &str) -> PathBuf {
        self.films.path().join(name)
    }

    /// Makes the databases that runs begin with.
    fn prepare(&mut self) {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("data")).expect("made");
        self.configure(&sandbox, &["old"]);
        let mut daemon = Daemon::spawn(serve(&sandbox), &database(&sandbox));
        let ran = observe(&mut daemon, &|now| now.completed >= 1 && now.hashed >= OLD as u64, NORMAL);
        assert!(ran.done && daemon.stop().success(), "{}", daemon.log());
        copy(&sandbox.path("data"), self.scanned.path());
        let neighbour = Connection::open(database(&sandbox)).expect("opens");
        let row =
            "INSERT INTO policies (name, definition, created_at, updated_at) VALUES ('theirs', '', '', '')";
        neighbour.execute_batch(row).expect("written");
        copy(&sandbox.path("data"), self.interrupted.path());
        assert!(self.interrupted.path().join("library.db-wal").exists(), "a log is left");
    }

    fn configure(&self, sandbox: &Sandbox, roots: &[&str]) {
        let roots: Vec<_> = roots.iter().map(|root| format!("'{}'", self.root(root).display())).collect();
        sandbox.write("vpo.toml", format!("[library]\nroots = [{}]\n", roots.join(", ")));
    }

    /// The roots of a phase: while the fault may come, and afterwards.
    fn roots(phase: Phase) -> (&'static [&'static str], &'static [&'static str]) {
        match phase {
            Phase::Create => (&["newer"], &["newer"]),
            Phase::Start | Phase::Stop => (&["old"], &["old"]),
            Phase::Scan => (&["old"], &["old", "newer"]),
        }
    }

    /// Whether the daemon has done what the phase asks for.
    fn goal(phase: Phase) -> impl Fn(Figures) -> bool {
        move |now: Figures| match phase {
            Phase::Create => now.completed >= 1 && now.hashed >= NEW as u64,
            Phase::Start | Phase::Stop => now.completed >= 1,
            Phase::Scan => now.completed >= 2 && now.hashed >= NEW as u64,
        }
    }

    /// The calls of a phase without a fault.
    pub(super) fn record(&self, phase: Phase) -> Result<Vec<Call>, String> {
        self.run(phase, None)
    }

    /// One run with a fault.
    pub(super) fn attempt(&self, step: &Step) -> Outcome {
        let run = || self.run(step.phase, Some(step));
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(calls)) => {
                let hit = calls.iter().filter(|call| call.injected).map(|call| call.comm.clone());
                let threads: Vec<_> = hit.collect::<BTreeSet<_>>().into_iter().collect();
                if threads.is_empty() { Outcome::NotReached } else { Outcome::Passed { threads } }
            }
            Ok(Err(why)) => Outcome::Failed(why),
            Err(panic) => {
                let said = panic.downcast_ref::<String>().cloned();
                Outcome::Failed(said.unwrap_or_else(|| "the test has panicked".to_owned()))
            }
        }
    }

    fn run(&self, phase: Phase, step: Option<&Step>) -> Result<Vec<Call>, String> {
        let sandbox = Sandbox::new();
        let data = sandbox.path("data");
        std::fs::create_dir(&data).expect("made");
        match phase {
            Phase::Create => {}
            Phase::Start => copy(self.interrupted.path(), &data),
            Phase::Scan | Phase::Stop => copy(self.scanned.path(), &data),
        }
        let before = if phase == Phase::Create { BTreeMap::new() } else { ids(&database(&sandbox))? };
        let (ran, log, calls) = self.run_with_fault(phase, step, &sandbox)?;
        let hit = calls.iter().any(|call| call.injected);
        let must = hit && step.is_some_and(Step::must_be_reported);
        let (_, after) = Self::roots(phase);
        let films = self.films(after);
        let mut problems = vec![
            if ran.ended == Some(KILLED) { Ok(()) } else { judge_report(&ran, &log, &data, hit, must) },
            judge_copy(&sandbox, &before, ran.done.then_some(&films)),
        ];
        self.configure(&sandbox, after);
        let goal: &dyn Fn(Figures) -> bool = &|now| now.completed >= after.len() as u64;
        let second = start_normally(&sandbox, goal, &films);
        if second.is_ok() {
            problems.push(judge_end(&sandbox, phase, &before, &films));
        }
        let second = second.unwrap_or_else(|why| {
            problems.push(Err(why));
            String::new()
        });
        let problems: Vec<_> = problems.into_iter().filter_map(Result::err).collect();
        if problems.is_empty() {
            return Ok(calls);
        }
        let health: Vec<_> = ran.health.into_iter().collect();
        Err(format!("{}\n{}\n{log}the normal start:\n{second}", problems.join("\n"), health.join("\n")))
    }

    /// The part of a run that strace watches: how far the daemon came, its log, its calls.
    fn run_with_fault(
        &self,
        phase: Phase,
        step: Option<&Step>,
        sandbox: &Sandbox,
    ) -> Result<(Ran, String, Vec<Call>), String> {
        let (data, log) = (sandbox.path("data"), sandbox.path("strace.log"));
        let (first, then) = Self::roots(phase);
        self.configure(sandbox, first);
        let command = serve(sandbox);
        let goal = Self::goal(phase);
        let from_the_start = matches!(phase, Phase::Create | Phase::Start);
        let command = if from_the_start { trace::wrap(&command, &data, &log, step) } else { command };
        let mut daemon = Daemon::spawn(command, &database(sandbox));
        let pid = daemon.pid();
        let mut attached = None;
        if !from_the_start {
            let ran = observe(&mut daemon, &|now| now.completed >= 1, NORMAL);
            if !ran.done {
                return Err(format!("no start before the fault:\n{}", daemon.log()));
            }
            attached = Some(Attached::new(pid, &data, &log, step));
        }
        if phase == Phase::Scan {
            self.configure(sandbox, then);
            daemon.signal(Signal::HUP);
        }
        let mut ran = observe(&mut daemon, &goal, if step.is_some() { FAULTY } else { NORMAL });
        let told = ran.ended.is_none();
        let status = if told { daemon.stop() } else { daemon.wait() };
        if let Some(attached) = attached {
            attached.finish();
        }
        let mut calls = trace::read(&log, pid, &data);
        if let Some(step) = step.filter(|step| step.kills() && status.signal() == Some(9)) {
            let killed = calls.iter_mut().rev().find(|call| call.name == step.call);
            killed.expect("it was killed at such a call").injected = true;
            return Ok((Ran { ended: Some(KILLED), ..ran }, daemon.log(), calls));
        }
        match status.code() {
            Some(0) if told => ran.ended = None,
            Some(1) if !told => ran.ended = Some(1),
            other => {
                return Err(format!(
                    "exit code {other:?} ({status}), told to stop: {told}:\n{}",
                    daemon.log()
                ));
            }
        }
        Ok((ran, daemon.log(), calls))
    }

    fn films(&self, roots: &[&str]) -> Films {
        let roots = roots.iter().map(|root| self.root(root));
        let entries = roots.flat_map(|root| std::fs::read_dir(root).expect("readable"));
        let film = |entry: std::fs::DirEntry| {
            let size = i64::try_from(entry.metadata().expect("there").len()).expect("small");
            (entry.path().to_str().expect("UTF-8").to_owned(), size)
        };
        entries.map(|entry| film(entry.expect("an entry"))).collect()
    }
}

pub(super) fn database(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("data/library.db")
}

fn serve(sandbox: &Sandbox) -> Command {
    let mut command = sandbox.vpo(["serve", "--port", "0", "--database"]);
    command.arg(database(sandbox)).arg("--config").arg(sandbox.path("vpo.toml"));
    command
}

/// Copies the files of a directory into another.
pub(super) fn copy(from: &Path, to: &Path) {
    let entries = std::fs::read_dir(from).expect("readable").map(|entry| entry.expect("an entry"));
    // A killed start leaves its draft directory.
    for entry in entries.filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// Asks a daemon for its figures and its health until `goal` is reached, a scan has failed, or it has ended.
fn observe(daemon: &mut Daemon, goal: &dyn Fn(Figures) -> bool, limit: Duration) -> Ran {
    let start = Instant::now();
    let mut ran = Ran { done: false, ended: None, health: BTreeSet::new() };
    let mut client: Option<Client> = None;
    let mut failed: Option<Instant> = None;
    while start.elapsed() < limit {
        if let Some(status) = daemon.try_wait() {
            ran.ended = Some(status.code().unwrap_or(-1));
            break;
        }
        if client.is_none() {
            client = address(&daemon.log()).and_then(Client::try_connect);
        }
        let answers = client
            .as_mut()
            .and_then(|client| Some((client.try_get("/metrics")?, client.try_get("/health")?)));
        let Some((metrics, health)) = answers else {
            client = None;
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        for check in health.json()["checks"].as_array().into_iter().flatten() {
            if check["status"] != "pass" {
                ran.health
                    .insert(format!("health {}: {} {}", check["name"], check["reason"], check["detail"]));
            }
        }
        let now = figures(&metrics.body);
        if goal(now) {
            ran.done = true;
            break;
        }
        if now.failed > 0 && failed.get_or_insert_with(Instant::now).elapsed() > AFTER_FAILURE {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    ran
}

/// The address that the log names: the lock file may be what cannot be written.
fn address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains(" listening address="))?;
    line.rsplit_once("http://")?.1.trim().parse().ok()
}

fn figures(metrics: &str) -> Figures {
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    Figures {
        completed: value("vpo_scans_total{result=\"completed\"}"),
        failed: value("vpo_scans_total{result=\"failed\"}"),
        hashed: value("vpo_scan_files_hashed_total "),
    }
}

/// Starts without a fault, waits until the scan is done and everything is hashed, and stops. Returns the log.
fn start_normally(
    sandbox: &Sandbox,
    goal: &dyn Fn(Figures) -> bool,
    films: &Films,
) -> Result<String, String> {
    let mut daemon = Daemon::spawn(serve(sandbox), &database(sandbox));
    let ran = observe(&mut daemon, goal, NORMAL);
    if !ran.done {
        let why = format!("the normal start does not do its work, ended: {:?}", ran.ended);
        return Err(format!("{why}\n{:?}\n{}", ran.health, daemon.log()));
    }
    let start = Instant::now();
    let mut client = daemon.client();
    while hashed(&client.get("/api/v1/files?limit=1000").json()) < films.len() {
        if start.elapsed() > NORMAL {
            return Err(format!("the normal start does not hash every film:\n{}", daemon.log()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // Damage that was noted before is reported until the check has passed: SQLite reports EIO on a page as such.
    let health = loop {
        let health = client.get("/health");
        if health.status == 200 || start.elapsed() > NORMAL {
            break health;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if health.status != 200 {
        return Err(format!("the normal start is not healthy: {}\n{}", health.body, daemon.log()));
    }
    if !daemon.stop().success() {
        return Err(format!("the normal start does not stop well:\n{}", daemon.log()));
    }
    Ok(daemon.log())
}

/// How many files have a hash.
fn hashed(page: &Value) -> usize {
    let files = page["files"].as_array().into_iter().flatten();
    files.filter(|file| file["content_hash"].is_string()).count()
}
