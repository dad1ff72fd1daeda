//! What is in a database, as far as the daemon must not change it.
//!
//! The daemon's own rows do not show where a page comes from: the next scan writes them anew. So every database holds rows of
//! another program in all tables, between the daemon's rows and often in the same pages, and all of one database bear its tag.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, params};

use crate::model::Rng;

/// Each table with the column that bears the tag, and its rows that are not the daemon's.
const TAGGED: [(&str, &str, &str); 6] = [
    ("files", "container_format", "path LIKE '/elsewhere/%'"),
    ("tracks", "title", "title LIKE 'tag-%'"),
    ("policies", "definition", "1"),
    ("plugin_acknowledgments", "acknowledged_by", "1"),
    ("operations", "policy_name", "1"),
    ("jobs", "policy_name", "policy_name LIKE 'tag-%'"),
];

/// Bytes of a tag.
const TAG: usize = 9;

/// What identifies a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// Rows by table and tag.
    rows: BTreeMap<(String, String), i64>,
    /// Jobs of the daemon that are older than the overwrite.
    jobs: i64,
}

impl Content {
    /// Reads it, after `integrity_check`. Jobs since `begin` do not count.
    pub(super) fn read(connection: &Connection, begin: &str) -> Result<Self, String> {
        let found = || -> rusqlite::Result<Result<Self, String>> {
            let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
            if verdict != "ok" {
                return Ok(Err(format!("integrity_check: {}", verdict.lines().next().unwrap_or_default())));
            }
            let mut rows = BTreeMap::new();
            for (table, column, filter) in TAGGED {
                let sql = format!(
                    "SELECT substr({column}, 1, {TAG}), count(*) FROM {table} WHERE {filter} GROUP BY 1"
                );
                let mut statement = connection.prepare(&sql)?;
                let mut found = statement.query([])?;
                while let Some(row) = found.next()? {
                    let tag: Option<String> = row.get(0)?;
                    rows.insert((table.to_owned(), tag.unwrap_or_default()), row.get(1)?);
                }
            }
            let sql = "SELECT count(*) FROM jobs WHERE policy_name IS NULL AND created_at < ?1";
            let jobs = connection.query_row(sql, [begin], |row| row.get(0))?;
            Ok(Ok(Self { rows, jobs }))
        };
        found().map_err(|error| error.to_string())?
    }

    /// Whether the rows of the other program are the same.
    pub(super) fn has_same_rows(&self, other: &Self) -> bool {
        self.rows == other.rows
    }

    /// In a few words.
    pub(super) fn summary(&self) -> String {
        let rows = self.rows.iter().map(|((table, tag), count)| format!("{table} {tag} {count}"));
        format!("{}, {} jobs", rows.collect::<Vec<_>>().join(", "), self.jobs)
    }
}

/// Gives all rows of the other program that tag.
pub(super) fn tag(connection: &Connection, tag: &str) {
    assert_eq!(tag.len(), TAG);
    for (table, column, filter) in TAGGED {
        let sql = format!("UPDATE {table} SET {column} = ?1 || substr({column}, {}) WHERE {filter}", TAG + 1);
        connection.execute(&sql, [tag]).expect("tagged");
    }
}

/// Adds `count` rows to each table, among them one for each of `films`, which the daemon will take over.
pub(super) fn fill(connection: &Connection, count: u32, films: &[String], rng: &mut Rng) {
    const TIME: &str = "2020-01-01T00:00:00.000000+00:00";
    let transaction = connection.unchecked_transaction().expect("begun");
    let first: i64 =
        transaction.query_row("SELECT count(*) FROM policies", [], |row| row.get(0)).expect("counted");
    let mut films = films.iter();
    for number in first..first + i64::from(count) {
        let text = |rng: &mut Rng, most| {
            format!("tag-empty{}", "x".repeat(usize::try_from(rng.below(most)).expect("small")))
        };
        let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            transaction.prepare(sql).and_then(|mut statement| statement.execute(values)).expect("written");
            transaction.last_insert_rowid()
        };
        let file = "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at,
                scan_status, content_hash, container_format) VALUES (?1, ?1, ?2, 'mkv', 5, ?3, ?3, 'ok', ?1, ?4)";
        let track =
            "INSERT INTO tracks (file_id, track_index, track_type, title) VALUES (?1, 0, 'audio', ?2)";
        let path = format!("/elsewhere/{}/{number}.mkv", number % 7);
        let id = insert(file, &[&path, &"/elsewhere", &TIME, &text(rng, 100)]);
        insert(track, params![id, text(rng, 200)]);
        if let Some(film) = films.next() {
            let directory = Path::new(film).parent().and_then(Path::to_str);
            let id = insert(file, &[film, &directory, &TIME, &"matroska,webm"]);
            insert(track, params![id, "to be replaced"]);
        }
        let name = format!("n{number}-{}", rng.next());
        insert(
            "INSERT INTO policies (name, definition, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)",
            &[&name, &text(rng, 1000), &TIME],
        );
        insert(
            "INSERT INTO plugin_acknowledgments (plugin_name, plugin_hash, acknowledged_at, acknowledged_by)
             VALUES (?1, ?1, ?2, ?3)",
            &[&name, &TIME, &text(rng, 50)],
        );
        if number % 4 == 0 {
            insert(
                "INSERT INTO operations (id, file_id, file_path, policy_name, policy_version, actions_json, started_at)
                 VALUES (?1, ?2, ?3, ?4, 1, '{}', ?5)",
                &[&name, &id, &path, &text(rng, 200), &TIME],
            );
            insert(
                "INSERT INTO jobs (id, file_path, job_type, policy_name, created_at) VALUES (?1, ?2, 'move', ?3, ?4)",
                &[&name, &path, &text(rng, 200), &TIME],
            );
        }
    }
    transaction.commit().expect("committed");
}
