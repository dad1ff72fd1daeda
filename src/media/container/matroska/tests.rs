//! Each rule on a tiny file of our own making.

mod facts;

use std::io::Cursor;

use super::*;
use crate::media::codec::video::VideoConfig;
use crate::media::probe;

fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let zeros = usize::try_from(id.leading_zeros() / 8).unwrap();
    let size = u64::try_from(content.len()).unwrap() | 1 << 56;
    [&id.to_be_bytes()[zeros..], &size.to_be_bytes(), content].concat()
}

fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// A track with the number 1.
fn track_entry(kind: u64, codec: &str, parts: &[&[u8]]) -> Vec<u8> {
    let fixed = [number(ids::TRACK_NUMBER, 1), number(ids::TRACK_TYPE, kind)].concat();
    element(
        ids::TRACK_ENTRY,
        &[&fixed, &element(ids::CODEC_ID, codec.as_bytes()), &parts.concat()[..]].concat(),
    )
}

/// A file of these elements below the Segment.
fn file(elements: &[&[u8]]) -> Vec<u8> {
    [element(ids::EBML, &[]), element(ids::SEGMENT, &elements.concat())].concat()
}

fn read(bytes: Vec<u8>) -> Result<MediaInfo, Error> {
    probe(Cursor::new(bytes))
}

/// The only track of a file with this entry and this content of its first Cluster.
fn only_track(entry: &[u8], cluster: &[u8]) -> Track {
    let parts = [element(ids::TRACKS, entry), element(ids::CLUSTER, cluster)];
    let info = read(file(&[&parts[0], &parts[1]])).unwrap();
    assert_eq!(info.tracks.len(), 1);
    info.tracks.into_iter().next().unwrap()
}

#[test]
fn the_claim_of_h264_needs_a_frame() {
    let video = VideoConfig { rate: Some((50, 2)), ..VideoConfig::default() };
    let entry = TrackEntry { kind: TrackKind::Video, ..TrackEntry::default() };
    let rate = |name, frames: &[Frame]| {
        let codec = Codec { name: Some(name), video, ..Codec::default() };
        estimated_rate(&entry, &codec, 1_000_000, frames).unwrap().to_string()
    };
    let frame = Frame { time: 0, duration: 40 };
    assert_eq!(rate("h264", &[]), "1000/1");
    assert_eq!(rate("h264", &[frame]), "25/1");
    assert_eq!(rate("hevc", &[]), "25/1");
}

#[test]
fn a_bcp_47_tag_overrules_the_language() {
    let language = |parts: &[(u32, &str)]| {
        let parts: Vec<u8> = parts.iter().flat_map(|(id, code)| element(*id, code.as_bytes())).collect();
        only_track(&track_entry(0x11, "S_TEXT/UTF8", &[&parts]), &[]).language.unwrap()
    };
    let (plain, tag) = (ids::LANGUAGE, ids::LANGUAGE_BCP47);
    for (expected, parts) in [
        ("ckb", &[(plain, "und"), (tag, "ckb")][..]),
        ("por", &[(tag, "pt-BR"), (plain, "eng")]),
        ("hbs", &[(tag, "sh")]),
        ("und", &[(plain, "ger"), (tag, "und")]),
        ("tlh", &[(plain, "tlh"), (tag, "i-klingon")]),
        ("ger", &[(plain, "deu")]),
        ("ger", &[(plain, "ger"), (tag, "")]),
        ("eng", &[]),
        ("und", &[(tag, "x-own")]),
    ] {
        assert_eq!(language(parts), expected, "{parts:?}");
    }
}

#[test]
fn refusals_name_their_reason() {
    let track = track_entry(0x11, "S_TEXT/UTF8", &[]);
    let tracks = |count: usize| element(ids::TRACKS, &track.repeat(count));
    let cluster = element(ids::CLUSTER, &[]);
    let attached =
        attachment(&[(ids::FILE_NAME, b"a"), (ids::FILE_MEDIA_TYPE, b"b"), (ids::FILE_DATA, b"c")]);
    let attached = |count: usize| element(ids::ATTACHMENTS, &attached.repeat(count));
    assert_eq!(read(file(&[&tracks(1000), &cluster])).unwrap().tracks.len(), 1000);
    let seek = [element(ids::SEEK_ID, &ids::TRACKS.to_be_bytes()), number(ids::SEEK_POSITION, 100)].concat();
    let head = element(ids::SEEK_HEAD, &element(ids::SEEK, &seek));
    let void = element(ids::VOID, &vec![0; 100 - head.len() - cluster.len() - 9]);
    let film = file(&[&tracks(1), &cluster]);
    let segment = film.windows(4).position(|id| id == ids::SEGMENT.to_be_bytes()).unwrap();
    let mut damaged = film.clone();
    damaged[segment + 3] ^= 1;
    for (file, expected) in [
        (file(&[&tracks(1001), &cluster]), "gave up on headers that exceed 1,000 tracks"),
        (file(&[&head, &cluster, &void, &tracks(1001)]), "gave up on headers that exceed 1,000 tracks"),
        (file(&[&tracks(1), &attached(1001), &cluster]), "gave up on headers that exceed 1,000 attachments"),
        (file(&[&tracks(1)]), "there is no Cluster: the file was never finished"),
        (damaged, "malformed at byte 12: no Segment follows the EBML header"),
        (film[..segment].to_vec(), "the file ends at byte 12, within its headers: no Segment follows"),
        (b"\x1A\x45\xDF\xA3\x9F\xEC\x85.....".to_vec(), "the file ends at byte 12, within its EBML header"),
    ] {
        let error = read(file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} instead of {expected}");
    }
}

/// An `AttachedFile` of these parts.
fn attachment(parts: &[(u32, &[u8])]) -> Vec<u8> {
    let parts: Vec<u8> = parts.iter().flat_map(|(id, content)| element(*id, content)).collect();
    element(ids::ATTACHED_FILE, &parts)
}

#[test]
fn attachments_without_a_name_or_type_are_ignored_and_with_empty_ones_kept() {
    let count = |parts: &[(u32, &[u8])]| {
        let tracks = element(ids::TRACKS, &track_entry(0x11, "S_TEXT/UTF8", &[]));
        let attachments = element(ids::ATTACHMENTS, &attachment(parts));
        read(file(&[&tracks, &attachments, &element(ids::CLUSTER, &[])])).unwrap().tracks.len() - 1
    };
    let (name, kind, data) = (ids::FILE_NAME, ids::FILE_MEDIA_TYPE, (ids::FILE_DATA, &b"data"[..]));
    assert_eq!(count(&[(name, b"a"), (kind, b"text/plain"), data]), 1);
    assert_eq!(count(&[(name, b"a"), (kind, b""), data]), 1);
    assert_eq!(count(&[(name, b""), (kind, b"\0"), data]), 1);
    assert_eq!(count(&[(name, b"a"), data]), 0);
    assert_eq!(count(&[(kind, b"text/plain"), data]), 0);
    assert_eq!(count(&[(name, b"a"), (kind, b"text/plain"), (ids::FILE_DATA, b"")]), 0);
}

/// A block of track 1 with this frame.
fn block(time: i16, frame: &[u8]) -> Vec<u8> {
    element(ids::SIMPLE_BLOCK, &[&[0x81], &time.to_be_bytes()[..], &[0x80], frame].concat())
}

#[test]
fn hidden_frames_do_not_double_the_rate() {
    let rate = |shown_a_second: u32, duration: u64| {
        let frames = (0..120).flat_map(|frame: u32| {
            let time = i16::try_from((frame * 1000 + shown_a_second / 2) / shown_a_second).unwrap();
            // Each third frame comes after a hidden one, which has its time.
            block(time, &[0; 20]).repeat(if frame % 3 == 2 { 2 } else { 1 })
        });
        let entry = track_entry(1, "V_VP8", &[&number(ids::DEFAULT_DURATION, duration)]);
        only_track(&entry, &frames.collect::<Vec<u8>>()).frame_rate.unwrap()
    };
    assert_eq!(rate(24, 1_000_000), "24/1");
    assert_eq!(rate(30, 1_000_000), "30/1");
    assert_eq!(rate(24, 41_666_666), "24/1");
}

/// A `ContentEncoding` of these parts; its compression has others.
fn encoding(parts: &[(u32, u64)], compression: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<u8> = parts.iter().flat_map(|(id, value)| number(*id, *value)).collect();
    let compression = element(ids::CONTENT_COMPRESSION, &compression.concat());
    element(ids::CONTENT_ENCODING, &[parts, compression].concat())
}

/// The header of Opus with six channels.
const OPUS: &[u8] = b"OpusHead\x01\x06";

fn zlib(plain: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(plain, 6)
}

#[test]
fn a_codecs_header_is_restored_or_not_believed() {
    let channels = |encodings: &[Vec<u8>], private: &[u8]| {
        let encodings = element(ids::CONTENT_ENCODINGS, &encodings.concat());
        let private = element(ids::CODEC_PRIVATE, private);
        only_track(&track_entry(2, "A_OPUS", &[&private, &encodings]), &[]).channels.unwrap()
    };
    let (of_private, of_both) = ((ids::CONTENT_ENCODING_SCOPE, 2), (ids::CONTENT_ENCODING_SCOPE, 3));
    let algorithm = |number_of: u64| number(ids::CONTENT_COMP_ALGO, number_of);
    let strip = || vec![algorithm(3), element(ids::CONTENT_COMP_SETTINGS, &OPUS[..4])];
    let last = (ids::CONTENT_ENCODING_ORDER, 1);
    let (whole, rest) = (zlib(OPUS), &OPUS[4..]);
    for (expected, encodings, private) in [
        (6, vec![], OPUS),
        (6, vec![encoding(&[of_private], &strip())], rest),
        (6, vec![encoding(&[of_private], &[algorithm(0)])], &whole[..]),
        (6, vec![encoding(&[of_both], &[])], &whole),
        (6, vec![encoding(&[], &[algorithm(0)])], OPUS),
        (6, vec![encoding(&[of_private], &strip()), encoding(&[of_private, last], &[])], &zlib(rest)),
        (1, vec![encoding(&[of_private], &[algorithm(1)])], OPUS),
        (1, vec![encoding(&[of_private], &[algorithm(2)])], OPUS),
        (1, vec![encoding(&[of_private, (ids::CONTENT_ENCODING_TYPE, 1)], &[])], OPUS),
        (6, vec![encoding(&[(ids::CONTENT_ENCODING_TYPE, 1)], &[])], OPUS),
        (1, vec![encoding(&[of_private], &[])], &whole[..whole.len() - 1]),
        (1, vec![encoding(&[of_private], &[])], OPUS),
    ] {
        assert_eq!(channels(&encodings, private), expected, "{encodings:02X?} {private:02X?}");
    }
    // Far more than is restored.
    let large = zlib(&[OPUS, &vec![0; 5_000_000]].concat());
    assert_eq!(channels(&[encoding(&[of_private], &[])], &large), 6);
}

#[test]
fn a_key_frame_tells_a_size_that_the_track_does_not() {
    const VP9: &[u8] = &[0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xF0, 0x0E, 0xF0, 0x00];
    let size = |video: &[Vec<u8>], encodings: &[u8], frame: &[u8]| {
        let rate = number(ids::DEFAULT_DURATION, 40_000_000);
        let entry = track_entry(1, "V_VP9", &[&element(ids::VIDEO, &video.concat()), encodings, &rate]);
        let track = only_track(&entry, &[block(0, frame), block(40, &[0; 9])].concat());
        assert_eq!(track.frame_rate.as_deref(), Some("25/1"));
        track.width.zip(track.height)
    };
    let stated = |width: u64| [number(ids::PIXEL_WIDTH, width), number(ids::PIXEL_HEIGHT, 90)];
    let encoded = |compression: &[Vec<u8>]| element(ids::CONTENT_ENCODINGS, &encoding(&[], compression));
    let settings = element(ids::CONTENT_COMP_SETTINGS, &VP9[..3]);
    assert_eq!(size(&[], &[], VP9), Some((320, 240)));
    assert_eq!(size(&stated(0), &[], VP9), Some((320, 240)));
    assert_eq!(size(&stated(160), &[], VP9), Some((160, 90)));
    assert_eq!(size(&[], &[], &[0; 40]), None);
    assert_eq!(
        size(&[], &encoded(&[number(ids::CONTENT_COMP_ALGO, 3), settings]), &VP9[3..]),
        Some((320, 240))
    );
    let random = (0..900_u32).map(|nth| nth.wrapping_mul(2_654_435_761).to_be_bytes()[1]);
    let long: Vec<u8> = VP9.iter().copied().chain(random).collect();
    assert_eq!(size(&[], &encoded(&[]), &zlib(&long)), Some((320, 240)), "of which the start is read");
    let laced = element(ids::SIMPLE_BLOCK, &[&[0x81, 0, 0, 0x82], VP9].concat());
    let track = only_track(&track_entry(1, "V_VP9", &[]), &laced);
    assert_eq!(track.width, None);
}
