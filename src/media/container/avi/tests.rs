//! Where the first frame of MPEG-4 video is searched.

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
    let header = little(&[0, 0, 0, 1, 25, 0, 250, 0, 0, 0, 0, 0]);
    let bitmap = [little(&[40, 640, 352]), vec![1, 0, 24, 0], codec.to_vec(), little(&[0; 5])].concat();
    let stream = [chunk(b"strh", &[b"vids", codec, &header].concat()), chunk(b"strf", &bitmap)];
    let body = [list(b"hdrl", &[list(b"strl", &stream)]), list(b"movi", media)].concat();
    let (info, usage) = measure(Cursor::new(chunk(b"RIFF", &[b"AVI ", &body[..]].concat())));
    (info.unwrap(), usage)
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
    for (count, size) in [(0, 0), (4, 100), (63, 100), (50, 1201), (6, 10_000)] {
        let media = [sound(count, size), vec![frame()], sound(9, 10_000)].concat();
        assert_eq!(rate(&media), "15/1", "behind {count} chunks of {size} bytes");
        let (info, usage) = read(b"XVID", &media);
        assert_eq!((info.tracks[0].width, info.tracks[0].height), (Some(320), Some(240)));
        assert!(usage.reads <= 6 && usage.bytes <= 100_000, "{usage:?}");
    }
    let in_record = list(b"rec ", &[sound(1, 100), vec![frame()]].concat());
    assert_eq!(rate(&[in_record]), "15/1");
    for (count, size) in [(64, 100), (7, 10_000), (1, 1_000_000)] {
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
