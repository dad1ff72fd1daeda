//! What must hold after a fault, and after the normal start that follows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::steps::Phase;
use super::trial::{Films, Ran, copy, database};
use crate::harness::Sandbox;

/// A report must contain one of these: what to do.
const HINTS: [&str; 10] = [
    "check the disk",
    "fix:",
    "free some space",
    "make room",
    "restore",
    "look at",
    "see what",
    "mount",
    "try again",
    "nothing is lost",
];

/// A daemon that could not do all of its work has reported why, with the file and what to do. So has one that did, where
/// `must` means that it cannot have missed the fault.
pub(super) fn judge_report(ran: &Ran, log: &str, data: &Path, hit: bool, must: bool) -> Result<(), String> {
    if log.contains("panic: ") || log.contains("please report this") {
        return Err("a bug shows".into());
    }
    if ran.done && ran.ended.is_none() && !must {
        return Ok(());
    }
    if !hit && !ran.done {
        return Err("the work was not done, without any fault".into());
    }
    let data = data.to_str().expect("UTF-8");
    let is_report = |line: &str| {
        let lower = line.to_lowercase();
        line.contains(data) && HINTS.iter().any(|hint| lower.contains(hint))
    };
    let told = log.lines().filter(|line| line.contains(" warning ") || line.contains(" error "));
    if told.chain(ran.health.iter().map(String::as_str)).any(is_report) {
        return Ok(());
    }
    Err(format!("done: {}, ended: {:?}, and no line names the file and says what to do", ran.done, ran.ended))
}

fn open(path: &Path) -> Result<Connection, String> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|error| error.to_string())?;
    let sound: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| format!("integrity_check of {}: {error}", path.display()))?;
    if sound == "ok" {
        Ok(connection)
    } else {
        Err(format!("integrity_check of {}: {sound}", path.display()))
    }
}

/// The ids of all files by their path.
pub(super) fn ids(path: &Path) -> Result<BTreeMap<String, i64>, String> {
    let connection = open(path)?;
    let mut statement =
        connection.prepare("SELECT path, id FROM files").map_err(|error| error.to_string())?;
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(|error| error.to_string())?;
    rows.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// What lies there after the fault is sound, as another program would find it: a copy, so that nothing is repaired. Rows
/// that were there before are there, and the films of a scan that has been reported as completed.
pub(super) fn judge_copy(
    sandbox: &Sandbox,
    before: &BTreeMap<String, i64>,
    films: Option<&Films>,
) -> Result<(), String> {
    if !database(sandbox).exists() {
        return if before.is_empty() { Ok(()) } else { Err("the database is gone".into()) };
    }
    let place = sandbox.path("copy");
    std::fs::create_dir(&place).expect("made");
    copy(&sandbox.path("data"), &place);
    let found = ids(&place.join("library.db"))?;
    for (film, id) in before {
        if found.get(film) != Some(id) {
            return Err(format!("right after the fault {film} has id {:?}, and had {id}", found.get(film)));
        }
    }
    match films.and_then(|films| films.keys().find(|film| !found.contains_key(*film))) {
        Some(film) => Err(format!("the scan has been reported as completed, but {film} is not recorded")),
        None => Ok(()),
    }
}

/// After the normal start: sound, equal to the tree, nothing of before lost, nothing left behind.
pub(super) fn judge_end(
    sandbox: &Sandbox,
    phase: Phase,
    before: &BTreeMap<String, i64>,
    films: &Films,
) -> Result<(), String> {
    let connection = open(&database(sandbox))?;
    let text = |error: rusqlite::Error| error.to_string();
    let mut statement =
        connection.prepare("SELECT path, size_bytes, id, scan_status FROM files").map_err(text)?;
    let mut rows = statement.query([]).map_err(text)?;
    let mut found = Films::new();
    while let Some(row) = rows.next().map_err(text)? {
        let (path, size, id): (String, i64, i64) =
            (row.get(0).map_err(text)?, row.get(1).map_err(text)?, row.get(2).map_err(text)?);
        let status: String = row.get(3).map_err(text)?;
        if status != "ok" {
            return Err(format!("{path} is {status}"));
        }
        if before.get(&path).is_some_and(|before| *before != id) {
            return Err(format!("{path} was lost and recorded again"));
        }
        found.insert(path, size);
    }
    if found != *films {
        return Err(format!("{} rows for {} films", found.len(), films.len()));
    }
    if phase == Phase::Start {
        let sql = "SELECT count(*) FROM policies WHERE name = 'theirs'";
        let theirs: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(text)?;
        if theirs != 1 {
            return Err("the row of the other program is gone".into());
        }
    }
    drop(rows);
    drop(statement);
    drop(connection);
    let names = std::fs::read_dir(sandbox.path("data")).expect("readable");
    let names: BTreeSet<_> =
        names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    let left: Vec<_> =
        names.iter().filter(|name| !["library.db", "library.db.lock"].contains(&&***name)).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
}
