//! An I/O error or a kill at every step of a start, a scan of 100 films and a stop.
//!
//! strace fails one system call of the daemon at a time, or kills the daemon before it, and only on the database, the files
//! beside it and their directory. Afterwards the database must be sound, hold everything that was recorded before, and the failure must be
//! reported with the file and a hint. A normal start must then repair everything without help.
//!
//! A run without faults lists the calls first, so no step is written down here. A step is a [`Phase`], a file, a system
//! call, the n-th such call of a thread on that file, and an error. strace counts per thread and cannot select one, so a
//! step hits the n-th call of each thread; the result names the threads that were hit.
//!
//! | variable | does |
//! |---|---|
//! | `VPO_IO_SECONDS` | length of the random sample, 60 by default |
//! | `VPO_IO_SEED` | replays a sample |
//! | `VPO_IO_STEP` | runs only the steps whose text contains this, for example `scan library.db-wal pwrite64 17 EIO` |
//! | `VPO_IO_SWEEP` | runs all steps and appends the results to this file; a later run resumes |
//! | `VPO_IO_JOBS` | runs at a time, 3 by default |

mod judge;
mod results;
mod steps;
mod trace;
mod trial;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use results::Results;
use steps::{Phase, Step};
use trial::{Outcome, Scene};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str, default: u64) -> u64 {
    variable(name).map_or(default, |value| value.parse().expect("a number"))
}

/// All steps: each phase is run once without faults.
fn list(scene: &Scene) -> Vec<Step> {
    let mut steps = Vec::new();
    for phase in Phase::ALL {
        let calls = scene.record(phase).unwrap_or_else(|why| panic!("{phase:?} without a fault: {why}"));
        steps.extend(steps::of(phase, &calls));
    }
    steps
}

/// The same order for the same seed (splitmix64, Fisher and Yates).
fn shuffle(steps: &mut [Step], mut seed: u64) {
    for at in (1..steps.len()).rev() {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = seed;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let below = u64::try_from(at).expect("small") + 1;
        steps.swap(at, usize::try_from((number ^ (number >> 31)) % below).expect("small"));
    }
}

/// Takes steps from `queue` until it is empty or `until` has passed.
fn work(scene: &Scene, queue: &Mutex<VecDeque<Step>>, until: Option<Instant>, results: &Results) {
    while until.is_none_or(|until| Instant::now() < until) {
        let Some(step) = queue.lock().expect("not poisoned").pop_front() else { return };
        let start = Instant::now();
        // Threads interleave: a step that was not reached may be the next time.
        let outcome = match scene.attempt(&step) {
            Outcome::NotReached => scene.attempt(&step),
            outcome => outcome,
        };
        results.add(&step, &outcome, start.elapsed());
    }
}

#[test]
#[ignore = "needs Debian's strace, and leave to trace"]
fn an_io_error_at_any_step_loses_nothing_and_is_reported() {
    let scene = Scene::new();
    let mut steps = list(&scene);
    println!("{} steps", steps.len());
    for phase in Phase::ALL {
        println!("  {phase}: {}", steps.iter().filter(|step| step.phase == phase).count());
    }
    let sweep = variable("VPO_IO_SWEEP");
    let results = Results::open(sweep.as_deref().map(Path::new));
    let mut until = None;
    if let Some(wanted) = variable("VPO_IO_STEP") {
        steps.retain(|step| format!("{step} ").contains(&format!("{wanted} ")));
        assert!(!steps.is_empty(), "no step is called {wanted:?}");
    } else if sweep.is_some() {
        steps.retain(|step| !results.has(step));
        println!("{} of them are left to do", steps.len());
    } else {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let seed = number("VPO_IO_SEED", now.as_secs());
        println!("a random sample: VPO_IO_SEED={seed} replays it");
        shuffle(&mut steps, seed);
        until = Some(Instant::now() + Duration::from_secs(number("VPO_IO_SECONDS", 60)));
    }
    let queue = Mutex::new(VecDeque::from(steps));
    std::thread::scope(|scope| {
        for _ in 0..number("VPO_IO_JOBS", 3) {
            scope.spawn(|| work(&scene, &queue, until, &results));
        }
    });
    results.conclude();
}
