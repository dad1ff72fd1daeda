//! Boxes (QuickTime: atoms): size, type, place in the file, nesting.

use crate::media::bytes::{u32_at, u64_at};
use crate::media::codec::fourcc::FourCc;
use crate::media::error::Error;
use crate::media::reader::Reader;

/// One box: its type and the place of its payload in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoxHeader {
    pub(crate) kind: FourCc,
    /// The first byte of the whole box.
    pub(crate) offset: u64,
    /// The first byte of the payload.
    pub(crate) start: u64,
    /// The first byte after the payload.
    pub(crate) end: u64,
    /// How many bytes its size exceeds what its parent or the file has left.
    pub(crate) missing: u64,
    /// It states no size: it is the last one, and ends where the file does.
    pub(crate) is_open: bool,
}

impl BoxHeader {
    /// Whether its parent or the file ends before it.
    pub(crate) fn is_truncated(&self) -> bool {
        self.missing > 0
    }

    /// Its end, unless it is padding: free space, or zeros that no box has written.
    pub(crate) fn data_end(&self) -> Option<u64> {
        (!matches!(&self.kind, b"free" | b"skip" | b"wide" | b"\0\0\0\0")).then_some(self.end)
    }

    /// Bytes of payload.
    pub(crate) fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The first bytes of the payload: `count`, or fewer if the box or the file is shorter.
    pub(crate) fn head<'r>(&self, reader: &'r mut Reader<'_>, count: usize) -> Result<&'r [u8], Error> {
        reader.at_most(self.start, usize::try_from(self.length()).unwrap_or(usize::MAX).min(count))
    }

    /// The boxes in the payload, after its first `skip` bytes.
    pub(crate) fn children(&self, skip: u64) -> Boxes {
        Boxes { at: self.start.saturating_add(skip), end: self.end }
    }
}

/// Walks the boxes of a range of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boxes {
    at: u64,
    end: u64,
}

impl Boxes {
    /// The boxes from `at` to `end`.
    pub(crate) fn new(at: u64, end: u64) -> Self {
        Self { at, end }
    }

    /// The offset of the next box.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// The next box; `None` at the end of the range and at an impossible size, after which no box
    /// can be found. A box that is larger than its parent ends with its parent.
    pub(crate) fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<BoxHeader>, Error> {
        let left = self.end.saturating_sub(self.at);
        if left < 8 {
            return Ok(None);
        }
        reader.visit()?;
        let header = reader.at_most(self.at, 16)?;
        let (Some(size), Some(kind)) = (u32_at(header, 0), header.first_chunk::<8>()) else {
            return Ok(None);
        };
        let kind = [kind[4], kind[5], kind[6], kind[7]];
        let is_open = size == 0;
        let (size, header) = match size {
            0 => (left, 8),
            1 if left >= 16 => (u64_at(header, 8).unwrap_or(0), 16),
            size => (u64::from(size), 8),
        };
        if size < header {
            return Ok(None);
        }
        let offset = self.at;
        self.at = offset.saturating_add(size).min(self.end);
        Ok(Some(BoxHeader {
            kind,
            offset,
            start: offset + header,
            end: self.at,
            missing: size.saturating_sub(left),
            is_open,
        }))
    }

    /// The first box of a type.
    pub(crate) fn find(mut self, reader: &mut Reader<'_>, kind: FourCc) -> Result<Option<BoxHeader>, Error> {
        while let Some(found) = self.next(reader)? {
            if found.kind == kind {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn kinds(bytes: &[u8]) -> Vec<(FourCc, u64, u64)> {
        let mut source = Cursor::new(bytes.to_vec());
        let mut reader = Reader::new(&mut source).unwrap();
        let mut boxes = Boxes::new(0, bytes.len() as u64);
        let mut found = Vec::new();
        while let Some(header) = boxes.next(&mut reader).unwrap() {
            found.push((header.kind, header.start, header.end));
        }
        found
    }

    #[test]
    fn sizes_of_every_form() {
        let mut file = b"\0\0\0\x0Cfree....".to_vec();
        file.extend(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x14....");
        file.extend(b"\0\0\0\0skip..");
        assert_eq!(kinds(&file), [(*b"free", 8, 12), (*b"mdat", 28, 32), (*b"skip", 40, 42)]);
    }

    #[test]
    fn impossible_sizes_end_the_walk() {
        assert_eq!(kinds(b"\0\0\0\x07free...."), []);
        assert_eq!(kinds(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0F...."), []);
        assert_eq!(kinds(b"\0\0\0\x01mdat\x80\0\0\0\0\0\0\0...."), [(*b"mdat", 16, 20)]);
        assert_eq!(kinds(b"\xFF\xFF\xFF\xFFmdat...."), [(*b"mdat", 8, 12)]);
        assert_eq!(kinds(b"\0\0\0"), []);
    }
}
