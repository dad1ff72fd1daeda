//! What a scan costs, from the walk to the library: `cargo bench --bench scan`.
//!
//! A tree of 100,000 small videos with headers like those of real ones, each with a title and so a content of its
//! own, is scanned by the daemon for the first time and again unchanged. Meanwhile `/health` is asked and the
//! daemon's memory looked at. `--smoke` does all of it with 2,000 files, for CI; `--files N` with any number.

#[path = "../tests/harness/video.rs"]
mod video;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

/// Files in one directory.
const DIRECTORY: u32 = 200;

/// Tracks besides the picture, in turn.
const LANGUAGES: [&[&str]; 4] = [&["eng"], &["eng", "ger"], &["jpn", "eng", "fre"], &["und"]];

fn main() {
    let mut files = 100_000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--smoke" => files = 2_000,
            "--files" => {
                files = arguments.next().and_then(|text| text.parse().ok()).expect("a number of files");
            }
            // What cargo itself passes.
            "--bench" => {}
            other => panic!("unknown argument {other}: see the head of benches/scan.rs"),
        }
    }
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let root = scratch.path().join("films");
    let bytes = make(&root, files);
    println!("{files} files of {} bytes in the mean", bytes / u64::from(files));

    let home = scratch.path().join("command");
    println!("\n`vpo scan`, alone");
    println!("{:<12}{:>9}{:>12}{:>14}", "", "seconds", "files/s", "hashing, s");
    for what in ["first", "unchanged", "unchanged"] {
        let report = scan(&home, &root);
        let one = &report["scans"][0];
        let seconds = one["seconds"].as_f64().unwrap_or(f64::NAN);
        let hashing = report["hash_seconds"].as_f64().unwrap_or(f64::NAN);
        println!("{what:<12}{seconds:>9.3}{:>12.0}{hashing:>14.3}", f64::from(files) / seconds);
        let expected = if what == "first" { u64::from(files) } else { 0 };
        assert_eq!(one["added"].as_u64(), Some(expected), "{report}");
        assert_eq!(one["errors"], 0, "{report}");
    }

    println!("\n`vpo serve`, asked for /health all the while");
    daemon(&scratch.path().join("daemon"), &root, files);
}

/// Writes the tree, an hour old; the bytes of all files.
fn make(root: &Path, files: u32) -> u64 {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let mut bytes = 0;
    for number in 0..files {
        let directory = root.join(format!("{:04}", number / DIRECTORY));
        if number % DIRECTORY == 0 {
            fs::create_dir_all(&directory).expect("a directory");
        }
        let content = video::matroska(
            &format!("A film of the name {number:08}"),
            LANGUAGES[number as usize % LANGUAGES.len()],
        );
        bytes += content.len() as u64;
        let path = directory.join(format!("Film {number:08} (2020).mkv"));
        let mut file = File::create(path).expect("a file");
        file.write_all(&content).and_then(|()| file.set_modified(hour_ago)).expect("written");
    }
    bytes
}

fn vpo(home: &Path) -> Command {
    fs::create_dir_all(home).expect("a home");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vpo"));
    command.env_clear().env("HOME", home).stdin(Stdio::null());
    command
}

fn scan(home: &Path, root: &Path) -> Value {
    let output = vpo(home).args(["scan", "--json", "--library"]).arg(root).output().expect("vpo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn daemon(home: &Path, root: &Path, files: u32) {
    let mut command = vpo(home);
    command.args(["serve", "--port", "0", "--library"]).arg(root).stderr(Stdio::null());
    let child = Killed(command.spawn().expect("vpo runs"));
    let address = address(home);
    let stop = Arc::new(AtomicBool::new(false));
    let prober = {
        let (stop, address) = (Arc::clone(&stop), address.clone());
        std::thread::spawn(move || {
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                let answer = get(&address, "/health").unwrap_or_default();
                assert!(answer.starts_with("HTTP/1.1 200") || times.is_empty(), "{answer}");
                times.push(start.elapsed());
                std::thread::sleep(Duration::from_millis(2));
            }
            times.sort_unstable();
            times
        })
    };
    let start = Instant::now();
    let done = "vpo_scans_total{result=\"completed\"} 1\n";
    let hashed = format!("vpo_scan_files_hashed_total {files}\n");
    let mut peak = 0;
    let mut wait = |line: &str| loop {
        peak = peak.max(resident_kib(child.0.id()));
        if get(&address, "/metrics").is_some_and(|text| text.contains(line)) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(900), "the scan does not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    wait(done);
    let scanned = start.elapsed();
    stop.store(true, Ordering::Relaxed);
    let times = prober.join().expect("every probe is answered");
    wait(&hashed);
    println!(
        "scanned after {:.2} s, hashed after {:.2} s",
        scanned.as_secs_f64(),
        start.elapsed().as_secs_f64()
    );
    let at = |thousandth: usize| times[(times.len() - 1) * thousandth / 1000].as_secs_f64() * 1e3;
    println!(
        "{} probes: median {:.2} ms, p99 {:.2} ms, slowest {:.2} ms",
        times.len(),
        at(500),
        at(990),
        at(1000)
    );
    println!("largest resident memory seen: {:.1} MB", f64::from(peak) / 1024.0);
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the daemon listens, from its lock file.
fn address(home: &Path) -> String {
    let lock: PathBuf = home.join(".vpo/library.db.lock");
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(&lock).unwrap_or_default();
        if let Some(address) = text.lines().nth(1).and_then(|line| line.strip_prefix("http://")) {
            return address.to_owned();
        }
        assert!(start.elapsed() < Duration::from_secs(20), "the daemon does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: vpo\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn resident_kib(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
