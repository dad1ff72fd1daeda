//! Finds the format of a file and calls its parser.

use std::fs::{File, FileType, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::container::FORMATS;
use super::container::format::HEAD;
use super::error::Error;
use super::guard::catch_panics;
use super::info::MediaInfo;
use super::reader::{Reader, Usage};

/// Reads a video's container and tracks. The format is recognised by content.
///
/// # Errors
///
/// See [`Error`]. A panic of a parser is one too.
pub fn probe(source: impl Read + Seek) -> Result<MediaInfo, Error> {
    measure(source).0
}

/// As [`probe`], for a file by its path. FIFOs and devices are refused without blocking.
///
/// # Errors
///
/// See [`Error`].
pub fn probe_file(path: &Path) -> Result<MediaInfo, Error> {
    probe(open(path)?)
}

/// As [`probe`], and its cost.
pub fn measure(mut source: impl Read + Seek) -> (Result<MediaInfo, Error>, Usage) {
    let mut usage = Usage::default();
    let info = catch_panics(|| {
        let mut reader = Reader::new(&mut source)?;
        let info = parse(&mut reader);
        usage = reader.usage();
        info
    });
    (info, usage)
}

/// Opens a regular file for reading; refuses all others.
///
/// # Errors
///
/// [`Error::NotAFile`] and [`Error::Io`].
pub fn open(path: &Path) -> Result<File, Error> {
    // Checked before, because opening a device can have effects, and after, because the file may
    // have changed.
    regular(std::fs::metadata(path)?.file_type())?;
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn regular(kind: FileType) -> Result<(), Error> {
    let kind = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a FIFO",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(Error::NotAFile { kind })
}

fn parse(reader: &mut Reader<'_>) -> Result<MediaInfo, Error> {
    let head = reader.at_most(0, HEAD)?;
    match FORMATS.iter().find(|format| (format.recognises)(head)) {
        Some(format) => (format.parse)(reader),
        None => Err(Error::NotAVideo { supported: supported(), found: describe_content(head) }),
    }
}

/// The names of all formats: `A, B or C`.
fn supported() -> String {
    let titles: Vec<&str> = FORMATS.iter().flat_map(|format| format.titles).copied().collect();
    match titles.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => titles.concat(),
    }
}

/// The file name extensions of all formats: lower case, without the dot.
pub fn extensions() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().flat_map(|format| format.extensions).copied()
}

/// The kind of a file that is not a known video, to complete the sentence "it …".
fn describe_content(head: &[u8]) -> &'static str {
    const KINDS: [(usize, &[u8], &str); 26] = [
        (0, b"\xFF\xD8\xFF", "is a JPEG image"),
        (0, b"\x89PNG\r\n\x1A\n", "is a PNG image"),
        (0, b"GIF8", "is a GIF image"),
        (4, b"jP  ", "is a JPEG 2000 image"),
        (8, b"WEBP", "is a WebP image"),
        (8, b"WAVE", "is WAVE audio"),
        (0, b"ID3", "is MP3 audio"),
        (0, b"fLaC", "is FLAC audio"),
        (0, b"OggS", "is an Ogg file"),
        (0, b"FLV\x01", "is a Flash video (FLV)"),
        (0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "is a Windows Media file (ASF)"),
        (0, b".RMF", "is a RealMedia file"),
        (0, b"\x00\x00\x01\xBA", "is an MPEG program stream"),
        (0, b"\x00\x00\x01\xB3", "is an MPEG elementary stream"),
        (0, b"PK\x03\x04", "is a ZIP archive"),
        (0, b"Rar!\x1A\x07", "is a RAR archive"),
        (0, b"7z\xBC\xAF\x27\x1C", "is a 7z archive"),
        (0, b"\x1F\x8B", "is gzip-compressed"),
        (0, b"%PDF", "is a PDF document"),
        (0, b"SQLite format 3\0", "is an SQLite database"),
        (0, b"\x7FELF", "is a program"),
        (0, b"\x1F\x43\xB6\x75", "is a media segment of a WebM stream, without its headers"),
        (0, b"<!DOCTYPE", "is an HTML page"),
        (0, b"<html", "is an HTML page"),
        (0, b"<?xml", "is an XML document"),
        (0, b"d8:announce", "is a torrent description"),
    ];
    let found =
        KINDS.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    if let Some((_, _, kind)) = found {
        return kind;
    }
    match head {
        _ if is_transport_stream(head, 0, 188) => "looks like an MPEG transport stream",
        _ if is_transport_stream(head, 4, 192) => "looks like an MPEG transport stream (M2TS)",
        _ if head.iter().all(|byte| *byte == 0) => "begins with zeros, as an incomplete download does",
        _ if head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7E | 0x80..)) => {
            "looks like text"
        }
        _ => "begins with nothing known",
    }
}

/// Whether packets of `length` bytes begin with the sync byte of ISO/IEC 13818-1, after a time stamp of `skip` bytes (in
/// M2TS, as Blu-ray discs and camcorders have it).
fn is_transport_stream(head: &[u8], skip: usize, length: usize) -> bool {
    let mut packets = head.iter().skip(skip).step_by(length);
    head.len() > skip + length && packets.all(|byte| *byte == 0x47) && !head.is_ascii()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn content_is_described_truthfully() {
        let packets = |skip: usize| [&vec![1; skip][..], &[0x47], &[0xFF; 187]].concat().repeat(3);
        for (content, expected) in [
            (packets(0), "looks like an MPEG transport stream"),
            (packets(4), "looks like an MPEG transport stream (M2TS)"),
            (packets(4)[..200].to_vec(), "looks like an MPEG transport stream (M2TS)"),
            (packets(3), "begins with nothing known"),
            (b"Good \xC3\xA9 text".to_vec(), "looks like text"),
            (b"\x1F\x43\xB6\x75\x81\0".to_vec(), "is a media segment of a WebM stream, without its headers"),
        ] {
            let Err(Error::NotAVideo { found, .. }) = probe(Cursor::new(&content)) else {
                panic!("{content:?} is a video")
            };
            assert_eq!(found, expected, "{content:?}");
        }
    }
}
