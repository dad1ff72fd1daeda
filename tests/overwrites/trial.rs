//! One run: a daemon, an overwrite, and what came of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use super::cell::{Cell, Situation, Way};
use super::content::Content;
use super::scene::{Database, ROOTS, Scene, scanned};
use super::ways::overwrite;
use crate::harness::{Client, Daemon, Sandbox, settled};
use crate::model::{Rng, verdict};

/// By then after the end of the overwrite `/health` must say so.
const DEADLINE: Duration = Duration::from_millis(1500);

/// After this long something is wrong that no deadline names.
const STUCK: Duration = Duration::from_secs(25);

/// Time between two probes.
const PAUSE: Duration = Duration::from_millis(10);

/// What the daemon logs when it adopts another database.
const ADOPTED: &str = "library adopted";

/// How a run ended. Those in capitals must not occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// The backup was adopted, and is exactly what it was; nothing was overwritten, and nothing is lost.
    Exact,
    /// The daemon's own database again, and `/health` or the start said that something was wrong.
    OwnReported,
    /// The daemon's own database, because the restore itself failed and said so.
    NotRestored,
    /// A mixed file; `/health` said so from the beginning. The backup, copied again, was adopted.
    Collided,
    /// The start refused what it found. The backup, put back again, was adopted.
    Refused,
    /// The daemon's own database again, without a word.
    Undetected,
    /// A database that is neither the backup nor the daemon's own was healthy.
    Mix,
    /// It was said after more than 1.5 s.
    Late,
    /// Anything else.
    Wrong,
}

impl Outcome {
    pub(super) const ALL: [Self; 9] = [
        Self::Exact,
        Self::OwnReported,
        Self::NotRestored,
        Self::Collided,
        Self::Refused,
        Self::Undetected,
        Self::Mix,
        Self::Late,
        Self::Wrong,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::OwnReported => "own-reported",
            Self::NotRestored => "not-restored",
            Self::Collided => "collided",
            Self::Refused => "refused",
            Self::Undetected => "UNDETECTED",
            Self::Mix => "MIX",
            Self::Late => "LATE",
            Self::Wrong => "WRONG",
        }
    }

    pub(super) fn is_bad(self) -> bool {
        self >= Self::Undetected
    }
}

/// What is known after a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) outcome: Outcome,
    pub(super) backup: &'static str,
    /// From the end of the overwrite to the first answer that is not *healthy*, in ms.
    pub(super) detected: Option<i64>,
    /// To the adoption.
    pub(super) adopted: Option<i64>,
    pub(super) detail: String,
}

/// How the daemon has ended up.
enum Settled {
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
    scene: &'a Scene,
    cell: Cell,
    rng: Rng,
    backup: &'a Database,
    database: PathBuf,
    daemon: Option<Daemon>,
    client: Option<Client>,
    logs: String,
    start: Instant,
    /// When the overwrite has ended.
    end: Instant,
    detected: Option<i64>,
    adopted: Option<i64>,
    /// From the end of the overwrite to the beginning of the failure that lasts.
    failed: Option<i64>,
    /// Each answer of `/health` that differs from the one before.
    verdicts: Vec<(Duration, String)>,
    /// The longest time between two answers.
    gap: Duration,
    last: Instant,
    notes: Vec<String>,
    /// It was told to be copied again, and that was done.
    copied_again: bool,
    /// Ends with the adoption, and does not wait for the next scan.
    is_brief: bool,
    sandbox: Sandbox,
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

    fn serve(&mut self) {
        self.daemon = Some(self.scene.serve(&self.database));
        self.client = None;
    }

    fn daemon(&mut self) -> &mut Daemon {
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

    fn beside(&self, ending: &str) -> PathBuf {
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

    fn collect_log(&mut self) {
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
    fn settle(&mut self, begin: usize) -> Settled {
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
            let is_done =
                scanned(&log[since..]) == ROOTS || (self.is_brief && has_adopted && latest == "replaced");
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
                // Said once, this stays until something else is in place.
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

    /// What came of an overwrite beside a daemon that goes on running.
    fn judge_running(
        &mut self,
        begin: &str,
        settled: Settled,
        result: Result<String, String>,
    ) -> (Outcome, String) {
        let note = match result {
            Ok(note) => note,
            Err(failed) => return self.judge_not_restored(begin, &failed),
        };
        let is_late = self.detected.is_some_and(|millis| millis > millis_of(DEADLINE));
        match settled {
            Settled::Up => {
                let found = match self.stop_and_read(begin) {
                    Ok(found) => found,
                    Err(error) => return (Outcome::Mix, error),
                };
                let (outcome, text) = self.compare(&found);
                match outcome {
                    Outcome::Exact if is_late => (Outcome::Late, note),
                    Outcome::Exact => (Outcome::Exact, format!("{note}{text}")),
                    outcome => (outcome, format!("{note}{text}")),
                }
            }
            Settled::Failing(reason) => {
                if !self.is_right(&reason) {
                    return (Outcome::Wrong, reason);
                }
                let failed = self.failed;
                let reason =
                    if self.adopted.is_some() { format!("{reason} after an adoption") } else { reason };
                let reason =
                    format!("{reason}, {} ms; the file was {}", failed.unwrap_or(0), self.look_aside(begin));
                if let Err(error) = self.copy_again(begin) {
                    return (Outcome::Wrong, format!("{reason}, copied again: {error}"));
                }
                let is_late = is_late || failed.is_some_and(|millis| millis > millis_of(DEADLINE));
                (if is_late { Outcome::Late } else { Outcome::Collided }, reason)
            }
            Settled::Unnoticed => {
                let found = self.stop_and_read(begin);
                (Outcome::Undetected, format!("then the database was {}", self.named(found)))
            }
            Settled::Ended => (Outcome::Wrong, "the daemon has ended".to_owned()),
            Settled::Stuck(verdict) => (Outcome::Wrong, format!("stuck, {verdict}")),
        }
    }

    /// `.restore` says itself that it failed.
    fn judge_not_restored(&mut self, begin: &str, failed: &str) -> (Outcome, String) {
        match self.stop_and_read(begin) {
            Ok(found) if self.is_own(&found) => (Outcome::NotRestored, failed.to_owned()),
            found => (Outcome::Wrong, format!("{failed}; the database is {}", self.named(found))),
        }
    }

    fn is_right(&self, reason: &str) -> bool {
        self.cell.situation == Situation::Scan
            && ["fail:copy_collided", "fail:corrupt", "fail:not_a_database"].contains(&reason)
            && self.cell.way.copies_in_place()
    }

    /// What a database is that `/health` calls damaged.
    fn look_aside(&self, begin: &str) -> String {
        let aside = self.sandbox.path("aside.db");
        for ending in ["", "-wal"] {
            let _ = fs::copy(self.beside(ending), self.sandbox.path(format!("aside.db{ending}")));
        }
        let found = Connection::open(&aside).map_err(|error| error.to_string());
        self.named(found.and_then(|connection| Content::read(&connection, begin)))
    }

    /// The same backup in the same way, as `/health` says; it must be adopted.
    fn copy_again(&mut self, begin: &str) -> Result<(), String> {
        let (adopted, detected) = (self.adopted, self.detected);
        let log = self.daemon().log();
        let way = if self.cell.way.removes().is_empty() { self.cell.way } else { Way::Rename };
        overwrite(way, &self.backup.path, &self.database, &mut self.rng)?;
        self.end = Instant::now();
        (self.cell.killed, self.copied_again) = (false, true);
        let settled = self.settle(log.len());
        (self.adopted, self.detected) = (adopted, detected);
        match settled {
            Settled::Up => {}
            Settled::Failing(reason) => return Err(reason),
            Settled::Ended => return Err("the daemon has ended".to_owned()),
            Settled::Unnoticed => return Err("not noticed".to_owned()),
            Settled::Stuck(verdict) => return Err(format!("stuck, {verdict}")),
        }
        let found = self.stop_and_read(begin)?;
        if found == self.backup.content { Ok(()) } else { Err(self.named(Ok(found))) }
    }

    /// What came of an overwrite that a kill interrupted or followed, after a start.
    fn after_kill(&mut self, begin: &str, result: Result<String, String>) -> (Outcome, String) {
        let note = match result {
            Ok(note) => note,
            Err(failed) => {
                self.notes.push(failed);
                String::new()
            }
        };
        self.verdicts.clear();
        self.serve();
        self.end = Instant::now();
        match self.settle(0) {
            Settled::Up => {
                let told = self.verdicts.iter().any(|(_, verdict)| is_told(verdict));
                let found = match self.stop_and_read(begin) {
                    Ok(found) => found,
                    Err(error) => return (Outcome::Mix, error),
                };
                let (outcome, text) = self.compare(&found);
                match outcome {
                    Outcome::Undetected | Outcome::OwnReported => {
                        let outcome = match self.cell.way {
                            Way::Restore if !self.notes.is_empty() => Outcome::NotRestored,
                            _ if told => Outcome::OwnReported,
                            _ => Outcome::Undetected,
                        };
                        (outcome, format!("{note}{text}"))
                    }
                    outcome => (outcome, format!("{note}{text}")),
                }
            }
            Settled::Failing(reason) => {
                if !self.is_right(&reason) {
                    return (Outcome::Wrong, reason);
                }
                let reason = format!("{reason}; the file was {}", self.look_aside(begin));
                match self.copy_again(begin) {
                    Ok(()) => (Outcome::Collided, reason),
                    Err(error) => (Outcome::Wrong, format!("{reason}, copied again: {error}")),
                }
            }
            Settled::Ended => self.repair(begin),
            Settled::Unnoticed => (Outcome::Wrong, "unreachable".to_owned()),
            Settled::Stuck(verdict) => (Outcome::Wrong, format!("stuck, {verdict}")),
        }
    }

    /// The start refused: the backup again, without what lies beside it.
    fn repair(&mut self, begin: &str) -> (Outcome, String) {
        let log = self.daemon().log();
        let said = log.lines().rfind(|line| line.contains("error")).unwrap_or_default().to_owned();
        self.daemon().wait();
        self.collect_log();
        for ending in ["-wal", "-shm"] {
            let _ = fs::remove_file(self.beside(ending));
        }
        overwrite(Way::Rename, &self.backup.path, &self.database, &mut self.rng).expect("copied");
        self.serve();
        self.end = Instant::now();
        let settled = self.settle(0);
        if !matches!(settled, Settled::Up) {
            return (Outcome::Wrong, format!("{said}; after a repair it is not healthy"));
        }
        match self.stop_and_read(begin) {
            Ok(found) if found == self.backup.content => (Outcome::Refused, said),
            found => {
                (Outcome::Wrong, format!("{said}; after a repair the database is {}", self.named(found)))
            }
        }
    }

    /// Stops the daemon and reads what it leaves.
    fn stop_and_read(&mut self, begin: &str) -> Result<Content, String> {
        let status = self.daemon().stop();
        self.collect_log();
        if !status.success() {
            return Err(format!("the daemon ended with {status}"));
        }
        let connection = Connection::open(&self.database).map_err(|error| error.to_string())?;
        let found = Content::read(&connection, begin)?;
        if !self.is_brief {
            self.compare_tree(&connection)?;
        }
        Ok(found)
    }

    /// The rows of films must be equal to the tree.
    fn compare_tree(&self, connection: &Connection) -> Result<(), String> {
        let rows = || -> rusqlite::Result<BTreeMap<String, i64>> {
            let sql = "SELECT path, size_bytes FROM files WHERE path NOT LIKE '/elsewhere/%' AND scan_status = 'ok'";
            let mut statement = connection.prepare(sql)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let rows = rows().map_err(|error| error.to_string())?;
        if rows == self.scene.tree { Ok(()) } else { Err("the rows are not as the films are".to_owned()) }
    }

    fn is_own(&self, found: &Content) -> bool {
        found.has_same_rows(&self.scene.live(self.cell.situation).content)
    }

    fn compare(&self, found: &Content) -> (Outcome, String) {
        if !self.cell.way.removes().is_empty() {
            let outcome = if self.is_own(found) { Outcome::Exact } else { Outcome::Mix };
            return (outcome, String::new());
        }
        if *found == self.backup.content {
            return (Outcome::Exact, String::new());
        }
        let outcome = if !self.is_own(found) {
            Outcome::Mix
        } else if self.detected.is_some() {
            Outcome::OwnReported
        } else {
            Outcome::Undetected
        };
        (outcome, self.named(Ok(found.clone())))
    }

    /// Says what a database is.
    fn named(&self, found: Result<Content, String>) -> String {
        match found {
            Err(error) => error,
            Ok(found) if found == self.backup.content => "the backup".to_owned(),
            Ok(found) if self.is_own(&found) => "the daemon's own".to_owned(),
            Ok(found) => format!("{}, not {}", found.summary(), self.backup.content.summary()),
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

fn millis_of(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).expect("small")
}

/// Whether a verdict says that something is the matter with the database.
fn is_told(verdict: &str) -> bool {
    verdict == "replaced"
        || (verdict.starts_with("fail:") && verdict != "fail:timeout" && verdict != "fail:none")
}

/// As the daemon writes times.
fn now() -> String {
    let connection = Connection::open_in_memory().expect("opens");
    connection.query_row("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')", [], |row| row.get(0)).expect("a time")
}
