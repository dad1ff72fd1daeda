//! Restores a backup: copies it byte for byte, with a log beside it, into a draft in the directory of the database, checks it
//! there and replaces the database.
//!
//! `VACUUM INTO` cannot be used: SQLite would need a `-shm` beside the backup to read its log, could not roll back a hot
//! journal, and could not read a backup on a read-only disk.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;
use tokio_util::sync::CancellationToken;

use super::replace::{Replaced, replace};
use super::{Error, Flaw, examine, explained};
use crate::library::draft::{self, Draft};
use crate::library::identity::Stamp;
use crate::library::lock::Holder;
use crate::library::path::{companion, directory};
use crate::library::{OpenError, SHORTEST, diagnose, path};

/// Bytes that are copied between two checks for cancellation.
const CHUNK: u64 = 16 << 20;

/// How to restore.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options<'a> {
    /// The library's path is the default one: its directory may be created.
    pub create_directory: bool,
    /// `$RUNTIME_DIRECTORY`: where the lock is when the library's directory is not writable.
    pub runtime_directory: Option<&'a Path>,
}

/// A library that was restored.
#[derive(Clone, Debug)]
pub(crate) struct Restored {
    /// The library, links followed.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// How many files it knows.
    pub files: u64,
    /// The name that the library from before has now.
    pub kept: Option<PathBuf>,
    /// Logs of a library that was not there any more, which have other names now.
    pub aside: Vec<PathBuf>,
    /// The daemon that takes it into use.
    pub daemon: Option<Holder>,
    /// How long all of it took.
    pub took: Duration,
}

/// Puts a copy of `backup` in the place of the library at `database`, whether a daemon runs or not, and whether there is
/// a library or not.
///
/// # Errors
/// [`Error`]; the library is then as it was.
pub(crate) fn restore(
    backup: &Path,
    database: &Path,
    options: Options<'_>,
    cancel: &CancellationToken,
) -> Result<Restored, Error> {
    let start = Instant::now();
    let backup = std::path::absolute(backup).unwrap_or_else(|_| backup.to_owned());
    let database = path::real(database);
    check_backup(&backup, &database)?;
    let before = prepare(&database, options.create_directory)?;
    draft::sweep(directory(&database));
    let failed = |error: io::Error| at_place(&database, &error);
    let draft = Draft::new(directory(&database)).map_err(failed)?;
    copy(&backup, &draft, &database, cancel)?;
    let unusable = |problem: String| Error::Unusable { path: backup.clone(), problem };
    let copied = examine(&draft.file(), cancel).map_err(|flaw| match flaw {
        Flaw::Mismatch(mismatch) => unusable(format!("it {mismatch}")),
        Flaw::Damaged(problem) => unusable(format!("it is damaged ({problem})")),
        Flaw::Sqlite(error) => match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Error::Cancelled,
            Some(ErrorCode::DiskFull) => Error::DiskFull(database.clone()),
            Some(ErrorCode::NotADatabase) => unusable("it is not a SQLite database".to_owned()),
            Some(ErrorCode::DatabaseCorrupt) => unusable(format!("it is damaged ({error})")),
            _ => unusable(format!("SQLite cannot read it: {error}")),
        },
    })?;
    give(&draft.file(), &database, before)?;
    let written = File::open(draft.file()).and_then(|file| {
        file.sync_all()?;
        file.metadata()
    });
    let bytes = written.map_err(failed)?.len();
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let Replaced { kept, aside, daemon } = replace(&draft, &database, options.runtime_directory, cancel)?;
    drop(draft);
    draft::sync_directory(directory(&database)).map_err(failed)?;
    Ok(Restored { path: database, bytes, files: copied.files, kept, aside, daemon, took: start.elapsed() })
}

/// Refuses what cannot be a backup, by stat(2) alone: opening a pipe would block.
fn check_backup(backup: &Path, database: &Path) -> Result<(), Error> {
    let unusable = |problem: String| Err(Error::Unusable { path: backup.to_owned(), problem });
    let found = match std::fs::metadata(backup) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return unusable("it does not exist".to_owned());
        }
        Err(error) => return unusable(explained(backup, &error)),
    };
    if !found.is_file() {
        return unusable(format!("it is {}", diagnose::kind(&found)));
    }
    if found.len() < SHORTEST {
        return unusable(format!("it has {} bytes, fewer than any database", found.len()));
    }
    let library = std::fs::metadata(database);
    if library.is_ok_and(|library| (library.dev(), library.ino()) == (found.dev(), found.ino())) {
        return unusable("it is the library itself".to_owned());
    }
    Ok(())
}

/// Owner, group and mode.
type Access = (u32, u32, u32);

/// Sees to the library's directory, and gives what the new file must have of the old one, or of the directory.
fn prepare(database: &Path, create_directory: bool) -> Result<Option<Access>, Error> {
    let place = directory(database);
    let refuse = |problem: String| Err(Error::Place { path: database.to_owned(), problem });
    match std::fs::metadata(place) {
        Ok(found) if found.is_dir() => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && create_directory => {
            std::fs::create_dir(place).map_err(|error| at_place(database, &error))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::NoDirectory(place.to_owned()).into());
        }
        Ok(_) => return Err(at_place(database, &Errno::NOTDIR.into())),
        Err(error) => return Err(at_place(database, &error)),
    }
    match std::fs::symlink_metadata(database) {
        Ok(found) if found.is_file() => Ok(Some((found.uid(), found.gid(), found.mode() & 0o777 | 0o600))),
        Ok(found) => refuse(format!("it is {}. Move that away", diagnose::kind(&found))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at_place(database, &error)),
    }
}

/// Copies the backup, and a log or a journal beside it, into the draft. Refuses one that changes meanwhile.
fn copy(backup: &Path, draft: &Draft, database: &Path, cancel: &CancellationToken) -> Result<(), Error> {
    let unreadable =
        |error: &io::Error| Error::Unusable { path: backup.to_owned(), problem: explained(backup, error) };
    let logs = ["-wal", "-journal"].map(|suffix| (companion(backup, suffix), draft.companion(suffix)));
    let stamps = || [Stamp::at(backup), Stamp::at(&logs[0].0), Stamp::at(&logs[1].0)];
    let before = stamps();
    let mut pairs = vec![(backup, draft.begin(0o644).map_err(|error| at_place(database, &error))?)];
    for (from, to) in &logs {
        if std::fs::metadata(from).is_ok_and(|found| found.is_file() && found.len() > 0) {
            let to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
            pairs.push((from, to.map_err(|error| at_place(database, &error))?));
        }
    }
    for (from, mut to) in pairs {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let from = OpenOptions::new().read(true).custom_flags(flags).open(from);
        let from = from.map_err(|error| unreadable(&error))?;
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            match io::copy(&mut (&from).take(CHUNK), &mut to) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(at_place(database, &error)),
            }
        }
    }
    if stamps() != before {
        let problem = "another program writes to it. Back it up with `vpo backup`, or end that program";
        return Err(Error::Unusable { path: backup.to_owned(), problem: problem.to_owned() });
    }
    Ok(())
}

/// Gives the new file the owner and the mode of the one before. Where there is none, the daemon's user is the owner of
/// the directory, if root restores.
fn give(file: &Path, database: &Path, before: Option<Access>) -> Result<(), Error> {
    let failed = |error: io::Error| at_place(database, &error);
    let copied = std::fs::metadata(file).map_err(failed)?;
    let place = std::fs::metadata(directory(database)).map_err(failed)?;
    let (uid, gid, mode) = match before {
        Some(before) => before,
        None if geteuid().is_root() => (place.uid(), place.gid(), copied.mode() & 0o777),
        None => (copied.uid(), copied.gid(), copied.mode() & 0o777),
    };
    if copied.uid() != uid {
        chown(file, Some(uid), Some(gid)).map_err(|_| Error::Place {
            path: database.to_owned(),
            problem: format!(
                "it belongs to uid {uid}, and vpo runs as {}. Run as that user, or as root",
                copied.uid()
            ),
        })?;
    } else if copied.gid() != gid {
        // The owner can use it without the group.
        if let Err(error) = chown(file, None, Some(gid)) {
            tracing::warn!(path = %database.display(), gid, %error, "the group could not be kept");
        }
    }
    std::fs::set_permissions(file, Permissions::from_mode(mode)).map_err(failed)
}

/// What an error in the library's directory means.
pub(super) fn at_place(database: &Path, error: &io::Error) -> Error {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => Error::DiskFull(database.to_owned()),
        _ => Error::Place { path: database.to_owned(), problem: explained(database, error) },
    }
}
