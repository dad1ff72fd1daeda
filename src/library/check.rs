//! The check that can fail: one look at the library, and what follows from it (stat, open afresh, read, close; adopt what is
//! there by now).
//!
//! `SELECT 1` makes no file access in SQLite, and a kept connection misses an overwritten header or schema page,
//! and `chmod`. So each look stats the path first (opening a pipe or a dead share blocks for good, and opening
//! an empty file makes SQLite remove the `-wal` beside it), then reads the version and a row through a connection of its own.
//! While a session of ours writes it only stats. It knows no deadline: whoever calls it minds the clock.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, ffi};
use rustix::fs::Access;
use tracing::info;

use super::connection::{self, Reader};
use super::identity::{Change, Known, Row, Stamp, judge};
use super::lock::notes::Record;
use super::log::{self, Relation};
use super::schema::{self, Mismatch};
use super::{Library, SHORTEST, diagnose, integrity, is_busy, path, session};

/// How long a look waits for a neighbour's commit: less than the 80 ms after which a check counts as late.
const BUSY: Duration = Duration::from_millis(60);

/// How long a replaced library is warned about.
const REPLACED: Duration = Duration::from_secs(60);

/// What is wrong. The names ([`Reason::as_str`]) are part of the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is at the path.
    Missing,
    /// Something else than a SQLite database, or nothing in it.
    NotADatabase,
    /// A database that does not hold together.
    Corrupt,
    /// A copy overlapped a checkpoint of ours, so that pages of both may lie in the file.
    CopyCollided,
    /// A database of another program or time.
    WrongSchema,
    /// We may not read it.
    PermissionDenied,
    /// Another program keeps it locked.
    Locked,
    /// The system cannot read it.
    IoError,
    /// It can be read but not written.
    ReadOnly,
    /// Another valid library has just taken its place.
    Replaced,
    /// The lock file is not ours any more: another daemon may be at work on the library.
    LockLost,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::Missing,
        Self::NotADatabase,
        Self::Corrupt,
        Self::CopyCollided,
        Self::WrongSchema,
        Self::PermissionDenied,
        Self::Locked,
        Self::IoError,
        Self::ReadOnly,
        Self::Replaced,
        Self::LockLost,
    ];

    /// The reason of a stable name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotADatabase => "not_a_database",
            Self::Corrupt => "corrupt",
            Self::CopyCollided => "copy_collided",
            Self::WrongSchema => "wrong_schema",
            Self::PermissionDenied => "permission_denied",
            Self::Locked => "locked",
            Self::IoError => "io_error",
            Self::ReadOnly => "read_only",
            Self::Replaced => "replaced",
            Self::LockLost => "lock_lost",
        }
    }

    /// Whether the library is usable all the same.
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Replaced | Self::LockLost)
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `None` when all is well.
    pub reason: Option<Reason>,
    /// One line for people.
    pub detail: Option<String>,
    /// It was only found busy (a neighbour's commit): worth another look before it is believed.
    pub busy: bool,
}

/// What stops a look.
struct Fault {
    reason: Reason,
    detail: String,
    busy: bool,
    /// There was no room to look.
    for_lack: bool,
}

impl Fault {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), busy: false, for_lack: false }
    }

    fn busy(reason: Reason, detail: impl Into<String>) -> Self {
        Self { busy: true, ..Self::new(reason, detail) }
    }
}

impl Library {
    /// Takes one look. Blocks as long as the file system does.
    ///
    /// Other content at the path is adopted here once it stands still, if it is a sound library, and [`Self::generation`]
    /// rises.
    pub fn check(&self) -> Finding {
        let found = self.look();
        if let Err(fault) = &found
            && !fault.busy
        {
            let mut state = self.state();
            // What is missing, and then comes back piece by piece, is another file.
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
        let adopted = self.state().adopted.clone().filter(|(when, _)| when.elapsed() < REPLACED);
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
                    // It has gone since the look.
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
        // The same file by another name has another `-wal` beside it, and another lock.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_symlink()) {
            self.leads_where_it_did()?;
        }
        if self.is_closed() {
            return Ok(Look::Fine);
        }
        let Some(turn) = self.gate.read(BUSY) else {
            // A session of ours is at work, and compares for itself.
            let is_same = self.state().known.stamp.is_same_file(&Stamp::of(&found));
            return if is_same { Ok(Look::Fine) } else { Ok(Look::Pending) };
        };
        // Again: a session of ours may have ended meanwhile.
        let found = stat(&self.path)?;
        let stamp = Stamp::of(&found);
        if !diagnose::readable(&self.path) {
            // Unless it has gone meanwhile.
            stat(&self.path)?;
            let detail = format!("{}: {}", self.path.display(), diagnose::access(&self.path));
            return Err(Fault::new(Reason::PermissionDenied, detail));
        }
        self.look_for_collision(stamp);
        // A log that nobody uses, beside a file that changed, may be of the content before: seen through it, any other
        // content looks damaged.
        let is_candidate = self.owns()
            && !stamp.is_same_content(&self.state().known.stamp)
            && path::companion(&self.path, "-wal").exists();
        let turn = if is_candidate {
            // Nothing else of ours may have the file open while its locks are tried and the log is compared.
            drop(turn);
            match self.gate.write(BUSY) {
                Some(turn) if Stamp::at(&self.path) == Some(stamp) => turn,
                _ => return Ok(Look::Fine),
            }
        } else {
            turn
        };
        let is_alone = is_candidate && !self.is_in_use();
        let has_foreign_log = is_alone && log::is_foreign(&self.path, stamp);
        let mut seen = examine(&self.reader, &self.path, &found, is_alone);
        if is_alone && seen.as_ref().is_err_and(|fault| fault.reason == Reason::Corrupt) {
            // Or a checkpoint into it was cut short: the disk was full.
            seen = examine(&self.reader, &self.path, &found, false).or(seen);
        }
        if is_alone && seen.is_err() && Stamp::at(&self.path) != Some(stamp) {
            // Another program is just bringing its log in.
            return Ok(Look::Fine);
        }
        drop(turn);
        let seen = match seen {
            Ok(seen) => seen,
            // A log that was left on a full disk cannot be read there. The scanner warns of the disk.
            Err(fault) if fault.for_lack => return Ok(Look::Fine),
            // What is known to be damaged is called so, whatever else is found of it.
            Err(fault) => return Err(self.known_fault(stamp).unwrap_or(fault)),
        };
        if Stamp::at(&self.path) != Some(stamp) {
            // It changed meanwhile; the next look sees to what.
            return Ok(Look::Fine);
        }
        if let Some(fault) = self.known_fault(stamp) {
            // Nothing of the damaged content is left where the log has all pages.
            let is_gone = seen.is_anew && fault.reason != Reason::IoError;
            return if is_gone { self.adopt(stamp, seen.row) } else { Err(fault) };
        }
        self.conclude(stamp, seen, has_foreign_log)
    }

    /// What is known against this content.
    fn known_fault(&self, stamp: Stamp) -> Option<Fault> {
        let mut state = self.state();
        // A session that was at work when it was found has given the same content another stamp.
        let is_in_use = state.known.stamp == stamp;
        if let Some(known) = state.evidence.fault.as_ref().filter(|fault| is_in_use || fault.stamp == stamp) {
            return Some(Fault::new(known.reason, format!("{}: {}", self.path.display(), known.detail)));
        }
        // Reported once: should it go on, it is found again.
        let error = state.evidence.io_error.take()?;
        Some(Fault::new(Reason::IoError, format!("{}: {error}", self.path.display())))
    }

    /// Whether a copy that overlapped our last checkpoint has ended.
    fn look_for_collision(&self, stamp: Stamp) {
        if !self.owns() {
            return;
        }
        let known = self.state().known.stamp;
        let mut overwrites = self.overwrites();
        let was_suspect = overwrites.is_suspect();
        if !known.is_same_file(&stamp) {
            // What wrote to the file before does not concern this one.
            overwrites.forget();
        } else if !overwrites.look(stamp != known) {
            if was_suspect && !overwrites.is_suspect() {
                self.note(Record::new(false, known));
            }
        } else {
            drop(overwrites);
            self.found_damaged(Reason::CopyCollided, stamp, session::COLLIDED.to_owned());
        }
    }

    /// Draws the conclusion from a sound content. `has_foreign_log`: the log beside it was written for another.
    fn conclude(&self, stamp: Stamp, seen: Seen, has_foreign_log: bool) -> Result<Look, Fault> {
        let Seen { row, frames, .. } = seen;
        let mut state = self.state();
        let has_checkpointed = frames.is_none() || state.frames != frames;
        state.frames = frames;
        let mut settling = state.settling.take();
        let change = judge(&state.known, stamp, row.as_ref(), Instant::now(), &mut settling);
        state.settling = settling;
        let is_other = !Row::is_same(state.known.row.as_ref(), row.as_ref());
        if change == Change::Replaced && stamp == state.known.stamp && state.is_own_successor(row.as_ref()) {
            // A transaction of ours that is still in the log, because the file was away when it was to be saved.
            state.known.row = row;
            return Ok(Look::Fine);
        }
        let is_back = change == Change::Cooperative && stamp.is_same_content(&state.known.stamp);
        if is_back && state.let_go.is_some_and(|let_go| let_go.why != session::COMPANIONS) {
            state.let_go = None;
            state.lost = Some(Reason::Missing);
        }
        // The user was asked to copy it again, and the copy may have our row already.
        let is_copied_again = state.evidence.is_collided();
        match change {
            Change::None if state.let_go.is_none() => {
                if state.lost.take().is_some() {
                    info!(path = %self.path.display(), "the library is back");
                    state.generation += 1;
                }
                return Ok(Look::Fine);
            }
            Change::Unsettled if is_other || is_copied_again => return Ok(Look::Pending),
            Change::Unsettled => return Ok(Look::Fine),
            // Where we write the row, none is there only until our first write: what came meanwhile cannot be distinguished. And
            // a new file may have the inode of one that was removed.
            Change::Cooperative
                if !has_foreign_log
                    && state.let_go.is_none()
                    && !is_copied_again
                    && (stamp.is_same_content(&state.known.stamp)
                        || (state.lost != Some(Reason::Missing) && (row.is_some() || !self.writes()))) =>
            {
                // A copy with the same row may have been at work, and a log come between.
                let was_torn = matches!(state.lost, Some(Reason::Corrupt | Reason::NotADatabase))
                    && !stamp.is_same_content(&state.known.stamp);
                state.known.stamp = stamp;
                state.generation += u64::from(state.lost.take().is_some());
                let evidence = &mut state.evidence;
                if let Some(fault) = &mut evidence.fault {
                    // Perhaps somebody has repaired it: the check tells.
                    fault.stamp = stamp;
                }
                if has_checkpointed && !was_torn {
                    evidence.ask();
                } else {
                    // The file changed beside an open log whose checkpoints do not explain it.
                    evidence.hold();
                }
                drop(state);
                self.note(Record::new(false, stamp));
                return Ok(Look::Fine);
            }
            Change::None | Change::Cooperative | Change::Replaced => {}
        }
        drop(state);
        self.adopt(stamp, row)
    }

    /// Takes other content into use.
    fn adopt(&self, stamp: Stamp, row: Option<Row>) -> Result<Look, Fault> {
        self.leads_where_it_did()?;
        let _turn = self.gate.write(BUSY).ok_or_else(|| {
            Fault::busy(
                Reason::Locked,
                "another library has been put in place; work on the one before is just ending",
            )
        })?;
        // Where the file is as we left it the other content lies in the log, and nowhere else (`.restore`).
        let is_in_log = {
            let state = self.state();
            stamp.is_same_content(&state.known.stamp) && state.let_go.is_none_or(|let_go| let_go.is_log_aside)
        };
        let belongs = is_in_log || log::compare(&self.path).is_ok_and(|found| found == Relation::Continues);
        let is_complete = !belongs && self.set_log_aside();
        if Stamp::at(&self.path) != Some(stamp) {
            return Ok(Look::Pending);
        }
        let verified = if is_complete {
            self.reader.read_as_it_is(|connection| schema::verify(connection))
        } else {
            self.reader.read(BUSY, |connection| schema::verify(connection))
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
            // A full disk does not keep it from being used: the scanner warns of the disk.
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
            Some(why) if !is_other => format!(
                "{why} while the daemon wrote: what it was writing was given up, and is written again"
            ),
            _ => "another valid library has taken the place of the one before, and is used now".to_owned(),
        };
        // No warning: the check warns, and whoever shows it says so.
        info!(path = %self.path.display(), detail, "library adopted");
        state.known = Known { stamp, row };
        state.lineage = None;
        state.lost = None;
        state.generation += 1;
        state.adopted = Some((Instant::now(), detail));
        // Nothing is written yet: perhaps the copy only paused, or another program has it open whose log and index are of the
        // content before.
        state.evidence.forget();
        drop(state);
        if is_other_file {
            self.overwrites().forget();
        }
        // Also for the next start: a log that is left by then builds on this content.
        self.note(Record::new(false, stamp));
        if let Some(lock) = &self.lock {
            lock.note_fault(None);
        }
        Ok(Look::Fine)
    }

    fn may_be_written(&self) -> bool {
        let directory = path::directory(&self.path);
        diagnose::writable(&self.path) && diagnose::directory_writable(directory)
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

/// What a look shows that finds nothing wrong.
enum Look {
    Fine,
    /// Other content is there and is not adopted yet.
    Pending,
}

/// The path must name a file with something in it.
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

/// A sound content.
struct Seen {
    row: Option<Row>,
    frames: Option<Frames>,
    /// The log has been written with all pages (`.restore`).
    is_anew: bool,
}

/// Opens, reads, closes.
fn examine(reader: &Reader, path: &Path, found: &Metadata, is_alone: bool) -> Result<Seen, Fault> {
    let look = |connection: &mut Connection| {
        Ok(match read(connection)? {
            Ok((extent, row)) => {
                let frames = frames(connection);
                let is_anew =
                    frames.is_some_and(|(log, _)| u64::try_from(log).is_ok_and(|log| log >= extent.pages));
                let seen = Seen { row, frames, is_anew };
                Sight::Library { cut: cut(frames, path, found.len(), &extent), seen }
            }
            Err(mismatch) => Sight::Other(mismatch),
        })
    };
    let sight = if is_alone { reader.read_as_it_is(look) } else { reader.read(BUSY, look) };
    match sight.map_err(|error| sqlite_fault(path, &error))? {
        Sight::Library { cut: None, seen } => Ok(seen),
        Sight::Library { cut: Some(detail), .. } => Err(Fault::new(Reason::Corrupt, detail)),
        Sight::Other(mismatch) => {
            Err(Fault::new(Reason::WrongSchema, format!("{} {mismatch}", path.display())))
        }
    }
}

/// What a look through SQLite shows.
enum Sight {
    Library { cut: Option<String>, seen: Seen },
    Other(Mismatch),
}

/// How long a database says it is.
struct Extent {
    pages: u64,
    page_size: u64,
}

/// Frames in the write-ahead log, and how many of them checkpoints have copied into the main file.
pub(super) type Frames = (i64, i64);

/// `None` where there is no log, or one that we may not write, which does not tell.
fn frames(connection: &Connection) -> Option<Frames> {
    let frames =
        connection.query_row("PRAGMA wal_checkpoint = NOOP", [], |row| Ok((row.get(1)?, row.get(2)?)));
    frames.ok().filter(|(log, _)| *log >= 0)
}

/// The version, a row, our own row, and how long the database says it is, in one read transaction.
fn read(connection: &Connection) -> rusqlite::Result<Result<(Extent, Option<Row>), Mismatch>> {
    let transaction = connection.unchecked_transaction()?;
    if let Err(mismatch) = schema::version(&transaction)? {
        return Ok(Err(mismatch));
    }
    // The path is in the table itself: an index alone would not show that the table is there.
    match transaction.query_row("SELECT path, filename FROM files LIMIT 1", [], |_| Ok(())) {
        Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
            return Ok(Err(Mismatch::Incomplete { missing: vec!["files".to_owned()] }));
        }
        Err(error) => return Err(error),
    }
    let row = Row::read(&transaction)?;
    let pragma = |sql| transaction.query_row(sql, [], |row| row.get::<_, u32>(0)).map(u64::from);
    let extent = Extent { pages: pragma("PRAGMA page_count")?, page_size: pragma("PRAGMA page_size")? };
    Ok(Ok((extent, row)))
}

/// Says so when the file is shorter than it must be. Without a write-ahead log SQLite has seen to that itself;
/// with one it takes the log's word for the length. Pages that are not in the file yet must all be among those
/// frames of the log that no checkpoint has copied: fewer frames than pages means that the file was cut.
fn cut(frames: Option<Frames>, path: &Path, length: u64, extent: &Extent) -> Option<String> {
    let &Extent { pages, page_size } = extent;
    if length >= pages * page_size {
        return None;
    }
    let (log, copied) = frames?;
    let pending = u64::try_from(log - copied).unwrap_or(0);
    // A checkpoint may have made the file longer since.
    let length = std::fs::metadata(path).map_or(length, |found| found.len());
    (pages.saturating_sub(length / page_size) > pending)
        .then(|| format!("{} was cut short: {length} bytes of {}", path.display(), pages * page_size))
}

fn io_fault(path: &Path, error: &io::Error) -> Fault {
    let reason = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            // Who owns what does not matter where nothing is.
            let gone = path.ancestors().take_while(|part| !part.exists()).last().unwrap_or(path);
            let detail =
                format!("{} is not there: restore a backup, or mount what belongs there", gone.display());
            return Fault::new(Reason::Missing, detail);
        }
        io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
        _ => Reason::IoError,
    };
    let why = diagnose::fault(path, error).unwrap_or_else(|| diagnose::access(path));
    Fault::new(reason, format!("{}: {error}: {why}", path.display()))
}

/// What an error of SQLite means.
fn sqlite_fault(path: &Path, error: &rusqlite::Error) -> Fault {
    if is_busy(error) {
        let detail = format!("another program keeps {} locked", path.display());
        return Fault::busy(Reason::Locked, detail);
    }
    let said = |reason| Fault::new(reason, format!("{}: {error}", path.display()));
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => said(Reason::NotADatabase),
        Some(ErrorCode::DatabaseCorrupt) => said(Reason::Corrupt),
        Some(ErrorCode::ReadOnly) if connection::is_unfinished(error) => Fault::busy(
            Reason::Locked,
            format!("{} holds an unfinished write of another program", path.display()),
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            // SQLite keeps the system's reason to itself.
            let reason = match std::fs::metadata(path) {
                Err(error) => return io_fault(path, &error),
                Ok(_) if !connection::all_allow(Access::READ_OK, path) => Reason::PermissionDenied,
                Ok(_) if !diagnose::directory_writable(path::directory(path)) => Reason::PermissionDenied,
                Ok(_) => Reason::IoError,
            };
            let detail = format!("{}: {error}: {}", path.display(), diagnose::access(path));
            // What is beside the library may have been shut for a moment only: root's SQLite makes a `-shm`, and then gives
            // it to the library's owner.
            let busy = diagnose::readable(path) && diagnose::directory_writable(path::directory(path));
            Fault { busy, ..Fault::new(reason, detail) }
        }
        _ => {
            // SQLite has not found it by its name either.
            if let Err(error) = std::fs::metadata(path) {
                return io_fault(path, &error);
            }
            let code = error.sqlite_extended_error_code().unwrap_or_default();
            let detail = format!("{}: {error} (SQLite code {code})", path.display());
            let for_lack = integrity::is_for_lack(path, error);
            Fault { for_lack, busy: code == ffi::SQLITE_IOERR_FSTAT, ..Fault::new(Reason::IoError, detail) }
        }
    }
}

/// Why new content cannot be written.
fn writer_fault(path: &Path, error: &rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        _ if is_busy(error) => sqlite_fault(path, error),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)
            if !connection::all_allow(Access::WRITE_OK, path) =>
        {
            let detail = format!("{}: {error}: {}", path.display(), diagnose::access(path));
            Fault::new(Reason::PermissionDenied, detail)
        }
        _ => Fault::new(Reason::IoError, format!("{}: {error}", path.display())),
    }
}
