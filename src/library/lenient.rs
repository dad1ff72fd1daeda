//! Columns that another program may have filled with anything. SQLite holds a value to its column's type only where it
//! can convert it, so a path may be a BLOB, or text that is not UTF-8. One such row must not fail a read of many.
//! And how a time is written into a column.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use crate::base::facts::Value;
use crate::base::timestamp::Timestamp;

/// Most bytes of a text as JSON. A path of 4,096 bytes never takes as many: 24 KiB if all are control characters.
const MAX_TEXT: usize = 32 * 1024;

/// Text, with U+FFFD for bytes that are not UTF-8, and cut after 32 KiB; a number in decimal; `None` for NULL, a BLOB, and a
/// missing column.
pub(super) fn text(row: &Row<'_>, column: usize) -> Option<String> {
    match row.get_ref(column).ok()? {
        ValueRef::Text(bytes) => {
            // One byte more is enough to be cut.
            let mut text = String::from_utf8_lossy(bytes.get(..=MAX_TEXT).unwrap_or(bytes)).into_owned();
            crate::base::text::cut(&mut text, MAX_TEXT);
            Some(text)
        }
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// Text that is UTF-8, and nothing else.
pub(super) fn exact_text(row: &Row<'_>, column: usize) -> Option<String> {
    word(row, column).map(str::to_owned)
}

/// As [`exact_text`], for as long as the row is not left.
pub(super) fn word<'a>(row: &'a Row<'_>, column: usize) -> Option<&'a str> {
    row.get_ref(column).ok()?.as_str().ok()
}

/// A number; `None` for anything else.
pub(super) fn integer(row: &Row<'_>, column: usize) -> Option<i64> {
    row.get(column).ok()
}

/// A value of a fact. Text ends where it is not UTF-8, and after 32 KiB.
pub(super) fn value<'a>(row: &'a Row<'_>, column: usize) -> Value<'a> {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(number)) => Value::Integer(number),
        Ok(ValueRef::Real(number)) => Value::Real(number),
        Ok(ValueRef::Text(bytes)) => {
            let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
            let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            Value::Text(std::str::from_utf8(&bytes[..valid]).unwrap_or_default())
        }
        _ => Value::Null,
    }
}

/// A count or a size. Any other value, for example a negative one, differs from every real one.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> u64 {
    integer(row, column).and_then(|number| u64::try_from(number).ok()).unwrap_or(u64::MAX)
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}
