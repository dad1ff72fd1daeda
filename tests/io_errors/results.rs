//! What came of the steps: printed, and kept in a file for a sweep that is resumed.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::steps::Step;
use super::trial::Outcome;

/// The first line of a file names the binary that the results are of.
fn header() -> String {
    let mut hasher = DefaultHasher::new();
    std::fs::read(env!("CARGO_BIN_EXE_vpo")).expect("readable").hash(&mut hasher);
    format!("# an I/O error at every step of vpo {:016x}", hasher.finish())
}

pub(super) struct Results {
    /// The steps that an earlier run of the sweep has passed.
    done: BTreeSet<String>,
    new: Mutex<New>,
}

#[derive(Default)]
struct New {
    file: Option<File>,
    passed: usize,
    not_reached: Vec<String>,
    failed: Vec<String>,
}

impl Results {
    /// Results that are appended to `path`, after what is in it already.
    pub(super) fn open(path: Option<&Path>) -> Self {
        let mut done = BTreeSet::new();
        let file = path.map(|path| {
            let before = std::fs::read_to_string(path).unwrap_or_default();
            let header = header();
            if let Some(first) = before.lines().next() {
                assert_eq!(
                    first,
                    header,
                    "{} is of another build: remove it, or name another file",
                    path.display()
                );
            }
            let passed = |line: &&str| line.contains("\tok\t") || line.contains("\tnot reached\t");
            done.extend(
                before.lines().filter(passed).filter_map(|line| line.split('\t').next()).map(String::from),
            );
            let mut file = File::options().append(true).create(true).open(path).expect("writable");
            if before.is_empty() {
                writeln!(file, "{header}").expect("written");
            }
            file
        });
        Self { done, new: Mutex::new(New { file, ..New::default() }) }
    }

    pub(super) fn has(&self, step: &Step) -> bool {
        self.done.contains(&step.to_string())
    }

    pub(super) fn add(&self, step: &Step, outcome: &Outcome, took: Duration) {
        let mut new = self.new.lock().expect("not poisoned");
        let (word, detail) = match outcome {
            Outcome::Passed { threads } => ("ok", threads.join(",")),
            Outcome::NotReached => ("not reached", String::new()),
            Outcome::Failed(why) => ("FAILED", why.clone()),
        };
        let line = format!("{step}\t{word}\t{} ms\t{}", took.as_millis(), detail.replace('\n', " | "));
        if let Some(file) = &mut new.file {
            writeln!(file, "{line}").expect("written");
        }
        match outcome {
            Outcome::Passed { .. } => new.passed += 1,
            Outcome::NotReached => new.not_reached.push(step.to_string()),
            Outcome::Failed(why) => {
                println!("FAILED {step}: {why}\n");
                new.failed.push(step.to_string());
            }
        }
    }

    /// Prints the figures, and fails when a step has.
    pub(super) fn conclude(self) {
        let New { passed, not_reached, failed, .. } = self.new.into_inner().expect("not poisoned");
        println!(
            "{} passed before, {passed} now; {} not reached; {} failed",
            self.done.len(),
            not_reached.len(),
            failed.len()
        );
        if !not_reached.is_empty() {
            println!("not reached: {}", not_reached.join("; "));
        }
        assert!(failed.is_empty(), "VPO_IO_STEP='…' repeats one of:\n{}", failed.join("\n"));
        assert!(passed + self.done.len() > not_reached.len(), "most steps must be reached");
    }
}
