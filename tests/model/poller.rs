//! Asks `/health` all the time and keeps every answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::table::Sample;
use crate::harness::{Answer, Client};

/// Time between two probes.
const PAUSE: Duration = Duration::from_millis(25);

/// After this long without an answer the daemon is silent.
const SILENT: Duration = Duration::from_millis(400);

#[derive(Default)]
struct Shared {
    /// Where a daemon listens that has been healthy once; none while it is down.
    address: Mutex<Option<SocketAddr>>,
    samples: Mutex<Vec<Sample>>,
    ended: AtomicBool,
}

/// The thread that sends probes, and the answers.
pub(super) struct Poller {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    pub(super) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut late = Duration::ZERO;
            while !own.ended.load(Ordering::Relaxed) {
                own.probe(std::mem::take(&mut late));
                let slept = Instant::now();
                std::thread::sleep(PAUSE);
                late = slept.elapsed().saturating_sub(2 * PAUSE);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Probes the daemon at this address from now on; none for `None`.
    pub(super) fn ask(&self, address: Option<SocketAddr>) {
        *self.shared.address.lock().expect("not poisoned") = address;
    }

    /// All answers so far.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.shared.samples.lock().expect("not poisoned").clone()
    }

    /// The latest answer to a question asked after `since`.
    pub(super) fn latest(&self, since: Instant) -> Option<String> {
        let samples = self.shared.samples.lock().expect("not poisoned");
        samples.last().filter(|sample| sample.asked >= since).map(|sample| sample.verdict.clone())
    }
}

impl Shared {
    fn probe(&self, late: Duration) {
        let address = *self.address.lock().expect("not poisoned");
        let Some(at) = address else { return };
        let asked = Instant::now();
        let answer = Client::try_connect(at).and_then(|mut client| {
            client.stream().set_read_timeout(Some(SILENT)).ok()?;
            client.try_get("/health")
        });
        let verdict = answer.as_ref().map_or_else(|| "silent".to_owned(), verdict);
        // A daemon that was stopped meanwhile need not have answered.
        if *self.address.lock().expect("not poisoned") == address {
            let sample = Sample { asked, answered: Instant::now(), verdict, late };
            self.samples.lock().expect("not poisoned").push(sample);
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An answer of `/health` in short: `healthy`, the reason of the database's warning, `fail:` and the reason of its
/// failure, or a phase that is not running.
pub(crate) fn verdict(answer: &Answer) -> String {
    let body = answer.json();
    if body["phase"] != "running" {
        return body["phase"].as_str().unwrap_or("no phase").to_owned();
    }
    let checks = body["checks"].as_array().cloned().unwrap_or_default();
    let reason =
        checks.iter().find(|check| check["name"] == "database").and_then(|check| check["reason"].as_str());
    match (answer.status, reason) {
        (200, None) => "healthy".to_owned(),
        (200, Some(reason)) => reason.to_owned(),
        (503, reason) => format!("fail:{}", reason.unwrap_or("none")),
        (status, _) => format!("status {status}"),
    }
}
