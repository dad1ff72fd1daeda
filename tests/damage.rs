//! Damage that the check does not read itself: `integrity_check` finds it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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

#[test]
fn integrity_check_ends_beside_a_program_that_writes_all_the_time() {
    let sandbox = Sandbox::new();
    sandbox.film("films/one.mkv");
    let root = sandbox.root();
    let daemon = sandbox.serve([OsStr::new("--root"), root.as_os_str()]);
    daemon.wait_log("scan completed");
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
        INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at)
        SELECT '/elsewhere/' || hex(randomblob(16)), i, '/elsewhere', 'mkv', i, 'then', 'then' FROM n";
    let write = |sql: &str| {
        let other = Connection::open(sandbox.library()).expect("opens");
        other.busy_timeout(Duration::from_secs(10)).expect("set");
        other.execute_batch(sql).expect("written");
        // The last one to close checkpoints.
        other.close().expect("closed");
    };
    write(fill);
    // Adopted content is written to only after the check has passed.
    let copy = sandbox.path("copy.db");
    let source = Connection::open(sandbox.library()).expect("opens");
    source.execute("VACUUM INTO ?1", [copy.to_str()]).expect("copied");
    source.close().expect("closed");
    // In another mode a long reader keeps writers out.
    let wal = Connection::open(&copy).expect("opens");
    wal.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("converted");
    wal.close().expect("closed");
    fs::rename(&copy, sandbox.library()).expect("renamed");
    daemon.wait_log("library adopted");
    sandbox.film("films/two.mkv");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                write("UPDATE files SET modified_at = random() WHERE filename = '1'");
                // Shorter than the check takes.
                std::thread::sleep(Duration::from_millis(600));
            }
        });
        let ended = catch_unwind(AssertUnwindSafe(|| daemon.wait_log(" found=2 new=1 ")));
        is_over.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

#[test]
fn damage_of_content_that_was_replaced_between_two_starts_is_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.film("films/one.mkv");
    let root = sandbox.root();
    let serve = || sandbox.serve([OsStr::new("--root"), root.as_os_str()]);
    assert!(serve().stop().success());
    let noted = fs::read_to_string(sandbox.lock()).expect("readable");
    fs::write(sandbox.lock(), format!("{noted}fault 1 corrupt 1:2:3:4.5:6.7 row 1 missing\n"))
        .expect("written");
    let daemon = serve();
    daemon.wait_log("scan completed");
    sandbox.scan(&[]);
    assert!(!fs::read_to_string(sandbox.lock()).expect("readable").contains("fault "));
}
