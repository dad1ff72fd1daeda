//! The daemon keeps the library true to the roots while it runs.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Daemon, Sandbox, eventually, in_time, settled, video, within};

/// A daemon over [`Sandbox::root`].
fn serve(sandbox: &Sandbox) -> Daemon {
    let root = sandbox.root();
    sandbox.serve(["--library".as_ref(), root.as_os_str()])
}

#[track_caller]
fn wait_status(sandbox: &Sandbox, name: &str, status: &str) {
    eventually(&format!("{name} is {status}"), || {
        sandbox.find_row(name).filter(|row| row.status == status).map(drop)
    });
}

#[test]
fn changes_are_seen_as_they_happen() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    sandbox.film("films/deep/er/b.mkv");
    wait_status(&sandbox, "films/deep/er/b.mkv", "ok");
    let id = sandbox.row("films/deep/er/b.mkv").id;
    // The hashes come in the background.
    eventually("a hash", || sandbox.row("films/deep/er/b.mkv").hash.map(drop));
    fs::rename(sandbox.path("films/deep"), sandbox.path("films/moved")).expect("moved");
    wait_status(&sandbox, "films/moved/er/b.mkv", "ok");
    assert_eq!(sandbox.row("films/moved/er/b.mkv").id, id);
    // A tree moved in from elsewhere makes one event.
    sandbox.film("elsewhere/x/c.mkv");
    fs::rename(sandbox.path("elsewhere"), sandbox.path("films/in")).expect("moved");
    wait_status(&sandbox, "films/in/x/c.mkv", "ok");
    fs::remove_file(sandbox.path("films/a.mkv")).expect("gone");
    wait_status(&sandbox, "films/a.mkv", "missing");
    assert!(daemon.stop().success());
    assert!(!daemon.log().contains(" error "), "{}", daemon.log());
}

#[test]
fn file_that_grows_is_read_once_it_is_quiet() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let mut daemon = serve(&sandbox);
    daemon.wait_watch(&sandbox.root(), "watching");
    let content = video::matroska("growing", &["eng"]);
    let (head, tail) = content.split_at(content.len() / 2);
    let path = sandbox.write("films/growing.mkv", head);
    let written = Instant::now();
    let mut file = fs::File::options().append(true).open(&path).expect("there");
    while written.elapsed() < Duration::from_secs(6) {
        assert!(sandbox.find_row("films/growing.mkv").is_none(), "read while it was written");
        std::thread::sleep(Duration::from_millis(300)); // as a download goes on
        file.set_modified(std::time::SystemTime::now()).expect("an mtime");
    }
    file.write_all(tail).expect("written");
    drop(file);
    wait_status(&sandbox, "films/growing.mkv", "ok");
    let jobs: i64 =
        sandbox.value("SELECT count(*) FROM jobs WHERE json_extract(policy_json, '$.reason') = 'watch'");
    assert_eq!(jobs, 1, "looks that find nothing to do leave no job");
    assert!(daemon.stop().success());
}

#[test]
fn files_that_go_and_come_and_grow_within_a_scan_are_recorded_as_they_are() {
    let sandbox = Sandbox::new();
    for number in 0..4000 {
        sandbox.film(&format!("films/{number:04}.mkv"));
    }
    let mut daemon = serve(&sandbox);
    daemon.wait_watch(&sandbox.root(), "watching");
    let count = || sandbox.value::<i64>("SELECT count(*) FROM files");
    eventually("a first batch", || (count() > 0).then_some(()));
    daemon.freeze();
    // The last ones have been found and not been read; the first one is stored.
    assert!(count() < 3000, "too fast to be stopped in the middle");
    let path = |name: &str| sandbox.path(format!("films/{name}.mkv"));
    fs::remove_file(path("0000")).expect("gone");
    fs::remove_file(path("3999")).expect("gone");
    fs::rename(path("3998"), path("renamed")).expect("renamed");
    let mut growing = fs::File::options().append(true).open(path("3997")).expect("there");
    growing.write_all(&[0; 5000]).expect("written");
    drop(growing);
    daemon.signal(Signal::CONT);
    wait_status(&sandbox, "films/renamed.mkv", "ok");
    wait_status(&sandbox, "films/3997.mkv", "ok");
    wait_status(&sandbox, "films/0000.mkv", "missing");
    let size = fs::metadata(path("3997")).expect("there").len();
    assert_eq!(sandbox.row("films/3997.mkv").size, i64::try_from(size).expect("small"));
    for name in ["3999", "3998"] {
        let row = sandbox.find_row(&format!("films/{name}.mkv"));
        assert!(row.as_ref().is_none_or(|row| row.status == "missing"), "{row:?}");
    }
    assert_eq!(count(), 3999);
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM files WHERE scan_status = 'error'"), 0);
    assert!(daemon.stop().success());
}

#[test]
fn reload_picks_up_roots() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("more/b.mkv");
    let config = sandbox.write("vpo.toml", format!("[library]\nroots = [{:?}]\n", sandbox.root()));
    let mut daemon = sandbox.serve(["--config".as_ref(), config.as_os_str()]);
    wait_status(&sandbox, "films/a.mkv", "ok");
    sandbox.write(
        "vpo.toml",
        format!("[library]\nroots = [{:?}, {:?}]\n", sandbox.root(), sandbox.path("more")),
    );
    daemon.signal(Signal::HUP);
    wait_status(&sandbox, "more/b.mkv", "ok");
    sandbox.write("vpo.toml", format!("[library]\nroots = [{:?}]\n", sandbox.path("more")));
    daemon.signal(Signal::HUP);
    let gone = format!("root:{}", sandbox.root().display());
    eventually("the root's check is gone", || (!daemon.get("/health").body.contains(&gone)).then_some(()));
    assert_eq!(sandbox.row("films/a.mkv").status, "ok", "no longer a root, so left as it was");
    assert!(daemon.stop().success());
}

#[test]
fn reload_begins_regular_scans() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let config = |interval: u32| {
        let library = format!("roots = [{:?}]\nwatch = false\nrescan_interval = {interval}", sandbox.root());
        sandbox.write("vpo.toml", format!("[library]\n{library}\n"))
    };
    let mut daemon = sandbox.serve(["--config".as_ref(), config(0).as_os_str()]);
    let count = |reason: &str| -> i64 {
        sandbox.value(&format!(
            "SELECT count(*) FROM jobs
             WHERE status = 'completed' AND json_extract(policy_json, '$.reason') = '{reason}'"
        ))
    };
    wait_status(&sandbox, "films/a.mkv", "ok");
    eventually("the first scan's end", || (count("start") == 1).then_some(()));
    assert_eq!(count("interval"), 0);
    config(1);
    daemon.signal(Signal::HUP);
    eventually("a regular scan", || (count("interval") > 0).then_some(()));
    assert!(daemon.stop().success());
}

#[test]
fn scan_that_becomes_due_while_files_are_hashed_keeps_its_reason() {
    let sandbox = Sandbox::new();
    for number in 0..6 {
        sandbox.film(&format!("films/{number}.mkv"));
    }
    sandbox.scan(&[]);
    // From now on it takes a moment to record a hash, so that the interval ends within the pass.
    sandbox.sql(
        "CREATE TABLE numbers (n INTEGER);
         INSERT INTO numbers WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up LIMIT 2000) SELECT n FROM up;
         UPDATE files SET content_hash = NULL;
         CREATE TRIGGER slow BEFORE UPDATE OF content_hash ON files
         BEGIN SELECT sum(a.n * b.n) FROM numbers a, numbers b; END",
    );
    let library = format!("roots = [{:?}]\nwatch = false\nrescan_interval = 1", sandbox.root());
    let config = sandbox.write("vpo.toml", format!("[library]\n{library}\n"));
    let mut daemon = sandbox.serve(["--config".as_ref(), config.as_os_str()]);
    let hashed = "SELECT count(content_hash) FROM files";
    within(Duration::from_secs(60), "all hashes", || (sandbox.value::<i64>(hashed) == 6).then_some(()));
    let reasons =
        "SELECT group_concat(json_extract(policy_json, '$.reason'), ' ' ORDER BY created_at) FROM jobs
        WHERE json_extract(policy_json, '$.reason') <> 'request'";
    eventually("a second scan", || sandbox.value::<String>(reasons).contains(' ').then_some(()));
    let reasons = sandbox.value::<String>(reasons);
    assert!(reasons.starts_with("start interval") && !reasons.contains("again"), "{reasons}");
    assert!(daemon.stop().success());
}

#[test]
fn first_roots_may_come_with_a_reload() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let config = sandbox.write("vpo.toml", "");
    let mut daemon = sandbox.serve(["--config".as_ref(), config.as_os_str()]);
    sandbox.write("vpo.toml", format!("[library]\nroots = [{:?}]\n", sandbox.root()));
    daemon.signal(Signal::HUP);
    wait_status(&sandbox, "films/a.mkv", "ok");
    assert!(daemon.stop().success());
}

#[test]
fn root_that_goes_and_comes_back_is_told_and_loses_nothing() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.mkv");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/b.mkv", "ok");
    fs::rename(sandbox.root(), sandbox.path("away")).expect("moved");
    let check = |status: &'static str| {
        let name = format!("root:{}", sandbox.root().display());
        within(Duration::from_secs(40), &format!("the root's check is {status}"), || {
            let answer = daemon.get("/health");
            assert_eq!(answer.status, 200, "a root is no reason for 503: {}", answer.body);
            let body = answer.json();
            assert_eq!(body["status"], "healthy");
            let checks = body["checks"].as_array()?.clone();
            checks.into_iter().find(|check| check["name"] == name.as_str() && check["status"] == status)
        })
    };
    let warned = check("warn");
    assert_eq!(warned["reason"], "unreadable", "{warned}");
    let detail = format!(
        "the root {} does not exist; mount the share, or correct scan.roots",
        sandbox.root().display()
    );
    assert_eq!(warned["detail"], detail);
    assert!(sandbox.rows().iter().all(|row| row.status == "ok"));
    fs::rename(sandbox.path("away"), sandbox.root()).expect("back");
    check("pass");
    assert!(sandbox.rows().iter().all(|row| row.status == "ok"));
    assert!(daemon.stop().success());
}

#[test]
fn root_that_is_not_there_is_one_warning() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("nope");
    let daemon = sandbox.serve(["--root".as_ref(), root.as_os_str()]);
    daemon.wait_watch(&root, "unavailable");
    daemon.wait_log("does not exist; mount the share, or correct scan.roots");
    assert_eq!(daemon.log().matches(" warning ").count(), 1, "{}", daemon.log());
}

#[test]
fn root_that_leads_into_another_one_is_not_scanned_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.film("films/deep/a.mkv");
    sandbox.film("elsewhere/b.mkv");
    let (root, link, inner) = (sandbox.root(), sandbox.path("link"), sandbox.path("inner"));
    symlink(&root, &link).expect("a link");
    symlink(root.join("deep"), &inner).expect("a link");
    let roots = [&inner, &root, &link].map(|root| format!("{root:?}")).join(", ");
    let config = sandbox.write("vpo.toml", format!("[library]\nroots = [{roots}]\nwatch = false\n"));
    let mut daemon = sandbox.serve(["--config".as_ref(), config.as_os_str()]);
    wait_status(&sandbox, "films/deep/a.mkv", "ok");
    for covered in [&inner, &link] {
        let name = format!("root:{}", covered.display());
        let check = eventually("the check warns", || {
            let checks = daemon.get("/health").json()["checks"].as_array()?.clone();
            checks.into_iter().find(|check| check["name"] == name.as_str() && check["status"] == "warn")
        });
        assert_eq!(check["reason"], "overlapping_root", "{check}");
        let detail = format!(
            "the root {} is not scanned, because the root {} contains the same videos",
            covered.display(),
            root.display()
        );
        assert!(check["detail"].as_str().is_some_and(|text| text.contains(&detail)), "{check}");
        let output =
            sandbox.run([OsStr::new("scan"), "--config".as_ref(), config.as_os_str(), covered.as_os_str()]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && text.contains(&detail), "{text}");
    }
    assert_eq!(sandbox.rows().len(), 1, "{:?}", sandbox.rows());
    // Once it leads elsewhere it is a root like any other.
    fs::remove_file(&link).and_then(|()| symlink(sandbox.path("elsewhere"), &link)).expect("another link");
    within(Duration::from_secs(40), "the other film", || sandbox.find_row("link/b.mkv").map(drop));
    assert_eq!(sandbox.rows().len(), 2, "{:?}", sandbox.rows());
    assert!(daemon.stop().success());
}

/// SIGTERM, and the exit within the second that a scan may take.
fn stops_in_time(daemon: &mut Daemon) -> Result<(), String> {
    let start = Instant::now();
    assert!(daemon.stop().success(), "{}", daemon.log());
    let took = start.elapsed();
    assert!(!daemon.log().contains("panic: "), "{}", daemon.log());
    if took < Duration::from_secs(1) { Ok(()) } else { Err(format!("{took:?}")) }
}

/// Waits until the root's check has this status and, where it warns, this reason.
#[track_caller]
fn wait_root(daemon: &Daemon, sandbox: &Sandbox, status: &str, reason: Option<&str>) {
    let name = format!("root:{}", sandbox.root().display());
    within(Duration::from_secs(40), &format!("the root's check: {status} {reason:?}"), || {
        let answer = daemon.get("/health");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let checks = answer.json()["checks"].as_array()?.clone();
        let is_it = |check: &&serde_json::Value| {
            check["name"] == name.as_str()
                && check["status"] == status
                && reason.is_none_or(|reason| check["reason"] == reason)
        };
        checks.iter().find(is_it).map(drop)
    });
}

#[test]
fn directory_put_in_place_of_the_root_is_watched() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    fs::remove_dir_all(sandbox.root()).expect("gone");
    sandbox.film("films/b.mkv");
    wait_status(&sandbox, "films/b.mkv", "ok");
    // And the new one is watched, not only looked at once.
    daemon.wait_log("the root has changed");
    daemon.wait_watch(&sandbox.root(), "watching");
    sandbox.film("films/c.mkv");
    wait_status(&sandbox, "films/c.mkv", "ok");
    assert!(daemon.stop().success());
}

#[test]
fn warning_ends_when_the_files_are_back() {
    let sandbox = Sandbox::new();
    sandbox.film("films/other.mkv");
    for number in 0..12 {
        sandbox.film(&format!("films/{number}.mkv"));
    }
    let root = sandbox.root();
    let mut command = sandbox.vpo(["serve", "--port", "0", "--library"]);
    // Nothing but the looks at the root can tell.
    command.arg(root).env("VPO_LIBRARY_WATCH", "false");
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    wait_status(&sandbox, "films/9.mkv", "ok");
    wait_root(&daemon, &sandbox, "pass", None);
    fs::create_dir(sandbox.path("away")).expect("a directory");
    let move_all = |from: &str, to: &str| {
        for number in 0..12 {
            let name = |directory: &str| sandbox.path(format!("{directory}/{number}.mkv"));
            fs::rename(name(from), name(to)).expect("moved");
        }
    };
    let refuses = |path: &Path| {
        let output = sandbox.run(["scan".as_ref(), path.as_os_str()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    };
    // The same trouble again is seen to end again.
    for _ in 0..2 {
        move_all("films", "away");
        refuses(&sandbox.root());
        wait_root(&daemon, &sandbox, "warn", Some("mass_missing"));
        // And what is mistyped meanwhile changes nothing.
        refuses(&sandbox.path("films/typo.mkv"));
        move_all("away", "films");
        wait_root(&daemon, &sandbox, "pass", None);
    }
    assert!(sandbox.rows().iter().all(|row| row.status == "ok"));
    assert!(daemon.stop().success());
}

#[test]
fn warning_ends_when_all_can_be_read_again() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    for name in ["films/a.mkv", "films/shut/b.mkv"] {
        sandbox.film(name);
    }
    let shut = |mode| {
        fs::set_permissions(sandbox.path("films/shut"), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    shut(0o000);
    let mut command = sandbox.vpo_as_nobody(["serve", "--port", "0", "--library"]);
    command.arg(sandbox.root());
    sandbox.give_away();
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    wait_root(&daemon, &sandbox, "warn", Some("walk_errors"));
    eventually("what can be read is hashed all the same", || sandbox.row("films/a.mkv").hash.map(drop));
    shut(0o755);
    wait_root(&daemon, &sandbox, "pass", None);
    wait_status(&sandbox, "films/shut/b.mkv", "ok");
    assert!(daemon.stop().success());
}

#[test]
fn reload_of_the_extensions_finds_other_files_and_loses_none() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.ogm");
    let config = |extensions: &str| {
        let library = format!("roots = [{:?}]\nextensions = [{extensions}]", sandbox.root());
        sandbox.write("vpo.toml", format!("[library]\n{library}\n"))
    };
    let mut daemon = sandbox.serve(["--config".as_ref(), config("\"mkv\"").as_os_str()]);
    wait_status(&sandbox, "films/a.mkv", "ok");
    assert!(sandbox.find_row("films/b.ogm").is_none());
    config("\"ogm\"");
    daemon.signal(Signal::HUP);
    wait_status(&sandbox, "films/b.ogm", "ok");
    assert_eq!(sandbox.row("films/a.mkv").status, "ok", "its file is there");
    // The watch looks for the new ones too, and for the old ones no longer.
    daemon.wait_watch(&sandbox.root(), "watching");
    sandbox.film("films/c.mkv");
    sandbox.film("films/d.ogm");
    wait_status(&sandbox, "films/d.ogm", "ok");
    assert!(sandbox.find_row("films/c.mkv").is_none());
    assert!(daemon.stop().success());
}

#[test]
fn sigterm_ends_a_scan_within_a_second() {
    let films = Sandbox::new();
    for number in 0..4000 {
        films.film(&format!("films/{number:04}.mkv"));
    }
    in_time(|| {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.serve(["--library".as_ref(), films.root().as_os_str()]);
        // Over HTTP: another SQLite program that comes and goes while the daemon saves can hold its writes up.
        eventually("a first batch", || {
            let page = daemon.get("/api/v1/files?limit=1").json();
            page["files"].as_array().is_some_and(|files| !files.is_empty()).then_some(())
        });
        let in_time = stops_in_time(&mut daemon);
        assert_eq!(sandbox.value::<String>("PRAGMA integrity_check"), "ok");
        assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM jobs WHERE status = 'running'"), 0);
        in_time
    });
}

#[test]
fn sigterm_ends_a_scan_that_waits_for_a_locked_library() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    in_time(|| {
        let root = sandbox.root();
        let mut daemon =
            sandbox.serve(["--log-level".as_ref(), "debug".as_ref(), "--library".as_ref(), root.as_os_str()]);
        wait_status(&sandbox, "films/a.mkv", "ok");
        daemon.wait_watch(&sandbox.root(), "watching");
        let database = sandbox.database();
        database.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        sandbox.film("films/b.mkv");
        daemon.wait_log("the scan waits");
        let in_time = stops_in_time(&mut daemon);
        database.execute_batch("COMMIT").expect("released");
        fs::remove_file(sandbox.path("films/b.mkv")).expect("gone");
        in_time
    });
}

#[test]
fn restored_library_is_scanned_anew() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    fs::copy(sandbox.library(), sandbox.path("backup.db")).expect("a backup");
    sandbox.film("films/b.mkv");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/b.mkv", "ok");
    fs::rename(sandbox.path("backup.db"), sandbox.library()).expect("restored");
    // Only then is it read here: a log of the daemon may still lie there, and a connection would copy it into the backup.
    daemon.wait_log("library adopted");
    eventually("the restored library knows the second film", || {
        sandbox.find_row("films/b.mkv").filter(|row| row.status == "ok").map(drop)
    });
    assert!(daemon.stop().success());
}

#[test]
fn lines_of_a_job_carry_its_id_and_files_their_path() {
    let sandbox = Sandbox::new();
    for name in ["films/a.mkv", "films/b.mkv", "films/c.mkv"] {
        sandbox.film(name);
    }
    sandbox.scan(&[]);
    let broken = sandbox.write("films/broken.mkv", "no video");
    settled(&broken);
    fs::remove_file(sandbox.path("films/a.mkv")).expect("gone");
    let root = sandbox.root();
    let mut daemon = sandbox.serve([
        "--log-format",
        "json",
        "--log-level",
        "debug",
        "--library",
        root.to_str().expect("UTF-8"),
    ]);
    wait_status(&sandbox, "films/a.mkv", "missing");
    daemon.wait_log("scan completed");
    assert!(daemon.stop().success());
    let job: String = sandbox.value("SELECT id FROM jobs ORDER BY created_at DESC LIMIT 1");
    let log = daemon.log();
    for (message, path) in [("a file is missing", "films/a.mkv"), ("cannot parse a file", "films/broken.mkv")]
    {
        let line =
            log.lines().find(|line| line.contains(message)).unwrap_or_else(|| panic!("{message}: {log}"));
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["job_id"], job.as_str());
        assert_eq!(line["file_path"].as_str().map(Path::new), Some(sandbox.path(path).as_path()));
    }
}

/// Waits until a film that is written now is recorded: all that happened before it has been seen then.
#[track_caller]
fn wait_for_film(sandbox: &Sandbox, name: &str) {
    sandbox.film(name);
    wait_status(sandbox, name, "ok");
}

#[test]
fn links_that_appear_below_a_root_are_not_followed() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("outside/secret.mkv");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    let link = |to: &Path, name: &str| {
        symlink(to, sandbox.path("link")).expect("a link");
        fs::rename(sandbox.path("link"), sandbox.path(name)).expect("moved in");
    };
    link(&sandbox.path("outside"), "films/moved_in");
    link(&sandbox.path("outside"), "films/directory.mkv");
    link(&sandbox.path("outside/secret.mkv"), "films/file.mkv");
    link(Path::new(".."), "films/up");
    link(Path::new("."), "films/self");
    wait_for_film(&sandbox, "films/b.mkv");
    // Nor is what a link points to watched.
    sandbox.film("outside/more.mkv");
    wait_for_film(&sandbox, "films/c.mkv");
    let paths: Vec<_> = sandbox.rows().into_iter().map(|row| row.path).collect();
    assert_eq!(paths.len(), 3, "{paths:#?}");
    assert!(daemon.stop().success());
}

#[test]
fn what_a_scan_passes_over_is_passed_over_by_the_watch() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    fs::create_dir_all(sandbox.path("films/#recycle/sub")).expect("directories");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    for name in ["#recycle/sub/b.mkv", "@eaDir/c.mkv/d.mkv", ".trash/e.mkv", "new/lost+found/f.mkv"] {
        sandbox.film(&format!("films/{name}"));
    }
    fs::rename(sandbox.path("films/a.mkv"), sandbox.path("films/#recycle/a.mkv")).expect("deleted");
    wait_status(&sandbox, "films/a.mkv", "missing");
    wait_for_film(&sandbox, "films/new/g.mkv");
    let paths: Vec<_> = sandbox.rows().into_iter().map(|row| row.path).collect();
    assert_eq!(paths.len(), 2, "{paths:#?}");
    assert!(daemon.stop().success());
}

#[test]
fn name_that_is_written_like_another_changes_nothing_of_it() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    sandbox.film("films/%E9/a.mkv");
    sandbox.film("films/%E9.mkv");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/%E9.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    let before = sandbox.rows();
    let bytes = |name: &[u8]| sandbox.root().join(OsStr::from_bytes(name));
    fs::create_dir(bytes(b"\xE9")).expect("any name");
    for name in [&b"\xE9/a.mkv"[..], b"\xE9.mkv"] {
        fs::write(bytes(name), video::matroska("of another size", &["eng"])).expect("any name");
        settled(&bytes(name));
    }
    wait_for_film(&sandbox, "films/b.mkv");
    let size = |rows: &[crate::harness::FileRow]| rows.iter().take(2).map(|row| row.size).collect::<Vec<_>>();
    assert_eq!(size(&sandbox.rows()), size(&before), "{:#?}", sandbox.rows());
    assert!(daemon.stop().success());
}

#[test]
fn directories_that_cannot_be_read_leave_the_rest_watched() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    for name in ["a.mkv", "shut/b.mkv", "lost+found/c.mkv", ".Trash-0/d.mkv"] {
        sandbox.film(&format!("films/{name}"));
    }
    let mode = |name: &str, mode| {
        let path = sandbox.root().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let mut command = sandbox.vpo_as_nobody(["serve", "--port", "0", "--library"]);
    command.arg(sandbox.root());
    sandbox.give_away();
    for name in ["shut", "lost+found", ".Trash-0"] {
        mode(name, 0o000);
    }
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    wait_for_film(&sandbox, "films/e.mkv");
    // One that appears is no trouble either.
    sandbox.film("elsewhere/f.mkv");
    // It may not be read; its owner moves it only if it may be written.
    fs::set_permissions(sandbox.path("elsewhere"), fs::Permissions::from_mode(0o200)).expect("a mode");
    fs::rename(sandbox.path("elsewhere"), sandbox.path("films/moved_in")).expect("moved in");
    wait_for_film(&sandbox, "films/g.mkv");
    assert!(!daemon.log().contains("changes are not seen"), "{}", daemon.log());
    // And once they may be read, they are watched like all others.
    mode("shut", 0o755);
    mode("moved_in", 0o755);
    sandbox.give_away();
    wait_status(&sandbox, "films/shut/b.mkv", "ok");
    wait_status(&sandbox, "films/moved_in/f.mkv", "ok");
    wait_for_film(&sandbox, "films/shut/deep/h.mkv");
    wait_for_film(&sandbox, "films/moved_in/i.mkv");
    assert!(daemon.stop().success());
}

#[test]
fn root_that_is_a_link_is_watched() {
    let sandbox = Sandbox::new();
    let link = |to: &str| {
        symlink(to, sandbox.path("link")).expect("a link");
        fs::rename(sandbox.path("link"), sandbox.root()).expect("in its place");
    };
    sandbox.film("first/a.mkv");
    sandbox.film("second/b.mkv");
    sandbox.film("second/keep.mkv");
    link("first");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    sandbox.film("first/c.mkv");
    wait_status(&sandbox, "films/c.mkv", "ok");
    wait_for_film(&sandbox, "films/sub/deep/d.mkv");
    sandbox.film("first/sub/deep/e.mkv");
    wait_status(&sandbox, "films/sub/deep/e.mkv", "ok");
    // Where the link points elsewhere, that is watched.
    link("second");
    wait_status(&sandbox, "films/b.mkv", "ok");
    daemon.wait_log("the root has changed");
    daemon.wait_watch(&sandbox.root(), "watching");
    sandbox.film("second/f.mkv");
    wait_status(&sandbox, "films/f.mkv", "ok");
    assert!(daemon.stop().success());
}

#[test]
fn directories_that_change_places_are_watched_under_their_names() {
    let sandbox = Sandbox::new();
    for name in ["one/sub/a.mkv", "two/sub/b.mkv", "keep.mkv"] {
        sandbox.film(&format!("films/{name}"));
    }
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/two/sub/b.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    let path = |name: &str| sandbox.root().join(name);
    let rename = |from: &str, to: &str| fs::rename(path(from), path(to)).expect("renamed");
    let (one, two) = (sandbox.row("films/one/sub/a.mkv").id, sandbox.row("films/two/sub/b.mkv").id);
    eventually("hashes", || sandbox.rows().iter().all(|row| row.hash.is_some()).then_some(()));
    // Each goes to the other's place, and from the old place of a directory inside nothing is told any more.
    rename("one", "three");
    rename("two", "one");
    rename("three", "two");
    wait_status(&sandbox, "films/two/sub/a.mkv", "ok");
    wait_status(&sandbox, "films/one/sub/b.mkv", "ok");
    assert_eq!((sandbox.row("films/two/sub/a.mkv").id, sandbox.row("films/one/sub/b.mkv").id), (one, two));
    for name in ["one/sub/c.mkv", "two/sub/d.mkv", "two/e.mkv"] {
        wait_for_film(&sandbox, &format!("films/{name}"));
    }
    // One that is removed and made anew is watched again, and so is one that was hidden for a while.
    fs::remove_dir_all(path("one")).expect("removed");
    wait_for_film(&sandbox, "films/one/sub/f.mkv");
    wait_for_film(&sandbox, "films/one/sub/g.mkv");
    rename("two", ".two");
    wait_status(&sandbox, "films/keep.mkv", "ok");
    rename(".two", "two");
    wait_for_film(&sandbox, "films/two/sub/h.mkv");
    // And one that is moved out of the root is not.
    fs::rename(path("one"), sandbox.path("one")).expect("moved out");
    wait_status(&sandbox, "films/one/sub/g.mkv", "missing");
    sandbox.film("one/sub/i.mkv");
    wait_for_film(&sandbox, "films/two/j.mkv");
    assert!(sandbox.find_row("films/one/sub/i.mkv").is_none());
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "needs root: a limit of its own on watches"]
fn watches_that_run_out_later_are_said_once_and_the_interval_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let vpo = sandbox.vpo([""; 0]);
    let limited = "echo 10 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", limited, "sh"]).arg(vpo.get_program());
    command.args(["serve", "--port", "0", "--library"]).arg(sandbox.root());
    command.env_clear().env("HOME", sandbox.path("")).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("VPO_LIBRARY_RESCAN_INTERVAL", "1");
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    daemon.wait_watch(&sandbox.root(), "watching");
    for number in 0..30 {
        sandbox.film(&format!("films/{number}/b.mkv"));
    }
    let line = daemon.wait_log("reason=watches");
    assert!(line.contains("sysctl fs.inotify.max_user_watches="), "{line}");
    daemon.wait_watch(&sandbox.root(), "unavailable");
    eventually("the interval finds all", || {
        (sandbox.value::<i64>("SELECT count(*) FROM files WHERE scan_status = 'ok'") == 31).then_some(())
    });
    assert!(daemon.stop().success());
    assert_eq!(daemon.log().matches("reason=watches").count(), 1, "{}", daemon.log());
}

#[test]
fn directories_that_appear_while_events_are_lost_are_watched() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/old/b.mkv");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/old/b.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    // While it stands still, the kernel's queue for it fills up; each new file makes two events or more.
    daemon.freeze();
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("a limit");
    for number in 0..limit.trim().parse::<u32>().expect("a number") / 2 {
        sandbox.write(&format!("films/{number}.txt"), "");
    }
    fs::rename(sandbox.path("films/old"), sandbox.path("films/renamed")).expect("renamed");
    sandbox.film("films/new/c.mkv");
    daemon.signal(Signal::CONT);
    wait_status(&sandbox, "films/renamed/b.mkv", "ok");
    wait_status(&sandbox, "films/new/c.mkv", "ok");
    wait_for_film(&sandbox, "films/renamed/d.mkv");
    wait_for_film(&sandbox, "films/new/e.mkv");
    assert!(daemon.stop().success());
}

#[test]
fn more_changes_than_can_be_followed_take_no_more_memory() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    // The deeper a path, the longer it takes to follow what happens there.
    let deep = sandbox.root().join(["directory"; 30].join("/"));
    fs::create_dir_all(deep.join("one")).expect("directories");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    let peak = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("KiB")
    };
    let before = peak();
    for _ in 0..50_000 {
        fs::rename(deep.join("one"), deep.join("two")).expect("renamed");
        fs::rename(deep.join("two"), deep.join("one")).expect("renamed");
    }
    wait_for_film(&sandbox, "films/new/b.mkv");
    let grown = peak().saturating_sub(before);
    assert!(grown < 16_000, "{grown} KiB more for 100,000 renames");
    assert!(daemon.stop().success());
}

#[test]
fn directory_made_where_nobody_may_read_is_watched_once_it_can_be_reached() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.film("films/a/a.mkv");
    let mode = |mode| {
        fs::set_permissions(sandbox.path("films/a"), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let mut command = sandbox.vpo_as_nobody(["serve", "--port", "0", "--library"]);
    command.arg(sandbox.root());
    sandbox.give_away();
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    wait_status(&sandbox, "films/a/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    // It may be written to and passed through, which is enough for what is below.
    mode(0o300);
    fs::create_dir(sandbox.path("films/a/one")).expect("a directory");
    fs::set_permissions(sandbox.path("films/a/one"), fs::Permissions::from_mode(0o755)).expect("a mode");
    wait_for_film(&sandbox, "films/b.mkv");
    wait_for_film(&sandbox, "films/a/one/c.mkv");
    // And here only root makes a directory.
    mode(0o000);
    if rustix::process::geteuid().is_root() {
        fs::create_dir(sandbox.path("films/a/two")).expect("a directory");
        wait_for_film(&sandbox, "films/d.mkv");
    }
    mode(0o755);
    wait_for_film(&sandbox, "films/e.mkv");
    wait_for_film(&sandbox, "films/a/two/deep/f.mkv");
    wait_for_film(&sandbox, "films/a/two/g.mkv");
    assert!(daemon.stop().success());
}

#[test]
fn root_that_is_away_does_not_count_as_watched() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let mut daemon = serve(&sandbox);
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    fs::rename(sandbox.root(), sandbox.path("away")).expect("moved away");
    daemon.wait_watch(&sandbox.root(), "unavailable");
    fs::rename(sandbox.path("away"), sandbox.root()).expect("moved back");
    daemon.wait_watch(&sandbox.root(), "watching");
    wait_for_film(&sandbox, "films/b.mkv");
    assert!(daemon.stop().success());
}

/// How many inotify watches the daemon holds, as the kernel counts them, and how many threads that follow them.
fn count_watches(daemon: &Daemon) -> (usize, usize) {
    let texts = |folder: &str, name: &str| {
        let entries = fs::read_dir(format!("/proc/{}/{folder}", daemon.pid())).expect("it runs").flatten();
        let paths = entries.map(|entry| if name.is_empty() { entry.path() } else { entry.path().join(name) });
        // A descriptor or a thread may end meanwhile.
        paths.filter_map(|path| fs::read_to_string(path).ok()).collect::<Vec<_>>()
    };
    let watches = texts("fdinfo", "").iter().map(|text| text.matches("inotify wd:").count()).sum();
    let threads = texts("task", "comm").iter().filter(|name| name.trim() == "watch").count();
    (watches, threads)
}

#[test]
fn watches_end_with_their_directories_and_with_the_watch() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    fs::create_dir_all(sandbox.path("films/.hidden/deep")).expect("directories");
    let config = |watch: bool| {
        let library = format!("roots = [{:?}]\nwatch = {watch}", sandbox.root());
        sandbox.write("vpo.toml", format!("[library]\n{library}\n"))
    };
    let mut daemon = sandbox.serve(["--config".as_ref(), config(true).as_os_str()]);
    let wait = |what: &str, watches: usize, threads: usize| {
        // One watch is of the database's directory.
        eventually(what, || (count_watches(&daemon) == (1 + watches, threads)).then_some(()));
    };
    wait("the root is watched", 1, 1);
    for top in ["moved", "hidden", "removed", "renamed"] {
        fs::create_dir_all(sandbox.path(format!("films/{top}/sub/deep"))).expect("directories");
    }
    wait("four trees are watched too", 13, 1);
    let rename = |from: &str, to: &str| fs::rename(sandbox.path(from), sandbox.path(to)).expect("renamed");
    rename("films/moved", "moved");
    rename("films/hidden", "films/.also_hidden");
    rename("films/renamed", "films/again");
    fs::remove_dir_all(sandbox.path("films/removed")).expect("removed");
    wait("the root and the tree that is left are watched", 4, 1);
    config(false);
    daemon.signal(Signal::HUP);
    wait("nothing is watched", 0, 0);
    assert!(daemon.stop().success());
}

/// A daemon in namespaces of its own: `before` is run there first, and `later` once there is a file `go`.
fn serve_apart(sandbox: &Sandbox, before: &str, later: &str) -> Daemon {
    let vpo = sandbox.vpo([""; 0]);
    let script = format!("{before}; (until [ -e go ]; do sleep 0.1; done; {later}) & exec \"$@\"");
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]).arg(vpo.get_program());
    command.args(["serve", "--port", "0", "--library"]).arg(sandbox.root()).current_dir(sandbox.path(""));
    command.env_clear().env("HOME", sandbox.path("")).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    daemon
}

#[test]
#[ignore = "needs root: a limit of its own on watches"]
fn root_that_could_not_be_watched_is_tried_again_after_a_scan() {
    let sandbox = Sandbox::new();
    for number in 0..30 {
        sandbox.film(&format!("films/{number}/a.mkv"));
    }
    let limit = "/proc/sys/user/max_inotify_watches";
    let mut daemon =
        serve_apart(&sandbox, &format!("echo 10 > {limit}"), &format!("echo 100 > {limit}; rm go"));
    daemon.wait_log("reason=watches");
    wait_status(&sandbox, "films/29/a.mkv", "ok");
    sandbox.write("go", "");
    eventually("a higher limit", || (!sandbox.path("go").exists()).then_some(()));
    assert!(sandbox.run(["scan".as_ref(), sandbox.root().as_os_str()]).status.success());
    daemon.wait_watch(&sandbox.root(), "watching");
    wait_for_film(&sandbox, "films/new/b.mkv");
    assert!(daemon.stop().success());
    assert_eq!(daemon.log().matches("reason=watches").count(), 1, "{}", daemon.log());
}

#[test]
#[ignore = "needs root: mounts of its own"]
fn mount_that_appears_is_watched_once_a_scan_has_found_it() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/disk/b.mkv");
    let mount = "mount -t tmpfs none films/disk && mkdir films/disk/sub && rm go";
    let mut daemon = serve_apart(&sandbox, "true", mount);
    wait_status(&sandbox, "films/disk/b.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    sandbox.write("go", "");
    eventually("a mount", || (!sandbox.path("go").exists()).then_some(()));
    sandbox.run(["scan".as_ref(), sandbox.root().as_os_str()]);
    // The tmpfs is only to be seen from where the daemon is.
    let there = |name: &str| {
        let path = sandbox.path(format!("films/disk/sub/{name}"));
        let path = format!("/proc/{}/root{}", daemon.pid(), path.display());
        fs::write(&path, video::matroska(name, &["eng"])).expect("a film");
        settled(Path::new(&path));
        wait_status(&sandbox, &format!("films/disk/sub/{name}"), "ok");
    };
    there("c.mkv");
    there("d.mkv");
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "needs root: mounts of its own"]
fn root_that_is_mounted_anew_is_watched_anew() {
    let sandbox = Sandbox::new();
    sandbox.film("disk/a.mkv");
    fs::create_dir(sandbox.root()).expect("a directory");
    // A daemon that is just looking there keeps it busy.
    let again = "until umount films; do sleep 0.1; done; mount --bind disk films && rm go";
    let mut daemon = serve_apart(&sandbox, "mount --bind disk films", again);
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    sandbox.write("go", "");
    daemon.wait_log("the root has changed");
    wait_status(&sandbox, "films/a.mkv", "ok");
    sandbox.film("disk/b.mkv");
    wait_status(&sandbox, "films/b.mkv", "ok");
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "needs root: mounts of its own"]
fn disk_that_is_unmounted_and_mounted_at_once_is_watched() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    fs::create_dir(sandbox.path("films/disk")).expect("a directory");
    let again = "until umount films/disk; do sleep 0.1; done; mount -t tmpfs none films/disk && rm go";
    let mut daemon = serve_apart(&sandbox, "mount -t tmpfs none films/disk", again);
    wait_status(&sandbox, "films/a.mkv", "ok");
    daemon.wait_watch(&sandbox.root(), "watching");
    sandbox.write("go", "");
    eventually("another mount", || (!sandbox.path("go").exists()).then_some(()));
    // The first one may be found by the scan that the lost watches lead to. Nothing but a watch leads to the second one.
    for name in ["b.mkv", "c.mkv"] {
        let path = sandbox.path(format!("films/disk/{name}"));
        let path = format!("/proc/{}/root{}", daemon.pid(), path.display());
        fs::write(&path, video::matroska(name, &["eng"])).expect("a film");
        settled(Path::new(&path));
        wait_status(&sandbox, &format!("films/disk/{name}"), "ok");
    }
    assert!(daemon.stop().success());
}
