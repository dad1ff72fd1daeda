//! Files that are broken as disks, networks and enemies break them.

use super::samples;

/// A small generator of our own (xorshift64*): the same mutants on every machine.
pub(crate) struct Random(u64);

impl Random {
    /// Always from the same beginning.
    pub(crate) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// The next number, below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).expect("31 bits") % limit.max(1)
    }
}

/// Damages a file as disks, networks and enemies do: bits, bytes, sizes, pieces moved, doubled, cut.
pub(crate) fn mutant(original: &[u8], random: &mut Random) -> Vec<u8> {
    const VALUES: [u8; 8] = [0, 1, 0x7F, 0x80, 0xFF, 0x40, 0x10, 0xEC];
    let mut file = original.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(file.len());
        let length = random.below(64).min(file.len() - at);
        match random.below(8) {
            0 => file[at] ^= 1 << random.below(8),
            1 => file[at] = VALUES[random.below(VALUES.len())],
            2 => file[at..at + length.min(8)].fill(VALUES[random.below(VALUES.len())]),
            3 => file.truncate(at.max(1)),
            4 => drop(file.drain(at..at + length)),
            5 => {
                let piece = file[at..at + length].to_vec();
                let to = random.below(file.len());
                file.splice(to..to, piece);
            }
            6 => file[at] = u8::try_from(random.below(256)).expect("a byte"),
            _ => {
                let number = u32::try_from(random.below(usize::MAX)).unwrap_or(u32::MAX).to_be_bytes();
                let end = (at + 4).min(file.len());
                file[at..end].copy_from_slice(&number[..end - at]);
            }
        }
        if file.is_empty() {
            file.push(0);
        }
    }
    file
}

/// Files made to cost as much as can be.
pub(crate) fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = Vec::new();
    for (what, content) in segments() {
        for segment in [samples::element(0x1853_8067, &content), samples::endless(0x1853_8067, &content)] {
            files.push((what, [samples::ebml_header("matroska"), segment].concat()));
        }
    }
    let mut boxes = Vec::new();
    for _ in 0..30_000 {
        let size = u32::try_from(boxes.len() + 8).expect("small").to_be_bytes();
        boxes = [&size[..], b"moov", &boxes].concat();
        if boxes.len() > 60_000 {
            break;
        }
    }
    files.push(("boxes within boxes", boxes));
    files.push(("endless boxes", [&[0, 0, 0, 1][..], b"moov", &[0x7F; 8]].concat().repeat(10_000)));
    files.push(("empty boxes", [0, 0, 0, 8, b'f', b'r', b'e', b'e'].repeat(100_000)));
    let stream = [&b"strh\x30\0\0\0"[..], &[b'x'; 48]].concat();
    files.push((
        "many streams",
        [b"RIFF\0\0\0\0AVI LIST\0\0\0\0hdrl".to_vec(), stream.repeat(60_000)].concat(),
    ));
    files.push(("empty lists", [b"RIFF\0\0\0\0AVI ".to_vec(), b"LIST\0\0\0\0hdrl".repeat(50_000)].concat()));
    files
}

fn segments() -> [(&'static str, Vec<u8>); 7] {
    // Masters within masters, each as large as what it holds.
    let mut nested = Vec::new();
    for _ in 0..20_000 {
        nested = samples::element(0xAE, &nested);
        if nested.len() > 200_000 {
            break;
        }
    }
    let nested = samples::element(0x1654_AE6B, &nested);
    let many = samples::element(0x1654_AE6B, &samples::track(1, 1, "V_VP8", &[]).repeat(30_000));
    // Names that are larger than any memory.
    let huge = [&0x536E_u16.to_be_bytes()[..], &[1, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
    let huge = samples::endless(0x1654_AE6B, &samples::endless(0xAE, &huge));
    // Names as large as is believed, many times.
    let name = samples::element(0x536E, &vec![b'x'; 60_000]);
    let names = samples::element(0x1654_AE6B, &samples::track(1, 1, "V_VP8", &[name]).repeat(60));
    let name = samples::element(0x536E, &[0xFF; 3_900]);
    let bad_names = samples::element(0x1654_AE6B, &samples::track(1, 2, "A_AAC", &[name]).repeat(1_000));
    let bad_names = [bad_names, samples::element(0x1F43_B675, &[])].concat();
    let attachments = samples::element(0x1941_A469, &samples::element(0x61A7, &[]).repeat(100_000));
    // Seeks to everywhere.
    let seek = samples::element(0x4DBB, &[0x53, 0xAB, 0x84, 0x16, 0x54, 0xAE, 0x6B, 0x53, 0xAC, 0x81, 0]);
    let seeks = samples::element(0x114D_9B74, &seek.repeat(50_000));
    [
        ("nested tracks", nested),
        ("many tracks", many),
        ("a name without end", huge),
        ("long names", names),
        ("names that are not UTF-8", bad_names),
        ("many attachments", attachments),
        ("many seeks", seeks),
    ]
}
