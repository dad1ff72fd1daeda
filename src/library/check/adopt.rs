//! Takes other content at the path into use.

use std::time::Instant;

use tracing::info;

use super::fault::{Fault, io_fault, sqlite_fault, writer_fault};
use super::reason::Reason;
use crate::base::times::DATABASE_CHECK_BUSY_TIMEOUT;
use crate::library::identity::{Change, Known, Row, Stamp};
use crate::library::lock::notes::Record;
use crate::library::log::{self, Relation};
use crate::library::session::LOG_LOST;
use crate::library::{Library, diagnose, integrity, path, schema};

/// The result of a look that finds nothing wrong.
pub(super) enum Look {
    Fine,
    /// Other content is there and is not adopted yet.
    Pending,
}

impl Library {
    /// Takes other content into use. After a cooperative `change`, another SQLite program may have written it: then its log
    /// stays.
    pub(super) fn adopt(&self, stamp: Stamp, row: Option<Row>, change: Change) -> Result<Look, Fault> {
        self.leads_where_it_did()?;
        let _turn = self.gate.write(DATABASE_CHECK_BUSY_TIMEOUT).ok_or_else(|| {
            Fault::busy(
                Reason::Locked,
                "the database was replaced, and a write to the one before is still ending",
            )
        })?;
        // If the file did not change, the other content is in the log only (`.restore`).
        let is_in_log = {
            let state = self.state();
            stamp.is_same_content(&state.known.stamp) && state.let_go.is_none_or(|let_go| let_go.is_log_aside)
        };
        let belongs = is_in_log
            || match log::compare(&self.path).map_err(|error| io_fault(&self.path, &error))? {
                Relation::Continues => true,
                // A log that is younger than the file's last change was written for it.
                Relation::Adds => change == Change::Cooperative && !log::is_older(&self.path, stamp),
                Relation::AddsNothing | Relation::Foreign => false,
            };
        let is_complete = !belongs && self.set_log_aside();
        if Stamp::at(&self.path) != Some(stamp) {
            return Ok(Look::Pending);
        }
        let verified = if is_complete {
            self.reader.read_as_it_is(|connection| schema::verify(connection))
        } else {
            self.reader.read(DATABASE_CHECK_BUSY_TIMEOUT, |connection| schema::verify(connection))
        };
        match verified {
            Ok(Ok(())) => {}
            Ok(Err(mismatch)) => {
                return Err(Fault::new(Reason::WrongSchema, format!("{} {mismatch}", self.path.display())));
            }
            Err(error) => return Err(sqlite_fault(&self.path, &error)),
        }
        if self.writes() {
            if !diagnose::writable(&self.path) || !diagnose::directory_writable(path::directory(&self.path)) {
                let detail = format!("{}: {}", self.path.display(), diagnose::access(&self.path));
                return Err(Fault::new(Reason::PermissionDenied, detail));
            }
            let proven = self.reader.open_writer().and_then(|connection| self.prove(connection));
            // A full disk does not prevent its use: the scanner warns of the disk.
            if let Err(error) = proven
                && !integrity::is_for_lack(&self.path, &error)
            {
                return Err(writer_fault(&self.path, &error));
            }
        }
        let mut state = self.state();
        let why = state.let_go.take().map(|let_go| let_go.why);
        let is_other = !Row::is_same(state.known.row.as_ref(), row.as_ref());
        let is_other_file = !state.known.stamp.is_same_file(&stamp);
        let is_other = is_other || is_other_file;
        let detail = match why {
            Some(LOG_LOST) => LOG_LOST.to_owned(),
            Some(why) if !is_other => format!(
                "{why} while the daemon wrote: what it was writing was given up, and is written again"
            ),
            _ => "another valid library has taken the place of the one before, and is used now".to_owned(),
        };
        // Not a warning: the check itself warns, and its change is logged.
        info!(path = %self.path.display(), detail, "library adopted");
        state.known = Known { stamp, row };
        state.lineage = None;
        state.lost = None;
        state.generation += 1;
        state.adopted = Some((Instant::now(), detail));
        // Nothing is written yet: the copy may only have paused, or another program may have the database open with a log and an
        // index of the content before.
        state.evidence.forget();
        drop(state);
        if is_other_file {
            self.overwrites().forget();
        }
        // The next start needs it too: a log that is left then continues this content.
        self.note(Record::new(false, stamp));
        if let Some(lock) = &self.lock {
            lock.note_fault(None);
        }
        Ok(Look::Fine)
    }
}
