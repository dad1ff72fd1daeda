//! Holds the arrows of docs/architecture.md: which part may name which.

use std::collections::{BTreeMap, BTreeSet};
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
    ("commands.rs", &["cli", "commands", "config", "telemetry", "library", "scan", "media", "query", "ask"]),
    ("commands/", &["cli", "commands", "config", "telemetry", "library", "scan", "media", "query", "ask"]),
    (
        "commands/serve",
        &[
            "cli",
            "commands",
            "config",
            "telemetry",
            "daemon",
            "api",
            "page",
            "library",
            "scan",
            "media",
            "query",
            "ask",
        ],
    ),
    ("daemon.rs", &["daemon"]),
    ("daemon/http", &["daemon"]),
    ("daemon/backoff", &["daemon::backoff"]),
    ("daemon/health", &["daemon::health"]),
    ("daemon/metrics", &["daemon::metrics"]),
    ("daemon/notify", &["daemon::notify"]),
    ("daemon/signals", &["daemon::signals"]),
    ("page", &["page", "api", "ask", "library", "query"]),
    ("api", &["api", "library", "query", "ask"]),
    ("ask", &["ask", "library", "query"]),
    ("library", &["library"]),
    ("scan", &["scan", "library", "media"]),
    ("media", &["media"]),
    ("query", &["query"]),
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

/// SQLite's crate is named by `library` alone, in code: what others need of it, `library::sqlite` gives them.
#[test]
fn only_the_library_names_the_crate_of_sqlite() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let names = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).expect("readable");
        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("rusqlite"))
    };
    let (inside, outside): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter(names)
        .partition(|file| file.starts_with(root.join("library")) || *file == root.join("library.rs"));
    assert!(inside.len() > 5, "the search finds nothing where the crate is named: {inside:?}");
    assert!(outside.is_empty(), "rusqlite is named outside of library: {outside:?}");
}

/// Waits are listed in one file. Two constants of the type `Duration` are none: units of stored and file system times.
#[test]
fn waits_are_constants_of_one_file() {
    const NO_WAITS: [(&str, &str); 2] =
        [("library/connection.rs", "MTIME_GRANULARITY"), ("library/files.rs", "SAME_TIME")];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut listed, mut elsewhere) = (0, BTreeSet::new());
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src").to_str().expect("UTF-8").to_owned();
        if relative.contains("/tests/") || relative.ends_with("/tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("readable");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let is_constant =
            |line: &&str| line.contains("const ") && !line.contains("fn ") && line.contains(": Duration");
        for line in code.lines().filter(is_constant) {
            let name = line.split("const ").nth(1).and_then(|rest| rest.split(':').next()).expect("a name");
            if relative == "base/times.rs" {
                listed += 1;
            } else {
                elsewhere.insert((relative.clone(), name.to_owned()));
            }
        }
    }
    assert!(listed > 50, "the search finds {listed} constants in base/times.rs");
    let no_waits = NO_WAITS.map(|(file, name)| (file.to_owned(), name.to_owned()));
    assert_eq!(elsewhere, no_waits.into());
}

/// The schedule decides by its state, the event and the time that it is given.
#[test]
fn schedule_of_scans_asks_no_clock_and_starts_nothing() {
    const FORBIDDEN: [&str; 8] =
        ["::now(", ".elapsed(", "thread::", "fs::", "sync::mpsc", "rustix", "Library,", "Library>"];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = |file: &Path| {
        let text = std::fs::read_to_string(file).expect("readable");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<String>();
        FORBIDDEN.into_iter().filter(|name| code.contains(name)).collect::<Vec<_>>()
    };
    let mut files = vec![src.join("scan/schedule.rs")];
    sources(&src.join("scan/schedule"), &mut files);
    let below = src.join("scan/schedule/tests");
    files.retain(|file| !file.starts_with(&below) && *file != below.with_extension("rs"));
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        assert!(found(&file).is_empty(), "{} names {:?}", file.display(), found(&file));
    }
    assert!(found(&src.join("scan/engine.rs")).len() > 3, "the search finds nothing where it is done");
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

/// Parts whose files name each other without a circle.
const WITHOUT_CIRCLES: &[&str] = &["media"];

/// The module that a file below `src/` holds.
fn module(file: &str) -> String {
    file.trim_end_matches(".rs").replace('/', "::")
}

/// What a file's code, without its unit tests, names by `crate::` and `super::`: `a::b` for `crate::a::b`.
fn names_within(code: &str, module: &str) -> BTreeSet<String> {
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or(code);
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (keyword, base) in [("crate::", ""), ("super::", parent(module))] {
        for (at, _) in code.match_indices(keyword) {
            let is_path_start = !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c));
            if is_path_start {
                expand(base, &code[at + keyword.len()..], &mut found);
            }
        }
    }
    found
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(parent, _)| parent)
}

/// Adds every path that a tree such as `a::{b, c::d}` holds; returns what follows the tree.
fn expand<'a>(base: &str, tree: &'a str, found: &mut BTreeSet<String>) -> &'a str {
    if let Some(mut rest) = tree.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() || rest.starts_with('}') {
                return rest.get(1..).unwrap_or("");
            }
            // Between a path and the next one there is only `as` and a name.
            rest = expand(base, rest, found).trim_start_matches(|c| c != ',' && c != '}');
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
    }
    let end = tree.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(tree.len());
    let (name, rest) = tree.split_at(end);
    let path = match name {
        "self" | "" => base.to_owned(),
        "super" => parent(base).to_owned(),
        _ if base.is_empty() => name.to_owned(),
        _ => format!("{base}::{name}"),
    };
    if let Some(next) = rest.strip_prefix("::") {
        return expand(&path, next, found);
    }
    found.insert(path);
    rest
}

/// The files of a part and what each names: paths below `src/`, without those of unit tests.
fn part(name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join(format!("{name}.rs"))];
    sources(&root.join(name), &mut files);
    let relative =
        |file: &PathBuf| file.strip_prefix(&root).expect("below src").to_str().expect("UTF-8").to_owned();
    let read = |file: &PathBuf| std::fs::read_to_string(file).expect("readable");
    files.retain(|file| !file.ends_with("tests.rs"));
    files.iter().map(|file| (relative(file), names_within(&read(file), &module(&relative(file))))).collect()
}

#[test]
fn no_circle_runs_through_the_files_of_a_part() {
    for name in WITHOUT_CIRCLES {
        let mut left: BTreeMap<String, BTreeSet<String>> = part(name);
        let modules: BTreeSet<String> = left.keys().map(|file| module(file)).collect();
        for (file, named) in &mut left {
            // A path belongs to the file of the longest module in it.
            let own = module(file);
            let file_of = |path: &String| {
                let mut path = path.as_str();
                while !modules.contains(path) && !path.is_empty() {
                    path = parent(path);
                }
                path.to_owned()
            };
            *named = named.iter().map(file_of).filter(|named| !named.is_empty() && *named != own).collect();
            named.extend(modules.iter().filter(|module| parent(module) == own).cloned());
        }
        // Removes, again and again, the files that name no other or that no other names.
        let mut count = usize::MAX;
        while left.len() < count {
            count = left.len();
            let modules: BTreeSet<String> = left.keys().map(|file| module(file)).collect();
            let named: BTreeSet<String> = left.values().flatten().cloned().collect();
            left.retain(|file, names| named.contains(&module(file)) && !names.is_disjoint(&modules));
        }
        assert!(left.is_empty(), "these files of src/{name} name each other in a circle: {left:#?}");
    }
}

#[test]
fn containers_stand_on_codecs_and_not_on_each_other() {
    let mut broken = Vec::new();
    for (file, named) in part("media") {
        let may: &[&str] = match file.trim_end_matches(".rs").split('/').collect::<Vec<_>>()[..] {
            ["media", "codec", ..] => &[],
            ["media", "container", own, ..] => &[own, "format"],
            _ => continue,
        };
        let is_broken = |path: &&String| {
            path.strip_prefix("media::container")
                .is_some_and(|rest| !may.contains(&rest.split("::").nth(1).unwrap_or("")))
        };
        broken.extend(named.iter().filter(is_broken).map(|path| format!("src/{file} names {path}")));
    }
    assert!(broken.is_empty(), "containers are named:\n{}", broken.join("\n"));
}
