//! Names of files: which are ignored, and how names of any bytes are stored as text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Extensions of unfinished downloads and copies, in lower case. Most programs append them to the name, which then has no
/// extension of a video; they count before the last extension too (`film.part.mkv`).
const PARTIAL: [&[u8]; 10] =
    [b"part", b"partial", b"!qb", b"!ut", b"!bt", b"crdownload", b"download", b"aria2", b"filepart", b"tmp"];

/// Directories of file systems and NAS systems: not readable (which would be an error of every walk), or with thumbnails or
/// deleted files.
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
fn is_hidden(name: &[u8]) -> bool {
    name.first() == Some(&b'.')
}

/// A directory that scans do not enter.
fn is_system(name: &[u8]) -> bool {
    SYSTEM.contains(&name)
}

/// Whether scans ignore a file or directory of that name, with all below it.
pub(crate) fn is_ignored(name: &[u8]) -> bool {
    is_hidden(name) || is_system(name)
}

/// The file of an unfinished download or copy.
fn is_partial(name: &[u8]) -> bool {
    let mut parts = name.rsplit(|byte| *byte == b'.');
    let last = parts.next().unwrap_or_default();
    // The first part is the name itself: `download.mkv` is a film of that name.
    let before = parts.next().filter(|_| parts.next().is_some()).unwrap_or_default();
    PARTIAL.iter().any(|ending| last.eq_ignore_ascii_case(ending) || before.eq_ignore_ascii_case(ending))
}

/// Whether a name has one of `extensions` (lower case, without the dot), in any case.
pub(crate) fn has_extension(name: &[u8], extensions: &[String]) -> bool {
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0) else { return false };
    extensions.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(&name[dot + 1..]))
}

/// Whether a name is that of a finished video with one of `extensions`.
pub(crate) fn is_video(name: &[u8], extensions: &[String]) -> bool {
    has_extension(name, extensions) && !is_partial(name)
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

/// A name for people, with `\xE9` for each byte that is not part of a character. Unlike [`encode`] it shows which of two
/// names that are stored alike is meant.
pub(crate) fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

/// The paths that a stored path below a root may stand for: itself, and the path with the parts decoded that [`encode`] can
/// have written. A name that is UTF-8 may look encoded (`%E9.mkv`), so the path itself comes first.
pub(crate) fn path_candidates(path: &str) -> impl Iterator<Item = Vec<u8>> {
    let decoded = |part: &str| decode(part).unwrap_or_else(|| part.as_bytes().to_vec());
    let decoded = path.split('/').map(decoded).collect::<Vec<_>>().join(&b'/');
    let path = path.as_bytes().to_vec();
    let decoded = (decoded != path).then_some(decoded);
    std::iter::once(path).chain(decoded)
}

/// The name that is not UTF-8 and is stored as this.
fn decode(name: &str) -> Option<Vec<u8>> {
    let mut parts = name.as_bytes().split(|byte| *byte == b'%');
    let mut bytes = parts.next()?.to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
        bytes.extend_from_slice(rest);
    }
    let is_stored_so = std::str::from_utf8(&bytes).is_err() && encode(&bytes) == name;
    is_stored_so.then_some(bytes)
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
            assert!(path_candidates(&stored).any(|candidate| candidate == name), "{stored}");
        }
        assert_eq!(encode(b"\xE9t\xC3\xA9 100%.mkv"), "%E9t\u{e9} 100%25.mkv");
        assert_eq!(encode(b"100%.mkv"), "100%.mkv");
        assert_eq!(shown(b"\xE9t\xC3\xA9 100%.mkv"), "\\xE9t\u{e9} 100%.mkv");
    }

    #[test]
    fn a_stored_path_stands_for_itself_and_for_what_is_stored_so() {
        let of = |path: &str| path_candidates(path).collect::<Vec<_>>();
        assert_eq!(of("/a/%E9.mkv"), [&b"/a/%E9.mkv"[..], b"/a/\xE9.mkv"]);
        assert_eq!(of("/%FF/a%/%E9"), [&b"/%FF/a%/%E9"[..], b"/\xFF/a%/\xE9"]);
        // Nothing is ever stored like these but themselves.
        for literal in
            ["/a.mkv", "/%41.mkv", "/%e9.mkv", "/%E9%41.mkv", "/100%", "/%E9%", "/%C3%A9.mkv", "/%+9"]
        {
            assert_eq!(of(literal), [literal.as_bytes()]);
        }
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
        assert!(is_video(b"a.MKV", &known));
        assert!(!is_video(b".mkv", &known));
        assert!(!is_video(b"mkv", &known));
    }
}
