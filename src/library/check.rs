//! The check of the database: stat, open, read, close; then it adopts other content that is at the path.
//!
//! `SELECT 1` accesses no file in SQLite, and a kept connection misses an overwritten header or schema page, and `chmod`. So
//! each check opens a connection of its own and reads the version and a row. It calls stat(2) first: opening a pipe or a
//! dead share blocks without end, and opening an empty file makes SQLite remove the `-wal` beside it. While a session of
//! ours writes, a check only calls stat(2). A check has no deadline of its own; the caller limits its time.

mod adopt;
mod examine;
mod fault;
pub(super) mod reason;

use std::fs::Metadata;
use std::path::Path;
use std::time::Instant;

use rustix::fs::Access;
use tracing::info;

use super::connection::all_allow;
use super::identity::{Change, Row, Stamp, judge};
use super::lock::notes::Record;
use super::session::LetGo;
use super::{Library, SHORTEST, State, diagnose, log, path, session};
use crate::base::times::{DATABASE_CHECK_BUSY_TIMEOUT, DATABASE_REPLACED_WARNING_AGE};
use adopt::Look;
pub(super) use examine::Frames;
use examine::{Seen, examine};
use fault::{Fault, io_error, io_fault};
use reason::Reason;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `None` if the check passes.
    pub reason: Option<Reason>,
    /// One line for people.
    pub detail: Option<String>,
    /// Another program was committing. The caller checks again before it reports a failure.
    pub busy: bool,
}

impl Library {
    /// Checks the database. Blocks as long as the file system does.
    ///
    /// Adopts other content at the path once it has not changed for half a second, if it is a sound library. Then
    /// [`Self::generation`] rises.
    pub fn check(&self) -> Finding {
        let found = self.look();
        if let Err(fault) = &found
            && !fault.busy
        {
            let mut state = self.state();
            // A file that was missing and then grows is another file.
            if state.lost != Some(Reason::Missing) {
                state.lost = Some(fault.reason);
            }
        }
        let lock_lost = self.lock.as_ref().filter(|lock| !lock.is_in_place()).map(|lock| {
            format!(
                "the lock file {} was removed or replaced, so a second daemon can start: restart this one",
                lock.path().display()
            )
        });
        let adopted =
            self.state().adopted.clone().filter(|(when, _)| when.elapsed() < DATABASE_REPLACED_WARNING_AGE);
        let (reason, detail, busy) = match found {
            Err(fault) => (Some(fault.reason), Some(fault.detail), fault.busy),
            Ok(Look::Pending) => {
                let detail =
                    "other content is being put in the database's place; it is adopted once it stands still";
                (Some(Reason::Replaced), Some(detail.to_owned()), false)
            }
            Ok(Look::Fine) if lock_lost.is_some() => (Some(Reason::LockLost), lock_lost, false),
            Ok(Look::Fine) => match adopted {
                Some((_, detail)) => (Some(Reason::Replaced), Some(detail), false),
                None if self.may_be_written() => (None, self.integrity_detail(), false),
                None => match stat(&self.path) {
                    Ok(_) => (Some(Reason::ReadOnly), Some(diagnose::access(&self.path)), false),
                    // It was removed since.
                    Err(fault) => (Some(fault.reason), Some(fault.detail), fault.busy),
                },
            },
        };
        Finding { reason, detail, busy }
    }

    fn integrity_detail(&self) -> Option<String> {
        let integrity = self.integrity().filter(|integrity| integrity.passed)?;
        Some(format!("integrity_check passed {} s ago", integrity.age.as_secs()))
    }

    fn look(&self) -> Result<Look, Fault> {
        let found = stat(&self.path)?;
        // By another name the same file has another `-wal` and another lock.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_symlink()) {
            self.leads_where_it_did()?;
        }
        if self.is_closed() {
            return Ok(Look::Fine);
        }
        let Some(turn) = self.gate.read(DATABASE_CHECK_BUSY_TIMEOUT) else {
            // A session of ours is open, and compares by itself.
            let is_same = self.state().known.stamp.is_same_file(&Stamp::of(&found));
            return if is_same { Ok(Look::Fine) } else { Ok(Look::Pending) };
        };
        // Again, because a session of ours may have ended meanwhile.
        let found = stat(&self.path)?;
        let stamp = Stamp::of(&found);
        if !diagnose::readable(&self.path) {
            // It may have been removed meanwhile.
            stat(&self.path)?;
            let detail = format!("{}: {}", self.path.display(), diagnose::access(&self.path));
            return Err(Fault::new(Reason::PermissionDenied, detail));
        }
        let is_copied = self.look_for_collision(stamp);
        // If the file changed, a log that no program uses may belong to the content before. Read through that log, other content
        // looks damaged.
        let is_candidate = self.owns()
            && !stamp.is_same_content(&self.state().known.stamp)
            && path::companion(&self.path, "-wal").exists();
        let turn = if is_candidate {
            // No other connection of ours may be open while the locks are tried and the log is compared.
            drop(turn);
            match self.gate.write(DATABASE_CHECK_BUSY_TIMEOUT) {
                Some(turn) if Stamp::at(&self.path) == Some(stamp) => turn,
                _ => return Ok(Look::Fine),
            }
        } else {
            turn
        };
        let is_alone = is_candidate && !self.is_in_use();
        let has_foreign_log =
            is_alone && log::is_foreign(&self.path, stamp).map_err(|error| io_fault(&self.path, &error))?;
        let mut seen = examine(&self.reader, &self.path, &found, is_alone);
        if is_alone && seen.as_ref().is_err_and(|fault| fault.reason == Reason::Corrupt) {
            // A checkpoint into it may have been cut short by a full disk.
            seen = examine(&self.reader, &self.path, &found, false).or(seen);
        }
        if is_alone && seen.is_err() && Stamp::at(&self.path) != Some(stamp) {
            // Another program is checkpointing.
            return Ok(Look::Fine);
        }
        drop(turn);
        let seen = match seen {
            Ok(seen) => seen,
            Err(fault) if fault.is_unfinished && stamp.is_old() && self.undo_unfinished() => {
                return Ok(Look::Fine);
            }
            // On a full disk a log that was left there cannot be read. The scanner warns of the disk.
            Err(fault) if fault.for_lack => return Ok(Look::Fine),
            // Known damage takes precedence over what this check found.
            Err(fault) => return Err(self.known_fault(stamp).unwrap_or(fault)),
        };
        if Stamp::at(&self.path) != Some(stamp) {
            // It changed meanwhile; the next check examines it.
            return Ok(Look::Fine);
        }
        if let Some(fault) = self.known_fault(stamp) {
            // If the log holds all pages, nothing of the damaged content is left.
            let is_gone = seen.is_anew && fault.reason != Reason::IoError;
            return if is_gone { self.adopt(stamp, seen.row, Change::Replaced) } else { Err(fault) };
        }
        self.conclude(stamp, seen, has_foreign_log, is_copied)
    }

    /// Rolls back the write of a program that died, as the start does. `false` if it is not ours to do, or cannot be done yet.
    fn undo_unfinished(&self) -> bool {
        if !self.owns() || !self.writes() {
            return false;
        }
        let Some(_turn) = self.gate.write(DATABASE_CHECK_BUSY_TIMEOUT) else { return false };
        self.reader.undo().is_ok()
    }

    /// Returns the known fault of this content.
    fn known_fault(&self, stamp: Stamp) -> Option<Fault> {
        let mut state = self.state();
        // A session that was open when it was found has given the same content another stamp.
        let is_in_use = state.known.stamp == stamp;
        if state.evidence.fault.as_ref().is_some_and(|fault| is_in_use || fault.stamp == stamp) {
            return self.damage(&state);
        }
        // Reported once. If the error persists, it is found again.
        let error = state.evidence.io_error.take()?;
        Some(Fault::new(Reason::IoError, io_error(&self.path, &error)))
    }

    /// The known damage, for a check to report.
    fn damage(&self, state: &State) -> Option<Fault> {
        let known = state.evidence.fault.as_ref()?;
        Some(Fault::new(known.reason, format!("{}: {}", self.path.display(), known.detail)))
    }

    /// Reports a copy that overlapped our last checkpoint, once it has ended. `true` if it may have been copied again since.
    fn look_for_collision(&self, stamp: Stamp) -> bool {
        if !self.owns() {
            return false;
        }
        let known = self.state().known.stamp;
        let mut overwrites = self.overwrites();
        let was_suspect = overwrites.is_suspect();
        if !known.is_same_file(&stamp) {
            // Writes to the file before do not concern this one.
            overwrites.forget();
        } else if !overwrites.look(stamp != known) {
            if overwrites.take_doubt(stamp != known) {
                self.state().evidence.hold();
            }
            if was_suspect && !overwrites.is_suspect() {
                self.note(Record::new(false, known));
            }
        } else {
            overwrites.await_copy();
            drop(overwrites);
            self.found_damaged(Reason::CopyCollided, stamp, session::COLLIDED.to_owned());
            return false;
        }
        overwrites.may_be_copied()
    }

    /// Decides what a sound content means. `has_foreign_log`: the log beside it was written for other content. `is_copied`: a
    /// program that is not SQLite may have written since a copy collided.
    fn conclude(
        &self,
        stamp: Stamp,
        seen: Seen,
        has_foreign_log: bool,
        is_copied: bool,
    ) -> Result<Look, Fault> {
        let Seen { row, frames, .. } = seen;
        let mut state = self.state();
        let has_checkpointed = frames.is_none() || state.frames != frames;
        state.frames = frames;
        let mut settling = state.settling.take();
        let change = judge(&state.known, stamp, row.as_ref(), Instant::now(), &mut settling);
        state.settling = settling;
        if self.has_lost_log(&mut state, stamp, frames) && state.let_go.is_none() {
            state.let_go = Some(LetGo { why: session::LOG_LOST, is_log_aside: false });
        }
        let is_other = !Row::is_same(state.known.row.as_ref(), row.as_ref());
        if change == Change::Replaced && stamp == state.known.stamp && state.is_own_successor(row.as_ref()) {
            // A transaction of ours that is still in the log: the file was missing when it was to be checkpointed.
            state.known.row = row;
            return Ok(Look::Fine);
        }
        let is_back = change == Change::Cooperative && stamp.is_same_content(&state.known.stamp);
        if is_back && state.let_go.is_some_and(|let_go| let_go.why != session::COMPANIONS) {
            state.let_go = None;
            state.lost = Some(Reason::Missing);
        }
        // The user was asked to copy it again, and the copy may contain our row already.
        let is_copied_again =
            is_copied && state.evidence.is_collided() && !stamp.is_same_content(&state.known.stamp);
        // Damage counts until other content is adopted, or integrity_check passes: a change by another program does not repair it.
        let damage = self.damage(&state);
        match change {
            Change::None if state.let_go.is_none() => {
                if state.take_lost() {
                    info!(path = %self.path.display(), "the database is back");
                    state.generation += 1;
                }
                return Ok(Look::Fine);
            }
            Change::Unsettled if is_other || is_copied_again => return Ok(Look::Pending),
            Change::Unsettled => return damage.map_or(Ok(Look::Fine), Err),
            // Without a row (before our first write), other content cannot be distinguished. And a new file may have the inode of
            // one that was removed.
            Change::Cooperative
                if !has_foreign_log
                    && state.let_go.is_none()
                    && !is_copied_again
                    && (stamp.is_same_content(&state.known.stamp)
                        || (state.lost != Some(Reason::Missing) && (row.is_some() || !self.writes()))) =>
            {
                // A copy with the same row may have been mixed with a log.
                let was_torn = matches!(state.lost, Some(Reason::Corrupt | Reason::NotADatabase))
                    && !stamp.is_same_content(&state.known.stamp);
                state.known.stamp = stamp;
                state.generation += u64::from(state.take_lost());
                let evidence = &mut state.evidence;
                if let Some(fault) = &mut evidence.fault {
                    // It may have been repaired: integrity_check decides.
                    fault.stamp = stamp;
                }
                if has_checkpointed && !was_torn {
                    evidence.ask();
                } else {
                    // The checkpoints of the open log do not explain the change.
                    evidence.hold();
                }
                let fault = evidence.fault.clone();
                drop(state);
                self.note(Record::new(false, stamp));
                if let Some(lock) = self.lock.as_ref().filter(|_| fault.is_some()) {
                    lock.note_fault(fault);
                }
                return damage.map_or(Ok(Look::Fine), Err);
            }
            Change::None | Change::Cooperative | Change::Replaced => {}
        }
        drop(state);
        self.adopt(stamp, row, change)
    }

    /// Whether the log is gone, or shorter, with frames that no checkpoint had copied: a checkpoint changes the database file.
    fn has_lost_log(&self, state: &mut State, stamp: Stamp, frames: Option<Frames>) -> bool {
        let log = Stamp::at(&path::companion(&self.path, "-wal"));
        let is_unsaved = frames.is_some_and(|(log, copied)| log > copied);
        let before =
            std::mem::replace(&mut state.unsaved, log.filter(|_| is_unsaved).map(|log| (stamp, log)));
        // A program that closes saves and removes its log: the file has changed then.
        let is_unchanged = Stamp::at(&self.path) == Some(stamp);
        before.is_some_and(|(main, before)| {
            let is_whole = |log: Stamp| log.is_same_file(&before) && log.length >= before.length;
            is_unchanged && main == stamp && !log.is_some_and(is_whole)
        })
    }

    fn may_be_written(&self) -> bool {
        let directory = path::directory(&self.path);
        all_allow(Access::WRITE_OK, &self.path) && diagnose::directory_writable(directory)
    }

    fn leads_where_it_did(&self) -> Result<(), Fault> {
        let real = path::real(&self.path);
        if real == self.real {
            return Ok(());
        }
        let detail = format!(
            "{} now leads to {}, which this daemon has not locked (it did to {}): restart it to use that library",
            self.path.display(),
            real.display(),
            self.real.display()
        );
        Err(Fault::new(Reason::Missing, detail))
    }
}

/// Calls stat(2). The path must name a file of at least [`SHORTEST`] bytes.
fn stat(path: &Path) -> Result<Metadata, Fault> {
    let found = std::fs::metadata(path).map_err(|error| io_fault(path, &error))?;
    if !found.is_file() {
        let detail = format!("{} is {}", path.display(), diagnose::kind(&found));
        return Err(Fault::new(Reason::NotADatabase, detail));
    }
    if found.len() < SHORTEST {
        let detail = format!("{} has {} bytes, fewer than any database", path.display(), found.len());
        return Err(Fault::new(Reason::NotADatabase, detail));
    }
    Ok(found)
}
