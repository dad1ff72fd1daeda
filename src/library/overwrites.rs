//! Finds copies onto the database file that overlap a checkpoint of ours, by the descriptors that other programs hold.
//!
//! A copy that runs before or after a checkpoint changes the file's stamp. One that runs during the checkpoint does not:
//! afterwards stamp, size and row look as we left them, while pages of the copy lie between ours, or all of it is overwritten.
//! So inotify(7) tells who opened and closed the file meanwhile. A program that closes a writable descriptor of the main file
//! without one of the `-wal` is not SQLite. Where inotify is not to be had nothing is found, and `integrity_check` has the
//! last word.

use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tracing::debug;

use super::path::directory;

/// How long a close of the main file may stand alone before it counts: a killed SQLite program closes the `-wal` after it, one
/// that ends by itself before.
const PAIR: Duration = Duration::from_millis(100);

/// What other programs do to the main file.
#[derive(Debug)]
pub(super) struct Overwrites {
    directory: PathBuf,
    main: CString,
    log: CString,
    inotify: Option<OwnedFd>,
    /// Descriptors of the main file that are open, as far as events tell; our own among them.
    open: u32,
    /// Of them, those that were opened after our last checkpoint: what they write does not overlap it.
    opened_since: u32,
    /// A session of ours is open, and its checkpoint still to come.
    in_session: bool,
    /// When a writable descriptor of the log was closed that no one of the main file goes with yet.
    log_closed: Option<Instant>,
    /// When a writable descriptor of the main file was closed that was open during our last checkpoint, and that no one of
    /// the log goes with yet.
    main_closed: Option<Instant>,
    /// A descriptor of another program was open during our last checkpoint, and may have written.
    suspect: bool,
}

impl Overwrites {
    /// Of the database at `real`, a path without links.
    pub(super) fn new(real: &Path) -> Self {
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
            open: 0,
            opened_since: 0,
            in_session: false,
            log_closed: None,
            main_closed: None,
            suspect: false,
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

    /// Another file is in the main file's place: what is known of its descriptors is of the one before.
    pub(super) fn forget(&mut self) {
        self.drain();
        (self.open, self.opened_since, self.suspect) = (0, 0, false);
        (self.log_closed, self.main_closed) = (None, None);
    }

    /// A session of ours is about to open the main file, and nothing else of ours has it open. `false` while it is not known
    /// yet whether a copy overlapped the last one.
    pub(super) fn begin(&mut self) -> bool {
        if self.inotify.is_none() {
            self.watch();
        }
        self.drain();
        let is_clear = !(self.suspect && self.main_closed.is_some());
        if is_clear {
            (self.opened_since, self.in_session) = (0, true);
        }
        is_clear
    }

    /// A checkpoint of ours has just ended; our writer still has the main file open.
    pub(super) fn checkpointed(&mut self) {
        self.drain();
        self.suspect = self.open > 1 || self.main_closed.is_some();
        self.in_session = false;
    }

    /// Our writer has closed the main file: its events are taken before those of others follow, because equal events in a row
    /// become one.
    pub(super) fn closed(&mut self) {
        self.drain();
    }

    /// Looks at what has happened since. `true` when a program that had the file open during our last checkpoint, and that
    /// is not SQLite, has closed it after writing.
    pub(super) fn look(&mut self) -> bool {
        self.drain();
        let has_ended = self.main_closed.is_some_and(|at| at.elapsed() >= PAIR);
        if has_ended || (self.main_closed.is_none() && self.open <= self.opened_since) {
            let overlapped = self.suspect && has_ended;
            (self.suspect, self.main_closed) = (false, None);
            return overlapped;
        }
        false
    }

    /// A writable descriptor of the main file was closed.
    fn close_main(&mut self) {
        if self.log_closed.take().is_some_and(|at| at.elapsed() < PAIR) {
            // SQLite.
        } else if self.opened_since > 0 {
            self.opened_since -= 1;
        } else {
            self.main_closed.get_or_insert_with(Instant::now);
        }
    }

    fn close_log(&mut self) {
        if self.main_closed.take().is_none() {
            self.log_closed = Some(Instant::now());
        }
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
            let closed_after_writing = what.contains(ReadFlags::CLOSE_WRITE);
            if name == self.log.as_c_str() && closed_after_writing {
                self.close_log();
            } else if name == self.main.as_c_str() {
                if what.contains(ReadFlags::OPEN) {
                    self.open += 1;
                    self.opened_since += u32::from(!self.in_session);
                } else {
                    self.open = self.open.saturating_sub(1);
                    if closed_after_writing {
                        self.close_main();
                    } else {
                        self.opened_since = self.opened_since.saturating_sub(1);
                    }
                }
            }
        }
        if is_lost {
            // The directory is another one now, or nobody looked for long: begin again.
            (self.open, self.opened_since) = (0, 0);
        } else {
            self.inotify = Some(fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};

    use super::*;

    #[test]
    fn only_a_writer_that_is_not_sqlite_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("library.db");
        let log = dir.path().join("library.db-wal");
        std::fs::write(&path, "x").expect("a file");
        let open = |path: &Path| {
            OpenOptions::new().write(true).create(true).truncate(false).open(path).expect("open")
        };
        for (who, expected) in [
            ("nobody", false),
            ("a reader", false),
            ("sqlite", false),
            ("a copy", true),
            ("an open copy", true),
        ] {
            let mut overwrites = Overwrites::new(&path);
            assert!(overwrites.begin(), "{who}");
            // As SQLite does. Equal events in a row become one, so the order counts.
            let (main, wal) = (open(&path), open(&log));
            let mut still_open = None;
            match who {
                "a reader" => drop(File::open(&path)),
                "sqlite" => drop((open(&log), open(&path))),
                "killed sqlite" => drop((open(&path), open(&log))),
                "a copy" => drop(open(&path)),
                "an open copy" => still_open = Some(open(&path)),
                _ => {}
            }
            overwrites.checkpointed();
            drop((wal, main));
            let at_once = overwrites.look();
            drop(still_open);
            std::thread::sleep(PAIR);
            let later = overwrites.look();
            std::thread::sleep(PAIR);
            let found = at_once || later || overwrites.look();
            assert_eq!(found, expected, "{who}");
            drop(open(&path));
            overwrites.look();
            std::thread::sleep(PAIR);
            assert!(!overwrites.look(), "a copy after {who} overlaps nothing");
            assert!(overwrites.begin(), "{who}");
        }
    }
}
