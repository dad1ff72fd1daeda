//! Rows that another program filled with what their columns are not made for: none of them stops anybody.

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
    eventually("a scan of the daemon's", || {
        let text = daemon.get("/metrics").body;
        text.contains("vpo_scans_total{result=\"completed\"} 1").then_some(())
    });
    let bytes = daemon.get("/metrics").body;
    assert!(
        bytes.contains("vpo_library_bytes{status=\"ok\"} 18446744073709551615"),
        "the sum is too large: {bytes}"
    );
    for path in ["/api/v1/files", "/api/v1/files/1", "/api/v1/jobs", "/api/v1/library"] {
        let answer = daemon.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    assert_eq!(daemon.get("/api/v1/files").json()["files"].as_array().map(Vec::len), Some(6));
}
