//! Small videos made by hand, so that no test needs ffmpeg: a Matroska file of a few hundred bytes with the
//! header of a real one.

/// An EBML element: id, size on 8 bytes, content (RFC 8794).
fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = id.to_vec();
    let size = (content.len() as u64) | (1 << 56);
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// A film of that title with one video track and an audio track of each language. Films of different titles
/// differ in their bytes; titles of one length make files of one size.
pub(crate) fn matroska(title: &str, languages: &[&str]) -> Vec<u8> {
    let untitled: Vec<_> = languages.iter().map(|language| (*language, "")).collect();
    matroska_with(title, &untitled)
}

/// As [`matroska`], with an audio track for each language and title.
pub(crate) fn matroska_with(title: &str, tracks_of_audio: &[(&str, &str)]) -> Vec<u8> {
    let header = [
        element(&[0x42, 0x86], &[1]),
        element(&[0x42, 0xF7], &[1]),
        element(&[0x42, 0xF2], &[4]),
        element(&[0x42, 0xF3], &[8]),
        element(&[0x42, 0x82], b"matroska"),
        element(&[0x42, 0x87], &[4]),
        element(&[0x42, 0x85], &[2]),
    ]
    .concat();
    let info = [
        element(&[0x2A, 0xD7, 0xB1], &1_000_000_u32.to_be_bytes()),
        element(&[0x44, 0x89], &5_400_000.0_f64.to_be_bytes()),
        element(&[0x7B, 0xA9], title.as_bytes()),
        element(&[0x4D, 0x80], b"vpo"),
        element(&[0x57, 0x41], b"vpo"),
    ]
    .concat();
    let mut tracks = track(1, 1, b"V_MPEG4/ISO/AVC", "und", &video());
    for (index, (language, name)) in tracks_of_audio.iter().enumerate() {
        let number = u16::try_from(index + 2).expect("few tracks");
        let name = if name.is_empty() { Vec::new() } else { element(&[0x53, 0x6E], name.as_bytes()) };
        tracks.extend(track(number, 2, b"A_AAC", language, &[name, audio()].concat()));
    }
    // One key frame, which is what ends the headers.
    let cluster = [element(&[0xE7], &[0]), element(&[0xA3], &[0x81, 0, 0, 0x80, 0, 0, 0, 0])].concat();
    let segment = [
        element(&[0x15, 0x49, 0xA9, 0x66], &info),
        element(&[0x16, 0x54, 0xAE, 0x6B], &tracks),
        element(&[0x1F, 0x43, 0xB6, 0x75], &cluster),
    ]
    .concat();
    [element(&[0x1A, 0x45, 0xDF, 0xA3], &header), element(&[0x18, 0x53, 0x80, 0x67], &segment)].concat()
}

fn track(number: u16, kind: u8, codec: &[u8], language: &str, details: &[u8]) -> Vec<u8> {
    let entry = [
        element(&[0xD7], &number.to_be_bytes()),
        element(&[0x73, 0xC5], &number.to_be_bytes()),
        element(&[0x83], &[kind]),
        element(&[0x86], codec),
        element(&[0x22, 0xB5, 0x9C], language.as_bytes()),
        element(&[0x23, 0xE3, 0x83], &41_666_666_u32.to_be_bytes()),
        details.to_vec(),
    ]
    .concat();
    element(&[0xAE], &entry)
}

fn video() -> Vec<u8> {
    let size =
        [element(&[0xB0], &1920_u16.to_be_bytes()), element(&[0xBA], &1080_u16.to_be_bytes())].concat();
    element(&[0xE0], &size)
}

fn audio() -> Vec<u8> {
    element(&[0xE1], &[element(&[0xB5], &48000.0_f32.to_be_bytes()), element(&[0x9F], &[2])].concat())
}
