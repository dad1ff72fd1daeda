//! Replaces a database file so that at no moment the log of one file can be applied to the other.
//!
//! A log (`-wal`, a hot `-journal`) belongs to a file only by its name. Two files cannot be renamed at once. So if the old
//! database has a log, the old database is moved away first: a crash in between leaves no database, which VPO reports as
//! lost, and never a new database with an old log. Without a log one rename(2) is enough, and a complete database exists at
//! every moment.
//!
//! No SQLite program may have the old file open: when it closes, it removes the `-wal` by name. So all of SQLite's locks on
//! it are held meanwhile. The daemon is excepted: it closes a file that was replaced.

use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::restore::at_place;
use crate::base::retry::{self, Failure, Stopped};
use crate::base::times::{RESTORE_DAEMON_RETRY, RESTORE_IN_USE_RETRY};
use crate::library::draft::{Draft, rename_new, sync_directory};
use crate::library::exclusion::Exclusion;
use crate::library::lock::{self, Found, Holder, Lock, LockError};
use crate::library::path::directory;
use crate::library::{OpenError, path};

/// Appended to the name of the old database.
const KEPT: &str = ".before-restore-";

/// What became of the old database.
pub(super) struct Replaced {
    pub(super) kept: Option<PathBuf>,
    pub(super) aside: Vec<PathBuf>,
    pub(super) daemon: Option<Holder>,
}

/// Who may use the library meanwhile.
enum Standing {
    /// A daemon (or `vpo scan`) holds the lock.
    Daemon(Holder),
    /// None can start: this process holds the lock, or there is no lock file, so that a daemon that starts reads one of the two
    /// files.
    NoDaemon { _lock: Option<Box<Lock>> },
}

/// Moves the draft to `database`.
pub(super) fn replace(
    draft: &Draft,
    database: &Path,
    runtime_directory: Option<&Path>,
    cancel: &CancellationToken,
) -> Result<Replaced, Error> {
    let failed = |error: Errno| at_place(database, &error.into());
    let standing = standing(database, runtime_directory, cancel)?;
    let mut replaced = Replaced { kept: None, aside: Vec::new(), daemon: None };
    if database.symlink_metadata().is_ok() {
        replaced.kept = Some(exchange(draft, database, &standing, cancel)?);
    } else {
        // A daemon that runs has left it there: it holds nothing of a library that is gone.
        replaced.aside = set_aside(database, None).map_err(failed)?;
        rename_new(&draft.file(), database).map_err(failed)?;
    }
    if let Standing::Daemon(holder) = standing {
        replaced.daemon = Some(holder);
    }
    Ok(replaced)
}

/// A lock file is never made here: beside no library it would mean a lost one, and root's a daemon could not open.
fn standing(
    database: &Path,
    runtime_directory: Option<&Path>,
    cancel: &CancellationToken,
) -> Result<Standing, Error> {
    if let Found::Held(holder) = lock::find(database, runtime_directory).map_err(OpenError::from)? {
        return Ok(Standing::Daemon(holder));
    }
    if !lock::was_locked(database, runtime_directory) {
        return Ok(Standing::NoDaemon { _lock: None });
    }
    match Lock::acquire(database, runtime_directory, cancel) {
        Ok(lock) => Ok(Standing::NoDaemon { _lock: Some(Box::new(lock)) }),
        Err(LockError::Held { holder, .. }) => Ok(Standing::Daemon(holder)),
        Err(LockError::Cancelled(_)) => Err(Error::Cancelled),
        Err(error) => Err(OpenError::from(error).into()),
    }
}

/// Moves the draft to where the old library is, and gives the name that the old one has then.
fn exchange(
    draft: &Draft,
    database: &Path,
    standing: &Standing,
    cancel: &CancellationToken,
) -> Result<PathBuf, Error> {
    let failed = |error: Errno| at_place(database, &error.into());
    let exclusion = exclude(database, standing, cancel)?;
    remove_links(database);
    let has_log = exclusion.is_some()
        && ["-wal", "-journal"].iter().any(|suffix| {
            std::fs::metadata(path::companion(database, suffix)).is_ok_and(|log| log.len() > 0)
        });
    if !has_log {
        let linked = free_name(database, |kept| rustix::fs::link(database, kept));
        if let Ok(kept) = linked {
            if exclusion.is_some() {
                // The rest is empty, or the log's index, which SQLite creates again.
                set_aside(database, None).map_err(failed)?;
            }
            return match rustix::fs::rename(draft.file(), database) {
                Ok(()) => Ok(kept),
                Err(error) => {
                    let _ = std::fs::remove_file(&kept);
                    Err(failed(error))
                }
            };
        }
    }
    let kept = free_name(database, |kept| rename_new(database, kept)).map_err(failed)?;
    let moved = || {
        if exclusion.is_some() {
            set_aside(database, Some(&kept))?;
        }
        // The names must reach the disk in this order.
        let _ = sync_directory(directory(database));
        rename_new(&draft.file(), database)
    };
    match moved() {
        Ok(()) => Ok(kept),
        Err(error) => {
            put_back(&kept, database);
            Err(failed(error))
        }
    }
}

/// Removes the second name of the library that a killed restore may have left: SQLite must not meet it by two names.
fn remove_links(database: &Path) {
    let (Ok(library), Some(name)) = (std::fs::symlink_metadata(database), database.file_name()) else {
        return;
    };
    if library.nlink() < 2 {
        return;
    }
    let prefix = [name.as_bytes(), KEPT.as_bytes()].concat();
    for entry in std::fs::read_dir(directory(database)).into_iter().flatten().flatten() {
        let is_library = |found: Metadata| (found.dev(), found.ino()) == (library.dev(), library.ino());
        if entry.file_name().as_bytes().starts_with(&prefix) && entry.metadata().is_ok_and(is_library) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Takes SQLite's locks on the library; `None` where the daemon itself has it open.
fn exclude(
    database: &Path,
    standing: &Standing,
    cancel: &CancellationToken,
) -> Result<Option<Exclusion>, Error> {
    let daemon = match standing {
        Standing::Daemon(holder) => holder.pid,
        Standing::NoDaemon { .. } => None,
    };
    let attempt = || match Exclusion::try_hold(database) {
        Ok(Ok(exclusion)) if exclusion.is_at(database) => Ok(Some(exclusion)),
        // Just replaced by another program.
        Ok(Ok(_)) => Err(Failure::Temporary(Ok(None))),
        Ok(Err(pid)) => Err(Failure::Temporary(Ok(pid))),
        Err(error) => Err(Failure::Permanent(Err(error))),
    };
    let is_daemon =
        |failure: &io::Result<Option<u32>>| daemon.is_some() && matches!(failure, Ok(pid) if *pid == daemon);
    let policies = [RESTORE_IN_USE_RETRY, RESTORE_DAEMON_RETRY];
    let policy_of = |failure: &_| usize::from(is_daemon(failure));
    retry::run(policies, Some(cancel), attempt, policy_of).or_else(|stopped| match stopped {
        Stopped::TimedOut(failure) if is_daemon(&failure) => Ok(None),
        Stopped::TimedOut(Ok(pid)) | Stopped::Failed(Ok(pid)) => {
            Err(Error::InUse { path: database.to_owned(), pid })
        }
        Stopped::TimedOut(Err(error)) | Stopped::Failed(Err(error)) => Err(at_place(database, &error)),
        Stopped::Cancelled => Err(Error::Cancelled),
    })
}

/// Renames the companions of a database: the logs get the name of `kept`, by which SQLite finds them there, or without it names
/// that describe them. Removes the log's index and empty files.
fn set_aside(database: &Path, kept: Option<&Path>) -> Result<Vec<PathBuf>, Errno> {
    let mut aside = Vec::new();
    for suffix in ["-wal", "-journal", "-shm"] {
        let file = path::companion(database, suffix);
        let Ok(found) = std::fs::symlink_metadata(&file) else { continue };
        if suffix == "-shm" || found.len() == 0 {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
                }
                _ => continue,
            }
        }
        match kept {
            Some(kept) => rename_new(&file, &beside(kept, suffix))?,
            None => aside.push(numbered(&file, ".aside-", |name| rename_new(&file, name))?),
        }
    }
    Ok(aside)
}

/// Undoes moving away, as far as it goes: the logs first.
fn put_back(kept: &Path, database: &Path) {
    for suffix in ["-wal", "-journal", ""] {
        let (from, to) = (beside(kept, suffix), beside(database, suffix));
        if let Err(error) = rename_new(&from, &to)
            && error != Errno::NOENT
        {
            tracing::error!(from = %from.display(), to = %to.display(), %error, "cannot move the library back");
        }
    }
}

/// A name for the library from before, which `take` gives to it.
fn free_name(database: &Path, take: impl FnMut(&Path) -> Result<(), Errno>) -> Result<PathBuf, Errno> {
    numbered(database, KEPT, take)
}

/// `path` with a suffix and the time in seconds, or the next number that is free.
fn numbered(
    path: &Path,
    suffix: &str,
    mut take: impl FnMut(&Path) -> Result<(), Errno>,
) -> Result<PathBuf, Errno> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut number = now.as_secs();
    loop {
        let name = beside(path, &format!("{suffix}{number}"));
        match take(&name) {
            Err(Errno::EXIST) => number += 1,
            other => return other.map(|()| name),
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
