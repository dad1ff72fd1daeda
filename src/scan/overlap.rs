//! Finds roots that lead to the same directory. With a root and a symbolic link to it, or to a directory below it, every video
//! would be recorded twice. The configuration compares only names, so it cannot find this.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

use super::{Error, root};
use crate::base::times::ROOT_RESOLVE_TIMEOUT;

/// The real path of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedRoot {
    root: PathBuf,
    /// The path with all links followed.
    real: PathBuf,
}

impl ResolvedRoot {
    /// Resolves a root; `None` if it is absent. Blocks for as long as its file system does.
    #[must_use]
    pub(crate) fn resolve(root: &Path) -> Option<Self> {
        Some(Self { root: root.to_owned(), real: root.canonicalize().ok()? })
    }

    /// Whether a walk of this root finds the files in `other`. Of two names of one directory the first is walked.
    fn covers(&self, other: &Self, is_first: bool) -> bool {
        let Ok(rest) = other.real.strip_prefix(&self.real) else { return false };
        if rest.as_os_str().is_empty() {
            return is_first;
        }
        // The walk leaves out a root whose configured path also lies below this one.
        other.root.strip_prefix(&self.root) != Ok(rest)
    }
}

/// The resolved roots of one command.
#[derive(Debug)]
pub(crate) struct Overlaps {
    /// Configured ones first.
    roots: Vec<PathBuf>,
    configured_count: usize,
    resolved: Vec<Option<ResolvedRoot>>,
}

impl Overlaps {
    /// Resolves all configured roots and the ones to scan.
    #[must_use]
    pub(crate) fn look_up<'a>(configured: &[PathBuf], to_scan: impl Iterator<Item = &'a PathBuf>) -> Self {
        let mut roots = configured.to_vec();
        for root in to_scan {
            if !roots.contains(root) {
                roots.push(root.clone());
            }
        }
        Self { resolved: look_up(&roots), configured_count: configured.len(), roots }
    }

    /// Roots that must not be accessed: they do not respond, are absent, or another root covers them.
    #[must_use]
    pub(crate) fn unreachable(&self) -> Arc<[PathBuf]> {
        let is_unreachable =
            |at: &usize| self.resolved[*at].is_none() || covered_by(&self.resolved, *at).is_some();
        (0..self.roots.len()).filter(is_unreachable).map(|at| self.roots[at].clone()).collect()
    }

    /// Refuses a root whose files are recorded under another root, or would be.
    ///
    /// # Errors
    /// [`Error::Overlaps`]
    pub(crate) fn check(&self, root: &Path) -> Result<(), Error> {
        let covered = |at| covered_by(&self.resolved, at);
        let at = self.roots.iter().position(|other| other == root);
        let above = at.and_then(covered);
        // A configured root within it has precedence over one that is not configured.
        let is_extra = at.is_none_or(|at| at >= self.configured_count);
        let within = || (0..self.configured_count).find(|at| is_extra && covered(*at) == Some(root));
        match above.or_else(|| Some(self.roots[within()?].as_path())) {
            None => Ok(()),
            Some(other) => Err(Error::Overlaps { root: root.to_owned(), other: other.to_owned() }),
        }
    }
}

/// Resolves roots, each on its own thread; `None` for one that is absent or does not respond in time.
fn look_up(roots: &[PathBuf]) -> Vec<Option<ResolvedRoot>> {
    let (sender, receiver) = channel();
    for (number, root) in roots.iter().cloned().enumerate() {
        let sender = sender.clone();
        // A root whose links can be followed may still not respond.
        let work = move || {
            let resolved = root::look(&root).ok().and_then(|_| ResolvedRoot::resolve(&root));
            drop(sender.send((number, resolved)));
        };
        // Without a thread the root counts as one that does not respond.
        drop(std::thread::Builder::new().name("look".into()).spawn(work));
    }
    drop(sender);
    let mut resolved = vec![None; roots.len()];
    let deadline = Instant::now() + ROOT_RESOLVE_TIMEOUT;
    while let Ok((number, root)) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        resolved[number] = root;
    }
    resolved
}

/// The root that covers the root with the index `at`, which then must not be scanned.
#[must_use]
pub(crate) fn covered_by(roots: &[Option<ResolvedRoot>], at: usize) -> Option<&Path> {
    let inner = roots.get(at)?.as_ref()?;
    let others = roots.iter().enumerate().filter(|(number, _)| *number != at);
    others
        .filter_map(|(number, root)| Some((number, root.as_ref()?)))
        .find(|(number, root)| root.covers(inner, *number < at))
        .map(|(_, root)| root.root.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_roots_that_lead_to_one_place_one_is_left() {
        let check = |roots: &[(&str, &str)], expected: &[Option<&str>]| {
            let resolve =
                |(root, real): &(&str, &str)| Some(ResolvedRoot { root: root.into(), real: real.into() });
            let resolved: Vec<_> = roots.iter().map(resolve).collect();
            let found: Vec<_> =
                (0..roots.len()).map(|at| covered_by(&resolved, at).and_then(Path::to_str)).collect();
            assert_eq!(found, expected, "{roots:?}");
        };
        check(&[("/a", "/a"), ("/b", "/b"), ("/ab", "/ab")], &[None, None, None]);
        check(&[("/a", "/a"), ("/link", "/a")], &[None, Some("/a")]);
        check(&[("/link", "/a"), ("/a", "/a")], &[None, Some("/link")]);
        check(&[("/link", "/a/deep"), ("/a", "/a")], &[Some("/a"), None]);
        check(&[("/x", "/a"), ("/y", "/a"), ("/z", "/a/b")], &[None, Some("/x"), Some("/x")]);
        // Nested by name: the walk of the outer one leaves the inner one out, where it is what it is called.
        check(&[("/a", "/real/a"), ("/a/b", "/real/a/b")], &[None, None]);
        check(&[("/a", "/a"), ("/a/link", "/a/b")], &[None, Some("/a")]);
        // Of one that is not there nothing is known.
        assert_eq!(covered_by(&[None, ResolvedRoot::resolve(Path::new("/"))], 0), None);
    }
}
