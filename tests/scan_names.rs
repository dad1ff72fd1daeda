//! What `vpo scan` names: files that are new, changed, moved, gone, truncated or broken.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::harness::{Sandbox, eventually, settled, video};

/// Twelve films that are recorded, and what happens to some of them afterwards.
fn change(sandbox: &Sandbox) {
    sandbox.film("films/new.mkv");
    settled(&sandbox.write("films/0.mkv", video::matroska("another cut", &["eng", "ger", "fra"])));
    fs::rename(sandbox.path("films/1.mkv"), sandbox.path("films/moved.mkv")).expect("renamed");
    fs::remove_file(sandbox.path("films/2.mkv")).expect("removed");
    settled(&sandbox.write("films/3.mkv", "no video"));
    let mut cut = video::matroska("cut", &["eng"]);
    cut.truncate(cut.len() - 5);
    settled(&sandbox.write("films/cut.mkv", &cut));
    settled(&sandbox.write("films/4.mkv", cut));
}

/// `kind name`, or `kind name (detail)`, of each change.
fn changes(sandbox: &Sandbox, scan: &Value) -> BTreeSet<String> {
    let root = format!("{}/", sandbox.root().display());
    let line = |change: &Value| {
        let text = |key: &str| change[key].as_str().unwrap_or_default().replace(&root, "");
        let detail = match text("detail") {
            detail if detail.is_empty() => detail,
            detail => format!(" ({detail})"),
        };
        format!("{} {}{detail}", text("kind"), text("path"))
    };
    scan["changes"].as_array().expect("changes").iter().map(line).collect()
}

const NO_VIDEO: &str = "not a Matroska, WebM, AVI, MP4 or MOV video: it looks like text";

fn expected() -> BTreeSet<String> {
    let lines = [
        "added cut.mkv",
        "added new.mkv",
        "changed 0.mkv",
        "changed 3.mkv",
        "changed 4.mkv",
        "missing 2.mkv",
        "moved moved.mkv (1.mkv)",
        "truncated 4.mkv (5)",
        "truncated cut.mkv (5)",
    ];
    lines.iter().map(|line| (*line).to_owned()).chain([format!("broken 3.mkv ({NO_VIDEO})")]).collect()
}

fn library() -> Sandbox {
    let sandbox = Sandbox::new();
    (0..12).for_each(|number| drop(sandbox.film(&format!("films/{number}.mkv"))));
    sandbox
}

#[test]
fn a_scan_names_all_changes_in_json_also_beside_a_daemon() {
    for beside_a_daemon in [false, true] {
        let sandbox = library();
        let first = sandbox.scan(&[]);
        assert_eq!(changes(&sandbox, &first).len(), 12, "{first}");
        let config = sandbox.write("vpo.toml", "[scan]\nwatch = false\n");
        let root = sandbox.root();
        let args = ["--config".as_ref(), config.as_os_str(), "--root".as_ref(), root.as_os_str()];
        let daemon = beside_a_daemon.then(|| sandbox.serve(args));
        if daemon.is_some() {
            let scans = "SELECT count(*) FROM jobs WHERE status = 'completed'";
            eventually("the scan at the start", || (sandbox.value::<i64>(scans) == 2).then_some(()));
        }
        change(&sandbox);
        let scan = sandbox.scan(&[]);
        assert_eq!(changes(&sandbox, &scan), expected(), "{beside_a_daemon}: {scan}");
        assert_eq!((scan["added"].as_u64(), scan["removed"].as_u64()), (Some(2), Some(1)));
        assert_eq!(sandbox.scan(&[])["changes"].as_array().map(Vec::len), Some(0));
    }
}

#[test]
fn ten_of_each_kind_are_named_unless_all_are_asked_for() {
    let sandbox = library();
    let scan = |args: &[&str]| {
        let root = sandbox.root().display().to_string();
        let output = sandbox.run([&["scan", "--root", &root], args].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8").replace(&format!("{root}/"), "")
    };
    sandbox.film("first/0.mkv");
    assert!(sandbox.run(["scan", "first"]).status.success());
    // Of the first scan of a root, too.
    let text = scan(&["--dry-run"]);
    assert!(text.starts_with("  new            0.mkv\n  new            1.mkv\n"), "{text}");
    assert_eq!(text.lines().nth(10), Some("  and 2 more new; --verbose names all"), "{text}");
    let text = scan(&[]);
    assert_eq!(text.lines().nth(1), Some("  new            0.mkv"), "{text}");
    assert_eq!(text.lines().nth(11), Some("  and 2 more new; --verbose names all"), "{text}");
    assert!(text.ends_with(&format!("recorded in {}\n", sandbox.library().display())), "{text}");
    change(&sandbox);
    for number in 20..32 {
        settled(&sandbox.write(&format!("films/{number}.mkv"), "no video"));
    }
    let text = scan(&["--dry-run", "--verbose"]);
    let names = ["0", "3", "4"].map(|name| format!("  changed        {name}.mkv"));
    let gone = ["1", "2"].map(|name| format!("  missing        {name}.mkv"));
    for line in names.iter().chain(&gone) {
        assert_eq!(text.lines().filter(|other| other == line).count(), 1, "{line}\n{text}");
    }
    assert_eq!(text.matches("  new  ").count(), 15, "{text}");
    let text = scan(&["--verbose"]);
    for line in [
        "  moved          moved.mkv (from 1.mkv)",
        "  missing        2.mkv",
        "  changed        3.mkv",
        "  truncated      4.mkv (5 bytes are missing)",
        "  truncated      cut.mkv (5 bytes are missing)",
    ] {
        assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line}\n{text}");
    }
    assert_eq!(text.matches("  new  ").count(), 14, "{text}");
    assert_eq!(text.matches("  broken  ").count(), 13, "{text}");
    assert!(!text.contains("that cannot be parsed"), "all are named already: {text}");
}

#[test]
fn no_more_than_a_page_of_names_is_kept() {
    let sandbox = library();
    sandbox.scan(&[]);
    // More rows than a page, recorded by another program while nothing else changes.
    sandbox.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
         INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at, scan_status)
         SELECT (SELECT directory FROM files LIMIT 1) || '/gone ' || i || '.mkv', i, '', 'mkv', i, '', '', 'ok' FROM n",
    );
    let scan = sandbox.scan(&["--accept-missing"]);
    assert_eq!(changes(&sandbox, &scan).len(), 1200);
    assert_eq!(scan["removed"], 1200);
}
