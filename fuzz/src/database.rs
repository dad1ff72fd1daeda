//! A hostile file where the daemon expects its database: what the daemon does with it must end, and without a panic.
//!
//! An input is one of:
//!
//! - `SQL ` and statements: they run on a new database of ours, as a program would that means harm. What they leave is
//!   the file. So the fuzzer can change a schema, not only bytes of a page.
//! - `WAL `, the length of the database in four bytes (big-endian), the database, its `-wal`.
//! - Anything else: the database.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::limits::Limit;
use tokio_util::sync::CancellationToken;
use vpo::base::facts::{Facts, TrackFacts};
use vpo::base::timestamp::Timestamp;
use vpo::library::files::listing::{self, Filter};
use vpo::library::files::writer::{Content, Record, Track, Writer};
use vpo::library::files::{self, Span};
use vpo::library::jobs::{self, Reason, listing as jobs_listing};
use vpo::library::{Error, Library, Options, Retry, schema, totals};

/// How long the daemon's own deadline is here.
const DEADLINE: Duration = Duration::from_secs(1);

/// How long all that is done with one file may take, with slack for a busy machine. libFuzzer's `-timeout` is longer, and
/// finds what never returns.
const LIMIT: Duration = Duration::from_secs(8);

/// How many instructions of SQLite the making of a hostile database may take.
const INSTRUCTIONS: i32 = 200_000;

/// Places `input` as a database and treats it as the daemon does.
pub fn check(input: &[u8]) {
    let directory = directory();
    let path = directory.join("library.db");
    for mode in [Mode::View, Mode::Open { write: false }, Mode::Open { write: true }] {
        if place(input, &path).is_none() {
            return;
        }
        let start = Instant::now();
        let _ = exercise(&path, mode);
        let took = start.elapsed();
        assert!(took < LIMIT, "{mode:?} took {took:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// As `vpo scan` looks beside a daemon.
    View,
    /// As `vpo serve` does, with roots or without.
    Open { write: bool },
}

/// A directory of this process in `$TMPDIR`, which `fuzz/run` puts into memory and removes.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| std::env::temp_dir().join(format!("vpo-fuzz-{}", std::process::id())))
}

/// Writes the files that `input` stands for; `None` where it stands for none.
fn place(input: &[u8], path: &Path) -> Option<()> {
    let directory = path.parent()?;
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).ok()?;
    if let Some(sql) = input.strip_prefix(b"SQL ") {
        return make(std::str::from_utf8(sql).ok()?, path);
    }
    let Some(rest) = input.strip_prefix(b"WAL ") else { return fs::write(path, input).ok() };
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (database, wal) = rest.split_at_checked(length)?;
    fs::write(path, database).ok()?;
    fs::write(path.with_file_name("library.db-wal"), wal).ok()
}

/// A database of ours after `sql`. Statements that SQLite refuses are left out.
fn make(sql: &str, path: &Path) -> Option<()> {
    // Nothing but the one file: `ATTACH` and `VACUUM INTO` would write elsewhere.
    let lower = sql.to_ascii_lowercase();
    if lower.contains("attach") || lower.contains("vacuum") && lower.contains("into") {
        return None;
    }
    let mut connection = Connection::open(path).ok()?;
    connection.execute_batch("PRAGMA page_size = 512").ok()?;
    connection.execute_batch(schema::SQL).ok()?;
    connection.execute_batch(ROWS).ok()?;
    // What is made here must not take long itself, not even one costly function.
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 50_000).ok()?;
    let mut left = INSTRUCTIONS / 1000;
    let count = move || {
        left -= 1;
        left < 0
    };
    connection.progress_handler(1000, Some(count)).ok()?;
    for statement in sql.split(";;") {
        let _ = connection.execute_batch(statement);
    }
    Some(())
}

const ROWS: &str = "
    INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at, scan_status)
    VALUES ('/v/a.mkv', 'a.mkv', '/v', 'mkv', 1000, '2020-01-01T00:00:00.000000+00:00', '2020-01-01T00:00:00.000000+00:00', 'ok'),
           ('/v/b.mkv', 'b.mkv', '/v', 'mkv', 2000, '2020-01-01T00:00:00.000000+00:00', '2020-01-01T00:00:00.000000+00:00', 'ok');
    INSERT INTO tracks (file_id, track_index, track_type, codec) VALUES (1, 0, 'video', 'h264'), (2, 0, 'video', 'hevc');
    INSERT INTO jobs (id, file_path, job_type, status, policy_json, created_at)
    VALUES ('1', '/v', 'scan', 'running', '{\"by\": \"vpo-serve\"}', '2020-01-01T00:00:00.000000+00:00');";

/// Does with the database what the daemon does, and cancels it at the deadline.
fn exercise(path: &Path, mode: Mode) -> Result<(), Error> {
    let cancel = CancellationToken::new();
    let (done, is_done) = channel::<()>();
    std::thread::scope(|scope| {
        let at_deadline = &cancel;
        scope.spawn(move || {
            if is_done.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
                at_deadline.cancel();
            }
        });
        let _done = done;
        use_database(path, mode, &cancel)
    })
}

/// Opens the database, checks it, reads what the API reads, and writes what a scan writes.
fn use_database(path: &Path, mode: Mode, cancel: &CancellationToken) -> Result<(), Error> {
    let opened = match mode {
        Mode::View => Library::view(path, cancel),
        Mode::Open { write } => Library::open(path, Options { write, ..Options::default() }, cancel),
    };
    // Names in a hostile schema are part of some messages, line breaks included: what prints them escapes them.
    let Ok(library) = opened else { return Ok(()) };
    let _ = library.check();
    let retry = Retry { timeout: Some(DEADLINE), ..Retry::new(cancel) };
    let _ = totals::count(&library, &[], cancel);
    let _ = library.read(retry, |tx| listing::page(tx, &Filter::default(), 0, 10));
    let _ = library.read(retry, |tx| listing::details(tx, 1));
    let _ = library.read(retry, |tx| jobs_listing::page(tx, &jobs_listing::Filter::default(), None, 10));
    let _ = library.read(retry, |tx| files::known(tx, &Span::below("/v"), 10));
    let _ = library.read(retry, |tx| files::unhashed(tx, 0, 10));
    let _ = library.read(retry, |tx| jobs::queued(tx));
    let _ = library.write(retry, |tx| jobs::fail_abandoned(tx));
    let _ = library.write(retry, |tx| jobs::queue(tx, "2", "/v", &jobs::Options::new(Reason::Start)));
    let _ = library.write(retry, |tx| {
        let mut writer = Writer::new(tx)?;
        let facts = (Facts::default(), TrackFacts { profile: Some("High".to_owned()), ..TrackFacts::default() });
        let paths = ["/v/a.mkv", "/v/c.mkv"];
        paths.into_iter().try_for_each(|path| writer.upsert(&record(path, &facts)).map(drop))
    });
    let _ = library.check();
    let _ = library.close();
    Ok(())
}

fn record<'a>(path: &'a str, facts: &'a (Facts, TrackFacts<&'static str>)) -> Record<'a> {
    let track = Track {
        track_type: "video",
        codec: Some("h264"),
        language: None,
        title: None,
        is_default: true,
        is_forced: false,
        channels: None,
        channel_layout: None,
        width: Some(1920),
        height: Some(1080),
        frame_rate: Some("25/1"),
    };
    Record {
        path,
        extension: "mkv",
        size: 3000,
        modified: Timestamp::now(),
        content: Ok(Content {
            container_format: "matroska,webm",
            duration_seconds: Some(1.5),
            facts: &facts.0,
            tracks: vec![(track, &facts.1)],
        }),
        hash: None,
        prober: 1,
        first_seen: None,
    }
}

/// Counts for ever.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

/// Databases to begin with: real ones in several forms, and schemas that were made to do harm.
#[must_use]
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<(String, Vec<u8>)> = scripts()
        .into_iter()
        .map(|(name, sql)| (format!("sql-{name}"), [b"SQL ", sql.as_bytes()].concat()))
        .collect();
    for (name, sql) in [
        ("rollback", "SELECT 1"),
        ("wal", "PRAGMA journal_mode = WAL"),
        ("utf16", "CREATE TABLE utf16 (x);; INSERT INTO utf16 VALUES (CAST(x'd800' AS TEXT))"),
        ("auto-vacuum", "PRAGMA auto_vacuum = FULL;; VACUUM"),
        ("empty-table", "DELETE FROM files;; VACUUM"),
    ] {
        let path = directory().join("library.db");
        place(format!("SQL {sql}").as_bytes(), &path).expect("a database");
        seeds.push((format!("file-{name}"), fs::read(&path).expect("readable")));
    }
    seeds.push((
        "wal-left".to_owned(),
        with_wal("INSERT INTO policies (name, definition, created_at, updated_at) VALUES ('a', '', '', '')"),
    ));
    seeds.push(("wal-schema".to_owned(), with_wal("ALTER TABLE files ADD COLUMN theirs; DELETE FROM _meta")));
    for (name, file) in seeds.clone() {
        if name == "file-rollback" {
            seeds.push(("cut".to_owned(), file[..file.len() / 2].to_vec()));
            // A page size, a reserved space and a page count that do not fit.
            for (at, bytes) in [
                (16, &[0, 1][..]),
                (20, &[0xFF]),
                (28, &[0x7F, 0xFF, 0xFF, 0xFF]),
                (100, &[0x02]),
                (105, &[0xFF, 0xFF]),
            ] {
                let mut mutant = file.clone();
                mutant[at..at + bytes.len()].copy_from_slice(bytes);
                seeds.push((format!("header-{at}"), mutant));
            }
        }
    }
    let _ = fs::remove_dir_all(directory());
    seeds
}

/// A database in WAL mode whose log holds `sql`.
fn with_wal(sql: &str) -> Vec<u8> {
    let path = directory().join("library.db");
    place(b"SQL PRAGMA journal_mode = WAL", &path).expect("a database");
    let connection = Connection::open(&path).expect("opens");
    connection.execute_batch(sql).expect("valid");
    let database = fs::read(&path).expect("readable");
    let wal = fs::read(path.with_file_name("library.db-wal")).expect("a log");
    let length = u32::try_from(database.len()).expect("small").to_be_bytes();
    [&b"WAL "[..], &length, &database, &wal].concat()
}

fn scripts() -> Vec<(&'static str, String)> {
    // Five million times five million comparisons within one instruction of SQLite's virtual machine.
    let costly = "instr(hex(zeroblob(5000000 + length(id))), hex(zeroblob(2500000)) || '1')";
    vec![
        ("plain", "SELECT 1".to_owned()),
        (
            "endless-trigger",
            format!("CREATE TRIGGER t AFTER INSERT ON files BEGIN INSERT INTO _meta SELECT max(i), '' FROM ({ENDLESS}); END"),
        ),
        (
            "endless-update-trigger",
            format!("CREATE TRIGGER t BEFORE UPDATE ON jobs BEGIN INSERT INTO _meta SELECT max(i), '' FROM ({ENDLESS}); END"),
        ),
        (
            "endless-meta",
            format!("DROP TABLE _meta;; CREATE VIEW _meta AS SELECT 'schema_version' AS key, '7' AS value FROM ({ENDLESS}) WHERE i < 0"),
        ),
        (
            "endless-files",
            format!("ALTER TABLE files RENAME TO f;; CREATE VIEW files AS SELECT f.* FROM f, ({ENDLESS}) WHERE i < 0"),
        ),
        (
            "costly-column",
            format!("DELETE FROM files;; ALTER TABLE files ADD COLUMN c GENERATED ALWAYS AS ({costly}) VIRTUAL;; CREATE INDEX i ON files(c)"),
        ),
        ("costly-index", format!("DELETE FROM files;; CREATE INDEX i ON files({costly}, path)")),
        ("costly-partial-index", format!("DELETE FROM files;; CREATE INDEX i ON files(path) WHERE {costly} + size_bytes > 0")),
        (
            "costly-check",
            format!("ALTER TABLE jobs RENAME TO j;; CREATE TABLE jobs (id TEXT PRIMARY KEY, file_id, file_path, job_type, status, priority, policy_name, policy_json, progress_percent, progress_json, created_at, started_at, completed_at, worker_pid, worker_heartbeat, output_path, backup_path, error_message, files_affected_json, summary_json, CHECK ({costly} = 0))"),
        ),
        ("virtual-table", "CREATE VIRTUAL TABLE v USING json_each".to_owned()),
        (
            "forged-schema",
            "PRAGMA writable_schema = ON;; UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'files';; UPDATE sqlite_schema SET sql = 'CREATE TABLE jobs (id' WHERE name = 'jobs'".to_owned(),
        ),
        ("wide-table", format!("CREATE TABLE wide ({})", (0..1500).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", "))),
        ("long-version", "UPDATE _meta SET value = printf('%.40000c', '7')".to_owned()),
        ("deep-json", "UPDATE jobs SET policy_json = printf('%.5000c', '[')".to_owned()),
        ("blobs", "UPDATE files SET path = x'00ff', size_bytes = 'x', modified_at = 1e999, scan_status = zeroblob(40000)".to_owned()),
        ("rowids", "UPDATE files SET id = 9223372036854775807 WHERE id = 2".to_owned()),
    ]
}
