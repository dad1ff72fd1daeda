//! Hostile databases: schemas that run endless queries when the daemon only reads or writes its
//! rows. The daemon refuses them or ignores what is hostile, names it, and stays able to stop.
//!
//! What is tested: `vpo serve` and `vpo scan` come to an end of their work or refuse within [`LIMIT`], a warning or an
//! error names the object, and a stop takes under [`STOP`].

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Client, Daemon, Sandbox};

const LIMIT: Duration = Duration::from_secs(5);
const STOP: Duration = Duration::from_secs(2);

/// Counts for ever.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

/// A hostile schema, and the object that a message must name.
struct Hostile {
    /// What kind of object it is, and its name: a message must have both.
    kind: &'static str,
    name: &'static str,
    sql: String,
}

fn trigger(event: &str) -> Hostile {
    let sql = format!(
        "CREATE TRIGGER evil_trigger {event} BEGIN
         INSERT INTO policies SELECT (SELECT count(*) FROM ({ENDLESS})), '', 1, '', '', ''; END;"
    );
    Hostile { kind: "trigger", name: "evil_trigger", sql }
}

#[test]
fn an_endless_trigger_on_files_holds_nothing_up() {
    assert_harmless(&trigger("AFTER INSERT ON files"));
}

#[test]
fn an_endless_trigger_on_jobs_holds_nothing_up() {
    assert_harmless(&trigger("AFTER INSERT ON jobs"));
}

#[test]
fn an_endless_view_in_place_of_the_version_holds_nothing_up() {
    let sql = format!(
        "DROP TABLE _meta;
         CREATE VIEW _meta AS SELECT 'schema_version' AS key, '7' AS value FROM ({ENDLESS}) WHERE i < 0;"
    );
    assert_harmless(&Hostile { kind: "view", name: "_meta", sql });
}

/// The name is the daemon's own: what has it goes.
#[test]
fn what_has_the_name_of_the_state_is_replaced() {
    for sql in [
        "CREATE VIEW daemon_state AS SELECT 1 AS id, 'a' AS lineage, 1 AS seq, 1 AS base, '' AS parent",
        "CREATE INDEX daemon_state ON files(size_bytes)",
    ] {
        let sandbox = Sandbox::new();
        sandbox.film("films/a.mkv");
        sandbox.scan(&[]);
        let database = sandbox.database();
        database.execute_batch(&format!("DROP TABLE daemon_state; {sql}")).expect("done");
        drop(database);
        sandbox.film("films/b.mkv");
        sandbox.scan(&[]);
        assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM files"), 2, "{sql}");
        assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM daemon_state"), 1, "{sql}");
    }
}

#[test]
fn an_endless_view_in_place_of_the_files_holds_nothing_up() {
    let sql = format!(
        "ALTER TABLE files RENAME TO real_files;
         CREATE VIEW files AS SELECT real_files.* FROM real_files, ({ENDLESS}) WHERE i < 0;"
    );
    assert_harmless(&Hostile { kind: "view", name: "files", sql });
}

#[test]
fn a_costly_generated_column_holds_nothing_up() {
    // Compares five million times five million characters within one instruction of SQLite's virtual machine: no progress
    // handler and no interrupt ends it. The index makes each insertion compute it.
    let sql = "DELETE FROM files;
               ALTER TABLE files ADD COLUMN evil_column GENERATED ALWAYS AS
               (instr(hex(zeroblob(5000000)), hex(zeroblob(2500000)) || '1')) VIRTUAL;
               CREATE INDEX evil_index ON files(evil_column);";
    assert_harmless(&Hostile { kind: "column", name: "evil_column", sql: sql.to_owned() });
}

/// Runs `vpo serve` and `vpo scan` on it.
#[track_caller]
fn assert_harmless(hostile: &Hostile) {
    let outcomes = std::thread::scope(|scope| {
        let threads = [scope.spawn(|| serve(hostile)), scope.spawn(|| scan(hostile))];
        threads.map(|thread| thread.join().expect("no panic"))
    });
    let failures: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A database with one film of the root recorded, then made hostile.
fn make(sandbox: &Sandbox, hostile: &Hostile) -> PathBuf {
    let path = sandbox.path("data/library.db");
    std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
    let connection = Connection::open(&path).expect("made");
    connection.execute_batch(vpo::library::schema::SQL).expect("the schema");
    connection
        .execute_batch(
            "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at)
             VALUES ('/elsewhere/a.mkv', 'a.mkv', '/elsewhere', 'mkv', 1, 't', 't')",
        )
        .expect("a row");
    connection.execute_batch(&hostile.sql).unwrap_or_else(|error| panic!("{}: {error}", hostile.name));
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("WAL");
    path
}

/// Waits for the end of a child for at most `limit`.
fn ends(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("waitable") {
            return Some(status);
        }
        if start.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn with_database(mut command: Command, database: &Path) -> Command {
    command.arg("--database").arg(database);
    command
}

/// Whether a line of level warning or error, or of a command's standard error, names the object.
fn is_named(text: &str, hostile: &Hostile) -> bool {
    let quiet = |line: &str| line.contains(" info ") || line.contains(" debug ");
    text.lines().any(|line| !quiet(line) && line.contains(hostile.kind) && line.contains(hostile.name))
}

fn serve(hostile: &Hostile) -> Result<(), String> {
    let sandbox = Sandbox::new();
    let database = make(&sandbox, hostile);
    sandbox.film("films/a.mkv");
    let mut command = with_database(sandbox.vpo(["serve", "--port", "0"]), &database);
    command.arg("--library").arg(sandbox.root());
    let mut daemon = Daemon::spawn(command, &database);
    let start = Instant::now();
    let scanned = "vpo_scans_total{result=\"completed\"} 1";
    let settled = loop {
        if let Some(status) = daemon.try_wait() {
            break status.code() == Some(1);
        }
        let address =
            daemon.log().lines().find_map(|line| line.split_once("address=http://")?.1.parse().ok());
        let metrics = address.and_then(Client::try_connect).and_then(|mut client| client.try_get("/metrics"));
        if metrics.is_some_and(|metrics| metrics.body.contains(scanned)) {
            break true;
        }
        if start.elapsed() > LIMIT {
            break false;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let asked = Instant::now();
    if daemon.try_wait().is_none() {
        daemon.signal(Signal::TERM);
        while daemon.try_wait().is_none() {
            if asked.elapsed() > STOP {
                return Err(format!("serve: the stop takes over {STOP:?}\n{}", daemon.log()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    daemon.wait();
    let log = daemon.log();
    if !settled {
        return Err(format!("serve: neither refused nor scanned within {LIMIT:?}\n{log}"));
    }
    if !is_named(&log, hostile) {
        return Err(format!("serve: no warning names {}\n{log}", hostile.name));
    }
    Ok(())
}

fn scan(hostile: &Hostile) -> Result<(), String> {
    let sandbox = Sandbox::new();
    let database = make(&sandbox, hostile);
    sandbox.film("films/a.mkv");
    let mut command = with_database(sandbox.vpo(["scan"]), &database);
    command.arg("--library").arg(sandbox.root());
    let output = sandbox.path("output");
    let file = std::fs::File::create(&output).expect("made");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    let mut child = command.spawn().expect("vpo runs");
    let ended = ends(&mut child, LIMIT);
    if ended.is_none() {
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("not 0");
        kill_process(pid, Signal::TERM).expect("it is there");
        let stopped = ends(&mut child, STOP).is_some();
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("scan: no end within {LIMIT:?}; stopped within {STOP:?}: {stopped}"));
    }
    let text = std::fs::read_to_string(&output).expect("readable");
    let code = ended.and_then(|status| status.code());
    if !matches!(code, Some(0 | 1)) {
        return Err(format!("scan: exit code {code:?}\n{text}"));
    }
    if is_named(&text, hostile) {
        Ok(())
    } else {
        Err(format!("scan: no warning names {}\n{text}", hostile.name))
    }
}
