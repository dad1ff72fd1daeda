//! Holds the arrows of docs/architecture.md: which part may name which.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What every part may name.
const GROUND: &str = "base";

/// Part (a prefix of the path below `src/`) → what of the crate it may name besides [`GROUND`]. The longest prefix counts.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("lib.rs", &["cli", "commands"]),
    ("main.rs", &[]),
    ("cli", &["config"]),
    ("config", &["config"]),
    ("telemetry", &["telemetry"]),
    ("signals", &[]),
    ("commands.rs", &["cli", "commands", "config", "telemetry", "signals", "library", "scan", "media"]),
    ("commands/", &["cli", "commands", "config", "telemetry", "signals", "library", "scan", "media"]),
    (
        "commands/serve",
        &["cli", "commands", "config", "telemetry", "daemon", "api", "library", "scan", "media"],
    ),
    ("daemon.rs", &["daemon"]),
    ("daemon/lifecycle", &["daemon", "signals"]),
    ("daemon/http", &["daemon"]),
    ("daemon/supervisor", &["daemon::supervisor"]),
    ("daemon/health", &["daemon::health"]),
    ("daemon/metrics", &["daemon::metrics"]),
    ("daemon/notify", &["daemon::notify"]),
    ("api", &["api", "library"]),
    ("library", &["library"]),
    ("scan", &["scan", "library", "media"]),
    ("media", &["media"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `crate::a::b` anywhere in code (comments left out) → `a::b`.
fn names(code: &str) -> BTreeSet<String> {
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .next()
                .unwrap_or("")
                .to_owned()
        })
        .collect()
}

#[test]
fn arrows_run_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut broken = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src").to_str().expect("UTF-8").to_owned();
        let (_, allowed) = ARROWS
            .iter()
            .filter(|(part, _)| relative.starts_with(part))
            .max_by_key(|(part, _)| part.len())
            .unwrap_or_else(|| panic!("src/{relative} is in no part: add it to the design"));
        for name in names(&std::fs::read_to_string(&file).expect("readable")) {
            let may = allowed
                .iter()
                .chain([&GROUND])
                .any(|part| name == *part || name.starts_with(&format!("{part}::")));
            if !may {
                broken.push(format!("src/{relative} names crate::{name}"));
            }
        }
    }
    assert!(broken.is_empty(), "arrows against the design:\n{}", broken.join("\n"));
}

/// What reaches a person's terminal goes through these files, which escape it: results, complaints and log lines, the
/// progress bar. (`diagnose` duplicates standard error's descriptor to find out whether there is room for one.)
const DOORS: [&str; 5] = [
    "commands/output.rs",
    "commands/scan/report.rs",
    "library/diagnose.rs",
    "telemetry.rs",
    "telemetry/writer.rs",
];

#[test]
fn what_is_written_for_people_goes_through_few_doors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut with_door = BTreeSet::new();
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src").to_str().expect("UTF-8").to_owned();
        let text = std::fs::read_to_string(&file).expect("readable");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let writes = |line: &str| {
            ["print!", "println!", "stdout()", "stderr()", "/dev/tty"].iter().any(|door| line.contains(door))
        };
        if code.into_iter().any(writes) {
            with_door.insert(relative);
        }
    }
    assert_eq!(with_door, DOORS.map(str::to_owned).into());
}
