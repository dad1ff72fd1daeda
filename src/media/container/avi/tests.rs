//! What is read from the first frames, and where they are searched.

use std::io::Cursor;

use crate::media::{MediaInfo, Usage, measure};

/// A video object layer (ISO/IEC 14496-2, 6.2.3) of 320 × 240 pixels and 15 frames a second.
const LAYER: &[u8] = b"\0\0\x01\x20\x00\x84\x40\x03\xF1\x85\x02\x0F\x08";

fn chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).unwrap().to_le_bytes();
    [name, &size, content, &vec![0; content.len() % 2]].concat()
}

fn list(name: &[u8], parts: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[name, &parts.concat()].concat())
}

fn little(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// A film of 640 × 352 pixels and 25 frames a second by its header, and what lies in `movi`.
fn read(codec: &[u8], media: &[Vec<u8>]) -> (MediaInfo, Usage) {
    film(&[stream(b"vids", codec, &bitmap(codec))], media)
}

fn bitmap(codec: &[u8]) -> Vec<u8> {
    [little(&[40, 640, 352]), vec![1, 0, 24, 0], codec.to_vec(), little(&[0; 5])].concat()
}

fn stream(kind: &[u8], handler: &[u8], format: &[u8]) -> Vec<u8> {
    let header = little(&[0, 0, 0, 1, 25, 0, 250, 0, 0, 0, 0, 0]);
    list(b"strl", &[chunk(b"strh", &[kind, handler, &header].concat()), chunk(b"strf", format)])
}

fn film(streams: &[Vec<u8>], media: &[Vec<u8>]) -> (MediaInfo, Usage) {
    let body = [list(b"hdrl", streams), list(b"movi", media)].concat();
    let (info, usage) = measure(Cursor::new(chunk(b"RIFF", &[b"AVI ", &body[..]].concat())));
    (info.unwrap(), usage)
}

/// Codec and channels of a sound track that states three channels, with this configuration and these chunks.
fn sound_track(tag: u16, config: &[u8], media: &[Vec<u8>]) -> (String, u32) {
    let size = u16::try_from(config.len()).unwrap().to_le_bytes();
    let fixed = [little(&[48_000, 24_000]), vec![1, 0, 16, 0]].concat();
    let wave = [&tag.to_le_bytes(), &[3, 0][..], &fixed, &size, config].concat();
    let streams = [stream(b"vids", b"MJPG", &bitmap(b"MJPG")), stream(b"auds", &[0; 4], &wave)];
    let track = film(&streams, media).0.tracks.remove(1);
    (track.codec.unwrap(), track.channels.unwrap())
}

fn rate(media: &[Vec<u8>]) -> String {
    read(b"XVID", media).0.tracks.remove(0).frame_rate.unwrap()
}

fn frame() -> Vec<u8> {
    chunk(b"00dc", &[LAYER, &[0; 40]].concat())
}

#[test]
fn the_first_frame_is_found_behind_sound() {
    let sound = |count: usize, size: usize| vec![chunk(b"01wb", &vec![0; size]); count];
    for (count, size) in [(0, 0), (4, 100), (63, 100), (50, 1201), (6, 10_000), (1, 1_000_000)] {
        let media = [sound(count, size), vec![frame()], sound(9, 10_000)].concat();
        assert_eq!(rate(&media), "15/1", "behind {count} chunks of {size} bytes");
        let (info, usage) = read(b"XVID", &media);
        assert_eq!((info.tracks[0].width, info.tracks[0].height), (Some(320), Some(240)));
        assert!(usage.reads <= 6 && usage.bytes <= 100_000, "{usage:?}");
    }
    let in_record = list(b"rec ", &[sound(1, 100), vec![frame()]].concat());
    assert_eq!(rate(&[in_record]), "15/1");
    for (count, size) in [(64, 100), (9, 20_000)] {
        assert_eq!(
            rate(&[sound(count, size), vec![frame()]].concat()),
            "25/1",
            "too far: {count} of {size} bytes"
        );
    }
}

#[test]
fn no_frame_is_searched_for_other_codecs() {
    let media = vec![chunk(b"01wb", &[0; 10_000]); 9];
    assert_eq!(read(b"MJPG", &media).1.reads, 1);
}

#[test]
fn a_layer_in_the_stream_format_needs_no_frame() {
    let format = [&bitmap(b"XVID")[..], LAYER].concat();
    let sound = vec![chunk(b"01wb", &[0; 10_000]); 9];
    let (info, usage) = film(&[stream(b"vids", b"XVID", &format)], &sound);
    let track = &info.tracks[0];
    assert_eq!(
        (track.width, track.height, track.frame_rate.as_deref()),
        (Some(320), Some(240), Some("15/1"))
    );
    assert_eq!(usage.reads, 1);
}

#[test]
fn channels_are_those_of_the_stream() {
    let frame = |start: &[u8]| chunk(b"01wb", &[start, &[0; 40]].concat());
    let picture = chunk(b"00dc", &vec![0; 30_000]);
    let found = |tag, config: &[u8], start: &[u8]| sound_track(tag, config, &[picture.clone(), frame(start)]);
    let surround = [0x0B, 0x77, 0x12, 0x34, 0x1C, 0x40, 0xE1, 0xDF];
    let dts = [0x7F, 0xFE, 0x80, 0x01, 0xFC, 0x3C, 0x7D, 0xF2, 0x77, 0x00, 0x04];
    let mut stream_info = [0; 34];
    stream_info[12] = 0x4A;
    for (codec, channels, tag, config, start) in [
        ("ac3", 6, 0x2000, &[][..], &surround[..]),
        ("ac3", 6, 0x2000, &[], &[&[0; 99][..], &surround].concat()),
        ("eac3", 6, 0x2000, &[], &[0x0B, 0x77, 0x02, 0x7F, 0x3F, 0x87]),
        ("dts", 6, 0x2001, &[], &dts),
        ("mp3", 1, 0x0055, &[], &[0xFF, 0xFB, 0x90, 0xC4]),
        ("mp2", 2, 0x0050, &[], &[0xFF, 0xFD, 0x90, 0x64]),
        ("aac", 6, 0x00FF, &[], &[0xFF, 0xF1, 0x4D, 0x80, 0x22, 0x1F, 0xFC]),
        ("aac", 2, 0x00FF, &[0x12, 0x10], &[]),
        ("flac", 6, 0xF1AC, &[], &[0xFF, 0xF8, 0xC9, 0x58]),
        ("flac", 6, 0xF1AC, &stream_info, &[]),
        ("vorbis", 5, 0x566F, b"\x02\x1E\x20\x01vorbis\0\0\0\0\x05", &[]),
        ("wmav2", 3, 0x0161, &[], &[]),
        ("ac3", 3, 0x2000, &[], b"no frame"),
    ] {
        assert_eq!(found(tag, config, start), (codec.to_owned(), channels), "{tag:04X}");
    }
    let late = [vec![picture], vec![chunk(b"01wb", &[]); 2], vec![frame(&surround)]].concat();
    assert_eq!(sound_track(0x2000, &[], &late).1, 6, "after empty chunks");
}

#[test]
fn bytes_that_are_missing_are_those_of_all_riff_chunks() {
    let body = [b"AVI ", &list(b"hdrl", &[stream(b"vids", b"MJPG", &bitmap(b"MJPG"))])[..]].concat();
    let first = chunk(b"RIFF", &[&body[..], &list(b"movi", &[vec![0; 400]])].concat());
    let more = chunk(b"RIFF", &[b"AVIX", &[0; 300][..]].concat());
    let missing = |file: Vec<u8>| measure(Cursor::new(file)).0.unwrap().facts.missing_bytes;
    let open_dml = [first.clone(), more.clone(), more].concat();
    assert_eq!(missing(first.clone()), Some(0));
    assert_eq!(missing(first[..first.len() - 9].to_vec()), Some(9));
    assert_eq!(missing(open_dml.clone()), Some(0));
    assert_eq!(missing(open_dml[..open_dml.len() - 30].to_vec()), Some(30));
    assert_eq!(missing([&first[..], b"other data behind"].concat()), Some(0));
    let padded = |tail: &[Vec<u8>]| {
        let body = [&body[..], &list(b"movi", &[vec![0; 400]]), &tail.concat()].concat();
        measure(Cursor::new(chunk(b"RIFF", &body))).0.unwrap().facts.media_end
    };
    let data = first.len() as u64;
    assert_eq!(padded(&[]), Some(data));
    assert_eq!(padded(&[chunk(b"JUNK", &[0; 900])]), Some(data));
    assert_eq!(padded(&[chunk(b"idx1", &[0; 80]), chunk(b"JUNK", &[0; 900])]), Some(data + 88));
    for unknown in [0, u32::MAX] {
        let file = [b"RIFF", &unknown.to_le_bytes()[..], &first[8..]].concat();
        assert_eq!(missing(file), None, "a recording that was not finished");
    }
}
