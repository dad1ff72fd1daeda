//! Content hashes: `xxh64:<first 64 KiB>:<last 64 KiB>:<size>`. They identify a file that was moved. Hashing takes two
//! reads, whatever the size of the file.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use xxhash_rust::xxh64::xxh64;

use crate::library::files::facts::{ZERO_TAIL, ZEROS_HASH};

/// Bytes hashed at each end of a file.
const BLOCK: usize = 64 * 1024;
const _: () = assert!(BLOCK as u64 == ZERO_TAIL);

/// The hash of a file's ends, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ContentHash {
    first: u64,
    last: u64,
    size: u64,
}

impl ContentHash {
    /// Reads both ends of a file of `size` bytes. A file under 128 KiB is read whole and its hash stands twice.
    ///
    /// # Errors
    /// Of reading; `UnexpectedEof` when the file is shorter than `size`.
    pub(crate) fn from_file(file: &File, size: u64) -> io::Result<Self> {
        if size < 2 * BLOCK as u64 {
            let mut whole = vec![0; usize::try_from(size).unwrap_or_default()];
            file.read_exact_at(&mut whole, 0)?;
            let hash = xxh64(&whole, 0);
            return Ok(Self { first: hash, last: hash, size });
        }
        let mut block = vec![0; BLOCK];
        file.read_exact_at(&mut block, 0)?;
        let first = xxh64(&block, 0);
        file.read_exact_at(&mut block, size - BLOCK as u64)?;
        Ok(Self { first, last: xxh64(&block, 0), size })
    }

    /// Whether the file ends with 64 KiB of zeros, as a download or copy does that was allocated and not finished. Not known of
    /// a file under 128 KiB.
    #[must_use]
    pub(crate) fn has_zero_tail(self) -> bool {
        self.last == ZEROS_HASH && self.size >= 2 * BLOCK as u64
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
        for (bytes, zeros, expected) in [
            (ZERO_TAIL, ZERO_TAIL, true),
            (1, 2 * ZERO_TAIL, true),
            (ZERO_TAIL + 1, ZERO_TAIL - 1, false),
            (2 * ZERO_TAIL, 0, false),
            (1, ZERO_TAIL, false),
        ] {
            let file = tempfile::tempfile().expect("a file");
            file.write_all_at(&vec![1; usize::try_from(bytes).expect("small")], 0).expect("written");
            file.set_len(bytes + zeros).expect("extended");
            let hash = ContentHash::from_file(&file, bytes + zeros).expect("read");
            assert_eq!(hash.has_zero_tail(), expected, "{bytes} bytes and {zeros} zeros");
        }
    }
}
