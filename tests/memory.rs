//! How much memory a file may cost: the prober over the mutants of all samples, and bombs, under an allocator that counts.
//!
//! A binary of its own with one test, because what it counts is the memory of the whole process.

#[path = "harness/mutants.rs"]
mod mutants;
#[path = "harness/samples.rs"]
mod samples;

use std::io::{Cursor, Read, Seek, SeekFrom};

use peak_alloc::PeakAlloc;
use vpo::media;

/// Counts what is allocated; the `unsafe` that this needs is the crate's.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The promise: more than this no file may cost at any moment.
const LIMIT: usize = 16_000_000;

/// A file with a claimed length, which is zeros after its bytes, so that the sizes in it seem right.
struct Long<'a> {
    bytes: Cursor<&'a [u8]>,
    length: u64,
}

impl Read for Long<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        let position = self.bytes.position();
        let left = usize::try_from(self.length.saturating_sub(position)).unwrap_or(usize::MAX);
        let zeros = (buffer.len() - read).min(left);
        buffer[read..read + zeros].fill(0);
        self.bytes.set_position(position + zeros as u64);
        Ok(read + zeros)
    }
}

impl Seek for Long<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match to {
            SeekFrom::End(by) => {
                self.bytes.set_position(self.length.saturating_add_signed(by));
                Ok(self.bytes.position())
            }
            other => self.bytes.seek(other),
        }
    }
}

/// Probes, and gives the most memory that it had at any moment, with what it answers.
fn cost(file: &[u8], length: u64) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let info = media::probe(Long { bytes: Cursor::new(file), length });
    let peak = MEMORY.peak_usage();
    drop(info);
    peak.saturating_sub(before)
}

#[test]
fn no_file_costs_more_than_sixteen_megabytes() {
    let mut random = mutants::Random::new();
    let samples = samples::all();
    let count = if cfg!(debug_assertions) { 1_500 } else { 10_000 };
    let mut largest = 0;
    for number in 0..count {
        let file = mutants::mutant(&samples[number % samples.len()].1, &mut random);
        // Some claim to be large, so that no size is behind the end.
        let length = if number % 2 == 0 { 1 << (20 + random.below(40)) } else { file.len() as u64 };
        largest = largest.max(cost(&file, length));
    }
    println!("{count} mutants: {largest} bytes at most");
    for (what, file) in mutants::bombs() {
        for length in [file.len() as u64, 1 << 50] {
            let spent = cost(&file, length);
            println!("{what}: {spent} bytes");
            largest = largest.max(spent);
        }
    }
    assert!(largest > 10_000, "nothing was counted");
    assert!(largest <= LIMIT, "{largest} bytes");
}
