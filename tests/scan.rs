//! What a scan does to the library, and what it never does.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Sandbox, eventually, in_time, settled, video};

const HOUR: &str = "2020-01-01T00:00:00.000000+00:00";

#[test]
fn first_scan_records_files_and_tracks() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/a/b/Film.MKV");
    let scan = sandbox.scan(&[]);
    assert_eq!((scan["total_discovered"].as_u64(), scan["added"].as_u64()), (Some(1), Some(1)));
    let row = sandbox.row("films/a/b/Film.MKV");
    assert_eq!((row.status.as_str(), row.error), ("ok", None));
    assert_eq!(row.size, i64::try_from(fs::metadata(&film).expect("there").len()).expect("small"));
    assert!(row.modified.ends_with("+00:00") && row.modified.len() == HOUR.len(), "{}", row.modified);
    let named: (String, String, String, String) = sandbox
        .database()
        .query_one("SELECT filename, directory, extension, container_format FROM files", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .expect("one row");
    let directory = film.parent().expect("a parent").to_str().expect("UTF-8").to_owned();
    assert_eq!(named, ("Film.MKV".into(), directory, "mkv".into(), "matroska,webm".into()));
    let tracks: String = sandbox.value(
        "SELECT group_concat(track_index || track_type || codec || language, ' ')
         FROM (SELECT * FROM tracks ORDER BY track_index)",
    );
    assert_eq!(tracks, "0videoh264und 1audioaaceng 2audioaacger");
    let hash = row.hash.expect("hashed in the second pass");
    let parts: Vec<_> = hash.split(':').collect();
    assert_eq!((parts[0], parts[1], parts[3]), ("xxh64", parts[2], row.size.to_string().as_str()), "{hash}");
}

#[test]
fn job_tells_what_was_done() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let id = sandbox.scan(&[])["job_id"].as_str().expect("an id").to_owned();
    assert_eq!(id.len(), 36);
    let job = |column: &str| -> String {
        sandbox.value(&format!("SELECT CAST({column} AS TEXT) FROM jobs WHERE id = '{id}'"))
    };
    assert_eq!((job("job_type"), job("status")), ("scan".into(), "completed".into()));
    assert_eq!(job("file_path"), sandbox.root().to_str().expect("UTF-8"));
    assert_eq!(job("progress_percent"), "100.0");
    assert_eq!(job("json_extract(policy_json, '$.by')"), "vpo-serve");
    assert_eq!(job("json_extract(summary_json, '$.added')"), "1");
    assert_eq!(job("json_type(summary_json, '$.root.filesystem')"), "text");
    assert!(job("started_at") <= job("completed_at"));
}

#[test]
fn unchanged_files_are_not_read_again() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.mkv");
    sandbox.scan(&[]);
    let before = sandbox.rows();
    let again = sandbox.scan(&[]);
    assert_eq!((again["scanned"].as_u64(), again["skipped"].as_u64()), (Some(0), Some(2)));
    assert_eq!(sandbox.rows(), before);
}

#[test]
fn times_within_a_millisecond_are_the_same() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    // As a program writes it that rounds to milliseconds, and another that uses Z.
    sandbox.sql("UPDATE files SET modified_at = substr(modified_at, 1, 23) || 'Z'");
    assert_eq!(sandbox.scan(&[])["scanned"], 0);
    sandbox.sql("UPDATE files SET modified_at = '2020-01-01T00:00:00.000000+00:00'");
    assert_eq!(sandbox.scan(&[])["updated"], 1);
}

#[test]
fn changed_file_keeps_its_id_and_gets_new_tracks() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    let before = sandbox.row("films/a.mkv");
    fs::write(&film, video::matroska("another cut", &["jpn"])).expect("written");
    settled(&film);
    assert_eq!(sandbox.scan(&[])["updated"], 1);
    let after = sandbox.row("films/a.mkv");
    assert_eq!(after.id, before.id);
    assert_ne!(after.hash, before.hash);
    let languages: String =
        sandbox.value("SELECT group_concat(language) FROM tracks WHERE track_type = 'audio'");
    assert_eq!(languages, "jpn");
}

#[test]
fn touched_file_keeps_its_tracks_and_what_hangs_on_them() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    sandbox.sql(
        "INSERT INTO transcription_results (track_id, confidence_score, plugin_name, created_at, updated_at)
         SELECT id, 0.9, 'x', '', '' FROM tracks WHERE track_index = 1",
    );
    let two_hours_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    fs::File::options()
        .write(true)
        .open(&film)
        .and_then(|file| file.set_modified(two_hours_ago))
        .expect("touched");
    assert_eq!(sandbox.scan(&[])["updated"], 1);
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM transcription_results"), 1);
}

#[test]
fn file_that_cannot_be_parsed_is_an_error_row_until_it_changes() {
    let sandbox = Sandbox::new();
    let film = sandbox.write("films/a.mkv", "this is no video");
    settled(&film);
    sandbox.film("films/b.mkv");
    let first = sandbox.scan(&[]);
    assert_eq!((first["errors"].as_u64(), first["added"].as_u64()), (Some(1), Some(2)));
    let row = sandbox.row("films/a.mkv");
    assert_eq!(row.status, "error");
    assert!(row.error.as_deref().is_some_and(|error| error.contains("text")), "{row:?}");
    assert_eq!(sandbox.scan(&[])["scanned"], 0);
    sandbox.film("films/a.mkv");
    assert_eq!(sandbox.scan(&[])["updated"], 1);
    let healed = sandbox.row("films/a.mkv");
    assert_eq!((healed.id, healed.status.as_str(), healed.error), (row.id, "ok", None));
}

#[test]
fn moved_and_renamed_files_keep_their_rows() {
    let sandbox = Sandbox::new();
    sandbox.film("films/old/a.mkv");
    sandbox.film("films/keep.mkv");
    sandbox.scan(&[]);
    let before = sandbox.row("films/old/a.mkv");
    let tracks: String = sandbox.value("SELECT group_concat(id) FROM tracks");
    fs::create_dir(sandbox.path("films/new")).expect("a directory");
    fs::rename(sandbox.path("films/old/a.mkv"), sandbox.path("films/new/b.mkv")).expect("moved");
    let scan = sandbox.scan(&[]);
    assert_eq!(
        (scan["moved"].as_u64(), scan["added"].as_u64(), scan["removed"].as_u64()),
        (Some(1), Some(0), Some(0))
    );
    let after = sandbox.row("films/new/b.mkv");
    assert_eq!((after.id, &after.hash, after.status.as_str()), (before.id, &before.hash, "ok"));
    assert_eq!(sandbox.value::<String>("SELECT group_concat(id) FROM tracks"), tracks);
    assert_eq!(sandbox.value::<String>("SELECT filename FROM files WHERE path LIKE '%b.mkv'"), "b.mkv");
    assert_eq!(sandbox.rows().len(), 2);
}

#[test]
fn file_moved_from_one_root_to_another_keeps_its_row() {
    for (from, to) in [("a", "b"), ("b", "a")] {
        let sandbox = Sandbox::new();
        for name in ["a/1.mkv", "a/2.mkv", "b/3.mkv", "b/4.mkv"] {
            sandbox.film(name);
        }
        let film = sandbox.film(&format!("{from}/film.mkv"));
        scan_both(&sandbox);
        let before = sandbox.row(&format!("{from}/film.mkv"));
        fs::rename(film, sandbox.path(format!("{to}/moved.mkv"))).expect("moved");
        assert_eq!(scan_both(&sandbox), ("added 0 moved 1".to_owned(), Some(0)));
        let after = sandbox.row(&format!("{to}/moved.mkv"));
        assert_eq!((after.id, after.status.as_str()), (before.id, "ok"), "{from} to {to}");
        assert_eq!(sandbox.rows().len(), 5);
        assert!(sandbox.rows().iter().all(|row| row.status == "ok"));
    }
}

/// One scan of the roots `a` and `b`, in this order.
fn scan_both(sandbox: &Sandbox) -> (String, Option<i32>) {
    let mut command = sandbox.vpo(["scan", "--json"]);
    for root in ["a", "b"] {
        command.arg("--library").arg(sandbox.path(root));
    }
    let output = command.output().expect("vpo runs");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let sum = |key: &str| -> u64 {
        said["scans"].as_array().expect("scans").iter().filter_map(|scan| scan[key].as_u64()).sum()
    };
    (format!("added {} moved {}", sum("added"), sum("moved")), output.status.code())
}

#[test]
fn copy_in_another_root_takes_no_row_with_it() {
    // The film is there, its root is not, its root is empty, its root is another directory.
    for (scene, hide) in [("there", None), ("away", Some(false)), ("empty", Some(true))] {
        let sandbox = Sandbox::new();
        for name in ["a/1.mkv", "b/2.mkv"] {
            sandbox.film(name);
        }
        scan_both(&sandbox);
        let before = sandbox.row("b/2.mkv");
        fs::copy(sandbox.path("b/2.mkv"), sandbox.path("a/copy.mkv")).expect("copied");
        settled(&sandbox.path("a/copy.mkv"));
        if let Some(is_empty) = hide {
            fs::rename(sandbox.path("b"), sandbox.path("hidden")).expect("moved");
            if is_empty {
                fs::create_dir(sandbox.path("b")).expect("a directory");
            }
        }
        assert_eq!(scan_both(&sandbox).0, "added 1 moved 0", "{scene}");
        assert_eq!(sandbox.row("b/2.mkv"), before);
        assert_ne!(sandbox.row("a/copy.mkv").id, before.id);
    }
}

#[test]
fn copies_take_no_rows_of_a_root_that_shows_another_disk() {
    let sandbox = Sandbox::new();
    sandbox.film("a/0.mkv");
    for number in 0..20 {
        sandbox.film(&format!("b/{number:02}.mkv"));
    }
    scan_both(&sandbox);
    let before = sandbox.rows();
    let copy = |name: &str| {
        let to = sandbox.path(format!("a/copy of {name}"));
        fs::copy(sandbox.path(format!("b/{name}")), &to).expect("copied");
        settled(&to);
    };
    // Whether all were copied or one.
    copy("07.mkv");
    fs::rename(sandbox.path("b"), sandbox.path("away")).expect("moved");
    sandbox.film("b/other.mkv");
    assert_eq!(scan_both(&sandbox), ("added 1 moved 0".to_owned(), Some(1)));
    fs::remove_dir_all(sandbox.path("b")).expect("gone");
    fs::rename(sandbox.path("away"), sandbox.path("b")).expect("back");
    (0..20).filter(|number| *number != 7).for_each(|number| copy(&format!("{number:02}.mkv")));
    fs::rename(sandbox.path("b"), sandbox.path("away")).expect("moved");
    sandbox.film("b/other.mkv");
    assert_eq!(scan_both(&sandbox), ("added 19 moved 0".to_owned(), Some(1)));
    fs::remove_dir_all(sandbox.path("b")).expect("gone");
    fs::rename(sandbox.path("away"), sandbox.path("b")).expect("back");
    assert_eq!(scan_both(&sandbox), ("added 0 moved 0".to_owned(), Some(0)));
    let after = sandbox.rows();
    assert!(before.iter().all(|row| after.contains(row)), "every row is where it was");
}

#[test]
fn file_that_was_missing_is_recognised_elsewhere_later() {
    let sandbox = Sandbox::new();
    for name in ["films/a.mkv", "films/b.mkv", "films/c.mkv"] {
        sandbox.film(name);
    }
    sandbox.scan(&[]);
    let before = sandbox.row("films/a.mkv");
    fs::rename(sandbox.path("films/a.mkv"), sandbox.path("away.mkv")).expect("moved");
    assert_eq!(sandbox.scan(&[])["removed"], 1);
    fs::rename(sandbox.path("away.mkv"), sandbox.path("films/back.mkv")).expect("moved");
    assert_eq!(sandbox.scan(&[])["moved"], 1);
    assert_eq!(sandbox.row("films/back.mkv").id, before.id);
}

#[test]
fn of_two_vanished_twins_none_is_taken_for_the_moved_one() {
    let sandbox = Sandbox::new();
    let same = video::matroska("twins", &["eng"]);
    for name in ["films/a.mkv", "films/b.mkv"] {
        settled(&sandbox.write(name, &same));
    }
    sandbox.film("films/c.mkv");
    sandbox.scan(&[]);
    fs::rename(sandbox.path("films/a.mkv"), sandbox.path("films/x.mkv")).expect("moved");
    fs::remove_file(sandbox.path("films/b.mkv")).expect("gone");
    let scan = sandbox.scan(&[]);
    assert_eq!(
        (scan["moved"].as_u64(), scan["added"].as_u64(), scan["removed"].as_u64()),
        (Some(0), Some(1), Some(2))
    );
}

#[test]
fn one_of_three_deleted_is_simply_missing_and_may_come_back() {
    let sandbox = Sandbox::new();
    for name in ["films/a.mkv", "films/b.mkv", "films/c.mkv"] {
        sandbox.film(name);
    }
    sandbox.scan(&[]);
    let before = sandbox.row("films/b.mkv");
    let tracks: i64 = sandbox.value("SELECT count(*) FROM tracks");
    fs::remove_file(sandbox.path("films/b.mkv")).expect("gone");
    assert_eq!(sandbox.scan(&[])["removed"], 1);
    let missing = sandbox.row("films/b.mkv");
    assert_eq!((missing.id, missing.status.as_str(), &missing.hash), (before.id, "missing", &before.hash));
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM tracks"), tracks, "nothing is deleted");
    assert_eq!(sandbox.scan(&[])["removed"], 0, "missing once is enough");
    sandbox.film("films/b.mkv");
    sandbox.scan(&[]);
    let back = sandbox.row("films/b.mkv");
    assert_eq!((back.id, back.status.as_str()), (before.id, "ok"));
}

#[track_caller]
fn refuses(sandbox: &Sandbox, args: &[&str], why: &str) {
    let before = sandbox.rows();
    let output = sandbox.try_scan(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(why), "{stderr}");
    assert_eq!(sandbox.rows(), before);
    let (status, error): (String, String) = sandbox
        .database()
        .query_one("SELECT status, error_message FROM jobs ORDER BY created_at DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("a job");
    assert!(status == "failed" && error.contains(why), "{status}: {error}");
}

fn many(sandbox: &Sandbox, count: u32) {
    for number in 0..count {
        sandbox.film(&format!("films/{number:03}.mkv"));
    }
}

#[test]
fn emptied_root_changes_nothing_until_it_is_confirmed() {
    let sandbox = Sandbox::new();
    many(&sandbox, 3);
    sandbox.scan(&[]);
    fs::remove_dir_all(sandbox.root()).expect("gone");
    refuses(&sandbox, &[], "error[unreadable]");
    refuses(&sandbox, &["--accept-missing"], "error[unreadable]");
    fs::create_dir(sandbox.root()).expect("a directory");
    sandbox.write("films/.hidden", "");
    refuses(&sandbox, &[], "error[empty]");
    assert_eq!(sandbox.scan(&["--accept-missing"])["removed"], 3);
}

#[test]
fn a_third_of_the_root_gone_at_once_is_no_accident() {
    let sandbox = Sandbox::new();
    many(&sandbox, 30);
    sandbox.scan(&[]);
    for number in 0..10 {
        fs::remove_file(sandbox.path(format!("films/{number:03}.mkv"))).expect("gone");
    }
    refuses(&sandbox, &[], "vpo scan --accept-missing");
    assert_eq!(sandbox.scan(&["--accept-missing"])["removed"], 10);
}

#[test]
fn nine_gone_or_thirty_percent_gone_are_ordinary() {
    let nine = Sandbox::new();
    many(&nine, 10);
    nine.scan(&[]);
    (0..9).for_each(|number| fs::remove_file(nine.path(format!("films/{number:03}.mkv"))).expect("gone"));
    assert_eq!(nine.scan(&[])["removed"], 9);
    let third = Sandbox::new();
    many(&third, 40);
    third.scan(&[]);
    (0..12).for_each(|number| fs::remove_file(third.path(format!("films/{number:03}.mkv"))).expect("gone"));
    assert_eq!(third.scan(&[])["removed"], 12);
}

#[test]
fn whole_library_moved_within_its_root_needs_no_confirmation() {
    let sandbox = Sandbox::new();
    (0..20).for_each(|number| drop(sandbox.film(&format!("films/old/{number:03}.mkv"))));
    sandbox.scan(&[]);
    let before: Vec<_> = sandbox.rows().into_iter().map(|row| row.id).collect();
    fs::rename(sandbox.path("films/old"), sandbox.path("films/new")).expect("moved");
    let scan = sandbox.scan(&[]);
    assert_eq!((scan["moved"].as_u64(), scan["removed"].as_u64()), (Some(20), Some(0)));
    assert_eq!(sandbox.rows().into_iter().map(|row| row.id).collect::<Vec<_>>(), before);
}

#[test]
fn library_too_large_for_one_round_may_move_within_its_root() {
    let sandbox = Sandbox::new();
    (0..4000).for_each(|number| drop(sandbox.film(&format!("films/old/{number:04}.mkv"))));
    sandbox.scan(&[]);
    let before: Vec<_> = sandbox.rows().into_iter().map(|row| row.id).collect();
    // Paths that long that not half of them fit into a round.
    let deep = sandbox.root().join([&*"d".repeat(200); 17].join("/"));
    fs::create_dir_all(&deep).expect("directories");
    fs::rename(sandbox.path("films/old"), deep.join("new")).expect("moved");
    let scan = sandbox.scan(&[]);
    assert_eq!((scan["moved"].as_u64(), scan["removed"].as_u64()), (Some(4000), Some(0)));
    assert_eq!(sandbox.rows().into_iter().map(|row| row.id).collect::<Vec<_>>(), before);
}

#[test]
fn replaced_root_changes_nothing() {
    let sandbox = Sandbox::new();
    many(&sandbox, 12);
    sandbox.scan(&[]);
    fs::rename(sandbox.root(), sandbox.path("elsewhere")).expect("moved");
    sandbox.film("films/other.mkv");
    refuses(&sandbox, &[], "error[mass_missing]");
}

#[test]
fn root_that_was_a_mount_point_or_on_another_file_system_is_offline() {
    for change in [
        "json_set(summary_json, '$.root.mount_point', json('true'))",
        "json_set(summary_json, '$.root.filesystem', 'nfs')",
    ] {
        let sandbox = Sandbox::new();
        many(&sandbox, 3);
        sandbox.scan(&[]);
        sandbox.sql(&format!("UPDATE jobs SET summary_json = {change}"));
        fs::remove_file(sandbox.path("films/000.mkv")).expect("gone");
        refuses(&sandbox, &[], "mount the share");
        assert_eq!(sandbox.scan(&["--accept-missing"])["removed"], 1);
        // From then on it is what it is.
        fs::remove_file(sandbox.path("films/001.mkv")).expect("gone");
        assert_eq!(sandbox.scan(&[])["removed"], 1);
    }
}

#[test]
fn another_container_over_the_same_files_needs_no_confirmation() {
    let sandbox = Sandbox::new();
    many(&sandbox, 3);
    sandbox.scan(&[]);
    sandbox.sql("UPDATE jobs SET summary_json = json_set(summary_json, '$.root.mount_point', json('true'))");
    sandbox.film("films/new.mkv");
    assert_eq!(sandbox.scan(&[])["added"], 1);
}

#[test]
fn hidden_partial_and_linked_files_are_passed_over() {
    let sandbox = Sandbox::new();
    sandbox.film("films/real.mkv");
    sandbox.film("outside/out.mkv");
    for name in
        [".hidden.mkv", ".dir/a.mkv", "a.mkv.part", "b.mkv.!qB", "c.part.mkv", "d.txt", "lost+found/e.mkv"]
    {
        sandbox.film(&format!("films/{name}"));
    }
    symlink(sandbox.path("outside"), sandbox.path("films/link")).expect("a link");
    symlink(sandbox.path("outside/out.mkv"), sandbox.path("films/link.mkv")).expect("a link");
    symlink(sandbox.root(), sandbox.path("films/cycle")).expect("a link");
    symlink(sandbox.path("films/real.mkv"), sandbox.path("films/twin.mkv")).expect("a link");
    let scan = sandbox.scan(&[]);
    assert_eq!((scan["total_discovered"].as_u64(), scan["symlinks"].as_u64()), (Some(1), Some(4)));
}

#[test]
fn names_may_hold_any_bytes() {
    let sandbox = Sandbox::new();
    let content = video::matroska("bytes", &["eng"]);
    fs::create_dir(sandbox.root()).expect("a directory");
    for name in [&b"caf\xE9 100%.mkv"[..], "ünï – файл 100%.mkv".as_bytes(), b"new\nline.mkv"] {
        let path = sandbox.root().join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, &content).expect("any name");
        settled(&path);
    }
    assert_eq!(sandbox.scan(&[])["added"], 3);
    for name in ["films/caf%E9 100%25.mkv", "films/ünï – файл 100%.mkv", "films/new\nline.mkv"] {
        let row = sandbox.row(name);
        assert_eq!(row.status, "ok");
        assert!(row.hash.is_some(), "{name} is found again for its hash");
    }
    assert_eq!(sandbox.scan(&[])["skipped"], 3);
}

#[test]
fn file_below_many_names_that_are_no_utf8_is_hashed_and_not_missing_until_it_is_gone() {
    let sandbox = Sandbox::new();
    sandbox.film("films/keep.mkv");
    let path = sandbox.root().join(std::ffi::OsStr::from_bytes(b"\xE9/\xE9/100%/\xE9/\xE9/\xE9/\xE9.mkv"));
    fs::create_dir_all(path.parent().expect("a parent")).expect("any name");
    fs::write(&path, video::matroska("deep", &["eng"])).expect("any name");
    settled(&path);
    sandbox.scan(&[]);
    let stored = "films/%E9/%E9/100%/%E9/%E9/%E9/%E9.mkv";
    assert!(sandbox.row(stored).hash.is_some(), "it is found again for its hash");
    let mut command = sandbox.vpo(["scan", "--library"]);
    command.arg(sandbox.root()).env("VPO_LIBRARY_EXTENSIONS", "mp4");
    assert!(command.status().expect("vpo runs").success());
    assert_eq!(sandbox.row(stored).status, "ok", "a scan that does not look for it finds it there");
    fs::remove_file(path).expect("gone");
    assert_eq!(sandbox.scan(&[])["removed"], 1);
}

#[test]
fn name_that_only_looks_encoded_is_itself() {
    let sandbox = Sandbox::new();
    sandbox.film("films/keep.mkv");
    let literal = sandbox.film("films/%E9.mkv");
    sandbox.scan(&[]);
    assert!(sandbox.row("films/%E9.mkv").hash.is_some(), "the file of that name is hashed");
    // A row whose file is there is not missing, also when scans look for it no longer.
    let mut command = sandbox.vpo(["scan", "--library"]);
    command.arg(sandbox.root()).env("VPO_LIBRARY_EXTENSIONS", "mp4");
    assert!(command.status().expect("vpo runs").success());
    assert_eq!(sandbox.row("films/%E9.mkv").status, "ok");
    // Beside the one that is no UTF-8 and would be stored so, it is the one that stands in the library.
    let bytes = sandbox.root().join(std::ffi::OsStr::from_bytes(b"\xE9.mkv"));
    fs::write(&bytes, video::matroska("of another size", &["eng"])).expect("any name");
    settled(&bytes);
    let gone = sandbox.film("films/gone.mkv");
    let counts = || {
        let scan = sandbox.scan(&[]);
        ["unreadable", "walk_errors", "updated", "removed"].map(|key| scan[key].as_u64().expect("a number"))
    };
    assert_eq!(counts(), [1, 0, 0, 0]);
    // It is a problem of that file alone.
    fs::remove_file(gone).expect("there");
    assert_eq!(counts(), [1, 0, 0, 1]);
    fs::remove_file(literal).expect("gone");
    assert_eq!(counts(), [0, 0, 1, 0]);
    let row = sandbox.row("films/%E9.mkv");
    assert_eq!(row.size, i64::try_from(fs::metadata(&bytes).expect("there").len()).expect("small"));
    assert!(row.hash.is_some());
    fs::remove_file(bytes).expect("gone");
    assert_eq!(sandbox.scan(&[])["removed"], 1);
}

#[test]
fn only_the_first_few_errors_of_a_walk_are_told_one_by_one() {
    let sandbox = Sandbox::new();
    let parts: Vec<_> = (0..12).map(|number| sandbox.root().join(format!("{number:02}"))).collect();
    for part in &parts {
        fs::create_dir_all(part.join(["d"; 256].join("/"))).expect("directories deeper than a walk goes");
    }
    let parts: Vec<_> = parts.iter().filter_map(|part| part.to_str()).collect();
    for args in [&[][..], &parts] {
        let scan = sandbox.scan(args);
        assert_eq!(scan["walk_errors"], 12, "{scan}");
        assert_eq!(scan["walk_error_examples"].as_array().map(Vec::len), Some(10), "{scan}");
        assert!(!scan.to_string().contains("os error"), "{scan}");
    }
}

#[test]
fn rows_are_compared_in_the_order_of_their_paths() {
    let sandbox = Sandbox::new();
    // A directory's name continues with a slash, which sorts after a space, a hyphen and a full stop.
    let names =
        ["a.mkv", "a/z.mkv", "a b.mkv", "a-b/c.mkv", "a.b/c.mkv", "ab.mkv", "a!/x.mkv", "a0.mkv", "Z/é.mkv"];
    for name in names {
        sandbox.film(&format!("films/{name}"));
    }
    assert_eq!(sandbox.scan(&[])["added"], 9);
    let again = sandbox.scan(&[]);
    assert_eq!(
        (again["skipped"].as_u64(), again["scanned"].as_u64(), again["removed"].as_u64()),
        (Some(9), Some(0), Some(0))
    );
}

#[test]
fn what_other_programs_wrote_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.webp.mkv");
    sandbox.scan(&[]);
    let columns = "path, filename, directory, extension, size_bytes, modified_at, scanned_at, scan_status";
    sandbox.sql(&format!(
        "INSERT INTO files ({columns}) VALUES ('media/x.mkv', 'x.mkv', 'media', 'mkv', 1, '{HOUR}', '{HOUR}', 'ok'),
            ('/elsewhere/y.mkv', 'y.mkv', '/elsewhere', 'mkv', 1, '{HOUR}', '{HOUR}', 'ok');
         INSERT INTO jobs (id, file_path, job_type, status, policy_json, created_at)
            VALUES ('theirs', '{0}', 'scan', 'queued', '{{\"incremental\": true}}', '{HOUR}'),
                   ('bytes', '{0}', 'scan', 'queued', x'ff00', '{HOUR}'),
                   ('words', '{0}', 'scan', 'queued', CAST(x'ff' AS TEXT), '{HOUR}'),
                   ('running', 'media', 'scan', 'running', NULL, '{HOUR}')",
        sandbox.root().display()
    ));
    sandbox.scan(&["--accept-missing"]);
    let theirs: Vec<_> =
        sandbox.rows().into_iter().filter(|row| row.size == 1).map(|row| row.status).collect();
    assert_eq!(theirs, ["ok", "ok"]);
    let jobs: String = sandbox.value("SELECT group_concat(status) FROM (SELECT status FROM jobs WHERE id IN ('theirs', 'running') ORDER BY id)");
    assert_eq!(jobs, "running,queued");
}

#[test]
fn files_of_an_extension_no_longer_wanted_are_not_missing() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.webm");
    sandbox.scan(&[]);
    let mut command = sandbox.vpo(["scan", "--library"]);
    command.arg(sandbox.root()).env("VPO_LIBRARY_EXTENSIONS", "mkv");
    assert!(command.status().expect("vpo runs").success());
    assert_eq!(sandbox.row("films/b.webm").status, "ok");
}

#[test]
fn file_still_being_written_is_left_until_it_is_quiet() {
    let sandbox = Sandbox::new();
    sandbox.film("films/old.mkv");
    let path = sandbox.write("films/new.mkv", video::matroska("new", &["eng"]));
    let start = Instant::now();
    let scan = sandbox.scan(&[]);
    // Somebody waits for `vpo scan`, so it looks again.
    assert!(start.elapsed() > Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!((scan["added"].as_u64(), scan["unsettled"].as_u64()), (Some(2), Some(0)));
    fs::File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_modified(std::time::SystemTime::now() + Duration::from_secs(3600)))
        .expect("an mtime in the future");
    let start = Instant::now();
    assert_eq!(sandbox.scan(&[])["updated"], 1);
    assert!(start.elapsed() < Duration::from_secs(4), "a clock that is wrong holds nothing up");
}

#[test]
fn scan_waits_for_a_library_that_another_program_has_locked() {
    waits_for_the_lock(Duration::from_secs(3));
}

#[test]
#[ignore = "needs 35 s: a lock longer than any busy timeout"]
fn scan_waits_half_a_minute_for_a_locked_library() {
    waits_for_the_lock(Duration::from_secs(30));
}

#[track_caller]
fn waits_for_the_lock(held: Duration) {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    sandbox.film("films/b.mkv");
    let database = sandbox.database();
    database.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let root = sandbox.root();
    let mut scan =
        sandbox.vpo(["scan", "--library"]).arg(root).stdout(Stdio::null()).spawn().expect("vpo runs");
    let start = Instant::now();
    while start.elapsed() < held {
        assert!(scan.try_wait().expect("waitable").is_none(), "it waits");
        std::thread::sleep(Duration::from_millis(50));
    }
    database.execute_batch("COMMIT").expect("released");
    assert!(scan.wait().expect("an end").success());
    assert_eq!(sandbox.row("films/b.mkv").status, "ok");
}

#[test]
fn interrupt_ends_a_scan_in_time_even_while_it_waits() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    sandbox.film("films/b.mkv");
    let database = sandbox.database();
    database.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let interrupt = |signal, code| {
        let root = sandbox.root();
        let mut scan = sandbox.vpo(["scan", "--library"]).arg(root).spawn().expect("vpo runs");
        let pid = rustix::process::Pid::from_child(&scan);
        // It has the lock of the daemon, so it is at work.
        let lock = sandbox.library().with_file_name("library.db.lock");
        eventually("the lock is taken", || {
            fs::read_to_string(&lock).ok().filter(|text| text.starts_with(&format!("{}\n", scan.id())))
        });
        std::thread::sleep(Duration::from_millis(200));
        rustix::process::kill_process(pid, signal).expect("it runs");
        let start = Instant::now();
        assert_eq!(scan.wait().expect("an end").code(), Some(code));
        // The product's own limit is a second for the scan, and a little for the exit.
        let took = start.elapsed();
        if took < Duration::from_millis(1100) { Ok(()) } else { Err(format!("{took:?}")) }
    };
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        in_time(|| interrupt(signal, code));
    }
}

#[test]
fn killed_scans_lose_nothing() {
    kill_scans(600, 10);
}

#[test]
#[ignore = "needs a minute or two: 200 kills of a scan of 20,000 files"]
fn two_hundred_killed_scans_lose_nothing() {
    kill_scans(20_000, 200);
}

/// Libraries that are scanned side by side over the same tree: a scan alone leaves half of two cores idle.
const LIBRARIES: u32 = 2;

/// Each kill falls into what the last one left to be done, until this part of the rows is there: then the library
/// begins anew.
const NEARLY_DONE: f64 = 0.8;

/// Kills scans at moments spread over all that they do; each time the database is sound, and the next scan goes on
/// to the rows of an undisturbed one.
fn kill_scans(files: u32, kills: u32) {
    let tree = Sandbox::new();
    for number in 0..files {
        tree.film(&format!("films/{:02}/{number:05}.mkv", number % 40));
    }
    let start = Instant::now();
    let undisturbed = Killed::new(&tree, files);
    let stored: u32 = std::thread::scope(|scope| {
        let undisturbed = &undisturbed;
        let tree = &tree;
        let of = |library| move || undisturbed.another(tree).kill(library, kills / LIBRARIES);
        let threads: Vec<_> = (0..LIBRARIES).map(|library| scope.spawn(of(library))).collect();
        threads.into_iter().map(|thread| thread.join().expect("sound")).sum()
    });
    println!(
        "{stored} of {kills} within a scan that had stored rows; {:.0} s",
        start.elapsed().as_secs_f64()
    );
    // A short one is over before many have fallen; a busy machine moves them out of the middle.
    // On a busy machine fewer fall within a scan, and a short scan is over before many have.
    assert!(stored >= kills / 4 || files < 1000, "only {stored}");
}

/// A library over a tree that others scan too.
struct Killed {
    sandbox: Sandbox,
    root: PathBuf,
    files: u32,
    /// Seconds that it takes to find nothing to do, to store all rows, and to hash all files.
    looking: f64,
    storing: f64,
    hashing: f64,
    rows: Vec<(String, String, Option<String>)>,
}

impl Killed {
    /// Of an undisturbed scan.
    fn new(tree: &Sandbox, files: u32) -> Self {
        let (sandbox, root) = (Sandbox::new(), tree.root());
        let mut one =
            Self { sandbox, root, files, looking: 0.0, storing: 0.0, hashing: 0.0, rows: Vec::new() };
        fs::create_dir(one.sandbox.root()).expect("an empty directory");
        one.sandbox.scan(&[]);
        fs::copy(one.sandbox.library(), tree.path("empty.db")).expect("a library without rows");
        let output = one.command().arg("--json").stdout(Stdio::piped()).output().expect("vpo runs");
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        one.storing = said["scans"][0]["seconds"].as_f64().expect("seconds");
        one.hashing = said["hash_seconds"].as_f64().expect("seconds");
        let start = Instant::now();
        assert!(one.command().status().expect("vpo runs").success());
        one.looking = start.elapsed().as_secs_f64();
        one.rows = one.facts();
        assert_eq!(one.rows.len(), files as usize);
        one
    }

    /// One that knows what this one has found, and has nothing yet.
    fn another(&self, tree: &Sandbox) -> Self {
        let (looking, storing, hashing) = (self.looking, self.storing, self.hashing);
        let (root, rows) = (tree.root(), self.rows.clone());
        Self { sandbox: Sandbox::new(), root, files: self.files, looking, storing, hashing, rows }
    }

    /// A library without rows. By deleting them it would take as long as the scan.
    fn begin_anew(&self) {
        let _ = fs::remove_dir_all(self.sandbox.path(".vpo"));
        fs::create_dir(self.sandbox.path(".vpo")).expect("a directory");
        fs::copy(self.root.with_file_name("empty.db"), self.sandbox.library()).expect("a library");
    }

    fn command(&self) -> Command {
        let mut command = self.sandbox.vpo(["scan", "--library"]);
        command.arg(&self.root).stdout(Stdio::null());
        command
    }

    fn facts(&self) -> Vec<(String, String, Option<String>)> {
        self.sandbox.rows().into_iter().map(|row| (row.path, row.status, row.hash)).collect()
    }

    /// How many of `kills` fell within a scan that had itself stored something. The last scan is left alone.
    fn kill(&self, library: u32, kills: u32) -> u32 {
        let mut within = 0;
        let mut before = (0, 0);
        // The undisturbed scan may have run on a busier machine.
        let mut pace = 1.0;
        let part = |done: i64| f64::from(u32::try_from(done).expect("few")) / f64::from(self.files);
        self.begin_anew();
        for kill in 0..kills {
            if part(before.0) > NEARLY_DONE {
                self.begin_anew();
                before = (0, 0);
            }
            let left =
                self.looking + self.storing * (1.0 - part(before.0)) + self.hashing * (1.0 - part(before.1));
            // Another moment each time, in no order (the golden ratio); early ones are more, because they cost less.
            let at = (f64::from(LIBRARIES * kill + library) * 0.618_033_988_7).fract().powf(1.5);
            let mut scan = self.command().spawn().expect("vpo runs");
            std::thread::sleep(Duration::from_secs_f64(left * at * pace));
            let was_over = scan.try_wait().expect("waitable").is_some();
            pace = f64::min(pace * if was_over { 0.9 } else { 1.05 }, 1.0);
            scan.kill().expect("ours");
            scan.wait().expect("an end");
            let after = self.check();
            within += u32::from(after != before && !was_over);
            println!(
                "library {library}, kill {kill}: {} rows before, {} after (batch {}), {} hashed{}",
                before.0,
                after.0,
                after.0 / 500,
                after.1,
                if was_over { ", over already" } else { "" }
            );
            before = after;
        }
        assert!(self.command().status().expect("vpo runs").success());
        assert_eq!(self.check(), (i64::from(self.files), i64::from(self.files)));
        assert_eq!(self.facts(), self.rows, "the rows of an undisturbed scan");
        let running: i64 = self.sandbox.value("SELECT count(*) FROM jobs WHERE status = 'running'");
        assert_eq!(running, 0, "what was left running is closed by the next scan");
        within
    }

    /// The database is sound; how many rows it has, and how many of them with a hash.
    fn check(&self) -> (i64, i64) {
        let database = self.sandbox.database();
        let number = |sql: &str| -> i64 { database.query_one(sql, [], |row| row.get(0)).expect("a number") };
        let sound: String =
            database.query_one("PRAGMA integrity_check", [], |row| row.get(0)).expect("a word");
        assert_eq!(sound, "ok");
        assert_eq!(number("SELECT count(*) FROM tracks WHERE file_id NOT IN (SELECT id FROM files)"), 0);
        // Every film has three tracks.
        let torn = number(
            "SELECT count(*) FROM files WHERE scan_status <> 'ok'
                OR (SELECT count(*) FROM tracks WHERE file_id = files.id) <> 3",
        );
        assert_eq!(torn, 0);
        assert_eq!(number("SELECT count(*) - count(DISTINCT path) FROM files"), 0);
        (number("SELECT count(*) FROM files"), number("SELECT count(content_hash) FROM files"))
    }
}

#[test]
fn path_that_a_link_or_a_directory_has_taken_holds_no_file() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c", "dir/d", "keep"] {
        sandbox.film(&format!("films/{name}.mkv"));
    }
    sandbox.scan(&[]);
    let path = |name: &str| sandbox.root().join(name);
    let (moved, below) = (sandbox.row("films/a.mkv").id, sandbox.row("films/dir/d.mkv").id);
    fs::create_dir(path("archive")).expect("a directory");
    fs::rename(path("a.mkv"), path("archive/a.mkv")).expect("moved");
    symlink("archive/a.mkv", path("a.mkv")).expect("a link");
    fs::remove_file(path("b.mkv")).expect("gone");
    symlink("/nonexistent", path("b.mkv")).expect("a link");
    fs::remove_file(path("c.mkv")).expect("gone");
    fs::create_dir(path("c.mkv")).expect("a directory");
    // What is reached only through a link below the root is not there either.
    fs::rename(path("dir"), path("archive/dir")).expect("moved");
    symlink("archive/dir", path("dir")).expect("a link");
    let scan = sandbox.scan(&[]);
    assert_eq!((scan["moved"].as_u64(), scan["removed"].as_u64()), (Some(2), Some(2)), "{scan}");
    assert_eq!(sandbox.row("films/archive/a.mkv").id, moved);
    assert_eq!(sandbox.row("films/archive/dir/d.mkv").id, below);
    for name in ["b", "c"] {
        assert_eq!(sandbox.row(&format!("films/{name}.mkv")).status, "missing");
    }
    assert_eq!(sandbox.scan(&[])["scanned"], 0);
}

#[test]
fn row_of_a_path_that_no_file_can_have_is_no_error_of_the_walk() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.mkv");
    sandbox.scan(&[]);
    let database = sandbox.database();
    let names = ["x".repeat(300), "long/".repeat(1000) + "x"];
    for name in &names {
        let path = sandbox.root().join(format!("{name}.mkv"));
        let query = "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at,
             scanned_at, scan_status) VALUES (?1, 'x', 'y', 'mkv', 1, ?2, ?2, 'ok')";
        database.execute(query, [path.to_str().expect("UTF-8"), HOUR]).expect("a row");
    }
    fs::remove_file(sandbox.path("films/b.mkv")).expect("gone");
    let scan = sandbox.scan(&[]);
    assert_eq!((scan["walk_errors"].as_u64(), scan["removed"].as_u64()), (Some(0), Some(3)), "{scan}");
    let long = sandbox.root().join("x".repeat(300));
    let output = sandbox.try_scan(&[long.to_str().expect("UTF-8")]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("correct the path"), "{stderr}");
}

#[test]
fn link_that_is_asked_for_is_not_followed() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("outside/secret.mkv");
    symlink(sandbox.path("outside"), sandbox.path("films/link")).expect("a link");
    symlink(sandbox.path("outside/secret.mkv"), sandbox.path("films/link.mkv")).expect("a link");
    symlink("..", sandbox.path("films/up")).expect("a link");
    sandbox.scan(&[]);
    for name in ["films/link", "films/link/secret.mkv", "films/link.mkv", "films/up/films", "films/up"] {
        let output = sandbox.try_scan(&[sandbox.path(name).to_str().expect("UTF-8")]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {stderr}");
        assert!(stderr.contains("symbolic link"), "{stderr}");
    }
    assert_eq!(sandbox.rows().len(), 1, "{:#?}", sandbox.rows());
    // A root itself may be a link, and so may what is above it.
    symlink(sandbox.root(), sandbox.path("alias")).expect("a link");
    symlink(sandbox.path(""), sandbox.path("above")).expect("a link");
    for root in ["alias", "above/outside"] {
        let output = sandbox.run(["scan".as_ref(), "--json".as_ref(), sandbox.path(root).as_os_str()]);
        assert!(output.status.success(), "{output:?}");
    }
    for name in ["alias/a.mkv", "above/outside/secret.mkv"] {
        assert_eq!(sandbox.row(name).status, "ok");
    }
}

#[test]
fn what_a_scan_passes_over_is_passed_over_when_it_is_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    for name in [".hidden/b.mkv", "@eaDir/c.mkv", "sub/#recycle/d.mkv", ".e.mkv"] {
        sandbox.film(&format!("films/{name}"));
    }
    for name in [".hidden", "@eaDir/c.mkv", "sub/#recycle", ".e.mkv"] {
        let path = sandbox.root().join(name);
        assert_eq!(sandbox.scan(&[path.to_str().expect("UTF-8")])["total_discovered"], 0, "{name}");
    }
    assert_eq!(sandbox.scan(&[])["total_discovered"], 1);
    assert_eq!(sandbox.rows().len(), 1, "{:#?}", sandbox.rows());
}

#[test]
fn of_directories_that_are_stored_alike_the_one_that_is_called_so_is_recorded() {
    let sandbox = Sandbox::new();
    sandbox.film("films/%E9/b.mkv");
    sandbox.film("films/keep.mkv");
    let bytes = sandbox.root().join(std::ffi::OsStr::from_bytes(b"\xE9"));
    fs::create_dir(&bytes).expect("any name");
    for name in ["a.mkv", "b.mkv"] {
        fs::write(bytes.join(name), video::matroska("of another size", &["eng"])).expect("any name");
        settled(&bytes.join(name));
    }
    let size = i64::try_from(fs::metadata(sandbox.path("films/%E9/b.mkv")).expect("there").len());
    for round in 0..2 {
        let scan = sandbox.scan(&[]);
        assert_eq!(
            (scan["unreadable"].as_u64(), scan["walk_errors"].as_u64(), scan["scanned"].as_u64()),
            (Some(1), Some(0), Some(if round == 0 { 2 } else { 0 })),
            "{scan}"
        );
        assert_eq!(Ok(sandbox.row("films/%E9/b.mkv").size), size, "the one that is called so");
        assert!(sandbox.find_row("films/%E9/a.mkv").is_none(), "of the other nothing is recorded");
    }
    let output = sandbox.try_scan(&[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Not `%E9`, which is the one that is recorded.
    assert!(stderr.contains("cannot record names") && stderr.contains(r"\xE9"), "{stderr}");
    assert!(!stderr.contains("%E9"), "{stderr}");
    // A file and a directory make different paths.
    fs::rename(sandbox.path("films/%E9"), sandbox.path("films/other")).expect("renamed");
    sandbox.film("films/%E9.mkv/c.mkv");
    let file = sandbox.root().join(std::ffi::OsStr::from_bytes(b"\xE9.mkv"));
    fs::write(&file, video::matroska("a file", &["eng"])).expect("any name");
    settled(&file);
    assert_eq!(sandbox.scan(&[])["unreadable"], 0);
    for name in ["%E9/a.mkv", "%E9/b.mkv", "%E9.mkv", "%E9.mkv/c.mkv", "other/b.mkv"] {
        assert_eq!(sandbox.row(&format!("films/{name}")).status, "ok");
    }
}

#[test]
fn part_of_a_root_is_found_behind_a_directory_that_can_only_be_passed_through() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.film("films/private/one/a.mkv");
    sandbox.film("films/private/two.mkv");
    let private = sandbox.path("films/private");
    sandbox.give_away();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o311)).expect("a mode");
    for target in ["one", "two.mkv"] {
        let mut command = sandbox.vpo_as_nobody(["scan", "--json"]);
        command.arg(private.join(target)).env("VPO_LIBRARY_ROOTS", sandbox.root());
        let output = command.output().expect("vpo scan runs");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let scan = &told["scans"][0];
        assert_eq!((scan["added"].as_u64(), scan["walk_errors"].as_u64()), (Some(1), Some(0)), "{output:?}");
    }
    fs::set_permissions(&private, fs::Permissions::from_mode(0o755)).expect("a mode");
}
