//! The prober against broken and malicious files: none may panic, hang, or cost more than its budget.
//!
//! The source itself counts the cost of a file: every byte and every call, independent of the prober.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use vpo::media::{self, Error, MediaInfo, Track};

use crate::harness::mutants::{self, Random, mutant};
use crate::harness::samples;

/// Counts what is read of it.
struct Counting<'a> {
    inner: Cursor<&'a [u8]>,
    /// The reported length of the file, which may be far above its real length.
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
        let text = |track: &Track| {
            [&track.title, &track.language, &track.codec]
                .into_iter()
                .flatten()
                .map(String::len)
                .sum::<usize>()
        };
        let titles: usize = info.tracks.iter().map(|track| track.title.as_ref().map_or(0, String::len)).sum();
        let texts: usize = info.tracks.iter().map(text).sum();
        assert!(titles <= 65_536 && texts <= 100_000, "titles of {titles} bytes, texts of {texts}");
    }
    info
}

fn mutate(samples: &[(&str, Vec<u8>)], mutants: usize) {
    let mut random = Random::new();
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
    for (_, file) in mutants::bombs() {
        let _ = probe(Counting::new(&file));
        let mut larger = Counting::new(&file);
        larger.length = 1 << 50;
        let _ = probe(larger);
    }
}
