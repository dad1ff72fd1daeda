//! The watch of one root: set up on a thread of its own, because that blocks for as long as a walk of the root, and begun
//! anew when another directory is in its place.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use tracing::warn;

use super::Event;
use crate::scan::state::WatchState;
use crate::scan::watch::{self, WatchError, Watching};

/// The watch of one root.
#[derive(Debug)]
pub(super) struct Watch {
    state: WatchState,
    watching: Option<Watching>,
    /// Counts the watches that were begun: what an earlier one tells no longer counts.
    attempt: u64,
    /// How to begin again; `None` while no watch is wanted.
    again: Option<(Arc<[String]>, SyncSender<Event>)>,
    /// The file system does not tell of changes: to begin again would help nothing.
    untold: bool,
    /// Why the root cannot be watched, as last logged.
    told: Option<String>,
}

impl Watch {
    /// None as yet.
    pub(super) fn new() -> Self {
        Self { state: WatchState::Off, watching: None, attempt: 0, again: None, untold: false, told: None }
    }

    pub(super) fn state(&self) -> WatchState {
        self.state
    }

    /// Whether what the watch of that number tells still counts.
    pub(super) fn is_current(&self, attempt: u64) -> bool {
        attempt == self.attempt
    }

    /// Begins with other settings, or ends where it is not `wanted`.
    pub(super) fn begin(
        &mut self,
        root: &Path,
        wanted: bool,
        extensions: &[String],
        events: &SyncSender<Event>,
    ) {
        self.again = wanted.then(|| (extensions.into(), events.clone()));
        self.begin_again(root);
    }

    /// Begins anew, where a watch is wanted at all.
    pub(super) fn begin_again(&mut self, root: &Path) {
        self.attempt += 1;
        self.watching = None;
        let Some((extensions, events)) = self.again.clone() else {
            self.state = WatchState::Off;
            return;
        };
        (self.state, self.untold) = (WatchState::Starting, false);
        let (root, attempt) = (root.to_owned(), self.attempt);
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || {
            let (path, teller) = (root.clone(), events.clone());
            let outcome = watch::start(&root, extensions, move |seen| {
                let _ = teller.send(Event::Seen { root: path.clone(), attempt, seen });
            });
            let _ = events.send(Event::Watched { root, attempt, outcome });
        });
        if thread.is_err() {
            self.state = WatchState::Unavailable;
        }
    }

    /// What was watched is gone, and its watches with it. One that is being set up no longer counts.
    pub(super) fn lose(&mut self) {
        self.attempt += 1;
        self.watching = None;
        if self.again.is_some() {
            self.state = WatchState::Unavailable;
        }
    }

    /// A scan has walked all of the root. What could not be watched is tried again, and where other mounts are below
    /// than before, all is watched anew: an inotify watch is of a directory, not of what is mounted on it later.
    pub(super) fn walked(&mut self, root: &Path, has_other_mounts: bool) {
        match &self.watching {
            Some(watching) if has_other_mounts => watching.renew(),
            None if self.state == WatchState::Unavailable && !self.untold => self.begin_again(root),
            _ => {}
        }
    }

    /// It is set up.
    pub(super) fn succeed(&mut self, watching: Watching) {
        self.watching = Some(watching);
        self.state = WatchState::Watching;
        self.told = None;
    }

    /// It cannot be set up, or goes on no longer. Said once, and not of a root that is not there (`is_there`): of that
    /// enough is said.
    pub(super) fn fail(&mut self, root: &Path, why: &WatchError, is_there: bool) {
        self.watching = None;
        self.state = WatchState::Unavailable;
        self.untold = matches!(why, WatchError::Untold(_));
        let text = why.to_string();
        if is_there && self.told.as_ref() != Some(&text) {
            warn!(root = %root.display(), "changes are not seen as they happen: {text}");
            self.told = Some(text);
        }
    }
}
