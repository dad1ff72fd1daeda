//! How long the daemon keeps the rows of its scans, and whose rows it never deletes.

use rustix::process::Signal;

use crate::harness::{Sandbox, eventually};

const OURS: &str = r#"{"by":"vpo-serve"}"#;
const WALK: &str = r#"{"root":{"filesystem":"ext4","mount_point":false}}"#;

/// Rows that ended in 2020: 300 of ours for the root, two for another root, 50 of
/// another program; and one of ours that ended in 2099.
fn with_history() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    let root = sandbox.root();
    let rows = |name: &str, count: u32, path: &str, policy: &str, year: u32| {
        format!(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {count})
             INSERT INTO jobs (id, file_path, job_type, status, policy_json, summary_json, created_at, completed_at)
             SELECT '{name}' || x, '{path}', 'scan', 'completed', '{policy}', '{WALK}',
                '{year}-01-01T00:00:00.000000+00:00', '{year}-01-01T00:00:01.000000+00:00' FROM n;"
        )
    };
    let root = root.to_str().expect("UTF-8");
    sandbox.sql(&rows("gone", 2, "/gone", OURS, 2020));
    sandbox.sql(&rows("ahead", 1, root, OURS, 2099));
    sandbox.sql(&rows("ours", 300, root, OURS, 2020));
    sandbox.sql(&rows("theirs", 50, root, r#"{"by":"another"}"#, 2020));
    sandbox
}

fn left(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let connection = sandbox.database();
    let mut statement = connection
        .prepare("SELECT id FROM jobs WHERE id GLOB ?1 || '[0-9]*' ORDER BY rowid")
        .expect("a query");
    statement.query_map([name], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("ids")
}

#[test]
fn old_rows_of_ours_are_deleted_after_a_scan_and_no_others() {
    let sandbox = with_history();
    let daemon = sandbox.serve(["--library".as_ref(), sandbox.root().as_os_str()]);
    daemon.wait_log("deleted rows of scans that are older than scan.job_retention_days");
    // The newest hundred of ours, of which one is the daemon's own scan.
    let ours = left(&sandbox, "ours");
    assert_eq!((ours.len(), ours.first().map(String::as_str)), (99, Some("ours202")));
    assert_eq!(
        left(&sandbox, "gone"),
        ["gone2"],
        "the latest walk of a root is what its next scan compares with"
    );
    assert_eq!(left(&sandbox, "ahead"), [""; 0], "what came after it is old");
    assert_eq!(left(&sandbox, "theirs").len(), 50);
}

#[test]
fn rows_are_kept_for_ever_where_that_is_wanted_until_it_no_longer_is() {
    let sandbox = with_history();
    let configure = |days: u32| {
        let root = sandbox.root();
        let content = format!("[library]\nroots = [{root:?}]\n[scan]\njob_retention_days = {days}\n");
        sandbox.write(".vpo/config.toml", content);
    };
    configure(0);
    sandbox.film("films/b.mkv");
    let daemon = sandbox.serve::<&str>([]);
    // It is counted after the first scan, and that is when rows would be deleted.
    let counted = format!("vpo_library_files{{root=\"{}\",status=\"ok\"}} 2", sandbox.root().display());
    eventually(&counted, || daemon.get("/metrics").body.contains(&counted).then_some(()));
    assert_eq!((left(&sandbox, "ours").len(), left(&sandbox, "gone").len()), (300, 2));
    configure(30);
    daemon.signal(Signal::HUP);
    daemon.wait_log("reloaded changed=scan.job_retention_days");
    assert_eq!(left(&sandbox, "ours").len(), 300, "no scan, no write");
    sandbox.scan(&[]);
    daemon.wait_log("deleted rows of scans that are older than scan.job_retention_days");
    assert_eq!((left(&sandbox, "ours").len(), left(&sandbox, "gone").len()), (98, 1));
}
