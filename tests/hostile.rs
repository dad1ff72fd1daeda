//! The prober against broken and malicious files: none may panic, hang, or cost more than its budget.
//!
//! What a file costs is counted by the source itself: every byte and every call, whatever the prober says.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use vpo::media::{self, Error, MediaInfo};

use crate::harness::samples;

/// Counts what is read of it.
struct Counting<'a> {
    inner: Cursor<&'a [u8]>,
    /// As the file's length is told, which may be far behind the bytes that there are.
    length: u64,
    bytes: u64,
    largest: usize,
}

impl<'a> Counting<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { length: bytes.len() as u64, inner: Cursor::new(bytes), bytes: 0, largest: 0 }
    }
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.largest = self.largest.max(buffer.len());
        let mut read = self.inner.read(buffer)?;
        // Behind the bytes are zeros, up to the length.
        let position = self.inner.position();
        if read < buffer.len() && position < self.length {
            let left = usize::try_from(self.length - position).unwrap_or(usize::MAX);
            let more = (buffer.len() - read).min(left);
            buffer[read..read + more].fill(0);
            self.inner.set_position(position + more as u64);
            read += more;
        }
        self.bytes += read as u64;
        Ok(read)
    }
}

impl Seek for Counting<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match to {
            SeekFrom::End(by) => {
                self.inner.set_position(self.length.saturating_add_signed(by));
                Ok(self.inner.position())
            }
            other => self.inner.seek(other),
        }
    }
}

/// Of this thread: what other tests do meanwhile does not count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("a positive time")
}

/// Probes, and holds the file to the limits.
#[track_caller]
fn probe(mut source: Counting<'_>) -> Result<MediaInfo, Error> {
    let start = processor_time();
    let (info, usage) = media::measure(&mut source);
    let spent = processor_time().saturating_sub(start);
    assert!(!matches!(info, Err(Error::Panicked { .. })), "{:?}", info.err());
    assert!(spent < Duration::from_secs(1), "{spent:?}");
    assert!(source.bytes <= 4_000_000, "{} bytes were read", source.bytes);
    assert_eq!(usage.bytes, source.bytes, "the prober counts as we do");
    assert!(source.largest <= 2 << 20, "a buffer of {} bytes", source.largest);
    if let Ok(info) = &info {
        let text: usize = info.tracks.iter().filter_map(|track| track.title.as_ref()).map(String::len).sum();
        assert!(text <= 8_000_000, "titles of {text} bytes");
    }
    info
}

/// A small generator of our own (xorshift64*): the same mutants on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).expect("31 bits") % limit.max(1)
    }
}

/// Damages a file as disks, networks and enemies do: bits, bytes, sizes, pieces moved, doubled, cut.
fn mutant(original: &[u8], random: &mut Random) -> Vec<u8> {
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

fn mutate(samples: &[(&str, Vec<u8>)], mutants: usize) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut read = 0;
    for number in 0..mutants {
        let (_, original) = &samples[number % samples.len()];
        let file = mutant(original, &mut random);
        let mut source = Counting::new(&file);
        // Some claim to be large, so that no size is behind the end.
        if number % 3 == 0 {
            source.length = 1 << (20 + random.below(40));
        }
        read += usize::from(probe(source).is_ok());
    }
    assert!(read > mutants / 10, "only {read} of {mutants} were still read: the mutations are too coarse");
}

#[test]
fn mutants_do_no_harm() {
    // Without optimisation each costs some milliseconds.
    mutate(&samples::all(), if cfg!(debug_assertions) { 1_500 } else { 10_000 });
}

#[test]
#[ignore = "needs ffmpeg and mkvtoolnix: mutates the files that they made, and real ones"]
fn ten_thousand_mutants_of_real_files_do_no_harm() {
    let made = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    let mut samples = samples::all();
    let mut files: Vec<_> =
        std::fs::read_dir(made).into_iter().flatten().flatten().map(|file| file.path()).collect();
    files.extend(crate::probing::real_files());
    files.sort();
    for path in files {
        let mut head = Vec::new();
        let file = std::fs::File::open(path).expect("readable");
        file.take(64 * 1024).read_to_end(&mut head).expect("read");
        if head.len() > 100 {
            samples.push(("real", head));
        }
    }
    mutate(&samples, 10_000);
}

#[test]
fn every_length_of_every_sample_is_answered() {
    for (name, file) in samples::all() {
        for length in 0..file.len() {
            let info = probe(Counting::new(&file[..length]));
            assert!(length > 0 || matches!(info, Err(Error::Empty)), "{name}");
        }
    }
}

#[test]
fn bombs_cost_no_more_than_the_budget() {
    // Masters within masters, each as large as what it holds.
    let mut nested = Vec::new();
    for _ in 0..20_000 {
        nested = samples::element(0xAE, &nested);
        if nested.len() > 200_000 {
            break;
        }
    }
    let nested = samples::element(0x1654_AE6B, &nested);
    // A million empty tracks.
    let many = samples::element(0x1654_AE6B, &samples::track(1, 1, "V_VP8", &[]).repeat(30_000));
    // Names that are larger than any memory.
    let huge = [&0x536E_u16.to_be_bytes()[..], &[1, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
    let huge = samples::endless(0x1654_AE6B, &samples::endless(0xAE, &huge));
    // A million attachments.
    let attachments = samples::element(0x1941_A469, &samples::element(0x61A7, &[]).repeat(100_000));
    // Seeks to everywhere.
    let seek = samples::element(0x4DBB, &[0x53, 0xAB, 0x84, 0x16, 0x54, 0xAE, 0x6B, 0x53, 0xAC, 0x81, 0]);
    let seeks = samples::element(0x114D_9B74, &seek.repeat(50_000));
    for content in [nested, many, huge, attachments, seeks] {
        for segment in [samples::element(0x1853_8067, &content), samples::endless(0x1853_8067, &content)] {
            let file = [samples::ebml_header("matroska"), segment].concat();
            let _ = probe(Counting::new(&file));
            let mut larger = Counting::new(&file);
            larger.length = 1 << 50;
            let _ = probe(larger);
        }
    }
}

#[test]
fn nested_boxes_and_lists_cost_no_more_than_the_budget() {
    let mut boxes = Vec::new();
    for _ in 0..30_000 {
        let size = u32::try_from(boxes.len() + 8).expect("small").to_be_bytes();
        boxes = [&size[..], b"moov", &boxes].concat();
        if boxes.len() > 60_000 {
            break;
        }
    }
    let _ = probe(Counting::new(&boxes));
    let endless: Vec<u8> = [&[0, 0, 0, 1][..], b"moov", &[0x7F; 8]].concat().repeat(10_000);
    let _ = probe(Counting::new(&endless));
    let empty = [0, 0, 0, 8, b'f', b'r', b'e', b'e'].repeat(100_000);
    let _ = probe(Counting::new(&empty));
    let lists = [b"RIFF\0\0\0\0AVI ".to_vec(), b"LIST\0\0\0\0hdrl".repeat(50_000)].concat();
    let _ = probe(Counting::new(&lists));
}
