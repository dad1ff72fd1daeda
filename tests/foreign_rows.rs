//! Rows of another program with values of the wrong type: none of them stops the daemon, a scan or the API.

use crate::harness::{Sandbox, eventually};

#[test]
fn rows_that_cannot_be_read_stop_no_scan_and_no_listing() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.mkv");
    sandbox.scan(&[]);
    let root = sandbox.root();
    let row = |path: &str, size: &str, hash: &str| {
        format!(
            "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, content_hash,
                scanned_at, scan_status)
             VALUES ({path}, 'x', x'00', 'mkv', {size}, 'never', {hash}, 'once', 'ok');"
        )
    };
    let below = |name: &str| format!("CAST('{}/' || {name} AS TEXT)", root.display());
    sandbox.sql(&row(&below("CAST(x'61ff62' AS TEXT)"), "9223372036854775807", "NULL"));
    sandbox.sql(&row("x'2f626c6f62'", "9223372036854775807", "NULL"));
    sandbox.sql(&row(&below("'text.mkv'"), "'large'", "NULL"));
    sandbox.sql(&row(&below("'blob.mkv'"), "1", "x'00'"));
    sandbox.sql(&format!(
        "UPDATE tracks SET channels = 'two', title = x'00'
         WHERE file_id = (SELECT id FROM files WHERE path = '{}/a.mkv');
         UPDATE files SET content_hash = NULL, size_bytes = 'small', modified_at = x'00'
         WHERE path = '{0}/a.mkv';
         INSERT INTO jobs (id, file_path, job_type, status, priority, policy_json, created_at)
         VALUES (x'00', x'00', 'scan', 'queued', 'high', x'00', '2025-01-01T00:00:00.000000+00:00')",
        root.display()
    ));
    let count = || sandbox.value::<i64>("SELECT count(*) FROM files");
    assert_eq!(count(), 6);
    let scan = sandbox.scan(&[]);
    assert_eq!((&scan["updated"], &scan["removed"]), (&1.into(), &2.into()), "{scan}");
    assert!(sandbox.value::<i64>("SELECT count(*) FROM files WHERE content_hash LIKE 'xxh64:%'") >= 2);
    assert_eq!(count(), 6, "rows of other programs stay");

    let daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    // A path that is not text is not below any root.
    let bytes = "vpo_library_bytes{root=\"\",status=\"ok\"} 9223372036854775807";
    eventually(bytes, || daemon.get("/metrics").body.contains(bytes).then_some(()));
    for path in ["/api/v1/files", "/api/v1/files/1", "/api/v1/jobs", "/api/v1/library"] {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    assert_eq!(daemon.get("/api/v1/files").json()["files"].as_array().map(Vec::len), Some(6));
}

/// Queues a scan as another program would, with this path and these options (SQL expressions).
fn queue(sandbox: &Sandbox, id: &str, path: &str, options: &str) {
    sandbox.sql(&format!(
        "INSERT INTO jobs (id, file_path, job_type, status, policy_json, created_at)
         VALUES ('{id}', '{path}', 'scan', 'queued', '{options}', '2025-01-01T00:00:00.000000+00:00')"
    ));
}

#[test]
fn queued_rows_are_taken_as_they_are_meant_or_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("out/secret.mkv");
    let root = sandbox.root();
    let root = root.to_str().expect("UTF-8");
    let daemon = sandbox.serve(["--library", root]);
    eventually("the first scan", || sandbox.find_row("films/a.mkv").map(drop));
    sandbox.film("films/b.mkv");
    let ours = r#"{"by":"vpo-serve"}"#;
    queue(&sandbox, "odd path", &format!("/{}/./", root.replace('/', "//")), ours);
    queue(&sandbox, "outside", &format!("{root}/../out"), ours);
    queue(&sandbox, "odd options", root, r#"{"by":"vpo-serve","accept_missing":"yes"}"#);
    queue(&sandbox, "theirs", root, r#"{"by":"another"}"#);
    let end = |id: &str| {
        eventually(&format!("the end of {id}"), || {
            let answer = daemon.get(&format!("/api/v1/jobs/{}", id.replace(' ', "%20")));
            assert_eq!(answer.status, 200, "{}", answer.body);
            let job = answer.json();
            let status = job["status"].as_str()?.to_owned();
            matches!(status.as_str(), "completed" | "failed")
                .then(|| (status, job["error_message"].as_str().unwrap_or_default().to_owned()))
        })
    };
    assert_eq!(end("odd path"), ("completed".into(), String::new()));
    let (status, reason) = end("outside");
    assert!(status == "failed" && reason.contains("contains .."), "{status}: {reason}");
    let (status, reason) = end("odd options");
    assert!(status == "failed" && reason.contains("policy_json is not valid"), "{status}: {reason}");
    let paths: Vec<_> = sandbox.rows().into_iter().map(|row| row.path).collect();
    assert_eq!(paths, [format!("{root}/a.mkv"), format!("{root}/b.mkv")], "each file under one path");
    assert_eq!(sandbox.value::<String>("SELECT status FROM jobs WHERE id = 'theirs'"), "queued");
}

#[test]
fn scan_whose_row_another_program_cancels_ends() {
    let sandbox = Sandbox::new();
    for number in 0..4000 {
        sandbox.film(&format!("films/{number:04}.mkv"));
    }
    let daemon = sandbox.serve(["--library".as_ref(), sandbox.root().as_os_str()]);
    let count = || sandbox.value::<i64>("SELECT count(*) FROM files");
    eventually("a first batch", || (count() > 0).then_some(()));
    sandbox.sql("UPDATE jobs SET status = 'cancelled' WHERE status = 'running'");
    eventually("the scan's end", || {
        daemon.get("/metrics").body.contains("vpo_scans_total{result=\"cancelled\"} 1").then_some(())
    });
    assert!(count() < 4000, "it ended early");
    assert_eq!(sandbox.value::<String>("SELECT status FROM jobs"), "cancelled");
}

#[test]
fn rows_left_running_are_closed_also_when_the_library_is_locked_at_the_start() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    queue(&sandbox, "left", sandbox.root().to_str().expect("UTF-8"), r#"{"by":"vpo-serve"}"#);
    sandbox.sql("UPDATE jobs SET status = 'running' WHERE id = 'left'");
    let neighbour = sandbox.database();
    neighbour.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let daemon = sandbox.serve([
        "--log-level".as_ref(),
        "debug".as_ref(),
        "--library".as_ref(),
        sandbox.root().as_os_str(),
    ]);
    daemon.wait_log("no scan starts before");
    neighbour.execute_batch("COMMIT").expect("released");
    eventually("the row is closed", || {
        (sandbox.value::<String>("SELECT status FROM jobs WHERE id = 'left'") == "failed").then_some(())
    });
}
