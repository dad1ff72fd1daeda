//! Subtitle files beside videos, changes, files that are passed over, and rows that are forgotten.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Daemon, Sandbox, eventually, settled};

/// Each subtitle file as `film name language tag forced hearing-impaired format`.
fn subtitles(sandbox: &Sandbox) -> Vec<String> {
    let connection = sandbox.database();
    let sql =
        "SELECT filename || ' ' || name || ' ' || language || ' ' || coalesce(tag, '-') || ' ' || is_forced
            || ' ' || is_hearing_impaired || ' ' || format
        FROM daemon_subtitles JOIN files ON files.id = file_id ORDER BY path, name";
    let Ok(mut statement) = connection.prepare(sql) else { return Vec::new() };
    statement.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("text")
}

/// `kind path detail` of each change, the oldest first; paths relative to the sandbox.
pub(crate) fn changes(sandbox: &Sandbox) -> Vec<String> {
    let output = sandbox.run(["changes", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let home = format!("{}/", sandbox.path("").display()).replace("//", "/");
    let line = |line: &str| {
        let change: Value = serde_json::from_str(line).expect("JSON");
        let [kind, path, detail] =
            ["kind", "path", "detail"].map(|key| change[key].as_str().unwrap_or("-").replace(&home, ""));
        format!("{kind} {path} {detail}")
    };
    let mut changes: Vec<_> = text.lines().map(line).collect();
    changes.reverse();
    changes
}

fn serve(sandbox: &Sandbox) -> Daemon {
    let root = sandbox.root();
    let daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    daemon.wait_watch(&root, "watching");
    daemon
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("removed");
}

#[test]
fn subtitle_files_are_recorded_and_leave_the_row_of_the_video_alone() {
    let sandbox = Sandbox::new();
    sandbox.film("films/Film/Film.mkv");
    for name in ["Film.en.srt", "Film.idx", "Film.sub", "Subs/2_German SDH.srt", "stray.srt", "film.nfo"] {
        sandbox.write(&format!("films/Film/{name}"), "text");
    }
    let scan = sandbox.scan(&[]);
    assert_eq!((&scan["unmatched_subtitles"], &scan["passed_over"]), (&json!(1), &json!({"nfo": 1})));
    let all = [
        "Film.mkv Film.en.srt eng - 0 0 srt",
        "Film.mkv Film.idx und - 0 0 vobsub",
        "Film.mkv Subs/2_German SDH.srt ger - 0 1 srt",
    ];
    assert_eq!(subtitles(&sandbox), all);
    let list = |query: &str| {
        let output = sandbox.run(["list", "--paths", query]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").lines().count()
    };
    assert_eq!(list("exists(subtitle, external == true, lang == ger)"), 1);
    assert_eq!(list("exists(subtitle, external == true, codec == vobsub)"), 1);
    assert_eq!(list("exists(subtitle, external == true, lang == fre)"), 0);
    let output = sandbox.run(["list", "--json"]);
    let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        listed["subtitles"][2],
        json!({
            "name": "Subs/2_German SDH.srt", "language": "ger", "tag": null, "is_forced": false,
            "is_hearing_impaired": true, "format": "srt",
        })
    );
    let row = || sandbox.value::<String>("SELECT id || scanned_at FROM files");
    let before = row();
    sandbox.write("films/Film/Film.pt-BR.forced.srt", "text");
    remove(&sandbox.path("films/Film/Film.en.srt"));
    let scan = sandbox.scan(&[]);
    let counts = ["added", "updated", "scanned", "subtitles_added", "subtitles_gone"].map(|key| &scan[key]);
    assert_eq!(counts, [&json!(0), &json!(0), &json!(0), &json!(1), &json!(1)]);
    assert_eq!(row(), before);
    assert_eq!(subtitles(&sandbox), [all[1], "Film.mkv Film.pt-BR.forced.srt por pt-BR 1 0 srt", all[2]]);
    assert_eq!(
        changes(&sandbox),
        [
            "first_scan films 1",
            "subtitle_added films/Film/Film.mkv Film.pt-BR.forced.srt",
            "subtitle_gone films/Film/Film.mkv Film.en.srt",
        ]
    );
    let scan = sandbox.scan(&[]);
    assert_eq!((&scan["subtitles_added"], &scan["subtitles_gone"]), (&json!(0), &json!(0)));
}

#[test]
fn subtitle_files_follow_a_file_that_is_renamed_or_asked_for_alone() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/Film.mkv");
    sandbox.write("films/Film.en.srt", "text");
    sandbox.write("films/Other.de.srt", "text");
    let path = film.to_str().expect("UTF-8");
    assert_eq!(sandbox.scan(&[path])["added"], 1);
    assert_eq!(subtitles(&sandbox), ["Film.mkv Film.en.srt eng - 0 0 srt"]);
    fs::rename(&film, sandbox.path("films/Other.mkv")).expect("renamed");
    assert_eq!(sandbox.scan(&[])["moved"], 1);
    assert_eq!(subtitles(&sandbox), ["Other.mkv Other.de.srt ger - 0 0 srt"]);
    let found = changes(&sandbox);
    let moved = [
        "moved films/Other.mkv films/Film.mkv",
        "subtitle_added films/Other.mkv Other.de.srt",
        "subtitle_gone films/Other.mkv Film.en.srt",
    ];
    assert_eq!(found[found.len() - 3..], moved);
}

#[test]
fn what_an_older_version_read_in_names_is_corrected() {
    let sandbox = Sandbox::new();
    sandbox.film("films/Film.mkv");
    sandbox.write("films/Film.pt-br-forced.srt", "text");
    sandbox.scan(&[]);
    let found = subtitles(&sandbox);
    assert_eq!(found, ["Film.mkv Film.pt-br-forced.srt por pt-BR 1 0 srt"]);
    let entries = changes(&sandbox).len();
    let wrong = "UPDATE daemon_subtitles SET language = 'bre', tag = NULL, is_forced = 0";
    for (sql, args) in [("UPDATE daemon_files SET prober = 0", &[][..]), ("", &["--full"])] {
        sandbox.sql(&format!("{wrong}; {sql}"));
        sandbox.scan(args);
        assert_eq!(subtitles(&sandbox), found, "{args:?}");
    }
    let new = changes(&sandbox).split_off(entries);
    assert!(new.iter().all(|change| change.starts_with("reread ")), "{new:?}");
}

#[test]
fn table_that_another_program_has_dropped_or_emptied_is_filled_again() {
    let sandbox = Sandbox::new();
    sandbox.film("films/Film.mkv");
    sandbox.write("films/Film.en.srt", "text");
    sandbox.scan(&[]);
    let all = subtitles(&sandbox);
    assert_eq!(all.len(), 1);
    for sql in [
        "DROP TABLE daemon_subtitles",
        "DROP TABLE daemon_subtitles; CREATE TABLE daemon_subtitles (other)",
        "DELETE FROM daemon_subtitles",
    ] {
        sandbox.sql(sql);
        sandbox.scan(&[]);
        assert_eq!(subtitles(&sandbox), all, "{sql}");
    }
    // A row that another program has deleted and inserted again has another id.
    sandbox.sql(
        "CREATE TEMP TABLE kept AS SELECT * FROM files; DELETE FROM files; UPDATE kept SET id = id + 10;
         INSERT INTO files SELECT * FROM kept",
    );
    sandbox.scan(&[]);
    assert_eq!(subtitles(&sandbox), all);
}

#[test]
fn new_subtitle_files_are_seen_as_they_come_and_go() {
    let sandbox = Sandbox::new();
    sandbox.film("films/Film/Film.mkv");
    let mut daemon = serve(&sandbox);
    let wait = |expected: &[&str]| {
        eventually(&format!("{expected:?}"), || (subtitles(&sandbox) == expected).then_some(()));
    };
    let srt = "Film.mkv Film.en.srt eng - 0 0 srt";
    sandbox.write("films/Film/Film.en.srt", "text");
    wait(&[srt]);
    let page = daemon.get(&format!("/file/{}", sandbox.row("films/Film/Film.mkv").id));
    assert_eq!((page.status, page.body.contains(">Film.en.srt<")), (200, true), "{}", page.body);
    // A folder with a file in it is one event.
    sandbox.write("Subs/3_French.srt", "text");
    fs::rename(sandbox.path("Subs"), sandbox.path("films/Film/Subs")).expect("moved");
    wait(&[srt, "Film.mkv Subs/3_French.srt fre - 0 0 srt"]);
    sandbox.write("films/Film/Subs/4_Dutch.srt", "text");
    wait(&[srt, "Film.mkv Subs/3_French.srt fre - 0 0 srt", "Film.mkv Subs/4_Dutch.srt dut - 0 0 srt"]);
    fs::remove_dir_all(sandbox.path("films/Film/Subs")).expect("removed");
    wait(&[srt]);
    remove(&sandbox.path("films/Film/Film.en.srt"));
    wait(&[]);
    assert!(daemon.stop().success());
}

#[test]
fn what_happens_to_files_is_recorded_once() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.film(&format!("films/{name}.mkv"));
    }
    sandbox.scan(&[]);
    assert_eq!(changes(&sandbox), ["first_scan films 3"]);
    sandbox.film("films/d.mkv");
    fs::rename(sandbox.path("films/a.mkv"), sandbox.path("films/e.mkv")).expect("renamed");
    fs::write(sandbox.path("films/b.mkv"), fs::read(sandbox.path("films/d.mkv")).expect("read"))
        .expect("written");
    settled(&sandbox.path("films/b.mkv"));
    sandbox.sql("UPDATE files SET modified_at = '2020-01-01T00:00:00.000000+00:00' WHERE filename = 'b.mkv'");
    fs::rename(sandbox.path("films/c.mkv"), sandbox.path("c.mkv")).expect("away");
    sandbox.scan(&[]);
    let mut found = changes(&sandbox).split_off(1);
    found.sort_unstable();
    let expected = [
        "added films/d.mkv -",
        "changed films/b.mkv -",
        "missing films/c.mkv -",
        "moved films/e.mkv films/a.mkv",
    ];
    assert_eq!(found, expected);
    fs::rename(sandbox.path("c.mkv"), sandbox.path("films/c.mkv")).expect("back");
    sandbox.scan(&[]);
    assert_eq!(changes(&sandbox).split_off(5), ["returned films/c.mkv -"]);
    sandbox.scan(&[]);
    assert_eq!(changes(&sandbox).len(), 6);
    let daemon = serve(&sandbox);
    let page = daemon.get("/api/v1/changes?limit=2").json();
    let kinds = |page: &Value| {
        let changes = page["changes"].as_array().expect("a list").iter();
        changes.map(|change| change["kind"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((kinds(&page).len(), &page["changes"][0]["kind"]), (2, &json!("returned")));
    let next = page["next_cursor"].as_i64().expect("a number");
    let rest = daemon.get(&format!("/api/v1/changes?cursor={next}&since=2020-01-01T00:00:00Z")).json();
    assert_eq!((kinds(&rest).len(), &rest["next_cursor"]), (4, &Value::Null));
    let id = sandbox.row("films/c.mkv").id;
    assert_eq!(kinds(&daemon.get(&format!("/api/v1/changes?file_id={id}")).json()), ["returned", "missing"]);
    assert_eq!(daemon.get("/api/v1/changes?since=yesterday&cursor=-1").status, 400);
    drop(daemon);
    let output = sandbox.run(["changes", "--limit", "2", "--since", "1h"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().next().is_some_and(|line| line.contains("  returned ")), "{text}");
    sandbox.sql("UPDATE daemon_changes SET at = '2020-01-01T00:00:00.000000+00:00' WHERE id < 6");
    assert_eq!(sandbox.run(["changes", "--since", "1h"]).stdout.split(|byte| *byte == b'\n').count(), 2);
    assert_eq!(sandbox.run(["changes", "--since", "7x"]).status.code(), Some(64));
}

#[test]
fn file_that_cannot_be_read_is_one_change_until_it_can() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    sandbox.sql("UPDATE files SET scan_status = 'error', scan_error = 'cannot be read: EIO'");
    sandbox.scan(&[]);
    assert_eq!(changes(&sandbox), ["first_scan films 1", "readable films/a.mkv -"]);
    assert!(film.exists());
}

#[test]
fn files_that_are_not_read_are_counted_by_extension() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    for name in ["b.ts", "deep/c.TS", "d.iso", "poster.jpg", ".hidden.iso", "README"] {
        sandbox.write(&format!("films/{name}"), "text");
    }
    let scan = sandbox.scan(&[]);
    assert_eq!(scan["passed_over"], json!({"iso": 1, "jpg": 1, "ts": 2}));
    let mut command = sandbox.vpo(["scan"]);
    let output = command.arg(sandbox.root()).output().expect("vpo runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("\n  not read: ts 2, iso 1, jpg 1\n"), "{text}");
}

#[test]
fn rows_of_files_that_are_gone_for_long_are_forgotten_on_request() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.film(&format!("films/{name}.mkv"));
    }
    sandbox.write("films/a.en.srt", "text");
    sandbox.scan(&[]);
    remove(&sandbox.path("films/a.mkv"));
    remove(&sandbox.path("films/b.mkv"));
    sandbox.scan(&[]);
    sandbox.sql("UPDATE files SET scanned_at = '2020-01-01T00:00:00.000000+00:00' WHERE filename <> 'b.mkv'");
    let run = |args: &[&str]| {
        let output = sandbox.run([&["forget", "--missing-for", "90d"], args].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let path = sandbox.path("films/a.mkv");
    let expected = format!("{}\nwould forget 1 file with 3 tracks and 1 subtitle file\n", path.display());
    assert_eq!(run(&["--dry-run"]), expected);
    assert_eq!(sandbox.rows().len(), 3);
    // The lock is held by a daemon.
    let mut daemon = serve(&sandbox);
    let found: Value = serde_json::from_str(&run(&["--json"])).expect("JSON");
    assert_eq!(found, json!({"files": 1, "tracks": 3, "subtitles": 1, "dry_run": false}));
    let left: Vec<_> = sandbox.rows().into_iter().map(|row| (row.path, row.status)).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(
        sandbox.value::<i64>("SELECT count(*) FROM tracks WHERE file_id NOT IN (SELECT id FROM files)"),
        0
    );
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM daemon_subtitles"), 0);
    daemon.wait_healthy();
    sandbox.film("films/d.mkv");
    eventually("the daemon records a new film", || sandbox.find_row("films/d.mkv").map(drop));
    assert!(daemon.stop().success());
    assert_eq!(run(&["--json"]), "{\"dry_run\":false,\"files\":0,\"subtitles\":0,\"tracks\":0}\n");
    assert_eq!(sandbox.run(["forget"]).status.code(), Some(64), "an age must be given");
}
