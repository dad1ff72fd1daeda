//! The API: what it shows and rejects, and that requests do not block each other.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Answer, Client, Daemon, Sandbox, eventually, in_time, settled};

/// A daemon without roots over a library of two films, one broken file and one missing.
fn serve() -> (Sandbox, Daemon) {
    let sandbox = Sandbox::new();
    for name in ["films/a/one.mkv", "films/b/two.mkv", "films/b/gone.mkv"] {
        sandbox.film(name);
    }
    let broken = sandbox.write("films/b/broken.mp4", "no video");
    settled(&broken);
    sandbox.scan(&[]);
    fs::remove_file(sandbox.path("films/b/gone.mkv")).expect("gone");
    sandbox.scan(&[]);
    let daemon = sandbox.serve::<&str>([]);
    (sandbox, daemon)
}

#[track_caller]
fn get(daemon: &Daemon, path: &str) -> Value {
    let answer = daemon.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()
}

fn names(page: &Value) -> Vec<String> {
    let files = page["files"].as_array().expect("files");
    files.iter().map(|file| file["filename"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn files_are_filtered_by_every_parameter() {
    let (sandbox, daemon) = serve();
    let list = |query: &str| {
        let mut names = names(&get(&daemon, &format!("/api/v1/files{query}")));
        names.sort();
        names
    };
    assert_eq!(list(""), ["broken.mp4", "gone.mkv", "one.mkv", "two.mkv"]);
    assert_eq!(list("?status=ok"), ["one.mkv", "two.mkv"]);
    assert_eq!(list("?status=missing&extension=MKV"), ["gone.mkv"]);
    assert_eq!(list("?extension=mp4"), ["broken.mp4"]);
    assert_eq!(list("?codec=h264&status=ok&path_contains=TWO"), ["two.mkv"]);
    assert_eq!(list("?language=jpn"), Vec::<String>::new());
    assert_eq!(list("?language=ger&path_contains=/one"), ["one.mkv"]);
    assert_eq!(list("?language=DE&codec=AVC&extension=.mkv&status=ok"), ["one.mkv", "two.mkv"]);
    assert_eq!(list("?path_contains=%25"), Vec::<String>::new(), "a percent sign is a percent sign");
    let directory = sandbox.path("films/b");
    let directory = directory.to_str().expect("UTF-8");
    assert_eq!(list(&format!("?directory={directory}/&status=ok")), ["two.mkv"]);
}

#[test]
fn older_names_of_parameters_are_accepted() {
    let (_sandbox, daemon) = serve();
    assert_eq!(names(&get(&daemon, "/api/v1/files?text=TWO")), ["two.mkv"]);
    for list in ["files", "jobs"] {
        let first = get(&daemon, &format!("/api/v1/{list}?limit=1"));
        assert_eq!(first["next"], first["next_cursor"]);
        let cursor = first["next"].to_string();
        let page = |name: &str| get(&daemon, &format!("/api/v1/{list}?{name}={}", cursor.trim_matches('"')));
        assert_eq!(page("after"), page("cursor"));
        assert_ne!(page("after"), get(&daemon, &format!("/api/v1/{list}")));
    }
}

#[test]
fn pages_follow_one_another() {
    let (_sandbox, daemon) = serve();
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = get(&daemon, &format!("/api/v1/files?limit=1&cursor={after}"));
        seen.extend(names(&page));
        let Some(next) = page["next_cursor"].as_i64() else { break };
        after = next;
    }
    seen.sort();
    assert_eq!(seen, ["broken.mp4", "gone.mkv", "one.mkv", "two.mkv"]);
    let first = get(&daemon, "/api/v1/jobs?limit=1");
    let next = first["next_cursor"].as_str().expect("another");
    let second = get(&daemon, &format!("/api/v1/jobs?limit=1&cursor={next}"));
    assert!(second["next_cursor"].is_null());
    assert!(
        first["jobs"][0]["created_at"].as_str() > second["jobs"][0]["created_at"].as_str(),
        "newest first"
    );
}

#[test]
fn one_file_has_its_tracks() {
    let (sandbox, daemon) = serve();
    let id = sandbox.row("films/a/one.mkv").id;
    let file = get(&daemon, &format!("/api/v1/files/{id}"));
    assert_eq!(file["path"].as_str().map(std::path::PathBuf::from), Some(sandbox.path("films/a/one.mkv")));
    assert_eq!(file["container_format"], "matroska,webm");
    let tracks = file["tracks"].as_array().expect("tracks");
    assert_eq!(tracks.len(), 3);
    assert_eq!((&tracks[0]["codec"], &tracks[0]["width"]), (&"h264".into(), &1920.into()));
    assert_eq!((&tracks[2]["language"], &tracks[2]["channels"]), (&"ger".into(), &2.into()));
    let job = get(&daemon, "/api/v1/jobs")["jobs"][0].clone();
    let one = get(&daemon, &format!("/api/v1/jobs/{}", job["id"].as_str().expect("an id")));
    assert_eq!(one, job);
    assert_eq!((&one["status"], &one["summary"]["removed"]), (&"completed".into(), &1.into()));
    for path in [
        "/api/v1/files/999",
        "/api/v1/jobs/none",
        "/api/v1/jobs?cursor=none",
        "/api/v1/files/x",
        "/api/v1",
        "/api/v1/files/",
        "/api/v2/files",
    ] {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        assert!(answer.json()["error"].is_string());
    }
}

/// The totals, once they are counted.
fn counted(daemon: &Daemon) -> Value {
    eventually("the library is counted", || {
        let library = get(daemon, "/api/v1/library");
        library["files"].is_u64().then_some(library)
    })
}

#[test]
fn library_as_a_whole_is_counted() {
    let (sandbox, daemon) = serve();
    let library = counted(&daemon);
    let size = |name: &str| sandbox.row(name).size;
    let ok = size("films/a/one.mkv") + size("films/b/two.mkv");
    assert_eq!((library["files"].as_i64(), library["bytes"].as_i64()), (Some(3), Some(ok + 8)));
    let group = |kind: &str, name: Value| {
        let groups = library[kind].as_array().expect("groups");
        let found = groups.iter().find(|group| group["name"] == name).cloned();
        found.map(|group| (group["files"].as_i64(), group["bytes"].as_i64()))
    };
    assert_eq!(group("statuses", "missing".into()), Some((Some(1), Some(size("films/b/gone.mkv")))));
    assert_eq!(group("containers", "matroska,webm".into()), Some((Some(2), Some(ok))));
    assert_eq!(group("containers", Value::Null), Some((Some(1), Some(8))));
    assert_eq!(group("codecs", "h264".into()), Some((Some(2), Some(ok))));
    assert_eq!(group("languages", "ger".into()), Some((Some(2), Some(ok))));
    assert_eq!(group("resolutions", "1080p".into()), Some((Some(2), Some(ok))));
    assert_eq!(library["scans"].as_array().map(Vec::len), Some(2));
    assert_eq!(library["roots"], Value::Array(Vec::new()));
    // The next commit of any program is seen, at the latest when the count has expired.
    sandbox.sql("UPDATE files SET scan_status = 'missing'");
    eventually("the count follows", || (get(&daemon, "/api/v1/library")["files"] == 0).then_some(()));
}

#[test]
fn films_of_a_camera_have_a_resolution_and_covers_have_none() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.mkv");
    sandbox.scan(&[]);
    // One film is all MJPEG, and has a cover larger than itself; of the other there is nothing but a cover.
    sandbox.sql(
        "UPDATE tracks SET codec = 'mjpeg', width = 1280, height = 720, frame_rate = '30/1' WHERE track_type = 'video';
         UPDATE tracks SET frame_rate = NULL WHERE track_type = 'video'
            AND file_id = (SELECT id FROM files WHERE filename = 'b.mkv');
         INSERT INTO tracks (file_id, track_index, track_type, codec, width, height)
         SELECT id, 9, 'video', 'png', 3840, 2160 FROM files",
    );
    let daemon = sandbox.serve::<&str>([]);
    let library = counted(&daemon);
    let resolutions = library["resolutions"].as_array().expect("groups");
    let found: Vec<_> =
        resolutions.iter().map(|group| (group["name"].as_str(), group["files"].as_i64())).collect();
    assert_eq!(found, [(Some("720p"), Some(1))], "{library}");
}

#[test]
fn roots_are_shown_with_their_state() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let root = sandbox.root();
    let daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    let shown = eventually("a root with a scan", || {
        let shown = get(&daemon, "/api/v1/library")["roots"][0].clone();
        shown["last_success"].is_string().then_some(shown)
    });
    assert_eq!((shown["path"].as_str(), &shown["status"]), (root.to_str(), &"ok".into()));
}

#[test]
fn success_of_a_root_is_that_of_our_own_walk_of_it() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    let root = sandbox.root();
    sandbox.sql(&format!(
        "INSERT INTO jobs (id, file_path, job_type, status, policy_json, summary_json, created_at, completed_at)
         SELECT 'theirs', '{0}', 'scan', 'completed', NULL, '{{}}', created_at, '2099-01-01T00:00:00+00:00' FROM jobs
         UNION ALL
         SELECT 'part', '{0}', 'scan', 'completed', policy_json, '{{}}', created_at, '2099-01-01T00:00:00+00:00'
         FROM jobs",
        root.display()
    ));
    fs::rename(&root, sandbox.path("elsewhere")).expect("gone");
    let daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    let shown = eventually("a success", || {
        let shown = get(&daemon, "/api/v1/library")["roots"][0]["last_success"].clone();
        shown.as_str().map(str::to_owned)
    });
    assert!(!shown.starts_with("2099"), "{shown}");
}

#[test]
fn unknown_and_bad_parameters_are_named() {
    let (_sandbox, daemon) = serve();
    for (path, named) in [
        ("/api/v1/files?limit=0", "limit"),
        ("/api/v1/files?limit=1001", "limit"),
        ("/api/v1/files?limit=ten", "limit"),
        ("/api/v1/files?cursor=-1", "cursor"),
        ("/api/v1/files?after=99999999999999999999&cursor=0", "after"),
        ("/api/v1/files?status=fine", "status"),
        ("/api/v1/files?codec=", "codec"),
        ("/api/v1/files?codec=a&codec=b", "codec"),
        ("/api/v1/files?text=%FF", "text"),
        ("/api/v1/files?text=%00", "text"),
        ("/api/v1/files?path_contains=one%00", "path_contains"),
        ("/api/v1/files?sort=colour", "sort"),
        ("/api/v1/files?tracks=yes", "tracks"),
        ("/api/v1/files?format=xml", "format"),
        ("/api/v1/files?format=csv&limit=3", "limit"),
        ("/api/v1/files?codec=hvec", "codec"),
        ("/api/v1/files?language=englsh", "language"),
        ("/api/v1/files?by=codec", "by"),
        ("/api/v1/stats?by=colour", "by"),
        ("/api/v1/stats?sort=size", "sort"),
        ("/api/v1/status?x=1", "x"),
        ("/api/v1/files?status", "status"),
        ("/api/v1/files/1?full=1", "full"),
        ("/api/v1/library?x=", "x"),
        ("/api/v1/jobs?status=ok", "status"),
        ("/api/v1/jobs?type=dance", "type"),
        ("/api/v1/jobs/x?y=z", "y"),
    ] {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        let error = answer.json()["error"].as_str().expect("a text").to_owned();
        assert!(error.starts_with(&format!("{named}: ")), "{path}: {error}");
    }
    let both =
        daemon.get("/api/v1/files?limit=0&sort=colour").json()["error"].as_str().expect("a text").to_owned();
    assert!(both.contains("limit: ") && both.contains("sort: "), "{both}");
}

#[test]
fn head_is_answered_and_other_methods_are_not_allowed() {
    let (_sandbox, daemon) = serve();
    for path in [
        "/api/v1/library",
        "/api/v1/files",
        "/api/v1/files/1",
        "/api/v1/jobs",
        "/api/v1/stats",
        "/api/v1/status",
    ] {
        let mut client = daemon.client();
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: vpo\r\n\r\n").as_bytes());
        let head = client.receive(true).expect("an answer");
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")), "{path}");
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let mut client = daemon.client();
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: vpo\r\n\r\n").as_bytes());
            let answer = client.receive(false).expect("an answer");
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
}

#[test]
fn library_in_trouble_is_503() {
    let (sandbox, daemon) = serve();
    fs::rename(sandbox.library(), sandbox.path("away.db")).expect("moved");
    for path in ["/api/v1/library", "/api/v1/files", "/api/v1/jobs"] {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.json()["error"].as_str().is_some_and(|error| error.contains("library.db")));
    }
    fs::rename(sandbox.path("away.db"), sandbox.library()).expect("back");
    eventually("the library is back", || (daemon.get("/api/v1/files").status == 200).then_some(()));
}

#[test]
fn nobody_waits_longer_because_others_wait_too() {
    let (sandbox, daemon) = serve();
    let neighbour = sandbox.database();
    neighbour.execute_batch("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE").expect("locked");
    in_time(|| {
        let start = Instant::now();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let mut client = daemon.client();
                client.send(b"GET /api/v1/library HTTP/1.1\r\nHost: vpo\r\n\r\n").expect("sent");
                client
            })
            .collect();
        for mut client in waiting {
            assert_eq!(client.receive(false).expect("an answer").status, 503);
        }
        let took = start.elapsed();
        // The limit of one request is 3 s.
        if took < Duration::from_secs(4) {
            Ok(())
        } else {
            Err(format!("the last was answered after {took:?}"))
        }
    });
}

#[test]
fn probes_are_answered_in_time_while_the_library_is_counted() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    sandbox.sql(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 150000)
         INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at, scan_status)
         SELECT '/x/' || x || '.mkv', x || '.mkv', '/x', 'mkv', x, '', '', 'ok' FROM n;
         INSERT INTO tracks (file_id, track_index, track_type, codec, language)
         SELECT id, 0, 'video', 'h264', 'und' FROM files WHERE directory = '/x'",
    );
    let daemon = sandbox.serve::<&str>([]);
    let address = daemon.address();
    let greedy: Vec<_> = (0..16)
        .map(|number| {
            std::thread::spawn(move || {
                let path = ["/api/v1/library", "/api/v1/files?text=nothing&status=error"][number % 2];
                let answer: Option<Answer> =
                    Client::try_connect(address).and_then(|mut client| client.try_get(path));
                answer.map(|answer| (answer.status, answer.body))
            })
        })
        .collect();
    while greedy.iter().any(|thread| !thread.is_finished()) {
        daemon.assert_probe_in_time();
    }
    for thread in greedy {
        let (status, body) = thread.join().expect("no panic").expect("an answer");
        assert!(matches!(status, 200 | 503), "{status}: {body}");
    }
    // No match in 150,000 rows: pages have a cursor until the end.
    let mut after = 0;
    let mut pages = 0;
    loop {
        let page = get(&daemon, &format!("/api/v1/files?text=nothing&after={after}"));
        pages += 1;
        let Some(next) = page["next"].as_i64() else { break };
        after = next;
    }
    assert_eq!(pages, 4);
}

/// The body of a streamed answer. HTTP/1.0 has no chunks: the answer ends with the connection.
#[track_caller]
fn whole(daemon: &Daemon, path: &str, content_type: &str) -> String {
    let mut client = daemon.client();
    client.send(format!("GET {path} HTTP/1.0\r\nHost: vpo\r\n\r\n").as_bytes()).expect("sent");
    let answer = client.receive(false).expect("an answer");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{}", answer.body);
    answer.body
}

#[test]
fn queries_choose_files_and_say_how_they_were_read() {
    let (sandbox, daemon) = serve();
    let ask = |query: &str| get(&daemon, &format!("/api/v1/files?where={query}"));
    let page = ask("exists(video,codec%20==%20x264)");
    let mut found = names(&page);
    found.sort();
    assert_eq!((found, &page["left_out"]), (vec!["one.mkv".to_owned(), "two.mkv".to_owned()], &1.into()));
    assert_eq!(page["notes"][0], "x264 is read as h264");
    assert!(page["files"][0]["tracks"].is_null(), "{page}");
    assert_eq!(names(&ask("missing")), ["gone.mkv"]);
    assert_eq!(names(&ask("status==error&missing=1")), ["broken.mp4"]);
    assert_eq!(names(&ask("status==ok&sort=-path")), ["two.mkv", "one.mkv"]);
    assert_eq!(names(&ask("exists(audio)&missing=1&path_contains=GONE")), ["gone.mkv"]);
    let page = ask("exists(audio)&tracks=1&sort=size&limit=1");
    assert_eq!(page["files"][0]["tracks"].as_array().map(Vec::len), Some(3), "{page}");
    let second = ask(&format!("exists(audio)&sort=size&limit=1&cursor={}", page["next_cursor"]));
    assert_ne!(names(&page), names(&second));
    let none = ask("exists(video,codec==av1)");
    assert!(
        none["notes"][0]
            .as_str()
            .is_some_and(|note| note.starts_with("no track has the codec av1; there is ")),
        "{none}"
    );
    for (query, note) in [
        ("where=not%20exists(subtitle,lang==fre)", "no track has the language fre; there is "),
        ("codec=av1", "no track has the codec av1; there is "),
        ("language=por", "no track has the language por; there is "),
        ("codec=x264", "x264 is read as h264"),
    ] {
        let page = get(&daemon, &format!("/api/v1/files?{query}"));
        assert!(page["notes"][0].as_str().is_some_and(|said| said.starts_with(note)), "{query}: {page}");
        let sums = get(&daemon, &format!("/api/v1/stats?{query}"));
        assert_eq!(page["notes"], sums["notes"], "{query}");
    }
    sandbox.sql("UPDATE files SET path = '/x/Brücke.mkv' WHERE filename = 'two.mkv'");
    for query in ["", "&sort=size", "&where=exists(audio)"] {
        let page = get(&daemon, &format!("/api/v1/files?path_contains=BR%C3%9Ccke{query}"));
        assert_eq!(names(&page), ["two.mkv"], "{query}");
    }
    let answer = daemon.get("/api/v1/files?where=exists(audo)");
    assert_eq!((answer.status, &answer.json()["code"]), (400, &"query-refused".into()));
    let place = &answer.json()["query"];
    assert_eq!(
        (&place["line"], &place["column"], &place["excerpt"]),
        (&1.into(), &8.into(), &"exists(audo)".into())
    );
    assert!(place["expected"].as_str().is_some_and(|text| text.contains("did you mean audio?")), "{place}");
    assert_eq!(daemon.get("/api/v1/files?sort=path&cursor=99999").status, 400);
}

#[test]
fn whole_answers_are_streamed_in_order_and_in_full() {
    let (sandbox, daemon) = serve();
    sandbox.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at, scan_status)
         SELECT '/x/' || i || ',' || printf('%.*c', 150, 'x'), i, '/x', 'mkv', i, '', '', 'ok' FROM n",
    );
    let json = whole(&daemon, "/api/v1/files?format=ndjson", "application/x-ndjson");
    let files: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(files.len(), 5004);
    assert!(files.is_sorted_by_key(|file| file["id"].as_i64()));
    assert!(json.len() > 1024 * 1024, "more than one part: {}", json.len());
    let csv = whole(
        &daemon,
        "/api/v1/files?format=csv&sort=-size&where=root==%22/x%22",
        "text/csv; charset=utf-8; header=present",
    );
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 5001);
    assert!(lines[1].contains(",\"/x/5000,xxx") && lines[5000].contains(",\"/x/1,xxx"), "{}", lines[1]);
    let with_tracks =
        whole(&daemon, "/api/v1/files?format=ndjson&tracks=1&where=exists(audio)", "application/x-ndjson");
    assert_eq!(with_tracks.lines().count(), 2);
    assert!(with_tracks.lines().all(|line| line.contains("\"tracks\":[{")), "{with_tracks}");
    let refused = daemon.get("/api/v1/files?format=csv&where=exists(");
    assert_eq!((refused.status, &refused.json()["code"]), (400, &"query-refused".into()));
    // A connection goes on after a stream, and a client that goes away ends it.
    let mut client = daemon.client();
    client.send(b"GET /api/v1/files?format=ndjson HTTP/1.1\r\nHost: vpo\r\n\r\n").expect("sent");
    let line = std::io::BufRead::lines(std::io::BufReader::new(client.stream())).next();
    assert!(line.expect("a line").expect("read").contains("200"));
    drop(client);
    assert_eq!(daemon.get("/health").status, 200);
}

#[test]
fn statistics_and_status_are_answered() {
    let (sandbox, daemon) = serve();
    let size = |name: &str| sandbox.row(name).size;
    let ok = size("films/a/one.mkv") + size("films/b/two.mkv");
    let sums = get(&daemon, "/api/v1/stats?by=codec&where=exists(video,codec==avc)");
    assert_eq!(
        (&sums["files"], &sums["bytes"], &sums["left_out"]),
        (&2.into(), &ok.into(), &1.into()),
        "{sums}"
    );
    assert_eq!(
        sums["groups"],
        serde_json::json!([{"name": "h264", "files": 2, "bytes": ok, "seconds": 10800.0}])
    );
    assert_eq!(sums["notes"][0], "avc is read as h264");
    assert_eq!(get(&daemon, "/api/v1/stats")["files"], 3);
    assert_eq!(get(&daemon, "/api/v1/stats?missing=1")["files"], 4);
    let status = get(&daemon, "/api/v1/status");
    assert_eq!(
        (&status["phase"], &status["roots"], &status["scans"]),
        (&"running".into(), &serde_json::json!([]), &serde_json::json!([]))
    );
    assert_eq!(status["database"]["path"], sandbox.library().display().to_string());
    assert!(status["database"]["free_bytes"].as_u64().is_some(), "{status}");
    let description = daemon.get("/openapi.yaml");
    assert_eq!((description.status, description.header("content-type")), (200, Some("application/yaml")));
    assert_eq!(description.body, include_str!("../docs/openapi.yaml"));
}

#[test]
fn answers_are_compressed_for_clients_that_ask_for_it() {
    use std::io::Read;
    let (sandbox, daemon) = serve();
    let ask = |path: &str, coding: &str| {
        let mut client = daemon.client();
        let request = format!("GET {path} HTTP/1.0\r\nHost: vpo\r\nAccept-Encoding: {coding}\r\n\r\n");
        client.send(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        client.stream().read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
        (String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase(), answer[end + 4..].to_vec())
    };
    let (head, plain) = ask("/api/v1/files", "identity");
    assert!(!head.contains("content-encoding") && head.contains("vary: accept-encoding"), "{head}");
    let (head, body) = ask("/api/v1/files", "br, gzip");
    assert!(head.contains("content-encoding: gzip") && body.len() < plain.len() / 2, "{head}");
    sandbox.write("answer.gz", body);
    let gunzip = std::process::Command::new("gzip").args(["-dc"]).arg(sandbox.path("answer.gz")).output();
    let gunzip = gunzip.expect("gzip runs");
    assert!(gunzip.status.success() && gunzip.stdout == plain, "{}", String::from_utf8_lossy(&gunzip.stderr));
    let (head, _) = ask("/api/v1/files/1", "gzip;q=0");
    assert!(!head.contains("content-encoding"), "{head}");
}
