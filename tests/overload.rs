//! What a file, a request or a client may cost in memory: bytes are bounded, not only counts.

use std::collections::BTreeSet;
use std::fs::{self, hard_link};

use crate::harness::{Client, Daemon, Sandbox, eventually, samples, settled};

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
    assert!((56_000..=65_536).contains(&most), "titles of {most} bytes");
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
    eventually("the metric counts them", || {
        let sample = format!("vpo_scan_titles_cut_total {cut}\n");
        daemon.get("/metrics").body.contains(&sample).then_some(())
    });
    daemon.assert_probe_in_time();
}

/// A daemon without roots over a library of 1,000 files with paths of 3.9 KB, and 300 jobs with summaries of 40 KB.
fn serve_long_rows(sandbox: &Sandbox) -> Daemon {
    sandbox.film("films/first.mkv");
    sandbox.scan(&[]);
    sandbox.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at, scan_status)
         SELECT format('/v/%s/%04d.mkv', long, i), format('%04d.mkv', i), '/v/' || long, 'mkv', 1, '', '', 'ok'
         FROM n, (SELECT replace(hex(zeroblob(1900)), '0', 'x') AS long)",
    );
    sandbox.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO jobs (id, job_type, status, file_path, priority, policy_json, created_at, summary_json)
         SELECT format('job-%d', i), 'scan', 'completed', '/v', 100, '{}', '',
            json_object('added', i, 'walk_error_examples', json_array(long, long, long, long, long, long, long, long, long, long))
         FROM n, (SELECT replace(hex(zeroblob(2000)), '0', 'x') AS long)",
    );
    sandbox.serve::<&str>([])
}

#[test]
fn pages_end_by_their_bytes_and_summaries_are_cut() {
    let sandbox = Sandbox::new();
    let daemon = serve_long_rows(&sandbox);
    let mut client = daemon.client();
    for (list, key, rows, most_pages) in [("files", "path", 1_001, 50), ("jobs", "id", 301, 20)] {
        let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
        loop {
            let answer = client.get(&format!("/api/v1/{list}?limit=1000{cursor}"));
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(answer.body.len() < 300_000, "{} bytes", answer.body.len());
            let page = answer.json();
            for row in page[list].as_array().expect("rows") {
                assert!(seen.insert(row[key].as_str().expect("text").to_owned()), "{list}: twice");
            }
            pages += 1;
            match &page["next_cursor"] {
                serde_json::Value::Null => break,
                serde_json::Value::String(id) => cursor = format!("&cursor={id}"),
                id => cursor = format!("&cursor={id}"),
            }
        }
        assert_eq!(seen.len(), rows, "{list}");
        assert!((2..=most_pages).contains(&pages), "{list}: {pages} pages");
    }
    let job = client.get("/api/v1/jobs/job-7").json();
    let summary = &job["summary"];
    let examples = summary["walk_error_examples"].as_array().expect("a list");
    assert_eq!((summary["added"].as_u64(), examples.len()), (Some(7), 9));
    assert!(examples.iter().all(|example| example.as_str().is_some_and(|text| text.ends_with('\u{2026}'))));
}

#[test]
fn one_file_with_a_million_characters_is_cut() {
    let sandbox = Sandbox::new();
    sandbox.film("films/first.mkv");
    sandbox.scan(&[]);
    sandbox.sql(
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO tracks (file_id, track_index, track_type, title)
         SELECT 1, i, 'other', hex(zeroblob(500000)) FROM n",
    );
    let daemon = sandbox.serve::<&str>([]);
    // 503 while the machine has other work.
    let answer =
        eventually("an answer", || Some(daemon.get("/api/v1/files/1")).filter(|answer| answer.status == 200));
    assert!(answer.body.len() < 1_100_000, "{} bytes", answer.body.len());
    let file = answer.json();
    assert_eq!(file["truncated"], true);
    let title = file["tracks"][10]["title"].as_str().expect("a title");
    assert!(title.ends_with('\u{2026}') && title.len() < 33_000, "{}", title.len());
    sandbox.sql("DELETE FROM tracks WHERE track_index >= 100");
    assert!(daemon.get("/api/v1/files/1").json().get("truncated").is_none());
}

#[test]
fn clients_that_never_read_cost_little_memory_and_are_closed() {
    const CLIENTS: usize = 100;
    let sandbox = Sandbox::new();
    let daemon = serve_long_rows(&sandbox);
    let ask = |_| {
        let mut client = Client::connect(daemon.address());
        client.send(&b"GET /api/v1/files?limit=1000 HTTP/1.1\r\nHost: vpo\r\n\r\n".repeat(5)).expect("sent");
        client
    };
    let _silent: Vec<Client> = (0..CLIENTS).map(ask).collect();
    let closed = || {
        let metrics = daemon.get("/metrics").body;
        let name = "vpo_http_connections_closed_total{reason=\"timeout\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<usize>().ok()).expect("a counter")
    };
    eventually("they are closed", || {
        daemon.assert_probe_in_time();
        (closed() > CLIENTS / 2).then_some(())
    });
    eventually("another client is answered", || {
        let answer = daemon.get("/api/v1/files?limit=1000");
        (answer.status == 200 && answer.body.len() > 200_000).then_some(())
    });
    let peak = peak_mib(&daemon);
    assert!(peak < 80, "a peak of {peak} MiB");
}
