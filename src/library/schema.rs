//! Schema version 7: creates it from `schema.sql`, and verifies it.

use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::SCHEMA_VERSION;
use super::sqlite::is_absent;

/// The whole schema, with the row that states its version.
pub const SQL: &str = include_str!("schema.sql");

/// Who made a library of that version, where that is known.
fn maker(found: &str) -> &'static str {
    let is_newer = found.parse::<u64>().is_ok_and(|found| found > u64::from(SCHEMA_VERSION));
    if is_newer { ", of a newer VPO" } else { "" }
}

/// Why the schema of a database is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A database of another program.
    #[error(
        "is not a VPO library: it has no schema version, and {}",
        if tables.is_empty() { "no tables".to_owned() } else { format!("these tables: {}", tables.join(", ")) }
    )]
    Foreign {
        /// The tables in it (the first dozen).
        tables: Vec<String>,
    },
    /// A library of another schema version.
    #[error(
        "has schema version {found}{}, but this vpo reads and writes version {SCHEMA_VERSION}",
        maker(found)
    )]
    Version {
        /// The version in its `_meta`.
        found: String,
    },
    /// Tables or columns of version 7 are missing.
    #[error("calls itself schema version {SCHEMA_VERSION}, but lacks {}", missing.join(", "))]
    Incomplete {
        /// `table` or `table.column`.
        missing: Vec<String>,
    },
    /// Expressions in its schema run when a row is written.
    #[error(
        "has objects that no VPO program creates and that may run without end when a row is written: {}. Remove them, or restore a backup",
        objects.join(", ")
    )]
    Hostile {
        /// Kind and name of each.
        objects: Vec<String>,
    },
}

/// Reads `schema_version` in the open transaction.
///
/// # Errors
/// Of SQLite; the inner error if the version is another one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<Result<(), Mismatch>> {
    let sql = "SELECT value FROM _meta WHERE key = 'schema_version'";
    let found = match connection.prepare(sql) {
        Ok(mut statement) => statement
            .query_row([], |row| row.get::<_, Value>(0))
            .optional()?
            // A value of another type is a version too, but never ours.
            .map(|value| match value {
                Value::Text(text) if !text.is_empty() => text,
                Value::Text(_) => "\"\"".to_owned(),
                Value::Integer(number) => format!("{number} (a number, not text)"),
                Value::Real(number) => format!("{number} (a number, not text)"),
                Value::Blob(_) => "that is a BLOB".to_owned(),
                Value::Null => "NULL".to_owned(),
            }),
        // "no such table", "no such column": the schema was read, and belongs to another program.
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(error),
    };
    Ok(match found {
        Some(found) if found == SCHEMA_VERSION.to_string() => Ok(()),
        Some(found) => Err(Mismatch::Version { found }),
        None => Err(Mismatch::Foreign { tables: tables(connection)? }),
    })
}

/// Verifies the version and every table and column. A library that VPO created contains our own statements. A library of
/// another program is compared with a new schema in memory, which takes a millisecond.
///
/// # Errors
/// Of SQLite; the inner error if the schema is refused.
pub(super) fn verify(connection: &Connection) -> rusqlite::Result<Result<(), Mismatch>> {
    if let Err(mismatch) = version(connection)? {
        return Ok(Err(mismatch));
    }
    let objects = hostile(connection)?;
    if !objects.is_empty() {
        return Ok(Err(Mismatch::Hostile { objects }));
    }
    if has_our_statements(connection)? {
        return Ok(Ok(()));
    }
    let fresh = Connection::open_in_memory()?;
    fresh.execute_batch(SQL)?;
    let there = columns(connection)?;
    let table = |column: &str| column.split('.').next().unwrap_or(column).to_owned();
    let tables: BTreeSet<_> = there.iter().map(|column| table(column)).collect();
    let mut missing: Vec<_> = columns(&fresh)?.into_iter().filter(|column| !there.contains(column)).collect();
    for name in &mut missing {
        if !tables.contains(&table(name)) {
            *name = table(name);
        }
    }
    missing.dedup();
    let views = unused(connection)?;
    for name in &mut missing {
        if views.contains(&format!("view {name}")) {
            name.push_str(" (there is only a view of that name, which is not used)");
        }
    }
    Ok(if missing.is_empty() { Ok(()) } else { Err(Mismatch::Incomplete { missing }) })
}

/// The expressions that are computed when a row of ours is written. Each may take any time within one step of SQLite, which
/// cannot be interrupted. Schema 7 has only its own CHECK constraints.
fn hostile(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    // Only our tables: SQLite cannot list the columns of a virtual table whose module is missing.
    let list = |sql: &str| -> rusqlite::Result<Vec<(String, String)>> {
        let sql = sql.replace("(TABLES)", &tables_list());
        connection.prepare(&sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let mut found = Vec::new();
    for (kind, sql) in [
        (
            "generated column",
            "SELECT m.name, m.name || '.' || c.name FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS c
             WHERE m.type = 'table' AND m.name COLLATE NOCASE IN (TABLES) AND c.hidden > 1",
        ),
        (
            "index on an expression",
            "SELECT m.tbl_name, m.name FROM sqlite_master AS m, pragma_index_xinfo(m.name) AS c
             WHERE m.type = 'index' AND m.tbl_name COLLATE NOCASE IN (TABLES) AND c.cid = -2",
        ),
        (
            "partial index",
            "SELECT m.name, i.name FROM sqlite_master AS m, pragma_index_list(m.name) AS i
             WHERE m.type = 'table' AND m.name COLLATE NOCASE IN (TABLES) AND i.partial",
        ),
    ] {
        found.extend(list(sql)?.into_iter().map(|(_, name)| format!("{kind} {name}")));
    }
    let made = list(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL AND name COLLATE NOCASE IN (TABLES)",
    )?;
    let ours: Vec<_> = statements().flat_map(checks).collect();
    for (table, sql) in made {
        let is_other = |check: &String| !ours.contains(check);
        // A comment of that kind could stand between a word and its parenthesis; no VPO program writes one.
        let has = |text: &str| dense(&sql).contains(text);
        if checks(&sql).iter().any(is_other) || has("DEFAULT(") || has("/*") {
            found.push(format!("constraint or default of table {table}"));
        }
    }
    Ok(found)
}

/// A statement without comments and white space, in upper case: written alike by all programs.
fn dense(sql: &str) -> String {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect::<String>().to_uppercase()
}

/// The CHECK constraints of a statement, each with its parentheses; to the end where those do not match.
fn checks(sql: &str) -> Vec<String> {
    let sql = dense(sql);
    let end = |rest: &str| {
        let mut depth = 0_i32;
        let closing = rest.char_indices().find(|(_, c)| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            *c == ')' && depth == 0
        });
        closing.map_or(rest.len(), |(at, _)| at + 1)
    };
    sql.match_indices("CHECK(").map(|(at, _)| sql[at..at + end(&sql[at..])].to_owned()).collect()
}

/// Kind and name of triggers and views, which are not used.
///
/// # Errors
/// Of SQLite.
pub(super) fn unused(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT type || ' ' || name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY 1 LIMIT 12")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// The names of our tables, as a list in SQL.
fn tables_list() -> String {
    let quoted: Vec<_> = statements().map(|statement| format!("'{}'", table_of(statement))).collect();
    format!("({})", quoted.join(", "))
}

/// The table that a statement creates.
fn table_of(statement: &str) -> &str {
    statement.split_whitespace().nth(2).unwrap_or_default()
}

/// Whether our own statements created every table. Then no column is missing: a change of a table changes the text that SQLite
/// stores.
fn has_our_statements(connection: &Connection) -> rusqlite::Result<bool> {
    let mut ours: Vec<&[u8]> = statements().map(str::as_bytes).collect();
    let mut statement = connection.prepare("SELECT sql FROM sqlite_master WHERE type = 'table'")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Ok(Some(text)) = row.get_ref(0)?.as_bytes_or_null() {
            ours.retain(|ours| *ours != text);
        }
    }
    Ok(ours.is_empty())
}

/// The statements of [`SQL`] that create tables, as SQLite stores them: without the semicolon.
fn statements() -> impl Iterator<Item = &'static str> {
    SQL.match_indices("\nCREATE TABLE ").filter_map(|(before, _)| {
        let statement = &SQL[before + 1..];
        let end = statement.find("\n);")? + "\n)".len();
        Some(&statement[..end])
    })
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(
            "SELECT CASE type WHEN 'view' THEN 'view ' ELSE '' END || name FROM sqlite_master
             WHERE type IN ('table', 'view') ORDER BY type, name LIMIT 12",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

fn columns(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let sql = format!(
        "SELECT m.name || '.' || c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c
         WHERE m.type = 'table' AND m.name IN {}",
        tables_list()
    );
    connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect()
}

/// For tests: an empty library in memory.
#[cfg(test)]
pub(crate) fn in_memory() -> Connection {
    let connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch(SQL).expect("the schema");
    connection
}

/// For tests: SQLite's plan of a query, in an empty database without statistics.
#[cfg(test)]
pub(super) fn plan(sql: &str, values: &[Box<dyn rusqlite::ToSql>]) -> String {
    let connection = in_memory();
    super::files::facts::create(&connection);
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("valid SQL");
    let values = rusqlite::params_from_iter(values);
    let rows = statement.query_map(values, |row| row.get::<_, String>(3)).expect("a plan");
    rows.collect::<Result<Vec<_>, _>>().expect("a plan").join("; ")
}

#[cfg(test)]
mod tests {
    use super::{Connection, Mismatch, SQL, has_our_statements, verify};

    fn made(changes: &str) -> Connection {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(SQL).expect("valid");
        connection.execute_batch(changes).expect("valid");
        connection
    }

    #[test]
    fn our_own_statements_are_known_again() {
        assert_eq!(super::statements().count(), 8);
        for (changes, are_ours) in [
            ("", true),
            ("INSERT INTO _meta VALUES ('other', 'fact'); DROP INDEX idx_jobs_status", true),
            ("CREATE TABLE theirs (id)", true),
            ("ALTER TABLE jobs ADD COLUMN theirs", false),
            ("ALTER TABLE files DROP COLUMN scan_error", false),
            ("DROP TABLE policies", false),
            ("DROP TABLE policies; CREATE TABLE policies (id)", false),
        ] {
            let connection = made(changes);
            assert_eq!(has_our_statements(&connection).expect("read"), are_ours, "{changes}");
        }
    }

    #[test]
    fn what_computes_when_a_row_is_written_is_refused_by_name() {
        for (changes, object) in [
            ("ALTER TABLE files ADD COLUMN evil AS (hex(path))", Some("generated column files.evil")),
            ("CREATE INDEX evil ON files(hex(path))", Some("index on an expression evil")),
            ("CREATE INDEX evil ON jobs(status) WHERE hex(id) = '1'", Some("partial index evil")),
            (
                "ALTER TABLE policies ADD COLUMN evil CHECK (hex(evil) <> '1')",
                Some("constraint or default of table policies"),
            ),
            ("CREATE TABLE theirs (id, other AS (hex(id))); CREATE INDEX fine ON theirs(hex(id))", None),
            ("CREATE INDEX fine ON files(size_bytes)", None),
            (
                "DROP TABLE jobs; CREATE TABLE jobs (id, status, CHECK (hex(id) <> '1'))",
                Some("constraint or default of table jobs"),
            ),
            (
                "ALTER TABLE policies ADD COLUMN evil DEFAULT(hex(1))",
                Some("constraint or default of table policies"),
            ),
        ] {
            let found = verify(&made(changes)).expect("read");
            let objects = object.map(|object| vec![object.to_owned()]);
            assert_eq!(
                found,
                objects.map_or(Ok(()), |objects| Err(Mismatch::Hostile { objects })),
                "{changes}"
            );
        }
    }

    #[test]
    fn a_table_of_a_module_that_is_not_built_in_is_in_nobodys_way() {
        let connection = made("ALTER TABLE files ADD COLUMN theirs");
        connection
            .execute_batch(
                "PRAGMA writable_schema = ON;
                 INSERT INTO sqlite_master VALUES ('table', 'words', 'words', 0, 'CREATE VIRTUAL TABLE words USING fts5(x)');
                 PRAGMA writable_schema = RESET",
            )
            .expect("a schema");
        assert_eq!(verify(&connection).expect("read"), Ok(()));
    }

    #[test]
    fn what_is_missing_is_named_and_what_is_more_is_in_nobodys_way() {
        for (changes, lacks) in [
            ("ALTER TABLE jobs ADD COLUMN theirs", &[][..]),
            ("ALTER TABLE files DROP COLUMN scan_error", &["files.scan_error"]),
            (
                "DROP TABLE _meta; CREATE TABLE _meta (key, value); INSERT INTO _meta VALUES ('schema_version', '7')",
                &[],
            ),
        ] {
            let found = verify(&made(changes)).expect("read");
            let missing = lacks.iter().map(ToString::to_string).collect();
            let expected = if lacks.is_empty() { Ok(()) } else { Err(Mismatch::Incomplete { missing }) };
            assert_eq!(found, expected, "{changes}");
        }
    }
}
