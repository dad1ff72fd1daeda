//! What came of the runs: appended to a file, and shown as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::cell::Cell;
use super::outcome::{Outcome, Report};

/// The first line of a file names the binary that the results are of.
fn header() -> String {
    let mut hasher = DefaultHasher::new();
    std::fs::read(env!("CARGO_BIN_EXE_vpo")).expect("readable").hash(&mut hasher);
    format!("# overwrites of the database of vpo {:016x}", hasher.finish())
}

/// Counts of outcomes, and the times of detection, of a cell.
#[derive(Default)]
struct Counts {
    outcomes: BTreeMap<String, usize>,
    detected: Vec<i64>,
}

pub(super) struct Results {
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
    /// One line for each run, those of earlier sweeps too.
    lines: Mutex<Vec<String>>,
    bad: Mutex<Vec<String>>,
}

impl Results {
    /// Results that are appended to `path`, after what is in it already.
    pub(super) fn open(path: Option<&Path>) -> Self {
        let mut lines = Vec::new();
        let file = path.map(|path| {
            let before = std::fs::read_to_string(path).unwrap_or_default();
            if let Some(first) = before.lines().next() {
                assert_eq!(first, header(), "{} is of another build: name another file", path.display());
            }
            lines.extend(before.lines().filter(|line| !line.starts_with('#')).map(String::from));
            let mut file = File::options().append(true).create(true).open(path).expect("writable");
            if before.is_empty() {
                writeln!(
                    file,
                    "{}\n# cell\trun\tbackup\toutcome\tdetected ms\tadopted ms\tms\tdetail",
                    header()
                )
                .expect("written");
            }
            file
        });
        Self {
            path: path.map(Path::to_owned),
            file: Mutex::new(file),
            lines: Mutex::new(lines),
            bad: Mutex::default(),
        }
    }

    /// Whether the run is in the file.
    pub(super) fn has(&self, cell: Cell, run: u64) -> bool {
        let begin = format!("{cell}\t{run}\t");
        self.lines.lock().expect("not poisoned").iter().any(|line| line.starts_with(&begin))
    }

    /// Where the evidence of a run belongs.
    pub(super) fn evidence(&self, cell: Cell, run: u64) -> PathBuf {
        let base = self.path.clone().unwrap_or_else(|| {
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("overwrites-{}", std::process::id()))
        });
        let mut name = base.into_os_string();
        name.push(".evidence");
        Path::new(&name).join(format!("{}-{run}", cell.to_string().replace(' ', "-")))
    }

    pub(super) fn add(&self, cell: Cell, run: u64, report: &Report, took: Duration) {
        let millis = |time: Option<i64>| time.map_or("-".to_owned(), |time| time.to_string());
        let line = format!(
            "{cell}\t{run}\t{}\t{}\t{}\t{}\t{}\t{}",
            report.backup,
            report.outcome.name(),
            millis(report.detected),
            millis(report.adopted),
            took.as_millis(),
            report.detail.replace(['\n', '\t'], " ")
        );
        if let Some(file) = &mut *self.file.lock().expect("not poisoned") {
            writeln!(file, "{line}").expect("written");
        }
        if report.outcome.is_bad() {
            println!("{line}\n  evidence: {}", self.evidence(cell, run).display());
            self.bad.lock().expect("not poisoned").push(line.clone());
        }
        self.lines.lock().expect("not poisoned").push(line);
    }

    /// Outcomes by cell.
    fn table(&self) -> String {
        let mut cells: Vec<(String, Counts)> =
            Cell::all().iter().map(|cell| (cell.to_string(), Counts::default())).collect();
        for line in self.lines.lock().expect("not poisoned").iter() {
            let fields: Vec<_> = line.split('\t').collect();
            let [cell, _, _, outcome, detected, ..] = fields[..] else { continue };
            let Some((_, counts)) = cells.iter_mut().find(|(name, _)| name == cell) else { continue };
            *counts.outcomes.entry(outcome.to_owned()).or_default() += 1;
            counts.detected.extend(detected.parse::<i64>().ok());
        }
        let names = Outcome::ALL.map(Outcome::name);
        let mut text = format!("{:24}{:>6}", "cell", "runs");
        for name in names {
            let _ = write!(text, "{name:>14}");
        }
        text.push_str("   detected ms: median, most\n");
        for (cell, counts) in &mut cells {
            if counts.outcomes.is_empty() {
                continue;
            }
            let _ = write!(text, "{cell:24}{:>6}", counts.outcomes.values().sum::<usize>());
            for name in names {
                let count = counts.outcomes.get(name).map_or("-".to_owned(), ToString::to_string);
                let _ = write!(text, "{count:>14}");
            }
            counts.detected.sort_unstable();
            if let (Some(median), Some(most)) =
                (counts.detected.get(counts.detected.len() / 2), counts.detected.last())
            {
                let _ = write!(text, "{median:>8}{most:>8}");
            }
            text.push('\n');
        }
        text
    }

    /// Prints the table, and fails when a run has ended as none may.
    pub(super) fn conclude(self) {
        println!("{}", self.table());
        let bad = self.bad.into_inner().expect("not poisoned");
        assert!(bad.is_empty(), "{} of the runs have ended as none may", bad.len());
    }

    /// Prints the table.
    pub(super) fn print(&self) {
        println!("{}", self.table());
    }
}
