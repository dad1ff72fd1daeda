//! What is in a database, and what must be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::films::{Tree, UNREADABLE};

/// A row of `files` below the root.
#[derive(Clone, Debug)]
struct Film {
    path: String,
    size: i64,
    modified: i64,
    status: String,
}

/// What a database holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    films: BTreeMap<i64, Film>,
    /// Rows that are none of the daemon's, as text.
    others: BTreeSet<String>,
    /// The newest jobs, the last inserted first.
    pub(super) jobs: Vec<String>,
    /// All ids of `files`.
    pub(super) ids: BTreeSet<i64>,
}

/// What a query gives, as text that names its table.
fn dump(
    connection: &Connection,
    table: &str,
    sql: &str,
    rows: &mut BTreeSet<String>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let mut text = table.to_owned();
        for column in 0..columns {
            let value = match row.get_ref(column)? {
                ValueRef::Text(value) => String::from_utf8_lossy(value).into_owned(),
                value => format!("{value:?}"),
            };
            text.push('|');
            text.push_str(&value);
        }
        rows.insert(text);
    }
    Ok(())
}

impl Snapshot {
    /// Reads all of it in one transaction, after `integrity_check`.
    pub(super) fn read(connection: &Connection, root: &Path) -> Result<Self, String> {
        let verdict: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .map_err(|error| error.to_string())?;
        if verdict != "ok" {
            return Err(format!("integrity_check: {verdict}"));
        }
        Self::query(connection, root).map_err(|error| error.to_string())
    }

    fn query(connection: &Connection, root: &Path) -> rusqlite::Result<Self> {
        let transaction = connection.unchecked_transaction()?;
        let below = format!("{}/", root.display());
        let inside = format!("substr(path, 1, {}) = '{below}'", below.len());
        let mut snapshot = Self::default();
        let mut statement = transaction.prepare(&format!(
            "SELECT id, path, size_bytes, unixepoch(modified_at), scan_status FROM files WHERE {inside}"
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let film =
                Film { path: row.get(1)?, size: row.get(2)?, modified: row.get(3)?, status: row.get(4)? };
            snapshot.films.insert(row.get(0)?, film);
        }
        let outside = format!("SELECT id FROM files WHERE NOT {inside}");
        for (table, sql) in [
            ("files", format!("SELECT * FROM files WHERE NOT {inside}")),
            ("tracks", format!("SELECT * FROM tracks WHERE file_id IN ({outside})")),
            ("policies", "SELECT * FROM policies".to_owned()),
            ("plugin_acknowledgments", "SELECT * FROM plugin_acknowledgments".to_owned()),
            ("operations", "SELECT * FROM operations".to_owned()),
            ("transcription_results", "SELECT * FROM transcription_results".to_owned()),
            ("_meta", "SELECT * FROM _meta WHERE key <> 'daemon_tables'".to_owned()),
            (
                "jobs",
                "SELECT * FROM jobs WHERE job_type <> 'scan' OR coalesce(policy_json ->> '$.by', '') <> 'vpo-serve'"
                    .to_owned(),
            ),
        ] {
            dump(&transaction, table, &sql, &mut snapshot.others)?;
        }
        let texts = |sql: &str| -> rusqlite::Result<Vec<String>> {
            transaction.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        snapshot.jobs = texts("SELECT id FROM jobs ORDER BY rowid DESC LIMIT 5")?;
        let mut ids = transaction.prepare("SELECT id FROM files")?;
        snapshot.ids = ids.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(snapshot)
    }
}

/// Opens a backup that no program changes.
pub(super) fn open_still(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{}?immutable=1", path.display()), flags).expect("opens")
}

/// What must be in the database.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    others: BTreeSet<String>,
    /// Those of them that are surely in the main file.
    safe: BTreeSet<String>,
    /// Rows of `files` that may not go.
    ids: BTreeSet<i64>,
    /// Where a film was at some time of this database.
    paths: BTreeSet<String>,
    /// A log may have been lost with what it held: rows that are not safe may be gone.
    pub(super) weak: bool,
}

impl Expected {
    /// Of a database that is exactly `snapshot`, over a tree of films.
    pub(super) fn from(snapshot: &Snapshot, tree: &Tree) -> Self {
        let films = snapshot.films.values().map(|film| film.path.clone());
        Self {
            others: snapshot.others.clone(),
            safe: snapshot.others.clone(),
            ids: snapshot.ids.clone(),
            paths: films.chain(tree.keys().cloned()).collect(),
            weak: false,
        }
    }

    /// Films are where they are now.
    pub(super) fn seen(&mut self, tree: &Tree) {
        self.paths.extend(tree.keys().cloned());
    }

    /// The other program has deleted a row of `files`.
    pub(super) fn deleted(&mut self, id: i64) {
        self.ids.remove(&id);
    }

    /// The other program has just written `added` rows, and reads through its own `connection`.
    pub(super) fn written(&mut self, connection: &Connection, root: &Path, added: usize) {
        let found = Snapshot::query(connection, root).expect("the other program reads");
        let must = if self.weak { &self.safe } else { &self.others };
        assert!(must.is_subset(&found.others), "rows of the other program are gone when it has just written");
        let is_exact = self.weak || found.others.len() == self.others.len() + added;
        let new: Vec<_> = found.others.difference(&self.others).map(|row| cut(row)).collect();
        assert!(is_exact, "{added} rows were written, {} are new: {:?}", new.len(), first(&new));
        self.others.clone_from(&found.others);
    }

    /// Whether the database is what it must be. With `tree`, its rows of films too.
    pub(super) fn check(&self, found: &Snapshot, tree: Option<&Tree>) -> Result<(), String> {
        let must = if self.weak { &self.safe } else { &self.others };
        let lost: Vec<_> = must.difference(&found.others).map(|row| cut(row)).collect();
        let strange: Vec<_> = found.others.difference(&self.others).map(|row| cut(row)).collect();
        if !lost.is_empty() || !strange.is_empty() {
            return Err(format!(
                "rows of the other program: {} are gone: {:?}; {} are not of this database: {:?}",
                lost.len(),
                first(&lost),
                strange.len(),
                first(&strange)
            ));
        }
        let gone: Vec<_> = self.ids.difference(&found.ids).collect();
        if !gone.is_empty() {
            return Err(format!("rows of files are gone: ids {:?}", first(&gone)));
        }
        let Some(tree) = tree else { return Ok(()) };
        let mut left = tree.clone();
        for film in found.films.values() {
            let is_right = match left.remove(&film.path) {
                Some(UNREADABLE) => film.status == "error",
                Some((size, time)) => film.status == "ok" && (film.size, film.modified) == (size, time),
                None => film.status == "missing" && self.paths.contains(&film.path),
            };
            if !is_right {
                return Err(format!(
                    "a row that is not as the tree: {film:?}, in the tree {:?}",
                    tree.get(&film.path)
                ));
            }
        }
        if left.is_empty() { Ok(()) } else { Err(format!("films without a row: {:?}", left.keys())) }
    }

    /// All of `found` is in the main file.
    pub(super) fn checked(&mut self, found: &Snapshot) {
        self.others.clone_from(&found.others);
        self.safe.clone_from(&found.others);
        self.ids.clone_from(&found.ids);
        self.weak = false;
    }
}

fn cut(row: &str) -> String {
    row.chars().take(80).collect()
}

fn first<T: Clone>(list: &[T]) -> Vec<T> {
    list.iter().take(3).cloned().collect()
}
