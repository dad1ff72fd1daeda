//! Content hashes: `xxh64:<first 64 KiB>:<last 64 KiB>:<size>`. They identify a file that was moved. Hashing takes two
//! reads, whatever the size of the file.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use xxhash_rust::xxh64::xxh64;

/// Bytes hashed at each end of a file.
const BLOCK: usize = 64 * 1024;

/// The hash of a file's ends, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ContentHash {
    first: u64,
    last: u64,
    size: u64,
}

/// What both ends of a file tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) hash: ContentHash,
    /// Zero bytes seen at the end, if they are 64 KiB or more: of a download or copy that was allocated and not finished.
    /// Otherwise 0.
    pub(crate) zero_tail: u64,
}

impl Ends {
    /// Reads both ends of a file of `size` bytes. A file under 128 KiB is read whole and its hash stands twice.
    ///
    /// # Errors
    /// Of reading; `UnexpectedEof` when the file is shorter than `size`.
    pub(crate) fn from_file(file: &File, size: u64) -> io::Result<Self> {
        if size < 2 * BLOCK as u64 {
            let mut whole = vec![0; usize::try_from(size).unwrap_or_default()];
            file.read_exact_at(&mut whole, 0)?;
            let hash = xxh64(&whole, 0);
            let hash = ContentHash { first: hash, last: hash, size };
            return Ok(Self { hash, zero_tail: zero_tail(&whole) });
        }
        let mut block = vec![0; BLOCK];
        file.read_exact_at(&mut block, 0)?;
        let first = xxh64(&block, 0);
        file.read_exact_at(&mut block, size - BLOCK as u64)?;
        let hash = ContentHash { first, last: xxh64(&block, 0), size };
        Ok(Self { hash, zero_tail: zero_tail(&block) })
    }
}

/// Zero bytes at the end of `bytes`, if they fill a block; otherwise 0.
fn zero_tail(bytes: &[u8]) -> u64 {
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    if zeros >= BLOCK { zeros as u64 } else { 0 }
}

impl ContentHash {
    /// As [`Ends::from_file`].
    ///
    /// # Errors
    /// As [`Ends::from_file`].
    pub(crate) fn from_file(file: &File, size: u64) -> io::Result<Self> {
        Ends::from_file(file, size).map(|ends| ends.hash)
    }

    /// Reads the stored form; `None` for anything else.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("xxh64:")?.split(':');
        let mut hex = || u64::from_str_radix(parts.next().filter(|part| part.len() == 16)?, 16).ok();
        let (first, last) = (hex()?, hex()?);
        let size = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { first, last, size })
    }

    /// The file's size in bytes.
    #[must_use]
    pub(crate) fn size(self) -> u64 {
        self.size
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xxh64:{:016x}:{:016x}:{}", self.first, self.last, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_are_seen_if_they_fill_a_block() {
        const BLOCK: u64 = 64 * 1024;
        for (bytes, zeros, expected) in [
            (1, BLOCK, BLOCK),
            (0, BLOCK + 5, BLOCK + 5),
            (1, BLOCK - 1, 0),
            (BLOCK, 2 * BLOCK, BLOCK),
            (2 * BLOCK, BLOCK - 1, 0),
            (2 * BLOCK, 0, 0),
            (0, 0, 0),
        ] {
            let file = tempfile::tempfile().expect("a file");
            file.write_all_at(&vec![1; usize::try_from(bytes).expect("small")], 0).expect("written");
            file.set_len(bytes + zeros).expect("extended");
            let ends = Ends::from_file(&file, bytes + zeros).expect("read");
            assert_eq!(ends.zero_tail, expected, "{bytes} bytes and {zeros} zeros");
        }
    }
}
