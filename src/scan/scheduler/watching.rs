//! The watch of one root: when it starts and ends, and its state.

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
    /// Starting, or watching.
    watching: Option<Watching>,
    /// Counts the watches that were started: events of an earlier one are ignored.
    attempt: u64,
    /// What a start needs; `None` while no watch is wanted.
    again: Option<(Arc<[String]>, SyncSender<Event>)>,
    /// The file system does not report all changes: another start would not help.
    is_remote: bool,
    /// Why the root cannot be watched, as last logged.
    logged: Option<String>,
}

impl Watch {
    /// No watch yet.
    pub(super) fn new() -> Self {
        Self {
            state: WatchState::Off,
            watching: None,
            attempt: 0,
            again: None,
            is_remote: false,
            logged: None,
        }
    }

    pub(super) fn state(&self) -> WatchState {
        self.state
    }

    /// Whether an event of the watch with that number counts.
    pub(super) fn is_current(&self, attempt: u64) -> bool {
        attempt == self.attempt
    }

    /// Starts with other settings, or ends if it is not `wanted`.
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

    /// Starts again, if a watch is wanted.
    pub(super) fn begin_again(&mut self, root: &Path) {
        self.attempt += 1;
        self.watching = None;
        let Some((extensions, events)) = self.again.clone() else {
            self.state = WatchState::Off;
            return;
        };
        (self.state, self.is_remote) = (WatchState::Starting, false);
        let (path, attempt) = (root.to_owned(), self.attempt);
        let report = move |event| {
            let _ = events.send(Event::Watch { root: path.clone(), attempt, event });
        };
        match watch::start(root, extensions, report) {
            Ok(watching) => self.watching = Some(watching),
            Err(error) => self.fail(root, &error, true),
        }
    }

    /// The root is gone, and its watches with it.
    pub(super) fn lose(&mut self) {
        self.attempt += 1;
        self.watching = None;
        if self.again.is_some() {
            self.state = WatchState::Unavailable;
        }
    }

    /// A scan has walked the whole root. A watch that failed is started again. If other mounts are below than before, all
    /// watches are set again: an inotify watch is of a directory, not of what is mounted on it later.
    pub(super) fn walked(&mut self, root: &Path, has_other_mounts: bool) {
        match &self.watching {
            Some(watching) if has_other_mounts => watching.renew(),
            None if self.state == WatchState::Unavailable && !self.is_remote => self.begin_again(root),
            _ => {}
        }
    }

    /// The root is watched.
    pub(super) fn succeed(&mut self) {
        self.state = WatchState::Watching;
        self.logged = None;
    }

    /// The watch could not be started, or has ended. Logged once, and only if the root `is_there`: a missing root is
    /// reported elsewhere.
    pub(super) fn fail(&mut self, root: &Path, error: &WatchError, is_there: bool) {
        self.watching = None;
        self.state = WatchState::Unavailable;
        self.is_remote = matches!(error, WatchError::Remote(_));
        let text = error.to_string();
        if is_there && self.logged.as_ref() != Some(&text) {
            warn!(root = %root.display(), "changes are not seen as they happen: {text}");
            self.logged = Some(text);
        }
    }
}
