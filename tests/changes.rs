//! `vpo changes` and `/api/v1/changes`: of which files, and since when.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Sandbox, samples, settled, video};

/// `full.mkv` and `later.mkv` with HEVC video, `a.mkv` and `gone.mkv` with H.264; all of them with changes after the first scan.
fn library() -> Sandbox {
    let sandbox = Sandbox::new();
    settled(&sandbox.write("films/full.mkv", samples::matroska()));
    sandbox.film("films/a.mkv");
    sandbox.film("films/gone.mkv");
    sandbox.scan(&[]);
    // One scan stores its files in any order.
    settled(&sandbox.write("films/a.mkv", video::matroska("another cut", &["eng"])));
    fs::remove_file(sandbox.path("films/gone.mkv")).expect("removed");
    sandbox.scan(&[]);
    settled(&sandbox.write("films/later.mkv", samples::matroska()));
    sandbox.scan(&[]);
    sandbox
}

/// What `vpo changes ARGS` prints: kind and name of each change, and what it says.
#[track_caller]
fn printed(sandbox: &Sandbox, args: &[&str]) -> (Vec<String>, String) {
    let output = sandbox.run([&["changes"], args].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let root = format!("{}/", sandbox.root().display());
    let line = |line: &str| {
        let what = line.replace(&root, "").chars().skip(21).collect::<String>();
        what.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    (text.lines().map(line).collect(), stderr)
}

#[test]
fn a_query_chooses_the_changes_of_its_files() {
    let sandbox = library();
    let database = sandbox.library().display().to_string();
    let (all, said) = printed(&sandbox, &[]);
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(said.contains(&format!("4 changes of {database}")), "{said}");
    let (found, said) = printed(&sandbox, &["exists(video, codec == x265)"]);
    assert_eq!(found, ["added later.mkv"]);
    assert!(said.contains("x265 is read as hevc") && said.contains("1 change of "), "{said}");
    assert_eq!(printed(&sandbox, &["missing"]).0, ["missing gone.mkv"]);
    assert_eq!(printed(&sandbox, &["path contains \"mkv\"", "--limit", "2"]).0.len(), 2);
    assert_eq!(
        printed(&sandbox, &["count(audio) == 1 and not missing"]).0,
        ["added later.mkv", "changed a.mkv"]
    );
    let (none, said) = printed(&sandbox, &["exists(video, codec == av1)"]);
    assert!(none.is_empty() && said.contains("no track has the codec av1"), "{said}");
    assert_eq!(sandbox.run(["changes", "exists("]).status.code(), Some(64));
    let colours = sandbox.run(["changes", "--color", "always", "missing"]).stdout;
    assert!(String::from_utf8_lossy(&colours).starts_with("\x1b[31m"), "{colours:?}");
}

#[test]
fn since_takes_an_age_or_a_date() {
    let sandbox = library();
    let daemon = sandbox.serve::<&str>([]);
    sandbox
        .sql("UPDATE daemon_changes SET at = '2020-02-03T00:00:00.000000+00:00' WHERE kind = 'first_scan'");
    for (since, count) in [
        ("7d", 3),
        ("2020-02-03", 4),
        ("2020-02-04", 3),
        ("2020-02-03T00:00:00Z", 4),
        ("2999-01-01", 0),
        ("1w", 3),
    ] {
        assert_eq!(printed(&sandbox, &["--since", since]).0.len(), count, "{since}");
        let page = daemon.get(&format!("/api/v1/changes?since={since}")).json();
        assert_eq!(page["changes"].as_array().map(Vec::len), Some(count), "{since}");
    }
    for since in ["yesterday", "2020-2-3", "7", "-1d", ""] {
        assert_eq!(sandbox.run(["changes", "--since", since]).status.code(), Some(64), "{since}");
        assert_eq!(daemon.get(&format!("/api/v1/changes?since={since}")).status, 400, "{since}");
    }
}

#[test]
fn http_answers_a_query_page_by_page() {
    let sandbox = library();
    sandbox.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         INSERT INTO daemon_changes (at, kind, file_id, path)
         SELECT '2026-01-01T00:00:00.000000+00:00', 'changed', id, path FROM n, files
            WHERE filename = 'full.mkv' OR (filename = 'a.mkv' AND i % 300 = 0)",
    );
    let daemon = sandbox.serve::<&str>([]);
    let query = "where=exists(video,%20codec%20==%20h264)%20and%20not%20missing";
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = daemon.get(&format!("/api/v1/changes?{query}&limit=4{cursor}"));
        let page = answer.json();
        assert_eq!((answer.status, &page["notes"]), (200, &json!([])), "{}", answer.body);
        let changes = page["changes"].as_array().expect("changes");
        assert!(
            changes.len() <= 4
                && changes
                    .iter()
                    .all(|change| change["path"].as_str().is_some_and(|path| path.ends_with("/a.mkv")))
        );
        ids.extend(changes.iter().filter_map(|change| change["id"].as_i64()));
        match &page["next_cursor"] {
            Value::Null => break,
            next => cursor = format!("&cursor={next}"),
        }
    }
    assert_eq!(ids.len(), 6, "{ids:?}");
    assert!(ids.is_sorted_by(|one, next| one > next), "{ids:?}");
    let page = daemon.get("/api/v1/changes?where=exists(video,codec==x265)&limit=1").json();
    assert!(page["notes"][0].as_str().is_some_and(|note| note.contains("hevc")), "{page}");
    let refused = daemon.get("/api/v1/changes?where=exists(");
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!("query-refused")));
}
