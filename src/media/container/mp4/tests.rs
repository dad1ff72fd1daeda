//! Each rule on a tiny file of our own making.

mod facts;
mod fragments;

use std::io::Cursor;

use crate::media::reader::Usage;
use crate::media::{Error, MediaInfo, Track, TrackType, measure, probe};

/// A box of a type, with its parts one after the other.
fn atom(kind: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    let size = u32::try_from(payload.len() + 8).unwrap();
    [&size.to_be_bytes(), kind, &payload].concat()
}

/// Numbers of four bytes each.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn ftyp(brand: &[u8]) -> Vec<u8> {
    atom(b"ftyp", &[brand, &[0; 4], brand])
}

/// 10 s in milliseconds.
fn mvhd() -> Vec<u8> {
    atom(b"mvhd", &[&words(&[0, 0, 0, 1000, 10_000]), &[0; 80]])
}

fn moov(parts: &[&[u8]]) -> Vec<u8> {
    atom(b"moov", &[&mvhd(), &parts.concat()])
}

/// What makes up a track; everything else is the same for all.
struct Trak {
    id: u32,
    flags: u32,
    handler: &'static [u8],
    timescale: u32,
    language: u16,
    entry: Vec<u8>,
    stts: Vec<u32>,
    extra: Vec<u8>,
    in_table: Vec<u8>,
    in_media: Vec<u8>,
}

impl Trak {
    fn new(handler: &'static [u8], entry: Vec<u8>) -> Self {
        let stts = vec![0, 1, 10, 1001];
        let [extra, in_table, in_media] = [const { Vec::new() }; 3];
        let (timescale, language) = (24_000, 0x55C4);
        Self { id: 1, flags: 1, handler, timescale, language, entry, stts, extra, in_table, in_media }
    }

    fn video() -> Self {
        Self::new(b"vide", visual(b"av01", &[]))
    }

    fn build(&self) -> Vec<u8> {
        let tkhd = atom(b"tkhd", &[&words(&[self.flags, 0, 0, self.id]), &[0; 68]]);
        let language = self.language.to_be_bytes();
        let mdhd =
            atom(b"mdhd", &[&words(&[0, 0, 0, self.timescale, 10 * self.timescale]), &language, &[0; 2]]);
        let hdlr = atom(b"hdlr", &[&[0; 8], self.handler, &[0; 13]]);
        let stsd = atom(b"stsd", &[&words(&[0, 1]), &self.entry]);
        let stts = atom(b"stts", &[&words(&self.stts)]);
        let stbl = atom(b"stbl", &[&stsd, &stts, &self.in_table]);
        let mdia = atom(b"mdia", &[&mdhd, &self.in_media, &hdlr, &atom(b"minf", &[&stbl])]);
        atom(b"trak", &[&tkhd, &self.extra, &mdia])
    }
}

fn visual(format: &[u8], boxes: &[u8]) -> Vec<u8> {
    let size = [640_u16.to_be_bytes(), 360_u16.to_be_bytes()].concat();
    atom(format, &[&[0; 24], &size, &[0; 50], boxes])
}

fn sound(format: &[u8], version: u16, channels: u16, bits: u16, rest: &[u8]) -> Vec<u8> {
    let [version, channels, bits] = [version, channels, bits].map(u16::to_be_bytes);
    atom(format, &[&[0; 8], &version, &[0; 6], &channels, &bits, &[0; 8], rest])
}

fn read(file: Vec<u8>) -> Result<MediaInfo, Error> {
    probe(Cursor::new(file))
}

fn tracks(moov: &[u8]) -> Vec<Track> {
    read([ftyp(b"isom"), moov.to_vec()].concat()).unwrap().tracks
}

fn track(trak: &Trak) -> Track {
    tracks(&moov(&[&trak.build()])).remove(0)
}

#[test]
fn the_movie_box_is_found_at_either_end() {
    let movie = moov(&[&Trak::video().build()]);
    let short = atom(b"mdat", &[&[0xAA; 100]]);
    let long = [&words(&[1])[..], b"mdat", &words(&[0, 116]), &[0xAA; 100]].concat();
    let endless = [&words(&[0])[..], b"mdat", &[0xAA; 100]].concat();
    let (brand, wide) = (ftyp(b"mp42"), atom(b"wide", &[]));
    for file in [
        [&brand[..], &movie, &short].concat(),
        [&brand[..], &movie, &endless].concat(),
        [&brand[..], &short, &movie].concat(),
        [&brand[..], &long, &movie].concat(),
        [&movie[..], &short].concat(),
        [&wide[..], &short, &movie].concat(),
    ] {
        let info = read(file).unwrap();
        assert_eq!(info.container_format, "mov,mp4,m4a,3gp,3g2,mj2");
        assert_eq!(info.duration_seconds, Some(10.0));
        let track = &info.tracks[0];
        assert_eq!((track.track_type, track.codec.as_deref()), (TrackType::Video, Some("av1")));
        assert_eq!((track.width, track.height), (Some(640), Some(360)));
        assert_eq!(track.frame_rate.as_deref(), Some("24000/1001"));
    }
}

#[test]
fn missing_parts_are_reported() {
    let movie = moov(&[&Trak::video().build()]);
    let file = [ftyp(b"mp42"), movie.clone()].concat();
    let error = |file: Vec<u8>| read(file).unwrap_err().to_string();
    assert!(error(file[..60].to_vec()).starts_with("truncated: the file ends at byte 60"));
    assert!(error([ftyp(b"mp42"), atom(b"mdat", &[&[0; 50]])].concat()).contains("there is no movie box"));
    let segment = [atom(b"styp", &[b"msdh"]), atom(b"moof", &[&[0; 8]]), atom(b"mdat", &[&[0; 9]])].concat();
    assert!(error(segment).contains("it is a media segment of a stream, without its headers"));
    let cut = [ftyp(b"mp42"), words(&[5000]), b"mdat".to_vec(), vec![0; 40], movie].concat();
    assert!(error(cut).contains("media data"));
    assert_eq!(error([ftyp(b"mp42"), moov(&[])].concat()), "the container holds no tracks");
}

#[test]
fn a_former_movie_box_counts_only_where_there_is_no_other() {
    let movie = moov(&[&Trak::video().build()]);
    let former = |name| atom(name, &[&mvhd(), &Trak::new(b"vide", visual(b"avc1", &[])).build().repeat(2)]);
    let (brand, media) = (ftyp(b"M4A "), atom(b"mdat", &[&[0; 50]]));
    let cut = [words(&[5000]), b"mdat".to_vec(), vec![0; 40]].concat();
    let codecs = |parts: &[&[u8]]| -> Vec<String> {
        read(parts.concat()).unwrap().tracks.into_iter().map(|track| track.codec.unwrap()).collect()
    };
    assert_eq!(codecs(&[&brand, &former(b"free"), &media, &movie]), ["av1"]);
    assert_eq!(codecs(&[&brand, &former(b"free"), &media]), ["h264", "h264"]);
    assert_eq!(codecs(&[&brand, &former(b"free"), &cut]), ["h264", "h264"]);
    assert_eq!(codecs(&[&brand, &former(b"hoov"), &media, &movie]), ["h264", "h264"]);
}

#[test]
fn a_file_that_ends_behind_its_tracks_is_read() {
    let trak = Trak::video().build();
    let file = [ftyp(b"mp42"), moov(&[&trak, &atom(b"udta", &[&[0; 90]])])].concat();
    let behind = file.len() - 98;
    for end in [behind, behind + 1, behind + 50] {
        let info = read(file[..end].to_vec()).unwrap();
        assert_eq!((info.duration_seconds, info.tracks.len()), (Some(10.0), 1), "{end}");
    }
    for end in behind - trak.len()..behind {
        assert!(matches!(read(file[..end].to_vec()), Err(Error::Truncated { .. })), "{end}");
    }
    let data = atom(b"data", &[&words(&[13, 0]), b"\xFF\xD8\xFF\xC0\0\x11\x08\0\x40\0\x60", &[0; 40]]);
    let list = atom(b"ilst", &[&atom(b"covr", &[&data])]);
    let meta = atom(b"meta", &[&[0; 4], &atom(b"hdlr", &[&[0; 25]]), &list]);
    let tagged = [ftyp(b"mp42"), moov(&[&trak, &atom(b"udta", &[&meta])])].concat();
    let count = |end: usize| read(tagged[..end].to_vec()).unwrap().tracks.len();
    assert_eq!((count(tagged.len()), count(tagged.len() - 1)), (2, 1), "the cover is cut");
    let two = [ftyp(b"mp42"), moov(&[&trak, &trak])].concat();
    assert!(matches!(read(two[..two.len() - 4].to_vec()), Err(Error::Truncated { .. })), "half a track");
}

#[test]
fn languages_flags_and_titles() {
    let named = |language| track(&Trak { language, ..Trak::video() }).language;
    assert_eq!(named(0x15C7).as_deref(), Some("eng"));
    assert_eq!(named(0x10B5).as_deref(), Some("ger"), "deu becomes the bibliographic code");
    assert_eq!(named(0x7FFF).as_deref(), Some("und"));
    assert_eq!(named(11).as_deref(), Some("jpn"), "of the Macintosh");
    let extended = |tag: &[u8]| {
        let in_media = atom(b"elng", &[&[0; 4], tag, &[0]]);
        track(&Trak { language: 0x15C7, in_media, ..Trak::video() }).language
    };
    assert_eq!(extended(b"ckb").as_deref(), Some("ckb"));
    assert_eq!(extended(b"zh-Hant-TW").as_deref(), Some("chi"));
    for nothing in [&b""[..], b"x-own", b"\xFF"] {
        assert_eq!(extended(nothing).as_deref(), Some("eng"), "then `mdhd` counts");
    }
    assert!(track(&Trak::video()).is_default);
    assert!(!track(&Trak { flags: 6, ..Trak::video() }).is_default);
    assert_eq!(track(&Trak::video()).title, None);
    let kind = |value: &[u8]| atom(b"kind", &[&[0; 4], b"urn:mpeg:dash:role:2011\0", value, &[0]]);
    let user_data = |value| Trak { extra: atom(b"udta", &[&kind(value)]), ..Trak::video() };
    assert!(track(&user_data(b"forced-subtitle")).is_forced);
    assert!(!track(&user_data(b"main")).is_forced);
    let text = |format: &[u8], flags: u32| {
        track(&Trak::new(b"sbtl", atom(format, &[&[0; 8], &words(&[flags]), &[0; 34]]))).is_forced
    };
    assert!(text(b"tx3g", 0xC000_0000) && text(b"tx3g", 0x8000_0000) && text(b"tx3g", 0x4000_0000));
    assert!(!text(b"tx3g", 0x2006_0860) && !text(b"text", 0xC000_0000));
}

#[test]
fn an_associated_sound_service_has_no_other_flags() {
    let ac3 = |config: &[u8]| Trak::new(b"soun", sound(b"ac-3", 0, 2, 16, &atom(b"dac3", &[config])));
    let main = track(&ac3(&[0x10, 0x3D, 0xC0]));
    assert_eq!(
        (main.is_default, main.channels, main.channel_layout.as_deref()),
        (true, Some(6), Some("5.1"))
    );
    let commentary = track(&ac3(&[0x11, 0x53, 0x80]));
    assert_eq!((commentary.is_default, commentary.channels), (false, Some(2)));
}

#[test]
fn handlers_and_formats_make_the_kind() {
    let of = |handler, entry| {
        let track = track(&Trak::new(handler, entry));
        (track.track_type, track.codec)
    };
    let text = |format| atom(format, &[&[0; 38]]);
    assert_eq!(of(b"sbtl", text(b"tx3g")), (TrackType::Subtitle, Some("mov_text".into())));
    assert_eq!(of(b"clcp", text(b"c608")), (TrackType::Subtitle, Some("eia_608".into())));
    assert_eq!(of(b"meta", text(b"gpmd")), (TrackType::Other, Some("bin_data".into())));
    assert_eq!(of(b"tmcd", text(b"tmcd")), (TrackType::Other, None));
    assert_eq!(of(b"auxv", visual(b"hvc1", &[])), (TrackType::Video, Some("hevc".into())));
    assert_eq!(of(b"vide", visual(b"zzzz", &[])), (TrackType::Video, None));
    let esds = [&[0, 0, 0, 0, 3, 20, 0, 1, 0, 4, 13, 0xE0][..], &[0; 12]].concat();
    let vobsub = atom(b"mp4s", &[&[0; 8], &atom(b"esds", &[&esds])]);
    assert_eq!(of(b"subp", vobsub), (TrackType::Subtitle, Some("dvd_subtitle".into())));
}

#[test]
fn encrypted_entries_show_what_they_held() {
    let sinf = |format: &[u8]| atom(b"sinf", &[&atom(b"frma", &[format])]);
    let video = track(&Trak::new(b"vide", visual(b"encv", &sinf(b"hvc1"))));
    assert_eq!((video.codec.as_deref(), video.width), (Some("hevc"), Some(640)));
    let audio = track(&Trak::new(b"soun", sound(b"enca", 0, 2, 16, &sinf(b"ac-3"))));
    assert_eq!(audio.codec.as_deref(), Some("ac3"));
}

#[test]
fn quicktime_sound_has_versions_and_orders() {
    let of = |entry| {
        let box_of_track = Trak::new(b"soun", entry).build();
        let track = read([ftyp(b"qt  "), moov(&[&box_of_track])].concat()).unwrap().tracks.remove(0);
        (track.codec.unwrap(), track.channels.unwrap())
    };
    let wave = atom(b"wave", &[&atom(b"enda", &[&[0, 1]])]);
    assert_eq!(of(sound(b"in24", 1, 2, 16, &[&[0; 16], &wave[..]].concat())), ("pcm_s24le".into(), 2));
    assert_eq!(of(sound(b"in24", 1, 2, 16, &[0; 16])), ("pcm_s24be".into(), 2));
    let second = [&words(&[72, 0x40E7_7000, 0, 6, 0x7F00_0000, 24, 4 | 2])[..], &[0; 8]].concat();
    assert_eq!(of(sound(b"lpcm", 2, 3, 16, &second)), ("pcm_s24be".into(), 6));
    assert_eq!(of(sound(b"twos", 0, 1, 8, &[])), ("pcm_s8".into(), 1));
}

#[test]
fn windows_media_keeps_its_own_format() {
    let format = [0x61, 1, 6, 0, 0x80, 0xBB, 0, 0, 0, 0, 0, 0, 4, 0, 16, 0, 0, 0];
    let track = track(&Trak::new(b"soun", sound(b"wma ", 0, 2, 16, &atom(b"wfex", &[&format]))));
    assert_eq!((track.codec.as_deref(), track.channels), (Some("wmav2"), Some(6)));
}

#[test]
fn motion_jpeg_2000_begins_with_a_signature() {
    let signature = atom(b"jP  ", &[b"\r\n\x87\n"]);
    let movie = moov(&[&Trak::new(b"vide", visual(b"mjp2", &[])).build()]);
    let film = [&signature[..], &ftyp(b"mjp2"), &movie].concat();
    assert_eq!(read(film).unwrap().tracks[0].codec.as_deref(), Some("jpeg2000"));
    let image = [&signature[..], &ftyp(b"jp2 "), &movie].concat();
    assert!(read(image).unwrap_err().to_string().contains("a JPEG 2000 image"));
}

#[test]
fn mp3_tells_its_channels_in_the_first_frame() {
    let mut file = [ftyp(b"isom"), atom(b"mdat", &[&[0xFF, 0xFB, 0x90, 0xC4], &[0; 40]])].concat();
    let offset = u32::try_from(file.len() - 44).unwrap();
    let mut trak = Trak::new(b"soun", sound(b".mp3", 0, 2, 16, &[]));
    trak.in_table = atom(b"stco", &[&words(&[0, 1, offset])]);
    file.extend(moov(&[&trak.build()]));
    assert_eq!(read(file).unwrap().tracks[0].channels, Some(1));
}

#[test]
fn chapters_are_no_subtitles_and_covers_come_last() {
    let film = Trak { extra: atom(b"tref", &[&atom(b"chap", &[&words(&[2])])]), ..Trak::video() };
    let titles = Trak { id: 2, flags: 0, ..Trak::new(b"text", atom(b"text", &[&[0; 40]])) };
    let png = [b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR".as_slice(), &words(&[120, 80])].concat();
    let data = atom(b"data", &[&words(&[13, 0]), &png]);
    let unknown = atom(b"data", &[&words(&[99, 0]), &png]);
    let list = atom(b"ilst", &[&atom(b"covr", &[&data, &unknown])]);
    let meta = atom(b"meta", &[&[0; 4], &atom(b"hdlr", &[&[0; 25]]), &list]);
    let found = tracks(&moov(&[&film.build(), &titles.build(), &atom(b"udta", &[&meta])]));
    assert_eq!(found.len(), 3);
    assert_eq!((found[1].track_type, found[1].codec.as_deref()), (TrackType::Other, Some("bin_data")));
    let cover = &found[2];
    assert_eq!((cover.track_type, cover.codec.as_deref()), (TrackType::Video, Some("png")));
    assert_eq!((cover.width, cover.height, cover.frame_rate.as_deref()), (Some(120), Some(80), None));
    assert!(!cover.is_default);
}

#[test]
fn jitter_becomes_a_standard_rate() {
    let rate = |stts: Vec<u32>| track(&Trak { timescale: 1000, stts, ..Trak::video() }).frame_rate.unwrap();
    let jitter: Vec<u32> = (0..20).flat_map(|_| [1, 33, 1, 33, 1, 34]).collect();
    assert_eq!(rate([vec![0, 60], jitter].concat()), "30/1");
    assert_eq!(rate(vec![0, 2, 9, 40, 1, 7]), "25/1", "the last frame may last as it likes");
    assert_eq!(rate(vec![0, 0]), "1000/1");
}

#[test]
fn the_picture_clock_of_h263_stands_in_for_a_rate() {
    let rate = |stts: Vec<u32>| {
        let entry = visual(b"s263", &[]);
        track(&Trak { timescale: 1000, stts, ..Trak::new(b"vide", entry) }).frame_rate.unwrap()
    };
    let irregular: Vec<u32> = (0..20).flat_map(|_| [1, 41, 1, 97, 1, 150, 1, 223]).collect();
    assert_eq!(rate([vec![0, 80], irregular].concat()), "30000/1001");
    assert_eq!(rate(vec![0, 1, 30, 67]), "1000/67", "a table's word counts first");
}

/// The cost of probing these bytes, with or without a result.
fn cost(file: Vec<u8>) -> Usage {
    let (result, usage) = measure(Cursor::new(file));
    assert!(!matches!(result, Err(Error::Panicked { .. })), "{result:?}");
    usage
}

#[test]
fn the_tables_of_a_long_film_are_not_read() {
    let tables = [atom(b"ctts", &[&vec![0; 1 << 20]]), atom(b"stsz", &[&vec![0; 4 << 20]])].concat();
    let film = Trak { in_table: tables.clone(), ..Trak::video() };
    let sound = Trak { id: 2, in_table: tables, ..Trak::new(b"soun", sound(b"Opus", 0, 2, 16, &[])) };
    let movie = moov(&[&film.build(), &sound.build()]);
    let usage = cost([ftyp(b"isom"), movie, atom(b"mdat", &[&[0; 1000]])].concat());
    assert!(usage.bytes < 24 * 1024 && usage.reads <= 3, "{usage:?}");
}

#[test]
fn hostile_files_cost_little() {
    let mut nested = Vec::new();
    for _ in 0..2000 {
        nested = atom(b"moov", &[&nested]);
    }
    let mut wave = Vec::new();
    for _ in 0..500 {
        wave = atom(b"wave", &[&wave]);
    }
    let trak = Trak::video().build();
    let many = moov(&[&trak.repeat(3000)]);
    let endless_stts = Trak { stts: vec![0, u32::MAX, u32::MAX, u32::MAX], ..Trak::video() }.build();
    let boxes = moov(&[&atom(b"free", &[]).repeat(100_000)]);
    let entry = sound(b"mp4a", 0, 2, 16, &[&wave[..], &atom(b"free", &[]).repeat(50_000)].concat());
    for (name, body) in [
        ("nested boxes", nested),
        ("three thousand tracks", many),
        ("four milliard durations", moov(&[&endless_stts])),
        ("a hundred thousand boxes", boxes),
        ("an endless sample entry", moov(&[&Trak::new(b"soun", entry).build()])),
        ("a size of 2^63", [&words(&[1])[..], b"moov", &words(&[0x8000_0000, 0])].concat()),
        ("a size below its header", [&words(&[1])[..], b"moov", &words(&[0, 15])].concat()),
        ("a size of 7", [&words(&[7])[..], b"moov", &[0; 64]].concat()),
    ] {
        let usage = cost([ftyp(b"isom"), body].concat());
        assert!(usage.bytes <= 4_000_000, "{name}: {usage:?}");
    }
    let three_thousand = tracks(&moov(&[&trak.repeat(3000)]));
    assert_eq!(three_thousand.len(), 1000);
}
