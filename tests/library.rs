//! The library file through the crate's own interface: what is made, what is refused, what is left alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;
use vpo::base::address::Address;
use vpo::base::error::chain;
use vpo::base::times::DATABASE_BUSY_TIMEOUT;
use vpo::library::lock::{self, Found, Lock, LockError};
use vpo::library::{Error, Finding, Library, OpenError, Options, Reason, Retry};

use crate::harness::database::{INSERT_POLICY, count_logs_set_aside, open_without_checkpoint};
use crate::harness::{Sandbox, eventually, in_time};

/// A wait that is not cancelled: for as long as outside a scan.
const RETRY: Retry<'static> =
    Retry { timeout: Some(DATABASE_BUSY_TIMEOUT), cancel: None, observer: None, generation: None };

const READ: Options<'_> = Options { write: false, create_directory: false, runtime_directory: None };
const WRITE: Options<'_> = Options { write: true, create_directory: false, runtime_directory: None };

fn open(path: &Path, options: Options<'_>) -> Result<Library, OpenError> {
    Library::open(path, options, &CancellationToken::new())
}

#[track_caller]
fn refusal(path: &Path, options: Options<'_>) -> String {
    let text = chain(&open(path, options).expect_err("refused"));
    assert!(!text.contains('\n'), "one line: {text}");
    text
}

#[track_caller]
fn assert_well(finding: &Finding) {
    assert_eq!((finding.reason, finding.detail.as_deref()), (None, None));
}

/// Checks until what has changed has stood still and is judged.
#[track_caller]
fn check_until_generation(library: &Library, generation: u64) -> Finding {
    eventually("the check takes what is there into use", || {
        let finding = library.check();
        (library.generation() == generation).then_some(finding)
    })
}

/// Every file of a directory with its content.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(directory)
        .expect("readable")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), fs::read(&path).expect("readable")))
        .collect()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

/// A library made in the sandbox by us, unlocked, in rollback mode.
fn library(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.path("library.db");
    drop(open(&path, READ).expect("created"));
    fs::remove_file(sandbox.path("library.db.lock")).expect("the lock was there");
    path
}

fn sqlite(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("opens")
}

fn count(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM files", [], |row| row.get(0))
}

const FILE: &str =
    "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at)
     VALUES (hex(randomblob(8)), 'f', 'd', 'mkv', 1, 't', 't')";

// ---------------------------------------------------------------------------------------- the schema

/// Table by table: columns as `name type [NN] [=default] [PK]`, foreign keys, indexes with their columns. Written down
/// here a second time on purpose: other programs rely on each of them.
const SCHEMA: &str = "\
_meta: key TEXT PK, value TEXT NN
  unique(key)
files: id INTEGER PK, path TEXT NN, filename TEXT NN, directory TEXT NN, extension TEXT NN, size_bytes INTEGER NN, \
modified_at TEXT NN, content_hash TEXT, container_format TEXT, scanned_at TEXT NN, scan_status TEXT NN ='pending', scan_error TEXT
  idx_files_content_hash(content_hash)
  idx_files_directory(directory)
  idx_files_extension(extension)
  unique(path)
jobs: id TEXT PK, file_id INTEGER, file_path TEXT NN, job_type TEXT NN, status TEXT NN ='queued', priority INTEGER NN =100, \
policy_name TEXT, policy_json TEXT, progress_percent REAL NN =0.0, progress_json TEXT, created_at TEXT NN, started_at TEXT, \
completed_at TEXT, worker_pid INTEGER, worker_heartbeat TEXT, output_path TEXT, backup_path TEXT, error_message TEXT, \
files_affected_json TEXT, summary_json TEXT
  file_id -> files(id) ON DELETE CASCADE
  idx_jobs_created_at(created_at)
  idx_jobs_file_id(file_id)
  idx_jobs_priority_created(priority,created_at)
  idx_jobs_status(status)
  unique(id)
operations: id TEXT PK, file_id INTEGER NN, file_path TEXT NN, policy_name TEXT NN, policy_version INTEGER NN, \
actions_json TEXT NN, status TEXT NN ='PENDING', error_message TEXT, backup_path TEXT, started_at TEXT NN, completed_at TEXT
  file_id -> files(id) ON DELETE CASCADE
  idx_operations_file_id(file_id)
  idx_operations_started_at(started_at)
  idx_operations_status(status)
  unique(id)
plugin_acknowledgments: id INTEGER PK, plugin_name TEXT NN, plugin_hash TEXT NN, acknowledged_at TEXT NN, acknowledged_by TEXT
  idx_plugin_ack_name(plugin_name)
  unique(plugin_name,plugin_hash)
policies: id INTEGER PK, name TEXT NN, version INTEGER NN =1, definition TEXT NN, created_at TEXT NN, updated_at TEXT NN
  unique(name)
tracks: id INTEGER PK, file_id INTEGER NN, track_index INTEGER NN, track_type TEXT NN, codec TEXT, language TEXT, title TEXT, \
is_default INTEGER NN =0, is_forced INTEGER NN =0, channels INTEGER, channel_layout TEXT, width INTEGER, height INTEGER, frame_rate TEXT
  file_id -> files(id) ON DELETE CASCADE
  idx_tracks_file_id(file_id)
  idx_tracks_language(language)
  idx_tracks_type(track_type)
  unique(file_id,track_index)
transcription_results: id INTEGER PK, track_id INTEGER NN, detected_language TEXT, confidence_score REAL NN, \
track_type TEXT NN ='main', transcript_sample TEXT, plugin_name TEXT NN, created_at TEXT NN, updated_at TEXT NN
  track_id -> tracks(id) ON DELETE CASCADE
  idx_transcription_language(detected_language)
  idx_transcription_plugin(plugin_name)
  idx_transcription_track_id(track_id)
  idx_transcription_type(track_type)
  unique(track_id)
";

fn strings(connection: &Connection, sql: &str, parameter: &str) -> Vec<String> {
    connection
        .prepare(sql)
        .expect("valid")
        .query_map([parameter], |row| row.get(0))
        .expect("runs")
        .collect::<Result<_, _>>()
        .expect("strings")
}

fn describe(connection: &Connection) -> String {
    let mut text = String::new();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE ?1 ORDER BY name";
    for table in strings(connection, tables, "@") {
        let columns = strings(
            connection,
            "SELECT name || ' ' || type || iif(\"notnull\", ' NN', '') || iif(dflt_value IS NULL, '', ' =' || dflt_value)
                 || iif(pk, ' PK', '') FROM pragma_table_info(?1)",
            &table,
        );
        let _ = writeln!(text, "{table}: {}", columns.join(", "));
        let mut rest = strings(
            connection,
            "SELECT \"from\" || ' -> ' || \"table\" || '(' || \"to\" || ') ON DELETE ' || on_delete FROM pragma_foreign_key_list(?1)",
            &table,
        );
        let mut indexes = strings(
            connection,
            "SELECT iif(\"unique\", 'unique', name) || '('
                 || (SELECT group_concat(name) FROM pragma_index_info(list.name)) || ')'
             FROM pragma_index_list(?1) AS list",
            &table,
        );
        indexes.sort();
        rest.extend(indexes);
        for line in rest {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// The statements as SQLite keeps them, without comments and layout: CHECK constraints and AUTOINCREMENT are
/// nowhere else.
fn statements(connection: &Connection) -> Vec<String> {
    strings(
        connection,
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> ?1 ORDER BY type, name",
        "",
    )
    .iter()
    .map(|sql| {
        let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or("")).collect();
        code.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    })
    .collect()
}

#[test]
fn a_new_library_has_schema_version_7() {
    let sandbox = Sandbox::new();
    let connection = sqlite(&library(&sandbox));
    assert_eq!(describe(&connection), SCHEMA);
    let meta: Vec<String> = strings(&connection, "SELECT key || '=' || value FROM _meta WHERE key <> ?1", "");
    assert_eq!(meta, ["schema_version=7"]);
    let sql = statements(&connection).join("\n");
    for check in [
        "CONSTRAINT valid_status CHECK ( status IN ('PENDING', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'ROLLED_BACK') )",
        "CONSTRAINT valid_status CHECK ( status IN ('queued', 'running', 'completed', 'failed', 'cancelled') )",
        "CONSTRAINT valid_job_type CHECK ( job_type IN ('transcode', 'move', 'scan', 'apply') )",
        "CONSTRAINT valid_progress CHECK ( progress_percent >= 0.0 AND progress_percent <= 100.0 )",
        "CONSTRAINT valid_confidence CHECK ( confidence_score >= 0.0 AND confidence_score <= 1.0 )",
        "CONSTRAINT valid_track_type CHECK ( track_type IN ('main', 'commentary', 'alternate') )",
    ] {
        assert!(sql.contains(check), "{check}\nnot in\n{sql}");
    }
    assert_eq!(sql.matches("PRIMARY KEY AUTOINCREMENT").count(), 5);
}

#[test]
fn a_new_library_equals_one_of_another_vpo_program() {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/library-v7.db");
    if !real.exists() {
        eprintln!("skipped: {} is not there", real.display());
        return;
    }
    let sandbox = Sandbox::new();
    let copy = sandbox.path("real.db");
    fs::write(&copy, fs::read(real).expect("readable")).expect("writable");
    let (ours, theirs) = (sqlite(&library(&sandbox)), sqlite(&copy));
    assert_eq!(describe(&ours), describe(&theirs));
    assert_eq!(statements(&ours), statements(&theirs));
    for pragma in ["encoding", "page_size", "auto_vacuum", "user_version", "application_id", "journal_mode"] {
        let value = |connection: &Connection| {
            connection
                .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
                .expect("a value")
        };
        assert_eq!(value(&ours), value(&theirs), "{pragma}");
    }
    drop((ours, theirs));
    assert_well(&open(&copy, READ).expect("opens").check());
}

// ---------------------------------------------------------------------------------------- creation

#[test]
fn creation_leaves_the_library_and_its_lock_and_nothing_else() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("library.db");
    let opened = open(&path, READ).expect("created");
    assert_eq!(names(&sandbox.path("")), ["library.db", "library.db.lock"]);
    assert_well(&opened.check());
}

#[test]
fn two_first_starts_at_once_make_one_library() {
    for _ in 0..20 {
        let sandbox = Sandbox::new();
        let path = sandbox.path("library.db");
        let barrier = Barrier::new(2);
        // Ends the wait of the one that does not get the lock.
        let cancel = CancellationToken::new();
        let results: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                let opened = Library::open(&path, READ, &cancel);
                cancel.cancel();
                opened
            };
            let threads = [scope.spawn(start), scope.spawn(start)];
            threads.map(|thread| thread.join().expect("no panic"))
        })
        .into();
        let won: Vec<_> = results.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{results:?}");
        assert_well(&won[0].check());
        assert_eq!(names(&sandbox.path("")), ["library.db", "library.db.lock"]);
    }
}

#[test]
fn a_draft_of_a_killed_start_is_removed_by_the_next() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("library.db");
    sandbox.write(".vpo-draft-1-x/draft.db", "of another program");
    for _ in 0..2 {
        let draft = sandbox.write(".vpo-draft-1-1/draft.db", "half of a database");
        sandbox.write(".vpo-draft-4711-1763776243123456789/draft.db-journal", "");
        assert_well(&open(&path, READ).expect("opens").check());
        assert_eq!(names(&sandbox.path("")), [".vpo-draft-1-x", "library.db", "library.db.lock"]);
        assert!(!draft.exists());
    }
    // A start that is refused changes nothing.
    let draft = sandbox.write(".vpo-draft-1-1/draft.db", "half of a database");
    fs::remove_file(&path).expect("removed");
    assert!(matches!(open(&path, READ), Err(OpenError::Lost { .. })));
    assert!(draft.exists());
}

#[test]
fn only_the_default_directory_is_created() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("missing/library.db");
    let text = refusal(&path, READ);
    assert!(text.contains("does not exist") && text.contains("mount"), "{text}");
    assert!(!sandbox.path("missing").exists());
    let default = Options { create_directory: true, ..READ };
    drop(open(&path, default).expect("created"));
    assert!(path.exists());
    let deep = sandbox.path("a/b/library.db");
    assert!(open(&deep, default).is_err(), "one directory, not a whole path");
}

#[test]
fn a_lost_library_is_never_replaced_by_an_empty_one() {
    for trace in ["library.db.lock", "library.db-wal", "library.db-journal"] {
        for options in [READ, WRITE, Options { create_directory: true, ..WRITE }] {
            let sandbox = Sandbox::new();
            sandbox.write(trace, "");
            let text = refusal(&sandbox.path("library.db"), options);
            assert!(text.contains("lost") && text.contains(trace) && text.contains("backup"), "{text}");
            assert_eq!(names(&sandbox.path("")), [trace], "nothing is touched");
        }
    }
}

#[test]
fn a_library_lost_under_a_running_daemon_is_still_in_use() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve([""; 0]);
    daemon.wait_healthy();
    fs::remove_file(sandbox.library()).expect("removed");
    for args in [["serve", "--port", "0"], ["scan", "--database", "library.db"]] {
        let database = sandbox.library();
        let args = args.map(|arg| if arg == "library.db" { database.as_os_str() } else { arg.as_ref() });
        let output = sandbox.run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !text.contains("remove"), "{text}");
        if args[0] == "serve" {
            let holder = format!("in use by the daemon with pid {}", daemon.pid());
            assert!(text.contains(&holder) && text.contains("error[database-in-use]"), "{text}");
        }
    }
    assert_eq!(daemon.get("/livez").status, 200);
}

// ---------------------------------------------------------------------------------------- refusals

#[test]
fn what_is_not_a_library_is_refused_by_name_and_not_touched() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.db", "");
    sandbox.write(
        "garbage.db",
        "no database at all, but long enough for a header of one hundred bytes ".repeat(20),
    );
    sandbox.write("short.db", "x");
    sqlite_create(&sandbox.path("foreign.db"), "CREATE TABLE recipes (id); CREATE TABLE cooks (id);");
    sqlite_create(&sandbox.path("tableless.db"), "PRAGMA user_version = 3;");
    sqlite_create(
        &sandbox.path("older.db"),
        "CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT NOT NULL); INSERT INTO _meta VALUES ('schema_version', '6');",
    );
    sqlite_create(
        &sandbox.path("hollow.db"),
        "CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT NOT NULL); INSERT INTO _meta VALUES ('schema_version', '7');",
    );
    sqlite_create(
        &sandbox.path("number.db"),
        "CREATE TABLE _meta (key, value); INSERT INTO _meta VALUES ('schema_version', 8);",
    );
    for (name, expected) in [
        ("empty.db", "empty (zero bytes)"),
        ("garbage.db", "error[not-a-database]"),
        ("short.db", "fewer than any database"),
        ("foreign.db", "cooks, recipes"),
        ("tableless.db", "no tables"),
        ("older.db", "schema version 6, but this vpo reads and writes version 7"),
        ("hollow.db", "lacks files, jobs, operations,"),
        ("number.db", "schema version"),
    ] {
        let path = sandbox.path(name);
        let before = fs::read(&path).expect("readable");
        for options in [READ, WRITE] {
            let text = refusal(&path, options);
            assert!(text.contains(expected) && text.contains(name), "{name}: {text}");
        }
        assert_eq!(fs::read(&path).expect("readable"), before, "{name} is not touched");
        for suffix in ["-wal", "-shm", "-journal", ".lock"] {
            assert!(!sandbox.path(format!("{name}{suffix}")).exists(), "{name}{suffix}");
        }
    }
}

fn sqlite_create(path: &Path, sql: &str) {
    Connection::open(path).expect("opens").execute_batch(sql).expect("runs");
}

#[test]
fn what_is_not_a_file_is_refused_without_opening_it() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("directory")).expect("made");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        sandbox.path("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("made");
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("socket")).expect("bound");
    symlink("nowhere", sandbox.path("dangling")).expect("made");
    sandbox.write("file", "");
    symlink("circle", sandbox.path("circle")).expect("made");
    let long = "x".repeat(300);
    for (name, expected) in [
        ("directory", "is a directory"),
        ("fifo", "named pipe"),
        ("socket", "a socket"),
        ("dangling", "symbolic link to nowhere"),
        ("file/library.db", "file is a file, not a directory: correct `database.path`"),
        ("file/deep/er/library.db", "file is a file, not a directory: correct `database.path`"),
        ("circle", "circle is a symbolic link that leads in a circle: remove it"),
        ("circle/deep/library.db", "circle is a symbolic link that leads in a circle: remove it"),
        (long.as_str(), "too long: correct `database.path`"),
        ("/dev/null", "a device"),
    ] {
        let text = refusal(&sandbox.path(name), READ);
        assert!(text.contains(expected), "{name}: {text}");
        assert!(!text.contains("chown"), "{name}: {text}");
    }
    assert!(!sandbox.path("nowhere").exists());
}

#[test]
fn a_refused_path_is_explained_in_one_line() {
    let sandbox = Sandbox::new();
    let text = refusal(Path::new("/proc/library.db"), READ);
    let ids = format!(
        "vpo runs as {}:{}",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
    for part in
        ["/proc/library.db", ids.as_str(), "mode 0555", "0:0", ":U", "--userns=keep-id", "ReadWritePaths="]
    {
        assert!(text.contains(part), "{part:?} not in {text}");
    }
    drop(sandbox);
}

#[test]
fn a_foreign_database_in_wal_mode_keeps_its_neighbourhood() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("foreign.db");
    sqlite_create(&path, "PRAGMA journal_mode = WAL; CREATE TABLE recipes (id);");
    let before = contents(&sandbox.path(""));
    let text = refusal(&path, READ);
    assert!(text.contains("recipes"), "{text}");
    assert_eq!(contents(&sandbox.path("")), before);
}

// ---------------------------------------------------------------------------------------- reading only

#[test]
fn reading_leaves_every_byte_as_it_was() {
    // Rollback mode; WAL mode and closed; WAL mode with a log left by a killed writer.
    for mode in ["delete", "wal", "wal left open"] {
        let sandbox = Sandbox::new();
        let path = sandbox.path("lib/library.db");
        fs::create_dir(sandbox.path("lib")).expect("made");
        drop(open(&path, READ).expect("created"));
        if mode == "delete" {
            sqlite(&path).execute_batch(FILE).expect("written");
        } else {
            let writer = sqlite(&path);
            writer.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("WAL");
            writer.execute_batch(FILE).expect("written");
            if mode == "wal" {
                drop(writer);
            } else {
                // What a killed writer leaves: the files as they are at this moment.
                let left = contents(&sandbox.path("lib"));
                drop(writer);
                for (path, bytes) in left {
                    fs::write(path, bytes).expect("written");
                }
                fs::remove_file(sandbox.path("lib/library.db-shm")).expect("only an index");
            }
        }
        let before = contents(&sandbox.path("lib"));
        let opened = open(&path, READ).expect("opens");
        for _ in 0..3 {
            assert_well(&opened.check());
        }
        let files = opened.read(RETRY, |tx| count(tx));
        assert_eq!(files.expect("read"), 1, "{mode}: what is in the log counts");
        assert!(matches!(opened.write(RETRY, |tx| tx.execute(FILE, [])), Err(Error::ReadOnly(_))));
        opened.close().expect("closes");
        drop(opened);
        let mut after = contents(&sandbox.path("lib"));
        let lock = sandbox.path("lib/library.db.lock");
        assert!(after.remove(&lock).is_some());
        let mut before = before;
        before.remove(&lock);
        if mode == "wal left open" {
            after.remove(&sandbox.path("lib/library.db-shm"));
        }
        assert_eq!(
            after.keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>(),
            "{mode}: no file comes or goes"
        );
        assert!(after == before, "{mode}: bytes as they were");
    }
}

#[test]
fn an_unfinished_write_of_another_program_is_left_to_those_who_may_write() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let writer = sqlite(&path);
    writer.execute_batch(FILE).expect("written");
    drop(writer);
    die_while_writing(&path, &[FILE; 200].join(";"));
    let left = contents(&sandbox.path(""));
    assert!(sandbox.path("library.db-journal").exists());
    let text = refusal(&path, READ);
    assert!(text.contains("unfinished write"), "{text}");
    assert!(contents(&sandbox.path("")) == left, "nothing is touched");
    let opened = open(&path, WRITE).expect("undone by one that may write");
    assert_eq!(opened.read(RETRY, |tx| count(tx)).expect("read"), 1);
    assert_well(&opened.check());
}

/// A program that dies in the middle of a large transaction leaves pages of it in the file, and a journal.
fn die_while_writing(path: &Path, sql: &str) {
    let left = {
        let writer = sqlite(path);
        writer.execute_batch(&format!("PRAGMA cache_size = 1; BEGIN; {sql}")).expect("written");
        contents(path.parent().expect("a directory"))
    };
    for (path, bytes) in &left {
        fs::write(path, bytes).expect("written");
    }
}

#[test]
fn an_unfinished_write_in_what_is_not_ours_is_not_touched_by_anyone() {
    let row = "INSERT INTO recipes VALUES (zeroblob(3000))";
    for (name, schema, expected) in [
        ("foreign", "CREATE TABLE recipes (x)", "not a VPO library"),
        (
            "newer",
            "CREATE TABLE recipes (x); CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
             INSERT INTO _meta VALUES ('schema_version', '8')",
            "schema version 8, of a newer VPO, but this vpo reads and writes version 7",
        ),
    ] {
        let sandbox = Sandbox::new();
        let path = sandbox.path("library.db");
        sqlite_create(&path, schema);
        die_while_writing(&path, &[row; 200].join(";"));
        assert!(sandbox.path("library.db-journal").exists());
        let before = contents(&sandbox.path(""));
        for options in [READ, WRITE] {
            let text = refusal(&path, options);
            assert!(text.contains(expected), "{name}: {text}");
            assert!(contents(&sandbox.path("")) == before, "{name}: nothing is touched, and nothing made");
        }
    }
}

#[test]
fn while_nothing_goes_on_the_file_alone_is_the_library() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let opened = open(&path, WRITE).expect("opens");
    opened.write(RETRY, |tx| tx.execute(FILE, [])).expect("written");
    fs::copy(&path, sandbox.path("backup.db")).expect("copied");
    assert_eq!(count(&sqlite(&sandbox.path("backup.db"))).expect("read"), 1);
    assert_well(&opened.check());
}

#[test]
fn a_writer_that_comes_while_we_read_is_seen() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let writer = sqlite(&path);
    writer.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("WAL");
    drop(writer);
    let opened = open(&path, READ).expect("opens");
    let files = || opened.read(RETRY, |tx| count(tx)).expect("read");
    assert_eq!(files(), 0);
    let writer = sqlite(&path);
    for expected in 1..=20 {
        writer.execute_batch(FILE).expect("written");
        assert_eq!(files(), expected);
        assert_well(&opened.check());
    }
    drop(writer);
    assert_eq!(files(), 20);
}

// ---------------------------------------------------------------------------------------- writing

#[test]
fn with_roots_the_library_is_wal_and_whole_again_at_the_end() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let opened = open(&path, WRITE).expect("opens");
    opened.write(RETRY, |tx| tx.execute(FILE, [])).expect("written");
    assert_well(&opened.check());
    assert_eq!(
        names(&sandbox.path("")),
        ["library.db", "library.db.lock"],
        "nothing is held between two writes"
    );
    opened.close().expect("closes");
    assert_eq!(names(&sandbox.path("")), ["library.db", "library.db.lock"]);
    assert!(matches!(opened.write(RETRY, |tx| tx.execute(FILE, [])), Err(Error::Closed(_))));
    assert_eq!(count(&sqlite(&path)).expect("read"), 1);
}

#[test]
fn an_error_of_the_work_rolls_it_back() {
    let sandbox = Sandbox::new();
    let opened = open(&library(&sandbox), WRITE).expect("opens");
    let result = opened.write(RETRY, |tx| {
        tx.execute(FILE, [])?;
        tx.execute("INSERT INTO nowhere VALUES (1)", [])
    });
    assert!(matches!(result, Err(Error::Sqlite { .. })), "{result:?}");
    let dangling = opened.write(RETRY, |tx| {
        tx.execute("INSERT INTO tracks (file_id, track_index, track_type) VALUES (99, 0, 'video')", [])
    });
    assert!(matches!(dangling, Err(Error::Sqlite { .. })), "foreign keys are enforced: {dangling:?}");
    assert_eq!(opened.read(RETRY, |tx| count(tx)).expect("read"), 0);
}

#[test]
fn a_writer_waits_for_its_turn_and_stops_when_told() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let opened = open(&path, WRITE).expect("opens");
    let other = sqlite(&path);
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    in_time(|| {
        let stop = CancellationToken::new();
        std::thread::scope(|scope| {
            let writer =
                scope.spawn(|| opened.write(Retry::until_cancelled(&stop), |tx| tx.execute(FILE, [])));
            let limited = Retry::within(Duration::from_millis(300));
            let start = Instant::now();
            stop.cancel();
            assert!(matches!(writer.join().expect("no panic"), Err(Error::Cancelled)));
            let told = start.elapsed();
            let result = opened.write(limited, |tx| tx.execute(FILE, []));
            assert!(matches!(result, Err(Error::Busy { .. })), "{result:?}");
            // Looked at every 100 ms.
            if told < Duration::from_secs(1) { Ok(()) } else { Err(format!("stopped after {told:?}")) }
        })
    });
    other.execute_batch("COMMIT").expect("unlocked");
    opened.write(RETRY, |tx| tx.execute(FILE, [])).expect("written");
}

#[test]
fn nothing_is_written_into_a_library_that_is_gone_or_another() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let copy = fs::read(&path).expect("readable");
    let opened = Arc::new(open(&path, WRITE).expect("opens"));
    let write = || opened.write(RETRY, |tx| tx.execute(FILE, []));
    fs::rename(&path, sandbox.path("away.db")).expect("renamed");
    assert!(matches!(write(), Err(Error::Unreachable { .. })));
    assert_eq!(opened.check().reason, Some(Reason::Missing));
    fs::rename(sandbox.path("away.db"), &path).expect("renamed");
    assert_well(&check_until_generation(&opened, 1));
    write().expect("it is back");
    assert_well(&opened.check());
    sandbox.write("backup.db", &copy);
    fs::rename(sandbox.path("backup.db"), &path).expect("renamed");
    assert!(matches!(write(), Err(Error::Replaced(_))));
    assert_eq!(opened.check().reason, Some(Reason::Replaced), "it is said before it is adopted");
    assert_eq!(opened.generation(), 1);
    assert_eq!(check_until_generation(&opened, 2).reason, Some(Reason::Replaced));
    assert!(matches!(
        opened.write(Retry::within(Duration::ZERO), |tx| tx.execute(FILE, [])),
        Err(Error::Unsettled(_))
    ));
    opened.verify_if_due(None, 1);
    write().expect("the new one is written once it is checked");
    opened.close().expect("closes");
    assert_eq!(
        count(&sqlite(&path)).expect("read"),
        1,
        "what was written into the old one is not in the new one"
    );
    let sound: String =
        sqlite(&path).query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("read");
    assert_eq!(sound, "ok");
}

#[test]
fn a_library_that_comes_back_after_something_else_is_written_again() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let opened = open(&path, WRITE).expect("opens");
    let write = || opened.write(RETRY, |tx| tx.execute(FILE, []));
    write().expect("written");
    fs::rename(&path, sandbox.path("away.db")).expect("renamed");
    sandbox.write("library.db", "no library at all; ".repeat(100));
    assert_eq!(opened.check().reason, Some(Reason::NotADatabase));
    assert!(matches!(write(), Err(Error::Replaced(_))));
    fs::rename(sandbox.path("away.db"), &path).expect("renamed");
    let finding = check_until_generation(&opened, 1);
    assert_well(&finding);
    write().expect("written");
    assert_eq!(opened.read(RETRY, |tx| count(tx)).expect("read"), 2);
}

#[test]
fn backup_with_our_row_is_not_mixed_with_the_log_of_another_program() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let opened = open(&path, WRITE).expect("opens");
    opened.write(RETRY, |tx| tx.execute(FILE, [])).expect("written");
    let backup = sandbox.path("backup.db");
    fs::copy(&path, &backup).expect("copied");
    let plugin = "INSERT INTO plugin_acknowledgments (plugin_name, plugin_hash, acknowledged_at) VALUES ('backup', '', '')";
    sqlite(&backup).execute(plugin, []).expect("written");
    open_without_checkpoint(&path).execute(INSERT_POLICY, ["log"]).expect("written");
    fs::copy(&backup, &path).expect("copied");
    assert_eq!(check_until_generation(&opened, 1).reason, Some(Reason::Replaced));
    let sql = "SELECT (SELECT count(*) FROM plugin_acknowledgments), (SELECT count(*) FROM policies)";
    let counts: (i64, i64) =
        sqlite(&path).query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("read");
    assert_eq!((counts, count_logs_set_aside(&path)), ((1, 0), 1));
}

#[test]
fn log_of_a_checkpoint_that_a_reader_held_up_stays() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    // Nothing of ours is written yet, so that the content has no row.
    let opened = open(&path, WRITE).expect("opens");
    let (writer, reader) = (open_without_checkpoint(&path), open_without_checkpoint(&path));
    writer.execute(INSERT_POLICY, ["one"]).expect("written");
    reader.execute_batch("BEGIN; SELECT * FROM policies").expect("read");
    let before = fs::read(&path).expect("readable");
    writer.execute(FILE, []).expect("written");
    writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).expect("checkpointed");
    assert_ne!(fs::read(&path).expect("readable"), before, "a part is in the file");
    drop((reader, writer));
    check_until_generation(&opened, 1);
    assert_eq!(count(&sqlite(&path)).expect("read"), 1);
    assert_eq!(count_logs_set_aside(&path), 0);
}

#[test]
fn a_process_without_the_lock_leaves_its_log_to_the_daemon() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let owner = open(&path, WRITE).expect("opens");
    owner.write(RETRY, |tx| tx.execute(FILE, [])).expect("written");
    let before = fs::read(&path).expect("readable");
    let visitor = Library::visit(&path, &CancellationToken::new()).expect("opens");
    visitor.write(RETRY, |tx| tx.execute(INSERT_POLICY, ["queued"])).expect("written");
    visitor.close().expect("closes");
    assert_eq!(fs::read(&path).expect("readable"), before, "a checkpoint of the daemon may be near");
    owner.write(RETRY, |tx| tx.execute("DELETE FROM files", [])).expect("written");
    assert_eq!(names(&sandbox.path("")), ["library.db", "library.db.lock"]);
    assert!(sqlite(&path).query_row("SELECT name FROM policies", [], |row| row.get::<_, String>(0)).is_ok());
}

#[test]
fn damage_is_reported_until_it_is_repaired() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let opened = Arc::new(open(&path, WRITE).expect("opens"));
    opened.write(RETRY, |tx| tx.execute(FILE, [])).expect("written");
    let other = sqlite(&path);
    other
        .execute_batch(
            "CREATE TABLE theirs (x); CREATE INDEX theirs_x ON theirs(x); INSERT INTO theirs VALUES (5)",
        )
        .expect("written");
    let sql = "SELECT rootpage * 4096 FROM sqlite_master WHERE name = 'theirs_x'";
    let end: i64 = other.query_row(sql, [], |row| row.get(0)).expect("read");
    drop(other);
    // The last byte of the index's page is the rowid of its entry: only integrity_check finds that.
    let file = fs::OpenOptions::new().write(true).open(&path).expect("open");
    file.write_all_at(&[77], end.cast_unsigned() - 1).expect("damaged");
    let is_damaged = |library: &Library| library.check().reason == Some(Reason::Corrupt);
    eventually("integrity_check finds the damage", || {
        opened.verify_if_due(None, 1);
        is_damaged(&opened).then_some(())
    });
    let assert_stays_damaged = || {
        let until = Instant::now() + Duration::from_millis(800);
        while Instant::now() < until {
            assert!(is_damaged(&opened));
        }
    };
    // Neither a change of the mode nor a write of another program repairs it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
    assert_stays_damaged();
    sqlite(&path).execute(INSERT_POLICY, ["other"]).expect("written");
    assert_stays_damaged();
    drop(opened);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    assert!(is_damaged(&open(&path, WRITE).expect("opens")), "a restart does not begin healthy");
}

#[test]
fn log_of_another_program_before_our_first_write_stays() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let opened = open(&path, WRITE).expect("opens");
    let writer = open_without_checkpoint(&path);
    writer.execute(INSERT_POLICY, ["one"]).expect("written");
    writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("checkpointed");
    writer.execute(FILE, []).expect("written");
    // All pages are in the log, also those that are in the file.
    writer.execute_batch("VACUUM").expect("vacuumed");
    drop(writer);
    check_until_generation(&opened, 1);
    assert_eq!(count(&sqlite(&path)).expect("read"), 1);
    assert_eq!(count_logs_set_aside(&path), 0);
}

#[test]
fn a_library_that_was_replaced_is_left_whole() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let copy = fs::read(&path).expect("readable");
    let opened = open(&path, WRITE).expect("opens");
    for _ in 0..50 {
        opened.write(RETRY, |tx| tx.execute(FILE, [])).expect("written");
    }
    fs::rename(&path, sandbox.path("old.db")).expect("renamed");
    sandbox.write("library.db", &copy);
    assert_eq!(check_until_generation(&opened, 1).reason, Some(Reason::Replaced));
    assert_eq!(count(&sqlite(&path)).expect("read"), 0, "the old log is not taken for the new library's");
    assert_eq!(
        count(&sqlite(&sandbox.path("old.db"))).expect("read"),
        50,
        "and nothing of the old one is lost"
    );
}

#[test]
fn a_file_cut_short_behind_its_log_is_found() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let opened = open(&path, WRITE).expect("opens");
    for _ in 0..200 {
        opened.write(RETRY, |tx| tx.execute(FILE, [])).expect("written");
        assert_well(&opened.check());
    }
    let other = sqlite(&path);
    other.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())).expect("copied");
    assert_well(&opened.check());
    let whole = fs::read(&path).expect("readable");
    let half = u64::try_from(whole.len()).expect("small") / 2;
    fs::OpenOptions::new().write(true).open(&path).expect("opens").set_len(half).expect("cut");
    let finding = opened.check();
    assert_eq!(finding.reason, Some(Reason::Corrupt), "{finding:?}");
    fs::write(&path, whole).expect("restored");
    assert_well(&opened.check());
}

// ---------------------------------------------------------------------------------------- the lock

/// A lock of this process goes with its last descriptor, and a test beside this one may just have forked: until it
/// calls exec(2) its child has one, too.
#[track_caller]
fn await_unlocked(path: &Path) {
    eventually("nobody holds the lock", || {
        (lock::find(path, None).expect("looked") == Found::NotHeld).then_some(())
    });
}

#[test]
fn the_lock_names_its_holder_and_is_found() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    assert_eq!(lock::find(&path, None).expect("looked"), Found::NoFile);
    let opened = open(&path, READ).expect("opens");
    let held = opened.lock().expect("locked");
    let Found::Held(holder) = lock::find(&path, None).expect("looked") else { panic!("held") };
    assert_eq!((holder.pid, holder.address), (Some(std::process::id()), None));
    let address = Address::Tcp("127.0.0.1:4711".parse().expect("an address"));
    held.publish(&address).expect("written");
    let text = fs::read_to_string(sandbox.path("library.db.lock")).expect("readable");
    let written = format!("{}\nhttp://127.0.0.1:4711\nstarted ", std::process::id());
    assert!(text.starts_with(&written), "{text}");
    let Found::Held(holder) = lock::find(&path, None).expect("looked") else { panic!("held") };
    assert_eq!(holder.address, Some(address));
    let start = Instant::now();
    let text = refusal(&path, READ);
    assert!(start.elapsed() >= Duration::from_secs(1), "tries for a second");
    assert!(
        text.contains(&format!("pid {}", std::process::id())) && text.contains("127.0.0.1:4711"),
        "{text}"
    );
    drop(opened);
    await_unlocked(&path);
    assert!(sandbox.path("library.db.lock").exists(), "never unlinked");
}

#[test]
fn every_name_of_a_library_leads_to_one_lock() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    fs::create_dir(sandbox.path("elsewhere")).expect("made");
    symlink(&path, sandbox.path("elsewhere/link.db")).expect("made");
    symlink("link.db", sandbox.path("elsewhere/link2.db")).expect("made");
    let opened = open(&sandbox.path("elsewhere/link2.db"), WRITE).expect("opens");
    opened.write(RETRY, |tx| tx.execute(FILE, [])).expect("written");
    assert_well(&opened.check());
    assert_eq!(names(&sandbox.path("elsewhere")), ["link.db", "link2.db"]);
    assert!(matches!(open(&path, READ), Err(OpenError::Lock(LockError::Held { .. }))));
    // Lost behind a link: no new one, neither at the link nor at its target.
    opened.close().expect("closes");
    drop(opened);
    await_unlocked(&path);
    fs::remove_file(&path).expect("removed");
    assert!(matches!(open(&sandbox.path("elsewhere/link2.db"), WRITE), Err(OpenError::DanglingLink { .. })));
    assert!(matches!(open(&path, WRITE), Err(OpenError::Lost { .. })));
}

#[test]
fn a_link_that_leads_elsewhere_is_not_followed_into_a_library_without_our_lock() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    fs::copy(&path, sandbox.path("other.db")).expect("copied");
    symlink(&path, sandbox.path("link.db")).expect("made");
    let opened = open(&sandbox.path("link.db"), READ).expect("opens");
    fs::remove_file(sandbox.path("link.db")).expect("removed");
    symlink(sandbox.path("other.db"), sandbox.path("link.db")).expect("made");
    let finding = opened.check();
    assert_eq!(finding.reason, Some(Reason::Missing));
    assert!(finding.detail.expect("says why").contains("restart"));
}

#[test]
fn a_reader_of_the_lock_never_sees_half_a_line() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let held = Lock::acquire(&path, None, &CancellationToken::new()).expect("locked");
    let addresses = ["127.0.0.1:1", "127.0.0.1:65535", "[::1]:8321"];
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..2000 {
                let address = addresses[turn % addresses.len()].parse().expect("an address");
                held.publish(&Address::Tcp(address)).expect("written");
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let Found::Held(holder) = lock::find(&path, None).expect("looked") else { panic!("held") };
            assert!(holder.pid.is_none_or(|pid| pid == std::process::id()), "{holder:?}");
            if let Some(Address::Tcp(address)) = holder.address {
                assert!(addresses.contains(&address.to_string().as_str()), "{address}");
            }
        }
    });
}

#[test]
fn a_daemon_that_is_just_exiting_is_waited_for() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let first = open(&path, READ).expect("opens");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| open(&path, READ));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!second.is_finished(), "it waits");
        drop(first);
        second.join().expect("no panic").expect("opens");
    });
}

#[test]
fn a_lock_file_that_was_removed_excludes_nobody() {
    let sandbox = Sandbox::new();
    let path = library(&sandbox);
    let first = Lock::acquire(&path, None, &CancellationToken::new()).expect("locked");
    fs::remove_file(first.path()).expect("removed");
    let second = Lock::acquire(&path, None, &CancellationToken::new()).expect("another file");
    assert_eq!(fs::metadata(second.path()).expect("there").nlink(), 1);
    assert!(!first.is_in_place() && second.is_in_place());
}
