//! Watches the directories below a root with inotify(7), and reports which paths changed.
//!
//! Each root has its own thread, because a hung share blocks it. A report is only a hint where to scan; a scan at every
//! `scan.rescan_interval` finds what the watch missed.

mod tree;

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};

use self::tree::Tree;
use super::root;
use crate::base::error::plain;
use crate::library::file_system;

/// Pause before all watches are set again after lost events. While changes arrive faster than they are read, events would be
/// lost again at once.
const RENEW_PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What a watch reports.
#[derive(Debug)]
pub(super) enum WatchEvent {
    /// The whole root is watched from now on.
    Started,
    /// Something was created, changed or removed at these paths.
    Changed(Vec<PathBuf>),
    /// Events were lost, or all watches are new: anything may have changed.
    Overflow,
    /// The root is not watched, or no longer.
    Failed(WatchError),
}

/// The watch of a root. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct Watching(PipeWriter);

impl Watching {
    /// Removes all watches and sets them again, which ends with [`WatchEvent::Overflow`].
    pub(super) fn renew(&self) {
        // The pipe has room for 65,536 requests.
        let _ = (&self.0).write(&[0]);
    }
}

/// Why a root is not watched, in one line: the cause, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WatchError {
    /// A network or user-space file system.
    #[error("{0} does not report changes by other machines; changes are found every scan.rescan_interval")]
    Remote(String),
    /// `max_user_watches` is reached.
    #[error(
        "the limit of inotify watches is reached (one for each directory; fs.inotify.max_user_watches is {limit}); raise it \
         with `sysctl fs.inotify.max_user_watches=1048576`"
    )]
    Watches { limit: String },
    /// `max_user_instances` is reached.
    #[error(
        "the limit of inotify instances is reached (fs.inotify.max_user_instances is {limit}); raise it with \
         `sysctl fs.inotify.max_user_instances=1024`"
    )]
    Instances { limit: String },
    /// A limit on tasks is reached.
    #[error("cannot start a thread; raise the limit on tasks (`ulimit -u`, `TasksMax=`)")]
    Thread,
    /// The root cannot be read. The check of the root reports that.
    #[error("cannot read the root")]
    Unreadable,
    /// Another error.
    #[error("{0}")]
    Other(String),
}

impl WatchError {
    /// A stable code for the log.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Remote(_) => "remote",
            Self::Watches { .. } => "watches",
            Self::Instances { .. } => "instances",
            Self::Thread => "threads",
            Self::Unreadable | Self::Other(_) => "unreadable",
        }
    }
}

/// Watches `root` and every directory below it that a scan enters, on a new thread. Directories that cannot be read are
/// left out. After [`WatchEvent::Failed`] nothing is watched, so that other roots keep their watches.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn start(
    root: &Path,
    extensions: Arc<[String]>,
    report: impl Fn(WatchEvent) + Send + 'static,
) -> Result<Watching, WatchError> {
    let (requests, writer) = std::io::pipe().map_err(|error| WatchError::Other(plain(error)))?;
    let watcher = Watcher { root: root.to_owned(), extensions, requests, report };
    let run = move || {
        if let Err(error) = watcher.run() {
            (watcher.report)(WatchEvent::Failed(error));
        }
    };
    std::thread::Builder::new().name("watch".into()).spawn(run).map_err(|_| WatchError::Thread)?;
    Ok(Watching(writer))
}

/// Why [`Watcher::wait`] returned.
enum Wake {
    Stop,
    Renew,
    /// There are events, or the time is over.
    Ready,
}

/// Keeps the watches of one root, and reports what changed.
struct Watcher<R> {
    root: PathBuf,
    extensions: Arc<[String]>,
    /// The end of [`Watching`]'s pipe: a byte requests new watches, the end of the stream a stop.
    requests: PipeReader,
    report: R,
}

impl<R: Fn(WatchEvent)> Watcher<R> {
    fn run(&self) -> Result<(), WatchError> {
        let look = root::look(&self.root).map_err(|_| WatchError::Unreadable)?;
        if file_system::is_remote(&look.identity.filesystem) {
            return Err(WatchError::Remote(look.identity.filesystem));
        }
        let mut tree = Tree::new(&self.root)?;
        (self.report)(WatchEvent::Started);
        loop {
            let must_renew = match self.wait(Some(tree.as_fd()), None) {
                Wake::Stop => return Ok(()),
                Wake::Renew => true,
                Wake::Ready => !self.follow(&mut tree)?,
            };
            if must_renew {
                drop(tree);
                if matches!(self.wait(None, Some(&RENEW_PAUSE)), Wake::Stop) {
                    return Ok(());
                }
                tree = Tree::new(&self.root)?;
                (self.report)(WatchEvent::Overflow);
            }
        }
    }

    /// Reports the events that are queued, and sets watches on new directories. Returns `false` if events were lost: then
    /// it is unknown which directories were created or moved, and only new watches are complete.
    ///
    /// The watches are set before the report: the scan that it leads to finds what was created before them.
    fn follow(&self, tree: &mut Tree) -> Result<bool, WatchError> {
        let batch = tree.read(&self.extensions);
        let mut to_watch = batch.directories.iter().filter(|_| !batch.is_lost);
        let added = to_watch.try_for_each(|path| tree.add(path));
        let paths: Vec<_> = batch.directories.into_iter().chain(batch.files).collect();
        if !paths.is_empty() {
            (self.report)(WatchEvent::Changed(paths));
        }
        added.map(|()| !batch.is_lost)
    }

    fn wait(&self, inotify: Option<BorrowedFd<'_>>, timeout: Option<&Timespec>) -> Wake {
        let mut fds: Vec<_> =
            [Some(self.requests.as_fd()), inotify].into_iter().flatten().map(readable).collect();
        // An interrupted wait leaves no result: then nothing is read.
        let _ = poll(&mut fds, timeout);
        if fds[0].revents().is_empty() {
            return Wake::Ready;
        }
        match (&self.requests).read(&mut [0; 64]) {
            Ok(1..) => Wake::Renew,
            _ => Wake::Stop,
        }
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}
