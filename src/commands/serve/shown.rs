//! The daemon as the page shows it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::reload::Reload;
use crate::commands::config::written;
use crate::config::{Origin, Shown};
use crate::daemon::health::{self, DATABASE, Status};
use crate::library::Library;
use crate::page::{Daemon, Health, Problem, Progress, Root, Setting};
use crate::scan::ScanState;
use crate::scan::progress::{Phase, Snapshot};
use crate::scan::state::RootState;

/// What the page asks of the daemon.
pub(super) struct ForPage {
    health: health::Health,
    library: Arc<Library>,
    scans: watch::Receiver<ScanState>,
    reload: Arc<Mutex<Reload>>,
}

impl ForPage {
    pub(super) fn new(
        health: &health::Health,
        library: &Arc<Library>,
        scans: &watch::Receiver<ScanState>,
        reload: &Arc<Mutex<Reload>>,
    ) -> Self {
        Self {
            health: health.clone(),
            library: Arc::clone(library),
            scans: scans.clone(),
            reload: Arc::clone(reload),
        }
    }
}

impl Daemon for ForPage {
    fn health(&self) -> Health {
        let checks = self.health.checks();
        let results = || checks.iter().filter_map(|check| Some((check, check.result.as_deref()?)));
        let problems = results().filter(|(_, result)| result.status != Status::Pass);
        let problem = |(check, result): (&health::ListedCheck, &health::CheckResult)| Problem {
            check: check.name.to_string(),
            is_failure: check.is_critical && result.status == Status::Fail,
            reason: result.reason.unwrap_or_default(),
            detail: result.detail.clone().unwrap_or_default(),
        };
        let problems: Vec<Problem> = problems.map(problem).collect();
        let mut version = DefaultHasher::new();
        let phase = self.health.phase().as_str();
        (phase, self.library.generation()).hash(&mut version);
        for problem in &problems {
            (&problem.check, problem.reason).hash(&mut version);
        }
        let scans = self.scans.borrow();
        (scans.counts.completed, scans.counts.failed, scans.counts.cancelled).hash(&mut version);
        for root in &scans.roots {
            (&root.path, root.running.is_some(), root.watch.as_str(), root.last_success.is_some())
                .hash(&mut version);
        }
        let database =
            results().find(|(check, result)| check.name == DATABASE && result.status == Status::Pass);
        let database = database.and_then(|(_, result)| result.detail.clone());
        Health { phase, problems, database, version: version.finish() }
    }

    fn roots(&self) -> Vec<Root> {
        let scans = self.scans.borrow();
        // The scanner publishes the roots a moment after the start.
        let configured = || {
            let reload = self.reload.try_lock().ok();
            reload.map_or_else(Vec::new, |reload| {
                reload.in_force.scan.roots.iter().map(|path| begun(path)).collect()
            })
        };
        if scans.roots.is_empty() { configured() } else { scans.roots.iter().map(root).collect() }
    }

    fn settings(&self) -> Vec<Setting> {
        // A reload holds it while it reads files, which may take long.
        let Ok(reload) = self.reload.try_lock() else { return Vec::new() };
        let setting = |(key, shown)| Setting {
            key,
            value: match shown {
                Shown::Unset => None,
                Shown::Secret => Some("\"***\"".to_owned()),
                Shown::Value(value) => Some(written(&value)),
            },
            origin: reload.origins.get(key).unwrap_or(&Origin::Default).to_string(),
        };
        reload.in_force.shown().into_iter().map(setting).collect()
    }

    fn config_file(&self) -> Option<String> {
        let reload = self.reload.try_lock().ok()?;
        reload.file.as_ref().map(|file| file.to_string_lossy().into_owned())
    }
}

/// A root of which the scanner has not reported yet.
fn begun(path: &Path) -> Root {
    let path = path.to_string_lossy().into_owned();
    Root { path, problem: None, last_success: None, watch: "starting", scan: None }
}

fn root(root: &RootState) -> Root {
    Root {
        path: root.path.to_string_lossy().into_owned(),
        problem: root.problem.as_ref().map(|problem| problem.detail.clone()),
        last_success: root.last_success,
        watch: root.watch.as_str(),
        scan: root.running.as_ref().map(progress),
    }
}

fn progress(scan: &Snapshot) -> Progress {
    let doing = match scan.phase {
        Phase::Walking | Phase::Reading => "Scanning",
        Phase::Settling => "Waiting for files that are being written in",
        Phase::Missing => "Recording what is missing from",
        Phase::Hashing => "Hashing videos of",
        Phase::Rereading => "Reading again videos of",
    };
    Progress { doing, found: scan.found, to_read: scan.to_read, read: scan.read }
}
