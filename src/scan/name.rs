//! Names of files: which are looked at, and how any bytes become the library's text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Endings of downloads and copies that are not finished, in lower case. Most put it after the video's own
/// extension, where the extension already rules them out; it counts before it too (`film.part.mkv`).
const PARTIAL: [&[u8]; 10] =
    [b"part", b"partial", b"!qb", b"!ut", b"!bt", b"crdownload", b"download", b"aria2", b"filepart", b"tmp"];

/// Directories that file systems and NAS systems keep for themselves: unreadable (which would be an error of
/// every walk), full of thumbnails, or full of what was deleted.
const SYSTEM: [&[u8]; 7] = [
    b"lost+found",
    b"System Volume Information",
    b"$RECYCLE.BIN",
    b"@eaDir",
    b"#recycle",
    b"@Recycle",
    b"#snapshot",
];

/// Hidden by convention.
pub(crate) fn is_hidden(name: &[u8]) -> bool {
    name.first() == Some(&b'.')
}

/// A directory that no scan enters.
pub(crate) fn is_system(name: &[u8]) -> bool {
    SYSTEM.contains(&name)
}

/// A file that is still to become what it is called.
pub(crate) fn is_partial(name: &[u8]) -> bool {
    let mut parts = name.rsplit(|byte| *byte == b'.');
    let last = parts.next().unwrap_or_default();
    // The first part is the name itself: `download.mkv` is a film of that name.
    let before = parts.next().filter(|_| parts.next().is_some()).unwrap_or_default();
    PARTIAL.iter().any(|ending| last.eq_ignore_ascii_case(ending) || before.eq_ignore_ascii_case(ending))
}

/// The extension among `extensions` (lower case, without the dot) that a name has, in any case.
pub(crate) fn extension<'a>(name: &[u8], extensions: &'a [String]) -> Option<&'a str> {
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0)?;
    let ending = &name[dot + 1..];
    extensions.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(ending)).map(String::as_str)
}

/// A name as the library stores it: itself when it is UTF-8, else with `%XX` for each byte that is not part
/// of a character, and `%25` for `%`.
pub(crate) fn encode(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for chunk in name.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    Cow::Owned(text)
}

/// A stored path as bytes for the kernel. A part of it whose `%XX` give bytes that are no UTF-8 was written
/// by [`encode`]; any other is itself.
pub(crate) fn decode(path: &str) -> Cow<'_, [u8]> {
    if !path.contains('%') {
        return Cow::Borrowed(path.as_bytes());
    }
    let parts: Vec<_> = path.split('/').map(decode_name).collect();
    Cow::Owned(parts.join(&b'/'))
}

fn decode_name(name: &str) -> Vec<u8> {
    let literal = || name.as_bytes().to_vec();
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let Some((hex, after)) = rest.split_at_checked(2) else { return literal() };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (Some(high), Some(low)) = (digit(hex[0]), digit(hex[1])) else { return literal() };
        bytes.push(high << 4 | low);
        rest = after;
    }
    if std::str::from_utf8(&bytes).is_ok() { literal() } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive_a_round_trip() {
        for name in [
            &b"plain.mkv"[..],
            b"100%25 real.mkv",
            b"a%.mkv",
            "ünï – файл.mkv".as_bytes(),
            b"latin \xE9t\xE9 100%.mkv",
            b"\xFF%41.mkv",
            b"\xC3(.mkv",
        ] {
            let stored = encode(name).into_owned();
            assert_eq!(decode(&stored), name, "{stored}");
        }
        assert_eq!(encode(b"\xE9t\xC3\xA9 100%.mkv"), "%E9t\u{e9} 100%25.mkv");
        assert_eq!(encode(b"100%.mkv"), "100%.mkv");
    }

    #[test]
    fn unfinished_and_hidden_names_are_told_apart() {
        for name in ["film.mkv.part", "film.mkv.!qB", "film.part.mkv", "film.mkv.crdownload", "x.TMP"] {
            assert!(is_partial(name.as_bytes()), "{name}");
        }
        for name in ["film.mkv", "download.mkv", "part 2.mkv", "The.Download.Of.x.mkv"] {
            assert!(!is_partial(name.as_bytes()), "{name}");
        }
        let known = ["mkv".to_owned(), "mp4".to_owned()];
        assert_eq!(extension(b"a.MKV", &known), Some("mkv"));
        assert_eq!(extension(b".mkv", &known), None);
        assert_eq!(extension(b"mkv", &known), None);
    }
}
