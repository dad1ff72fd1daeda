//! What questions cost in a large library: `cargo bench --bench query`.
//!
//! ```text
//! cargo bench --bench query                       100,000 files with 4 tracks each
//! cargo bench --bench query -- --files 1000000    another number
//! cargo bench --bench query -- --smoke            2,000 files, for CI
//! cargo bench --bench query -- --vpo PATH         another binary, such as the static musl build
//! ```
//!
//! One film is scanned, and its rows are copied with other names, codecs, languages and sizes. Each question is put over HTTP for its
//! first 100 files, five times; the slowest counts. Then the whole library is streamed while `/health` is requested. Beside it, in
//! the same run, what a user would do without queries: `jq` over the stream, and ffprobe over the files (the time of one, times their
//! number), if they are installed. The last results are in `docs/performance.md`.

#[path = "overload/daemon.rs"]
#[expect(dead_code, reason = "the other bench uses the rest")]
mod daemon;
#[path = "../tests/harness/video.rs"]
mod video;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use daemon::{Daemon, Home};

/// A question, its order, how many files it finds of a hundred, and whether an index finds them.
const QUESTIONS: [(&str, &str, u64, bool); 9] = [
    ("exists(video, codec == hevc)", "added", 100, false),
    ("not exists(subtitle, lang == eng)", "added", 100, false),
    ("count(audio) > 5", "added", 0, false),
    ("exists(video, codec == hevc) and size > 5TB", "added", 0, false),
    ("truncated", "added", 0, false),
    ("size > 5TB", "-size", 0, false),
    ("duration > 90h", "-duration", 0, false),
    ("exists(subtitle, lang == ice)", "added", 1, true),
    ("exists(audio, lang == eng)", "path", 100, false),
];

fn main() {
    let mut files = 100_000_u64;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--smoke" => files = 2_000,
            "--files" => {
                files = arguments.next().and_then(|text| text.parse().ok()).expect("a number of files");
            }
            "--vpo" => daemon::OTHER.set(arguments.next().expect("a path").into()).expect("once"),
            // What cargo itself passes.
            "--bench" => {}
            other => panic!("unknown argument {other}: see the head of benches/query.rs"),
        }
    }
    let home = Home::new();
    let film = fill(&home, files);
    let daemon = Daemon::start(&home, false, "");
    println!("{files} files with 4 tracks each; the first 100 files of an answer, in ms\n");
    println!("{:<46}{:<11}{:>6}{:>9}", "question", "order", "found", "slowest");
    for (question, order, found, is_indexed) in QUESTIONS {
        let mut slowest = Duration::ZERO;
        for _ in 0..5 {
            let start = Instant::now();
            assert_eq!(first_hundred(daemon.address, question, order), found, "{question}");
            slowest = slowest.max(start.elapsed());
        }
        let index = if is_indexed { " (index)" } else { "" };
        println!("{question:<46}{order:<11}{found:>6}{:>9.1}{index}", slowest.as_secs_f64() * 1e3);
    }
    println!();
    for (what, more) in [("without tracks", ""), ("with tracks and facts", "&tracks=1")] {
        stream(&daemon, what, &format!("/api/v1/files?format=ndjson{more}"), files);
    }
    println!("largest resident memory of the daemon: {} MiB", daemon.peak_mib());
    others(&daemon, &film, files);
}

/// Makes the library; the path of its one real film.
fn fill(home: &Home, files: u64) -> std::path::PathBuf {
    let film = home.films().join("film.mkv");
    fs::create_dir_all(home.films()).expect("a directory");
    fs::write(&film, video::matroska("A film", &["ger", "eng", "jpn"])).expect("written");
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&film).and_then(|film| film.set_modified(hour_ago)).expect("set");
    let root = home.films();
    let status = home.vpo(&["scan", root.to_str().expect("UTF-8")], "").stdout(Stdio::null()).status();
    assert!(status.expect("vpo is there").success(), "the scan fails");
    let db = home.open();
    db.execute_batch("UPDATE tracks SET track_type = 'subtitle', codec = 'subrip', language = 'ger' WHERE id = (SELECT max(id) FROM tracks)")
        .expect("a subtitle");
    let mut sql = String::from("BEGIN;");
    for table in ["files", "daemon_files", "tracks", "daemon_tracks"] {
        let columns: Vec<String> = {
            let mut statement = db.prepare("SELECT name FROM pragma_table_info(?1)").expect("a query");
            let rows = statement.query_map([table], |row| row.get(0)).expect("columns");
            rows.collect::<Result<_, _>>().expect("names")
        };
        let value = |column: &String| match (table, column.as_str()) {
            ("tracks", "id") | ("daemon_tracks", "track_id") => format!("{table}.{column} + 4 * n.x"),
            ("files", "id") | (_, "file_id") => "1 + n.x".to_owned(),
            ("files", "path") => "'/films/' || (n.x / 200) || '/' || n.x || '.mkv'".to_owned(),
            ("files", "filename") => "n.x || '.mkv'".to_owned(),
            ("files" | "daemon_files", "size_bytes") => "700000000 + 1000003 * (n.x % 9973)".to_owned(),
            ("files" | "daemon_files", "content_hash") => "'hash' || n.x".to_owned(),
            ("tracks", "codec") => {
                "CASE WHEN track_type = 'video' AND n.x % 2 THEN 'hevc' ELSE codec END".to_owned()
            }
            ("tracks", "language") => {
                "CASE WHEN track_type = 'subtitle' AND n.x = 1000 THEN 'ice' ELSE language END".to_owned()
            }
            _ => format!("{table}.{column}"),
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let _ = write!(
            sql,
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {})
             INSERT INTO {table} ({}) SELECT {} FROM n, {table} WHERE {table}.{} = 1;",
            files - 1,
            columns.join(", "),
            values.join(", "),
            if table == "files" { "id" } else { "file_id" },
        );
    }
    db.execute_batch(&(sql + "COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")).expect("copied");
    film
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        let _ = write!(escaped, "%{byte:02X}");
        escaped
    })
}

/// Sends a request, and reads the whole body of its answer.
fn answer(address: SocketAddr, target: &str, mut take: impl FnMut(&[u8])) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {target} HTTP/1.0\r\nHost: vpo\r\n\r\n").expect("sent");
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).expect("a head") > 0, "{target}: {head}");
    }
    assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{target}: {head}");
    loop {
        let part = stream.fill_buf().expect("a body");
        if part.is_empty() {
            return;
        }
        take(part);
        let length = part.len();
        stream.consume(length);
    }
}

fn timed(address: SocketAddr, target: &str) -> (Duration, String) {
    let (start, mut bytes) = (Instant::now(), Vec::new());
    answer(address, target, |part| bytes.extend_from_slice(part));
    (start.elapsed(), String::from_utf8(bytes).expect("UTF-8"))
}

/// How many files the first pages have: a hundred, or all that there are. A page may be empty, and the next one go on.
fn first_hundred(address: SocketAddr, question: &str, order: &str) -> u64 {
    let (mut found, mut cursor) = (0, String::new());
    loop {
        let target =
            format!("/api/v1/files?where={}&sort={order}&limit={}{cursor}", escaped(question), 100 - found);
        let body = timed(address, &target).1;
        let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        found += answer["files"].as_array().expect("files").len() as u64;
        match &answer["next_cursor"] {
            next if found >= 100 || next.is_null() => return found,
            next => cursor = format!("&cursor={}", escaped(next.to_string().trim_matches('"'))),
        }
    }
}

/// Streams the library while `/health` is requested.
fn stream(daemon: &Daemon, what: &str, target: &str, files: u64) {
    let ended = AtomicBool::new(false);
    let (took, mut probes) = std::thread::scope(|scope| {
        let prober = scope.spawn(|| {
            let mut times = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                times.push(timed(daemon.address, "/health").0);
                std::thread::sleep(Duration::from_millis(2));
            }
            times
        });
        let (start, mut lines) = (Instant::now(), 0);
        answer(daemon.address, target, |part| lines += part.split(|byte| *byte == b'\n').count() as u64 - 1);
        let took = start.elapsed();
        ended.store(true, Ordering::Relaxed);
        assert_eq!(lines, files);
        (took, prober.join().expect("every probe is answered"))
    });
    probes.sort_unstable();
    let p99 = probes[(probes.len() - 1) * 99 / 100];
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = files as f64 / took.as_secs_f64();
    println!("ndjson {what}: {rate:.0} files/s; /health meanwhile, p99: {:.2} ms", p99.as_secs_f64() * 1e3);
}

/// What a user would do without queries.
fn others(daemon: &Daemon, film: &std::path::Path, files: u64) {
    let start = Instant::now();
    let jq = Command::new("jq")
        .args(["-c", "select(any(.tracks[]; .track_type == \"subtitle\" and .language == \"ice\")) | .path"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    match jq {
        Ok(mut jq) => {
            let mut input = jq.stdin.take().expect("piped");
            answer(daemon.address, "/api/v1/files?format=ndjson&tracks=1", |part| {
                input.write_all(part).expect("jq reads");
            });
            drop(input);
            let output = jq.wait_with_output().expect("jq ends");
            assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1, "jq finds the one film");
            println!("jq over the stream, one language: {:.2} s", start.elapsed().as_secs_f64());
        }
        Err(_) => println!("jq is not installed"),
    }
    let start = Instant::now();
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "quiet", "-show_streams", "-of", "json"]).arg(film).stdout(Stdio::null());
    match ffprobe.status() {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        Ok(_) => println!("ffprobe over the files: {:.0} s", start.elapsed().as_secs_f64() * files as f64),
        Err(_) => println!("ffprobe is not installed"),
    }
}
