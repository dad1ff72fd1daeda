use std::fs::{File, OpenOptions};

use super::*;

/// A main file, and where its log goes.
fn files() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, log) = (dir.path().join("library.db"), dir.path().join("library.db-wal"));
    std::fs::write(&path, "x").expect("a file");
    (dir, path, log)
}

/// For writing, as a copy and SQLite open it.
fn open(path: &Path) -> File {
    OpenOptions::new().write(true).create(true).truncate(false).open(path).expect("open")
}

/// The end of a session of ours.
fn save(overwrites: &mut Overwrites, wal: File, main: File) {
    overwrites.checkpointed();
    drop((wal, main));
    overwrites.closed();
}

#[test]
fn only_a_writer_that_is_not_sqlite_is_found() {
    let (_dir, path, log) = files();
    for (who, expected) in [
        ("nobody", false),
        ("a reader", false),
        ("sqlite", false),
        ("killed sqlite", false),
        ("two of sqlite", false),
        ("an open sqlite", false),
        ("a copy", true),
        ("an open copy", true),
        ("a copy beside sqlite", true),
    ] {
        let own = Arc::new(AtomicU32::new(0));
        let mut overwrites = Overwrites::new(&path, Arc::clone(&own));
        assert!(overwrites.begin(true), "{who}");
        own.fetch_add(1, Ordering::Relaxed);
        // As SQLite opens and closes them. Equal events in a row become one, so the order counts.
        let (main, wal) = (open(&path), open(&log));
        let mut still_open = Vec::new();
        match who {
            "a reader" => drop(File::open(&path)),
            "sqlite" => {
                let (main, wal) = (open(&path), open(&log));
                drop((wal, main));
            }
            "killed sqlite" => drop((open(&path), open(&log))),
            "two of sqlite" => {
                let (one, other) = ((open(&path), open(&log)), (open(&path), open(&log)));
                drop((one.1, other.1, one.0));
                drop(File::open(&log));
                drop(other.0);
            }
            "an open sqlite" => still_open = vec![open(&path), open(&log)],
            "a copy" => drop(open(&path)),
            "an open copy" => still_open = vec![open(&path)],
            "a copy beside sqlite" => {
                let (main, wal) = (open(&path), open(&log));
                drop(open(&path));
                drop((wal, main));
            }
            _ => {}
        }
        save(&mut overwrites, wal, main);
        let at_once = overwrites.look(false);
        drop(still_open);
        assert_eq!(at_once || overwrites.look(false), expected, "{who}");
        drop(open(&path));
        assert!(!overwrites.look(true), "a copy after {who} overlaps nothing");
        assert!(overwrites.begin(true), "{who}");
    }
}

#[test]
fn a_copy_that_is_open_during_our_failed_session_is_found() {
    let (_dir, path, log) = files();
    let own = Arc::new(AtomicU32::new(0));
    let mut overwrites = Overwrites::new(&path, Arc::clone(&own));
    let copy = open(&path);
    assert!(overwrites.begin(true));
    own.fetch_add(1, Ordering::Relaxed);
    // Another program has locked the file, so the session does not get to its log.
    drop(open(&path));
    assert!(overwrites.begin(true));
    own.fetch_add(1, Ordering::Relaxed);
    let (main, wal) = (open(&path), open(&log));
    save(&mut overwrites, wal, main);
    drop(copy);
    assert!(overwrites.look(true));
}

#[test]
fn a_copy_whose_opening_was_merged_with_ours_leaves_a_doubt() {
    let (_dir, path, log) = files();
    for (is_copied, is_open_at_the_checkpoint) in [(true, false), (true, true), (false, false)] {
        let own = Arc::new(AtomicU32::new(0));
        let mut overwrites = Overwrites::new(&path, Arc::clone(&own));
        assert!(overwrites.begin(true));
        own.fetch_add(1, Ordering::Relaxed);
        let main = open(&path);
        let mut copy = is_copied.then(|| open(&path));
        let wal = open(&log);
        copy = copy.filter(|_| is_open_at_the_checkpoint);
        save(&mut overwrites, wal, main);
        drop(copy);
        assert!(!overwrites.look(false));
        assert_eq!(overwrites.take_doubt(false), is_copied);
    }
}

#[test]
fn reading_of_ours_on_two_threads_is_no_overwrite() {
    let (dir, path, log) = files();
    std::fs::write(&log, "").expect("a file");
    let own = Arc::new(AtomicU32::new(0));
    let mut overwrites = Overwrites::new(&path, Arc::clone(&own));
    let read = || {
        own.fetch_add(1, Ordering::Relaxed);
        File::open(&path).expect("open")
    };
    // The two closes become one event; the openings do not, because of what happens between them.
    let one = read();
    let _between = File::create(dir.path().join("library.db.lock"));
    let other = read();
    drop((one, other));
    assert!(overwrites.begin(true));
    own.fetch_add(1, Ordering::Relaxed);
    let (main, wal) = (open(&path), open(&log));
    save(&mut overwrites, wal, main);
    // Two openings, of which one is ours, become one event too.
    let (reader, copy) = (read(), open(&path));
    drop(reader);
    drop(copy);
    assert!(!overwrites.look(true), "the copy began after the checkpoint");
}

#[test]
fn copy_beside_readers_is_seen() {
    let (_dir, path, log) = files();
    let mut overwrites = Overwrites::new(&path, Arc::default());
    // SQLite opens the log for writing also to read.
    let read = || (File::open(&path).expect("open"), open(&log));
    for (when, is_written) in [("never", false), ("during", true), ("after", true)] {
        overwrites.await_copy();
        let (main, wal) = (open(&path), open(&log));
        drop((wal, main));
        let one = read();
        let other = File::open(&path).expect("open");
        let copy = (when == "during").then(|| open(&path));
        // The closes of the main file may become one event.
        drop((one.1, one.0, other));
        drop(copy);
        overwrites.look(true);
        if when == "after" {
            assert!(!overwrites.may_be_copied());
            drop(open(&path));
            overwrites.look(true);
        }
        assert_eq!(overwrites.may_be_copied(), is_written, "{when}");
    }
}

#[test]
fn program_that_closes_after_readers_closed_at_once_is_no_copy() {
    let (dir, path, log) = files();
    let mut overwrites = Overwrites::new(&path, Arc::default());
    let one = File::open(&path);
    let _between = File::create(dir.path().join("library.db.lock"));
    let other = File::open(&path);
    // Two readers of another program: their closes of the main file become one event.
    drop((one, other));
    assert!(overwrites.begin(true));
    assert_eq!(overwrites.strangers, 1, "one is left that is not there");
    overwrites.last_opening = Instant::now().checked_sub(DATABASE_COPY_PAUSE * 2).expect("after the boot");
    let sqlite = (open(&path), open(&log));
    drop(sqlite.1);
    assert!(overwrites.begin(true), "between the two closes of another SQLite program");
    let (main, wal) = (open(&path), open(&log));
    drop(sqlite.0);
    save(&mut overwrites, wal, main);
    assert!(!overwrites.look(true));
}

#[test]
fn program_that_has_it_open_since_before_wal_mode_is_no_copy() {
    let (_dir, path, log) = files();
    let mut overwrites = Overwrites::new(&path, Arc::default());
    let before = open(&path);
    overwrites.converted();
    assert!(overwrites.begin(true));
    let (main, wal) = (open(&path), open(&log));
    let reader = File::open(&path).expect("open");
    save(&mut overwrites, wal, main);
    drop(before);
    assert!(!overwrites.look(false), "the program from before");
    drop(reader);
    assert!(!overwrites.look(false), "the reader");
}
