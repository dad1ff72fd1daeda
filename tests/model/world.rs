//! What the steps happen to: a daemon, its database, the films, the other program; and what the model knows of them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::content::{Expected, Snapshot};
use super::films::Films;
use super::plan::{Kind, Rng};
use super::poller::Poller;
use super::restore::Backup;
use super::table::{State, Timeline};
use crate::harness::{Client, Daemon, Sandbox};

/// How long a scan that was asked for may take to succeed, with all that may first have to end.
pub(super) const SCAN: Duration = Duration::from_secs(12);

/// Everything of a seed. What runs is dropped first, what it runs on last.
pub(super) struct World {
    pub(super) daemon: Option<Daemon>,
    /// The other program's connection, while it keeps one.
    pub(super) other: Option<Connection>,
    /// Connections that nothing is sent on.
    pub(super) idle: Vec<Client>,
    pub(super) poller: Poller,
    pub(super) films: Films,
    pub(super) expected: Expected,
    pub(super) backups: Vec<Backup>,
    pub(super) line: Timeline,
    /// Nothing has happened since the last quiet period after which the daemon waits before it scans again.
    pub(super) calm: bool,
    pub(super) skipped: usize,
    pub(super) root: PathBuf,
    pub(super) database: PathBuf,
    pub(super) epoch: Instant,
    pub(super) logs: String,
    notes: Vec<String>,
    serial: u64,
    rng: Rng,
    /// A small file system for the database.
    pub(super) disk: Option<Disk>,
    pub(super) sandbox: Sandbox,
}

/// A tmpfs.
pub(super) struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

impl World {
    pub(super) fn new(seed: u64, epoch: Instant) -> Self {
        let sandbox = Sandbox::new();
        let mut rng = Rng::new(!seed);
        let root = sandbox.root();
        let data = sandbox.path("data");
        fs::create_dir_all(&data).expect("a directory");
        // Every other seed, so that both kinds of file system are met: only this one can be filled.
        let disk = if seed.is_multiple_of(2) { Disk::mount(data.clone()) } else { None };
        Self {
            daemon: None,
            other: None,
            idle: Vec::new(),
            poller: Poller::new(),
            films: Films::new(root.clone(), &mut rng),
            expected: Expected::default(),
            backups: Vec::new(),
            line: Timeline::default(),
            calm: true,
            skipped: 0,
            root,
            database: data.join("library.db"),
            epoch,
            logs: String::new(),
            notes: Vec::new(),
            serial: 0,
            rng,
            disk,
            sandbox,
        }
    }

    /// Two libraries, of which one is served.
    pub(super) fn begin(&mut self) {
        let live = std::mem::replace(&mut self.database, self.sandbox.path("another.db"));
        self.make_library(300);
        let backup = Backup::new(self.database.clone(), &self.root);
        self.backups.push(backup);
        self.database = live;
        self.make_library(600);
        let snapshot = Snapshot::read(&self.connect(), &self.root).expect("just made");
        self.expected = Expected::from(&snapshot, &self.films.tree);
        self.start_healthy(State::Good);
        self.take(Kind::VacuumInto);
    }

    /// As the other program makes it: with films of its own that are below no root.
    fn make_library(&mut self, films: u32) {
        self.serial += 1;
        let connection = Connection::open(&self.database).expect("made");
        connection.execute_batch(vpo::library::schema::SQL).expect("valid");
        let transaction = connection.unchecked_transaction().expect("begun");
        for number in 0..films {
            let path = format!("/elsewhere/{}/{number}.mkv", self.serial);
            let insert = "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at,
                    scan_status, content_hash)
                 VALUES (?1, ?1, '/elsewhere', 'mkv', 5, '2020-01-01T00:00:00.000000+00:00', 'then', 'ok', 'none')";
            transaction.execute(insert, [path]).expect("written");
            let insert =
                "INSERT INTO tracks (file_id, track_index, track_type, title) VALUES (?1, 0, 'audio', ?2)";
            let title = "t".repeat(usize::try_from(self.rng.below(1500)).expect("small"));
            transaction.execute(insert, params![transaction.last_insert_rowid(), title]).expect("written");
        }
        transaction.commit().expect("committed");
        if self.rng.one_in(2) {
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("WAL");
        }
    }

    /// A path that nothing has yet.
    pub(super) fn aside(&mut self) -> PathBuf {
        self.serial += 1;
        self.sandbox.path(format!("aside-{}.db", self.serial))
    }

    /// A file beside the database.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        self.database.with_file_name(format!("library.db{ending}"))
    }

    pub(super) fn note(&mut self, text: &str) {
        self.notes.push(format!("{:7.3} s  {text}", self.epoch.elapsed().as_secs_f64()));
    }

    pub(super) fn notes(&self) -> String {
        self.notes.join("\n")
    }

    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    /// What all daemons of this seed have logged.
    pub(super) fn log(&self) -> String {
        let now = self.daemon.as_ref().map(Daemon::log).unwrap_or_default();
        let logs = format!("{}{now}", self.logs);
        // The poller asks forty times a second.
        logs.split_inclusive('\n').filter(|line| !line.contains("request route=")).collect()
    }

    /// A connection to the database, as the other program has it.
    pub(super) fn connect(&self) -> Connection {
        let connection = Connection::open(&self.database).expect("opens");
        connection.busy_timeout(Duration::from_secs(10)).expect("set");
        connection
    }

    /// Ends what the other program does.
    pub(super) fn close_other(&mut self) {
        if let Some(other) = self.other.take()
            && !other.is_autocommit()
        {
            other.execute_batch("COMMIT").expect("committed");
        }
    }

    /// Rows in all tables but `files` and `tracks`; the connection may stay open.
    pub(super) fn write_rows(&mut self, rng: &mut Rng, stays: bool) {
        let other = self.other.take().unwrap_or_else(|| self.connect());
        if !other.is_autocommit() {
            other.execute_batch("COMMIT").expect("committed");
        }
        let added = self.insert(&other, rng, "2025-01-01T00:00:00.000000+00:00");
        self.expected.written(&other, &self.root, added);
        self.other = stays.then_some(other);
    }

    /// The row of a film below the root: updated, deleted, or deleted and inserted again. Only a scan notices.
    pub(super) fn change_row_of_film(&mut self, rng: &mut Rng) {
        self.close_other();
        let other = self.connect();
        let transaction = Transaction::new_unchecked(&other, TransactionBehavior::Immediate).expect("begun");
        let below = format!("{}/", self.root.display());
        let sql = "SELECT id FROM files WHERE substr(path, 1, length(?1)) = ?1 ORDER BY random() LIMIT 1";
        let found = transaction.query_row(sql, [below], |row| row.get::<_, i64>(0)).optional().expect("read");
        let Some(id) = found else { return };
        let way = rng.below(3);
        transaction
            .execute_batch(&match way {
                0 => format!(
                    "UPDATE files SET size_bytes = size_bytes + 1, modified_at = '2020-01-01T00:00:00Z' WHERE id = {id}"
                ),
                1 => format!("DELETE FROM files WHERE id = {id}"),
                _ => format!(
                    "CREATE TEMP TABLE kept AS SELECT * FROM files WHERE id = {id};
                     DELETE FROM files WHERE id = {id};
                     UPDATE kept SET id = NULL;
                     INSERT INTO files SELECT * FROM kept"
                ),
            })
            .expect("written");
        transaction.commit().expect("committed");
        if way > 0 {
            self.expected.deleted(id);
        }
        self.calm = false;
    }

    /// In one transaction; returns how many rows.
    pub(super) fn insert(&mut self, other: &Connection, rng: &mut Rng, created: &str) -> usize {
        self.serial += 1;
        let (name, text) =
            (format!("n{}", self.serial), "p".repeat(usize::try_from(rng.below(9000)).expect("small")));
        let film: i64 = other
            .query_row(
                "SELECT id FROM files WHERE directory = '/elsewhere' ORDER BY random() LIMIT 1",
                [],
                |row| row.get(0),
            )
            .expect("a film");
        let transaction = other.unchecked_transaction().expect("begun");
        let mut added = 0;
        for sql in [
            "INSERT INTO policies (name, definition, created_at, updated_at) VALUES (?1, ?2, ?4, ?4)",
            "INSERT INTO plugin_acknowledgments (plugin_name, plugin_hash, acknowledged_at) VALUES (?1, ?2, ?4)",
            "INSERT INTO operations (id, file_id, file_path, policy_name, policy_version, actions_json, started_at)
                 VALUES (?1, ?3, '/elsewhere', ?1, 1, ?2, ?4)",
            "INSERT OR IGNORE INTO transcription_results (track_id, confidence_score, transcript_sample, plugin_name,
                    created_at, updated_at) SELECT id, 0.5, ?2, ?1, ?4, ?4 FROM tracks WHERE file_id = ?3",
            "INSERT INTO jobs (id, file_id, file_path, job_type, policy_json, created_at)
                 VALUES (?1, ?3, '/elsewhere', 'transcode', '{\"text\":\"' || ?2 || '\"}', ?4)",
            "INSERT INTO jobs (id, file_path, job_type, created_at)
                 SELECT ?1 || '-scan', '/elsewhere', 'scan', ?4 WHERE ?2 IS NOT NULL AND ?3 > 0",
        ] {
            if rng.below(3) > 0 {
                added += transaction.prepare(sql).and_then(|mut statement| {
                    let all: [&dyn rusqlite::ToSql; 4] = [&name, &text, &film, &created];
                    for (index, value) in all.into_iter().enumerate() {
                        if index < statement.parameter_count() {
                            statement.raw_bind_parameter(index + 1, value)?;
                        }
                    }
                    statement.raw_execute()
                })
                .expect("written");
            }
        }
        transaction.commit().expect("committed");
        added
    }
}
