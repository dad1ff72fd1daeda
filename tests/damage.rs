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
fn the_fourth_start_that_cannot_open_a_damaged_database_is_the_last() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.serve::<&str>([]);
    assert!(daemon.stop().success());
    let file = File::options().write(true).open(sandbox.library()).expect("opens");
    // The schema is on the first page, after the header.
    file.write_all_at(&[0x5A; PAGE - 100], 100).expect("written");
    drop(file);
    let start = || {
        let output = sandbox.run(["serve", "--port", "0"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for _ in 0..3 {
        let (code, stderr) = start();
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("error[database-damaged]"), "{stderr}");
    }
    let (code, stderr) = start();
    assert_eq!(code, Some(65), "{stderr}");
    assert!(stderr.contains("error[database-damaged]") && stderr.contains("vpo restore"), "{stderr}");
}

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

/// What another program has committed, and not yet copied into the file, goes with its log.
#[test]
fn a_log_of_another_program_that_is_removed_or_cut_is_reported() {
    for keeps in [None, Some(32)] {
        let sandbox = Sandbox::new();
        sandbox.film("films/one.mkv");
        sandbox.scan(&[]);
        // Without roots it does not write, and so does not bring the log in by itself.
        let mut daemon = sandbox.serve::<&str>([]);
        let log = sandbox.path(".vpo/library.db-wal");
        let other = Connection::open(sandbox.library()).expect("opens");
        other.execute_batch("PRAGMA wal_autocheckpoint = 0").expect("set");
        other
            .execute(
                "INSERT INTO policies (name, definition, created_at, updated_at) VALUES ('p', '', 'then', 'then')",
                [],
            )
            .expect("committed");
        // The daemon has seen it.
        let checks = || {
            let answer = daemon.get("/metrics").body;
            let count = answer
                .lines()
                .find_map(|line| line.strip_prefix("vpo_database_check_duration_seconds_count "));
            count.and_then(|count| count.parse::<u64>().ok()).expect("a count")
        };
        let seen = checks();
        eventually("two checks", || (checks() >= seen + 2).then_some(()));
        assert_eq!(verdict(&daemon.get("/health")), "healthy");
        match keeps {
            None => fs::remove_file(&log).expect("removed"),
            Some(bytes) => {
                File::options().write(true).open(&log).and_then(|log| log.set_len(bytes)).expect("cut");
            }
        }
        eventually("the loss is reported", || {
            let answer = daemon.get("/health");
            (verdict(&answer) == "replaced" && answer.body.contains("its -wal was removed or cut short"))
                .then_some(())
        });
        drop(other);
        assert!(daemon.stop().success());
    }
}

/// As a start does.
#[test]
fn a_running_daemon_rolls_back_the_write_of_a_program_that_died() {
    let sandbox = Sandbox::new();
    sandbox.film("films/one.mkv");
    sandbox.scan(&[]);
    let root = sandbox.root();
    let mut daemon = sandbox.serve([OsStr::new("--root"), root.as_os_str()]);
    daemon.wait_log("scan completed");
    // A copy of a database with an open transaction, as it is left where its program is killed.
    let live = sandbox.path("live.db");
    fs::copy(sandbox.library(), &live).expect("copied");
    let writer = Connection::open(&live).expect("opens");
    writer.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).expect("changed");
    writer
        .execute_batch("PRAGMA cache_size = 2; BEGIN; UPDATE files SET filename = 'half written'; UPDATE _meta SET value = value")
        .expect("begun");
    eventually("pages of the transaction are in the journal", || {
        let journal = fs::metadata(sandbox.path("live.db-journal")).ok()?;
        (journal.len() > 512).then_some(())
    });
    fs::copy(&live, sandbox.path("dead.db")).expect("copied");
    fs::copy(sandbox.path("live.db-journal"), sandbox.path(".vpo/library.db-journal")).expect("copied");
    fs::rename(sandbox.path("dead.db"), sandbox.library()).expect("in its place");
    daemon.wait_log("rolled back the unfinished write of a program that died");
    eventually("/health is healthy", || (daemon.get("/health").status == 200).then_some(()));
    assert!(!sandbox.path(".vpo/library.db-journal").exists());
    sandbox.film("films/two.mkv");
    eventually("the next film is recorded", || {
        let files = daemon.get("/api/v1/files").json();
        files["files"].as_array().is_some_and(|files| files.len() == 2).then_some(())
    });
    assert!(daemon.stop().success());
}
