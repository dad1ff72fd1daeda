//! The daemon's own tables of facts beside schema 7: written by scans, read by lists, and true whatever other programs do.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use serde_json::Value;

use crate::harness::{Sandbox, eventually, settled, video};

/// The statements of the daemon's tables of facts, and their version.
const TABLES: &str =
    "SELECT group_concat(sql, ';') || coalesce((SELECT value FROM _meta WHERE key = 'daemon_tables'), '')
     FROM sqlite_master WHERE tbl_name IN ('daemon_files', 'daemon_tracks') ORDER BY name";

/// Two films of 90 minutes, scanned.
fn library() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.mkv");
    let scan = sandbox.scan(&[]);
    assert_eq!((&scan["added"], &scan["outdated"]), (&2.into(), &0.into()), "{scan}");
    sandbox
}

/// What `vpo list --json` prints, by name.
#[track_caller]
fn listed(sandbox: &Sandbox) -> BTreeMap<String, Value> {
    let output = sandbox.run(["list", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let files = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    files.map(|file| (file["filename"].as_str().expect("a name").to_owned(), file)).collect()
}

/// The names of the files for which a query holds, sorted.
#[track_caller]
pub(crate) fn matching(sandbox: &Sandbox, query: &str) -> Vec<String> {
    let output = sandbox.run(["list", "--paths", query]);
    assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).expect("UTF-8");
    let mut names: Vec<_> =
        paths.lines().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).collect();
    // The files of one scan are stored in any order.
    names.sort();
    names
}

/// Whether the facts of all files are listed.
#[track_caller]
fn are_known(sandbox: &Sandbox) -> bool {
    listed(sandbox).values().all(|file| file["duration_seconds"] == 5400.0 && file["missing_bytes"] == 0)
}

/// Rows of facts whose file has no row.
fn orphans(sandbox: &Sandbox) -> i64 {
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table} WHERE file_id NOT IN (SELECT id FROM files)");
        sandbox.value::<i64>(&sql)
    };
    count("daemon_files") + count("daemon_tracks")
}

#[test]
fn facts_of_files_are_listed_and_queried() {
    let sandbox = library();
    let mut cut = video::matroska("new", &["eng"]);
    cut.truncate(cut.len() - 5);
    let new = sandbox.write("films/new.mkv", cut);
    settled(&new);
    sandbox.scan(&[]);
    let files = listed(&sandbox);
    let size = std::fs::metadata(sandbox.path("films/a.mkv")).expect("there").len();
    assert_eq!(files["a.mkv"]["duration_seconds"], 5400.0);
    assert_eq!(files["a.mkv"]["bit_rate"], size * 8 / 5400);
    assert_eq!(files["a.mkv"]["missing_bytes"], 0);
    assert!(files["a.mkv"]["first_seen"].is_null(), "the first scan found it: {}", files["a.mkv"]);
    assert!(files["new.mkv"]["first_seen"].is_string(), "{}", files["new.mkv"]);
    for (query, expected) in [
        ("age < 1h", &["new.mkv"][..]),
        ("age >= 0s", &["new.mkv"]),
        ("duration == 90m", &["a.mkv", "b.mkv", "new.mkv"]),
        ("duration > 2h or bit_rate > 1M", &[]),
        ("truncated", &["new.mkv"]),
        ("truncated == false", &["a.mkv", "b.mkv"]),
        ("bit_rate < 1k and not truncated", &["a.mkv", "b.mkv"]),
    ] {
        assert_eq!(matching(&sandbox, query), expected, "{query}");
    }
}

#[test]
fn facts_of_tracks_are_listed_and_queried() {
    let sandbox = library();
    let id = sandbox.row("films/a.mkv").id;
    sandbox.sql(&format!(
        "REPLACE INTO daemon_tracks (file_id, track_index, profile, bit_depth, hdr_format) VALUES ({id}, 0, 'Main 10', 10, 'pq');
         REPLACE INTO daemon_tracks (file_id, track_index, language_tag, is_commentary, is_original, is_hearing_impaired)
         VALUES ({id}, 1, 'pt-BR', 1, 0, 1)"
    ));
    let tracks = &listed(&sandbox)["a.mkv"]["tracks"];
    assert_eq!((&tracks[0]["profile"], &tracks[0]["bit_depth"]), (&"Main 10".into(), &10.into()), "{tracks}");
    assert_eq!((&tracks[1]["is_commentary"], &tracks[1]["is_original"]), (&true.into(), &false.into()));
    for query in [
        "exists(video, hdr == true, bit_depth >= 10, profile == 'main 10')",
        "exists(audio, tag == 'pt-BR', commentary == true, original == false, hearing_impaired == true)",
    ] {
        assert_eq!(matching(&sandbox, query), ["a.mkv"], "{query}");
    }
    sandbox.sql("UPDATE daemon_tracks SET hdr_format = 'sdr' WHERE hdr_format = 'pq'");
    assert_eq!(matching(&sandbox, "exists(video, hdr == false)"), ["a.mkv"]);
    let daemon = sandbox.serve(["--library".as_ref(), sandbox.root().as_os_str()]);
    let file = daemon.get(&format!("/api/v1/files/{id}")).json();
    assert_eq!(
        (&file["tracks"][0]["hdr_format"], &file["duration_seconds"]),
        (&"sdr".into(), &5400.0.into())
    );
    assert_eq!(daemon.get("/api/v1/files").json()["files"][0]["missing_bytes"], 0);
}

#[test]
fn rows_that_another_program_changes_leave_no_stale_facts() {
    let sandbox = library();
    let (a, b) = (sandbox.row("films/a.mkv"), sandbox.row("films/b.mkv"));
    sandbox.sql("UPDATE files SET size_bytes = size_bytes + 1 WHERE path LIKE '%/a.mkv'");
    // The same time, as other programs write it.
    sandbox
        .sql("UPDATE files SET modified_at = replace(modified_at, '+00:00', 'Z') WHERE path LIKE '%/b.mkv'");
    let files = listed(&sandbox);
    assert!(files["a.mkv"]["duration_seconds"].is_null() && files["a.mkv"]["missing_bytes"].is_null());
    assert_eq!(files["b.mkv"]["duration_seconds"], 5400.0);
    let scan = sandbox.scan(&[]);
    assert_eq!((&scan["updated"], &scan["skipped"]), (&1.into(), &1.into()), "{scan}");
    assert!(are_known(&sandbox));
    assert_eq!((sandbox.row("films/a.mkv").id, sandbox.row("films/b.mkv").id), (a.id, b.id));
    sandbox.sql("UPDATE files SET modified_at = '2020-01-01T00:00:00.000000+00:00'");
    assert!(listed(&sandbox).values().all(|file| file["duration_seconds"].is_null()));
    assert_eq!(sandbox.scan(&[])["updated"], 2);

    // A row is deleted and inserted again, and one is deleted with its file.
    sandbox.sql("DELETE FROM files");
    std::fs::remove_file(sandbox.path("films/b.mkv")).expect("removed");
    sandbox.sql(&format!(
        "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at, scan_status)
         VALUES ('{}', 'a.mkv', '{}', 'mkv', {}, '{}', '{1}', 'ok')",
        a.path,
        sandbox.root().display(),
        a.size,
        a.modified
    ));
    assert!(listed(&sandbox)["a.mkv"]["duration_seconds"].is_null());
    assert!(orphans(&sandbox) > 0);
    let scan = sandbox.scan(&[]);
    assert_eq!((&scan["skipped"], &scan["outdated"]), (&1.into(), &1.into()), "{scan}");
    assert!(are_known(&sandbox), "read again in the background");
    assert_eq!(orphans(&sandbox), 0);
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM daemon_files"), 1);
}

#[test]
fn tables_that_are_gone_or_of_another_shape_stop_nothing() {
    let sandbox = library();
    let tables: String = sandbox.value(TABLES);
    // And whether it is known afterwards when a file was first seen.
    let other_shapes = [
        (
            "DROP TABLE daemon_files; DROP TABLE daemon_tracks; DELETE FROM _meta WHERE key = 'daemon_tables'",
            false,
        ),
        ("DROP TABLE daemon_files", false),
        ("DROP TABLE daemon_tracks; CREATE VIEW daemon_tracks AS SELECT * FROM tracks", true),
        (
            "DROP TABLE daemon_files; CREATE VIEW daemon_files AS SELECT id AS file_id, 1 AS first_seen FROM files",
            false,
        ),
        ("DROP TABLE daemon_files; CREATE TABLE Daemon_Files (file_id, first_seen AS (hex(file_id)))", false),
        ("ALTER TABLE daemon_files ADD COLUMN theirs", true),
        ("ALTER TABLE daemon_files DROP COLUMN hole_bytes", true),
        ("CREATE INDEX theirs ON daemon_files (hex(file_id))", true),
        ("CREATE TRIGGER theirs AFTER INSERT ON daemon_files BEGIN DELETE FROM files; END", true),
    ];
    for (change, is_kept) in other_shapes {
        sandbox.sql(&format!("UPDATE daemon_files SET first_seen = 'once'; {change}"));
        for file in listed(&sandbox).values() {
            assert!(
                file["duration_seconds"].is_null() && file["missing_bytes"].is_null(),
                "{change}: {file}"
            );
        }
        let scan = sandbox.scan(&[]);
        assert_eq!((&scan["skipped"], &scan["outdated"]), (&2.into(), &2.into()), "{change}: {scan}");
        assert!(are_known(&sandbox), "{change}");
        assert_eq!(sandbox.value::<String>(TABLES), tables, "{change}");
        let seen = if is_kept { 2 } else { 0 };
        let count = "SELECT count(*) FROM daemon_files WHERE first_seen = 'once'";
        assert_eq!(sandbox.value::<i64>(count), seen, "{change}");
    }
    let again = sandbox.scan(&[]);
    assert_eq!(again["outdated"], 0, "{again}");
}

#[test]
fn what_cannot_be_replaced_stops_no_scan_and_is_said_once() {
    let sandbox = library();
    sandbox.sql(
        "DROP TABLE daemon_files; PRAGMA writable_schema = ON;
         INSERT INTO sqlite_master VALUES
            ('table', 'daemon_files', 'daemon_files', 0, 'CREATE VIRTUAL TABLE daemon_files USING unknown (x)');
         PRAGMA writable_schema = RESET",
    );
    sandbox.film("films/c.mkv");
    let output = sandbox.try_scan(&[]);
    let (report, stderr): (Value, _) = (
        serde_json::from_slice(&output.stdout).expect("JSON"),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{stderr}");
    assert_eq!((&report["scans"][0]["added"], &report["read_again"]), (&1.into(), &0.into()), "{report}");
    assert_eq!(stderr.matches("cannot store facts").count(), 1, "{stderr}");
    let files = listed(&sandbox);
    assert_eq!(files.len(), 3);
    assert!(files.values().all(|file| file["duration_seconds"].is_null()), "{files:?}");
}

#[test]
fn a_running_daemon_makes_dropped_tables_again() {
    let sandbox = library();
    let root = sandbox.root();
    let _daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    sandbox.sql("DROP TABLE daemon_files; DROP TABLE daemon_tracks");
    assert!(listed(&sandbox)["a.mkv"]["missing_bytes"].is_null());
    sandbox.film("films/c.mkv");
    // The new file's facts come with its row; those of the others with the scan that is requested.
    eventually("the new file is recorded with its facts", || {
        listed(&sandbox).get("c.mkv").filter(|file| file["missing_bytes"] == 0).map(drop)
    });
    let scan = sandbox.scan(&[]);
    assert_eq!(scan["skipped"], 3, "{scan}");
    eventually("the others are read again in the background", || are_known(&sandbox).then_some(()));
}

#[test]
fn what_an_older_prober_has_read_is_read_again_in_the_background() {
    let sandbox = library();
    sandbox.write("films/broken.mkv", "no video");
    settled(&sandbox.path("films/broken.mkv"));
    sandbox.scan(&[]);
    let rows = sandbox.rows();
    let tracks = "SELECT group_concat(id || title || file_id) FROM tracks";
    let before: Option<String> = sandbox.value(tracks);
    let first_seen = "SELECT first_seen FROM daemon_files ORDER BY file_id DESC LIMIT 1";
    let seen: String = sandbox.value(first_seen);
    sandbox.sql("UPDATE daemon_files SET prober = 0, duration_seconds = 1.0");
    assert_eq!(
        listed(&sandbox)["a.mkv"]["duration_seconds"],
        1.0,
        "an older prober's facts are shown until then"
    );
    let output = sandbox.try_scan(&[]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let scan = &report["scans"][0];
    assert_eq!((&scan["skipped"], &scan["outdated"], &scan["scanned"]), (&3.into(), &3.into(), &0.into()));
    assert_eq!(report["read_again"], 3, "{report}");
    assert_eq!(listed(&sandbox)["a.mkv"]["duration_seconds"], 5400.0);
    assert!(sandbox.value::<i64>("SELECT min(prober) FROM daemon_files") > 0);
    assert_eq!((sandbox.rows(), sandbox.value::<Option<String>>(tracks)), (rows, before));
    assert_eq!(sandbox.value::<String>(first_seen), seen);
    assert_eq!(sandbox.scan(&[])["outdated"], 0);

    // A library that VPO 0.1.0 has scanned, and a daemon.
    sandbox.sql("DROP TABLE daemon_files; DROP TABLE daemon_tracks");
    let _daemon = sandbox.serve(["--library".as_ref(), sandbox.root().as_os_str()]);
    eventually("the daemon reads all of it again", || {
        let all = "SELECT count(*) FROM sqlite_master WHERE name = 'daemon_files'";
        (sandbox.value::<i64>(all) == 1).then_some(())?;
        (sandbox.value::<i64>("SELECT count(*) FROM daemon_files WHERE prober > 0") == 3).then_some(())
    });
}

#[test]
fn a_full_scan_reads_every_file_and_changes_no_row() {
    let sandbox = library();
    let rows = sandbox.rows();
    sandbox.sql("UPDATE daemon_files SET duration_seconds = 1.0");
    let preview = sandbox.scan(&["--full", "--dry-run"]);
    assert_eq!((&preview["changed"], &preview["unchanged"]), (&2.into(), &0.into()), "{preview}");
    let scan = sandbox.scan(&["--full"]);
    assert_eq!((&scan["updated"], &scan["skipped"]), (&2.into(), &0.into()), "{scan}");
    assert!(are_known(&sandbox));
    assert_eq!(sandbox.rows(), rows);
    let _daemon = sandbox.serve(["--library".as_ref(), sandbox.root().as_os_str()]);
    sandbox.sql("UPDATE daemon_files SET duration_seconds = 1.0");
    let scan = sandbox.scan(&["--full"]);
    assert_eq!((&scan["updated"], &scan["skipped"]), (&2.into(), &0.into()), "{scan}");
    assert!(are_known(&sandbox));
    assert_eq!(sandbox.rows(), rows);
    let full = "SELECT count(*) FROM jobs WHERE json_extract(policy_json, '$.full')";
    assert_eq!(sandbox.value::<i64>(full), 2);
}

#[test]
fn moved_and_returned_files_keep_when_they_were_first_seen() {
    let sandbox = library();
    sandbox.film("films/new.mkv");
    sandbox.scan(&[]);
    let seen = listed(&sandbox)["new.mkv"]["first_seen"].clone();
    assert!(seen.is_string());
    std::fs::rename(sandbox.path("films/new.mkv"), sandbox.path("films/renamed.mkv")).expect("renamed");
    assert_eq!(sandbox.scan(&[])["moved"], 1);
    assert_eq!(listed(&sandbox)["renamed.mkv"]["first_seen"], seen);
    std::fs::rename(sandbox.path("films/renamed.mkv"), sandbox.path("away.mkv")).expect("moved away");
    assert_eq!(sandbox.scan(&[])["removed"], 1);
    std::fs::rename(sandbox.path("away.mkv"), sandbox.path("films/renamed.mkv")).expect("moved back");
    sandbox.scan(&[]);
    assert_eq!(listed(&sandbox)["renamed.mkv"]["first_seen"], seen);
    assert!(are_known(&sandbox));
    let b = sandbox.write("films/b.mkv", video::matroska("another film", &["eng"]));
    settled(&b);
    assert_eq!(sandbox.scan(&[])["updated"], 1);
    assert!(listed(&sandbox)["b.mkv"]["first_seen"].is_null() && are_known(&sandbox));
}

/// What other programs rely on: the statements of schema 7 and the rows that were there.
fn shared(connection: &Connection) -> BTreeMap<String, Vec<Vec<Sql>>> {
    let rows = |sql: &str| -> Vec<Vec<Sql>> {
        let mut statement = connection.prepare(sql).expect("a query");
        let count = statement.column_count();
        let rows = statement.query_map([], |row| (0..count).map(|at| row.get(at)).collect());
        rows.expect("rows").collect::<Result<_, _>>().expect("rows")
    };
    let schema = rows(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'daemon\\_%' ESCAPE '\\' ORDER BY name",
    );
    let mut found = BTreeMap::from([("schema".to_owned(), schema)]);
    for (table, condition) in [
        ("_meta", "key <> 'daemon_tables'"),
        ("files", "path NOT LIKE '/%'"),
        ("tracks", "file_id IN (SELECT id FROM files WHERE path NOT LIKE '/%')"),
        ("jobs", "policy_json IS NULL OR json_extract(policy_json, '$.by') IS NOT 'vpo-serve'"),
        ("operations", "1"),
        ("policies", "1"),
        ("plugin_acknowledgments", "1"),
        ("transcription_results", "1"),
    ] {
        found.insert(table.to_owned(), rows(&format!("SELECT * FROM {table} WHERE {condition}")));
    }
    found
}

#[test]
fn a_library_of_another_program_gets_the_tables_and_keeps_the_rest() {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/library-v7.db");
    if !real.exists() {
        eprintln!("skipped: {} is not there", real.display());
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write(".vpo/library.db", std::fs::read(real).expect("readable"));
    let before = shared(&sandbox.database());
    assert!(before["files"].len() == 5 && before["jobs"].len() == 1, "{before:?}");
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    assert_eq!(shared(&sandbox.database()), before);
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM daemon_files"), 1);
    assert_eq!(sandbox.value::<String>("SELECT value FROM _meta WHERE key = 'daemon_tables'"), "1");
    // The upgrade of another program.
    sandbox.sql(
        "ALTER TABLE files ADD COLUMN theirs TEXT DEFAULT 'x'; ALTER TABLE tracks ADD COLUMN theirs INTEGER",
    );
    sandbox.film("films/b.mkv");
    assert_eq!(sandbox.scan(&["--full"])["errors"], 0);
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM daemon_files"), 2);
    assert_eq!(listed(&sandbox)["b.mkv"]["duration_seconds"], 5400.0);
}

#[test]
fn every_fact_is_documented() {
    let sandbox = library();
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(top.join("docs").join(name)).expect("readable");
    let (library, api) = (read("library.md"), read("openapi.yaml"));
    let connection = sandbox.database();
    let mut statement = connection
        .prepare(
            "SELECT DISTINCT c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c
             WHERE m.name IN ('daemon_files', 'daemon_tracks')",
        )
        .expect("a query");
    let names = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    let names: Vec<String> = names.collect::<Result<_, _>>().expect("rows");
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(library.contains(&format!("`{name}`")), "{name} is not in docs/library.md");
        let is_key = !["file_id", "prober"].contains(&name.as_str());
        assert!(
            !is_key || api.contains(&format!("        {name}: {{ type: ")),
            "{name} is not in docs/openapi.yaml"
        );
    }
}
