//! One write session: open, compare, write, commit, checkpoint, close. Nothing is kept between two sessions.
//!
//! A program that does not use SQLite may overwrite the file at any moment, for example with a copy of a backup. So a session
//! compares the file with what is known, first inside the transaction and again before the checkpoint. On a difference it
//! writes nothing: it rolls back, closes without a checkpoint and sets the log aside. The next check decides what the file
//! is now, and whether to adopt it (`check.rs`).

mod aside;
mod mode;

use std::path::Path;
use std::sync::MutexGuard;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tracing::{debug, info, warn};

use super::check::reason::Reason;
use super::connection::{close, commit, is_damage, is_shut};
use super::identity::{Known, Row, Stamp};
use super::lock::notes::Record;
use super::log::{self, Relation};
use super::overwrites::Overwrites;
use super::path::companion;
use super::sqlite::chain;
use super::{Error, Library, Lineage, is_busy};
use crate::base::random;
use crate::base::retry::Failure;
use crate::base::times::DATABASE_ATTEMPT_TIMEOUT;

/// The report of a copy that collided with a checkpoint.
pub(super) const COLLIDED: &str = "another program wrote to the file while the daemon saved to it. If that was a backup being copied, copy \
                        it again, or use `vpo restore`; nothing is written until then";

/// Why a session was abandoned: the main file is unchanged.
pub(super) const COMPANIONS: &str = "its -wal or -shm was removed or replaced";

/// Why the content is not what it was: the main file is unchanged.
pub(super) const LOG_LOST: &str =
    "its -wal was removed or cut short, and what another program had saved there is lost";

/// A session that was abandoned.
#[derive(Clone, Copy, Debug)]
pub(super) struct LetGo {
    pub(super) why: &'static str,
    /// Its log was set aside: a log beside the file now is another program's.
    pub(super) is_log_aside: bool,
}

/// Classifies an error of SQLite: whether the attempt is repeated.
pub(super) fn failure(path: &Path, source: rusqlite::Error) -> Failure<Error> {
    let is_temporary = is_busy(&source) || is_shut(&source);
    let error = Error::Sqlite { path: path.to_owned(), source };
    if is_temporary { Failure::Temporary(error) } else { Failure::Permanent(error) }
}

/// A transaction that was committed.
struct Written<T> {
    value: T,
    has_changed: bool,
    /// The row that was written; `None` if nothing changed, or this process does not write it.
    row: Option<Row>,
    companions: Companions,
}

/// Why a transaction was not committed.
enum Stopped {
    Busy(rusqlite::Error),
    /// The file did not change, but its log holds other content.
    OtherRow,
    Overwritten,
    Failed(rusqlite::Error),
}

/// The companions of the main file, by their inodes.
#[derive(Debug, PartialEq, Eq)]
struct Companions([Option<(u64, u64)>; 2]);

impl Companions {
    fn at(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(["-wal", "-shm"].map(|suffix| {
            let found = std::fs::metadata(companion(path, suffix)).ok()?;
            Some((found.dev(), found.ino()))
        }))
    }
}

impl Library {
    /// Runs `work` in one transaction and checkpoints what it wrote. `work` is taken once it has run.
    pub(super) fn session<T>(
        &self,
        generation: Option<u64>,
        work: &mut Option<impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>>,
    ) -> Result<T, Failure<Error>> {
        // Before the gate: a session that waits there blocks the check that decides.
        self.may_write(generation)?;
        let _turn =
            self.gate.write(DATABASE_ATTEMPT_TIMEOUT).ok_or_else(|| Failure::Temporary(self.unsettled()))?;
        let mut known = self.may_write(generation)?;
        let mut overwrites = self.overwrites();
        if !overwrites.begin(Stamp::at(&self.path) == Some(known.stamp)) {
            return Err(Failure::Temporary(self.unsettled()));
        }
        let connection = self.reader.open_writer().map_err(|error| self.not_begun(error))?;
        if self.owns() {
            // Adopted content may be in another journal mode, as `VACUUM INTO` writes it.
            let (stamp, _) = self.convert(&connection, known.stamp).map_err(|error| self.not_begun(error))?;
            if stamp != known.stamp {
                overwrites.converted();
                known.stamp = stamp;
                self.state().known.stamp = stamp;
                self.note(Record::new(false, stamp));
            }
        }
        match self.transact(&connection, &known, work) {
            Ok(Written { value, has_changed: false, .. }) => {
                self.close_unwritten(connection, &known, &mut overwrites);
                Ok(value)
            }
            Ok(Written { value, row, companions, .. }) => {
                self.save(connection, &known, row, &companions, &mut overwrites)?;
                Ok(value)
            }
            Err(Stopped::Busy(error)) => {
                self.close_idle(connection);
                Err(self.not_begun(error))
            }
            // `.restore` of another SQLite program: only the log holds it, so the log stays.
            Err(Stopped::OtherRow) => Err(Failure::Permanent(Error::Replaced(self.path.clone()))),
            // Nothing was written. The next check shows what the file is.
            Err(Stopped::Overwritten) => {
                drop(connection);
                Err(match work {
                    Some(_) => Failure::Temporary(self.unsettled()),
                    None => Failure::Permanent(Error::Replaced(self.path.clone())),
                })
            }
            Err(Stopped::Failed(error)) => {
                self.close_unwritten(connection, &known, &mut overwrites);
                Err(Failure::Permanent(self.failed(error)))
            }
        }
    }

    /// Runs the transaction of a session: compares, runs `work`, commits.
    fn transact<T>(
        &self,
        connection: &Connection,
        known: &Known,
        work: &mut Option<impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>>,
    ) -> Result<Written<T>, Stopped> {
        let is_same_file = || !self.owns() || Stamp::at(&self.path) == Some(known.stamp);
        let transaction =
            Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(Stopped::Busy)?;
        let found = if self.owns() { Row::read(&transaction).ok() } else { Some(known.row.clone()) };
        if !is_same_file() {
            return Err(Stopped::Overwritten);
        }
        if !found.is_some_and(|row| Row::is_same(row.as_ref(), known.row.as_ref())) {
            return Err(Stopped::OtherRow);
        }
        let companions = Companions::at(&self.path);
        let before = connection.total_changes();
        let worked = work.take().ok_or(rusqlite::Error::InvalidQuery).and_then(|work| work(&transaction));
        let has_changed = connection.total_changes() != before;
        let row = if has_changed { self.next_row(known) } else { None };
        let done = worked.and_then(|value| {
            if let Some(row) = &row {
                row.write(&transaction)?;
            }
            commit(&transaction).map(|()| value)
        });
        match done {
            Ok(value) => Ok(Written { value, has_changed, row, companions }),
            // Stat before the verdict: to a connection that read it before, an overwritten file looks damaged.
            Err(_) if !is_same_file() => Err(Stopped::Overwritten),
            Err(error) => Err(Stopped::Failed(error)),
        }
    }

    /// The row of the next transaction; `None` for a process without the lock, which does not write it.
    fn next_row(&self, known: &Known) -> Option<Row> {
        if !self.owns() {
            return None;
        }
        let mut state = self.state();
        let parent = known.row.as_ref().map(Row::key).unwrap_or_default();
        let lineage = state.lineage.get_or_insert_with(|| Lineage { name: lineage_name(), base: 0 });
        let goes_on = known.row.as_ref().filter(|row| row.lineage == lineage.name);
        Some(match goes_on {
            Some(row) => Row { seq: row.seq + 1, base: lineage.base, ..row.clone() },
            None => Row { lineage: lineage.name.clone(), seq: 1, base: 0, parent },
        })
    }

    /// Checkpoints a committed transaction and closes.
    fn save(
        &self,
        connection: Connection,
        known: &Known,
        row: Option<Row>,
        companions: &Companions,
        overwrites: &mut Overwrites,
    ) -> Result<(), Failure<Error>> {
        if !self.owns() {
            // The daemon checkpoints it.
            return connection.close().map_err(|(_, error)| Failure::Permanent(self.failed(error)));
        }
        if Companions::at(&self.path) != *companions {
            return Err(self.let_go(connection, COMPANIONS));
        }
        self.checkpoint_and_close(connection, known, row, overwrites)
    }

    /// The checkpoint: the only place where the main file is written.
    fn checkpoint_and_close(
        &self,
        connection: Connection,
        known: &Known,
        row: Option<Row>,
        overwrites: &mut Overwrites,
    ) -> Result<(), Failure<Error>> {
        self.note(Record::new(true, known.stamp));
        if Stamp::at(&self.path) != Some(known.stamp) {
            return Err(self.let_go(connection, "it changed before a checkpoint"));
        }
        // A `.restore` that waited for our lock has committed since: as with another row before a transaction.
        if Row::read(&connection).is_ok_and(|found| !Row::is_same(found.as_ref(), row.as_ref())) {
            self.note(Record::new(false, known.stamp));
            return Err(Failure::Permanent(Error::Replaced(self.path.clone())));
        }
        let done = checkpoint(&connection);
        let extent = extent(&connection);
        let after = Stamp::at(&self.path);
        overwrites.checkpointed();
        // A log that is there now was committed by another SQLite program after us (a `.restore` that waited for our lock).
        let is_complete = matches!(done, Ok(true)) && !self.has_log();
        let closed = close(connection, is_complete);
        overwrites.closed();
        // SQLite reports a page of the log that the disk cannot give as damage too. Then the main file holds no page of another
        // content, but may lack some of the log.
        let is_refused = done.as_ref().is_err_and(is_damage)
            && after != Some(known.stamp)
            && matches!(log::compare(&self.path), Ok(Relation::Adds | Relation::Foreign));
        let Some(after) = after.filter(|after| after.is_same_file(&known.stamp) && !is_refused) else {
            // Renamed or removed: our pages went into the old file. Or overwritten: SQLite refuses to apply the log to it.
            let is_log_aside = self.set_log_aside();
            self.state().let_go = Some(LetGo { why: "it was replaced during a checkpoint", is_log_aside });
            return Err(Failure::Permanent(Error::Replaced(self.path.clone())));
        };
        let mut collided = false;
        if is_complete {
            let alone = self.reader.read_as_it_is(|connection| Row::read(connection));
            let is_ours = match alone {
                Ok(alone) => Row::is_same(alone.as_ref(), row.as_ref()),
                // An I/O error does not show which program wrote.
                Err(error) => !is_damage(&error),
            };
            // It may be longer: a smaller backup was copied into a larger file (`dd conv=notrunc`).
            let is_whole = extent.map_or(true, |bytes| bytes <= after.length);
            // A later change came after our checkpoint. If the kernel's clock has not ticked, its stamp is the same; then a SQLite
            // program wrote it.
            let is_still = Stamp::at(&self.path) == Some(after);
            collided = is_still && !(is_ours && is_whole) && overwrites.may_have_collided();
        }
        // If the process is killed before it is known whether a copy overlapped, the next start checks the file.
        self.note(Record::new(overwrites.is_suspect(), after));
        let mut state = self.state();
        if is_complete && let (Some(lineage), Some(row)) = (&mut state.lineage, &row) {
            lineage.base = row.seq;
        }
        state.known = Known { stamp: after, row };
        if collided {
            drop(state);
            overwrites.forget();
            overwrites.await_copy();
            self.found_damaged(Reason::CopyCollided, after, COLLIDED.to_owned());
            return Err(Failure::Permanent(Error::Replaced(self.path.clone())));
        }
        let mut was_stuck = std::mem::replace(&mut state.is_log_stuck, done.is_err());
        drop(state);
        for error in [done.err(), closed.err()].into_iter().flatten() {
            // The transaction is in the log, which the next session brings in.
            if !std::mem::replace(&mut was_stuck, true) {
                warn!(
                    "cannot bring the -wal into {} yet: {}. Nothing is lost",
                    self.path.display(),
                    chain(&error)
                );
            }
            let _ = self.failed(error);
        }
        Ok(())
    }

    /// Checkpoints a log that no program seems to use: a session of ours left it because another program was reading, or our
    /// reading prevented another program from removing it. A log that has changed since the last call is left alone, unless
    /// `at_once`. A process without the lock leaves all of it to the daemon, which may be between a commit and its checkpoint.
    ///
    /// # Errors
    /// Of SQLite. A reader that still holds back the checkpoint is not an error.
    pub fn tidy(&self, at_once: bool) -> Result<(), Error> {
        let Some(log) = Stamp::at(&companion(&self.path, "-wal")).filter(|_| self.writes() && self.owns())
        else {
            return Ok(());
        };
        if !at_once {
            let mut state = self.state();
            let before = state.log_seen.replace(log);
            let is_still = before == Some(log) || log.is_old();
            if !is_still || state.log_tried == Some(log) || Stamp::at(&self.path) != Some(state.known.stamp) {
                return Ok(());
            }
        }
        // A database that is or may be damaged stays as it is. Before the gate, as in a session.
        if self.may_write(None).is_err() {
            return Ok(());
        }
        let Some(_turn) = self.gate.write(DATABASE_ATTEMPT_TIMEOUT) else { return Ok(()) };
        let mut overwrites = self.overwrites();
        let Ok(known) = self.may_write(None) else { return Ok(()) };
        if !overwrites.begin(Stamp::at(&self.path) == Some(known.stamp)) {
            return Ok(());
        }
        self.state().log_tried = Some(log);
        let connection = self.reader.open_writer().map_err(|source| self.failed(source))?;
        let row = Row::read(&connection);
        let is_known = row.is_ok_and(|row| Row::is_same(row.as_ref(), known.row.as_ref()));
        // Another program may have checkpointed and closed until the read above locked the file.
        if !is_known || Stamp::at(&self.path) != Some(known.stamp) {
            return Ok(());
        }
        match self.checkpoint_and_close(connection, &known, known.row.clone(), &mut overwrites) {
            Ok(()) => Ok(()),
            Err(Failure::Temporary(error) | Failure::Permanent(error)) => Err(error),
        }
    }

    /// Closes a connection that has written nothing. An empty log is removed; one with content stays.
    pub(super) fn close_idle(&self, connection: Connection) {
        if let Err(error) = close(connection, !self.has_log()) {
            debug!(%error, "a connection to the database was not closed cleanly");
        }
    }

    /// Closes a session that committed nothing. Frames that it left in the log all the same (of a transaction that outgrew the
    /// cache and was rolled back) are removed.
    fn close_unwritten(&self, connection: Connection, known: &Known, overwrites: &mut Overwrites) {
        if self.has_log() && self.owns() {
            // On an error the log stays, and the next session checkpoints it.
            let _ = self.checkpoint_and_close(connection, known, known.row.clone(), overwrites);
        } else {
            self.close_idle(connection);
        }
    }

    /// Abandons a session because the file changed, without writing to it.
    fn let_go(&self, connection: Connection, why: &'static str) -> Failure<Error> {
        // The close does not checkpoint: the file keeps every byte.
        drop(connection);
        let is_log_aside = self.set_log_aside();
        self.state().let_go = Some(LetGo { why, is_log_aside });
        info!(path = %self.path.display(), why, "nothing was written to the database: it was changed by another program");
        Failure::Permanent(Error::Replaced(self.path.clone()))
    }

    pub(super) fn not_begun(&self, error: rusqlite::Error) -> Failure<Error> {
        if is_busy(&error) || is_shut(&error) {
            return failure(&self.path, error);
        }
        Failure::Permanent(self.failed(error))
    }

    pub(super) fn note(&self, record: Record) {
        if let Some(lock) = &self.lock {
            lock.note_record(record);
        }
    }

    pub(super) fn overwrites(&self) -> MutexGuard<'_, Overwrites> {
        self.overwrites.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Checkpoints the log and empties it; `false` if a reader of another program holds some of it back.
fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?) == (0, 0))
    })
}

/// The length that the main file must have, in bytes.
fn extent(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |sql| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).map(u64::from);
    Ok(pragma("PRAGMA page_count")? * pragma("PRAGMA page_size")?)
}

/// A name for a lineage.
fn lineage_name() -> String {
    let Ok(bytes) = random::bytes() else {
        // A sandbox without getrandom: time and process id are unique enough for one file.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        return format!("{now:x}-{:x}", std::process::id());
    };
    format!("{:016x}", u64::from_be_bytes(bytes))
}
