//! EBML elements (RFC 8794): identifiers, sizes and plain values, read by position.

use super::ids;
use crate::media::bytes::{MAX_WORD, text};
use crate::media::error::Error;
use crate::media::reader::Reader;

/// One element: its place and size. Its content is read on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) id: u32,
    /// The offset of its identifier.
    pub(super) offset: u64,
    /// The offset of its content.
    pub(super) body: u64,
    /// The end of its content; `None` for an unknown size (RFC 8794, 6.2).
    pub(super) end: Option<u64>,
}

impl Element {
    /// The element at `offset`; `None` at `limit` and at the end of the file.
    pub(super) fn at(reader: &mut Reader<'_>, offset: u64, limit: u64) -> Result<Option<Self>, Error> {
        if offset >= limit.min(reader.length()) {
            return Ok(None);
        }
        reader.visit()?;
        let length = reader.length();
        let bytes = reader.at_most(offset, 12)?;
        let invalid = || {
            let what = "an element's identifier or size makes no sense";
            if bytes.len() < 12 {
                Error::Truncated { what: "EBML elements", length, missing: None }
            } else {
                Error::Malformed { offset, what }
            }
        };
        let (id, id_length) = identifier(bytes).ok_or_else(invalid)?;
        let rest = bytes.get(id_length..).unwrap_or_default();
        let (size, size_length) = variable(rest).ok_or_else(invalid)?;
        let body = offset + (id_length + size_length) as u64;
        let end = match size {
            Some(size) => Some(
                body.checked_add(size)
                    .ok_or(Error::Malformed { offset, what: "an element's size goes beyond all files" })?,
            ),
            None => None,
        };
        Ok(Some(Self { id, offset, body, end }))
    }

    /// Its size, if known.
    pub(super) fn size(&self) -> Option<u64> {
        Some(self.end? - self.body)
    }

    /// Its children; those of an element of unknown size end before the first of `siblings`.
    pub(super) fn children(&self, parent_end: u64, siblings: &'static [u32]) -> Children {
        let end = self.end.unwrap_or(parent_end).min(parent_end);
        Children { next: self.body, end, siblings: if self.end.is_none() { siblings } else { &[] } }
    }

    /// An unsigned integer; `None` when empty (the default applies) or too long.
    pub(super) fn unsigned(&self, reader: &mut Reader<'_>) -> Result<Option<u64>, Error> {
        match self.size() {
            Some(size @ 1..=8) => {
                let bytes = reader.bytes(self.body, narrow(size), "EBML elements")?;
                Ok(Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))))
            }
            _ => Ok(None),
        }
    }

    /// A flag.
    pub(super) fn flag(&self, reader: &mut Reader<'_>) -> Result<Option<bool>, Error> {
        Ok(self.unsigned(reader)?.map(|value| value != 0))
    }

    /// An unsigned integer of at most 32 bits.
    pub(super) fn small(&self, reader: &mut Reader<'_>) -> Result<Option<u32>, Error> {
        Ok(self.unsigned(reader)?.and_then(|value| u32::try_from(value).ok()))
    }

    /// A floating-point number.
    pub(super) fn float(&self, reader: &mut Reader<'_>) -> Result<Option<f64>, Error> {
        Ok(match self.size() {
            Some(4) => Some(f64::from(f32::from_be_bytes(reader.array(self.body, "EBML elements")?))),
            Some(8) => Some(f64::from_be_bytes(reader.array(self.body, "EBML elements")?)),
            _ => None,
        })
    }

    /// A word, without its padding: `None` when empty, and cut when too long for any that is known.
    pub(super) fn word(&self, reader: &mut Reader<'_>) -> Result<Option<String>, Error> {
        Ok(text(self.head(reader, MAX_WORD)?))
    }

    /// A title; see [`Reader::title`].
    pub(super) fn title(&self, reader: &mut Reader<'_>) -> Result<Option<String>, Error> {
        reader.title(self.body, self.size().unwrap_or(0))
    }

    /// Up to `most` bytes of its content.
    pub(super) fn head<'r>(&self, reader: &'r mut Reader<'_>, most: usize) -> Result<&'r [u8], Error> {
        let size = self.size().unwrap_or(0);
        reader.at_most(self.body, usize::try_from(size).unwrap_or(usize::MAX).min(most))
    }
}

/// Iterates over an element's children, without `Void` and `CRC-32`.
#[derive(Clone, Debug)]
pub(super) struct Children {
    next: u64,
    end: u64,
    siblings: &'static [u32],
}

impl Children {
    /// The next child. One of unknown size extends to the end.
    pub(super) fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<Element>, Error> {
        while let Some(element) = Element::at(reader, self.next, self.end)? {
            if self.siblings.contains(&element.id) {
                self.end = self.next;
                break;
            }
            if element.end.is_some_and(|end| end > self.end) && self.end < reader.length() {
                let what = "an element is larger than the one that holds it";
                return Err(Error::Malformed { offset: element.offset, what });
            }
            self.next = element.end.unwrap_or(self.end);
            if element.id != ids::VOID && element.id != ids::CRC_32 {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    /// The offset of the next child.
    pub(super) fn position(&self) -> u64 {
        self.next
    }
}

/// An identifier with its marker bits, and its length (RFC 8794, 5).
fn identifier(bytes: &[u8]) -> Option<(u32, usize)> {
    let length = usize::try_from(bytes.first()?.leading_zeros()).ok()? + 1;
    if length > 4 {
        return None;
    }
    let id = bytes.get(..length)?.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
    Some((id, length))
}

/// A variable-size integer without its marker, and its length; `None` inside when all its bits are
/// set (RFC 8794, 4 and 6.2).
pub(super) fn variable(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let first = *bytes.first()?;
    let length = usize::try_from(first.leading_zeros()).ok()? + 1;
    if length > 8 {
        return None;
    }
    let mask = (1_u64 << (7 * length)) - 1;
    let value = bytes.get(..length)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)) & mask;
    Some(((value != mask).then_some(value), length))
}

/// Converts a size that is known to be small.
fn narrow(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_size_integers() {
        assert_eq!(variable(&[0x82]), Some((Some(2), 1)));
        assert_eq!(variable(&[0x40, 0x02]), Some((Some(2), 2)));
        assert_eq!(variable(&[0xFF]), Some((None, 1)));
        assert_eq!(variable(&[1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), Some((None, 8)));
        assert_eq!(variable(&[0, 1]), None);
        assert_eq!(variable(&[0x40]), None);
        assert_eq!(identifier(&[0x1A, 0x45, 0xDF, 0xA3]), Some((0x1A45_DFA3, 4)));
        assert_eq!(identifier(&[0x08, 0, 0, 0, 0]), None);
    }
}
