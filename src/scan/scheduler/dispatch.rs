//! Starts what is due: chooses the next scan, and starts the threads of scans and hashing passes. Each thread reports its
//! end by an event, which `completion` handles.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::roots::Root;
use super::running::{Running, Work};
use super::{Event, Scheduler};
use crate::base::times::SCAN_DATABASE_RETRY_INTERVAL;
use crate::library::jobs::{End, Reason};
use crate::scan::job::{self, Task};
use crate::scan::{Context, Error, chain, hashing};

impl Scheduler {
    /// One scan at a time, unless one is stuck; hashes only when nothing else is to be done.
    pub(super) fn start_what_is_due(&mut self) {
        if self.running.iter().any(|running| running.is_scan() && !running.is_stuck()) {
            return;
        }
        if !self.abandoned_closed || !self.are_all_looked_at() {
            return;
        }
        let now = Instant::now();
        let (request, root) = (self.next_request(), self.next_root(now));
        if request.is_none() && root.is_none() {
            self.hash_if_due();
            return;
        }
        // A pass of hashes makes room; it ends within a file, and what is due is taken then. One that is stuck is no
        // reason to wait.
        let mut hashing =
            self.running.iter().filter(|running| !running.is_scan() && !running.is_stuck()).peekable();
        if hashing.peek().is_some() {
            hashing.for_each(|running| running.stop.cancel());
            return;
        }
        let task = match request {
            Some(at) => self.take_request(at),
            None => root.and_then(|at| self.roots.get_mut(at)?.next_task(now)),
        };
        if let Some(task) = task {
            self.start(task);
        }
    }

    /// Until then nobody knows whether two roots lead to one place.
    pub(super) fn are_all_looked_at(&self) -> bool {
        self.roots.iter().all(Root::is_looked_at)
    }

    /// The first request that could begin.
    fn next_request(&self) -> Option<usize> {
        self.requests.iter().position(|job| self.root_of(&job.path).is_none_or(|root| self.is_free(root)))
    }

    /// The first root of which something is due.
    fn next_root(&self, now: Instant) -> Option<usize> {
        self.roots.iter().position(|root| root.is_due(now) && self.is_free(root))
    }

    /// Whether no scan of it is under way.
    fn is_free(&self, root: &Root) -> bool {
        self.running.iter().all(|one| one.root() != Some(&root.path))
    }

    fn take_request(&mut self, at: usize) -> Option<Task> {
        let job = self.requests.remove(at)?;
        let refusal = match self.root_of(&job.path) {
            None => Some(format!("{} is no longer a root", job.path)),
            Some(root) => root.overlap().map(|error| chain(&error)),
        };
        if let Some(reason) = refusal {
            self.record_end(&job.id, End::Failed(reason));
            return None;
        }
        let root = self.root_of(&job.path)?.path.clone();
        let targets = vec![PathBuf::from(&job.path)];
        Some(Task { root, targets, job, queued: true, quiet: false })
    }

    fn start(&mut self, task: Task) {
        self.next_id += 1;
        let context = self.context();
        let root = task.root.clone();
        let work = Work::Scan { root: root.clone(), job: task.job.id.clone() };
        let running = Running::new(self.next_id, work, &context);
        let (id, events) = (self.next_id, self.events.clone());
        let thread = std::thread::Builder::new().name("scan".into()).spawn(move || {
            let report = job::run(&context, &task);
            let _ = events.send(Event::Scanned { root: task.root, id, report: Box::new(report) });
        });
        match thread {
            Ok(_) => self.running.push(running),
            Err(failure) => {
                self.record_problem(&Error::Threads(failure));
                if let Some(root) = self.root_mut(&root) {
                    root.request_full_scan(Reason::Again, Instant::now() + SCAN_DATABASE_RETRY_INTERVAL);
                }
            }
        }
    }

    fn hash_if_due(&mut self) {
        if !self.running.is_empty() || self.hash_due.is_none_or(|due| due > Instant::now()) {
            return;
        }
        self.hash_due = None;
        self.next_id += 1;
        let context = self.context();
        let running = Running::new(self.next_id, Work::Hashing, &context);
        let answering = self.roots.iter().filter(|root| root.answers());
        let roots: Vec<_> = answering.map(|root| root.path.clone()).collect();
        let (id, events) = (self.next_id, self.events.clone());
        let thread = std::thread::Builder::new().name("hash".into()).spawn(move || {
            // Whoever waits for anything else comes first. On Linux this is the thread's own niceness.
            let _ = rustix::process::nice(10);
            let outcome = hashing::pass(&context, &roots);
            let _ = events.send(Event::Hashed { id, outcome });
        });
        match thread {
            Ok(_) => self.running.push(running),
            Err(failure) => self.record_problem(&Error::Threads(failure)),
        }
    }

    fn context(&self) -> Context {
        let unreachable = self.roots.iter().filter(|root| !root.answers());
        Context {
            unreachable: unreachable.map(|root| root.path.clone()).collect(),
            library: Arc::clone(&self.library),
            roots: self.settings.roots.clone().into(),
            extensions: self.settings.extensions.clone().into(),
            stop: self.stop.child_token(),
            progress: Arc::default(),
        }
    }
}
