//! What other parts may name of SQLite: a transaction, a result, and errors in words. They do not name its crate.

use std::path::Path;

pub(crate) use rusqlite::{InterruptHandle, Transaction};

use super::diagnose;
use crate::base::error;

/// What work in a transaction returns.
pub(crate) type Result<T> = rusqlite::Result<T>;

/// The error of work that is ended before its time.
#[must_use]
pub(crate) fn interrupted() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT);
    rusqlite::Error::SqliteFailure(code, None)
}

/// Prepares a statement; `None` if its table does not exist.
pub(super) fn prepare_if_there<'a>(
    conn: &'a rusqlite::Connection,
    sql: &str,
) -> rusqlite::Result<Option<rusqlite::Statement<'a>>> {
    match conn.prepare(sql) {
        Err(error) if is_absent(&error) => Ok(None),
        prepared => prepared.map(Some),
    }
}

/// Whether a statement names a table or a column that does not exist. SQLite's code for that is the general one.
pub(super) fn is_absent(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. } => {
            error.code == rusqlite::ErrorCode::Unknown
        }
        _ => false,
    }
}

/// Whether the disk is full.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// What SQLite could not do with the database at `path`.
pub(super) fn failure(path: &Path, error: &rusqlite::Error) -> String {
    let shown = path.display();
    if !is_full(error) {
        return format!("cannot use the database {shown}");
    }
    let free = rustix::fs::statvfs(path).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    format!("cannot write to {shown}: the disk is full ({} kB free)", free / 1000)
}

/// An error and its causes in one line, and what to do where SQLite does not say that.
#[must_use]
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    // What `rusqlite` gives as the cause of its own error is the same once more, with a number. That the disk is full, an error
    // of the database says itself.
    let is_said = |(place, cause): &(usize, &(dyn std::error::Error + 'static))| {
        cause.is::<rusqlite::ffi::Error>() || (*place > 0 && cause.downcast_ref().is_some_and(is_full))
    };
    let causes = error::causes(error).enumerate().filter(|cause| !is_said(cause));
    let text = error::join(causes.map(|(_, cause)| cause));
    match error::causes(error).find_map(|cause| cause.downcast_ref().and_then(advice)) {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}

/// What to do about an error of SQLite.
fn advice(error: &rusqlite::Error) -> Option<&'static str> {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, SystemIoFailure,
    };
    Some(match error.sqlite_error_code()? {
        DiskFull => "free some space there, or raise the quota",
        SystemIoFailure if diagnose::has_file_size_limit() => diagnose::RAISE_LIMIT,
        SystemIoFailure => "look at the disk and the kernel's log",
        CannotOpen | ReadOnly => "look at its owner, its mode and its directory, and at the disk",
        DatabaseCorrupt | NotADatabase => "restore a backup, and look at the disk",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::{chain, is_absent};
    use crate::library::Error;

    fn failed(code: i32, message: &str) -> Error {
        let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(message.to_owned()));
        Error::Sqlite { path: "/v/library.db".into(), source }
    }

    #[test]
    fn a_table_or_a_column_that_is_not_there_is_absent() {
        let connection = rusqlite::Connection::open_in_memory().expect("in memory");
        connection.execute_batch("CREATE TABLE there (one)").expect("created");
        for sql in
            ["SELECT one FROM absent", "SELECT other FROM there", "INSERT INTO there (other) VALUES (1)"]
        {
            let error = connection.prepare(sql).expect_err(sql);
            assert!(is_absent(&error), "{sql}: {error:?}");
        }
        assert!(!is_absent(&rusqlite::Error::QueryReturnedNoRows));
    }

    #[test]
    fn an_error_of_sqlite_is_said_once_and_with_what_to_do() {
        for (code, message, hint) in [
            (ffi::SQLITE_IOERR_WRITE, "disk I/O error", "; look at the disk and the kernel's log"),
            (ffi::SQLITE_CONSTRAINT, "UNIQUE constraint failed", ""),
        ] {
            let text = chain(&failed(code, message));
            assert!(text.starts_with("cannot use the database /v/library.db: "), "{text}");
            assert!(text.ends_with(&format!("{message}{hint}")), "{text}");
            assert_eq!(text.matches(message).count(), 1, "{text}");
        }
        let text = chain(&failed(ffi::SQLITE_FULL, "database or disk is full"));
        assert!(
            text.starts_with(
                "cannot write to /v/library.db: the disk is full (0 kB free); free some space there"
            ),
            "{text}"
        );
    }
}
