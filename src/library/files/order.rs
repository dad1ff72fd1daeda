//! Ids of files in an order other than that of the ids. Only the ids of one page are in memory.

use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ToSql, params, params_from_iter};

use super::{Span, facts};
use crate::library::subtitles;

/// What files are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// The order in which they were recorded.
    #[default]
    Added,
    /// The bytes of their paths.
    Path,
    /// Bytes.
    Size,
    /// Seconds. Files of unknown length are the shortest.
    Duration,
    /// Bits per second. Files of unknown length have the least.
    BitRate,
}

/// An order of files. Of files with equal keys, the one that was recorded first is first, or last if `descending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub key: Key,
    /// The last first.
    pub descending: bool,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Added, Self::Path, Self::Size, Self::Duration, Self::BitRate];

    /// Its name in flags and parameters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Path => "path",
            Self::Size => "size",
            Self::Duration => "duration",
            Self::BitRate => "bit_rate",
        }
    }

    /// What SQLite orders by.
    fn expression(self, are_facts_stored: bool) -> &'static str {
        match self {
            Self::Added => "files.id",
            Self::Path => "path",
            Self::Size => "files.size_bytes",
            Self::Duration | Self::BitRate if !are_facts_stored => "-1",
            Self::Duration => "ifnull(d.duration_seconds, -1)",
            Self::BitRate => "ifnull(files.size_bytes / d.duration_seconds, -1)",
        }
    }

    /// What it is read from.
    fn source(self, are_facts_stored: bool) -> &'static str {
        match self {
            Self::Duration | Self::BitRate if are_facts_stored => {
                "files LEFT JOIN daemon_files AS d ON d.file_id = files.id"
            }
            _ => "files",
        }
    }
}

impl Sort {
    /// Reads `size`, or `-size` for the largest first.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let key = Key::ALL.into_iter().find(|key| key.as_str() == name)?;
        Some(Self { key, descending })
    }
}

/// The ids of the first `limit` files after the file `after`, or from the first on if that is 0; only those in `span`. `None`
/// if `after` is not recorded.
///
/// # Errors
/// What SQLite reports.
pub fn ids(
    conn: &Connection,
    sort: Sort,
    span: Option<&Span>,
    after: i64,
    limit: u32,
) -> rusqlite::Result<Option<Vec<i64>>> {
    let has_facts = facts::are_stored(conn)?;
    let key = match after {
        0 => None,
        after => {
            let (expression, source) = (sort.key.expression(has_facts), sort.key.source(has_facts));
            let sql = format!("SELECT {expression} FROM {source} WHERE files.id = ?1");
            let found: Option<Value> = conn.query_row(&sql, [after], |row| row.get(0)).optional()?;
            if found.is_none() {
                return Ok(None);
            }
            found
        }
    };
    let (sql, values) = query(sort, has_facts, span, key.map(|key| (key, after)), limit);
    let mut statement = conn.prepare(&sql)?;
    let ids = statement.query_map(params_from_iter(values), |row| row.get(0))?;
    ids.collect::<rusqlite::Result<_>>().map(Some)
}

/// The ids of the files with a track whose stored language is `wanted`, in order; with `beside` also of those with such a
/// subtitle file. `None` if there are more than `most` tracks, or if that cannot be found out through the index.
///
/// # Errors
/// What SQLite reports.
pub fn with_language(
    conn: &Connection,
    wanted: &dyn Fn(&str) -> bool,
    beside: bool,
    most: u32,
) -> rusqlite::Result<Option<Vec<i64>>> {
    let mut ids = BTreeSet::new();
    let mut left = most;
    for table in tables(conn, beside)? {
        let Some(languages) = languages(conn, table)? else { return Ok(None) };
        let mut found = conn.prepare(&of_language(table))?;
        for language in languages.iter().filter(|language| wanted(language)) {
            let mut rows = found.query(params![language, left.saturating_add(1)])?;
            while let Some(row) = rows.next()? {
                let Some(rest) = left.checked_sub(1) else { return Ok(None) };
                left = rest;
                ids.insert(row.get(0)?);
            }
        }
    }
    Ok(Some(ids.into_iter().collect()))
}

/// Whether a stored language of a track or a subtitle file is `wanted`; `None` if that cannot be found out through the index.
///
/// # Errors
/// What SQLite reports.
pub fn has_language(conn: &Connection, wanted: &dyn Fn(&str) -> bool) -> rusqlite::Result<Option<bool>> {
    let mut is_known = true;
    for table in tables(conn, true)? {
        match languages(conn, table)? {
            Some(languages) if languages.iter().any(|language| wanted(language)) => return Ok(Some(true)),
            found => is_known &= found.is_some(),
        }
    }
    Ok(is_known.then_some(false))
}

/// Tables with a language and an index of it.
fn tables(conn: &Connection, beside: bool) -> rusqlite::Result<&'static [&'static str]> {
    let tables = &["tracks", "daemon_subtitles"];
    Ok(if beside && subtitles::are_recorded(conn)? { tables } else { &tables[..1] })
}

/// The languages of a table; `None` if there are more than [`LANGUAGES`], or values that are not texts.
fn languages(conn: &Connection, table: &str) -> rusqlite::Result<Option<Vec<String>>> {
    let mut next = conn.prepare(&next_language(table))?;
    let (mut found, mut last) = (Vec::new(), Value::Null);
    loop {
        match next.query_row([&last], |row| row.get(0)).optional()? {
            None => return Ok(Some(found)),
            Some(Value::Text(language)) if found.len() < LANGUAGES => {
                found.push(language.clone());
                last = Value::Text(language);
            }
            // Of another program.
            Some(_) => return Ok(None),
        }
    }
}

/// Most languages that are looked through.
const LANGUAGES: usize = 500;

fn next_language(table: &str) -> String {
    format!("SELECT language FROM {table} WHERE language > ifnull(?1, -9e999) ORDER BY language LIMIT 1")
}

fn of_language(table: &str) -> String {
    format!("SELECT file_id FROM {table} WHERE language = ?1 LIMIT ?2")
}

fn query(
    sort: Sort,
    has_facts: bool,
    span: Option<&Span>,
    after: Option<(Value, i64)>,
    limit: u32,
) -> (String, Vec<Box<dyn ToSql>>) {
    let expression = sort.key.expression(has_facts);
    let (sign, direction) = if sort.descending { ("<", "DESC") } else { (">", "ASC") };
    let mut sql = format!("SELECT files.id FROM {} WHERE 1", sort.key.source(has_facts));
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    if let Some(Span { from, to }) = span {
        sql.push_str(" AND path >= ? AND path < ?");
        values.extend([Box::new(from.clone()) as Box<dyn ToSql>, Box::new(to.clone())]);
    }
    // No two files have the same id or path.
    let is_unique = matches!(sort.key, Key::Added | Key::Path);
    let (place, order) = if is_unique {
        (format!(" AND {expression} {sign} ?"), format!(" ORDER BY {expression} {direction}"))
    } else {
        (
            format!(" AND ({expression}, files.id) {sign} (?, ?)"),
            format!(" ORDER BY {expression} {direction}, files.id {direction}"),
        )
    };
    if let Some((key, id)) = after {
        sql.push_str(&place);
        values.push(Box::new(key));
        if !is_unique {
            values.push(Box::new(id));
        }
    }
    sql.push_str(&order);
    sql.push_str(" LIMIT ?");
    values.push(Box::new(limit));
    (sql, values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::schema::{SQL, plan};

    #[test]
    fn paths_and_ids_follow_an_index() {
        let after = || Some((Value::Text("/a".to_owned()), 1));
        for (sort, expected) in [
            (
                Sort { key: Key::Path, descending: false },
                "SEARCH files USING COVERING INDEX sqlite_autoindex_files_1",
            ),
            (Sort { key: Key::Added, descending: true }, "SEARCH files USING INTEGER PRIMARY KEY"),
        ] {
            let (sql, values) = query(sort, true, None, after(), 9);
            let plan = plan(&sql, &values);
            assert!(plan.starts_with(expected) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        let (sql, values) =
            query(Sort { key: Key::Path, descending: false }, true, Some(&Span::below("/a")), after(), 9);
        assert!(plan(&sql, &values).contains("(path>? AND path<?)"), "{}", plan(&sql, &values));
    }

    #[test]
    fn files_of_a_rare_language_are_found_by_the_index() {
        let by_index = "SEARCH tracks USING COVERING INDEX idx_tracks_language (language>?)";
        assert_eq!(plan(&next_language("tracks"), &[Box::new(Value::Null)]), by_index);
        let found = plan(&of_language("tracks"), &[Box::new("eng"), Box::new(1)]);
        assert_eq!(found, "SEARCH tracks USING INDEX idx_tracks_language (language=?)");
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(SQL).expect("the schema");
        let insert = "INSERT INTO tracks (file_id, track_index, track_type, language) VALUES
             (9, 0, 'audio', 'jpn'), (2, 0, 'audio', 'JA'), (2, 1, 'audio', 'jpn'), (3, 0, 'audio', 'eng'), (4, 0, 'audio', NULL)";
        connection.execute_batch("PRAGMA foreign_keys = OFF").expect("set");
        connection.execute(insert, []).expect("rows");
        facts::create(&connection);
        let insert = "INSERT INTO daemon_files (file_id, prober, size_bytes, modified_at, duration_seconds)
             SELECT id, 1, size_bytes, '', id % 3 FROM files WHERE id % 4 > 0";
        connection.execute(insert, []).expect("facts");
        let of = |wanted: &[&str], most| {
            with_language(&connection, &|language| wanted.contains(&language), true, most).expect("read")
        };
        assert_eq!(of(&["jpn", "JA"], 3), Some(vec![2, 9]));
        assert_eq!(of(&["jpn", "JA"], 2), None);
        assert_eq!(of(&["fre"], 0), Some(Vec::new()));
        connection.execute("UPDATE tracks SET language = x'00' WHERE file_id = 4", []).expect("set");
        assert_eq!(of(&["jpn"], 9), None, "values that are no text");
    }

    #[test]
    fn pages_of_every_order_hold_every_file_once() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(SQL).expect("the schema");
        let insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
             INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at)
             SELECT '/a/' || (i * 7 % 40), '', '', '', i % 5, '', '' FROM n";
        connection.execute(insert, []).expect("rows");
        facts::create(&connection);
        let insert = "INSERT INTO daemon_files (file_id, prober, size_bytes, modified_at, duration_seconds)
             SELECT id, 1, size_bytes, '', id % 3 FROM files WHERE id % 4 > 0";
        connection.execute(insert, []).expect("facts");
        for key in Key::ALL {
            for descending in [false, true] {
                let (mut seen, mut after) = (Vec::<i64>::new(), 0);
                loop {
                    let page = ids(&connection, Sort { key, descending }, None, after, 7);
                    let page = page.expect("read").expect("the cursor is there");
                    seen.extend(&page);
                    let Some(last) = page.last() else { break };
                    after = *last;
                }
                let order = if descending { "DESC" } else { "ASC" };
                let sql = format!(
                    "SELECT files.id FROM {1} ORDER BY {0} {order}, files.id {order}",
                    key.expression(true),
                    key.source(true)
                );
                let mut all = connection.prepare(&sql).expect("SQL");
                let all = all.query_map([], |row| row.get(0)).expect("rows");
                assert_eq!(
                    seen,
                    all.collect::<rusqlite::Result<Vec<i64>>>().expect("ids"),
                    "{key:?} {order}"
                );
            }
        }
        assert_eq!(ids(&connection, Sort::default(), None, 99, 7).expect("read"), None);
    }
}
