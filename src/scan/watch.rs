//! inotify through the `notify` crate: tells which paths below a root changed, and says once where it cannot.
//!
//! One watcher per root, set up on a thread of its own, because walking a dead share to watch it blocks. What
//! it reports is only a hint where to look: a look decides, and the interval covers what was missed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::os::unix::ffi::OsStrExt;

use super::{discover, name, root};

/// What a watcher saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Something is new, changed or gone at these paths.
    Changed(Vec<PathBuf>),
    /// The kernel's queue overflowed: anything may have changed.
    Overflow,
    /// No further directory can be watched: what appears from now on may go unseen.
    Exhausted,
}

/// Watches while it lives.
#[derive(Debug)]
pub struct Watching {
    _watcher: RecommendedWatcher,
}

/// Why a root is not watched. One line: what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A network or user-space file system.
    #[error("{0} does not tell what other machines change: relying on library.rescan_interval")]
    Untold(String),
    /// `max_user_watches`
    #[error(
        "inotify's watches ran out (one for each directory; fs.inotify.max_user_watches is {limit}): raise it with \
         `sysctl fs.inotify.max_user_watches=1048576`; until then relying on library.rescan_interval"
    )]
    Watches {
        /// The limit in force.
        limit: String,
    },
    /// `max_user_instances`
    #[error(
        "inotify's instances ran out (fs.inotify.max_user_instances is {limit}): raise it with \
         `sysctl fs.inotify.max_user_instances=1024`; until then relying on library.rescan_interval"
    )]
    Instances {
        /// The limit in force.
        limit: String,
    },
    /// The root is not there, or anything else.
    #[error("cannot be watched ({0}): relying on library.rescan_interval")]
    Other(String),
}

impl WatchError {
    /// Watches ran out while new directories appeared.
    #[must_use]
    pub fn watches() -> Self {
        Self::Watches { limit: limit("max_user_watches") }
    }
}

/// A limit of inotify(7), as the kernel says it.
fn limit(name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).unwrap_or_default();
    if text.trim().is_empty() { "unknown".to_owned() } else { text.trim().to_owned() }
}

/// Watches `root` with all below it; what changes goes to `tell`. Blocks for as long as a walk of the root.
///
/// # Errors
/// Where it cannot be watched as a whole; nothing of it is watched then, so that others keep their watches.
pub fn start(
    root: &Path,
    extensions: Arc<[String]>,
    tell: impl Fn(Seen) + Send + 'static,
) -> Result<Watching, WatchError> {
    let look = root::look(root).map_err(|why| WatchError::Other(why.to_string()))?;
    if !root::is_watchable(&look.identity.filesystem) {
        return Err(WatchError::Untold(look.identity.filesystem));
    }
    let top = root.to_owned();
    let handler = move |event: notify::Result<Event>| match event {
        Ok(event) if event.need_rescan() => tell(Seen::Overflow),
        Ok(event) => {
            let kind = event.kind;
            let paths: Vec<_> =
                event.paths.into_iter().filter(|path| matters(kind, &top, path, &extensions)).collect();
            if !paths.is_empty() {
                tell(Seen::Changed(paths));
            }
        }
        Err(error) if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) => tell(Seen::Exhausted),
        Err(_) => tell(Seen::Overflow),
    };
    let mut watcher = RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))
        .map_err(|error| refusal(&error))?;
    watcher.watch(root, RecursiveMode::Recursive).map_err(|error| refusal(&error))?;
    Ok(Watching { _watcher: watcher })
}

/// Whether an event at `path` may mean another state of the library. Being read means nothing: our own scans
/// do that, and everyone who watches a film.
fn matters(kind: EventKind, root: &Path, path: &Path, extensions: &[String]) -> bool {
    let Ok(below) = path.strip_prefix(root) else { return false };
    if discover::is_passed_over(below) {
        return false;
    }
    let file = path.file_name().unwrap_or_default().as_bytes();
    let is_video = name::video(file, extensions).is_some();
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(notify::event::CreateKind::File)
        | EventKind::Remove(notify::event::RemoveKind::File)
        | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => is_video,
        EventKind::Access(_) => false,
        // Directories, and renames, which do not say of what.
        _ => true,
    }
}

fn refusal(error: &notify::Error) -> WatchError {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => WatchError::watches(),
        notify::ErrorKind::Io(io) if io.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            WatchError::Instances { limit: limit("max_user_instances") }
        }
        _ => WatchError::Other(error.to_string()),
    }
}
