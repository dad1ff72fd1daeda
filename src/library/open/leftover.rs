//! Decides about a `-wal` that a killed process has left.

use rusqlite::Connection;
use tracing::debug;

use super::OpenError;
use super::refusal::access_error;
use crate::base::times::DATABASE_ATTEMPT_TIMEOUT;
use crate::library::Library;
use crate::library::identity::{Ownership, Row, Stamp, owner_of_log};
use crate::library::lock::notes::Record;
use crate::library::log::{self, Relation};

impl Library {
    /// Decides about a log that a killed process has left: whether it belongs to the file beside it, or to one that was there
    /// before. What cannot be decided is refused, and nothing is changed.
    pub(super) fn settle_log(&self) -> Result<(), OpenError> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let record = lock.notes().record.filter(Record::is_of_this_boot);
        if !self.has_log() {
            if record.is_some_and(|record| record.begun) {
                self.state().evidence.hold();
            }
            return Ok(());
        }
        let now = Stamp::at(&self.path);
        if record.as_ref().zip(now).is_some_and(|(record, now)| record.stamp.is_same_content(&now)) {
            // The file has not been written since; it may have been renamed and back.
            return Ok(());
        }
        if self.is_in_use() {
            debug!("another program has the database and its log open");
            self.state().evidence.hold();
            return Ok(());
        }
        let relation =
            log::compare(&self.path).map_err(|error| access_error(&self.path, error.to_string()))?;
        if relation == Relation::AddsNothing {
            debug!("the leftover log adds nothing to the database");
            // SQLite would use it also beside a backup in rollback mode, which would then stay in that mode.
            if !log::is_in_wal_mode(&self.path) {
                self.set_log_aside();
            }
            return Ok(());
        }
        // The file changed after the daemon left it. The row that the log continues does not show whether a checkpoint was cut
        // short: a backup may have that row too, and other rows of other programs. Pages of the log do, if the file has not
        // changed long after it.
        let is_cut_short = |record: &Record| {
            let is_soon = now.is_some_and(|now| log::is_checkpoint_time(&self.path, now));
            record.begun && relation == Relation::Continues && is_soon
        };
        let is_partial = record.as_ref().is_none_or(is_cut_short);
        let main = self.reader.read_as_it_is(|connection| Row::read(connection));
        let log = self.reader.read(DATABASE_ATTEMPT_TIMEOUT, |connection| Row::read(connection));
        let (belongs, is_same_row) = match (main, log) {
            (Ok(main), Ok(log)) => (
                owner_of_log(main.as_ref(), log.as_ref(), is_partial) == Ownership::Belongs,
                Row::is_same(main.as_ref(), log.as_ref()),
            ),
            _ => (false, false),
        };
        // The log may also belong to another layout of pages (`VACUUM INTO`).
        let is_sound_alone = self.reader.read_as_it_is(is_sound).unwrap_or(false);
        let is_sound_with_log = relation != Relation::Foreign
            && self.reader.read(DATABASE_ATTEMPT_TIMEOUT, is_sound).unwrap_or(false);
        // A log without our row (of another program, or of a queued scan) of which nothing is in the file, and the file changed
        // after it: most likely a backup was copied over the file.
        let is_older = now.is_some_and(|now| log::is_older(&self.path, now));
        let is_foreign = is_same_row && record.is_some() && is_older && relation == Relation::Adds;
        debug!(
            ?relation,
            belongs, is_sound_alone, is_sound_with_log, is_foreign, "a killed program has left a log"
        );
        self.state().evidence.hold();
        match (belongs && !is_foreign, is_sound_alone, is_sound_with_log) {
            (true, _, true) | (false, false, true) => Ok(()),
            (_, true, _) if self.set_log_aside() => Ok(()),
            _ => Err(OpenError::Undecided { path: self.path.clone() }),
        }
    }
}

/// Whether `integrity_check` passes.
fn is_sound(connection: &mut Connection) -> rusqlite::Result<bool> {
    // Not limited in time: the daemon does not work before it ends.
    connection.progress_handler(0, None::<fn() -> bool>)?;
    let answer = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))?;
    Ok(answer == "ok")
}
