//! What another program does with the database.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

/// Adds a policy of the given name.
pub(crate) const INSERT_POLICY: &str =
    "INSERT INTO policies (name, definition, created_at, updated_at) VALUES (?1, '', '', '')";

/// Opens an existing database. What is written stays in the log at the close, as after a kill.
#[track_caller]
pub(crate) fn open_without_checkpoint(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("opens");
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
    connection
}

/// How many logs of the database were set aside.
#[track_caller]
pub(crate) fn count_logs_set_aside(database: &Path) -> usize {
    let name = database.file_name().expect("a file").to_string_lossy();
    let prefix = format!("{name}-wal.aside-");
    let beside = std::fs::read_dir(database.parent().expect("has one")).expect("readable");
    beside.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
}
