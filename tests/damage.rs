//! Damage that the check does not read itself: `integrity_check` finds it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use rusqlite::Connection;

use crate::harness::{Sandbox, eventually};
use crate::model::verdict;

const PAGE: usize = 4096;

#[test]
fn damaged_pages_fail_the_check_until_a_sound_database_is_there() {
    let sandbox = Sandbox::new();
    sandbox.film("films/one.mkv");
    let root = sandbox.root();
    let daemon = sandbox.serve([OsStr::new("--library"), root.as_os_str()]);
    daemon.wait_log("scan completed");
    let other = Connection::open(sandbox.library()).expect("opens");
    other
        .execute_batch(
            "INSERT INTO policies (name, definition, created_at, updated_at)
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                SELECT 'p' || i, hex(randomblob(1000)), 'then', 'then' FROM n",
        )
        .expect("written");
    eventually("the rows are in the main file", || {
        let busy = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        (busy == Ok(0)).then_some(())
    });
    drop(other);
    let backup = sandbox.path("backup.db");
    fs::copy(sandbox.library(), &backup).expect("copied");

    // Of the upper three quarters every fifth page.
    let file = File::options().write(true).open(sandbox.library()).expect("opens");
    let pages = file.metadata().expect("there").len() / PAGE as u64;
    for page in (pages / 4..pages).step_by(5) {
        file.write_all_at(&[0x5A; PAGE], page * PAGE as u64).expect("written");
    }
    drop(file);
    let health = || verdict(&daemon.get("/health"));
    eventually("the damage is reported", || (health() == "fail:corrupt").then_some(()));

    // Nothing is queued in it, and nothing is waited for.
    let output = sandbox.try_scan(&[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error[database-damaged]") && stderr.contains("vpo restore"), "{stderr}");
    assert!(!stderr.contains("scan-not-started"), "{stderr}");

    fs::rename(&backup, sandbox.library()).expect("renamed");
    eventually("the sound database is adopted", || (health() == "replaced").then_some(()));
}
