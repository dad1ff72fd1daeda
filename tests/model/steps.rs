//! What each kind of step does.

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::content::open_still;
use super::plan::{Kind, Rng, Step, Way};
use super::restore::{identity, shell};
use super::serving::Start;
use super::table::State;
use super::world::World;
use crate::harness::within;

/// The product's deadline, with room for a busy machine; the deadline proper is in the table.
const SEEN: Duration = Duration::from_secs(4);

/// Connections that are held at once.
const IDLE: usize = 150;

impl World {
    /// Does one step.
    pub(super) fn step(&mut self, step: &Step) {
        let mut rng = Rng::new(step.dice);
        let rng = &mut rng;
        match step.kind {
            Kind::FilmAdded => self.films.add(rng),
            Kind::FilmChanged => self.films.change(rng),
            Kind::FilmTouched => self.films.touch(rng),
            Kind::FilmRenamed => self.films.rename(rng),
            Kind::FilmDeleted => self.films.delete(rng),
            Kind::DirectoryRenamed => self.films.rename_directory(rng),
            Kind::ManyTouched => self.films.touch_many(rng),
            Kind::HostileFiles => (0..=rng.below(3)).for_each(|_| self.films.hostile(rng)),
            Kind::SubtitlesChanged => (0..4).for_each(|_| self.films.change_subtitles(rng)),
            Kind::Rows => self.write_rows(rng, false),
            Kind::RowsOfFilms => self.change_row_of_film(rng),
            Kind::WriterOpens => self.write_rows(rng, true),
            Kind::WriterCloses => self.close_other(),
            Kind::ReadHeld => self.hold_read(rng),
            Kind::WriteHeld => self.hold_write(rng),
            Kind::ExclusiveHeld => self.hold_exclusive(rng),
            Kind::Vacuum => {
                self.close_other();
                self.connect().execute_batch("VACUUM").expect("vacuumed");
            }
            Kind::VacuumInto | Kind::BackupApi | Kind::CopyTaken => _ = self.take(step.kind),
            Kind::PutBackCp => self.put_back_one(Way::Cp, rng),
            Kind::PutBackCat => self.put_back_one(Way::Cat, rng),
            Kind::PutBackDd => self.put_back_one(Way::Dd, rng),
            Kind::PutBackInPlace => self.put_back_one(Way::InPlace, rng),
            Kind::PutBackSlow => self.put_back_one(Way::Slow, rng),
            Kind::PutBackRestore => self.put_back_one(Way::Restore, rng),
            Kind::PutBackRename => self.put_back_one(Way::Rename, rng),
            Kind::PutBackWhileScanning => self.put_back_while_scanning(rng),
            Kind::PutBackWhileFrozen => self.put_back_while_frozen(rng),
            Kind::PutBackWhileStopped => self.put_back_while_stopped(rng),
            Kind::PutBackAfterKill => self.put_back_after_kill(rng),
            Kind::PutBackWhileOpen => self.put_back_while_open(rng),
            Kind::WalRemoved => self.remove(&["-wal"]),
            Kind::ShmRemoved => self.remove(&["-shm"]),
            Kind::CompanionsRemoved => self.remove(&["-wal", "-shm"]),
            Kind::CompanionsRemovedWhileScanning => self.remove_while_scanning(rng),
            Kind::CompanionsRemovedAfterKill => self.remove_after_kill(rng),
            Kind::LockRemoved => self.remove_lock(),
            Kind::MovedAway => self.move_away(),
            Kind::Deleted => self.delete(rng),
            Kind::Garbage => self.garbage(rng),
            Kind::Damage => self.damage(rng),
            Kind::Kill => {
                self.kill();
                self.start_healthy(State::Good);
            }
            Kind::KillWhileScanning => {
                let mut scan = self.begin_scan(rng);
                std::thread::sleep(Duration::from_micros(rng.below(30_000)));
                self.kill();
                scan.end();
                self.start_healthy(State::Good);
            }
            Kind::Terminate => {
                self.terminate();
                self.start_healthy(State::Good);
            }
            Kind::Reload => self.daemon.as_ref().expect("it runs").signal(Signal::HUP),
            Kind::Freeze => {
                let pause = Duration::from_millis(50 + rng.below(1200));
                self.frozen(|_| std::thread::sleep(pause));
            }
            Kind::ScanBeside => {
                // A scan that something else has cancelled is not a fault; the quiet period starts another.
                if let Err(error) = self.scan() {
                    self.note(&error);
                }
            }
            Kind::ScanForeground => {
                self.close_other();
                self.terminate();
                self.scan().unwrap_or_else(|error| panic!("in the foreground: {error}"));
                self.start_healthy(State::Good);
            }
            Kind::FullDisk => self.fill_disk(rng),
            Kind::DirectoryReadOnly => self.read_only(rng),
            Kind::FutureJob => self.future_job(rng),
            Kind::Requests => self.request(rng),
            Kind::IdleConnections => self.hold_connections(),
        }
        self.expected.seen(&self.films.tree);
    }

    /// The other program keeps a read transaction for some steps.
    fn hold_read(&mut self, rng: &mut Rng) {
        self.write_rows(rng, true);
        let other = self.other.as_ref().expect("just opened");
        other.execute_batch("BEGIN; SELECT count(*) FROM files").expect("read");
        let mode: String = other.query_row("PRAGMA journal_mode", [], |row| row.get(0)).expect("read");
        // In the mode of a backup that has just been put back a reader keeps writers out, and a writer that waits for it
        // every other reader: the database is locked then.
        if mode != "wal" {
            other.execute_batch("COMMIT").expect("ended");
        }
    }

    /// The other program keeps the write lock for a moment, in the middle of a scan.
    fn hold_write(&mut self, rng: &mut Rng) {
        self.close_other();
        let mut scan = self.begin_scan(rng);
        let other = self.connect();
        other.execute_batch("BEGIN IMMEDIATE; UPDATE policies SET version = version").expect("locked");
        std::thread::sleep(Duration::from_millis(50 + rng.below(1000)));
        other.execute_batch("COMMIT").expect("committed");
        scan.end();
    }

    /// The other program locks the database for a moment.
    fn hold_exclusive(&mut self, rng: &mut Rng) {
        self.close_other();
        let from = Instant::now();
        let other = self.connect();
        // The first statement after the pragma takes the lock; a reader of the daemon's may be in the way for a moment.
        within(SEEN, "the exclusive lock", || {
            other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE policies SET version = version; COMMIT").ok()
        });
        std::thread::sleep(Duration::from_millis(50 + rng.below(1400)));
        drop(other);
        self.line.during(State::Locked, from, Instant::now());
        self.calm = false;
    }

    /// Whether a restored database is only in the log: without the log, the previous one is back.
    fn is_restore_in_log(&self) -> bool {
        let lineage = |row: Option<String>| row.and_then(|row| row.split(' ').next().map(str::to_owned));
        lineage(identity(&open_still(&self.database))) != lineage(identity(&self.connect()))
    }

    fn remove(&mut self, endings: &[&str]) {
        self.close_other();
        if self.is_restore_in_log() {
            self.skipped += 1;
            return;
        }
        let (from, mut is_any_gone) = (Instant::now(), false);
        for ending in endings {
            // A log may hold what the other program has just committed.
            let is_gone = fs::remove_file(self.beside(ending)).is_ok();
            self.expected.weak |= is_gone && *ending == "-wal";
            is_any_gone |= is_gone;
        }
        if is_any_gone {
            // A read of the daemon may find half of the log that was there.
            self.line.during(State::Wild, from, Instant::now());
            self.interrupted(from);
        }
    }

    /// The daemon may have been writing since `from`: then it drops what it wrote, and reports that the database was replaced.
    /// Another SQLite program that opens the database before that makes companions of its own, which SQLite does not survive.
    fn interrupted(&mut self, from: Instant) {
        self.calm = false;
        within(SEEN, "the daemon closes the database", || (!self.has_open()).then_some(()));
        if self.line.state() == State::Good {
            self.line.base(State::PerhapsReplaced, from, Instant::now());
        }
    }

    fn remove_while_scanning(&mut self, rng: &mut Rng) {
        self.close_other();
        if self.is_restore_in_log() {
            self.skipped += 1;
            return;
        }
        let from = Instant::now();
        let mut scan = self.begin_scan(rng);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(100) {
            let _ = fs::remove_file(self.beside("-wal"));
            let _ = fs::remove_file(self.beside("-shm"));
        }
        scan.end();
        self.line.during(State::Wild, from, Instant::now());
        self.expected.weak = true;
        self.interrupted(from);
    }

    fn remove_after_kill(&mut self, rng: &mut Rng) {
        self.close_other();
        let at = self.take(Kind::VacuumInto);
        let mut scan = self.begin_scan(rng);
        std::thread::sleep(Duration::from_micros(rng.below(20_000)));
        self.kill();
        scan.end();
        self.expected.weak = true;
        let from = Instant::now();
        let _ = fs::remove_file(self.beside("-wal"));
        let _ = fs::remove_file(self.beside("-shm"));
        let start = self.start(State::PerhapsReplaced);
        if matches!(start, Start::Healthy) && self.read_copy().is_err() {
            // The log of a checkpoint that was cut short is gone. `integrity_check` finds that in the background.
            return self.heal(State::Wild, from, at, rng);
        }
        self.repair(start, at, rng);
    }

    fn remove_lock(&mut self) {
        let from = Instant::now();
        let lock = self.beside(".lock");
        fs::remove_file(&lock).expect("there");
        within(SEEN, "/health warns of the lock", || {
            (self.poller.latest(from)? == "lock_lost").then_some(())
        });
        assert!(!lock.exists(), "only a start makes it again");
        self.terminate();
        self.line.during(State::Unlocked, from, Instant::now());
        self.start_healthy(State::Good);
    }

    /// Waits until `/health` fails.
    fn await_failure(&self, since: Instant) {
        within(SEEN, "/health fails", || self.poller.latest(since)?.starts_with("fail:").then_some(()));
    }

    fn move_away(&mut self) {
        self.close_other();
        self.calm = false;
        let before = self.line.state();
        let gone = self.beside(".gone");
        let from = Instant::now();
        fs::rename(&self.database, &gone).expect("renamed");
        self.line.base(State::Missing, from, Instant::now());
        self.await_failure(from);
        let back = Instant::now();
        fs::rename(&gone, &self.database).expect("renamed");
        let now = Instant::now();
        self.line.base(before, back, now);
        self.interrupted(back);
        within(SEEN, "/health passes again", || {
            (!self.poller.latest(now)?.starts_with("fail:")).then_some(())
        });
    }

    fn delete(&mut self, rng: &mut Rng) {
        let at = self.pick(rng);
        self.close_other();
        self.calm = false;
        let from = Instant::now();
        fs::remove_file(&self.database).expect("removed");
        self.line.base(State::Missing, from, Instant::now());
        self.await_failure(from);
        let (before, back) = (self.adopted(), Instant::now());
        // The new file may well get the old one's inode.
        let way = rng.pick(&[Way::Cp, Way::Slow, Way::Rename]);
        self.place(way, at, rng);
        self.await_adoption(way, at, back, before, true, rng);
    }

    fn garbage(&mut self, rng: &mut Rng) {
        let at = self.pick(rng);
        self.close_other();
        self.calm = false;
        let noise = self.aside();
        let bytes: Vec<u8> = (0..5000).flat_map(|_| rng.next().to_le_bytes()).collect();
        fs::write(&noise, bytes).expect("written");
        let from = Instant::now();
        shell("cat \"$0\" > \"$1\"", [&noise, &self.database]);
        let end = Instant::now();
        self.line.base(State::Garbage, from, end);
        self.await_failure(end);
        self.put_back(Way::Rename, at, rng);
    }

    /// A fifth of the pages in the upper three quarters.
    fn damage(&mut self, rng: &mut Rng) {
        let at = self.pick(rng);
        self.close_other();
        let from = Instant::now();
        let file = fs::File::options().write(true).open(&self.database).expect("opens");
        let pages = file.metadata().expect("there").len() / 4096;
        for page in pages / 4..pages {
            if rng.one_in(5) {
                file.write_all_at(&[0x5A; 4096], page * 4096).expect("written");
            }
        }
        drop(file);
        self.heal(State::PerhapsReplaced, from, at, rng);
    }

    /// Jobs that were made while the clock was ahead: of the other program, and of the daemon on a root that was a mount.
    fn future_job(&mut self, rng: &mut Rng) {
        let other = self.other.take().unwrap_or_else(|| self.connect());
        if !other.is_autocommit() {
            other.execute_batch("COMMIT").expect("committed");
        }
        let added = self.insert(&other, rng, "2099-01-01T00:00:00.000000+00:00");
        self.expected.written(&other, &self.root, added);
        // If another scan of the same root has followed, the last one counts.
        let whole = "status = 'completed' AND summary_json ->> '$.root.filesystem' IS NOT NULL";
        let sql = format!(
            "UPDATE jobs SET created_at = '2099-01-01T00:00:00.000000+00:00',
                summary_json = json_set(summary_json, '$.root.mount_point', json('true'))
             WHERE {whole} AND rowid = (SELECT min(rowid) FROM jobs WHERE {whole})
                AND rowid < (SELECT max(rowid) FROM jobs WHERE {whole})"
        );
        other.execute(&sql, []).expect("changed");
    }

    /// Many clients keep their connections without using them, or close them.
    fn hold_connections(&mut self) {
        if !self.idle.is_empty() {
            return self.idle.clear();
        }
        let daemon = self.daemon.as_ref().expect("it runs");
        for _ in 0..IDLE {
            let mut client = daemon.client();
            assert_eq!(client.get("/livez").status, 200);
            self.idle.push(client);
        }
    }

    /// The API answers in JSON, and never with an error of its own making.
    pub(super) fn request(&mut self, rng: &mut Rng) {
        let paths = [
            "library",
            "files",
            "files?limit=3&status=ok",
            "files/1",
            "files/999999",
            "jobs",
            "jobs?status=failed",
        ];
        let daemon = self.daemon.as_ref().expect("it runs");
        for _ in 0..4 {
            let path = format!("/api/v1/{}", rng.pick(&paths));
            let answer = daemon.get(&path);
            assert!([200, 404, 503].contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
            drop(answer.json());
        }
        assert_eq!(daemon.get("/metrics").status, 200);
    }
}
