//! Makes content that was just accepted ready to be written.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tracing::info;

use crate::library::identity::Stamp;
use crate::library::{Library, is_busy};

impl Library {
    /// Makes accepted content ready to be written: converts it to WAL mode and proves that it can be written. Returns the stamp
    /// after that, and the mode. Only as the writer inside the gate.
    pub(in crate::library) fn make_writable(&self, stamp: Stamp) -> rusqlite::Result<(Stamp, String)> {
        let connection = self.reader.open_writer()?;
        let converted = self.convert(&connection, stamp)?;
        self.prove(connection)?;
        Ok(converted)
    }

    /// Puts the database into WAL mode, if it has that stamp. Returns the stamp after that, and the mode.
    pub(super) fn convert(&self, connection: &Connection, stamp: Stamp) -> rusqlite::Result<(Stamp, String)> {
        let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0));
        let before = ask("PRAGMA journal_mode")?;
        if before == "wal" || Stamp::at(&self.path) != Some(stamp) {
            return Ok((stamp, before));
        }
        {
            // To its end: an I/O error follows the row with the new mode.
            let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        let mode = ask("PRAGMA journal_mode")?;
        let has_files = || connection.query_row("SELECT EXISTS (SELECT 1 FROM files)", [], |row| row.get(0));
        // Not logged for an empty one, such as that which this process has just made.
        if mode == "wal" && has_files()? {
            info!(path = %self.path.display(), before, "database converted to WAL mode");
        }
        // A file that was put there meanwhile was not converted.
        let after = Stamp::at(&self.path).filter(|after| after.is_same_file(&stamp));
        Ok((after.unwrap_or(stamp), mode))
    }

    /// Fails if SQLite cannot write. SQLite opens a `-wal` or `-shm` that it may only read for reading, and reports that on the
    /// first write. A lock of another writer is not a failure.
    pub(in crate::library) fn prove(&self, connection: Connection) -> rusqlite::Result<()> {
        let begun = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate).map(drop);
        if let Err(error) = begun
            && !is_busy(&error)
        {
            return Err(error);
        }
        self.close_idle(connection);
        Ok(())
    }
}
