//! What a scan would do, found out by reading only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{Context, Run, Task};
use crate::library::jobs::{self, Queued, Reason};
use crate::scan::{Error, chain, root};

/// What a scan would do, found out by reading only.
///
/// # Errors
/// As a scan.
pub fn dry_run(
    context: &Context,
    root: &Path,
    targets: &[PathBuf],
    accept_missing: bool,
) -> Result<Preview, Error> {
    let look = root::look(root).map_err(|why| Error::Offline { root: root.to_owned(), why })?;
    let mut options = jobs::Options::new(Reason::Request);
    options.accept_missing = accept_missing;
    let task = Task {
        root: root.to_owned(),
        targets: targets.to_vec(),
        job: Queued { id: String::new(), path: String::new(), options },
        queued: false,
        quiet: false,
    };
    let mut run = Run::new(context, &task);
    run.refuse_unknown()?;
    let before = run.last_walk(root)?;
    let mut preview = Preview { root: root.to_string_lossy().into_owned(), ..Preview::default() };
    let mut targets = run.targets(&look, &before);
    let mut plan = run.compare(&targets, &before.mounts, None)?;
    if targets != [root] && (!plan.vanished.is_empty() || run.find_moved_here(&plan)?) {
        // As a scan does.
        targets = vec![root.to_owned()];
        plan = run.compare(&targets, &before.mounts, None)?;
    }
    let mut is_first = true;
    loop {
        let next = plan.resume.clone();
        preview.new += plan.changes.iter().filter(|change| change.is_new).count() as u64;
        preview.changed += plan.changes.iter().filter(|change| !change.is_new).count() as u64;
        if std::mem::take(&mut is_first) {
            preview.found = plan.found;
            preview.unchanged = plan.unchanged;
            preview.gone = plan.vanished.len() as u64;
            preview.walk_errors = plan.walked.error_count;
            let guarded = run.guard(&look, &before, &plan);
            let vanished = std::mem::take(&mut plan.vanished);
            let guarded = guarded.and_then(|()| run.guard_mass(&vanished, &Arc::new(plan), &targets));
            preview.refusal = guarded.err().as_ref().map(|error| chain(error));
        }
        let Some(resume) = next else { return Ok(preview) };
        plan = run.compare(&targets, &before.mounts, Some(&resume))?;
    }
}

/// What a scan would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// The root.
    pub root: String,
    /// Videos found.
    pub found: u64,
    /// Of them, those that the library does not know.
    pub new: u64,
    /// Of them, those that would be read again.
    pub changed: u64,
    /// Of them, those as their rows say.
    pub unchanged: u64,
    /// Rows whose files are gone (or moved to one of the new ones).
    pub gone: u64,
    /// What the walk could not read.
    pub walk_errors: u64,
    /// Why the scan would refuse to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}
