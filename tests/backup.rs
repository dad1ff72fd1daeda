//! `vpo backup` and `vpo restore`: a backup is whole or not there, and the library is the old or the new one, whole.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

use crate::harness::{Sandbox, eventually};
use crate::mounts::Mount;

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
    let connection = Connection::open(path).expect("opens");
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
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

// ------------------------------------------------------------------------------------------------------------- refusals

#[test]
fn a_backup_replaces_nothing_and_says_so_before_it_reads() {
    let sandbox = Sandbox::new();
    // There is no library: what is said is said of the backup's place.
    sandbox.write("there.db", "mine");
    refused(&sandbox, &["backup", "there.db"], "backup-exists");
    assert_eq!(fs::read(sandbox.path("there.db")).expect("read"), b"mine");
    symlink("nowhere", sandbox.path("link.db")).expect("a link");
    refused(&sandbox, &["backup", "link.db"], "backup-exists");
    fs::create_dir(sandbox.path("directory")).expect("made");
    for (target, phrase) in [
        ("directory", "is a directory"),
        ("directory/", "is a directory"),
        ("new/", "does not name a file"),
        ("nowhere/backup.db", "nowhere does not exist"),
        ("there.db/backup.db", "not a directory"),
        ("", "does not name a file"),
    ] {
        let line = refused(&sandbox, &["backup", "--", target], "backup-path");
        assert!(line.contains(phrase), "{target}: {line}");
    }
    library(&sandbox.library(), 1, 0);
    refused(&sandbox, &["backup", ".vpo/library.db"], "backup-exists");
    for name in ["-wal", "-shm", "-journal", ".lock"] {
        refused(&sandbox, &["backup", &format!(".vpo/library.db{name}")], "backup-path");
    }
    assert_eq!(names(&sandbox.path(".vpo")), BTreeSet::from(["library.db".to_owned()]));
    let output = sandbox.run(["backup"]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
}

#[test]
fn a_directory_that_may_not_be_written_is_named_with_the_fix() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 1, 0);
    done(&sandbox, &["backup", "backup.db"]);
    fs::create_dir(sandbox.path("shut")).expect("made");
    sandbox.give_away();
    fs::set_permissions(sandbox.path("shut"), fs::Permissions::from_mode(0o500)).expect("ours");
    let output = sandbox.vpo_as_nobody(["backup", "shut/backup.db"]).output().expect("vpo runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("error[backup-path]") && said(&output).contains("Fix: "),
        "{}",
        said(&output)
    );
    fs::set_permissions(sandbox.path(".vpo"), fs::Permissions::from_mode(0o500)).expect("ours");
    let output = sandbox.vpo_as_nobody(["restore", "backup.db"]).output().expect("vpo runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("error[library-path]") && said(&output).contains("Fix: "),
        "{}",
        said(&output)
    );
    fs::set_permissions(sandbox.path(".vpo"), fs::Permissions::from_mode(0o700)).expect("ours");
}

/// Makes a row of `files` differ from its index: `quick_check` finds nothing.
fn spoil_index(path: &Path) {
    let sql = |batch: &str| Connection::open(path).expect("opens").execute_batch(batch).expect("changed");
    sql("PRAGMA writable_schema = ON;
         CREATE TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'idx_files_directory';
         DELETE FROM sqlite_schema WHERE name = 'idx_files_directory'");
    sql("UPDATE files SET directory = 'other' WHERE id = 1");
    sql("PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema SELECT * FROM hidden");
    sql("DROP TABLE hidden");
    let connection = Connection::open(path).expect("opens");
    let check = |sql| connection.query_one(sql, [], |row| row.get::<_, String>(0)).expect("checked");
    assert_eq!(check("PRAGMA quick_check"), "ok");
    assert!(check("PRAGMA integrity_check").contains("missing from index"));
}

#[test]
fn a_damaged_library_is_not_backed_up() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 30, 0);
    spoil_index(&sandbox.library());
    let line = refused(&sandbox, &["backup", "backup.db"], "library-damaged");
    assert!(line.contains("missing from index"), "{line}");

    let sandbox = Sandbox::new();
    library(&sandbox.library(), 3000, 0);
    let file = fs::OpenOptions::new().write(true).open(sandbox.library()).expect("opens");
    let length = file.metadata().expect("a length").len();
    file.write_all_at(&vec![0x5a; 8 * 4096], length / 2 / 4096 * 4096).expect("written");
    let before = names(&sandbox.path(""));
    refused(&sandbox, &["backup", "backup.db"], "library-damaged");
    assert_eq!(names(&sandbox.path("")), before, "nothing is left");
    assert_eq!(names(&sandbox.path(".vpo")), BTreeSet::from(["library.db".to_owned()]));
}

#[test]
fn what_is_no_backup_is_refused_and_the_library_stays() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 3, 0);
    let before = (fs::read(sandbox.library()).expect("read"), names(&sandbox.path(".vpo")));
    sandbox.write("text.db", "text ".repeat(1000));
    sandbox.write("short.db", "SQLite format 3\0");
    let made = |name: &str, batch: &str| {
        library(&sandbox.path(name), 30, 0);
        Connection::open(sandbox.path(name)).and_then(|other| other.execute_batch(batch)).expect("changed");
    };
    made("other.db", "DROP TABLE _meta");
    made("version.db", "UPDATE _meta SET value = '8' WHERE key = 'schema_version'");
    made("lacking.db", "DROP TABLE tracks");
    made("view.db", "DROP TABLE _meta; CREATE VIEW _meta AS SELECT 'schema_version' AS key, '7' AS value");
    library(&sandbox.path("spoilt.db"), 30, 0);
    spoil_index(&sandbox.path("spoilt.db"));
    library(&sandbox.path("cut.db"), 300, 0);
    let cut = fs::OpenOptions::new().write(true).open(sandbox.path("cut.db")).expect("opens");
    cut.set_len(cut.metadata().expect("a length").len() / 2).expect("cut");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        sandbox.path("pipe.db"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a pipe");
    fs::create_dir(sandbox.path("directory")).expect("made");
    for (backup, phrase) in [
        ("nothing.db", "does not exist"),
        ("directory", "is a directory"),
        ("pipe.db", "named pipe"),
        ("short.db", "16 bytes"),
        ("text.db", "not a SQLite database"),
        ("other.db", "not a VPO library"),
        ("version.db", "schema version 8"),
        ("lacking.db", "lacks tracks"),
        ("view.db", "not a VPO library"),
        ("spoilt.db", "missing from index"),
        ("cut.db", "damaged"),
        (".vpo/library.db", "the library itself"),
    ] {
        let line = refused(&sandbox, &["restore", backup], "backup-unusable");
        assert!(line.contains(phrase) && line.contains("The library was not changed"), "{backup}: {line}");
    }
    assert_eq!((fs::read(sandbox.library()).expect("read"), names(&sandbox.path(".vpo"))), before);
    let place = sandbox.path("elsewhere/library.db");
    let output = sandbox.run(["restore", "--database", place.to_str().expect("UTF-8"), "text.db"]);
    assert!(said(&output).contains("elsewhere of the library does not exist"), "{}", said(&output));
    fs::create_dir_all(&place).expect("made");
    let place = place.to_str().expect("UTF-8");
    refused(&sandbox, &["restore", "--database", place, "text.db"], "library-path");
}

// -------------------------------------------------------------------------------------------- interruptions, full disks

/// Starts `vpo ARGS` and waits until its draft is in `directory`, or until it has ended.
fn begun(sandbox: &Sandbox, args: &[&str], directory: &Path) -> Child {
    let mut command = sandbox.vpo(args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("vpo starts");
    eventually("a draft", || {
        (drafts(directory) > 0 || child.try_wait().expect("waitable").is_some()).then_some(())
    });
    child
}

/// Runs `vpo ARGS` 30 times and kills it, each time later: from the moment when its draft is there until it takes as long
/// as it does when it is left alone, which the first and the last one are. Gives each time to `examine` what was left.
fn kill_at_any_moment(
    sandbox: &Sandbox,
    args: impl Fn(u32) -> [&'static str; 2],
    directory: &Path,
    mut examine: impl FnMut(u32),
) {
    let mut whole = Duration::ZERO;
    for run in 0..30 {
        let mut child = begun(sandbox, &args(run), directory);
        let begin = Instant::now();
        if run == 0 || run == 29 {
            assert!(child.wait().expect("it ends").success());
            whole = begin.elapsed();
        }
        std::thread::sleep((whole * run / 25).saturating_sub(begin.elapsed()));
        let _ = child.kill();
        child.wait().expect("it ends");
        examine(run);
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("not 0");
    kill_process(pid, signal).expect("it is there");
}

#[test]
fn an_interruption_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 60_000, 600);
    fs::create_dir(sandbox.path("out")).expect("made");
    library(&sandbox.path("backup.db"), 60_000, 601);
    let library = fs::metadata(sandbox.library()).expect("there").ino();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        for (args, place) in [(&["backup", "out/backup.db"][..], "out"), (&["restore", "backup.db"], ".vpo")]
        {
            let child = begun(&sandbox, args, &sandbox.path(place));
            send(&child, signal);
            let output = child.wait_with_output().expect("it ends");
            assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
            assert!(said(&output).contains("interrupted, nothing was changed"), "{}", said(&output));
            assert!(names(&sandbox.path("out")).is_empty());
            assert_eq!(names(&sandbox.path(".vpo")), BTreeSet::from(["library.db".to_owned()]));
            assert_eq!(fs::metadata(sandbox.library()).expect("there").ino(), library);
        }
    }
}

#[test]
fn killed_at_any_moment_a_backup_is_whole_or_not_there() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 4000, 300);
    fs::create_dir(sandbox.path("out")).expect("made");
    let backup = sandbox.path("out/backup.db");
    let (mut made, mut left) = (0, 0);
    kill_at_any_moment(
        &sandbox,
        |_| ["backup", "out/backup.db"],
        &sandbox.path("out"),
        |run| {
            left += drafts(&sandbox.path("out"));
            if backup.exists() {
                assert_eq!(whole(&backup), 4000, "run {run}");
                fs::remove_file(&backup).expect("removed");
                made += 1;
            }
        },
    );
    assert!(left > 0, "it was killed while it worked");
    // The next one removes what they left.
    done(&sandbox, &["backup", "out/backup.db"]);
    assert_eq!(names(&sandbox.path("out")), BTreeSet::from(["backup.db".to_owned()]), "{made} made");
    assert_eq!(whole(&sandbox.library()), 4000);
}

#[test]
fn killed_at_any_moment_a_restore_leaves_the_old_or_the_new_library() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 4000, 300);
    library(&sandbox.path("a.db"), 4000, 300);
    library(&sandbox.path("b.db"), 5000, 300);
    let (mut outcomes, mut left) = (BTreeSet::new(), 0);
    let name = |run| ["restore", if run % 2 == 0 { "b.db" } else { "a.db" }];
    kill_at_any_moment(&sandbox, name, &sandbox.path(".vpo"), |_| {
        let files = whole(&sandbox.library());
        assert!(files == 4000 || files == 5000, "{files}");
        outcomes.insert(files);
        left += drafts(&sandbox.path(".vpo"));
    });
    assert_eq!(outcomes.len(), 2);
    assert!(left > 0, "it was killed while it worked");
    done(&sandbox, &["restore", "a.db"]);
    assert_eq!(drafts(&sandbox.path(".vpo")), 0, "the next one removes what they left");
    assert!(sandbox.serve::<&str>([]).stop().success());
}

#[test]
fn only_drafts_that_are_ours_and_that_no_process_holds_are_removed() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 1, 0);
    let held = sandbox.write("out/.vpo-draft-1-1/draft.db", "").with_file_name("");
    let lock = fs::File::open(&held).expect("opens");
    flock(&lock, FlockOperation::LockShared).expect("held");
    sandbox.write("out/.vpo-draft-1-2/draft.db", "");
    sandbox.write("out/.vpo-draft-1-3/mine.txt", "");
    sandbox.write("out/.vpo-draft-mine/draft.db", "");
    sandbox.write("out/.vpo-draft-1-4", "a file");
    done(&sandbox, &["backup", "out/backup.db"]);
    let left = ["backup.db", ".vpo-draft-1-1", ".vpo-draft-1-3", ".vpo-draft-mine", ".vpo-draft-1-4"];
    assert_eq!(names(&sandbox.path("out")), BTreeSet::from(left.map(str::to_owned)));
    assert!(sandbox.path("out/.vpo-draft-1-3/mine.txt").exists());
}

#[test]
#[ignore = "needs root: a disk of its own to fill"]
fn full_disk_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 4000, 1000);
    let _disk = Mount::tmpfs("1m", sandbox.path("disk"));
    refused(&sandbox, &["backup", "disk/backup.db"], "disk-full");
    assert!(names(&sandbox.path("disk")).is_empty());
    library(&sandbox.path("disk/library.db"), 3, 0);
    let place = sandbox.path("disk/library.db");
    let before = fs::read(&place).expect("read");
    done(&sandbox, &["backup", "backup.db"]);
    refused(&sandbox, &["restore", "--database", place.to_str().expect("UTF-8"), "backup.db"], "disk-full");
    assert_eq!(fs::read(&place).expect("read"), before);
    assert_eq!(names(&sandbox.path("disk")), BTreeSet::from(["library.db".to_owned()]));
    // To another disk, and from one.
    fs::remove_file(&place).expect("removed");
    let small = Sandbox::new();
    library(&small.library(), 3, 0);
    let there = sandbox.path("disk/backup.db");
    let there = there.to_str().expect("UTF-8");
    done(&small, &["backup", there]);
    assert_eq!(done(&small, &["restore", there])["files"], 3);
    fs::File::options()
        .append(true)
        .open(there)
        .and_then(|mut file| file.write_all(b""))
        .expect("it is closed");
}

#[test]
#[ignore = "needs root: another user's files"]
fn root_gives_the_restored_library_to_its_owner() {
    assert!(geteuid().is_root());
    let sandbox = Sandbox::new();
    library(&sandbox.library(), 3, 0);
    done(&sandbox, &["backup", "backup.db"]);
    let access = |path: &Path| {
        let found = fs::metadata(path).expect("there");
        (found.uid(), found.gid(), found.mode() & 0o777)
    };
    fs::set_permissions(sandbox.library(), fs::Permissions::from_mode(0o640)).expect("ours");
    chown(sandbox.library(), Some(65534), Some(65533)).expect("root may");
    chown(sandbox.path(".vpo"), Some(65534), Some(65532)).expect("root may");
    done(&sandbox, &["restore", "backup.db"]);
    assert_eq!(access(&sandbox.library()), (65534, 65533, 0o640));
    // Where there is none, to that of the directory; and there is no lock file of root's.
    fs::remove_file(sandbox.library()).expect("removed");
    done(&sandbox, &["restore", "backup.db"]);
    assert_eq!(access(&sandbox.library()), (65534, 65532, 0o644));
    assert!(!sandbox.lock().exists());
    // Another user cannot: the library would be theirs, and the daemon's user could not write it.
    chown(sandbox.library(), Some(0), Some(0)).expect("root may");
    fs::set_permissions(sandbox.library(), fs::Permissions::from_mode(0o666)).expect("ours");
    fs::set_permissions(sandbox.path("backup.db"), fs::Permissions::from_mode(0o644)).expect("ours");
    let output = sandbox.vpo_as_nobody(["restore", "backup.db"]).output().expect("vpo runs");
    assert!(
        said(&output).contains("it belongs to uid 0") && said(&output).contains("as root"),
        "{}",
        said(&output)
    );
    assert_eq!(access(&sandbox.library()), (0, 0, 0o666));
    assert_eq!(drafts(&sandbox.path(".vpo")), 0);
}

#[test]
fn both_run_as_other_commands_do() {
    let sandbox = Sandbox::new();
    let output = Command::new(env!("CARGO_BIN_EXE_vpo")).args(["restore"]).output().expect("vpo runs");
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    sandbox.write(".vpo/config.toml", "[database]\npath = 7\n");
    for command in ["backup", "restore"] {
        assert_eq!(sandbox.run([command, "x.db"]).status.code(), Some(78));
    }
}
