//! A `-wal` that a killed daemon has left, met by the next start.

use std::fs;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use crate::harness::Sandbox;
use crate::harness::database::{INSERT_POLICY, count_logs_set_aside, open_without_checkpoint};

#[test]
fn log_of_a_killed_checkpoint_is_not_played_into_a_backup() {
    for is_overwritten in [false, true] {
        let sandbox = Sandbox::new();
        sandbox.film("films/a.mkv");
        sandbox.scan(&[]);
        let library = sandbox.library();
        let log = library.with_file_name("library.db-wal");
        let left = fs::read(&library).expect("readable");
        // A backup of the same transaction of the daemon, with another row of another program.
        let backup = sandbox.write("backup.db", &left);
        let other = Connection::open(&backup).expect("opens");
        other.execute(INSERT_POLICY, ["backup"]).expect("written");
        drop(other);
        // The daemon writes, begins a checkpoint, and is killed.
        let connection = open_without_checkpoint(&library);
        connection.execute(INSERT_POLICY, ["log"]).expect("written");
        connection.execute("UPDATE daemon_state SET base = seq, seq = seq + 1", []).expect("written");
        drop(connection);
        assert!(fs::metadata(&log).expect("is left").len() > 0);
        let lock = fs::read_to_string(sandbox.lock()).expect("a record");
        fs::write(sandbox.lock(), lock.replace(" done ", " begun ")).expect("written");
        if is_overwritten {
            // Within 2 s after the last commit it would pass for that checkpoint: by chance a page of both is the same.
            let long_ago = SystemTime::now() - Duration::from_secs(60);
            let left = fs::File::options().write(true).open(&log).expect("open");
            left.set_modified(long_ago).expect("set");
            fs::copy(&backup, &library).expect("copied");
        }
        sandbox.scan(&[]);
        let names: String = sandbox.value("SELECT group_concat(name) FROM policies");
        assert_eq!(names, if is_overwritten { "backup" } else { "log" });
        assert_eq!(count_logs_set_aside(&library), usize::from(is_overwritten));
    }
}

/// SQLite reads a log beside a database in rollback mode, but writes none there. The daemon's session and another program's would be
/// of two modes, and each would look to the daemon like a copy.
#[test]
fn log_beside_a_backup_in_rollback_mode_does_not_keep_it_there() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    let library = sandbox.library();
    let connection = open_without_checkpoint(&library);
    connection.execute(INSERT_POLICY, ["both"]).expect("written");
    connection.query_row("PRAGMA wal_checkpoint", [], |_| Ok(())).expect("copied into the file");
    drop(connection);
    let backup = sandbox.write("backup.db", fs::read(&library).expect("readable"));
    let other = Connection::open(&backup).expect("opens");
    other.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).expect("changed");
    drop(other);
    fs::copy(&backup, &library).expect("copied");
    assert_eq!(fs::read(&library).expect("readable")[18], 1, "rollback mode");
    sandbox.scan(&[]);
    assert_eq!(fs::read(&library).expect("readable")[18], 2, "WAL mode");
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM policies"), 1);
    assert_eq!(count_logs_set_aside(&library), 1);
}
