//! The watch of one root: when it starts and ends, and its state.

use std::path::Path;
use std::sync::Arc;

use tracing::warn;

use super::Action;
use crate::scan::state::WatchState;
use crate::scan::watch::WatchError;

/// The watch of one root.
#[derive(Debug)]
pub(super) struct RootWatch {
    state: WatchState,
    /// Counts the watches that were started: events of an earlier one are ignored.
    attempt: u64,
    /// The extensions to watch for; `None` while no watch is wanted.
    extensions: Option<Arc<[String]>>,
    /// The file system does not report all changes: another start would not help.
    is_remote: bool,
    /// Why the root cannot be watched, as last logged.
    logged: Option<String>,
}

impl RootWatch {
    /// No watch yet.
    pub(super) fn new() -> Self {
        Self { state: WatchState::Off, attempt: 0, extensions: None, is_remote: false, logged: None }
    }

    pub(super) fn state(&self) -> WatchState {
        self.state
    }

    /// Whether an event of the watch with that number counts.
    pub(super) fn is_current(&self, attempt: u64) -> bool {
        attempt == self.attempt
    }

    /// Starts with other extensions, or ends if there are none to watch for.
    pub(super) fn set(&mut self, root: &Path, extensions: Option<Arc<[String]>>, actions: &mut Vec<Action>) {
        self.extensions = extensions;
        self.restart(root, actions);
    }

    /// Starts again, if a watch is wanted.
    pub(super) fn restart(&mut self, root: &Path, actions: &mut Vec<Action>) {
        self.attempt += 1;
        let root = root.to_owned();
        let Some(extensions) = self.extensions.clone() else {
            self.state = WatchState::Off;
            actions.push(Action::EndWatch { root });
            return;
        };
        (self.state, self.is_remote) = (WatchState::Starting, false);
        actions.push(Action::StartWatch { root, attempt: self.attempt, extensions });
    }

    /// The root is absent. Its watches are lost.
    pub(super) fn lose(&mut self, root: &Path, actions: &mut Vec<Action>) {
        self.attempt += 1;
        if self.extensions.is_some() {
            self.state = WatchState::Unavailable;
        }
        actions.push(Action::EndWatch { root: root.to_owned() });
    }

    /// A scan has walked the whole root. A watch that failed is started again. If other mounts are below than before, all
    /// watches are set again: an inotify watch of a directory does not cover what is mounted on it later.
    pub(super) fn walked(&mut self, root: &Path, has_other_mounts: bool, actions: &mut Vec<Action>) {
        match self.state {
            WatchState::Starting | WatchState::Watching if has_other_mounts => {
                actions.push(Action::RenewWatch { root: root.to_owned() });
            }
            WatchState::Unavailable if !self.is_remote => self.restart(root, actions),
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
    pub(super) fn fail(
        &mut self,
        root: &Path,
        error: &WatchError,
        is_there: bool,
        actions: &mut Vec<Action>,
    ) {
        actions.push(Action::EndWatch { root: root.to_owned() });
        self.state = WatchState::Unavailable;
        self.is_remote = matches!(error, WatchError::Remote(_));
        let text = error.to_string();
        if is_there && *error != WatchError::Unreadable && self.logged.as_ref() != Some(&text) {
            warn!(
                root = %root.display(),
                reason = error.code(),
                "cannot watch the root, so changes are found every scan.rescan_interval: {text}"
            );
            self.logged = Some(text);
        }
    }
}
