//! What a file, a request or a client may cost in memory: bytes are bounded, not only counts.

use std::fs::{self, hard_link};

use crate::harness::{Daemon, Sandbox, eventually, samples, settled};

/// A film whose 1,000 tracks have titles of 3,900 bytes each.
fn film_of_titles(byte: u8) -> Vec<u8> {
    let title = samples::element(0x536E, &[byte; 3_900]);
    let tracks = samples::element(0x1654_AE6B, &samples::track(1, 2, "A_AAC", &[title]).repeat(1_000));
    let cluster = samples::element(0x1F43_B675, &samples::element(0xE7, &[0]));
    [samples::ebml_header("matroska"), samples::element(0x1853_8067, &[tracks, cluster].concat())].concat()
}

/// The largest resident memory that the daemon has had, in MiB.
fn peak_mib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[test]
fn hostile_titles_cost_little_memory_and_little_of_the_database() {
    const LINKS: u32 = 20;
    let sandbox = Sandbox::new();
    for (name, byte) in [("valid", b'x'), ("invalid", 0xFF)] {
        let file = sandbox.write(format!("films/{name}.mkv").as_str(), film_of_titles(byte));
        settled(&file);
        for number in 1..LINKS {
            hard_link(&file, sandbox.path(format!("films/{name}-{number}.mkv"))).expect("a link");
        }
    }
    sandbox.film("films/good.mkv");
    let daemon = sandbox.serve(["--root", "films"]);
    let recorded = 2 * LINKS + 1;
    eventually("all are recorded", || {
        let ok: u32 = sandbox.value("SELECT count(*) FROM files WHERE scan_status = 'ok'");
        let ended: u32 = sandbox.value("SELECT count(*) FROM jobs WHERE status = 'completed'");
        ((ok, ended) == (recorded, 1)).then_some(())
    });
    let peak = peak_mib(&daemon);
    assert!(peak < 100, "a peak of {peak} MiB");
    let most: u32 = sandbox
        .value("SELECT max(n) FROM (SELECT sum(length(CAST(title AS BLOB))) n FROM tracks GROUP BY file_id)");
    assert!((60_000..=65_536).contains(&most), "titles of {most} bytes");
    let bytes: u32 = sandbox.value("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    assert!(bytes < 300_000 * recorded, "a database of {bytes} bytes");
    let title = |index: u32| -> String {
        sandbox.value(&format!(
            "SELECT title FROM tracks JOIN files ON files.id = file_id
             WHERE filename = 'valid.mkv' AND track_index = {index}"
        ))
    };
    let (first, last) = (title(0), title(999));
    assert_eq!(first.len(), 3_900);
    assert_eq!(last, "\u{2026}");
    let cut: u32 = sandbox.value("SELECT json_extract(summary_json, '$.cut_titles') FROM jobs");
    assert!(cut > 900 * 2 * LINKS, "{cut}");
    let metrics = daemon.get("/metrics").body;
    assert!(metrics.contains(&format!("vpo_scan_titles_cut_total {cut}\n")), "{metrics}");
    daemon.assert_probe_in_time();
}
