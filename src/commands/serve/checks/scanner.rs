//! Reports problems of the scanner and of roots. These results follow from events and are at most warnings, so they are
//! set rather than registered.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::base::times::SCANNER_CONFIRM_INTERVAL;
use crate::daemon::backoff::TaskState;
use crate::daemon::health::{CheckResult, Health};
use crate::scan::ScanState;
use crate::scan::state::Problem;

/// Sets the check `scanner` and one for each root whenever the state of the scanner or its task changes.
pub(in crate::commands::serve) async fn show(
    mut state: watch::Receiver<ScanState>,
    mut task: watch::Receiver<TaskState>,
    health: Health,
) {
    let mut shown = BTreeSet::new();
    loop {
        let now = state.borrow_and_update().clone();
        let failure = task.borrow_and_update().failure.clone();
        let names: BTreeSet<_> =
            now.roots.iter().map(|root| format!("root:{}", root.path.display())).collect();
        for gone in shown.difference(&names) {
            health.remove(gone);
        }
        for root in &now.roots {
            health.set(format!("root:{}", root.path.display()), result(root.problem.as_ref()));
        }
        let scanner = failure.map(|failure| CheckResult::warn("restarting", failure));
        health.set("scanner", scanner.unwrap_or_else(|| result(now.problem.as_ref())));
        shown = names;
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            changed = task.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(SCANNER_CONFIRM_INTERVAL) => {}
        }
    }
}

fn result(problem: Option<&Problem>) -> CheckResult {
    problem.map_or_else(CheckResult::pass, |problem| CheckResult::warn(problem.code, problem.detail.clone()))
}
