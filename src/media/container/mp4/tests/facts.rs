//! The facts that the boxes state.

use super::*;

fn film(moov: &[u8], media_first: bool) -> MediaInfo {
    let media = atom(b"mdat", &[&[0; 64]]);
    let (first, last) = if media_first { (&media[..], moov) } else { (moov, &media[..]) };
    read([&ftyp(b"isom")[..], first, last].concat()).unwrap()
}

/// An item list with one text.
fn item_list(kind: &[u8], text: &[u8]) -> Vec<u8> {
    let data = atom(b"data", &[&words(&[1, 0]), text]);
    let hdlr = atom(b"hdlr", &[&[0; 8], b"mdir", &[0; 13]]);
    atom(b"meta", &[&[0; 4], &hdlr, &atom(b"ilst", &[&atom(kind, &[&data])])])
}

#[test]
fn titles_chapters_and_the_place_of_the_index() {
    let title = item_list(b"\xA9nam", b"The film");
    let list = atom(b"chpl", &[&[1, 0, 0, 0], &[0; 4], &[3]]);
    let moov = moov(&[&Trak::video().build(), &atom(b"udta", &[&title, &list])]);
    let facts = film(&moov, false).facts;
    assert_eq!((facts.title.as_deref(), facts.chapters), (Some("The film"), Some(3)));
    assert_eq!(facts.is_fast_start, Some(true));
    assert_eq!(film(&moov, true).facts.is_fast_start, Some(false));
    let quicktime = atom(b"\xA9nam", &[&[0, 4, 0, 0], b"Filmrest"]);
    let old = super::moov(&[&Trak::video().build(), &atom(b"udta", &[&quicktime])]);
    let facts = film(&old, false).facts;
    assert_eq!((facts.title.as_deref(), facts.chapters), (Some("Film"), Some(0)));
}

#[test]
fn boxes_of_the_sample_entry_describe_pictures() {
    let colour = atom(b"colr", &[b"nclx\0\x09\0\x10\0\x09\0"]);
    let av1 = atom(b"av1C", &[&[0x81, 0x0D, 0x4C, 0x00]]);
    let rate = atom(b"btrt", &[&words(&[0, 9_000_000, 5_000_000])]);
    let boxes = [colour, av1, rate, atom(b"clli", &[&[0; 4]])].concat();
    let facts = track(&Trak { entry: visual(b"av01", &boxes), ..Trak::video() }).facts;
    assert_eq!((facts.profile.as_deref(), facts.level.as_deref()), (Some("Main"), Some("5.1")));
    assert_eq!((facts.pixel_format.as_deref(), facts.bit_depth), (Some("yuv420p10le"), Some(10)));
    assert_eq!((facts.hdr_format, facts.bit_rate), (Some("hdr10"), Some(5_000_000)));
    assert_eq!((facts.duration_seconds, facts.is_attached_picture), (Some(10.0), Some(false)));
    let vision = [boxes, atom(b"dvvC", &[&[1, 0, 16, 0x35, 0x10]])].concat();
    let facts = track(&Trak { entry: visual(b"av01", &vision), ..Trak::video() }).facts;
    assert_eq!((facts.hdr_format, facts.dolby_vision.as_deref()), (Some("dolby_vision"), Some("8.1")));
}

#[test]
fn names_tags_and_roles_are_those_of_the_track() {
    let role = |value: &[u8]| atom(b"kind", &[&[0; 4], b"urn:mpeg:dash:role:2011\0", value, &[0]]);
    let named = |roles: &[u8]| atom(b"udta", &[&atom(b"name", &[b"Talk"]), roles]);
    let facts = |extra: Vec<u8>| {
        let sound = Trak::new(b"soun", sound(b"mp4a", 0, 2, 16, &[]));
        track(&Trak { extra, in_media: atom(b"elng", &[&[0; 4], b"pt-BR\0"]), flags: 0, ..sound }).facts
    };
    let commentary = facts(named(&role(b"commentary")));
    assert_eq!((commentary.name.as_deref(), commentary.is_commentary), (Some("Talk"), Some(true)));
    assert_eq!((commentary.language_tag.as_deref(), commentary.is_enabled), (Some("pt-BR"), Some(false)));
    assert_eq!((commentary.is_visual_impaired, commentary.is_original), (Some(false), None));
    assert_eq!(facts(named(&role(b"description"))).is_visual_impaired, Some(true));
    let characteristic = atom(b"tagc", &[b"public.accessibility.transcribes-spoken-dialog"]);
    assert_eq!(facts(named(&characteristic)).is_hearing_impaired, Some(true));
    let german = track(&Trak { language: 0x10B5, ..Trak::video() }).facts;
    assert_eq!(german.language_tag.as_deref(), Some("de"));
}

#[test]
fn sizes_at_hand_give_the_bit_rate() {
    let sizes = |count: u32, there: usize| {
        let table = [words(&[0, 0, count]), words(&vec![5_000; there])].concat();
        track(&Trak { in_table: atom(b"stsz", &[&table]), ..Trak::video() }).facts.bit_rate
    };
    assert_eq!(sizes(250, 250), Some(1_000_000));
    assert_eq!(sizes(251, 250), None, "cut");
    assert_eq!(sizes(9_000, 9_000), None, "not read for it");
}

#[test]
fn the_only_track_without_a_bit_rate_has_the_rest_of_the_media() {
    let sizes = atom(b"stsz", &[&words(&[0, 1, 40])]);
    let sound = |in_table: &[u8]| {
        let sound = Trak::new(b"soun", sound(b"mp4a", 0, 2, 16, &[]));
        Trak { id: 2, in_table: in_table.to_vec(), ..sound }.build()
    };
    let rates = |sound: &[u8]| -> Vec<Option<u64>> {
        let found = film(&moov(&[&Trak::video().build(), sound]), true);
        found.tracks.iter().map(|track| track.facts.bit_rate).collect()
    };
    assert_eq!(rates(&sound(&sizes)), [Some((64 - 40) * 8 / 10), Some(40 * 8 / 10)]);
    assert_eq!(rates(&sound(&[])), [None, None]);
}

#[test]
fn data_end_before_free_space() {
    let moov = moov(&[&Trak::video().build()]);
    let media = atom(b"mdat", &[&[0; 64]]);
    let (free, index) = (atom(b"free", &[&[0; 900]]), [ftyp(b"isom"), moov.clone(), media.clone()].concat());
    let end = |parts: &[&[u8]]| read(parts.concat()).unwrap().facts.media_end;
    assert_eq!(end(&[&index]), Some(index.len() as u64));
    assert_eq!(end(&[&index, &free]), Some(index.len() as u64));
    assert_eq!(end(&[&index, &[0; 500]]), Some(index.len() as u64), "no box has written them");
    let late = [ftyp(b"isom"), media, free.clone(), moov].concat();
    assert_eq!(end(&[&late, &free]), Some(late.len() as u64));
    let sound = track(&Trak::new(b"soun", sound(b"sowt", 0, 2, 16, &[])));
    assert_eq!(sound.codec.as_deref(), Some("pcm_s16le"));
    let silent = super::moov(&[&Trak::new(b"soun", super::sound(b"sowt", 0, 2, 16, &[])).build()]);
    assert_eq!(film(&silent, false).facts.media_end, Some(0), "zeros are silence");
}

#[test]
fn media_data_without_a_size_are_measured_by_chunks() {
    let open = [&[0; 4][..], b"mdat", &[0; 64]].concat();
    let missing = |offset: u32| {
        let chunks = atom(b"stco", &[&words(&[0, 2, 9, offset])]);
        let moov = moov(&[&Trak { in_table: chunks, ..Trak::video() }.build()]);
        let file = [&ftyp(b"isom")[..], &moov, &open].concat();
        (read(file.clone()).unwrap().facts.missing_bytes, file.len())
    };
    let (found, length) = missing(9);
    assert_eq!(found, None, "the size of the last chunk is not read");
    let length = u32::try_from(length).unwrap();
    assert_eq!(missing(length - 1).0, None);
    assert_eq!(missing(length + 4).0, Some(5));
}

#[test]
fn a_cut_before_the_movie_box_states_what_is_missing() {
    let media = atom(b"mdat", &[&[0; 64]]);
    let file = [ftyp(b"isom"), media, moov(&[&Trak::video().build()])].concat();
    let cut = |length: usize| read(file[..length].to_vec()).unwrap_err().missing_bytes();
    let media_end = ftyp(b"isom").len() + 72;
    assert_eq!(cut(media_end - 20), Some(20));
    assert_eq!(cut(media_end + 40), Some((file.len() - media_end - 40) as u64), "within the movie box");
}
