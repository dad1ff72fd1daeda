//! Paths that are rejected for a backup, and files that are rejected as a backup.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use rusqlite::Connection;

use super::{done, library, names, refused, said};
use crate::harness::Sandbox;
use crate::harness::database::{INSERT_POLICY, open_without_checkpoint};

#[test]
fn a_backup_replaces_nothing_and_says_so_before_it_reads() {
    let sandbox = Sandbox::new();
    // There is no database: the error concerns the path of the backup.
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
    assert!(said(&output).contains("error[directory-missing]"), "{}", said(&output));
    fs::create_dir_all(&place).expect("made");
    let place = place.to_str().expect("UTF-8");
    refused(&sandbox, &["restore", "--database", place, "text.db"], "library-path");
}

#[test]
fn a_database_beside_the_log_of_other_content_is_not_backed_up() {
    let sandbox = Sandbox::new();
    assert!(sandbox.serve::<&str>([]).stop().success());
    sandbox.database().execute_batch("PRAGMA journal_mode = WAL").expect("converted");
    let older = sandbox.path("older.db");
    fs::copy(sandbox.library(), &older).expect("copied");
    // A program is killed, and then a backup is copied over the file.
    open_without_checkpoint(&sandbox.library()).execute(INSERT_POLICY, ["new"]).expect("written");
    let log = fs::read(sandbox.path(".vpo/library.db-wal")).expect("a log");
    fs::copy(&older, sandbox.library()).expect("copied");
    refused(&sandbox, &["backup", "copy.db"], "database-undecided");
    assert!(!sandbox.path("copy.db").exists());
    assert_eq!(fs::read(sandbox.path(".vpo/library.db-wal")).expect("it stays"), log);
}
