//! Makes content that was just accepted ready to be written.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tracing::info;

use crate::library::identity::Stamp;
use crate::library::{Library, is_busy};

impl Library {
    /// Makes what was just accepted ready to be written: in WAL mode, and shown to be writable. Returns the stamp that it
    /// leaves, and the mode. Only inside the gate, as its writer.
    pub(in crate::library) fn make_writable(&self, stamp: Stamp) -> rusqlite::Result<(Stamp, String)> {
        let connection = self.reader.open_writer()?;
        let converted = self.convert(&connection, stamp)?;
        self.prove(connection)?;
        Ok(converted)
    }

    /// Puts the database into WAL mode, if it is the content of that stamp. Returns the stamp that it leaves, and the mode.
    pub(super) fn convert(&self, connection: &Connection, stamp: Stamp) -> rusqlite::Result<(Stamp, String)> {
        let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0));
        let before = ask("PRAGMA journal_mode")?;
        if before == "wal" || Stamp::at(&self.path) != Some(stamp) {
            return Ok((stamp, before));
        }
        {
            // To its end: an error of the disk comes after the row with the new mode.
            let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        let mode = ask("PRAGMA journal_mode")?;
        if mode == "wal" {
            info!(path = %self.path.display(), before, "library converted to WAL mode");
        }
        // Another file that was put there meanwhile is not what was converted.
        let after = Stamp::at(&self.path).filter(|after| after.is_same_file(&stamp));
        Ok((after.unwrap_or(stamp), mode))
    }

    /// Fails where SQLite cannot write: it opens a `-wal` or `-shm` that it may only read for reading, and says so when
    /// something is written. That another program writes at the moment is no failure.
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
