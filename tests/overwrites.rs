//! Backups that are copied over the live database, in every way, while the daemon is idle or scans, and with kill -9.
//!
//! Each run is a real daemon with 300 films below six roots. It starts with a known database, which is overwritten by one of
//! four backups (or its companions are removed) at a random moment. All rows of another program in a database bear its tag,
//! so that a mix of two databases shows. A [`Cell`] is a kind of run, for example `scan cp kill`; [`Outcome`] is how a run
//! may end.
//!
//! | variable | does |
//! |---|---|
//! | `VPO_OVERWRITES_SECONDS` | length of the random sample, 60 by default |
//! | `VPO_OVERWRITES_SEED` | replays a sample; the moments still vary |
//! | `VPO_OVERWRITES_CELL` | runs only the cells whose name begins with this |
//! | `VPO_OVERWRITES_SWEEP` | runs the matrix and appends the results to this file; a later run resumes |
//! | `VPO_OVERWRITES_RUNS` | runs of each cell, 200 by default; 0 only prints the table of the file |
//! | `VPO_OVERWRITES_JOBS` | runs at a time, 3 by default |

mod cell;
mod content;
mod judge;
mod outcome;
mod results;
mod scene;
mod trial;
mod ways;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use cell::{Cell, Situation, Way};
use results::Results;
use scene::Scene;
use trial::Trial;

use crate::harness::database::INSERT_POLICY;
use crate::harness::{Daemon, Sandbox, eventually};
use crate::model::{Rng, verdict};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str, default: u64) -> u64 {
    variable(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Takes runs from `queue` until it is empty or `until` has passed.
fn work(
    scene: &Scene,
    queue: &Mutex<VecDeque<(Cell, u64)>>,
    seed: u64,
    until: Option<Instant>,
    results: &Results,
) {
    while until.is_none_or(|until| Instant::now() < until) {
        let Some((cell, run)) = queue.lock().expect("not poisoned").pop_front() else { return };
        let start = Instant::now();
        let own =
            cell.to_string().bytes().fold(run, |seed, byte| seed.wrapping_mul(257).wrapping_add(byte.into()));
        let mut trial = Trial::new(scene, cell, Rng::new(seed ^ own).next());
        let report = trial.run();
        if report.outcome.is_bad() {
            trial.save(&results.evidence(cell, run), &report);
        }
        results.add(cell, run, &report, start.elapsed());
    }
}

fn run(runs: Vec<(Cell, u64)>, seed: u64, until: Option<Instant>, jobs: u64, results: Results) {
    let scene = Scene::new();
    let queue = Mutex::new(VecDeque::from(runs));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(&scene, &queue, seed, until, &results));
        }
    });
    results.conclude();
}

#[test]
fn overwritten_database_is_adopted_or_reported() {
    let cell = |situation, way, killed| Cell { situation, way, killed };
    let cells = [
        cell(Situation::Scan, Way::Cp, false),
        cell(Situation::Scan, Way::Restore, false),
        cell(Situation::Idle, Way::Rename, false),
        cell(Situation::Scan, Way::Cat, true),
        cell(Situation::Idle, Way::Dd, false),
        cell(Situation::Scan, Way::NoCompanions, false),
    ];
    run(cells.map(|cell| (cell, 0)).to_vec(), 1, None, 3, Results::open(None));
}

#[test]
fn collided_copy_that_is_copied_again_after_a_restart_is_adopted() {
    let sandbox = Sandbox::new();
    sandbox.film("films/one.mkv");
    let root = sandbox.root();
    let serve = || sandbox.serve([OsStr::new("--library"), root.as_os_str()]);
    let mut daemon = serve();
    daemon.wait_log("scan completed");
    assert!(daemon.stop().success());
    let backup = sandbox.path("backup.db");
    std::fs::copy(sandbox.library(), &backup).expect("copied");
    // What a daemon leaves that was killed after a collision; by chance the file is the whole backup all the same.
    let stamp = sandbox.stamp();
    let lock = std::fs::read_to_string(sandbox.lock()).expect("there");
    std::fs::write(sandbox.lock(), format!("{lock}fault 0 copy_collided {stamp} collided\n"))
        .expect("written");
    let mut command = sandbox.vpo(["serve", "--port", "0", "--library"]);
    command.arg(&root);
    let daemon = Daemon::spawn(command, &sandbox.library());
    let verdict = || verdict(&daemon.get("/health"));
    eventually("the collision is reported", || (verdict() == "fail:copy_collided").then_some(()));
    // What another SQLite program writes is not the copy that is waited for.
    let other = rusqlite::Connection::open(sandbox.library()).expect("opens");
    other.execute(INSERT_POLICY, ["theirs"]).expect("written");
    eventually("it is in the main file", || {
        let busy = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        (busy == Ok(0)).then_some(())
    });
    other.close().expect("closed");
    eventually("the check has seen the change", || {
        let noted = std::fs::read_to_string(sandbox.lock()).expect("there");
        noted.contains(&format!("copy_collided {} ", sandbox.stamp())).then_some(())
    });
    assert_eq!(verdict(), "fail:copy_collided");
    let copied = Command::new("cp").args([&backup, &sandbox.library()]).status().expect("cp runs");
    assert!(copied.success());
    eventually("the copy is adopted", || (verdict() == "replaced").then_some(()));
    daemon.wait_log("scan completed");
}

#[test]
#[ignore = "needs Debian's rsync, and a quiet minute"]
fn database_overwritten_in_any_way_is_adopted_or_reported() {
    let sweep = variable("VPO_OVERWRITES_SWEEP");
    let results = Results::open(sweep.as_deref().map(Path::new));
    let count = number("VPO_OVERWRITES_RUNS", 200);
    if count == 0 {
        return results.print();
    }
    let mut cells = Cell::all();
    if let Some(wanted) = variable("VPO_OVERWRITES_CELL") {
        cells.retain(|cell| format!("{cell} ").starts_with(&format!("{wanted} ")));
        assert!(!cells.is_empty(), "no cell is called {wanted:?}");
    }
    let mut runs: Vec<_> = (0..count).flat_map(|run| cells.iter().map(move |cell| (*cell, run))).collect();
    let (mut seed, mut until) = (0, None);
    if sweep.is_some() {
        runs.retain(|(cell, run)| !results.has(*cell, *run));
        println!("{} runs are left to do", runs.len());
    } else {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        seed = number("VPO_OVERWRITES_SEED", now.as_secs());
        println!("a random sample: VPO_OVERWRITES_SEED={seed} replays it");
        let mut rng = Rng::new(seed);
        for at in (1..runs.len()).rev() {
            runs.swap(at, usize::try_from(rng.below(at as u64 + 1)).expect("an index"));
        }
        until = Some(Instant::now() + Duration::from_secs(number("VPO_OVERWRITES_SECONDS", 60)));
    }
    run(runs, seed, until, number("VPO_OVERWRITES_JOBS", 3), results);
}
