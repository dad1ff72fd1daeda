//! Clocks that jump: the times in `jobs` are shown, and decide nothing.

use std::fs;

use serde_json::Value;

use crate::harness::{Sandbox, eventually};

const AHEAD: &str = "2099-01-01T00:00:00.000000+00:00";
const BEHIND: &str = "1970-01-01T00:00:00.000000+00:00";

/// Changes the last scan as if the clock had been at `time`; `mounted` = the root was a mount point then.
fn last_scan_was(sandbox: &Sandbox, time: &str, mounted: bool) {
    sandbox.sql(&format!(
        "UPDATE jobs SET created_at = '{time}', started_at = '{time}', completed_at = '{time}',
            worker_heartbeat = '{time}',
            summary_json = json_set(summary_json, '$.root.mount_point', json('{mounted}'))
         WHERE rowid = (SELECT max(rowid) FROM jobs)"
    ));
}

#[test]
fn guard_compares_with_the_last_scan_whatever_time_it_says() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.film(&format!("films/{name}.mkv"));
    }
    // Once it was mounted, and the clock was far ahead. Since then the videos lie in a plain directory.
    sandbox.scan(&[]);
    last_scan_was(&sandbox, AHEAD, true);
    sandbox.scan(&["--accept-missing"]);
    fs::remove_file(sandbox.path("films/a.mkv")).expect("gone");
    assert_eq!(sandbox.scan(&[])["removed"], 1, "no guard against what was then");

    // The other way round: at the last scan it was mounted, and the clock was at its beginning.
    sandbox.scan(&[]);
    last_scan_was(&sandbox, BEHIND, true);
    fs::remove_file(sandbox.path("films/b.mkv")).expect("gone");
    let refused = sandbox.try_scan(&[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert_eq!(sandbox.row("films/b.mkv").status, "ok", "{said}");
}

#[test]
fn jobs_are_listed_and_paged_in_the_order_in_which_they_came() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let mut expected = Vec::new();
    for time in [AHEAD, BEHIND, "2026-01-01T00:00:00.000000+00:00", AHEAD, BEHIND] {
        expected.insert(0, sandbox.scan(&[])["job_id"].clone());
        last_scan_was(&sandbox, time, false);
    }
    let daemon = sandbox.serve::<&str>([]);
    for query in ["", "&status=completed", "&type=scan", "&type=scan&status=completed"] {
        let (mut listed, mut after) = (Vec::new(), String::new());
        loop {
            let page = daemon.get(&format!("/api/v1/jobs?limit=2{query}{after}")).json();
            listed.extend(page["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(listed, expected, "{query}");
    }
    let scans = daemon.get("/api/v1/library").json()["scans"].clone();
    let shown: Vec<Value> = scans.as_array().expect("scans").iter().map(|job| job["id"].clone()).collect();
    assert_eq!(shown, expected);
}

#[test]
fn page_of_one_type_ends_within_other_jobs_and_says_where_to_go_on() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let first = sandbox.scan(&[])["job_id"].clone();
    sandbox.sql(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 60000)
         INSERT INTO jobs (id, file_path, job_type, status, created_at)
         SELECT 'other' || x, '/x', 'transcode', 'completed', '2026-01-01T00:00:00.000000+00:00' FROM n",
    );
    let daemon = sandbox.serve::<&str>([]);
    let page = daemon.get("/api/v1/jobs?type=scan").json();
    assert_eq!((page["jobs"].as_array().map(Vec::len), &page["next"]), (Some(0), &"other10001".into()));
    let page = daemon.get("/api/v1/jobs?type=scan&after=other10001").json();
    assert_eq!((&page["jobs"][0]["id"], &page["next"]), (&first, &Value::Null));
    assert_eq!(daemon.get("/api/v1/library").json()["scans"][0]["id"], first);
}

#[test]
fn success_of_a_root_and_queued_scans_follow_the_order_of_rows() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let root = sandbox.root();
    let last_success = |sandbox: &Sandbox| {
        let away = sandbox.path("elsewhere");
        fs::rename(&root, &away).expect("gone, so that no scan of it succeeds");
        let daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
        let shown = eventually("a success", || {
            let library = daemon.get("/api/v1/library").json();
            library["roots"][0]["last_success"].as_str().map(str::to_owned)
        });
        fs::rename(&away, &root).expect("back");
        shown
    };
    sandbox.scan(&[]);
    last_scan_was(&sandbox, AHEAD, false);
    sandbox.scan(&[]);
    let shown = last_success(&sandbox);
    assert!(!shown.starts_with("2099"), "{shown}");

    sandbox.sql(&format!(
        r#"INSERT INTO jobs (id, file_path, job_type, status, policy_json, created_at)
           VALUES ('first', '{0}', 'scan', 'queued', '{{"by":"vpo-serve"}}', '{AHEAD}'),
                  ('second', '{0}', 'scan', 'queued', '{{"by":"vpo-serve"}}', '{BEHIND}')"#,
        root.display()
    ));
    let _daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    let ends = "SELECT count(*) FROM jobs WHERE id IN ('first', 'second') AND status = 'completed'";
    eventually("both scans", || (sandbox.value::<i64>(ends) == 2).then_some(()));
    let order: String =
        sandbox.value("SELECT group_concat(id) FROM (SELECT id FROM jobs WHERE id IN ('first', 'second') ORDER BY started_at)");
    assert_eq!(order, "first,second");
}
