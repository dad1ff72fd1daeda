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
    /// Our writer has the main file open, as far as events tell.
    is_ours_open: bool,
    /// Writable descriptors of the log that were closed, and that none of the main file goes with yet.
    log_closed: Lone,
    /// Writable descriptors of the main file that were closed, were open during our last checkpoint, and that none of the log
    /// goes with yet.
    main_closed: Lone,
    /// A descriptor of another program was open during our last checkpoint, and may have written.
    suspect: bool,
    /// When events were last read: those that come were not there by then.
    drained: Instant,
}

/// Closes that stand alone so far. Two programs may close at the same time, so they are counted.
#[derive(Clone, Copy, Debug, Default)]
struct Lone {
    count: u32,
    /// When the first of them was seen.
    since: Option<Instant>,
}

impl Lone {
    fn add(&mut self) {
        self.count += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Takes one away, if there is one.
    fn take(&mut self) -> bool {
        let is_there = self.count > 0;
        self.count = self.count.saturating_sub(1);
        if self.count == 0 {
            self.since = None;
        }
        is_there
    }

    fn is_older_than(&self, age: Duration, now: Instant) -> bool {
        self.since.is_some_and(|since| now.saturating_duration_since(since) >= age)
    }
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
            is_ours_open: false,
            log_closed: Lone::default(),
            main_closed: Lone::default(),
            suspect: false,
            drained: Instant::now(),
        };
        new.watch();
        new
    }

    fn watch(&mut self) {
        let flags = WatchFlags::OPEN
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CLOSE_NOWRITE
            | WatchFlags::MOVED_FROM
            | WatchFlags::ONLYDIR;
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
        self.reset();
    }

    fn reset(&mut self) {
        (self.open, self.opened_since, self.suspect) = (0, 0, false);
        (self.log_closed, self.main_closed) = (Lone::default(), Lone::default());
    }

    /// A session of ours is about to open the main file, and nothing else of ours has it open; [`Self::closed`] ends it. `false`
    /// while it is not known yet whether a copy overlapped the last one.
    pub(super) fn begin(&mut self) -> bool {
        if self.inotify.is_none() {
            self.watch();
        }
        self.drain();
        let is_clear = !(self.suspect && self.main_closed.count > 0);
        if is_clear {
            (self.opened_since, self.in_session, self.is_ours_open) = (0, true, true);
        }
        is_clear
    }

    /// A checkpoint of ours has just ended; our writer still has the main file open.
    pub(super) fn checkpointed(&mut self) {
        self.drain();
        self.suspect = self.open > 1 || self.main_closed.count > 0;
        self.in_session = false;
    }

    /// Our writer has closed the main file: its events are taken before those of others follow, because equal events in a row
    /// become one.
    pub(super) fn closed(&mut self) {
        self.drain();
        (self.in_session, self.is_ours_open) = (false, false);
    }

    /// As [`Self::closed`], of a writer that was locked out, perhaps before it had opened the log.
    pub(super) fn locked_out(&mut self) {
        self.closed();
        self.main_closed.take();
    }

    /// Looks at what has happened since. `true` when a program that had the file open during our last checkpoint, and that
    /// is not SQLite, has closed it after writing.
    pub(super) fn look(&mut self) -> bool {
        self.drain();
        let has_ended = self.main_closed.is_older_than(PAIR, Instant::now());
        if has_ended || (self.main_closed.count == 0 && self.open <= self.opened_since) {
            let overlapped = self.suspect && has_ended;
            (self.suspect, self.main_closed) = (false, Lone::default());
            return overlapped;
        }
        false
    }

    /// A writable descriptor of the main file was closed.
    fn close_main(&mut self) {
        let is_sqlite = self.log_closed.take();
        if is_sqlite && std::mem::take(&mut self.is_ours_open) {
            // Opened in the session.
        } else if self.opened_since > 0 {
            self.opened_since -= 1;
        } else if !is_sqlite {
            self.main_closed.add();
        }
    }

    fn close_log(&mut self) {
        if !self.main_closed.take() {
            self.log_closed.add();
        }
    }

    fn drain(&mut self) {
        let Some(fd) = self.inotify.take() else { return };
        // What is read now has happened since the last time.
        if self.log_closed.is_older_than(PAIR, self.drained) {
            self.log_closed = Lone::default();
        }
        self.drained = Instant::now();
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
                } else if what.contains(ReadFlags::MOVED_FROM) {
                    // Its descriptors are closed under another name.
                    self.reset();
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
            overwrites.closed();
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

    /// Whether a copy is found that overlapped the checkpoint, after `steps`: `+us:wal` opens a descriptor of the log, `-us:wal`
    /// closes it.
    fn is_found(steps: &str) -> bool {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, aside) = (dir.path().join("library.db"), dir.path().join("aside"));
        let mut overwrites = Overwrites::new(&path);
        let mut open = std::collections::HashMap::new();
        for step in steps.split_whitespace() {
            match step {
                "begin" => assert!(overwrites.begin(), "{steps}"),
                "checkpointed" => overwrites.checkpointed(),
                "closed" => overwrites.closed(),
                "locked_out" => overwrites.locked_out(),
                "wait" => std::thread::sleep(PAIR),
                "moved" => std::fs::rename(&path, &aside).expect("renamed"),
                "back" => std::fs::rename(&aside, &path).expect("renamed"),
                _ if step.starts_with('-') => drop(open.remove(&step[1..]).expect("is open")),
                _ => {
                    let ending = step.split_once(':').expect("a file").1;
                    let path = path.with_extension(ending);
                    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
                    open.insert(&step[1..], file.expect("open"));
                }
            }
        }
        let at_once = overwrites.look();
        std::thread::sleep(PAIR);
        at_once || overwrites.look()
    }

    #[test]
    fn programs_that_close_at_once_are_told_apart() {
        // SQLite closes the index, the log and the main file, in this order.
        let began = "begin +us:db +us:db-wal +us:db-shm checkpointed";
        let ended = "-us:db-shm -us:db-wal -us:db closed";
        let other = "+it:db +it:db-wal +it:db-shm";
        let locked_out = "begin +us:db -us:db locked_out";
        for (steps, expected) in [
            (format!("{other} {began} -it:db-shm -it:db-wal {ended} -it:db"), false),
            (format!("{other} {began} -it:db-shm -it:db-wal {ended} wait -it:db"), false),
            (format!("{other} +cp:db {began} -it:db-shm -it:db-wal {ended} -it:db closed -cp:db"), true),
            // A session that another program has locked out closes without a log, and overlaps nothing.
            (format!("{other} {began} {ended} {locked_out}"), false),
            (format!("{other} {began} {ended} begin +us:db -it:db-wal -it:db -us:db locked_out"), false),
            (format!("+cp:db {began} {ended} {locked_out} -cp:db"), true),
            // What was opened after it, by whatever program.
            (format!("+cp:db {began} {ended} {other} -it:db-shm -it:db-wal -it:db closed -cp:db"), true),
            (format!("{other} {began} {ended} +cp:db -cp:db"), false),
            // The main file was moved away in a session, and moved back.
            (
                format!(
                    "{began} moved {ended} back {began} {ended} +cp:db -cp:db {locked_out} +cp:db -cp:db"
                ),
                false,
            ),
        ] {
            assert_eq!(is_found(&steps), expected, "{steps}");
        }
    }
}
