//! The facts that the headers state, and what lies behind the clusters.

use super::*;
use crate::media::measure;

fn text(id: u32, text: &str) -> Vec<u8> {
    element(id, text.as_bytes())
}

#[test]
fn flags_and_colour_have_their_defaults() {
    let cluster = element(ids::CLUSTER, &[]);
    let plain = only_track(&track_entry(1, "V_AV1", &[]), &[]).facts;
    assert_eq!(
        (plain.is_commentary, plain.is_original, plain.is_enabled),
        (Some(false), Some(false), Some(true))
    );
    assert_eq!(
        (plain.hdr_format, plain.field_order, plain.language_tag.as_deref()),
        (None, None, Some("en"))
    );
    let color = [
        number(ids::PRIMARIES, 9),
        number(ids::TRANSFER_CHARACTERISTICS, 16),
        number(ids::MATRIX_COEFFICIENTS, 9),
        number(ids::RANGE, 1),
        number(ids::MAX_CLL, 1000),
    ];
    let video =
        [element(ids::COLOUR, &color.concat()), number(ids::FLAG_INTERLACED, 1), number(ids::FIELD_ORDER, 6)];
    let parts = [
        element(ids::VIDEO, &video.concat()),
        number(ids::FLAG_COMMENTARY, 1),
        number(ids::FLAG_HEARING_IMPAIRED, 1),
        number(ids::FLAG_ENABLED, 0),
        text(ids::LANGUAGE_BCP47, "pt-BR"),
    ];
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let facts = only_track(&track_entry(1, "V_AV1", &parts), &cluster).facts;
    assert_eq!((facts.color_primaries, facts.color_transfer), (Some("bt2020"), Some("smpte2084")));
    assert_eq!((facts.color_matrix, facts.color_range), (Some("bt2020nc"), Some("tv")));
    assert_eq!((facts.hdr_format, facts.field_order), (Some("hdr10"), Some("bb")));
    assert_eq!((facts.is_commentary, facts.is_hearing_impaired), (Some(true), Some(true)));
    assert_eq!((facts.is_visual_impaired, facts.is_enabled), (Some(false), Some(false)));
    assert_eq!(facts.language_tag.as_deref(), Some("pt-BR"));
    let map = [
        number(ids::BLOCK_ADD_ID_TYPE, u64::from(u32::from_be_bytes(*b"dvvC"))),
        element(ids::BLOCK_ADD_ID_EXTRA_DATA, &[1, 0, 16, 0x35, 0x10]),
    ];
    let map = element(ids::BLOCK_ADDITION_MAPPING, &map.concat());
    let facts = only_track(&track_entry(1, "V_MPEGH/ISO/HEVC", &[&map]), &cluster).facts;
    assert_eq!((facts.hdr_format, facts.dolby_vision.as_deref()), (Some("dolby_vision"), Some("8.1")));
}

/// A chapter of the edition.
fn edition(is_default: u64, chapters: usize) -> Vec<u8> {
    let chapters = element(ids::CHAPTER_ATOM, &[]).repeat(chapters);
    element(ids::EDITION_ENTRY, &[number(ids::EDITION_FLAG_DEFAULT, is_default), chapters].concat())
}

fn statistics(name: &str, value: &str) -> Vec<u8> {
    element(ids::SIMPLE_TAG, &[text(ids::TAG_NAME, name), text(ids::TAG_STRING, value)].concat())
}

#[test]
fn chapters_and_statistics_behind_the_clusters_cost_a_read() {
    let seek = |id: u32, position: usize| {
        let parts = [element(ids::SEEK_ID, &id.to_be_bytes()), number(ids::SEEK_POSITION, position as u64)];
        element(ids::SEEK, &parts.concat())
    };
    let entry =
        track_entry(1, "V_AV1", &[&number(ids::TRACK_UID, 77), &number(ids::DEFAULT_DURATION, 40_000_000)]);
    let info = element(ids::INFO, &text(ids::TITLE, "The film"));
    let clusters = element(ids::CLUSTER, &vec![0; 100_000]);
    let chapters = element(ids::CHAPTERS, &[edition(0, 3), edition(1, 12), edition(1, 9)].concat());
    let targets = element(ids::TARGETS, &number(ids::TAG_TRACK_UID, 77));
    let tag = [targets, statistics("BPS", "4500000"), statistics("DURATION", "00:01:02.500000000")].concat();
    let tags = element(ids::TAGS, &element(ids::TAG, &tag));
    let head = |chapters: usize, tags: usize| {
        element(ids::SEEK_HEAD, &[seek(ids::CHAPTERS, chapters), seek(ids::TAGS, tags)].concat())
    };
    let before = [info, element(ids::TRACKS, &entry), clusters].concat();
    let at = head(0, 0).len() + before.len();
    let file = file(&[&head(at, at + chapters.len()), &before, &chapters, &tags]);
    let (found, usage) = measure(Cursor::new(file.clone()));
    let found = found.unwrap();
    assert_eq!((found.facts.title.as_deref(), found.facts.chapters), (Some("The film"), Some(12)));
    let facts = &found.tracks[0].facts;
    assert_eq!((facts.bit_rate, facts.duration_seconds), (Some(4_500_000), Some(62.5)));
    assert_eq!(usage.reads, 2);
    let cut = read(file[..file.len() - tags.len() - 5].to_vec()).unwrap();
    assert_eq!((cut.facts.chapters, cut.tracks[0].facts.bit_rate), (None, None), "not all of them is there");
}

#[test]
fn sound_behind_a_picture_is_described_by_its_first_frame() {
    let block =
        |number: u8, data: &[u8]| element(ids::SIMPLE_BLOCK, &[&[0x80 | number, 0, 0, 0x80], data].concat());
    let sound = [
        number(ids::TRACK_NUMBER, 2),
        number(ids::TRACK_TYPE, 2),
        text(ids::CODEC_ID, "A_EAC3"),
        element(ids::AUDIO, &number(ids::CHANNELS, 6)),
    ];
    let video = track_entry(1, "V_AV1", &[&number(ids::DEFAULT_DURATION, 40_000_000)]);
    let tracks = element(ids::TRACKS, &[video, element(ids::TRACK_ENTRY, &sound.concat())].concat());
    let frame = [&[0x0B, 0x77, 0x05, 0xFF, 0x3F, 0x87, 0xC4, 0x10, 0x10][..], &[0; 3000]].concat();
    let film = |before: usize| {
        let blocks = [block(1, &vec![0; 60_000]).repeat(before), block(2, &frame)].concat();
        measure(Cursor::new(file(&[&tracks, &element(ids::CLUSTER, &blocks)])))
    };
    let (found, usage) = film(1);
    let found = &found.unwrap().tracks[1];
    assert_eq!((found.facts.codec_detail, found.facts.bit_rate), (Some("Atmos"), Some(768_000)));
    assert_eq!((found.channels, usage.reads), (Some(6), 2));
    let (far, usage) = film(5);
    assert_eq!((far.unwrap().tracks[1].facts.codec_detail, usage.reads), (None, 3), "too far");
}

#[test]
fn attachments_keep_name_and_type() {
    let attached = [
        text(ids::FILE_NAME, "Font.ttf"),
        text(ids::FILE_MEDIA_TYPE, "font/ttf"),
        element(ids::FILE_DATA, &[0; 9]),
    ];
    let attachments = element(ids::ATTACHMENTS, &element(ids::ATTACHED_FILE, &attached.concat()));
    let tracks = element(ids::TRACKS, &track_entry(1, "V_AV1", &[]));
    let found = read(file(&[&tracks, &attachments, &element(ids::CLUSTER, &[])])).unwrap();
    let facts = &found.tracks[1].facts;
    assert_eq!(
        (facts.file_name.as_deref(), facts.mime_type.as_deref()),
        (Some("Font.ttf"), Some("font/ttf"))
    );
    assert_eq!((facts.is_attached_picture, facts.is_commentary), (None, None));
}

/// A SeekHead that lists an element of `id` at `position`.
fn seek_head(id: u32, position: u64) -> Vec<u8> {
    let seek = [element(ids::SEEK_ID, &id.to_be_bytes()), number(ids::SEEK_POSITION, position)].concat();
    element(ids::SEEK_HEAD, &element(ids::SEEK, &seek))
}

#[test]
fn tracks_behind_the_end_are_cut_off() {
    let cluster = element(ids::CLUSTER, &[0; 90]);
    let tracks = element(ids::TRACKS, &track_entry(1, "V_AV1", &[]));
    let position = (seek_head(ids::TRACKS, 0).len() + cluster.len()) as u64;
    let film = file(&[&seek_head(ids::TRACKS, position), &cluster, &tracks]);
    assert_eq!(read(film.clone()).unwrap().facts.media_end, Some(film.len() as u64));
    let error = read(film[..film.len() - tracks.len()].to_vec()).unwrap_err();
    assert_eq!(error.missing_bytes(), Some(tracks.len() as u64), "{error}");
    assert!(error.to_string().starts_with("truncated: "), "{error}");
}

#[test]
fn a_segment_without_a_size_is_measured_by_its_index() {
    let tracks = element(ids::TRACKS, &track_entry(1, "V_AV1", &[]));
    let cluster = element(ids::CLUSTER, &[]);
    let missing = |position: u64| {
        let content = [seek_head(ids::CUES, position), tracks.clone(), cluster.clone()].concat();
        let head = [&ids::SEGMENT.to_be_bytes()[..], &[1], &[0xFF; 7]].concat();
        let facts = read([element(ids::EBML, &[]), head, content.clone()].concat()).unwrap().facts;
        (facts.missing_bytes, content.len() as u64)
    };
    let (found, length) = missing(0);
    assert_eq!(found, None);
    assert_eq!(missing(length).0, Some(1));
    assert_eq!(missing(length + 99).0, Some(100));
}
