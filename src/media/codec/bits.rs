//! A bit reader for the headers of codecs.

/// Reads a slice bit by bit, the most significant first. Reads past the end return `None`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Remaining bits.
    pub(crate) fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    /// The next bit.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// The next `count` bits as a number; `count` is at most 32.
    pub(crate) fn number(&mut self, count: usize) -> Option<u32> {
        if count > self.left() {
            return None;
        }
        let mut number = 0;
        for _ in 0..count {
            number = number << 1 | u32::from(self.flag()?);
        }
        Some(number)
    }

    /// The next `count` bits, without consuming them.
    pub(crate) fn peek(&self, count: usize) -> Option<u32> {
        let mut ahead = *self;
        ahead.number(count)
    }

    /// Skips `count` bits.
    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        if count > self.left() {
            return None;
        }
        self.at += count;
        Some(())
    }

    /// Skips `count` bits if the flag before them is set.
    pub(crate) fn skip_if(&mut self, count: usize) -> Option<()> {
        if self.flag()? { self.skip(count) } else { Some(()) }
    }

    /// An unsigned Exp-Golomb code (ISO/IEC 14496-10, 9.1).
    pub(crate) fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.number(zeros)?)
    }

    /// A signed Exp-Golomb code.
    pub(crate) fn signed_golomb(&mut self) -> Option<i32> {
        let code = i64::from(self.golomb()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes() {
        let mut bits = Bits::new(&[0b1010_0011, 0b0100_0000]);
        assert_eq!(bits.peek(3), Some(0b101));
        assert_eq!(bits.flag(), Some(true));
        assert_eq!(bits.golomb(), Some(1)); // 010
        assert_eq!(bits.golomb(), Some(5)); // 00110
        assert_eq!(bits.left(), 7);
        assert_eq!(bits.signed_golomb(), Some(0)); // 1
        assert_eq!(bits.golomb(), None);
        assert_eq!(Bits::new(&[0; 8]).golomb(), None);
        assert_eq!(Bits::new(&[0xFF]).number(9), None);
    }
}
