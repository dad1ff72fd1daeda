//! The rows of the table.

use std::fs::{create_dir_all, hard_link};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::Extent;
use crate::daemon::{Daemon, Group, Home};
use crate::raw::Raw;
use crate::report::{self, Latencies, Probe, Target};
use crate::servers::Server;
use crate::{clients, films};

/// Measures and prints one row.
type Row = fn(&Extent);

/// Name and row.
pub(crate) const ALL: [(&str, Row); 8] = [
    ("pages", pages),
    ("silent", silent),
    ("titles", titles),
    ("idle", idle),
    ("many", many),
    ("one", one),
    ("burst", burst),
    ("flood", flood),
];

/// Files with long paths.
const LONG_PATHS: u32 = 3_000;
/// A scan takes no longer.
const SCAN: Duration = Duration::from_secs(1_800);
const PAGES: &str = "/api/v1/files?limit=1000";

/// The daemon's whole answer to a path, for the raw responder.
fn whole_answer(address: SocketAddr, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: vpo\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).expect("sent");
    let (status, body) = report::answer(&mut stream).expect("an answer");
    assert_eq!(status, 200);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// Requests `/health` while `load` runs.
fn probed<T>(address: SocketAddr, load: impl FnOnce() -> T) -> (Latencies, T) {
    let probe = Probe::start(address);
    let result = load();
    (probe.end(), result)
}

fn pages(extent: &Extent) {
    let home = Home::new();
    films::long_paths(&home, LONG_PATHS);
    let daemon = Daemon::start(&home, false, "");
    let raw = Raw::start(&whole_answer(daemon.address, PAGES));
    let load = |address| clients::fetch_pages(address, 32, PAGES, extent.time);
    let (beside, _) = probed(raw.address(), || load(raw.address()));
    let (latencies, (ok, bytes, others)) = probed(daemon.address, || load(daemon.address));
    let further = format!("{ok} pages, {} KiB each, {others} other answers", bytes / 1024 / ok.max(1));
    let target = Target::new(50.0, 250.0, 60);
    report::line(
        "32 clients fetch pages, paths of 3.9 KB",
        &latencies,
        &beside,
        daemon.peak_mib(),
        target,
        &further,
    );
    assert!(ok > 0 && bytes / ok < 300 * 1024, "pages are bounded");
}

fn silent(extent: &Extent) {
    let home = Home::new();
    films::long_paths(&home, LONG_PATHS);
    let daemon = Daemon::start(&home, false, "");
    let raw = Raw::start(&whole_answer(daemon.address, PAGES));
    let load = |address| clients::never_read(address, 200, PAGES, extent.time);
    let (beside, ()) = probed(raw.address(), || load(raw.address()));
    let (latencies, ()) = probed(daemon.address, || load(daemon.address));
    let metrics = whole_answer(daemon.address, "/metrics");
    let metrics = String::from_utf8_lossy(&metrics);
    let name = "vpo_http_connections_closed_total{reason=\"timeout\"} ";
    let closed = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?");
    report::line(
        "200 clients request pages and never read",
        &latencies,
        &beside,
        daemon.peak_mib(),
        Target::new(50.0, 250.0, 100),
        &format!("{closed} closed"),
    );
}

/// Waits for the end of the daemon's first scan.
fn wait_for_scan(home: &Home, daemon: &mut Daemon) -> f64 {
    let begun = Instant::now();
    loop {
        assert!(daemon.runs(), "the daemon was killed");
        assert!(begun.elapsed() < SCAN, "the scan takes too long");
        if home.count("SELECT count(*) FROM jobs WHERE status = 'completed'") > 0 {
            return begun.elapsed().as_secs_f64();
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Scans in the daemon while `/health` of it and of the raw responder are requested. Returns both, the peak and the seconds.
fn scanned(home: &Home, before: &str) -> (Latencies, Latencies, u64, f64) {
    let mut daemon = Daemon::start(home, true, before);
    let raw = Raw::start(&whole_answer(daemon.address, "/health"));
    let beside = Probe::start(raw.address());
    let (latencies, seconds) = probed(daemon.address, || wait_for_scan(home, &mut daemon));
    (latencies, beside.end(), daemon.peak_mib(), seconds)
}

fn titles(extent: &Extent) {
    let group = Group::new();
    if group.is_none() {
        println!("no control group can be made here: one row is left out");
    }
    for group in [None].into_iter().chain(group.as_ref().map(|group| Some(group.enter()))) {
        let before = group.as_deref().unwrap_or_default();
        let home = Home::new();
        for (name, byte) in [("valid", b'x'), ("invalid", 0xFF)] {
            let source = home.films().join(format!("{name}.mkv"));
            films::write(&source, &films::film_of_titles(byte));
            for number in 1..extent.links / 2 {
                hard_link(&source, home.films().join(format!("{name}-{number}.mkv"))).expect("a link");
            }
        }
        films::write(&home.films().join("good.mkv"), &films::film("good"));
        let (latencies, beside, peak, seconds) = scanned(&home, before);
        let mib = std::fs::metadata(home.database()).expect("there").len() >> 20;
        let further = format!("{seconds:.0} s, database of {mib} MiB");
        let load = format!(
            "{} links to files of titles{}",
            extent.links,
            if group.is_some() { ", 128 MiB cgroup" } else { "" }
        );
        report::line(&load, &latencies, &beside, peak, Target::new(10.0, 100.0, 100), &further);
        assert_eq!(
            home.count("SELECT count(*) FROM files WHERE filename = 'good.mkv' AND scan_status = 'ok'"),
            1
        );
        assert!(mib < 100, "the database is bounded");
        // `vpo scan`, of the same.
        let other = Home::new();
        let films = home.films();
        let status =
            other.vpo(&["scan", films.to_str().expect("UTF-8")], before).stdout(Stdio::null()).status();
        assert!(status.expect("vpo runs").success(), "vpo scan");
    }
}

fn idle(_: &Extent) {
    const DEPTH: usize = 60;
    let home = Home::new();
    let mut directory = home.films();
    for level in 0..DEPTH {
        directory = directory.join(level.to_string());
        for number in 0..20 {
            films::write(
                &directory.join(format!("{number}.mkv")),
                &films::film(&format!("{level:03}{number:03}")),
            );
        }
    }
    // The watch finds the tree when all connections are there.
    let hidden = home.films().with_file_name("hidden");
    std::fs::rename(home.films(), &hidden).expect("renamed");
    create_dir_all(home.films()).expect("a root");
    films::write(&home.films().join("first.mkv"), &films::film("first"));
    // With as many descriptors as connections: the scanner needs some of them.
    let mut daemon = Daemon::start(&home, true, "ulimit -n 1024");
    wait_for_scan(&home, &mut daemon);
    let raw = Raw::start(&whole_answer(daemon.address, "/health"));
    let beside = Probe::start(raw.address());
    let (latencies, (open, seconds)) = probed(daemon.address, || {
        let open = clients::idle(daemon.address, 1_023);
        let begun = Instant::now();
        std::fs::rename(hidden.join("0"), home.films().join("0")).expect("renamed");
        let all = u32::try_from(DEPTH * 20 + 1).expect("small");
        while home.count("SELECT count(*) FROM files WHERE scan_status = 'ok'") < all {
            assert!(begun.elapsed() < SCAN && daemon.runs(), "files are missing");
            std::thread::sleep(Duration::from_millis(100));
        }
        (open.len(), begun.elapsed().as_secs_f64())
    });
    let further = format!("{open} idle, every file found, {seconds:.0} s with the watch's pauses");
    let target = Target { memory: None, ..Target::new(10.0, 100.0, 0) };
    report::line(
        "1,024 connections, a tree 60 deep",
        &latencies,
        &beside.end(),
        daemon.peak_mib(),
        target,
        &further,
    );
}

fn scan_many(count: u32, per_directory: u32, name: &str, memory: u64) {
    let home = Home::new();
    films::link_many(&home, count, per_directory);
    let (latencies, beside, peak, seconds) = scanned(&home, "");
    let mib = std::fs::metadata(home.database()).expect("there").len() >> 20;
    let further = format!("{seconds:.0} s, {:.0} files/s, database of {mib} MiB", f64::from(count) / seconds);
    report::line(
        &format!("{count} files {name}"),
        &latencies,
        &beside,
        peak,
        Target::new(10.0, 100.0, memory),
        &further,
    );
    assert_eq!(home.count("SELECT count(*) FROM files WHERE scan_status = 'ok'"), count);
}

fn many(extent: &Extent) {
    scan_many(extent.many, 50, "in directories of 50", 60);
}

fn one(extent: &Extent) {
    scan_many(extent.one, u32::MAX, "in one directory", 100);
}

fn burst(_: &Extent) {
    let home = Home::new();
    let daemon = Daemon::start(&home, false, "");
    let raw = Raw::start(&whole_answer(daemon.address, "/health"));
    let (beside, _) = probed(raw.address(), || clients::burst(raw.address(), 1_200));
    let (latencies, answered) = probed(daemon.address, || clients::burst(daemon.address, 1_200));
    let target = Target::default();
    let further = format!("{answered} answered");
    report::line("1,200 connections at once", &latencies, &beside, daemon.peak_mib(), target, &further);
    assert_eq!(answered, 1_200);
}

fn flood(extent: &Extent) {
    let home = Home::new();
    let daemon = Daemon::start(&home, false, "");
    let raw = Raw::start(&whole_answer(daemon.address, "/health"));
    let load = |address| clients::flood(address, extent.flood, extent.flood_time);
    let (beside, of_raw) = probed(raw.address(), || load(raw.address()));
    let (latencies, rate) = probed(daemon.address, || load(daemon.address));
    let further = format!("{rate:.0} a second reached, {of_raw:.0} against the raw responder");
    let load = format!("{} new silent connections a second", extent.flood);
    report::line(&load, &latencies, &beside, daemon.peak_mib(), Target::new(100.0, 500.0, 60), &further);
}
