//! `vpo scan` as people call it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::harness::{Sandbox, eventually, freeze};

#[test]
fn summary_is_one_line_a_root_and_no_bar_is_drawn_into_a_pipe() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let mut command = sandbox.vpo(["scan"]);
    let output = command.arg(sandbox.root()).output().expect("vpo runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.starts_with(&format!("{}: 1 video, 1 new (", sandbox.root().display())), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn nothing_to_scan_is_a_usage_error() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(["scan"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("scan.roots"));
    assert!(!sandbox.library().exists());
}

#[test]
fn path_that_is_not_there_is_said() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(["scan", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let nowhere = sandbox.path("nowhere");
    let expected =
        format!("error[unknown_path]: cannot scan {}: it does not exist; correct", nowhere.display());
    assert!(stderr.contains(&expected) && !stderr.contains("scan.roots"), "{stderr}");
    assert!(!sandbox.library().exists());
    assert!(Command::new("mkfifo").arg(nowhere).status().expect("mkfifo runs").success());
    let output = sandbox.run(["scan", "nowhere"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("neither a directory nor a regular file"), "{stderr}");
}

#[test]
fn failed_scan_does_not_report_that_nothing_is_new() {
    let sandbox = Sandbox::new();
    for number in 0..20 {
        sandbox.film(&format!("films/{number}.mkv"));
    }
    assert!(sandbox.run(["scan", "films"]).status.success());
    for number in 0..15 {
        fs::remove_file(sandbox.path(format!("films/{number}.mkv"))).expect("ours");
    }
    let output = sandbox.run(["scan", "films"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout.contains("5 videos") && !stdout.contains("nothing new"), "{stdout}");
}

#[test]
fn mistyped_path_below_a_root_is_said() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let scan = |name: &str| {
        let mut command = sandbox.vpo(["scan", "--library"]);
        command.arg(sandbox.root()).arg(sandbox.path(name)).output().expect("vpo runs")
    };
    assert!(scan("films/a.mkv").status.success());
    let output = scan("films/typo.mkv");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("typo.mkv"), "{output:?}");
    fs::rename(sandbox.path("films/a.mkv"), sandbox.path("films/b.txt")).expect("gone");
    assert!(scan("films/a.mkv").status.success(), "a file of the library that is gone is no mistake");
    assert_eq!(sandbox.row("films/a.mkv").status, "missing");
}

#[test]
fn dots_in_a_path_store_no_file_twice() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a/1.mkv");
    let run = |path: &str| {
        let mut command = sandbox.vpo(["scan", path, "--library"]);
        command.arg(sandbox.root()).current_dir(sandbox.path("films/a")).output().expect("vpo runs")
    };
    for path in [".", "..", "../a", "./../a/"] {
        assert!(run(path).status.success(), "{path}");
        assert_eq!(sandbox.rows().len(), 1, "{path}");
    }
    for path in ["../a/..".to_owned(), format!("{}/a/../a", sandbox.root().display())] {
        let output = run(&path);
        assert_eq!(output.status.code(), Some(64), "{path}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(".."), "{output:?}");
    }
    assert_eq!(sandbox.rows().len(), 1);
}

#[test]
fn part_of_a_root_is_scanned_alone_and_makes_nothing_else_missing() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a/1.mkv");
    sandbox.film("films/b/2.mkv");
    let path = sandbox.path("films/a");
    let scan = sandbox.scan(&[path.to_str().expect("UTF-8")]);
    assert_eq!(scan["added"], 1);
    assert!(scan["identity"].is_null(), "only a walk of the whole root says what the root is");
    assert_eq!(sandbox.rows().len(), 1);
    sandbox.scan(&[]);
    fs::remove_file(sandbox.path("films/a/1.mkv")).expect("gone");
    let scan = sandbox.scan(&[path.to_str().expect("UTF-8")]);
    assert_eq!(scan["removed"], 1, "what is gone is said after a walk of the whole root");
    assert!(!scan["identity"].is_null());
    assert_eq!(sandbox.row("films/b/2.mkv").status, "ok");
}

#[test]
fn root_below_a_path_is_scanned_on_its_own() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/inner/b.mkv");
    let inner = sandbox.path("films/inner");
    let run = || {
        let mut command = sandbox.vpo(["scan", "--json"]);
        command.arg("--library").arg(&inner).arg(sandbox.root());
        let output = command.output().expect("vpo runs");
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (value["scans"][0].clone(), value["scans"][1].clone(), output.status.code())
    };
    let (outer, nested, _) = run();
    assert_eq!((outer["added"].as_u64(), nested["added"].as_u64()), (Some(1), Some(1)));
    fs::remove_dir_all(&inner).expect("gone");
    let (outer, nested, code) = run();
    assert_eq!(
        (outer["status"].as_str(), nested["status"].as_str(), code),
        (Some("completed"), Some("failed"), Some(1))
    );
    assert_eq!(sandbox.row("films/inner/b.mkv").status, "ok");
}

#[test]
fn path_that_leads_into_a_root_stores_no_film_twice() {
    let sandbox = Sandbox::new();
    sandbox.film("films/deep/a.mkv");
    let link = sandbox.path("link");
    std::os::unix::fs::symlink(sandbox.path("films/deep"), &link).expect("a link");
    let path = link.to_str().expect("UTF-8");
    // Where both are roots, the one that holds the other is scanned.
    assert_eq!(sandbox.try_scan(&["--library", path]).status.code(), Some(1));
    for args in [&[path, "--dry-run"][..], &[path]] {
        let output = sandbox.try_scan(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
        let detail = format!("because the root {} contains the same videos", sandbox.root().display());
        assert!(text.contains("error[overlapping_root]") && text.contains(&detail), "{args:?}: {text}");
        let paths: Vec<_> = sandbox.rows().into_iter().map(|row| row.path).collect();
        assert_eq!(paths, [sandbox.path("films/deep/a.mkv").to_str().expect("UTF-8")]);
    }
}

#[test]
fn dry_run_only_reads() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let output = sandbox.try_scan(&["--dry-run"]);
    assert_eq!(output.status.code(), Some(1), "there is no library, and a dry run makes none");
    assert!(!sandbox.library().exists());
    sandbox.scan(&[]);
    sandbox.film("films/b.mkv");
    fs::remove_file(sandbox.path("films/a.mkv")).expect("gone");
    let before = sandbox.rows();
    let jobs: i64 = sandbox.value("SELECT count(*) FROM jobs");
    let scan = sandbox.scan(&["--dry-run"]);
    assert_eq!((scan["new"].as_u64(), scan["gone"].as_u64()), (Some(1), Some(1)));
    assert_eq!(sandbox.rows(), before);
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM jobs"), jobs);
}

#[test]
fn dry_run_of_a_part_refuses_what_a_scan_of_it_would() {
    let sandbox = Sandbox::new();
    for number in 0..40 {
        sandbox.film(&format!("films/{}/{number}.mkv", if number < 12 { "a" } else { "b" }));
    }
    sandbox.scan(&[]);
    // All of the part, but not too much of the root.
    fs::remove_dir_all(sandbox.path("films/a")).expect("gone");
    let part = sandbox.path("films/a");
    let part = part.to_str().expect("UTF-8");
    let scan = sandbox.scan(&["--dry-run", part]);
    assert_eq!((scan["gone"].as_u64(), scan["refusal"].as_str()), (Some(12), None));
    assert_eq!(sandbox.scan(&[part])["removed"], 12);
}

#[test]
fn beside_a_daemon_a_scan_is_queued_and_followed() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let root = sandbox.root();
    let mut daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    eventually("the first scan", || sandbox.find_row("films/a.mkv").filter(|row| row.status == "ok"));
    sandbox.film("films/b.mkv");
    // Another program's row that is not text does not interfere.
    sandbox.sql(
        "INSERT INTO jobs (id, file_path, job_type, status, policy_json, created_at)
         VALUES ('bytes', '/', 'scan', 'queued', x'ff00', '2026-01-01T00:00:00+00:00'),
                ('words', '/', 'scan', 'queued', CAST(x'ff' AS TEXT), '2026-01-01T00:00:00+00:00')",
    );
    let scan = sandbox.scan(&[]);
    assert_eq!(scan["status"], "completed");
    let jobs = daemon.get("/api/v1/jobs?status=queued");
    assert_eq!(jobs.status, 200, "{}", jobs.body);
    assert_eq!(jobs.json()["jobs"].as_array().map(Vec::len), Some(2));
    assert_eq!(sandbox.row("films/b.mkv").status, "ok");
    let job = scan["job_id"].as_str().expect("an id").to_owned();
    let pid: u32 = sandbox.value(&format!("SELECT worker_pid FROM jobs WHERE id = '{job}'"));
    assert_eq!(pid, daemon.pid());
    sandbox.film("other/c.mkv");
    for (path, code) in [("other", "outside_roots"), ("typo", "unknown_path")] {
        let output = sandbox.run(["scan", path]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(&format!("error[{code}]: ")), "{stderr}");
        let advice = format!("add {} to scan.roots", sandbox.path(path).display());
        assert_eq!(stderr.contains(&advice), path == "other", "{stderr}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn file_that_no_scan_reads_draws_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.write("films/a.nfo", "notes");
    sandbox.write("films/b.mkv.part", "half");
    let output = sandbox.run(["scan", "films/a.nfo", "films/a.mkv", "films/b.mkv.part"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.starts_with("vpo: warning: 2 files skipped, ") && stderr.contains("films/a.nfo"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(sandbox.row("films/a.mkv").status, "ok");
    let output = sandbox.run(["scan", "films/a.nfo"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}

#[test]
fn root_that_cannot_be_read_is_described_with_what_to_do() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("more/b.mkv");
    let path = |name: &str| sandbox.path(name).display().to_string();
    for (root, expected) in [
        (path("nope"), "does not exist; mount the share, or correct scan.roots"),
        (path("films/a.mkv"), "is a file; give the directory that contains it"),
        (
            format!("{},{}", path("films"), path("more")),
            "does not exist. For several directories, repeat --root",
        ),
        (format!("{}:{}", path("films"), path("more")), "separate them with `:` in VPO_SCAN_ROOTS"),
    ] {
        let output = sandbox.run(["scan", "--root", &root]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(&format!("the root {root} {expected}")) || stderr.contains(expected),
            "{stderr}"
        );
        assert!(!stderr.contains("os error"), "{stderr}");
    }
    fs::set_permissions(sandbox.root(), fs::Permissions::from_mode(0o700)).expect("ours");
    let database = sandbox.path("of-nobody");
    fs::create_dir(&database).expect("made");
    let mut command = sandbox.vpo_as_nobody(["scan", "--root", &path("films"), "--database"]);
    fs::set_permissions(&database, fs::Permissions::from_mode(0o777)).expect("ours");
    let output = command.arg(database.join("library.db")).output().expect("vpo runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if rustix::process::geteuid().is_root() {
        assert!(stderr.contains("vpo runs as 65534:65534"), "{stderr}");
        assert!(stderr.contains("belongs to 0:0 with mode 0700. Give that user access"), "{stderr}");
    }
}

#[test]
fn daemon_without_roots_takes_no_scan() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let mut daemon = sandbox.serve::<&str>([]);
    let output = sandbox.try_scan(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no scan.roots"), "{output:?}");
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM jobs WHERE status = 'queued'"), 0);
    assert!(daemon.stop().success());
}

#[test]
fn slow_reader_holds_a_queued_scan_up_and_does_not_fail_it() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    // Without roots the database is not in WAL mode.
    let daemon = sandbox.serve::<&str>([]);
    let reader = Connection::open(sandbox.library()).expect("opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM jobs").expect("a shared lock");
    let mut command = sandbox.vpo(["scan", "--library"]);
    let scan =
        command.arg(sandbox.root()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("vpo runs");
    let journal = sandbox.path(".vpo/library.db-journal");
    eventually("the job is to be committed", || journal.exists().then_some(()));
    // Longer than one attempt waits.
    std::thread::sleep(Duration::from_millis(300));
    reader.execute_batch("COMMIT").expect("released");
    let output = scan.wait_with_output().expect("an end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("error[scan-not-started]"), "{stderr}");
    drop(daemon);
}

#[test]
fn queued_scan_that_is_interrupted_is_withdrawn() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let mut daemon = sandbox.serve::<&str>([]);
    for (signal, expected) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        sandbox.sql("DELETE FROM jobs");
        let mut command = sandbox.vpo(["scan", "--library"]);
        let mut scan = command.arg(sandbox.root()).stdout(Stdio::null()).spawn().expect("vpo runs");
        let queued = "SELECT count(*) FROM jobs WHERE status = 'queued'";
        eventually("the job is queued", || (sandbox.value::<i64>(queued) == 1).then_some(()));
        rustix::process::kill_process(rustix::process::Pid::from_child(&scan), signal).expect("it runs");
        assert_eq!(scan.wait().expect("an end").code(), Some(expected));
        assert_eq!(sandbox.value::<String>("SELECT status FROM jobs"), "cancelled", "{expected}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn request_is_refused_once_also_while_the_library_is_locked() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let root = sandbox.root();
    let mut daemon =
        sandbox.serve(["--log-level".as_ref(), "debug".as_ref(), "--library".as_ref(), root.as_os_str()]);
    eventually("the film is known", || sandbox.find_row("films/a.mkv").map(drop));
    let database = sandbox.database();
    let queue = "INSERT INTO jobs (id, file_path, job_type, status, policy_json, created_at)
        VALUES ('elsewhere', '/somewhere/else', 'scan', 'queued', '{\"by\":\"vpo-serve\"}',
            '2026-01-01T00:00:00+00:00')";
    database.execute_batch(&format!("{queue}; BEGIN IMMEDIATE")).expect("queued, and the lock");
    daemon.wait_log("is not below a root of the daemon");
    // The polls that follow, one a second, are not observable.
    std::thread::sleep(Duration::from_millis(2500));
    database.execute_batch("COMMIT").expect("released");
    let failed = "SELECT count(*) FROM jobs WHERE id = 'elsewhere' AND status = 'failed'";
    eventually("the end of the job", || (sandbox.value::<i64>(failed) == 1).then_some(()));
    assert_eq!(daemon.log().matches("is not below a root of the daemon").count(), 1, "{}", daemon.log());
    assert!(daemon.stop().success());
}

#[test]
fn job_left_running_by_a_dead_daemon_is_failed_at_the_next_start() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    sandbox.sql("UPDATE jobs SET status = 'running', completed_at = NULL");
    let root = sandbox.root();
    let mut daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    eventually("the dead job is closed", || {
        let status: String = sandbox.value("SELECT status FROM jobs ORDER BY created_at LIMIT 1");
        (status == "failed").then_some(())
    });
    assert!(daemon.stop().success());
}

#[test]
fn ctrl_c_keeps_what_was_stored() {
    let sandbox = Sandbox::new();
    for number in 0..3000 {
        sandbox.film(&format!("films/{number:04}.mkv"));
    }
    let root = sandbox.root();
    let mut scan =
        sandbox.vpo(["scan", "--library"]).arg(root).stdout(Stdio::null()).spawn().expect("vpo runs");
    let pid = rustix::process::Pid::from_child(&scan);
    eventually("a first batch", || {
        (sandbox.library().exists() && sandbox.value::<i64>("SELECT count(*) FROM files") > 0).then_some(())
    });
    rustix::process::kill_process(pid, Signal::INT).expect("it runs");
    let code = scan.wait().expect("an end").code();
    let stored: i64 = sandbox.value("SELECT count(*) FROM files");
    assert!(code == Some(130) || (code == Some(0) && stored == 3000), "{code:?} with {stored}");
    if code == Some(130) {
        let status: String = sandbox.value("SELECT status FROM jobs");
        assert!(status == "cancelled" || stored == 3000, "{status}");
    }
    assert_eq!(sandbox.scan(&[])["total_discovered"], 3000);
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM files"), 3000);
}

/// A scan in the foreground that waits for the library, which another program has locked.
fn held_up(sandbox: &Sandbox) -> (Child, Connection) {
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    let database = sandbox.database();
    database.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut command = sandbox.vpo(["scan", "--library"]);
    command.arg(sandbox.root()).stdout(Stdio::null()).stderr(Stdio::piped());
    let scan = command.spawn().expect("vpo runs");
    assert_holds_the_lock(sandbox, &scan);
    (scan, database)
}

#[track_caller]
fn assert_holds_the_lock(sandbox: &Sandbox, scan: &Child) {
    eventually("the lock is the scan's", || {
        fs::read_to_string(sandbox.lock()).ok().filter(|text| text.starts_with(&format!("{}\n", scan.id())))
    });
}

#[test]
fn scan_beside_another_in_the_foreground_says_who_holds_the_library() {
    let sandbox = Sandbox::new();
    let (mut first, database) = held_up(&sandbox);
    freeze(first.id());
    database.execute_batch("COMMIT").expect("unlocked");
    let output = sandbox.try_scan(&[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("error[scan-not-started]: the process with pid {} has", first.id())),
        "{text}"
    );
    assert!(!text.contains("scan.roots"), "{text}");

    // While the next one waits, the first ends.
    let mut command = sandbox.vpo(["scan", "--library"]);
    let second = command.arg(sandbox.root()).stderr(Stdio::piped()).spawn().expect("vpo runs");
    let queued = "SELECT count(*) FROM jobs WHERE status = 'queued'";
    eventually("a job is queued", || (sandbox.value::<i64>(queued) == 1).then_some(()));
    first.kill().and_then(|()| first.wait()).expect("an end");
    let output = second.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error[daemon-ended]") && text.contains("run the command again"), "{text}");
    assert_eq!(sandbox.value::<i64>(queued), 0);
}

#[test]
fn scan_beside_a_daemon_whose_lock_file_is_gone_scans_by_itself_and_loses_nothing() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let config = format!("[scan]\nroots = [{:?}]\nwatch = false\n", sandbox.root());
    let config = sandbox.write("vpo.toml", config);
    let mut daemon = sandbox.serve(["--config".as_ref(), config.as_os_str()]);
    eventually("the first film is stored", || (sandbox.rows().len() == 1).then_some(()));
    daemon.wait_log("scan completed");
    fs::remove_file(sandbox.lock()).expect("removed");
    sandbox.film("films/b.mkv");
    assert_eq!(sandbox.scan(&[])["added"], 1);
    // The daemon takes over what the scan has written, and scans again.
    daemon.wait_log("library adopted");
    eventually("the daemon has scanned again", || {
        (daemon.log().matches("scan completed").count() == 2).then_some(())
    });
    assert_eq!(sandbox.rows().len(), 2);
    assert_eq!(sandbox.value::<String>("PRAGMA integrity_check"), "ok");
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
}

#[test]
fn scan_whose_daemon_is_killed_says_so() {
    let sandbox = Sandbox::new();
    for number in 0..4000 {
        sandbox.film(&format!("films/{number:04}.mkv"));
    }
    let config = sandbox.write("vpo.toml", "");
    let daemon = sandbox.serve(["--config".as_ref(), config.as_os_str()]);
    sandbox.write("vpo.toml", format!("[library]\nroots = [{:?}]\nwatch = false\n", sandbox.root()));
    daemon.signal(Signal::HUP);
    let mut command = sandbox.vpo(["scan", "--library"]);
    let scan = command.arg(sandbox.root()).stderr(Stdio::piped()).spawn().expect("vpo runs");
    let count = |sql: &str| sandbox.value::<i64>(sql);
    eventually("the job runs", || {
        let running = "SELECT count(*) FROM jobs WHERE status = 'running' AND policy_json LIKE '%request%'";
        (count(running) == 1).then_some(())
    });
    daemon.freeze();
    drop(daemon);
    let output = scan.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error[daemon-ended]: the daemon ended while it scanned"), "{text}");
}

#[test]
fn scan_of_what_a_configured_root_leads_to_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.film("data/films/a.mkv");
    std::os::unix::fs::symlink(sandbox.path("data/films"), sandbox.path("media")).expect("a link");
    let scan = |path: &str| {
        let mut command = sandbox.vpo(["scan", "--library"]);
        command.arg(sandbox.path("media")).arg(sandbox.path(path)).output().expect("vpo runs")
    };
    assert_eq!(scan("media").status.code(), Some(0));
    let output = scan("data");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error[overlapping_root]"), "{text}");
    assert_eq!(sandbox.rows().len(), 1);
}

#[test]
fn scan_beside_a_daemon_without_roots_waits_for_no_dead_scan() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let _daemon = sandbox.serve([""; 0]);
    // With any time of its clock.
    for year in [2025, 2099] {
        sandbox.sql(&format!(
            r#"INSERT INTO jobs (id, file_path, job_type, status, policy_json, created_at, worker_heartbeat)
               VALUES ('dead in {year}', '/videos', 'scan', 'running', '{{"by":"vpo-serve"}}',
                   '{year}-01-01T00:00:00.000000+00:00', '{year}-01-01T00:00:01.000000+00:00')"#
        ));
    }
    let output = sandbox.try_scan(&[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error[scan-not-started]") && text.contains("scan.roots"), "{text}");
}
