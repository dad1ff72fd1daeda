//! Ids of files in an order other than that of the ids. Only the ids of one page are in memory.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};

use super::Span;

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
    pub const ALL: [Self; 3] = [Self::Added, Self::Path, Self::Size];

    /// Its name in flags and parameters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Path => "path",
            Self::Size => "size",
        }
    }

    /// What SQLite orders by.
    fn expression(self) -> &'static str {
        match self {
            Self::Added => "id",
            Self::Path => "path",
            Self::Size => "size_bytes",
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
    let key = match after {
        0 => None,
        after => {
            let sql = format!("SELECT {} FROM files WHERE id = ?1", sort.key.expression());
            let found: Option<Value> = conn.query_row(&sql, [after], |row| row.get(0)).optional()?;
            if found.is_none() {
                return Ok(None);
            }
            found
        }
    };
    let (sql, values) = query(sort, span, key.map(|key| (key, after)), limit);
    let mut statement = conn.prepare(&sql)?;
    let ids = statement.query_map(params_from_iter(values), |row| row.get(0))?;
    ids.collect::<rusqlite::Result<_>>().map(Some)
}

fn query(
    sort: Sort,
    span: Option<&Span>,
    after: Option<(Value, i64)>,
    limit: u32,
) -> (String, Vec<Box<dyn ToSql>>) {
    let expression = sort.key.expression();
    let (sign, direction) = if sort.descending { ("<", "DESC") } else { (">", "ASC") };
    let mut sql = "SELECT id FROM files WHERE 1".to_owned();
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    if let Some(Span { from, to }) = span {
        sql.push_str(" AND path >= ? AND path < ?");
        values.extend([Box::new(from.clone()) as Box<dyn ToSql>, Box::new(to.clone())]);
    }
    // No two files have the same id or path.
    let is_unique = sort.key != Key::Size;
    let (place, order) = if is_unique {
        (format!(" AND {expression} {sign} ?"), format!(" ORDER BY {expression} {direction}"))
    } else {
        (
            format!(" AND ({expression}, id) {sign} (?, ?)"),
            format!(" ORDER BY {expression} {direction}, id {direction}"),
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
            let (sql, values) = query(sort, None, after(), 9);
            let plan = plan(&sql, &values);
            assert!(plan.starts_with(expected) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
        let (sql, values) =
            query(Sort { key: Key::Path, descending: false }, Some(&Span::below("/a")), after(), 9);
        assert!(plan(&sql, &values).contains("(path>? AND path<?)"), "{}", plan(&sql, &values));
    }

    #[test]
    fn pages_of_every_order_hold_every_file_once() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(SQL).expect("the schema");
        let insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
             INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at)
             SELECT '/a/' || (i * 7 % 40), '', '', '', i % 5, '', '' FROM n";
        connection.execute(insert, []).expect("rows");
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
                let sql = format!("SELECT id FROM files ORDER BY {0} {order}, id {order}", key.expression());
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
