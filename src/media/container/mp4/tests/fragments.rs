//! Fragmented files: rate, start and end.

use super::*;

#[test]
fn fragments_tell_rate_and_length() {
    let mut init = Trak { stts: vec![0, 0], ..Trak::video() };
    init.timescale = 25_000;
    let trex = atom(b"trex", &[&words(&[0, 1, 1, 1000, 0, 0])]);
    let movie = moov(&[&init.build(), &atom(b"mvex", &[&trex])]);
    let fragment = |time: u32| {
        let tfhd = atom(b"tfhd", &[&words(&[0x02_0000, 1])]);
        let tfdt = atom(b"tfdt", &[&words(&[0, time])]);
        let trun = atom(b"trun", &[&words(&[0, 50])]);
        let mfhd = atom(b"mfhd", &[&words(&[0, 1])]);
        let traf = atom(b"traf", &[&tfhd, &tfdt, &trun]);
        [atom(b"moof", &[&mfhd, &traf]), atom(b"mdat", &[&[0; 10]])].concat()
    };
    let mut file = [ftyp(b"iso5"), movie].concat();
    for number in 0..40 {
        file.extend(fragment(number * 50_000));
    }
    let info = read(file.clone()).unwrap();
    assert_eq!(info.duration_seconds, Some(80.0));
    assert_eq!(info.tracks[0].frame_rate.as_deref(), Some("25/1"));
    // An index at the end names the last fragment, so those between are not read.
    let last = u32::try_from(file.len() - fragment(0).len()).unwrap();
    let tfra = atom(b"tfra", &[&words(&[0, 1, 0, 1, 39 * 50_000, last]), &[1, 1, 1]]);
    let size = u32::try_from(tfra.len() + 24).unwrap();
    file.extend(atom(b"mfra", &[&tfra, &atom(b"mfro", &[&words(&[0, size])])]));
    assert_eq!(read(file).unwrap().duration_seconds, Some(80.0));
}

/// A fragmented file: the tracks, then one fragment for each pair of a track and the words of its
/// run.
fn fragmented(traks: &[Trak], runs: &[(u32, u32, &[u32])]) -> Vec<u8> {
    let trex: Vec<u8> = (1..=2).flat_map(|id| atom(b"trex", &[&words(&[0, id, 1, 1000, 0, 0])])).collect();
    let traks: Vec<u8> = traks.iter().flat_map(Trak::build).collect();
    let mut file = [ftyp(b"iso5"), moov(&[&traks, &atom(b"mvex", &[&trex])])].concat();
    for (id, time, run) in runs {
        let tfhd = atom(b"tfhd", &[&words(&[0x02_0000, *id])]);
        let tfdt = atom(b"tfdt", &[&words(&[0, *time])]);
        let traf = atom(b"traf", &[&tfhd, &tfdt, &atom(b"trun", &[&words(run)])]);
        file.extend(atom(b"moof", &[&atom(b"mfhd", &[&words(&[0, 1])]), &traf]));
        file.extend(atom(b"mdat", &[&[0; 10]]));
    }
    file
}

/// A track of milliseconds that has its frames in fragments.
fn in_fragments(id: u32, handler: &'static [u8], entry: Vec<u8>) -> Trak {
    Trak { id, timescale: 1000, stts: vec![0, 0], ..Trak::new(handler, entry) }
}

#[test]
fn texts_lengthen_a_fragmented_file_by_less_than_a_second_only() {
    let film = || in_fragments(1, b"vide", visual(b"av01", &[]));
    let texts = || in_fragments(2, b"sbtl", atom(b"tx3g", &[&[0; 38]]));
    let length = |texts_begin, frames_of_text| {
        let runs: &[(u32, u32, &[u32])] = &[(1, 5000, &[0, 10]), (2, texts_begin, &[0, frames_of_text])];
        read(fragmented(&[film(), texts()], runs)).unwrap().duration_seconds
    };
    // Lengths count from zero, so a track that begins at 5 s and ends at 15 s is 15 s long.
    assert_eq!(length(5000, 10), Some(15.0));
    assert_eq!(length(5500, 10), Some(15.5));
    assert_eq!(length(5000, 40), Some(15.0));
    let alone: &[(u32, u32, &[u32])] = &[(2, 0, &[0, 40])];
    assert_eq!(read(fragmented(&[texts()], alone)).unwrap().duration_seconds, Some(40.0));
}

#[test]
fn a_negative_offset_in_any_fragment_delays_all_frames() {
    let traks = || {
        [
            in_fragments(1, b"vide", visual(b"av01", &[])),
            in_fragments(2, b"soun", sound(b"Opus", 0, 2, 16, &[])),
        ]
    };
    let length = |offset: i32| {
        let run = [0x800, 2, offset.cast_unsigned(), 40];
        let runs: &[(u32, u32, &[u32])] = &[(1, 0, &[0, 10]), (2, 0, &[0, 12]), (1, 10_000, &run)];
        read(fragmented(&traks(), runs)).unwrap().duration_seconds
    };
    assert_eq!(length(0), Some(12.0));
    assert_eq!(length(-80), Some(12.08));
    // Also if each track has fragments of its own, and an index names the last ones.
    let begin: [(u32, u32, &[u32]); 4] =
        [(1, 0, &[0, 1]), (2, 0, &[0, 1]), (1, 1000, &[0, 1]), (2, 1000, &[0, 1])];
    let run = [0x800, 1, 80_u32.wrapping_neg()];
    let rest: [(u32, u32, &[u32]); 3] = [(1, 2000, &run), (1, 3000, &[0, 9]), (2, 2000, &[0, 10])];
    let mut file = fragmented(&traks(), &[&begin[..], &rest].concat());
    let last = u32::try_from(file.len() - 98).unwrap();
    let tfra = |id, time, at| atom(b"tfra", &[&words(&[0, id, 0, 1, time, at]), &[1, 1, 1]]);
    let index = [tfra(1, 3000, last - 98), tfra(2, 2000, last)].concat();
    let size = u32::try_from(index.len() + 24).unwrap();
    file.extend(atom(b"mfra", &[&index, &atom(b"mfro", &[&words(&[0, size])])]));
    assert_eq!(read(file).unwrap().duration_seconds, Some(12.08));
}

#[test]
fn a_segment_index_overrules_the_tracks_length() {
    let mut file = fragmented(&[in_fragments(1, b"vide", visual(b"av01", &[]))], &[]);
    // Begins at 0; two segments of 3 s, the second of which may be cut.
    file.extend(atom(b"sidx", &[&words(&[0, 1, 1000, 0, 0, 2, 500, 3000, 0, 500, 3000, 0])]));
    let length = |end: usize| read(file[..end].to_vec()).unwrap().duration_seconds;
    assert_eq!(length(file.len()), Some(6.0));
    assert_eq!(length(file.len() - 4), Some(6.0));
    assert_eq!(length(file.len() - 8), Some(3.0));
}

#[test]
fn without_any_fragment_the_edits_tell_how_long_a_track_is() {
    let length = |edits: &[u32]| {
        let list = atom(b"edts", &[&atom(b"elst", &[&words(edits)])]);
        read(fragmented(&[Trak { extra: list, ..Trak::video() }], &[])).unwrap().duration_seconds
    };
    assert_eq!(length(&[0, 0]), Some(10.0));
    assert_eq!(length(&[0, 1, 4000, 24_000, 0x1_0000]), Some(4.0));
    assert_eq!(length(&[0, 2, 1000, u32::MAX, 0x1_0000, 4000, 0, 0x1_0000]), Some(5.0));
    assert_eq!(length(&[0, 1, 40_000, 0, 0x1_0000]), Some(10.0));
}

/// A live stream: in each fragment one frame of 30 a second, and then a fragment of sound.
fn live(frames: u32, size: usize, with_index: bool) -> Vec<u8> {
    let picture = Trak { timescale: 15_360, stts: vec![0, 0], ..Trak::new(b"vide", visual(b"avc1", &[])) };
    let mut file = fragmented(&[picture, in_fragments(2, b"soun", sound(b"Opus", 0, 2, 16, &[]))], &[]);
    let fragment = |id: u32, time: u32, duration: u32| {
        let tfhd = atom(b"tfhd", &[&words(&[0x02_0008, id, duration])]);
        let tfdt = atom(b"tfdt", &[&words(&[0, time])]);
        let traf = atom(b"traf", &[&tfhd, &tfdt, &atom(b"trun", &[&words(&[0, 1])])]);
        let moof = atom(b"moof", &[&atom(b"mfhd", &[&words(&[0, 1])]), &traf]);
        [moof, atom(b"mdat", &[&vec![0; if id == 1 { size } else { 100 }]])].concat()
    };
    let mut last = 0;
    for frame in 0..frames {
        last = u32::try_from(file.len()).unwrap();
        file.extend(fragment(1, frame * 512, 512));
        file.extend(fragment(2, frame * 1000 / 30, 33));
    }
    if with_index {
        let tfra = atom(b"tfra", &[&words(&[0, 1, 0, 1, (frames - 1) * 512, last]), &[1, 1, 1]]);
        let size = u32::try_from(tfra.len() + 24).unwrap();
        file.extend(atom(b"mfra", &[&tfra, &atom(b"mfro", &[&words(&[0, size])])]));
    }
    file
}

#[test]
fn one_frame_in_a_fragment_is_enough_for_a_rate() {
    for (frames, size, with_index, reads) in [
        (900, 1000, true, 8),
        (900, 1000, false, 8),
        (900, 20_000, true, 50),
        (900, 20_000, false, 50),
        (300, 1000, true, 8),
        (300, 1000, false, 8),
    ] {
        let (info, usage) = measure(Cursor::new(live(frames, size, with_index)));
        let info = info.unwrap();
        let context = format!("{frames} frames of {size} bytes, index: {with_index}: {usage:?}");
        assert_eq!(info.tracks[0].frame_rate.as_deref(), Some("30/1"), "{context}");
        let seconds = info.duration_seconds.unwrap();
        assert!((seconds - f64::from(frames) / 30.0).abs() < 0.04, "{seconds} s, {context}");
        assert!(usage.reads <= reads && usage.bytes <= 200_000, "{context}");
    }
}

#[test]
fn a_cut_is_seen_at_the_end_and_by_an_index() {
    let missing = |file: &[u8]| read(file.to_vec()).unwrap().facts.missing_bytes;
    let film = live(20, 1000, false);
    assert_eq!(missing(&film), Some(0));
    assert_eq!(missing(&film[..film.len() - 50]), Some(50));
    let fragment = film.windows(4).rposition(|kind| kind == b"moof").unwrap() - 4;
    for left in 1..8 {
        assert_eq!(missing(&film[..fragment + left]), Some(8 - left as u64), "within the header of a box");
    }
    let long = live(900, 1000, false);
    assert_eq!(missing(&long), Some(0));
    assert_eq!(missing(&long[..long.len() - 50]), Some(50), "found in the tail");
    assert_eq!(missing(&live(900, 1000, true)), Some(0));
    let media = film.windows(4).position(|kind| kind == b"moof").unwrap() - 4;
    let (head, rest) = film.split_at(media);
    let size = u32::try_from(rest.len()).unwrap();
    let sidx = atom(b"sidx", &[&words(&[0, 1, 15_360, 0, 0, 1, size, 20 * 512, 0])]);
    let indexed = [head, &sidx, rest].concat();
    assert_eq!(missing(&indexed), Some(0));
    let fragment = rest.len() / 20;
    assert_eq!(
        missing(&indexed[..indexed.len() - 3 * fragment]),
        Some(3 * fragment as u64),
        "between fragments"
    );
}
