//! Each rule on a tiny file of our own making.

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
    let video = VideoConfig { size: None, rate: Some((50, 2)) };
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
