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

use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tracing::debug;

use super::path::directory;

/// What other programs do to the main file.
#[derive(Debug)]
pub(super) struct Overwrites {
    directory: PathBuf,
    main: CString,
    log: CString,
    inotify: Option<OwnedFd>,
    /// Descriptors of the main file that are open, as far as events tell; our own among them.
    open: u32,
    /// Writable descriptors that were closed since the last [`Self::forget`].
    main_closes: u32,
    log_closes: u32,
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
            main_closes: 0,
            log_closes: 0,
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

    /// A session of ours is about to open the main file, and nothing else of ours has it open.
    pub(super) fn begin(&mut self) {
        if self.inotify.is_none() {
            self.watch();
        }
        self.drain();
        self.forget();
    }

    /// A checkpoint of ours has just ended; our writer still has the main file open. `true` when another program that is
    /// not SQLite wrote to the file meanwhile.
    pub(super) fn checkpointed(&mut self) -> bool {
        self.drain();
        self.suspect = self.open > 1 || self.main_closes > 0;
        self.main_closes > self.log_closes
    }

    /// Our writer has closed the main file and its log.
    pub(super) fn end(&mut self) -> bool {
        self.drain();
        self.main_closes = self.main_closes.saturating_sub(1);
        self.log_closes = self.log_closes.saturating_sub(1);
        self.conclude()
    }

    /// Looks at what has happened since. `true` when a program that had the file open during our last checkpoint, and that
    /// is not SQLite, has closed it after writing.
    pub(super) fn look(&mut self) -> bool {
        self.drain();
        self.conclude()
    }

    fn conclude(&mut self) -> bool {
        let overlapped = self.suspect && self.main_closes > self.log_closes;
        if self.open == 0 || overlapped {
            self.suspect = false;
        }
        self.forget();
        overlapped
    }

    fn forget(&mut self) {
        (self.main_closes, self.log_closes) = (0, 0);
    }

    fn drain(&mut self) {
        let Some(fd) = &self.inotify else { return };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(fd, &mut buffer);
        let mut lost = false;
        while let Ok(event) = events.next() {
            let what = event.events();
            if what.intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED | ReadFlags::UNMOUNT) {
                lost = true;
                continue;
            }
            let Some(name) = event.file_name() else { continue };
            let closed_after_writing = what.contains(ReadFlags::CLOSE_WRITE);
            if name == self.log.as_c_str() {
                self.log_closes += u32::from(closed_after_writing);
            } else if name == self.main.as_c_str() {
                self.main_closes += u32::from(closed_after_writing);
                if what.contains(ReadFlags::OPEN) {
                    self.open += 1;
                } else {
                    self.open = self.open.saturating_sub(1);
                }
            }
        }
        if lost {
            // The directory is another one now, or nobody looked for long: begin again.
            self.inotify = None;
            self.open = 0;
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
            overwrites.begin();
            let ours = (open(&path), open(&log));
            let mut still_open = None;
            match who {
                "a reader" => drop(File::open(&path)),
                "sqlite" => drop((open(&log), open(&path))),
                "a copy" => drop(open(&path)),
                "an open copy" => still_open = Some(open(&path)),
                _ => {}
            }
            let during = overwrites.checkpointed();
            drop(ours);
            let at_end = overwrites.end();
            drop(still_open);
            let later = overwrites.look();
            assert_eq!(during || at_end || later, expected, "{who}");
            drop(open(&path));
            assert!(!overwrites.look(), "a copy after {who} overlaps nothing");
        }
    }
}
