//! Finds out whether a SQLite program has a database open, and keeps all of them out while its file is replaced. Does not use
//! SQLite: the file may be damaged, or not a database, and must not change.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::OFlags;

/// Where SQLite's locks are, in every version: <https://www.sqlite.org/fileformat2.html#the_lock_byte_page>. A lock on
/// all of these bytes is its EXCLUSIVE.
const LOCK_BYTES: (libc::off_t, libc::off_t) = (0x4000_0000, 512);

/// All of SQLite's locks on one file, until dropped. A connection in WAL mode has one of them for as long as it is open,
/// one in another mode during a transaction.
#[derive(Debug)]
pub(super) struct Exclusion {
    device: u64,
    inode: u64,
    _file: File,
}

/// The process that holds a lock, if the kernel reports it.
pub(super) type Occupant = Option<u32>;

/// A program that has one of the locks; `None` if no program has. This process must have no connection to the database.
///
/// Opens the file for reading only: a daemon takes a descriptor for writing that is closed again for a copy onto the file.
pub(super) fn find_occupant(database: &Path) -> io::Result<Option<Occupant>> {
    let mut bytes = exclusive();
    // Of the open file, not of the process (fcntl_locking(2)).
    fcntl(&open(database, false)?, FcntlArg::F_OFD_GETLK(&mut bytes))?;
    let is_free = i32::from(bytes.l_type) == libc::F_UNLCK;
    Ok((!is_free).then(|| u32::try_from(bytes.l_pid).ok().filter(|pid| *pid != 0)))
}

impl Exclusion {
    /// Takes the locks if no program has one. As [`find_occupant`].
    pub(super) fn try_hold(database: &Path) -> io::Result<Result<Self, Occupant>> {
        if let Some(occupant) = find_occupant(database)? {
            return Ok(Err(occupant));
        }
        let file = open(database, true)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&exclusive())) {
            Ok(_) => {
                let found = file.metadata()?;
                Ok(Ok(Self { device: found.dev(), inode: found.ino(), _file: file }))
            }
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(Err(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is on the file at that path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

fn open(database: &Path, for_writing: bool) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).write(for_writing).custom_flags(flags).open(database)
}

fn exclusive() -> libc::flock {
    let short = |constant: libc::c_int| libc::c_short::try_from(constant).unwrap_or_default();
    libc::flock {
        l_type: short(libc::F_WRLCK),
        l_whence: short(libc::SEEK_SET),
        l_start: LOCK_BYTES.0,
        l_len: LOCK_BYTES.1,
        l_pid: 0,
    }
}
