//! Starts what is due: chooses the next scan, hashing pass or count.

use std::time::Instant;

use super::root::Root;
use super::running::Work;
use super::{Action, NewJobId, Schedule, Scope};

impl Schedule {
    /// Starts what is due: one scan at a time, unless one is stuck; a hashing pass only if nothing else is due.
    pub(in crate::scan) fn dispatch(&mut self, now: Instant, new_job_id: NewJobId<'_>) -> Vec<Action> {
        let mut actions: Vec<_> = self.upkeep.dispatch(&self.settings, now).into_iter().collect();
        self.dispatch_jobs(now, new_job_id, &mut actions);
        actions
    }

    /// Until then it is unknown whether two roots lead to one place.
    pub(super) fn are_all_looked_at(&self) -> bool {
        self.roots.iter().all(|root| root.presence.is_looked_at())
    }

    fn dispatch_jobs(&mut self, now: Instant, new_job_id: NewJobId<'_>, actions: &mut Vec<Action>) {
        if self.running.is_scanning() || !self.requests.may_start() || !self.are_all_looked_at() {
            return;
        }
        let request = self.requests.next(&self.roots, &self.running);
        let is_free = |root: &Root| root.is_due(now) && self.running.scan_of(&root.path).is_none();
        let root = self.roots.iter().position(is_free);
        if request.is_none() && root.is_none() {
            if self.running.is_empty() && self.upkeep.take_hashing(now) {
                let id = self.running.add(Work::Hashing, now);
                let facts = *self.upkeep.facts_work();
                actions.push(Action::Hash { id, scope: self.scope(now), facts });
            }
            return;
        }
        // A hashing pass ends after the current file, and the due scan starts then. A stuck pass delays nothing.
        let passes: Vec<_> = self.running.hash_passes().map(Action::Cancel).collect();
        if !passes.is_empty() {
            actions.extend(passes);
            return;
        }
        let task = match request {
            Some(at) => self.requests.take(at, &self.roots, actions),
            None => root.and_then(|at| self.roots.get_mut(at)?.next_task(now, new_job_id)),
        };
        if let Some(task) = task {
            let work = Work::Scan { root: task.root.clone(), job: task.job.id.clone() };
            let id = self.running.add(work, now);
            actions.push(Action::Scan { id, task: Box::new(task), scope: self.scope(now) });
        }
    }

    fn scope(&self, now: Instant) -> Scope {
        let unreachable = self.roots.iter().filter(|root| !root.answers(now));
        Scope {
            unreachable: unreachable.map(|root| root.path.clone()).collect(),
            roots: self.settings.roots.as_slice().into(),
            extensions: self.settings.extensions.as_slice().into(),
        }
    }
}
