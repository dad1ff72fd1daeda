//! Numbers and texts in a slice of a file.

use crate::base::text::{CUT, boundary_within};

/// Maximum length of a word in bytes: a codec, a language, a media type. The longest registered ones are a third of it.
pub(crate) const MAX_WORD: usize = 255;

/// The big-endian number at an offset of a slice; `None` past its end.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// As [`u16_at`].
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// As [`u16_at`].
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A text up to the first NUL, with invalid UTF-8 replaced; `None` when empty.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes));
    (!text.is_empty()).then(|| text.into_owned())
}

/// As [`text`], of at most `most` bytes, and whether it was cut. A longer one ends with [`CUT`]; so does one of which
/// `bytes` holds only the beginning (`is_whole`).
pub(crate) fn title(bytes: &[u8], is_whole: bool, most: usize) -> (Option<String>, bool) {
    let is_whole = is_whole || bytes.contains(&0);
    let Some(mut title) = text(bytes) else { return (None, false) };
    if is_whole && title.len() <= most {
        return (Some(title), false);
    }
    title.truncate(boundary_within(&title, most.saturating_sub(CUT.len_utf8())));
    // The last character may have been cut within.
    if !is_whole && title.ends_with(char::REPLACEMENT_CHARACTER) {
        title.pop();
    }
    title.push(CUT);
    title.shrink_to_fit();
    (Some(title), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_title_is_cut_between_characters() {
        for (bytes, is_whole, most, expected, is_cut) in [
            (&b"Director's cut\0\0"[..], true, 20, "Director's cut", false),
            (b"Director's cut", true, 14, "Director's cut", false),
            (b"Director's cut", true, 13, "Director's\u{2026}", true),
            (b"Director\0", false, 20, "Director", false),
            (b"Director", false, 20, "Director\u{2026}", true),
            ("\u{fc}\u{fc}\u{fc}".as_bytes(), true, 5, "\u{fc}\u{2026}", true),
            (&"\u{fc}\u{fc}".as_bytes()[..3], false, 20, "\u{fc}\u{2026}", true),
            (b"\xff\xff\xff", true, 9, "\u{fffd}\u{fffd}\u{fffd}", false),
            (b"\xff\xff\xff", true, 8, "\u{fffd}\u{2026}", true),
            (b"x", true, 0, "\u{2026}", true),
        ] {
            let (title, cut) = title(bytes, is_whole, most);
            assert_eq!((title.as_deref(), cut), (Some(expected), is_cut), "{bytes:?} {most}");
        }
        assert_eq!(title(b"\0x", true, 9), (None, false));
        assert_eq!(title(b"", true, 9), (None, false));
    }
}
