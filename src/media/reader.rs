//! Buffered, bounded reads of a file: 16 KiB at the start, then 2 KiB wherever a parser continues.
//!
//! All parsers read through [`Reader`]. Its limits bound the cost of a hostile or damaged file:
//! bytes and reads in total, bytes of one element, and the number of elements.

use std::io::{ErrorKind, Read, Seek, SeekFrom};

use super::bytes;
use super::error::Error;
use crate::base::text::CUT;

/// The first read: it holds the whole header of nearly every file.
const FIRST_READ: usize = 16 * 1024;
/// A read at any other place, unless more is asked for.
const HOP: usize = 2 * 1024;
/// Maximum of bytes that one call of [`Reader::bytes`] returns, and so the largest allocation.
pub(crate) const MAX_ELEMENT: usize = 1024 * 1024;
/// Bytes read from one file.
const MAX_BYTES: u64 = 4_000_000;
/// Reads from one file: on a network share each costs a round trip.
const MAX_READS: u32 = 1_500;
/// Elements (boxes, chunks) visited in one file.
const MAX_VISITS: u32 = 200_000;

/// Maximum length of one title in bytes.
const MAX_TITLE: usize = 16 * 1024;
/// Titles of one file, and so what it costs in the database: 64 KiB, of which the marks of 3,001 cut titles (1,000 tracks,
/// 1,000 attachments with a file name each, the file) are part.
const MAX_TITLES: usize = 64 * 1024 - 3_001 * CUT.len_utf8();

/// A source of bytes with random access.
pub trait Source: Read + Seek {}
impl<T: Read + Seek + ?Sized> Source for T {}

/// What probing a file has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes read.
    pub bytes: u64,
    /// Calls of [`Read::read`].
    pub reads: u32,
    /// Titles that were cut.
    pub cut_titles: u32,
}

/// The bounded, buffered view of one file.
pub(crate) struct Reader<'a> {
    source: &'a mut dyn Source,
    length: u64,
    /// Where the source's own cursor is, to save seeks.
    cursor: u64,
    /// Bytes of the file from `start` on.
    window: Vec<u8>,
    start: u64,
    usage: Usage,
    visits: u32,
    /// Bytes left for titles.
    titles: usize,
}

impl<'a> Reader<'a> {
    /// Finds the source's length; reads nothing yet.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], and errors of the source's seek.
    pub(crate) fn new(source: &'a mut dyn Source) -> Result<Self, Error> {
        let length = source.seek(SeekFrom::End(0))?;
        if length == 0 {
            return Err(Error::Empty);
        }
        let usage = Usage::default();
        Ok(Self {
            source,
            length,
            cursor: length,
            window: Vec::new(),
            start: 0,
            usage,
            visits: 0,
            titles: MAX_TITLES,
        })
    }

    /// The file's size in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes and reads so far.
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Counts one element. Parsers call it for each one, so that every loop ends.
    ///
    /// # Errors
    ///
    /// [`Error::Excessive`] after too many.
    pub(crate) fn visit(&mut self) -> Result<(), Error> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(Error::Excessive { limit: "200,000 elements" });
        }
        Ok(())
    }

    /// Exactly `count` bytes at `offset`; `what` names them in the error.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] when the file ends before, [`Error::Excessive`] over a limit,
    /// [`Error::Io`].
    pub(crate) fn bytes(&mut self, offset: u64, count: usize, what: &'static str) -> Result<&[u8], Error> {
        let length = self.length;
        let bytes = self.at_most(offset, count)?;
        if bytes.len() < count { Err(Error::Truncated { what, length, missing: None }) } else { Ok(bytes) }
    }

    /// As [`Self::bytes`], for a number of bytes known at compile time.
    pub(crate) fn array<const N: usize>(
        &mut self,
        offset: u64,
        what: &'static str,
    ) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(offset, N, what)?);
        Ok(array)
    }

    /// Up to `count` bytes at `offset`: fewer only where the file ends.
    ///
    /// # Errors
    ///
    /// [`Error::Excessive`] over a limit, [`Error::Io`].
    pub(crate) fn at_most(&mut self, offset: u64, count: usize) -> Result<&[u8], Error> {
        if count > MAX_ELEMENT {
            return Err(Error::Excessive { limit: "1 MiB for one element" });
        }
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = count.min(left);
        let inside = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let held = |skip: usize| skip.checked_add(count).is_some_and(|end| end <= self.window.len());
        let skip = match inside {
            Some(skip) if held(skip) => skip,
            _ => {
                self.move_to(offset, count, left)?;
                0
            }
        };
        let end = (skip + count).min(self.window.len());
        Ok(self.window.get(skip..end).unwrap_or(&[]))
    }

    /// Whether the window holds `count` bytes at `offset`, or those up to the end of the file: they cost no read.
    pub(crate) fn holds(&self, offset: u64, count: usize) -> bool {
        let end = self.start.saturating_add(self.window.len() as u64);
        offset >= self.start && offset.saturating_add(count as u64).min(self.length) <= end
    }

    /// The title in `size` bytes at `offset`; `None` when empty. The titles of one file share [`MAX_TITLES`]: a longer one
    /// is cut, and the mark alone remains of those beyond.
    ///
    /// # Errors
    ///
    /// As [`Self::at_most`].
    pub(crate) fn title(&mut self, offset: u64, size: u64) -> Result<Option<String>, Error> {
        let most = self.titles.min(MAX_TITLE);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let read = self.at_most(offset, size.min(most.max(1)))?;
        let (title, is_cut) = bytes::title(read, read.len() == size, most);
        // The mark of a title for which nothing was left is counted already.
        self.titles = self.titles.saturating_sub(title.as_ref().map_or(0, String::len));
        self.usage.cut_titles += u32::from(is_cut);
        Ok(title)
    }

    /// Makes the window start at `offset` and hold `count` bytes, keeping those that it already
    /// has.
    fn move_to(&mut self, offset: u64, count: usize, left: usize) -> Result<(), Error> {
        let kept = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        match kept.filter(|skip| *skip < self.window.len()) {
            Some(skip) => drop(self.window.drain(..skip)),
            None => self.window.clear(),
        }
        self.start = offset;
        let hop = if self.usage.reads == 0 { FIRST_READ } else { HOP };
        let goal = count.max(self.window.len().saturating_add(hop)).min(left);
        while self.window.len() < count {
            let at = offset + self.window.len() as u64;
            if self.cursor != at {
                self.cursor = self.source.seek(SeekFrom::Start(at))?;
            }
            let filled = self.window.len();
            let want = goal - filled;
            if self.usage.bytes + want as u64 > MAX_BYTES {
                return Err(Error::Excessive { limit: "4 MB" });
            }
            if self.usage.reads >= MAX_READS {
                return Err(Error::Excessive { limit: "1,500 reads" });
            }
            self.window.resize(goal, 0);
            let got = self.source.read(&mut self.window[filled..]);
            self.window.truncate(filled + got.as_ref().copied().unwrap_or(0).min(want));
            self.usage.reads += 1;
            match got {
                // The file has shrunk since its length was read.
                Ok(0) => break,
                Ok(got) => {
                    self.usage.bytes += got as u64;
                    self.cursor += got as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn numbered(length: usize) -> Cursor<Vec<u8>> {
        Cursor::new((0..length).map(byte_at).collect())
    }

    fn byte_at(index: usize) -> u8 {
        (index % 256).try_into().unwrap()
    }

    #[test]
    fn the_first_16_kib_cost_one_read() {
        let mut source = numbered(100_000);
        let mut reader = Reader::new(&mut source).unwrap();
        for offset in [0, 5, 16_000, 3] {
            let expected = byte_at(offset.try_into().unwrap());
            assert_eq!(reader.array::<1>(offset, "byte").unwrap(), [expected]);
        }
        assert_eq!(reader.usage(), Usage { bytes: 16_384, reads: 1, ..Usage::default() });
    }

    #[test]
    fn a_hop_reads_little_and_keeps_what_it_has() {
        let mut source = numbered(100_000);
        let mut reader = Reader::new(&mut source).unwrap();
        reader.array::<4>(0, "start").unwrap();
        let expected: Vec<u8> = (16_380..16_390).map(byte_at).collect();
        assert_eq!(reader.bytes(16_380, 10, "across").unwrap(), expected);
        assert_eq!(reader.usage(), Usage { bytes: 16_384 + HOP as u64, reads: 2, ..Usage::default() });
        assert_eq!(reader.array::<2>(70_000, "far").unwrap(), [112, 113]);
        assert_eq!(reader.usage().reads, 3);
    }

    #[test]
    fn the_end_of_the_file_is_no_panic() {
        let mut source = numbered(10);
        let mut reader = Reader::new(&mut source).unwrap();
        assert_eq!(reader.at_most(8, 100).unwrap(), [8, 9]);
        assert!(reader.at_most(10, 1).unwrap().is_empty());
        assert!(reader.at_most(u64::MAX, 1).unwrap().is_empty());
        assert!(matches!(reader.bytes(9, 2, "end"), Err(Error::Truncated { length: 10, .. })));
        assert!(matches!(reader.at_most(0, MAX_ELEMENT + 1), Err(Error::Excessive { .. })));
    }

    #[test]
    fn no_file_costs_more_than_the_budget() {
        let mut source = numbered(8_000_000);
        let mut reader = Reader::new(&mut source).unwrap();
        let refused = (0..8).find_map(|n| reader.at_most(n * 1_000_000, 1_000_000).err());
        assert!(matches!(refused, Some(Error::Excessive { .. })));
        assert!(reader.usage().bytes <= MAX_BYTES);
        let mut reader = Reader::new(&mut source).unwrap();
        let refused = (0..4_000).rev().find_map(|n| reader.at_most(n * 2_000, 1).err());
        assert!(matches!(refused, Some(Error::Excessive { .. })));
        assert!(reader.usage().reads <= MAX_READS);
    }

    #[test]
    fn titles_of_one_file_share_a_budget() {
        for byte in [b'x', 0xFF] {
            let mut source = Cursor::new(vec![byte; 2_000]);
            let mut reader = Reader::new(&mut source).unwrap();
            let titles: Vec<_> = (0..2_000).map(|_| reader.title(0, 1_000).unwrap().unwrap()).collect();
            let total: usize = titles.iter().map(String::len).sum();
            assert!((60_000..=65_536).contains(&total), "{total}");
            assert!(!titles[0].ends_with(CUT) && titles[1_999] == "\u{2026}");
            assert!(reader.usage().cut_titles > 1_900);
        }
        let mut source = Cursor::new([vec![b'x'; 300], vec![0; 100_000]].concat());
        let mut reader = Reader::new(&mut source).unwrap();
        let padded = reader.title(0, 90_000).unwrap().unwrap();
        assert_eq!((padded.len(), reader.usage().cut_titles), (300, 0), "up to the first NUL");
    }
}
