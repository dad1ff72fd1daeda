//! Finds the format of a file and calls its parser.

use std::fs::{File, FileType, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::io::Errno;

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
    measure_file(&open(path)?).0
}

/// As [`probe`], and its cost.
pub fn measure(mut source: impl Read + Seek) -> (Result<MediaInfo, Error>, Usage) {
    let mut usage = Usage::default();
    let info = catch_panics(|| {
        let mut reader = Reader::new(&mut source)?;
        let mut info = parse(&mut reader);
        if let Ok(info) = &mut info
            && info.tracks.iter().filter_map(|track| track.codec.as_deref()).any(is_raw)
        {
            info.facts.media_end = Some(0);
        }
        usage = reader.usage();
        info
    });
    (info, usage)
}

/// As [`measure`], of an open file, and with the holes in it.
pub fn measure_file(file: &File) -> (Result<MediaInfo, Error>, Usage) {
    let (mut info, usage) = measure(file);
    if let Ok(info) = &mut info {
        info.facts.hole_bytes = hole_bytes(file);
    }
    (info, usage)
}

/// Whether silence or black of a codec are zeros.
fn is_raw(codec: &str) -> bool {
    codec.starts_with("pcm_") || matches!(codec, "rawvideo" | "r210" | "r10k")
}

/// Maximum of holes that are counted.
const MAX_HOLES: u32 = 1_000;

/// How many bytes of a file are holes: one question of the file system if there are none. `None` if it does not tell.
fn hole_bytes(file: &File) -> Option<u64> {
    let length = file.metadata().ok()?.len();
    let (mut at, mut holes) = (0, 0);
    for _ in 0..MAX_HOLES {
        // Every file ends with a hole of no bytes.
        let hole = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(at)).ok()?;
        if hole >= length {
            break;
        }
        at = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(hole)) {
            Ok(data) => data.min(length),
            Err(Errno::NXIO) => length,
            Err(_) => return None,
        };
        holes += at.saturating_sub(hole);
        if at >= length {
            break;
        }
    }
    Some(holes)
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
        // A disc begins with 32 KiB that ISO 9660 and UDF leave unused (ECMA-119, 6.2.1; ECMA-167, 2/9.1).
        None if head.iter().all(|byte| *byte == 0)
            && matches!(reader.at_most(DISC_MARK, 5)?, b"CD001" | b"BEA01") =>
        {
            Err(Error::UnreadContainer { supported: supported(), container: "a disc image (ISO)" })
        }
        None => Err(refuse(reader.at_most(0, HEAD)?)),
    }
}

/// Where the first descriptor of a disc has its identifier.
const DISC_MARK: u64 = 32_769;

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

/// A beginning by which content is recognised: where, what, and the name.
type Magic = (usize, &'static [u8], &'static str);

/// Containers of videos that are not read.
const CONTAINERS: &[Magic] = &[
    (0, b"FLV\x01", "a Flash video (FLV)"),
    (0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "a Windows Media file (ASF, WMV)"),
    (0, b"\xB7\xD8\x00\x20\x37\x49\xDA\x11\xA6\x4E\x00\x07\xE9\x5E\xAD\x8D", "a Windows TV recording (WTV)"),
    (0, b".RMF", "a RealMedia file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"\x00\x00\x01\xBA", "an MPEG program stream (MPG, VOB)"),
    (0, b"\x00\x00\x01\xB3", "an MPEG elementary stream"),
    (0, b"\x06\x0E\x2B\x34\x02\x05\x01\x01\x0D\x01\x02", "an MXF file"),
    (0, b"DKIF", "an IVF file"),
    (0, b"YUV4MPEG2", "uncompressed video (Y4M)"),
    (0, b"nut/multimedia container\0", "a NUT file"),
    (0, b"TiVo", "a TiVo recording"),
    (0, b"\x1F\x43\xB6\x75", "a media segment of a WebM stream, without its headers"),
];

/// Well-known files of other kinds.
const OTHERS: &[Magic] = &[
    (0, b"\xFF\xD8\xFF", "is a JPEG image"),
    (0, b"\x89PNG\r\n\x1A\n", "is a PNG image"),
    (0, b"GIF8", "is a GIF image"),
    (4, b"jP  ", "is a JPEG 2000 image"),
    (8, b"WEBP", "is a WebP image"),
    (8, b"WAVE", "is WAVE audio"),
    (0, b"ID3", "is MP3 audio"),
    (0, b"fLaC", "is FLAC audio"),
    (0, b"PK\x03\x04", "is a ZIP archive"),
    (0, b"Rar!\x1A\x07", "is a RAR archive"),
    (0, b"7z\xBC\xAF\x27\x1C", "is a 7z archive"),
    (0, b"\x1F\x8B", "is gzip-compressed"),
    (0, b"%PDF", "is a PDF document"),
    (0, b"SQLite format 3\0", "is an SQLite database"),
    (0, b"\x7FELF", "is a program"),
    (0, b"<!DOCTYPE", "is an HTML page"),
    (0, b"<html", "is an HTML page"),
    (0, b"<?xml", "is an XML document"),
    (0, b"d8:announce", "is a torrent description"),
];

/// Why a file of no known format is refused.
fn refuse(head: &[u8]) -> Error {
    let find = |table: &[Magic]| {
        let is_here = |(at, magic, _): &&Magic| head.get(*at..).is_some_and(|rest| rest.starts_with(magic));
        table.iter().find(is_here).map(|(_, _, name)| *name)
    };
    let stream = || {
        let kinds = [(0, 188, "an MPEG transport stream"), (4, 192, "an MPEG transport stream (M2TS)")];
        kinds
            .iter()
            .find(|(skip, length, _)| is_transport_stream(head, *skip, *length))
            .map(|(_, _, name)| *name)
    };
    let found = match find(OTHERS) {
        Some(kind) => kind,
        None => match find(CONTAINERS).or_else(stream) {
            Some(container) => return Error::UnreadContainer { supported: supported(), container },
            None if head.iter().all(|byte| *byte == 0) => "begins with zeros, as an incomplete download does",
            None if head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7E | 0x80..)) => {
                "looks like text"
            }
            None => "begins with nothing known",
        },
    };
    Error::NotAVideo { supported: supported(), found }
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
            (packets(0), "an MPEG transport stream"),
            (packets(4), "an MPEG transport stream (M2TS)"),
            (packets(4)[..200].to_vec(), "an MPEG transport stream (M2TS)"),
            (packets(3), "begins with nothing known"),
            (b"Good \xC3\xA9 text".to_vec(), "looks like text"),
            ([vec![0; 32_769], b"CD001\x01".to_vec()].concat(), "a disc image (ISO)"),
            ([vec![0; 32_769], b"BEA01\x01".to_vec()].concat(), "a disc image (ISO)"),
            (vec![0; 40_000], "begins with zeros, as an incomplete download does"),
            (b"FLV\x01\x05\0\0\0\x09".to_vec(), "a Flash video (FLV)"),
            (b"\x1F\x43\xB6\x75\x81\0".to_vec(), "a media segment of a WebM stream, without its headers"),
        ] {
            let found = match probe(Cursor::new(&content)) {
                Err(Error::NotAVideo { found, .. }) => found,
                Err(Error::UnreadContainer { container, .. }) => container,
                other => panic!("{expected}: {other:?}"),
            };
            assert_eq!(found, expected);
        }
    }
}
