//! A `-wal` that a killed daemon has left, met by the next start.

use std::fs;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::harness::Sandbox;

/// Inserts a policy, and leaves it in the log.
fn leave_in_log(connection: &Connection, name: &str) {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
    let insert = "INSERT INTO policies (name, definition, created_at, updated_at) VALUES (?1, '', '', '')";
    connection.execute(insert, [name]).expect("written");
}

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
        let insert =
            "INSERT INTO policies (name, definition, created_at, updated_at) VALUES ('backup', '', '', '')";
        other.execute(insert, []).expect("written");
        drop(other);
        // The daemon writes, begins a checkpoint, and is killed.
        let connection = sandbox.database();
        leave_in_log(&connection, "log");
        connection.execute("UPDATE daemon_state SET base = seq, seq = seq + 1", []).expect("written");
        drop(connection);
        assert!(fs::metadata(&log).expect("is left").len() > 0);
        let lock = fs::read_to_string(sandbox.lock()).expect("a record");
        fs::write(sandbox.lock(), lock.replace(" done ", " begun ")).expect("written");
        if is_overwritten {
            fs::copy(&backup, &library).expect("copied");
        }
        sandbox.scan(&[]);
        let names: String = sandbox.value("SELECT group_concat(name) FROM policies");
        assert_eq!(names, if is_overwritten { "backup" } else { "log" });
        let directory = fs::read_dir(library.parent().expect("has one")).expect("readable");
        let aside = directory
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("library.db-wal.aside-"));
        assert_eq!(aside.count(), usize::from(is_overwritten));
    }
}
