//! Moves a log that belongs to another content out of the way.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::library::identity::Stamp;
use crate::library::path::{companion, directory};
use crate::library::{Library, exclusion, log};

impl Library {
    /// Whether the log is longer than 0 bytes.
    pub(in crate::library) fn has_log(&self) -> bool {
        std::fs::metadata(companion(&self.path, "-wal")).is_ok_and(|found| found.len() > 0)
    }

    /// Renames a log that belongs to another content, if no other program uses it. Never deletes one with content. `false` if
    /// another program has the database open: then the log is that program's.
    pub(in crate::library) fn set_log_aside(&self) -> bool {
        let (log, index) = (companion(&self.path, "-wal"), companion(&self.path, "-shm"));
        // An empty log holds nothing.
        if !self.has_log() {
            return true;
        }
        // A database that cannot be opened counts as in use: then nothing is moved.
        let Ok(_others) = self.reader.exclude_others() else { return false };
        let aside = aside(&log);
        if let Err(error) = std::fs::rename(&log, &aside) {
            warn!(path = %log.display(), %error, "a -wal that does not belong to the database cannot be set aside");
            return false;
        }
        warn!(aside = %aside.display(), "a -wal that does not belong to the database was set aside");
        let _ = std::fs::remove_file(index);
        let _ = File::open(directory(&log)).and_then(|directory| directory.sync_all());
        true
    }

    /// Whether the log beside the database was written for other content, and no program has the database open.
    pub(in crate::library) fn has_foreign_log(&self) -> io::Result<bool> {
        match Stamp::at(self.path()) {
            Some(now) if self.has_log() && !self.is_in_use() => log::is_foreign(self.path(), now),
            _ => Ok(false),
        }
    }

    /// Whether another program has the database open, by SQLite's locks. Only while no connection of ours is open.
    pub(in crate::library) fn is_in_use(&self) -> bool {
        !matches!(exclusion::find_occupant(self.path()), Ok(None))
    }
}

/// A name for a log that is set aside: `library.db-wal.aside-<seconds since 1970>`, with a number where that is taken.
fn aside(log: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let named = |number: u32| {
        let mut name = log.as_os_str().to_owned();
        name.push(format!(".aside-{now}"));
        if number > 0 {
            name.push(format!(".{number}"));
        }
        PathBuf::from(name)
    };
    (0..u32::MAX).map(named).find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| named(0))
}
