//! What it costs to look into a video: `cargo bench --bench probe`.
//!
//! First the parsers alone, on samples in memory. Then `media::probe_file` on real files against the programs that
//! do the same, spawned per file: ffprobe, mediainfo, mkvmerge. The files are those of `../shared/corpus` or
//! `VPO_BENCH_FILES`, else the samples written out. `--smoke` does all of it once, for CI.

#[path = "../tests/harness/samples.rs"]
mod samples;

use std::hint::black_box;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vpo::media;

fn main() {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    parsers(if is_smoke { 20 } else { 20_000 });
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let files = files(scratch.path());
    println!();
    cost(&files);
    println!();
    programs(&files, is_smoke);
}

fn parsers(rounds: u32) {
    println!("{:<18}{:>12}{:>14}", "parser alone", "per file", "files/s");
    for (name, file) in samples::all() {
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(media::probe(Cursor::new(black_box(&file)))).expect("a sample");
        }
        let each = start.elapsed() / rounds;
        println!("{name:<18}{:>12}{:>14.0}", show(each), 1.0 / each.as_secs_f64());
    }
}

/// Bytes and reads by what the prober asks of the file.
fn cost(files: &[PathBuf]) {
    let usage = |path: &PathBuf| media::open(path).map(|file| media::measure(file).1).unwrap_or_default();
    let mut bytes: Vec<u64> = files.iter().map(|path| usage(path).bytes).collect();
    let reads: u64 = files.iter().map(|path| u64::from(usage(path).reads)).sum();
    bytes.sort_unstable();
    let count = u32::try_from(files.len()).expect("some files");
    println!(
        "of {count} files, in the mean, read      {:>9.1} KiB in {:.2} reads",
        mean(&bytes, count) / 1024.0,
        mean(&[reads], count)
    );
    let at = |part: usize| bytes.get(bytes.len() * part / 100).copied().unwrap_or_default() / 1024;
    println!("median, 90th and 99th of a hundred     {:>6}, {}, {} KiB", at(50), at(90), at(99));
}

#[expect(clippy::cast_precision_loss, reason = "sums of small files")]
fn mean(numbers: &[u64], count: u32) -> f64 {
    numbers.iter().sum::<u64>() as f64 / f64::from(count)
}

fn programs(files: &[PathBuf], is_smoke: bool) {
    println!("{:<34}{:>12}{:>14}{:>10}", "per file, on one core, warm cache", "time", "files/s", "times");
    let rounds = if is_smoke { 1 } else { 50 };
    let start = Instant::now();
    for path in (0..rounds).flat_map(|_| files) {
        let _ = black_box(media::probe_file(path));
    }
    let count = u32::try_from(files.len()).expect("some files");
    let ours = start.elapsed() / (count * rounds);
    println!("{:<34}{:>12}{:>14.0}{:>10}", "media::probe_file", show(ours), 1.0 / ours.as_secs_f64(), 1);
    let few = if is_smoke { 3 } else { files.len() };
    for (program, arguments) in [
        ("ffprobe", &["-v", "error", "-show_format", "-show_streams", "-of", "json", "-i"][..]),
        ("mediainfo", &["--Output=JSON"]),
        ("mkvmerge", &["-J"]),
    ] {
        match spawned(program, arguments, files.get(..few).unwrap_or(files)) {
            Some(each) => {
                let ratio = each.as_secs_f64() / ours.as_secs_f64();
                println!("{program:<34}{:>12}{:>14.0}{ratio:>10.0}", show(each), 1.0 / each.as_secs_f64());
            }
            None => println!("{program:<34}{:>12}", "not here"),
        }
    }
}

/// One process per file; `None` when the program is not installed.
fn spawned(program: &str, arguments: &[&str], files: &[PathBuf]) -> Option<Duration> {
    let start = Instant::now();
    for path in files {
        let mut command = Command::new(program);
        command.args(arguments).arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().ok()?;
    }
    Some(start.elapsed() / u32::try_from(files.len()).ok()?)
}

fn files(scratch: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let root = std::env::var_os("VPO_BENCH_FILES").map_or(beside, PathBuf::from);
    walk(&root, &mut found);
    if found.is_empty() {
        for (name, content) in samples::all() {
            let path = scratch.join(name);
            std::fs::write(&path, content).expect("room for the samples");
            found.push(path);
        }
    }
    found.sort();
    found
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.extension().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            walk(&path, found);
        } else if media::extensions().any(|extension| name.eq_ignore_ascii_case(extension)) {
            found.push(path);
        }
    }
}

fn show(time: Duration) -> String {
    let microseconds = time.as_secs_f64() * 1e6;
    if microseconds < 1000.0 {
        format!("{microseconds:.1} µs")
    } else {
        format!("{:.1} ms", microseconds / 1000.0)
    }
}
