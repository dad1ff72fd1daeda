//! The columns of `tracks` without its ids: how they are written, compared and listed.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use crate::base::column::Value;
use crate::library::lenient::{integer, text};

/// The type of a column.
#[derive(Clone, Copy)]
enum Kind {
    Word,
    Text,
    Number,
    Flag,
}

/// The columns, in the order of the schema. To add one, also extend `schema.sql` and `media::Track`.
const COLUMNS: [(&str, Kind); 11] = [
    ("track_type", Kind::Word),
    ("codec", Kind::Text),
    ("language", Kind::Text),
    ("title", Kind::Text),
    ("is_default", Kind::Flag),
    ("is_forced", Kind::Flag),
    ("channels", Kind::Number),
    ("channel_layout", Kind::Text),
    ("width", Kind::Number),
    ("height", Kind::Number),
    ("frame_rate", Kind::Text),
];

/// The values of a track by column, in the order of [`COLUMNS`].
pub type Track<'a> = [(&'static str, Value<'a>); COLUMNS.len()];

/// The names of the columns, separated by commas.
pub(crate) fn names() -> String {
    COLUMNS.map(|(name, _)| name).join(", ")
}

/// The statement that inserts a track: its file, its index, and its values.
pub(super) fn insert() -> String {
    format!(
        "INSERT INTO tracks (file_id, track_index, {}) VALUES (?, ?{})",
        names(),
        ", ?".repeat(COLUMNS.len())
    )
}

/// Whether the columns of a row, from `first` on, have the values of `track`. Values of other types are not equal.
pub(super) fn is_stored(row: &Row<'_>, first: usize, track: &Track<'_>) -> bool {
    track.iter().enumerate().all(|(at, (_, value))| match (row.get_ref(first + at), *value) {
        (Ok(ValueRef::Null), Value::Text(None) | Value::Number(None)) => true,
        (Ok(ValueRef::Text(stored)), Value::Text(Some(text))) => stored == text.as_bytes(),
        (Ok(ValueRef::Integer(stored)), Value::Number(Some(number))) => stored == i64::from(number),
        (Ok(ValueRef::Integer(stored)), Value::Flag(flag)) => (stored != 0) == flag,
        _ => false,
    })
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Number(number) => number.to_sql(),
            Self::Flag(flag) => flag.to_sql(),
        }
    }
}

/// A row of `tracks`, as the API lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    id: i64,
    index: i64,
    values: [Json; COLUMNS.len()],
}

impl Listed {
    /// Reads `id`, `track_index` and [`names`].
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut at = 1;
        let values = COLUMNS.map(|(_, kind)| {
            at += 1;
            match kind {
                Kind::Word => text(row, at).unwrap_or_default().into(),
                Kind::Text => text(row, at).into(),
                Kind::Number => integer(row, at).into(),
                Kind::Flag => integer(row, at).is_some_and(|flag| flag != 0).into(),
            }
        });
        Ok(Self { id: row.get(0)?, index: integer(row, 1).unwrap_or_default(), values })
    }
}

impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + COLUMNS.len()))?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("track_index", &self.index)?;
        for ((name, _), value) in COLUMNS.iter().zip(&self.values) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
