//! Tiny videos of each family, written by our own code: rich in structure, poor in pictures.
//!
//! The tests, the fuzz targets' seeds (`fuzz/`) and the benchmark (`benches/probe.rs`) use them.

/// All samples with their names.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("film.mkv", matroska()),
        ("live.webm", webm_live()),
        ("tracks-last.mkv", matroska_tracks_last()),
        ("film.avi", avi()),
        ("film.mp4", mp4()),
        ("fragmented.mp4", mp4_fragmented()),
    ]
}

/// An EBML element.
pub(crate) fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let id: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let size = (content.len() as u64 | 1 << 56).to_be_bytes();
    [&id, &size[..], content].concat()
}

/// An EBML element of unknown size.
pub(crate) fn endless(id: u32, content: &[u8]) -> Vec<u8> {
    let mut element = element(id, content);
    let at = element.len() - content.len() - 8;
    element[at..at + 8].copy_from_slice(&[1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    element
}

fn number(id: u32, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take(7).take_while(|byte| **byte == 0).count();
    element(id, &bytes[zeros..])
}

fn text(id: u32, value: &str) -> Vec<u8> {
    element(id, value.as_bytes())
}

/// The EBML header.
pub(crate) fn ebml_header(kind: &str) -> Vec<u8> {
    element(0x1A45_DFA3, &[number(0x42F7, 1), text(0x4282, kind), number(0x4285, 2)].concat())
}

/// One `TrackEntry`: number, type, codec, and what else.
pub(crate) fn track(index: u64, kind: u64, codec: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let mut content =
        [number(0xD7, index), number(0x73C5, index), number(0x83, kind), text(0x86, codec)].concat();
    content.extend(more.concat());
    element(0xAE, &content)
}

/// A track's name.
pub(crate) fn name(name: &str) -> Vec<u8> {
    text(0x536E, name)
}

fn language(code: &str) -> Vec<u8> {
    text(0x22_B59C, code)
}

fn info() -> Vec<u8> {
    element(
        0x1549_A966,
        &[number(0x2A_D7B1, 1_000_000), element(0x4489, &61_250.0_f64.to_be_bytes())].concat(),
    )
}

fn tracks() -> Vec<u8> {
    let video = element(0xE0, &[number(0xB0, 1920), number(0xBA, 1080)].concat());
    let audio = element(0xE1, &[element(0xB5, &48_000.0_f32.to_be_bytes()), number(0x9F, 6)].concat());
    let film = track(1, 1, "V_MPEGH/ISO/HEVC", &[video, number(0x23_E383, 41_708_333), language("und")]);
    let sound = track(2, 2, "A_EAC3", &[audio, name("Surround 5.1"), text(0x22_B59D, "pt-BR")]);
    let words = track(3, 0x11, "S_TEXT/UTF8", &[language("ger"), number(0x55AA, 1), number(0x88, 0)]);
    element(0x1654_AE6B, &[film, sound, words].concat())
}

fn attachments() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR".to_vec();
    png.extend([0, 0, 2, 88, 0, 0, 3, 132, 8, 2, 0, 0, 0]);
    let file = |name: &str, kind: &str, data: &[u8]| {
        element(0x61A7, &[text(0x466E, name), text(0x4660, kind), element(0x465C, data)].concat())
    };
    let font = file("font.ttf", "application/x-truetype-font", &[0; 3000]);
    element(0x1941_A469, &[file("cover.png", "image/png", &png), font].concat())
}

/// Clusters of one video track, a frame every 40 ms.
fn cluster(frames: std::ops::Range<u16>) -> Vec<u8> {
    let start = u64::from(frames.start) * 40;
    let blocks = frames.clone().flat_map(|frame| {
        let [high, low] = ((frame - frames.start) * 40).to_be_bytes();
        element(0xA3, &[&[0x81, high, low, 0x80][..], &[0; 60]].concat())
    });
    [number(0xE7, start), blocks.collect()].concat()
}

/// SeekHead, Void, Info, Tracks, Attachments, a Cluster.
pub(crate) fn matroska() -> Vec<u8> {
    let void = element(0xEC, &[0; 100]);
    let parts = [void, info(), tracks(), attachments(), element(0x1F43_B675, &cluster(0..10))].concat();
    [ebml_header("matroska"), element(0x1853_8067, &parts)].concat()
}

/// As a browser records it: no sizes, no duration, no frame rate.
pub(crate) fn webm_live() -> Vec<u8> {
    let video = element(0xE0, &[number(0xB0, 640), number(0xBA, 480)].concat());
    let tracks = element(0x1654_AE6B, &track(1, 1, "V_VP8", &[video]));
    let info = element(0x1549_A966, &number(0x2A_D7B1, 1_000_000));
    let clusters = [endless(0x1F43_B675, &cluster(0..30)), endless(0x1F43_B675, &cluster(30..60))].concat();
    [ebml_header("webm"), endless(0x1853_8067, &[info, tracks, clusters].concat())].concat()
}

/// `Tracks` after the Clusters, which only a SeekHead locates, in which the second points to itself.
pub(crate) fn matroska_tracks_last() -> Vec<u8> {
    let seek = |id: u32, position: u64| {
        let position = element(0x53AC, &position.to_be_bytes());
        element(0x4DBB, &[element(0x53AB, &id.to_be_bytes()), position].concat())
    };
    let cluster = element(0x1F43_B675, &cluster(0..10));
    let head = |tracks: u64, again: u64| {
        element(0x114D_9B74, &[seek(0x1654_AE6B, tracks), seek(0x114D_9B74, again)].concat())
    };
    let first = head(0, 0).len() as u64;
    let (info, tracks) = (info(), tracks());
    let at = first + (info.len() + cluster.len()) as u64;
    let second = at + tracks.len() as u64;
    let parts = [head(at, second), info, cluster, tracks, head(0, second)].concat();
    [ebml_header("matroska"), element(0x1853_8067, &parts)].concat()
}

fn chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).expect("small").to_le_bytes();
    let padding: &[u8] = if content.len() % 2 == 1 { &[0] } else { &[] };
    [name, &size, content, padding].concat()
}

fn little(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// `hdrl` with two streams and OpenDML's `dmlh`, a `movi` list, an index.
pub(crate) fn avi() -> Vec<u8> {
    let list = |name: &[u8], parts: &[Vec<u8>]| chunk(b"LIST", &[name, &parts.concat()].concat());
    let header = |kind: &[u8], scale: u32, rate: u32, length: u32, sample: u32| {
        let rest = little(&[0, 0, 0, scale, rate, 0, length, 0, 0, sample, 0, 0]);
        chunk(b"strh", &[kind, b"XVID", &rest].concat())
    };
    let bitmap = [little(&[40, 640, 352]), vec![1, 0, 24, 0], b"XVID".to_vec(), little(&[0; 5])].concat();
    let wave = [vec![0x55, 0, 2, 0], little(&[48_000, 16_000]), vec![1, 0, 0, 0, 0, 0]].concat();
    let video = [header(b"vids", 1001, 24_000, 1440, 0), chunk(b"strf", &bitmap), chunk(b"strn", b"Film\0")];
    let audio = [header(b"auds", 1, 16_000, 961_000, 1), chunk(b"strf", &wave)];
    let main = chunk(b"avih", &little(&[41_708, 0, 0, 0x10, 1440, 0, 2, 0, 640, 352, 0, 0, 0, 0]));
    let open = list(b"odml", &[chunk(b"dmlh", &little(&[1440]))]);
    let streams = [list(b"strl", &video), list(b"strl", &audio)].concat();
    let body = [
        list(b"hdrl", &[main, streams, open]),
        chunk(b"JUNK", &[0; 200]),
        list(b"movi", &[chunk(b"00dc", &[0; 99]), chunk(b"01wb", &[0; 50])]),
        chunk(b"idx1", &[0; 32]),
    ]
    .concat();
    chunk(b"RIFF", &[b"AVI ", &body[..]].concat())
}

fn atom(kind: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let size = u32::try_from(content.len() + 8).expect("small").to_be_bytes();
    [&size, kind, &content].concat()
}

fn big(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// The boxes of one track; `durations` as `stts` has them.
fn trak(id: u32, handler: &[u8], timescale: u32, entry: &[u8], durations: &[u32]) -> Vec<u8> {
    let (width, height) = if handler == b"vide" { (1280 << 16, 720 << 16) } else { (0, 0) };
    let mut tkhd = big(&[3, 0, 0, id, 0, 60_000]);
    tkhd.extend(big(&[0; 13]));
    tkhd.extend(big(&[0, width, height]));
    let mdhd = big(&[0, 0, 0, timescale, timescale * 60, 0x15C7_0000]);
    let hdlr = [&big(&[0, 0])[..], handler, &[0; 13]].concat();
    let stsd = atom(b"stsd", &[&big(&[0, 1]), entry]);
    let pairs = u32::try_from(durations.len() / 2).expect("small");
    let stts = atom(b"stts", &[&big(&[0, pairs]), &big(durations)]);
    let minf = atom(b"minf", &[&atom(b"stbl", &[&stsd, &stts])]);
    let mdia = atom(b"mdia", &[&atom(b"mdhd", &[&mdhd]), &atom(b"hdlr", &[&hdlr]), &minf]);
    atom(b"trak", &[&atom(b"tkhd", &[&tkhd]), &mdia])
}

fn visual(kind: &[u8]) -> Vec<u8> {
    let mut entry = vec![0; 78];
    entry[7] = 1;
    entry[24..28].copy_from_slice(&[0x05, 0x00, 0x02, 0xD0]);
    atom(kind, &[&entry])
}

fn sound() -> Vec<u8> {
    let mut entry = vec![0; 28];
    entry[7] = 1;
    entry[17] = 2;
    entry[19] = 16;
    let config: &[u8] =
        &[0, 0, 0, 0, 3, 22, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0x12, 0x10];
    atom(b"mp4a", &[&entry, &atom(b"esds", &[config])])
}

fn mvhd() -> Vec<u8> {
    let mut content = big(&[0, 0, 0, 1000, 60_000]);
    content.extend(big(&[0; 20]));
    atom(b"mvhd", &[&content])
}

/// `ftyp`, `mdat`, and `moov` at the end.
pub(crate) fn mp4() -> Vec<u8> {
    let video = trak(1, b"vide", 24_000, &visual(b"avc1"), &[1440, 1001]);
    let audio = trak(2, b"soun", 48_000, &sound(), &[2813, 1024]);
    let moov = atom(b"moov", &[&mvhd(), &video, &audio]);
    [atom(b"ftyp", &[b"isom\0\0\x02\0isomiso2avc1mp41"]), atom(b"mdat", &[&[0; 500]]), moov].concat()
}

/// `moov` without samples, and fragments.
pub(crate) fn mp4_fragmented() -> Vec<u8> {
    let video = trak(1, b"vide", 25_000, &visual(b"hvc1"), &[]);
    let trex = atom(b"trex", &[&big(&[0, 1, 1, 1000, 0, 0])]);
    let moov = atom(b"moov", &[&mvhd(), &video, &atom(b"mvex", &[&trex])]);
    let fragment = |sequence: u32, time: u32| {
        let tfhd = atom(b"tfhd", &[&big(&[0x02_0000, 1])]);
        let tfdt = atom(b"tfdt", &[&big(&[0, time])]);
        let trun = atom(b"trun", &[&big(&[0, 50])]);
        let traf = atom(b"traf", &[&tfhd, &tfdt, &trun]);
        let head = atom(b"moof", &[&atom(b"mfhd", &[&big(&[0, sequence])]), &traf]);
        [head, atom(b"mdat", &[&[0; 100]])].concat()
    };
    [atom(b"ftyp", &[b"iso5\0\0\0\0iso5dash"]), moov, fragment(1, 0), fragment(2, 50_000)].concat()
}
