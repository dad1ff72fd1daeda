//! Finds copies onto the database file that overlap a checkpoint of ours, by the descriptors that other programs hold.
//!
//! A copy that runs before or after a checkpoint changes the file's stamp. One that runs during the checkpoint does not:
//! afterwards stamp, size and row are those of our checkpoint, while the file holds pages of the copy between ours, or only
//! pages of the copy. So inotify(7) reports which programs opened and closed the file meanwhile. A program that opens the
//! main file and then not the `-wal` is not SQLite: a *foreign* program. If it had the file open during our checkpoint and
//! closes it after writing, it has collided with the checkpoint. Without inotify nothing is found, and `integrity_check`
//! decides.

use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tracing::debug;

use super::path::directory;
use crate::base::times::{DATABASE_COLLISION_WINDOW, DATABASE_COPY_PAUSE};

/// A session of ours, until its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    None,
    /// The next opening of the main file is ours.
    OpensMain,
    /// The next opening of the log is ours.
    OpensLog,
    Open,
}

/// What other programs do to the main file.
///
/// Equal events in a row become one (inotify(7)), so counts can be too low. Every session starts them again.
#[derive(Debug)]
pub(super) struct Overwrites {
    directory: PathBuf,
    main: CString,
    log: CString,
    inotify: Option<OwnedFd>,
    /// Open descriptors of foreign programs, our own readers included.
    strangers: u32,
    /// When an opening of them was last noticed.
    last_opening: Instant,
    /// Open events of the main file since the last session began.
    openings: u32,
    /// The count of connections of this process, and its value when the last session began.
    own: (Arc<AtomicU32>, u32),
    /// Foreign programs that had the file open then.
    others: u32,
    /// Of them, those that were opened after our last checkpoint: what they write does not overlap it.
    late: u32,
    session: Session,
    /// Descriptors of the log that were closed since the last session began, and the main file's of the same program not yet.
    log_closes: u32,
    /// One of them was the last event of both files: the next closing of the main file is the same program's.
    has_closed_log: bool,
    /// Descriptors that were opened before the database was in WAL mode, by SQLite or not.
    unknown: u32,
    /// A foreign program had the file open during our last checkpoint, and may have written.
    suspect: bool,
    /// The main file was closed after writing, and no opening explains that: the opening may have been merged with one of ours.
    /// Whether that was soon after the checkpoint.
    unexplained: Option<bool>,
    /// A foreign program has closed the main file after writing since the last call of [`Self::await_copy`].
    copied: bool,
    /// When our last checkpoint ended.
    checkpointed: Instant,
    /// It has closed the file after writing: whether that was soon after the checkpoint.
    closed: Option<bool>,
}

impl Overwrites {
    /// Of the database at `real`, a path without links. `own` counts the connections of this process.
    pub(super) fn new(real: &Path, own: Arc<AtomicU32>) -> Self {
        let name = |suffix: &str| {
            let mut name = real.file_name().unwrap_or(OsStr::new("")).to_owned();
            name.push(suffix);
            CString::new(name.as_bytes()).unwrap_or_default()
        };
        let mut new = Self {
            directory: directory(real).to_owned(),
            main: name(""),
            log: name("-wal"),
            inotify: None,
            strangers: 0,
            last_opening: Instant::now(),
            openings: 0,
            own: (own, 0),
            others: 0,
            late: 0,
            session: Session::None,
            log_closes: 0,
            has_closed_log: false,
            unknown: 0,
            suspect: false,
            unexplained: None,
            copied: false,
            checkpointed: Instant::now(),
            closed: None,
        };
        new.watch();
        new
    }

    fn watch(&mut self) {
        let flags =
            WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE | WatchFlags::ONLYDIR;
        let watched = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .and_then(|fd| inotify::add_watch(&fd, &self.directory, flags).map(|_| fd));
        match watched {
            Ok(fd) => self.inotify = Some(fd),
            Err(error) => debug!(%error, "copies that overlap a checkpoint cannot be found: no inotify"),
        }
    }

    /// The main file was replaced: the known descriptors are of the file before.
    pub(super) fn forget(&mut self) {
        self.drain();
        (self.strangers, self.others, self.late, self.unknown) = (0, 0, 0, 0);
        (self.suspect, self.closed, self.unexplained) = (false, None, None);
    }

    /// The database has just been put into WAL mode: SQLite programs that have it open opened no log.
    pub(super) fn converted(&mut self) {
        self.drain();
        let unknown = self.strangers;
        self.forget();
        self.unknown = unknown;
    }

    /// A session of ours is about to open the main file, and nothing else of ours has it open. `false` while it is not known
    /// yet whether a copy overlapped the last one. `is_unchanged`: nothing has written to the file since that one.
    pub(super) fn begin(&mut self, is_unchanged: bool) -> bool {
        if self.inotify.is_none() {
            self.watch();
        }
        // The session before may have failed before it opened its log: the next opening of a log is not its own.
        self.session = Session::None;
        self.drain();
        self.correct();
        if self.closed.is_some() {
            return false;
        }
        if is_unchanged && self.last_opening.elapsed() > DATABASE_COPY_PAUSE {
            (self.strangers, self.others) = (0, 0);
        }
        // A program that closes now is between its two closes.
        self.log_closes = u32::from(self.has_closed_log);
        (self.late, self.session) = (0, Session::OpensMain);
        true
    }

    /// Our own readers have closed, even if their events were merged: only openings beyond the number of our own count as
    /// foreign.
    fn correct(&mut self) {
        let own = self.own.0.load(Ordering::Relaxed);
        let proven = self.openings.saturating_sub(own.wrapping_sub(self.own.1));
        self.strangers = self.strangers.min(self.others + proven);
        (self.others, self.openings, self.own.1) = (self.strangers, 0, own);
    }

    /// A checkpoint of ours has just ended; our writer still has the main file open.
    pub(super) fn checkpointed(&mut self) {
        // A foreign program that opened and closed it meanwhile counts too.
        (self.suspect, self.checkpointed) = (true, Instant::now());
        self.drain();
        self.suspect = self.strangers > 0 || self.closed.is_some();
        self.session = Session::None;
    }

    /// Our writer has closed the main file: its events are consumed before those of others.
    pub(super) fn closed(&mut self) {
        self.drain();
    }

    /// Whether a copy may have overlapped our last checkpoint.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// As [`Self::is_suspect`], and also where nothing is watched.
    pub(super) fn may_have_collided(&self) -> bool {
        self.suspect || self.inotify.is_none()
    }

    /// Consumes the events since. `true` if a foreign program that had the file open during our last checkpoint has closed it
    /// after writing. `has_changed`: the file changed after that checkpoint.
    pub(super) fn look(&mut self, has_changed: bool) -> bool {
        // No session is open: one that failed before its checkpoint did not report that.
        self.session = Session::None;
        self.drain();
        if self.strangers <= self.late || self.closed.is_some() {
            self.suspect = false;
        }
        self.closed.take().is_some_and(|soon| soon || has_changed)
    }

    /// Whether a copy may have overlapped our last checkpoint without being found; `true` once. `has_changed` as in
    /// [`Self::look`].
    pub(super) fn take_doubt(&mut self, has_changed: bool) -> bool {
        self.unexplained.take().is_some_and(|soon| soon || has_changed)
    }

    /// A copy has collided, and is to be copied again.
    pub(super) fn await_copy(&mut self) {
        self.copied = false;
    }

    /// Whether a copy may have ended since: not only a SQLite program has written.
    pub(super) fn may_be_copied(&self) -> bool {
        self.copied || self.inotify.is_none()
    }

    fn open_main(&mut self) {
        if self.session == Session::OpensMain {
            self.session = Session::OpensLog;
            return;
        }
        self.strangers += 1;
        self.last_opening = Instant::now();
        self.late += u32::from(self.session == Session::None);
    }

    fn open_log(&mut self) {
        // A program that opens the log is SQLite.
        if self.session == Session::OpensLog {
            self.session = Session::Open;
        } else {
            self.leave();
        }
    }

    /// A descriptor of the main file is SQLite's, or closed.
    fn leave(&mut self) {
        if self.strangers == 0 {
            self.unknown = self.unknown.saturating_sub(1);
        }
        self.strangers = self.strangers.saturating_sub(1);
        self.late = self.late.saturating_sub(1);
    }

    fn close_written_main(&mut self) {
        self.copied = true;
        if self.unknown > 0 {
            self.unknown -= 1;
            return;
        }
        // Descriptors of SQLite are not counted.
        let overlaps = self.suspect && self.strangers > self.late;
        if self.strangers == 0 {
            self.leave_doubt();
            return;
        }
        if self.late > 0 || !overlaps {
            self.leave();
        } else {
            self.strangers -= 1;
            self.closed = Some(self.is_soon() || self.closed == Some(true));
        }
    }

    fn is_soon(&self) -> bool {
        self.checkpointed.elapsed() < DATABASE_COLLISION_WINDOW
    }

    fn leave_doubt(&mut self) {
        self.unexplained = Some(self.is_soon() || self.unexplained == Some(true));
    }

    fn drain(&mut self) {
        let Some(fd) = self.inotify.take() else { return };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&fd, &mut buffer);
        let mut is_lost = false;
        while let Ok(event) = events.next() {
            let what = event.events();
            is_lost |= what.intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED | ReadFlags::UNMOUNT);
            let Some(name) = event.file_name() else { continue };
            let (is_log, is_main) = (name == self.log.as_c_str(), name == self.main.as_c_str());
            let has_closed_log = self.has_closed_log;
            self.has_closed_log &= !is_log && !is_main;
            if is_log && what.contains(ReadFlags::OPEN) {
                self.open_log();
            } else if is_main && what.contains(ReadFlags::OPEN) {
                self.openings += 1;
                self.open_main();
            } else if is_main && !what.contains(ReadFlags::CLOSE_WRITE) && self.strangers > 0 {
                // Between SQLite's two closes another may read and close.
                self.leave();
            } else if is_main && self.log_closes > 0 {
                // SQLite's, which closes the log first and was removed from the count when it opened that.
                self.log_closes -= 1;
                if !has_closed_log && what.contains(ReadFlags::CLOSE_WRITE) {
                    // Or a copy's, in whose place a reader left the count.
                    self.copied = true;
                    self.leave_doubt();
                }
            } else if is_main && what.contains(ReadFlags::CLOSE_WRITE) {
                self.close_written_main();
            } else if is_main {
                self.leave();
            }
            if is_log && what.contains(ReadFlags::CLOSE_WRITE) {
                self.log_closes += 1;
                self.has_closed_log = true;
            }
        }
        if is_lost {
            // The directory was replaced, or the queue overflowed: start again.
            (self.strangers, self.others, self.late, self.copied) = (0, 0, 0, true);
        } else {
            self.inotify = Some(fd);
        }
    }
}

#[cfg(test)]
mod tests;
