//! `docs/operations.md` matches the code: it lists every reason, metric, exit code and refusal.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::harness::Sandbox;
use super::harness::database::open_without_checkpoint;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documentation() -> String {
    std::fs::read_to_string(repository().join("docs/operations.md")).expect("documentation")
}

/// The texts in backquotes in the first column of a table below a heading.
fn first_column(heading: &str) -> BTreeSet<String> {
    let text = documentation();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or("");
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    cells
        .flat_map(|cell| cell.split('`').step_by(2))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The sources, without their unit tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![repository().join("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                let code = text.split("#[cfg(test)]").next().unwrap_or("").to_owned();
                found.push((path, code));
            }
        }
    }
    found
}

/// String literals in `code` that follow `before` directly.
fn literals<'a>(code: &'a str, before: &str) -> impl Iterator<Item = &'a str> {
    let before = format!("{before}\"");
    code.match_indices(&before)
        .map(|(start, found)| code[start + found.len()..].split('"').next().unwrap_or(""))
        .collect::<Vec<_>>()
        .into_iter()
}

#[test]
fn every_metric_is_documented() {
    let mut metrics = BTreeSet::new();
    for (_, code) in sources() {
        let names =
            literals(&code, "").filter(|name| name.starts_with("vpo_") || name.starts_with("process_"));
        let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        metrics.extend(names.filter(is_name).map(str::to_owned));
    }
    let documented = first_column("Metrics");
    assert!(metrics.contains("vpo_build_info"));
    assert_eq!(documented, metrics, "docs/operations.md (left) and the code (right) name different metrics");
}

#[test]
fn every_reason_of_a_check_is_documented() {
    let mut reasons = BTreeSet::new();
    for (path, code) in sources() {
        for constructor in ["warn", "fail", "busy"] {
            reasons.extend(literals(&code, &format!("CheckResult::{constructor}(")).map(str::to_owned));
        }
        if path.ends_with("check/reason.rs") {
            let (_, names) = code.split_once("impl Reason").expect("the reasons");
            let names = names.split("_ =>").next().unwrap_or("");
            reasons.extend(literals(names.split("\n}").next().unwrap_or(""), "=> ").map(str::to_owned));
        }
    }
    assert!(reasons.contains("missing") && reasons.contains("timeout"));
    let documented: BTreeSet<String> =
        first_column("Health").into_iter().filter(|name| !name.starts_with('/')).collect();
    assert_eq!(documented, reasons, "docs/operations.md (left) and the code (right) name different reasons");
}

#[test]
fn every_exit_code_is_documented() {
    use vpo::commands::{EXIT_CONFIG, EXIT_DAMAGED, EXIT_FAILURE, EXIT_USAGE};
    let text = documentation();
    for code in [0, EXIT_FAILURE, EXIT_USAGE, EXIT_DAMAGED, EXIT_CONFIG, 129, 130, 143] {
        assert!(text.contains(&format!("\n| {code} | ")), "{code}");
    }
}

#[test]
fn what_is_said_when_it_does_not_start_is_what_is_documented() {
    let phrases = first_column("When it does not start");
    let mut seen = BTreeSet::new();
    let mut refused = |sandbox: &Sandbox, arguments: &[&str], phrase: &str| {
        let output = sandbox.vpo(["serve", "--port", "0"]).args(arguments).output().expect("vpo runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(phrase), "{phrase:?} is not in {said}");
        assert!(phrases.contains(phrase), "{phrase:?} is not in the documentation");
        seen.insert(phrase.to_owned());
    };

    let sandbox = Sandbox::new();
    sandbox.write(".vpo/library.db.lock", "");
    refused(&sandbox, &[], "error[library-lost]");
    sandbox.write("empty.db", "");
    refused(&sandbox, &["--database", "empty.db"], "error[database-empty]");
    sandbox.write("text.db", "text ".repeat(1000));
    refused(&sandbox, &["--database", "text.db"], "error[not-a-database]");
    rusqlite::Connection::open(sandbox.path("other.db"))
        .and_then(|database| database.execute_batch("CREATE TABLE other (x)"))
        .expect("a database");
    refused(&sandbox, &["--database", "other.db"], "error[wrong-schema]");
    refused(&sandbox, &["--database", "/nonexistent/library.db"], "error[directory-missing]");
    std::fs::create_dir(sandbox.path("directory.db")).expect("made");
    refused(&sandbox, &["--database", "directory.db"], "error[not-a-file]");
    refused(&sandbox, &["--database", "empty.db/library.db"], "error[database-unreachable]");

    let other = Sandbox::new();
    let mut daemon = other.serve::<&str>([]);
    refused(&other, &[], "error[database-in-use]");
    assert!(daemon.stop().success());
    let lock = std::fs::File::open(other.lock()).expect("it stays");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockShared).expect("locked");
    refused(&other, &[], "error[lock-held]");
    drop(lock);
    std::fs::remove_file(other.lock()).expect("removed");
    std::fs::create_dir(other.lock()).expect("made");
    refused(&other, &[], "error[lock-file]");

    let other = Sandbox::new();
    let daemon = other.serve::<&str>([]);
    let port = daemon.address().port().to_string();
    let taken = Sandbox::new();
    let output = taken.vpo(["serve", "--port", &port]).output().expect("vpo runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[address-in-use]"));

    let sandbox = Sandbox::new();
    drop(sandbox.serve::<&str>([]));
    // Also where the tests run as the owner of the file.
    std::fs::set_permissions(sandbox.library(), Permissions::from_mode(0o444)).expect("set");
    let output = sandbox.vpo_as_nobody(["serve", "--library", "/videos"]).output().expect("vpo runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("error[database-read-only]") && said.contains("--userns=keep-id"), "{said}");

    // The others are in the configuration's report, which has tests of its own.
    let elsewhere = ["error[address-in-use]", "error[database-read-only]", "unknown key", "give …"];
    seen.extend(elsewhere.map(str::to_owned));
    // And these where they are brought about: tests/access.rs, tests/library.rs; no file system here lacks flock(2).
    let elsewhere = [
        "error[runtime-directory-shared]",
        "error[database-create]",
        "error[database-access]",
        "error[unfinished-write]",
        "error[database-damaged]", // below
        "error[database-undecided]",
        "error[wal-directory]",
        "error[flock-unsupported]",
        "error[database-locked]",
    ];
    seen.extend(elsewhere.map(str::to_owned));
    assert_eq!(phrases, seen);
}

#[test]
fn what_a_damaged_database_is_refused_with_is_documented() {
    let phrases = first_column("When it does not start");
    let refused = |sandbox: &Sandbox, code: u8, phrase: &str| {
        let output = sandbox.vpo(["serve", "--port", "0"]).output().expect("vpo runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(i32::from(code)), "{said}");
        assert!(said.contains(phrase), "{phrase:?} is not in {said}");
        assert!(phrases.contains(phrase), "{phrase:?} is not in the documentation");
    };

    // A program was killed, and the database is damaged with its log and without it.
    let sandbox = Sandbox::new();
    assert!(sandbox.serve::<&str>([]).stop().success());
    let writer = open_without_checkpoint(&sandbox.library());
    writer
        .execute_batch("PRAGMA journal_mode = WAL; INSERT INTO policies (name, definition, created_at, updated_at) VALUES ('a', 'b', 'c', 'd')")
        .expect("written");
    drop(writer);
    let sound = std::fs::read(sandbox.library()).expect("readable");
    let mut damaged = sound.clone();
    damaged[sound.len() / 2..].fill(0xAA);
    sandbox.write(".vpo/library.db", damaged);
    sandbox.write(".vpo/library.db.lock", "");
    refused(&sandbox, vpo::commands::EXIT_FAILURE, "error[database-undecided]");

    // Three starts have met this content since it was found damaged.
    std::fs::remove_file(sandbox.path(".vpo/library.db-wal")).expect("removed");
    sandbox.write(".vpo/library.db", sound);
    let stamp = sandbox.stamp();
    sandbox.write(".vpo/library.db.lock", format!("1\nfault 3 corrupt {stamp} row 1 missing\n"));
    refused(&sandbox, vpo::commands::EXIT_DAMAGED, "error[database-damaged]");
}

#[test]
fn a_reload_says_what_the_documentation_shows() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve::<&str>([]);
    sandbox.write(".vpo/config.toml", "server.max_connections = 7\nlogging.level = 'debug'\n");
    daemon.signal(rustix::process::Signal::HUP);
    daemon.wait_log("reload: these keys need a restart to take effect: server.max_connections");
    daemon.wait_log("reloaded changed=logging.level");
    sandbox.write(".vpo/config.toml", "x");
    daemon.signal(rustix::process::Signal::HUP);
    let line = daemon.wait_log("reload failed, nothing was changed");
    assert!(line.contains(".vpo/config.toml:1:2"), "{line}");
    assert_eq!(daemon.get("/health").status, 200);
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(daemon.log().contains("SIGTERM: stopping, for 30s at most"), "{}", daemon.log());
    assert!(daemon.log().contains("stopped after "));
}

#[test]
fn a_typo_saved_while_the_daemon_runs_is_no_illness() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.serve::<&str>([]);
    sandbox.write(".vpo/config.toml", "[servr]\nport = 1\n[logging]\nlevel = 'loud'\n");
    let output = sandbox.run(["healthcheck"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sandbox.run(["config", "--check"]).status.code(), Some(78));
}

#[test]
fn every_file_states_the_version_of_the_package() {
    let version = env!("CARGO_PKG_VERSION");
    let read = |file: &str| std::fs::read_to_string(repository().join(file)).expect("readable");
    for (file, before, after, times) in [
        ("Containerfile", "image.version=\"", '"', 1),
        ("docs/openapi.yaml", "  version: ", '\n', 3),
        ("docs/operations.md", "\"version\":\"", '"', 1),
        ("README.md", "\"version\":\"", '"', 1),
        ("fuzz/Cargo.lock", "\nname = \"vpo\"\nversion = \"", '"', 1),
    ] {
        let text = read(file);
        let stated = text.split(before).skip(1).filter_map(|rest| rest.split(after).next());
        let stated: Vec<_> = stated.filter(|stated| !stated.starts_with('{')).collect(); // a type in the contract
        assert_eq!(stated, vec![version; times], "{file}");
    }
    let changes = read("CHANGELOG.md");
    let mut releases = changes.split("\n## [").skip(1).filter_map(|rest| rest.split(']').next());
    assert_eq!((releases.next(), releases.next()), (Some("Unreleased"), Some(version)), "CHANGELOG.md");
}

/// The limits of the units leave room for what the daemon is allowed and what `tests/overload.rs` measures.
#[test]
fn the_units_limit_memory_tasks_and_descriptors() {
    const CONNECTIONS: u64 = 1024;
    const RESERVE: u64 = 128;
    for unit in ["vpo.service", "vpo.container", "user/vpo.container"] {
        let text = std::fs::read_to_string(repository().join("systemd").join(unit)).expect("a unit");
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_else(|| panic!("{unit} has no {key}=")).to_owned()
        };
        let number = |text: &str| text.trim_end_matches('M').parse::<u64>().expect("a number");
        assert!((256..=1024).contains(&number(&value("MemoryMax"))), "{unit}");
        assert!((256..=1024).contains(&number(&value("TasksMax"))), "{unit}");
        assert!(number(&value("LimitNOFILE")) >= 2 * (CONNECTIONS + RESERVE), "{unit}");
        if unit.ends_with(".container") {
            let files = value("LimitNOFILE");
            assert_eq!(value("Ulimit"), format!("nofile={files}:{files}"), "{unit}");
        }
    }
}
