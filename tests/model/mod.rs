//! The model test: a seed is forty steps, generated up front, that happen to a real daemon, its database and its films.
//! A model keeps what must be in the database, and a table lists what `/health` may answer in which state.
//!
//! `VPO_MODEL_SEED=7 cargo test --test vpo model::replay -- --ignored --nocapture` replays a seed, `tests/model/run`
//! runs many, and `tests/model/mutants/run` proves that the test finds three bugs put in on purpose.

mod content;
mod disk;
mod films;
mod hostile;
mod plan;
mod poller;
mod quiet;
mod restore;
mod serving;
mod steps;
mod subtitles;
mod table;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

pub(crate) use plan::Rng;
use plan::{Kind, plan};
pub(crate) use poller::verdict;
use world::World;

/// Steps between two quiet periods.
const UNTIL_QUIET: usize = 8;

/// Runs a seed to its end. On a failure prints the seed, its steps and the daemon's log.
fn run(seed: u64) {
    let start = Instant::now();
    let mut world = World::new(seed, start);
    let mut told = Vec::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        world.begin();
        let steps = plan(seed);
        for (index, step) in steps.iter().enumerate() {
            let begun = start.elapsed();
            told.push(format!("{:7.3} s  {index:2} {:?}", begun.as_secs_f64(), step.kind));
            world.step(step);
            if (index + 1) % UNTIL_QUIET == 0 || index + 1 == steps.len() {
                told.push(format!("{:7.3} s     quiet", start.elapsed().as_secs_f64()));
                world.quiet();
            }
        }
        world.end();
    }));
    let seconds = start.elapsed().as_secs_f64();
    if let Err(panic) = outcome {
        eprintln!("model seed {seed} failed after {seconds:.1} s\n{}", told.join("\n"));
        eprintln!("{}\n--- log of the daemon of seed {seed}\n{}", world.notes(), world.log());
        resume_unwind(panic);
    }
    let skipped = world.skipped();
    println!(
        "model seed {seed} ok {seconds:.1} s {} steps, {skipped} skipped\n{}",
        plan(seed).len(),
        world.notes()
    );
}

#[test]
fn a_seed_of_steps_keeps_the_database_and_health_true() {
    run(1);
}

#[test]
fn another_seed_of_steps_keeps_the_database_and_health_true() {
    run(2);
}

#[test]
#[ignore = "needs VPO_MODEL_SEED, a number; 3 without it"]
fn replay() {
    run(std::env::var("VPO_MODEL_SEED")
        .ok()
        .map_or(3, |seed| seed.parse().expect("VPO_MODEL_SEED is a number")));
}

#[test]
fn any_ten_seeds_contain_many_kinds_of_step() {
    for first in 0..1000 {
        let steps = (first..first + 10).flat_map(plan);
        let kinds: std::collections::BTreeSet<Kind> = steps.map(|step| step.kind).collect();
        assert!(kinds.len() >= 25, "seeds {first} to {}: {kinds:?}", first + 9);
    }
}

#[test]
fn seed_always_makes_the_same_plan() {
    assert_eq!(plan(5), plan(5));
    assert_ne!(plan(5), plan(6));
    assert!((0..50).all(|seed| plan(seed).len() == plan::STEPS));
}

/// Each patch that adds a bug: the lines that it removes, and those around, are in the sources.
#[test]
fn every_mutant_still_applies() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = std::fs::read_dir(top.join("tests/model/mutants")).expect("readable");
    let patches: Vec<_> = directory
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
        .collect();
    assert_eq!(patches.len(), 3);
    for path in patches {
        let patch = std::fs::read_to_string(&path).expect("readable");
        let (mut file, mut hunks): (String, Vec<String>) = Default::default();
        for line in patch.lines() {
            match line.split_at_checked(1) {
                _ if line.starts_with("diff ") || line.starts_with("--- ") => {}
                _ if line.starts_with("+++ b/") => {
                    let source = top.join(&line["+++ b/".len()..]);
                    file = std::fs::read_to_string(source).expect("a source");
                }
                Some(("@", _)) => hunks.push(String::new()),
                Some((" " | "-", text)) => {
                    let hunk = hunks.last_mut().expect("within a hunk");
                    hunk.push_str(text);
                    hunk.push('\n');
                }
                _ => {}
            }
        }
        for hunk in hunks {
            assert_eq!(
                file.matches(&hunk).count(),
                1,
                "{}: this is not in the sources:\n{hunk}",
                path.display()
            );
        }
    }
}
