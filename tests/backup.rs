//! `vpo backup` and `vpo restore`: a backup is whole or not there, and the library is the old or the new one, whole.

mod interruptions;
mod refusals;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::harness::database::open_without_checkpoint;
use crate::harness::{Sandbox, eventually};

/// What the directory of a library holds, by name.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("readable");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs `vpo ARGS --json`, which must succeed.
#[track_caller]
fn done(sandbox: &Sandbox, args: &[&str]) -> Value {
    let output = sandbox.vpo(args).arg("--json").output().expect("vpo runs");
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Runs `vpo ARGS`, which must fail with that code and one line.
#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], code: &str) -> String {
    let output = sandbox.run(args);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(output.stdout.is_empty());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with(&format!("vpo: error[{code}]: ")), "{args:?}: {said}");
    said
}

/// A library at `path` that knows `files` files, each with `weight` bytes in its row, in WAL mode.
fn library(path: &Path, files: u32, weight: u32) {
    fs::create_dir_all(path.parent().expect("has one")).expect("made");
    let connection = Connection::open(path).expect("made");
    connection.execute_batch(vpo::library::schema::SQL).expect("valid");
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("WAL");
    add(&connection, files, weight);
    connection.close().expect("closed");
}

fn add(connection: &Connection, files: u32, weight: u32) {
    connection
        .execute_batch(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {files})
             INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at)
             SELECT hex(randomblob(16)) || hex(zeroblob({weight} / 2)), 'f', 'd', 'mkv', 1, 't', 't' FROM n"
        ))
        .expect("written");
}

/// How many files a database knows, once all of it has been checked.
#[track_caller]
fn whole(path: &Path) -> i64 {
    let connection = Connection::open(path).expect("opens");
    let verdict: String =
        connection.query_one("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(verdict, "ok", "{}", path.display());
    connection.query_one("SELECT count(*) FROM files", [], |row| row.get(0)).expect("a count")
}

/// Leaves the last `files` files in a `-wal` beside the library, as a program that was killed does.
fn leave_log(path: &Path, files: u32) {
    let connection = open_without_checkpoint(path);
    add(&connection, files, 0);
    connection.close().expect("closed");
    assert!(with(path, "-wal").metadata().expect("a log").len() > 0);
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn kept(sandbox: &Sandbox) -> Vec<PathBuf> {
    let directory = sandbox.path(".vpo");
    let all = names(&directory).into_iter().filter(|name| name.contains(".before-restore-"));
    all.map(|name| directory.join(name)).collect()
}

fn drafts(directory: &Path) -> usize {
    names(directory).iter().filter(|name| name.starts_with(".vpo-draft-")).count()
}

/// Starts `vpo ARGS` and waits until its draft is in `directory`, or until it has ended.
fn begun(sandbox: &Sandbox, args: &[&str], directory: &Path) -> Child {
    let mut command = sandbox.vpo(args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("vpo starts");
    eventually("a draft", || {
        (drafts(directory) > 0 || child.try_wait().expect("waitable").is_some()).then_some(())
    });
    child
}

// ------------------------------------------------------------------------------------------------------- there and back

#[test]
fn a_backup_is_one_checked_file_and_leaves_no_trace_beside_the_library() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 30, 0);
    fs::set_permissions(sandbox.library(), fs::Permissions::from_mode(0o640)).expect("ours");
    let before = (names(&sandbox.path(".vpo")), fs::read(sandbox.library()).expect("read"));
    fs::create_dir(sandbox.path("out")).expect("made");
    let output = sandbox.run(["backup", "out/backup.db"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", said(&output));
    let backup = sandbox.path("out/backup.db");
    assert!(text.starts_with(&format!("{}: 30 files, ", backup.display())), "{text}");
    assert!(text.contains(" kB, checked (") && text.lines().count() == 1, "{text}");
    assert_eq!((names(&sandbox.path(".vpo")), fs::read(sandbox.library()).expect("read")), before);
    assert_eq!(names(&sandbox.path("out")), BTreeSet::from(["backup.db".to_owned()]));
    assert_eq!(fs::metadata(&backup).expect("there").mode() & 0o777, 0o640, "no wider than the library");
    assert_eq!(whole(&backup), 30);
    let json = done(&sandbox, &["backup", "out/second.db"]);
    assert_eq!((&json["files"], &json["path"]), (&30.into(), &sandbox.path("out/second.db").to_str().into()));
    assert_eq!(json["bytes"], fs::metadata(sandbox.path("out/second.db")).expect("there").len());
}

#[test]
fn a_backup_restored_where_nothing_was_is_a_library_that_a_daemon_takes() {
    let sandbox = Sandbox::new();
    sandbox.film("films/one.mkv");
    sandbox.scan(&[]);
    done(&sandbox, &["backup", "backup.db"]);
    let bytes = fs::read(sandbox.path("backup.db")).expect("read");
    fs::remove_dir_all(sandbox.path(".vpo")).expect("removed");
    let json = done(&sandbox, &["restore", "backup.db"]);
    assert_eq!((&json["files"], &json["kept"]), (&1.into(), &Value::Null));
    assert_eq!(names(&sandbox.path(".vpo")), BTreeSet::from(["library.db".to_owned()]));
    assert_eq!(fs::read(sandbox.library()).expect("read"), bytes, "byte for byte");
    let mut daemon = sandbox.serve::<&str>([]);
    assert!(daemon.stop().success());
    assert_eq!(sandbox.rows().len(), 1);
}

#[test]
fn the_library_from_before_is_kept_and_can_be_restored_itself() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 3, 0);
    done(&sandbox, &["backup", "backup.db"]);
    add(&sandbox.database(), 4, 0);
    let output = sandbox.run(["restore", "backup.db"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", said(&output));
    let [kept] = &kept(&sandbox)[..] else { panic!("{:?}", names(&sandbox.path(".vpo"))) };
    assert!(text.contains(&format!("rm '{}'", kept.display())), "{text}");
    assert_eq!((whole(&sandbox.library()), whole(kept)), (3, 7));
    done(&sandbox, &["restore", kept.to_str().expect("UTF-8")]);
    assert_eq!(whole(&sandbox.library()), 7);
}

#[test]
fn a_program_that_writes_meanwhile_is_in_the_backup_and_nothing_of_ours_stays_beside_the_library() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 30_000, 600);
    // It was late where the library had been read already: once more.
    eventually("a write while the library is read", || {
        let known = whole(&sandbox.library());
        let child = begun(&sandbox, &["backup", "backup.db"], &sandbox.path(""));
        let other = sandbox.database();
        add(&other, 1, 0);
        other.close().expect("closed");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(names(&sandbox.path(".vpo")), BTreeSet::from(["library.db".to_owned()]));
        let files = whole(&sandbox.path("backup.db"));
        fs::remove_file(sandbox.path("backup.db")).expect("removed");
        (files == known + 1).then_some(())
    });
}

// ------------------------------------------------------------------------------------------------------ beside a daemon

#[test]
fn backups_beside_a_daemon_that_scans_are_whole_and_disturb_nothing() {
    let sandbox = Sandbox::new();
    for number in 0..400 {
        sandbox.film(&format!("films/{number}.mkv"));
    }
    let mut daemon = sandbox.serve(["--library".as_ref(), sandbox.root().as_os_str()]);
    let mut counts = Vec::new();
    eventually("the scan is over", || {
        let name = format!("backup-{}.db", counts.len());
        let json = done(&sandbox, &["backup", &name]);
        let count = whole(&sandbox.path(&name));
        assert_eq!(json["files"], count);
        daemon.assert_probe_in_time();
        counts.push(count);
        (count == 400).then_some(())
    });
    assert!(counts.is_sorted(), "{counts:?}");
    assert_eq!(drafts(&sandbox.path("")), 0);
    assert!(daemon.stop().success());
    assert!(!daemon.log().contains("error "), "{}", daemon.log());
    assert_eq!(whole(&sandbox.library()), 400);
    let beside = BTreeSet::from(["library.db".to_owned(), "library.db.lock".to_owned()]);
    assert_eq!(names(&sandbox.path(".vpo")), beside);
}

#[test]
fn a_daemon_whose_library_was_deleted_takes_the_restored_one_and_scans_it() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/one.mkv");
    let mut daemon = sandbox.serve(["--library".as_ref(), sandbox.root().as_os_str()]);
    eventually("the film is known", || sandbox.find_row("films/one.mkv").map(|_| ()));
    done(&sandbox, &["backup", "backup.db"]);
    sandbox.film("films/two.mkv");
    let stamp =
        |path: &Path| fs::metadata(path).map(|found| (found.ino(), found.mtime(), found.ctime_nsec()));
    let before = stamp(&film).expect("there");
    eventually("the second film is known", || sandbox.find_row("films/two.mkv").map(|_| ()));
    fs::remove_file(sandbox.library()).expect("removed");
    let reason = || {
        let body = daemon.get("/health").json();
        let checks = body["checks"].as_array().expect("a list").clone();
        let check = checks.into_iter().find(|check| check["name"] == "database").expect("a check");
        (body["status"] == "healthy", check["reason"].as_str().map(str::to_owned))
    };
    eventually("missing", || (reason() == (false, Some("missing".into()))).then_some(()));
    let json = done(&sandbox, &["restore", "backup.db"]);
    assert_eq!((&json["files"], &json["kept"]), (&1.into(), &Value::Null));
    eventually("replaced", || (reason() == (true, Some("replaced".into()))).then_some(()));
    eventually("both films are known again", || sandbox.find_row("films/two.mkv").map(|_| ()));
    assert_eq!(stamp(&film).expect("there"), before, "videos are only read");
    // Once more, over the library that is in use now.
    done(&sandbox, &["restore", "backup.db"]);
    eventually("both films are known again", || sandbox.find_row("films/two.mkv").map(|_| ()));
    assert_eq!(kept(&sandbox).len(), 1);
    assert!(daemon.stop().success());
    assert_eq!(whole(&sandbox.library()), 2);
}

// ----------------------------------------------------------------------------------------------------- lost, and in use

#[test]
fn a_lost_library_is_restored_and_its_log_is_not_mixed_into_the_backup() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 3, 0);
    done(&sandbox, &["backup", "backup.db"]);
    leave_log(&sandbox.library(), 5);
    sandbox.write(".vpo/library.db.lock", "");
    fs::remove_file(sandbox.library()).expect("removed");
    assert_eq!(sandbox.run(["serve", "--port", "0"]).status.code(), Some(1), "it is lost");
    let json = done(&sandbox, &["restore", "backup.db"]);
    let aside = json["set_aside"][0].as_str().expect("a log");
    assert!(Path::new(aside).is_file() && aside.contains("library.db-wal.aside-"), "{aside}");
    assert!(!with(&sandbox.library(), "-wal").exists() && !with(&sandbox.library(), "-shm").exists());
    assert_eq!(whole(&sandbox.library()), 3);
    assert!(sandbox.serve::<&str>([]).stop().success());
}

#[test]
fn a_log_beside_the_library_goes_with_the_library_from_before() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 3, 0);
    done(&sandbox, &["backup", "backup.db"]);
    leave_log(&sandbox.library(), 5);
    // As a killed daemon leaves it; the backup of it has all of it, and does not change it.
    let before = fs::read(sandbox.library()).expect("read");
    assert_eq!(done(&sandbox, &["backup", "with-log.db"])["files"], 8);
    assert_eq!(fs::read(sandbox.library()).expect("read"), before);
    let json = done(&sandbox, &["restore", "backup.db"]);
    let kept = Path::new(json["kept"].as_str().expect("kept"));
    assert_eq!(fs::read(kept).expect("read"), before);
    assert!(!with(&sandbox.library(), "-wal").exists() && !with(&sandbox.library(), "-shm").exists());
    assert_eq!(whole(&sandbox.library()), 3);
    assert_eq!(whole(kept), 8, "with its log");
}

#[test]
fn a_library_that_another_program_has_open_is_not_replaced() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 3, 0);
    done(&sandbox, &["backup", "backup.db"]);
    let other = sandbox.database();
    add(&other, 1, 0);
    let inode = fs::metadata(sandbox.library()).expect("there").ino();
    let line = refused(&sandbox, &["restore", "backup.db"], "library-in-use");
    assert!(line.contains(&format!("pid {} has it open", std::process::id())), "{line}");
    assert_eq!(fs::metadata(sandbox.library()).expect("there").ino(), inode);
    assert!(kept(&sandbox).is_empty() && drafts(&sandbox.path(".vpo")) == 0);
    other.close().expect("closed");
    done(&sandbox, &["restore", "backup.db"]);
    assert_eq!(whole(&sandbox.library()), 3);
}

#[test]
fn a_refused_restore_is_no_copy_to_the_daemon() {
    let sandbox = Sandbox::new();
    sandbox.film("films/one.mkv");
    let mut daemon = sandbox.serve(["--root".as_ref(), sandbox.root().as_os_str()]);
    eventually("the film is hashed", || {
        let row = sandbox.database().query_row("SELECT content_hash FROM files", [], |row| row.get(0));
        row.ok().and_then(|hash: Option<String>| hash)
    });
    done(&sandbox, &["backup", "backup.db"]);
    let other = sandbox.database();
    other.query_row("SELECT count(*) FROM files", [], |_| Ok(())).expect("read");
    refused(&sandbox, &["restore", "backup.db"], "library-in-use");
    // A save beside that program.
    sandbox.film("films/two.mkv");
    eventually("the second film is known", || sandbox.find_row("films/two.mkv").map(|_| ()));
    drop(other);
    assert_eq!(daemon.get("/health").json()["status"], "healthy");
    assert!(daemon.stop().success());
    assert!(!daemon.log().contains("copy_collided"), "{}", daemon.log());
}

#[test]
fn what_is_no_library_any_more_is_replaced_and_kept_too() {
    for garbage in ["", "garbage ".repeat(1000).as_str()] {
        let sandbox = Sandbox::new();
        library(&sandbox.library(), 3, 0);
        done(&sandbox, &["backup", "backup.db"]);
        fs::write(sandbox.library(), garbage).expect("written");
        done(&sandbox, &["restore", "backup.db"]);
        assert_eq!(whole(&sandbox.library()), 3);
        assert_eq!(fs::read(&kept(&sandbox)[0]).expect("read"), garbage.as_bytes());
    }
}

#[test]
fn a_second_name_of_the_library_that_a_killed_restore_left_is_removed() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 3, 0);
    done(&sandbox, &["backup", "backup.db"]);
    fs::hard_link(sandbox.library(), sandbox.path(".vpo/library.db.before-restore-1")).expect("linked");
    fs::copy(sandbox.library(), sandbox.path(".vpo/library.db.before-restore-2")).expect("copied");
    done(&sandbox, &["restore", "backup.db"]);
    let [first, second] = &kept(&sandbox)[..] else { panic!("{:?}", kept(&sandbox)) };
    assert!(
        first.ends_with("library.db.before-restore-2") || second.ends_with("library.db.before-restore-2")
    );
    assert!(kept(&sandbox).iter().all(|kept| fs::metadata(kept).expect("there").nlink() == 1));
}

#[test]
fn a_link_to_the_library_stays_and_its_target_is_replaced() {
    let sandbox = Sandbox::new();
    library(&sandbox.path("disk/real.db"), 3, 0);
    fs::create_dir(sandbox.path(".vpo")).expect("made");
    symlink(sandbox.path("disk/real.db"), sandbox.library()).expect("a link");
    done(&sandbox, &["backup", "backup.db"]);
    add(&sandbox.database(), 1, 0);
    done(&sandbox, &["restore", "backup.db"]);
    assert!(fs::symlink_metadata(sandbox.library()).expect("there").is_symlink());
    assert_eq!(whole(&sandbox.path("disk/real.db")), 3);
}

// ------------------------------------------------------------------------------------------- backups made in other ways

#[test]
fn a_copy_with_its_log_is_restored_with_what_is_in_the_log() {
    let sandbox = Sandbox::new();
    let copy = sandbox.path("copy/library.db");
    library(&copy, 3, 0);
    leave_log(&copy, 5);
    fs::remove_file(with(&copy, "-shm")).expect("removed");
    let before = (fs::read(&copy).expect("read"), fs::read(with(&copy, "-wal")).expect("read"));
    assert_eq!(done(&sandbox, &["restore", "copy/library.db"])["files"], 8);
    assert_eq!(whole(&sandbox.library()), 8);
    assert_eq!((fs::read(&copy).expect("read"), fs::read(with(&copy, "-wal")).expect("read")), before);
    let left = ["library.db", "library.db-wal"].map(str::to_owned);
    assert_eq!(names(&sandbox.path("copy")), BTreeSet::from(left));
}

#[test]
fn a_copy_with_a_hot_journal_is_restored_without_the_unfinished_write() {
    let sandbox = Sandbox::new();
    let (live, copy) = (sandbox.path("live.db"), sandbox.path("copy.db"));
    library(&live, 50, 2000);
    let writer = Connection::open(&live).expect("opens");
    writer.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).expect("changed");
    // With so small a cache the pages of the open transaction are written to the file.
    writer
        .execute_batch("PRAGMA cache_size = 2; BEGIN; UPDATE files SET filename = 'half written'")
        .expect("begun");
    fs::copy(&live, &copy).expect("copied");
    fs::copy(with(&live, "-journal"), with(&copy, "-journal")).expect("copied");
    done(&sandbox, &["restore", "copy.db"]);
    assert_eq!(whole(&sandbox.library()), 50);
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM files WHERE filename = 'f'"), 50);
}
