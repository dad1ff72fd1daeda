//! The daemon's own tables beside schema 7: created by the first write, and replaced where something else has their name.

use std::fmt::Arguments;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, Transaction};
use tracing::warn;

use super::sqlite::{chain, is_absent};

/// A table, with its statements as SQLite stores them: the table first, then its indexes.
pub(super) struct OwnTable {
    pub(super) name: &'static str,
    pub(super) statements: &'static [&'static str],
}

impl OwnTable {
    /// Whether the table exists and is of our shape: only then may it be read.
    pub(super) fn exists(&self, conn: &Connection) -> rusqlite::Result<bool> {
        let mut statement = conn.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND sql = ?1")?;
        statement.exists([self.statements[0]])
    }

    /// Creates the table with its indexes, in place of anything else of that name. `false` if that cannot be removed; then
    /// nothing is recorded.
    pub(super) fn create(&self, tx: &Transaction<'_>) -> rusqlite::Result<bool> {
        let problem = format_args!("cannot replace what has the name {} in the database", self.name);
        unless_irreplaceable(self.name, problem, self.replace(tx))
    }

    /// An index of another program on the table is removed too, because its expressions would be evaluated at each write.
    fn replace(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut missing = self.statements.to_vec();
        let mut statement = tx.prepare(
            "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ?1 COLLATE NOCASE AND sql IS NOT NULL
             ORDER BY type",
        )?;
        let found = statement.query_map([self.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for (kind, name, sql) in found.collect::<rusqlite::Result<Vec<(String, String, String)>>>()? {
            let before = missing.len();
            missing.retain(|statement| *statement != sql);
            if missing.len() == before && kind != "trigger" {
                tx.execute_batch(&format!("DROP {kind} IF EXISTS \"{}\"", name.replace('"', "\"\"")))?;
            }
        }
        missing.iter().try_for_each(|statement| tx.execute_batch(statement))
    }
}

/// Names of tables of which it was logged that they cannot be replaced: each batch of a scan meets that.
static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// Whether what has the name could be replaced. If not, nothing is recorded, and the log states the problem once.
pub(super) fn unless_irreplaceable(
    name: &'static str,
    problem: Arguments<'_>,
    replaced: rusqlite::Result<()>,
) -> rusqlite::Result<bool> {
    match replaced {
        Ok(()) => Ok(true),
        // "no such module", or a table of another program refers to it.
        Err(error)
            if is_absent(&error) || error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) =>
        {
            let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
            if !said.contains(&name) {
                said.push(name);
                warn!("{problem}: {}", chain(&error));
            }
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: OwnTable = OwnTable {
        name: "daemon_x",
        statements: &["CREATE TABLE daemon_x (one INTEGER)", "CREATE INDEX daemon_x_one ON daemon_x (one)"],
    };

    #[test]
    fn whatever_has_the_name_is_replaced_and_what_is_ours_stays() {
        for before in [
            "",
            "CREATE TABLE daemon_x (two)",
            "CREATE TABLE DAEMON_X (two); CREATE INDEX daemon_x_one ON daemon_x (two)",
            "CREATE VIEW daemon_x AS SELECT 1",
            "CREATE TABLE daemon_x (one INTEGER); CREATE INDEX other ON daemon_x (one + 1)",
        ] {
            let mut conn = Connection::open_in_memory().expect("in memory");
            conn.execute_batch(before).expect("created");
            let tx = conn.transaction().expect("begun");
            assert!(TABLE.create(&tx).expect("created"), "{before}");
            assert!(TABLE.exists(&tx).expect("read"), "{before}");
            tx.execute_batch("INSERT INTO daemon_x VALUES (7)").expect("written");
            assert!(TABLE.create(&tx).expect("there"));
            let rows: i64 = tx.query_one("SELECT one FROM daemon_x", [], |row| row.get(0)).expect("kept");
            let sql = "SELECT group_concat(name, ' ') FROM sqlite_master WHERE type = 'index'";
            let indexes: String = tx.query_one(sql, [], |row| row.get(0)).expect("read");
            assert_eq!((rows, indexes.as_str()), (7, "daemon_x_one"), "{before}");
        }
    }
}
