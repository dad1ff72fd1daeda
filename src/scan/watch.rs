//! inotify through the `notify` crate: tells which paths below a root changed, and says once where it cannot.
//!
//! One watcher per root, set up and followed on a thread of its own, because walking a dead share to watch it blocks.
//! What it reports is only a hint where to look: a look decides, and the interval covers what was missed.

mod tree;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Config, Event, RecommendedWatcher, Watcher};

use self::tree::Tree;
use super::{discover, name, root};
use crate::library::file_system;

/// What a watcher saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Something is new, changed or gone at these paths.
    Changed(Vec<PathBuf>),
    /// The kernel's queue overflowed: anything may have changed.
    Overflow,
    /// Not all can be watched any more, so nothing is.
    Lost(WatchError),
}

/// Watches while it lives.
#[derive(Debug)]
pub struct Watching {
    _stop: Stop,
}

/// Why a root is not watched. One line: what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// With the limit in force.
    fn watches() -> Self {
        Self::Watches { limit: limit("max_user_watches") }
    }
}

/// A limit of inotify(7), as the kernel says it.
fn limit(name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).unwrap_or_default();
    if text.trim().is_empty() { "unknown".to_owned() } else { text.trim().to_owned() }
}

/// Watches `root` with all below it that a scan enters; what changes goes to `tell`. Blocks for as long as a walk of the
/// root's directories.
///
/// # Errors
/// Where it cannot be watched as a whole; nothing of it is watched then, so that others keep their watches. Directories
/// that may not be read are left out.
pub fn start(
    root: &Path,
    extensions: Arc<[String]>,
    tell: impl Fn(Seen) + Send + 'static,
) -> Result<Watching, WatchError> {
    let look = root::look(root).map_err(|why| WatchError::Other(why.to_string()))?;
    if file_system::is_remote(&look.identity.filesystem) {
        return Err(WatchError::Untold(look.identity.filesystem));
    }
    let (sender, messages) = mpsc::channel();
    let stop = Stop(sender.clone());
    let follower = Follower { root: root.to_owned(), extensions, sender, messages, tell };
    let tree = follower.tree()?;
    let thread = std::thread::Builder::new().name("watch".into());
    thread.spawn(move || follower.run(tree)).map_err(|error| WatchError::Other(error.to_string()))?;
    Ok(Watching { _stop: stop })
}

/// What comes from notify's thread, which must not be held up: it reads the kernel's queue.
enum Message {
    /// Something is new, changed or gone here; it may be a directory.
    Changed(PathBuf),
    /// A file is new, changed or gone.
    File(PathBuf),
    /// The permissions or the times of something have changed.
    Touched(PathBuf),
    /// Events were lost.
    Overflow,
    /// The watcher has given back its watches.
    Released,
    /// Nobody wants to know any more.
    Stop,
}

/// Tells the follower to stop.
#[derive(Debug)]
struct Stop(mpsc::Sender<Message>);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Stop);
    }
}

/// Tells that the watcher which had it is no more.
struct Released(mpsc::Sender<Message>);

impl Drop for Released {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Released);
    }
}

/// Keeps the watches true to the directories, and tells what changed.
struct Follower<T> {
    root: PathBuf,
    extensions: Arc<[String]>,
    sender: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
    tell: T,
}

impl<T: Fn(Seen)> Follower<T> {
    fn run(self, mut tree: Tree) {
        while let Ok(message) = self.messages.recv() {
            let kept = match message {
                Message::Changed(path) => {
                    // The watches first: what came into a new directory before them is found by the look at it.
                    let kept = tree.add(&path);
                    (self.tell)(Seen::Changed(vec![path]));
                    kept
                }
                Message::File(path) => {
                    (self.tell)(Seen::Changed(vec![path]));
                    Ok(())
                }
                Message::Touched(path) => {
                    let was_shut = tree.is_shut(&path);
                    let kept = if was_shut { tree.add(&path) } else { Ok(()) };
                    if was_shut || is_video(&path, &self.extensions) {
                        (self.tell)(Seen::Changed(vec![path]));
                    }
                    kept
                }
                // Which directories came and went is not known: only new watches are surely the right ones.
                Message::Overflow => {
                    drop(tree);
                    if !self.is_released() {
                        return;
                    }
                    match self.tree() {
                        Ok(again) => tree = again,
                        Err(why) => return (self.tell)(Seen::Lost(why)),
                    }
                    (self.tell)(Seen::Overflow);
                    Ok(())
                }
                Message::Released => Ok(()),
                Message::Stop => return,
            };
            if let Err(why) = kept {
                return (self.tell)(Seen::Lost(why));
            }
        }
    }

    /// Waits until the watches are given back; not when told to stop.
    fn is_released(&self) -> bool {
        loop {
            match self.messages.recv() {
                Ok(Message::Released) => return true,
                Ok(Message::Stop) | Err(_) => return false,
                Ok(_) => {}
            }
        }
    }

    /// All watches of the root.
    fn tree(&self) -> Result<Tree, WatchError> {
        let (root, extensions) = (self.root.clone(), Arc::clone(&self.extensions));
        let released = Released(self.sender.clone());
        let handler = move |event: notify::Result<Event>| {
            if let Some(message) = message(event, &root, &extensions) {
                let _ = released.0.send(message);
            }
        };
        let watcher = RecommendedWatcher::new(handler, Config::default()).map_err(|error| refusal(&error))?;
        Tree::new(&self.root, watcher)
    }
}

/// What an event may mean for the library, if anything. Being read means nothing: our own scans do that, and everyone
/// who watches a film.
fn message(event: notify::Result<Event>, root: &Path, extensions: &[String]) -> Option<Message> {
    let Some(mut event) = event.ok().filter(|event| !event.need_rescan()) else {
        return Some(Message::Overflow);
    };
    let path = event.paths.pop()?;
    if path.strip_prefix(root).map_or(true, discover::is_passed_over) {
        return None;
    }
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(CreateKind::File)
        | EventKind::Remove(RemoveKind::File)
        | EventKind::Modify(ModifyKind::Data(_)) => {
            is_video(&path, extensions).then_some(Message::File(path))
        }
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Message::Touched(path)),
        // What was renamed has been told with each of its names.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        // Directories, and renames, which do not say of what.
        _ => Some(Message::Changed(path)),
    }
}

fn is_video(path: &Path, extensions: &[String]) -> bool {
    name::video(path.file_name().unwrap_or_default().as_bytes(), extensions).is_some()
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
