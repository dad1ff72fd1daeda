//! inotify through the `notify` crate: tells which paths below a root changed, and says once where it cannot.
//!
//! One watcher per root, set up and followed on a thread of its own, because walking a dead share to watch it blocks.
//! What it reports is only a hint where to look: a look decides, and the interval covers what was missed.

mod tree;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Config, Event, EventHandler, RecommendedWatcher, Watcher};

use self::tree::Tree;
use super::{discover, name, root};
use crate::library::file_system;

/// What a watcher saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Something is new, changed or gone at these paths.
    Changed(Vec<PathBuf>),
    /// Events were lost, by the kernel or because more came than could be followed, or all watches are new: anything may
    /// have changed.
    Overflow,
    /// Not all can be watched any more, so nothing is.
    Lost(WatchError),
}

/// Watches while it lives.
#[derive(Debug)]
pub struct Watching {
    stop: Stop,
}

impl Watching {
    /// Gives back all watches and sets them anew, which ends with [`Seen::Overflow`].
    pub fn renew(&self) {
        let _ = self.stop.0.send(Message::Overflow);
    }
}

/// Why a root is not watched. One line: what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// A network or user-space file system.
    #[error("{0} does not tell what other machines change: relying on scan.rescan_interval")]
    Untold(String),
    /// `max_user_watches`
    #[error(
        "inotify's watches ran out (one for each directory; fs.inotify.max_user_watches is {limit}): raise it with \
         `sysctl fs.inotify.max_user_watches=1048576`; until then relying on scan.rescan_interval"
    )]
    Watches {
        /// The limit in force.
        limit: String,
    },
    /// `max_user_instances`
    #[error(
        "inotify's instances ran out (fs.inotify.max_user_instances is {limit}): raise it with \
         `sysctl fs.inotify.max_user_instances=1024`; until then relying on scan.rescan_interval"
    )]
    Instances {
        /// The limit in force.
        limit: String,
    },
    /// A limit on tasks.
    #[error(
        "no thread can be started to watch it: raise the limit on tasks (`ulimit -u`, `TasksMax=`); until then relying \
         on scan.rescan_interval"
    )]
    Thread,
    /// The root is not there, or anything else.
    #[error("cannot be watched ({0}): relying on scan.rescan_interval")]
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
    let follower =
        Follower { root: root.to_owned(), extensions, sender, messages, waiting: Arc::default(), tell };
    let tree = follower.tree()?;
    let thread = std::thread::Builder::new().name("watch".into());
    thread.spawn(move || follower.run(tree)).map_err(|_| WatchError::Thread)?;
    Ok(Watching { stop })
}

/// Hints that wait for the follower, at most. notify's thread must neither be held up (it reads the kernel's queue, and
/// the follower itself waits for it to set a watch) nor fill the memory: of more hints than this, all are lost.
const BACKLOG: usize = 4096;

/// After events were lost, new watches come no sooner than this: while more is told than can be followed, they would be
/// lost again at once.
const REST: Duration = Duration::from_secs(1);

/// What comes from notify's thread.
enum Message {
    /// There is something to look at. Each is counted in [`Follower::waiting`] until it is taken.
    Hint(Hint),
    /// Events were lost, or new watches are wanted.
    Overflow,
    /// The watcher has given back its watches.
    Released,
    /// Nobody wants to know any more.
    Stop,
}

/// Where to look. Many alike are one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Hint {
    /// Something is new, changed or gone here; it may be a directory.
    Changed(PathBuf),
    /// A file is new, changed or gone.
    File(PathBuf),
    /// The permissions or the times of something have changed.
    Touched(PathBuf),
}

/// Tells the follower to stop.
#[derive(Debug)]
struct Stop(mpsc::Sender<Message>);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Stop);
    }
}

/// Hands on what one watcher sees, and tells when that watcher is no more.
struct Handler {
    root: PathBuf,
    extensions: Arc<[String]>,
    sender: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
    /// Another one of these tells whether the handler still lives.
    alive: Arc<()>,
    /// Events were lost, which has been told: only new watches, with a new handler, help.
    lost: bool,
}

impl EventHandler for Handler {
    fn handle_event(&mut self, event: notify::Result<Event>) {
        if self.lost {
            return;
        }
        let message = match event.ok().filter(|event| !event.need_rescan()) {
            Some(event) => match hint(event, &self.root, &self.extensions) {
                Some(_) if self.waiting.load(Relaxed) >= BACKLOG => Message::Overflow,
                Some(hint) => Message::Hint(hint),
                None => return,
            },
            None => Message::Overflow,
        };
        match message {
            Message::Hint(_) => _ = self.waiting.fetch_add(1, Relaxed),
            _ => self.lost = true,
        }
        let _ = self.sender.send(message);
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = self.sender.send(Message::Released);
    }
}

/// Keeps the watches true to the directories, and tells what changed.
struct Follower<T> {
    root: PathBuf,
    extensions: Arc<[String]>,
    sender: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
    /// How many hints are among the messages.
    waiting: Arc<AtomicUsize>,
    tell: T,
}

impl<T: Fn(Seen)> Follower<T> {
    fn run(self, mut tree: Tree) {
        while let Ok(first) = self.messages.recv() {
            // What has come in the meantime is taken at once: a file that is renamed over and over is one hint or two.
            let (mut hints, mut is_overflow) = (BTreeSet::new(), false);
            for message in std::iter::once(first).chain(self.messages.try_iter().take(BACKLOG)) {
                match message {
                    Message::Hint(hint) => {
                        self.waiting.fetch_sub(1, Relaxed);
                        hints.insert(hint);
                    }
                    Message::Overflow => is_overflow = true,
                    Message::Released => {}
                    Message::Stop => return,
                }
            }
            for hint in hints {
                if let Err(why) = self.follow(hint, &mut tree) {
                    return (self.tell)(Seen::Lost(why));
                }
            }
            // Which directories came and went is not known: only new watches are surely the right ones.
            if is_overflow {
                drop(tree);
                if !self.wait_for_release() {
                    return;
                }
                match self.tree() {
                    Ok(again) => tree = again,
                    Err(why) => return (self.tell)(Seen::Lost(why)),
                }
                (self.tell)(Seen::Overflow);
            }
        }
    }

    /// The watches come first: what came into a new directory before them is found by the look at it.
    fn follow(&self, hint: Hint, tree: &mut Tree) -> Result<(), WatchError> {
        let (kept, path) = match hint {
            Hint::Changed(path) => (tree.add(&path), path),
            Hint::File(path) => (Ok(()), path),
            Hint::Touched(path) if tree.is_unreadable(&path) => (tree.add(&path), path),
            Hint::Touched(path) if is_video(&path, &self.extensions) => (Ok(()), path),
            Hint::Touched(_) => return Ok(()),
        };
        (self.tell)(Seen::Changed(vec![path]));
        kept
    }

    /// Waits until the watches are given back and some time is over. Returns `false` when asked to stop.
    fn wait_for_release(&self) -> bool {
        loop {
            match self.messages.recv() {
                Ok(Message::Released) => break,
                Ok(Message::Stop) | Err(_) => return false,
                Ok(_) => {}
            }
        }
        // The handler is gone, and all that it had sent has been taken.
        self.waiting.store(0, Relaxed);
        let rested = Instant::now() + REST;
        loop {
            match self.messages.recv_timeout(rested.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => return true,
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Ok(_) => {}
            }
        }
    }

    /// All watches of the root.
    fn tree(&self) -> Result<Tree, WatchError> {
        let handler = Handler {
            root: self.root.clone(),
            extensions: Arc::clone(&self.extensions),
            sender: self.sender.clone(),
            waiting: Arc::clone(&self.waiting),
            alive: Arc::default(),
            lost: false,
        };
        let alive = Arc::clone(&handler.alive);
        let watcher = RecommendedWatcher::new(handler, Config::default()).map_err(|error| refusal(&error))?;
        if Arc::strong_count(&alive) == 1 {
            // notify says nothing when its thread cannot be started, and then panics at every call, also when the
            // watcher is dropped. The handler went with that thread. This leaks a descriptor and little memory.
            std::mem::forget(watcher);
            return Err(WatchError::Thread);
        }
        Tree::new(&self.root, watcher)
    }
}

/// What an event may mean for the library, if anything. Being read means nothing: our own scans do that, and everyone
/// who watches a film.
fn hint(mut event: Event, root: &Path, extensions: &[String]) -> Option<Hint> {
    let path = event.paths.pop()?;
    if path.strip_prefix(root).map_or(true, discover::is_ignored) {
        return None;
    }
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(CreateKind::File)
        | EventKind::Remove(RemoveKind::File)
        | EventKind::Modify(ModifyKind::Data(_)) => is_video(&path, extensions).then_some(Hint::File(path)),
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Hint::Touched(path)),
        // What was renamed has been told with each of its names.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        // Directories, and renames, which do not say of what.
        _ => Some(Hint::Changed(path)),
    }
}

fn is_video(path: &Path, extensions: &[String]) -> bool {
    name::is_video(path.file_name().unwrap_or_default().as_bytes(), extensions)
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
