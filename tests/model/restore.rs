//! Backups: taken in every way, and put in the database's place in every way.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::Backup as Copier;

use super::content::{Expected, Snapshot, open_still};
use super::plan::{Kind, Rng, WAYS, Way};
use super::serving::Start;
use super::table::{IN_BACKGROUND, STANDSTILL, State};
use super::world::World;
use crate::harness::within;

/// What the daemon logs when it adopts another database.
const ADOPTED: &str = "library adopted";

/// By then an overwritten database has been adopted. The deadlines proper are in the table.
const LIMIT: Duration = Duration::from_secs(5);

/// By then `/health` no longer reports the previous content.
const LATEST: Duration = Duration::from_millis(1500);

/// A backup, and what is in it.
pub(super) struct Backup {
    pub(super) path: PathBuf,
    snapshot: Snapshot,
    /// The row by which the daemon knows the database.
    row: Option<String>,
}

impl Backup {
    pub(super) fn new(path: PathBuf, root: &Path) -> Self {
        let connection = open_still(&path);
        let snapshot = Snapshot::read(&connection, root).unwrap_or_else(|error| panic!("a backup: {error}"));
        Self { path, snapshot, row: identity(&connection) }
    }
}

/// The row by which the daemon knows a database; none where no daemon has written yet.
pub(super) fn identity(connection: &Connection) -> Option<String> {
    let sql = "SELECT quote(lineage) || ' ' || quote(seq) FROM daemon_state";
    connection.query_row(sql, [], |row| row.get(0)).ok()
}

#[track_caller]
pub(super) fn shell(script: &str, paths: [&Path; 2]) {
    let output = Command::new("sh").args(["-c", script]).args(paths).output().expect("sh runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

impl World {
    /// Takes a backup.
    pub(super) fn take(&mut self, kind: Kind) -> usize {
        let path = self.aside();
        let is_copied = kind == Kind::CopyTaken && self.copied(&path);
        if !is_copied {
            let _ = fs::remove_file(&path);
            let live = self.connect();
            if kind == Kind::BackupApi {
                let mut to = Connection::open(&path).expect("made");
                let copier = Copier::new(&live, &mut to).expect("begun");
                copier.run_to_completion(64, Duration::from_millis(1), None).expect("copied");
            } else {
                live.execute("VACUUM INTO ?1", [path.to_str().expect("UTF-8")]).expect("copied");
            }
        }
        let backup = Backup::new(path, &self.root);
        self.expected.check(&backup.snapshot, None).unwrap_or_else(|error| panic!("in a backup: {error}"));
        self.backups.push(backup);
        self.backups.len() - 1
    }

    /// With `cp`, while no program writes. Not if the other program keeps a log.
    fn copied(&self, to: &Path) -> bool {
        let stamp = || {
            let log = self.beside("-wal");
            let is_idle = fs::metadata(log).map_or(true, |log| log.len() == 0);
            let file = fs::metadata(&self.database).expect("there");
            is_idle.then(|| (file.ino(), file.len(), file.mtime_nsec(), file.ctime_nsec()))
        };
        // Our own descriptors would lose their locks by one more that is closed: `cp` is another process.
        (0..100).any(|_| {
            let before = stamp();
            shell("cp \"$0\" \"$1\"", [&self.database, to]);
            let is_still = before.is_some() && before == stamp();
            if !is_still {
                std::thread::sleep(Duration::from_millis(10));
            }
            is_still
        })
    }

    /// An older one, the newest, one of the same size, or another library.
    pub(super) fn pick(&mut self, rng: &mut Rng) -> usize {
        let count = self.backups.len();
        match rng.below(4) {
            0 => self.take(Kind::CopyTaken),
            1 => count - 1,
            _ => usize::try_from(rng.below(count as u64)).expect("an index"),
        }
    }

    /// Puts any backup in place.
    pub(super) fn put_back_one(&mut self, way: Way, rng: &mut Rng) {
        let at = self.pick(rng);
        self.put_back(way, at, rng);
    }

    /// Puts the backup `at` in place and waits until the daemon has adopted it.
    pub(super) fn put_back(&mut self, way: Way, at: usize, rng: &mut Rng) {
        self.close_other();
        let must = self.differs(way, at);
        let (before, from) = (self.adopted(), Instant::now());
        self.place(way, at, rng);
        self.await_adoption(way, at, from, before, must, rng);
    }

    /// Whether the daemon can distinguish the backup from the current content: by its row, or, before the daemon's first write, by the
    /// file, which `.restore` leaves as it is.
    pub(super) fn differs(&self, way: Way, at: usize) -> bool {
        let row = identity(&self.connect());
        way == Way::Rename || row != self.backups[at].row || (row.is_none() && way != Way::Restore)
    }

    /// How often the daemon has adopted a database since its start.
    pub(super) fn adopted(&self) -> usize {
        self.daemon.as_ref().map_or(0, |daemon| daemon.log().matches(ADOPTED).count())
    }

    /// Overwriting has just ended. From `from` on the backup `at` may be seen; where it `must` be, it is waited for.
    pub(super) fn await_adoption(
        &mut self,
        way: Way,
        at: usize,
        from: Instant,
        before: usize,
        must: bool,
        rng: &mut Rng,
    ) {
        let end = Instant::now();
        self.expect_backup(at);
        self.line.during(State::Overwriting, from, end + STANDSTILL);
        self.line.base(if must { State::Replaced } else { State::PerhapsReplaced }, from, end);
        loop {
            let latest = self.poller.latest(end).unwrap_or_default();
            let is_torn = ["fail:copy_collided", "fail:corrupt"].contains(&latest.as_str());
            if is_torn && end.elapsed() > LATEST {
                assert!(way != Way::Rename, "a rename never collides; /health: {latest}");
                self.note("a copy collided");
                return self.copy_again(at, from, rng);
            }
            let is_adopted = self.adopted() > before && latest == "replaced";
            if is_adopted || (!must && !is_torn && end.elapsed() > Duration::from_millis(1200)) {
                if let Err(error) = Snapshot::read(&self.connect(), &self.root) {
                    self.note(&format!("a copy collided, and was adopted: {error}"));
                    within(IN_BACKGROUND, "/health tells of the damage", || {
                        self.poller.latest(end)?.starts_with("fail:").then_some(())
                    });
                    return self.copy_again(at, from, rng);
                }
                return;
            }
            assert!(
                end.elapsed() < LIMIT,
                "the backup is not adopted {LIMIT:?} after it was put back; /health: {latest}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// For a copy that has overlapped a checkpoint, the check asks for another copy.
    fn copy_again(&mut self, at: usize, from: Instant, rng: &mut Rng) {
        self.calm = false;
        self.line.during(State::Collided, from, Instant::now());
        self.put_back(Way::Rename, at, rng);
    }

    /// The database must be exactly the backup `at`, but for what is done to it from now on.
    pub(super) fn expect_backup(&mut self, at: usize) {
        self.expected = Expected::from(&self.backups[at].snapshot, &self.films.tree);
    }

    /// Puts the backup `at` in place, with any result.
    pub(super) fn place(&mut self, way: Way, at: usize, rng: &mut Rng) {
        self.note(&format!(
            "{way:?} of backup {at}, {}",
            self.backups[at].row.as_deref().unwrap_or("without a row")
        ));
        let (from, to) = (self.backups[at].path.clone(), self.database.clone());
        match way {
            Way::Cp => shell("cp \"$0\" \"$1\"", [&from, &to]),
            Way::Cat => shell("cat \"$0\" > \"$1\"", [&from, &to]),
            Way::Dd => shell("dd if=\"$0\" of=\"$1\" bs=16k conv=notrunc status=none", [&from, &to]),
            Way::InPlace => in_place(&from, &to, rng),
            Way::Slow => slowly(&from, &to, rng),
            Way::Restore => restore(&from, &to),
            Way::Rename => {
                let new = self.beside(".new");
                shell("cp \"$0\" \"$1\"", [&from, &new]);
                fs::rename(new, to).expect("renamed");
            }
        }
    }

    /// Overwrites while a scan is at work.
    pub(super) fn put_back_while_scanning(&mut self, rng: &mut Rng) {
        let at = self.pick(rng);
        let way = rng.pick(WAYS);
        self.close_other();
        let must = self.differs(way, at);
        let mut scan = self.begin_scan(rng);
        std::thread::sleep(Duration::from_micros(rng.below(20_000)));
        let (before, from) = (self.adopted(), Instant::now());
        self.place(way, at, rng);
        self.await_adoption(way, at, from, before, must, rng);
        scan.end();
        self.calm = false;
    }

    /// Overwrites while SIGSTOP holds the daemon, at any moment.
    pub(super) fn put_back_while_frozen(&mut self, rng: &mut Rng) {
        let at = self.pick(rng);
        let way = rng.pick(&[Way::Cp, Way::Cat, Way::Dd, Way::InPlace, Way::Rename]);
        self.close_other();
        let must = self.differs(way, at);
        let mut scan = if rng.one_in(2) { Some(self.begin_scan(rng)) } else { None };
        let (before, from) = (self.adopted(), Instant::now());
        self.frozen(|world| {
            world.place(way, at, rng);
        });
        self.await_adoption(way, at, from, before, must, rng);
        if let Some(scan) = &mut scan {
            scan.end();
        }
        self.calm = false;
    }

    /// Overwrites between a clean stop and the next start.
    pub(super) fn put_back_while_stopped(&mut self, rng: &mut Rng) {
        let at = self.pick(rng);
        self.close_other();
        self.terminate();
        self.place(rng.pick(&[Way::Cp, Way::Cat, Way::InPlace, Way::Restore, Way::Rename]), at, rng);
        self.expect_backup(at);
        self.start_healthy(State::PerhapsReplaced);
    }

    /// Kills the daemon in a scan and overwrites what it left. The start adopts the backup, or refuses with a reason.
    pub(super) fn put_back_after_kill(&mut self, rng: &mut Rng) {
        let at = self.pick(rng);
        self.close_other();
        let mut scan = self.begin_scan(rng);
        std::thread::sleep(Duration::from_micros(rng.below(20_000)));
        self.kill();
        scan.end();
        let way = rng.pick(&[Way::Cp, Way::Cat, Way::InPlace, Way::Restore, Way::Rename]);
        self.place(way, at, rng);
        self.expect_backup(at);
        let start = self.start(State::PerhapsReplaced);
        self.repair(start, at, rng);
    }

    /// If a start has refused the file: a backup again, without the files that another database left beside it.
    pub(super) fn repair(&mut self, start: Start, at: usize, rng: &mut Rng) {
        match start {
            Start::Healthy => {}
            Start::Refused => {
                self.note("a start refused");
                for name in ["-wal", "-shm"] {
                    let _ = fs::remove_file(self.beside(name));
                }
                self.place(Way::Rename, at, rng);
                self.expect_backup(at);
                self.start_healthy(State::PerhapsReplaced);
            }
            Start::Sick(verdict) => {
                self.note(&format!("a start was {verdict}"));
                self.put_back(Way::Rename, at, rng);
            }
        }
        self.calm = false;
    }

    /// What SQLite does not survive: a copy over the file while the other program has it open. Then a sound one.
    pub(super) fn put_back_while_open(&mut self, rng: &mut Rng) {
        let (at, sound) = (self.pick(rng), self.pick(rng));
        self.write_rows(rng, true);
        let from = Instant::now();
        // Another process copies, so that this one's locks stay.
        self.place(rng.pick(&[Way::Cp, Way::Cat, Way::Dd]), at, rng);
        if let Some(other) = self.other.take() {
            let _ = other.execute("UPDATE policies SET version = version + 1", []);
        }
        self.heal(State::Wild, from, sound, rng);
    }

    /// The database may be damaged since `from`. If it is, that must be reported. Then a sound backup is renamed onto it.
    pub(super) fn heal(&mut self, state: State, from: Instant, sound: usize, rng: &mut Rng) {
        let end = Instant::now();
        self.calm = false;
        let mut state = state;
        // The daemon may be about to set a log aside that did the damage, or to write: then the next copy is a sound one.
        while let Err(error) = self.read_copy() {
            if self.poller.latest(end).is_some_and(|latest| latest.starts_with("fail:")) {
                self.note(&format!("it is damaged: {error}"));
                state = State::Damaged;
                break;
            }
            assert!(end.elapsed() < IN_BACKGROUND, "/health does not tell of the damage: {error}");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.line.base_within(state, from, end, IN_BACKGROUND);
        // Until then it was perhaps a sound one that was adopted.
        self.line.during(State::Wild, from, Instant::now());
        self.put_back(Way::Rename, sound, rng);
    }

    /// What is in a copy of the database and its log.
    pub(super) fn read_copy(&mut self) -> Result<Snapshot, String> {
        let copy = self.aside();
        for name in ["-wal", ""] {
            let to = format!("{}{name}", copy.display());
            let _ = fs::copy(self.beside(name), to);
        }
        let connection = Connection::open(&copy).map_err(|error| error.to_string())?;
        Snapshot::read(&connection, &self.root)
    }
}

/// Only the blocks that differ, one after the other, and the length at the end.
fn in_place(from: &Path, to: &Path, rng: &mut Rng) {
    const BLOCK: usize = 4096;
    let wanted = fs::read(from).expect("readable");
    let file = fs::File::options().read(true).write(true).open(to).expect("opens");
    let mut there = vec![0; BLOCK];
    for (index, block) in wanted.chunks(BLOCK).enumerate() {
        let offset = (index * BLOCK) as u64;
        let read = file.read_at(&mut there, offset).unwrap_or(0);
        if there[..read] != *block {
            file.write_all_at(block, offset).expect("written");
            if rng.one_in(16) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    file.set_len(wanted.len() as u64).expect("cut");
}

/// `cat >` whose input comes in ten pieces within about a second.
fn slowly(from: &Path, to: &Path, rng: &mut Rng) {
    let wanted = fs::read(from).expect("readable");
    let mut cat = Command::new("sh")
        .args(["-c", "cat > \"$0\""])
        .arg(to)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut pipe = cat.stdin.take().expect("piped");
    for piece in wanted.chunks(wanted.len().div_ceil(10)) {
        pipe.write_all(piece).expect("taken");
        std::thread::sleep(Duration::from_millis(80 + rng.below(40)));
    }
    drop(pipe);
    assert!(cat.wait().expect("it ends").success());
}

/// As the shell's `.restore`.
fn restore(from: &Path, to: &Path) {
    let source = open_still(from);
    let mut live = Connection::open(to).expect("opens");
    live.busy_timeout(Duration::from_secs(10)).expect("set");
    let start = Instant::now();
    let copier = Copier::new(&source, &mut live).expect("begun");
    while copier.step(64).expect("copied") != rusqlite::backup::StepResult::Done {
        assert!(start.elapsed() < Duration::from_secs(10), "the database stays busy");
        std::thread::sleep(Duration::from_millis(1));
    }
}
