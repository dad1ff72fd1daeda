//! A value of a database column, without the types of SQLite.

use serde::Serialize;

/// A value of a column. In JSON it is a string, a number, a Boolean or null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    /// TEXT, or NULL.
    Text(Option<&'a str>),
    /// INTEGER, or NULL.
    Number(Option<u32>),
    /// INTEGER, 0 or 1.
    Flag(bool),
}
