//! One run: a daemon, an overwrite, and what came of it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use super::cell::{Cell, Situation};
use super::outcome::{Outcome, Report};
use super::scene::{Database, ROOTS, Scene, scanned};
use super::ways::overwrite;
use crate::harness::{Client, Daemon, Sandbox, settled};
use crate::model::{Rng, verdict};

/// Time after the end of the overwrite until `/health` must report it.
pub(super) const DEADLINE: Duration = Duration::from_millis(1500);

/// After this long something is wrong that no deadline names.
const STUCK: Duration = Duration::from_secs(25);

/// Time between two probes.
const PAUSE: Duration = Duration::from_millis(10);

/// What the daemon logs when it adopts another database.
const ADOPTED: &str = "library adopted";

/// How the daemon has ended up.
pub(super) enum Settled {
    /// It is healthy, or warns. All roots were scanned since, unless the run does not wait for that.
    Up,
    /// It fails with this reason.
    Failing(String),
    /// The process has ended.
    Ended,
    /// The overwrite was never noticed.
    Unnoticed,
    Stuck(String),
}

/// See the module.
pub(super) struct Trial<'a> {
    pub(super) scene: &'a Scene,
    pub(super) cell: Cell,
    pub(super) rng: Rng,
    pub(super) backup: &'a Database,
    pub(super) database: PathBuf,
    pub(super) daemon: Option<Daemon>,
    pub(super) client: Option<Client>,
    pub(super) logs: String,
    pub(super) start: Instant,
    /// When the overwrite has ended.
    pub(super) end: Instant,
    pub(super) detected: Option<i64>,
    pub(super) adopted: Option<i64>,
    /// From the end of the overwrite to the beginning of the failure that lasts.
    pub(super) failed: Option<i64>,
    /// Each answer of `/health` that differs from the one before.
    pub(super) verdicts: Vec<(Duration, String)>,
    /// The longest time between two answers.
    pub(super) gap: Duration,
    pub(super) last: Instant,
    pub(super) notes: Vec<String>,
    /// The check asked for another copy, which was made.
    pub(super) copied_again: bool,
    /// Ends with the adoption, and does not wait for the next scan.
    pub(super) is_brief: bool,
    pub(super) sandbox: Sandbox,
}

impl<'a> Trial<'a> {
    pub(super) fn new(scene: &'a Scene, cell: Cell, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let sandbox = Sandbox::new();
        let database = sandbox.path("library.db");
        let now = Instant::now();
        Self {
            scene,
            cell,
            backup: &scene.backups[usize::try_from(rng.below(scene.backups.len() as u64)).expect("an index")],
            rng,
            database,
            daemon: None,
            client: None,
            logs: String::new(),
            start: now,
            end: now,
            detected: None,
            adopted: None,
            failed: None,
            verdicts: Vec::new(),
            gap: Duration::ZERO,
            last: now,
            notes: Vec::new(),
            copied_again: false,
            is_brief: false,
            sandbox,
        }
    }

    /// Runs it to its end.
    pub(super) fn run(&mut self) -> Report {
        let (outcome, detail) = self.outcome();
        let mut detail = detail;
        for note in &self.notes {
            let _ = write!(detail, "; {note}");
        }
        if outcome.is_bad() {
            let told = self.verdicts.iter().map(|(at, verdict)| format!("{:.3} {verdict}", at.as_secs_f64()));
            let told = told.collect::<Vec<_>>().join(", ");
            let _ = write!(
                detail,
                "; longest gap {:?}; overwritten at {:.3}; /health: {told}",
                self.gap,
                self.end.duration_since(self.start).as_secs_f64()
            );
        }
        let backup = if self.cell.way.removes().is_empty() { self.backup.name } else { "-" };
        Report { outcome, backup, detected: self.detected, adopted: self.adopted, detail }
    }

    fn outcome(&mut self) -> (Outcome, String) {
        let live = self.scene.live(self.cell.situation);
        fs::copy(&live.path, &self.database).expect("copied");
        // A start waits until a file has stood still.
        settled(&self.database);
        self.is_brief = !self.cell.killed && self.cell.way.removes().is_empty() && !self.rng.one_in(3);
        self.serve();
        self.reach_situation();
        let begin = now();
        let result = self.overwrite();
        if self.cell.killed {
            return self.after_kill(&begin, result);
        }
        let settled = self.settle(0);
        self.judge_running(&begin, settled, result)
    }

    pub(super) fn serve(&mut self) {
        self.daemon = Some(self.scene.serve(&self.database));
        self.client = None;
    }

    pub(super) fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("it runs")
    }

    /// Waits until the daemon is in the middle of a random scan, or has had nothing to do for a while.
    fn reach_situation(&mut self) {
        let (text, count) = match self.cell.situation {
            Situation::Idle => ("scan completed", ROOTS as u64),
            Situation::Scan => ("scan begins", 1 + self.rng.below(ROOTS as u64)),
        };
        let count = usize::try_from(count).expect("small");
        while self.daemon().log().matches(text).count() < count {
            assert!(self.start.elapsed() < STUCK, "no {count} times {text:?}:\n{}", self.daemon().log());
            std::thread::sleep(Duration::from_millis(1));
        }
        let pause = match self.cell.situation {
            Situation::Idle => {
                self.wait_until_still();
                Duration::from_micros(self.rng.below(300_000))
            }
            Situation::Scan => Duration::from_micros(self.rng.below(50_000)),
        };
        std::thread::sleep(pause);
    }

    /// Until nothing has written for 100 ms.
    fn wait_until_still(&self) {
        let stamp = || {
            let modified =
                |ending: &str| fs::metadata(self.beside(ending)).and_then(|found| found.modified()).ok();
            [modified(""), modified("-wal"), modified("-shm"), modified(".lock")]
        };
        let (mut known, mut since) = (stamp(), Instant::now());
        while since.elapsed() < Duration::from_millis(100) {
            std::thread::sleep(Duration::from_millis(5));
            let found = stamp();
            if found != known {
                (known, since) = (found, Instant::now());
            }
        }
    }

    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        self.database.with_file_name(format!("library.db{ending}"))
    }

    /// Overwrites, and probes or kills meanwhile.
    fn overwrite(&mut self) -> Result<String, String> {
        let (way, from, to) = (self.cell.way, self.backup.path.clone(), self.database.clone());
        let mut rng = Rng::new(self.rng.next());
        let kill_after = Duration::from_micros(self.rng.below(300_000));
        let worker = std::thread::spawn(move || {
            let result = overwrite(way, &from, &to, &mut rng);
            (result, Instant::now())
        });
        if self.cell.killed {
            std::thread::sleep(kill_after);
            self.daemon().signal(Signal::KILL);
            self.daemon().wait();
            let ended = if worker.is_finished() { "after" } else { "during" };
            self.notes.push(format!("killed {ended} it"));
            self.collect_log();
        } else {
            let mut seen = Vec::new();
            while !worker.is_finished() {
                self.probe();
                seen.push((Instant::now(), self.latest()));
                std::thread::sleep(PAUSE);
            }
            let first = seen.iter().find(|(_, verdict)| is_told(verdict));
            if let Some((at, _)) = first {
                self.detected = Some(-i64::try_from(at.elapsed().as_millis()).expect("small"));
            }
        }
        let (result, end) = worker.join().expect("no panic");
        self.end = end;
        result
    }

    pub(super) fn collect_log(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            self.logs.push_str(&daemon.log());
            self.logs.push_str("--- end of the process\n");
        }
    }

    /// Asks `/health` once.
    fn probe(&mut self) {
        let verdict = self.ask().unwrap_or_else(|| {
            self.client = None;
            "silent".to_owned()
        });
        let at = self.start.elapsed();
        if !self.verdicts.is_empty() {
            self.gap = self.gap.max(self.last.elapsed());
        }
        self.last = Instant::now();
        if self.verdicts.last().is_none_or(|(_, last)| *last != verdict) {
            self.verdicts.push((at, verdict));
        }
    }

    fn ask(&mut self) -> Option<String> {
        if self.client.is_none() {
            let log = self.daemon().log();
            let line = log.lines().find(|line| line.contains("listening address=http://"))?;
            let address = line.split("http://").nth(1)?.trim().parse().ok()?;
            let client = Client::try_connect(address)?;
            client.stream().set_read_timeout(Some(Duration::from_millis(400))).ok()?;
            self.client = Some(client);
        }
        Some(verdict(&self.client.as_mut()?.try_get("/health")?))
    }

    fn latest(&self) -> String {
        self.verdicts.last().map(|(_, verdict)| verdict.clone()).unwrap_or_default()
    }

    /// Probes until it is clear how the daemon ends up. Of the log counts what is after its first `begin` bytes.
    pub(super) fn settle(&mut self, begin: usize) -> Settled {
        let is_start = self.cell.killed;
        // A damaged file that is copied again may be the known content again.
        let must_adopt = !is_start && !self.copied_again && self.cell.way.removes().is_empty();
        let mut failing_since = None;
        loop {
            self.probe();
            let latest = self.latest();
            let waited = self.end.elapsed();
            let millis = millis_of(waited);
            if self.detected.is_none() && is_told(&latest) {
                self.detected = Some(millis);
            }
            if self.daemon().try_wait().is_some() {
                return Settled::Ended;
            }
            let log = self.daemon().log();
            let has_adopted = log[begin..].contains(ADOPTED);
            if has_adopted && self.adopted.is_none() {
                self.adopted = Some(millis);
            }
            let is_up = latest == "healthy" || latest == "replaced";
            let since = if has_adopted { log.rfind(ADOPTED).unwrap_or(0) } else { 0 };
            let since = if has_adopted { since } else { begin };
            let is_sound = log[since..].contains("integrity_check passed");
            let is_done = scanned(&log[since..]) == ROOTS
                || (self.is_brief && has_adopted && is_sound && latest == "replaced");
            if is_up && (has_adopted || !must_adopt) && is_done {
                // What a removal does, the next check finds.
                let is_over = has_adopted || is_start || waited > Duration::from_millis(700);
                if is_over {
                    return Settled::Up;
                }
            }
            if latest.starts_with("fail:") {
                let since = *failing_since.get_or_insert_with(|| {
                    self.failed = Some(millis);
                    Instant::now()
                });
                // Once reported, this stays until other content is in place.
                let is_final = latest == "fail:copy_collided" && !self.copied_again;
                if is_final || (waited > DEADLINE && since.elapsed() > DEADLINE) {
                    return Settled::Failing(latest);
                }
            } else {
                failing_since = None;
            }
            if must_adopt && self.detected.is_none() && waited > 3 * DEADLINE {
                return Settled::Unnoticed;
            }
            if waited > STUCK {
                return Settled::Stuck(latest);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Keeps what shows how a run went.
    pub(super) fn save(&mut self, to: &Path, report: &Report) {
        self.collect_log();
        fs::create_dir_all(to).expect("a directory");
        fs::write(to.join("log"), &self.logs).expect("written");
        fs::write(to.join("report"), format!("{report:#?}\n{:#?}\n", self.verdicts)).expect("written");
        for entry in fs::read_dir(self.sandbox.path("")).into_iter().flatten().flatten() {
            let _ = fs::copy(entry.path(), to.join(entry.file_name()));
        }
    }
}

pub(super) fn millis_of(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).expect("small")
}

/// Whether a result reports a problem of the database.
pub(super) fn is_told(verdict: &str) -> bool {
    verdict == "replaced"
        || (verdict.starts_with("fail:") && verdict != "fail:timeout" && verdict != "fail:none")
}

/// As the daemon writes times.
fn now() -> String {
    let connection = Connection::open_in_memory().expect("opens");
    connection.query_row("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')", [], |row| row.get(0)).expect("a time")
}
