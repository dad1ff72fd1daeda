//! Roots and libraries on file systems that come, go, refuse and fill up.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Daemon, Sandbox, eventually, in_time, settled, within};

/// A mount for one test; lazily unmounted at its end.
pub(crate) struct Mount(PathBuf);

impl Mount {
    fn new(args: &[&str], at: PathBuf) -> Self {
        fs::create_dir_all(&at).expect("a mount point");
        run(Command::new("mount").args(args).arg(&at));
        Self(at)
    }

    pub(crate) fn tmpfs(size: &str, at: PathBuf) -> Self {
        Self::new(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], at)
    }

    fn bind(from: &Path, at: PathBuf) -> Self {
        Self::new(&["--bind", from.to_str().expect("UTF-8")], at)
    }

    /// Properly, as soon as no process uses it.
    fn unmount(self) {
        eventually("unmounted", || {
            Command::new("umount").arg(&self.0).output().expect("umount").status.success().then_some(())
        });
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// A directory seen through a FUSE server, which can be stopped like a share of which the network is gone.
struct Share {
    server: Child,
    at: PathBuf,
}

impl Share {
    fn new(from: &Path, at: PathBuf) -> Self {
        fs::create_dir_all(&at).expect("a mount point");
        let server = Command::new("bindfs").arg("-f").arg(from).arg(&at).spawn().expect("bindfs");
        let share = Self { server, at };
        eventually("the share is mounted", || {
            let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
            mounts.contains(&format!(" {} fuse", share.at.display())).then_some(())
        });
        share
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).expect("it runs");
    }
}

/// Resumes the share when dropped: while it is frozen, a process that waits for it cannot be killed.
struct Frozen<'a>(&'a Share);

impl<'a> Frozen<'a> {
    fn new(share: &'a Share) -> Self {
        share.signal(Signal::STOP);
        Self(share)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
        self.signal(Signal::CONT);
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Whether a thread of this name waits for a FUSE server that does not answer.
fn hangs(daemon: &Daemon, thread: &str) -> Option<()> {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).ok()?;
    let waits = |task: PathBuf| {
        let read = |name: &str| fs::read_to_string(task.join(name)).unwrap_or_default();
        // For an answer, or for a requested page of a file.
        let places = ["request_wait_answer", "folio_wait", "wait_on_page"];
        read("comm").trim().starts_with(thread) && places.iter().any(|place| read("wchan").contains(place))
    };
    tasks.flatten().any(|task| waits(task.path())).then_some(())
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until the check `name` has this status; `/health` is 200 all the while.
#[track_caller]
fn wait_check(daemon: &Daemon, name: &str, status: &str) -> Value {
    within(Duration::from_secs(60), &format!("{name} is {status}"), || {
        let answer = daemon.get("/health");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let checks = answer.json()["checks"].as_array()?.clone();
        checks.into_iter().find(|check| check["name"] == name && check["status"] == status)
    })
}

#[test]
#[ignore = "needs root: mounts"]
fn unmounted_root_is_offline_until_it_is_back() {
    let sandbox = Sandbox::new();
    for name in ["store/a.mkv", "store/b.mkv", "store/c.mkv"] {
        sandbox.film(name);
    }
    let root = sandbox.root();
    let mut mount = Mount::bind(&sandbox.path("store"), root.clone());
    // Files below the mount point must not be recorded as files of the root.
    let mut daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    eventually("three films", || (sandbox.library().exists() && sandbox.rows().len() == 3).then_some(()));
    let before = sandbox.rows();
    let name = format!("root:{}", root.display());
    for content in [None, Some("README.txt"), Some("other.mkv")] {
        mount.unmount();
        if let Some(content) = content {
            fs::write(root.join(content), "left behind").expect("written");
        }
        let check = wait_check(&daemon, &name, "warn");
        assert!(
            check["detail"].as_str().is_some_and(|detail| detail.contains("--accept-missing")),
            "{check}"
        );
        let ids = |rows: &[crate::harness::FileRow]| {
            rows.iter().map(|row| (row.id, row.status.clone())).collect::<Vec<_>>()
        };
        let kept: Vec<_> = sandbox.rows().into_iter().filter(|row| row.id <= 3).collect();
        assert_eq!(ids(&kept), ids(&before));
        if let Some(content) = content {
            fs::remove_file(root.join(content)).expect("removed");
        }
        mount = Mount::bind(&sandbox.path("store"), root.clone());
        wait_check(&daemon, &name, "pass");
    }
    assert!(sandbox.rows().iter().all(|row| row.status == "ok"));
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "needs root: mounts"]
fn files_of_a_lost_mount_below_the_root_keep_their_status() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("store/b.mkv");
    let mount = Mount::bind(&sandbox.path("store"), sandbox.path("films/disk"));
    assert_eq!(sandbox.scan(&[])["added"], 2);
    mount.unmount();
    for _ in 0..2 {
        let scan = sandbox.scan(&[]);
        assert_eq!((scan["removed"].as_u64(), scan["unmounted"].as_u64()), (Some(0), Some(1)));
        assert_eq!(sandbox.row("films/disk/b.mkv").status, "ok");
    }
    assert_eq!(sandbox.scan(&["--accept-missing"])["removed"], 1);
}

#[test]
#[ignore = "needs root: mounts"]
fn mount_below_the_root_that_was_once_unreadable_is_not_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("store/b.mkv");
    let mount = Mount::bind(&sandbox.path("store"), sandbox.path("films/disk"));
    run(Command::new("chown").arg("-R").arg("65534:65534").arg(sandbox.path("")));
    let scan = || {
        let mut command = sandbox.vpo(["scan", "--json", "--library"]);
        let output = command.arg(sandbox.root()).uid(65534).gid(65534).output().expect("vpo runs");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["scans"][0].clone()
    };
    assert_eq!(scan()["added"], 2);
    let store = sandbox.path("store");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o000)).expect("a mode");
    assert!(scan()["walk_errors"].as_u64() > Some(0));
    fs::set_permissions(&store, fs::Permissions::from_mode(0o755)).expect("a mode");
    mount.unmount();
    let after = scan();
    assert_eq!((after["removed"].as_u64(), after["unmounted"].as_u64()), (Some(0), Some(1)), "{after}");
    assert_eq!(sandbox.row("films/disk/b.mkv").status, "ok");
}

#[test]
#[ignore = "needs root: another user's files"]
fn lost_permission_changes_nothing() {
    let sandbox = Sandbox::new();
    for name in ["films/a/1.mkv", "films/b/2.mkv", "films/b/3.mkv"] {
        sandbox.film(name);
    }
    run(Command::new("chown").arg("-R").arg("65534:65534").arg(sandbox.path("")));
    let scan = || {
        let mut command = sandbox.vpo(["scan", "--json", "--library"]);
        let output = command.arg(sandbox.root()).uid(65534).gid(65534).output().expect("vpo runs");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["scans"][0].clone()
    };
    assert_eq!(scan()["added"], 3);
    let before = sandbox.rows();
    let shut = |name: &str, mode: u32| {
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    shut("films/b", 0o000);
    let half = scan();
    assert_eq!((half["status"].as_str(), half["removed"].as_u64()), (Some("completed"), Some(0)));
    assert!(half["walk_errors"].as_u64() > Some(0), "{half}");
    assert_eq!(sandbox.rows(), before);
    shut("films/b", 0o755);
    shut("films", 0o000);
    assert_eq!(scan()["status"], "failed");
    assert_eq!(sandbox.rows(), before);
    shut("films", 0o755);
    // A file that changed and cannot be read keeps what is known of it, and is tried again each time.
    sandbox.film("films/a/1.mkv");
    fs::File::options()
        .append(true)
        .open(sandbox.path("films/a/1.mkv"))
        .and_then(|file| file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)))
        .expect("touched");
    shut("films/a/1.mkv", 0o000);
    chown(sandbox.path("films/a/1.mkv"), Some(65534), Some(65534)).expect("an owner");
    assert_eq!(scan()["unreadable"], 1);
    assert_eq!(sandbox.rows(), before);
    shut("films/a/1.mkv", 0o644);
    assert_eq!(scan()["updated"], 1);
}

#[test]
#[ignore = "needs root: a disk of its own to fill"]
fn full_disk_fails_the_scan_and_nothing_else() {
    let sandbox = Sandbox::new();
    for number in 0..2000 {
        sandbox.film(&format!("films/{number:04}.mkv"));
    }
    let disk = Mount::tmpfs("900k", sandbox.path(".vpo"));
    let output = sandbox.try_scan(&[]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("full"), "{stderr}");
    assert_eq!(sandbox.value::<String>("PRAGMA integrity_check"), "ok");
    let root = sandbox.root();
    let mut daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    let check = wait_check(&daemon, "scanner", "warn");
    assert_eq!(check["reason"], "disk_full");
    run(Command::new("mount").args(["-o", "remount,size=64m"]).arg(&disk.0));
    wait_check(&daemon, "scanner", "pass");
    eventually("all films", || (sandbox.value::<i64>("SELECT count(*) FROM files") == 2000).then_some(()));
    assert!(daemon.stop().success());
    assert_eq!(sandbox.value::<String>("PRAGMA integrity_check"), "ok");
    assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM jobs WHERE status = 'running'"), 0);
}

#[test]
#[ignore = "needs root: a disk of its own to fill"]
fn disk_that_is_full_to_the_last_byte_keeps_the_library_readable() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let _disk = Mount::tmpfs("8m", sandbox.path(".vpo"));
    let root = sandbox.root();
    let mut daemon = sandbox.serve(["--root".as_ref(), root.as_os_str()]);
    eventually("the daemon writes no more", || {
        let is_hashed = daemon.get("/api/v1/files").json()["files"][0]["content_hash"].is_string();
        (is_hashed && !sandbox.path(".vpo/library.db-wal").exists()).then_some(())
    });
    let filler = sandbox.path(".vpo/filler");
    let mut file = fs::File::create(&filler).expect("created");
    for size in [65536, 1] {
        while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
    }
    drop(file);
    // SQLite makes a log, and cannot make its index.
    sandbox.film("films/b.mkv");
    assert_eq!(wait_check(&daemon, "scanner", "warn")["reason"], "disk_full");
    assert_eq!(daemon.get("/api/v1/files").status, 200);
    assert_eq!(daemon.get("/health").status, 200);
    fs::remove_file(filler).expect("removed");
    wait_check(&daemon, "scanner", "pass");
    eventually("both films", || (sandbox.value::<i64>("SELECT count(*) FROM files") == 2).then_some(()));
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "needs root and bindfs: a share"]
fn share_that_hangs_within_a_scan_holds_up_nothing_else() {
    let store = Sandbox::new();
    for number in 0..4000 {
        store.film(&format!("films/{number:04}.mkv"));
    }
    in_time(|| {
        let sandbox = Sandbox::new();
        let share = Share::new(&store.root(), sandbox.path("share"));
        sandbox.film("films/a.mkv");
        let mut command = sandbox.vpo(["serve", "--port", "0", "--library"]);
        command.arg(&share.at).arg("--library").arg(sandbox.root());
        let mut daemon = Daemon::spawn(command, &sandbox.library());
        daemon.wait_healthy();
        let count = || sandbox.value::<i64>("SELECT count(*) FROM files");
        eventually("a first batch of the share", || (count() > 1).then_some(()));
        let frozen = Frozen::new(&share);
        eventually("the scan hangs", || hangs(&daemon, "read-"));
        // What was read is stored. After that there is no progress, and none is reported.
        let mut client = daemon.client();
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            let answer = client.get("/health");
            assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("healthy")));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(count() < 4000, "it hangs within the scan");
        drop(client);
        let start = Instant::now();
        daemon.signal(Signal::TERM);
        let line = daemon.wait_log("stopped after");
        let took = start.elapsed();
        // All is done. The kernel keeps a process whose request the server has in hand, though, until that answers.
        drop(frozen);
        assert!(daemon.wait().success(), "{line}");
        assert_eq!(sandbox.value::<String>("PRAGMA integrity_check"), "ok");
        assert_eq!(sandbox.value::<i64>("SELECT count(*) FROM files WHERE scan_status <> 'ok'"), 0);
        // The scan's second, and the daemon's own end.
        if took < Duration::from_millis(1500) { Ok(()) } else { Err(format!("{took:?}")) }
    });
}

#[test]
#[ignore = "needs root and bindfs: a share"]
fn share_that_hangs_does_not_keep_the_library_locked() {
    let sandbox = Sandbox::new();
    for name in ["store/lost.mkv", "store/kept.mkv", "films/a.mkv"] {
        sandbox.film(name);
    }
    let share = Share::new(&sandbox.path("store"), sandbox.path("share"));
    let scan = |root: &Path| {
        let output = sandbox.run(["scan".as_ref(), "--library".as_ref(), root.as_os_str()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    scan(&share.at);
    let id = sandbox.row("share/lost.mkv").id;
    let content = fs::read(sandbox.path("store/lost.mkv")).expect("there");
    // Through the share: the kernel may cache the previous state for a second.
    fs::remove_file(sandbox.path("share/lost.mkv")).expect("gone");
    scan(&share.at);
    assert_eq!(sandbox.row("share/lost.mkv").status, "missing");
    let mut command = sandbox.vpo(["serve", "--port", "0", "--library"]);
    command.arg(sandbox.root()).arg("--library").arg(&share.at);
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    daemon.wait_watch(&sandbox.root(), "watching");
    eventually("both roots' first scans", || {
        let done = "SELECT count(DISTINCT file_path) FROM jobs WHERE status = 'completed'
            AND json_extract(policy_json, '$.reason') <> 'request'";
        (sandbox.value::<i64>(done) == 2).then_some(())
    });
    // The film appears elsewhere. Only the share knows whether it is gone from the old path.
    let frozen = Frozen::new(&share);
    settled(&sandbox.write("films/found.mkv", content));
    within(Duration::from_secs(60), "the scan asks the share, or knows that it must not", || {
        hangs(&daemon, "scan").or_else(|| sandbox.find_row("films/found.mkv").map(drop))
    });
    let database = sandbox.database();
    database.busy_timeout(Duration::from_secs(2)).expect("a timeout");
    database.execute_batch("BEGIN IMMEDIATE; COMMIT").expect("the library is not locked");
    drop(frozen);
    eventually("the film is recorded", || sandbox.find_row("films/found.mkv").map(drop));
    assert!(sandbox.row("films/found.mkv").id >= id);
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "needs root and bindfs: a share"]
fn share_that_hangs_while_files_are_hashed_holds_up_no_scan() {
    let sandbox = Sandbox::new();
    for number in 0..1200 {
        sandbox.film(&format!("store/{number:04}.mkv"));
    }
    sandbox.film("films/a.mkv");
    let share = Share::new(&sandbox.path("store"), sandbox.path("share"));
    let output = sandbox.run(["scan".as_ref(), "--library".as_ref(), share.at.as_os_str()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // From now on a batch of hashes takes about a second, so that there is time for what follows.
    sandbox.sql(
        "CREATE TABLE numbers (n INTEGER);
         INSERT INTO numbers WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up LIMIT 150) SELECT n FROM up;
         UPDATE files SET content_hash = NULL;
         CREATE TRIGGER slow BEFORE UPDATE OF content_hash ON files
         BEGIN SELECT sum(a.n * b.n) FROM numbers a, numbers b; END",
    );
    let mut command = sandbox.vpo(["serve", "--port", "0", "--library"]);
    command.arg(&share.at).arg("--library").arg(sandbox.root());
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    let hashed = "SELECT count(content_hash) FROM files";
    eventually("a first batch of hashes", || (sandbox.value::<i64>(hashed) > 0).then_some(()));
    let frozen = Frozen::new(&share);
    eventually("hashing hangs", || hangs(&daemon, "hash"));
    sandbox.film("films/b.mkv");
    // Once it is plain that no sign of life will come.
    within(Duration::from_secs(60), "the film is recorded", || sandbox.find_row("films/b.mkv").map(drop));
    let log = daemon.log();
    assert!(log.contains("hashing makes no progress"), "{log}");
    assert!(!log.contains("a scan makes no progress"), "{log}");
    drop(frozen);
    eventually("all hashes", || {
        let unhashed = "SELECT count(*) FROM files WHERE content_hash IS NULL";
        (sandbox.value::<i64>(unhashed) == 0).then_some(())
    });
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "needs root and bindfs: a share"]
fn share_that_tells_of_no_changes_is_said_once() {
    let sandbox = Sandbox::new();
    sandbox.film("store/a.mkv");
    let share = Share::new(&sandbox.path("store"), sandbox.path("share"));
    let config = |interval: u32| {
        let library = format!("roots = [{:?}]\nrescan_interval = {interval}", share.at);
        sandbox.write("vpo.toml", format!("[library]\n{library}\n"))
    };
    let mut daemon = sandbox.serve(["--config".as_ref(), config(3600).as_os_str()]);
    daemon.wait_log("reason=remote");
    eventually("the first film", || sandbox.find_row("share/a.mkv").map(drop));
    // From then on the interval finds changes, and the warning is not repeated.
    config(1);
    daemon.signal(Signal::HUP);
    sandbox.film("store/b.mkv");
    eventually("the second film", || sandbox.find_row("share/b.mkv").map(drop));
    assert!(daemon.stop().success());
    assert_eq!(daemon.log().matches("reason=remote").count(), 1, "{}", daemon.log());
}

#[test]
#[ignore = "needs root: a limit of its own on watches"]
fn watches_that_run_out_are_said_once_and_the_scan_goes_on() {
    let sandbox = Sandbox::new();
    for number in 0..12 {
        sandbox.film(&format!("films/{number}/a.mkv"));
    }
    let vpo = sandbox.vpo([""; 0]);
    let limited = "echo 5 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", limited, "sh"]).arg(vpo.get_program());
    command.args(["serve", "--port", "0", "--library"]).arg(sandbox.root());
    command.env_clear().env("HOME", sandbox.path("")).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("VPO_SCAN_RESCAN_INTERVAL", "1");
    let mut daemon = Daemon::spawn(command, &sandbox.library());
    daemon.wait_healthy();
    let line = daemon.wait_log("reason=watches");
    assert!(line.contains("sysctl fs.inotify.max_user_watches="), "{line}");
    daemon.wait_watch(&sandbox.root(), "unavailable");
    sandbox.film("films/new/b.mkv");
    eventually("the interval finds it", || sandbox.find_row("films/new/b.mkv").map(drop));
    assert!(daemon.stop().success());
    assert_eq!(daemon.log().matches("reason=watches").count(), 1, "{}", daemon.log());
}

#[test]
#[ignore = "needs root: mounts"]
fn file_that_goes_from_a_mount_below_the_root_is_seen_to_be_gone() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    for name in ["b.mkv", "c.mkv"] {
        sandbox.film(&format!("store/{name}"));
    }
    let _mount = Mount::bind(&sandbox.path("store"), sandbox.path("films/disk"));
    let root = sandbox.root();
    let mut daemon = sandbox.serve(["--library".as_ref(), root.as_os_str()]);
    eventually("all films", || (sandbox.value::<i64>("SELECT count(*) FROM files") == 3).then_some(()));
    daemon.wait_watch(&root, "watching");
    fs::remove_file(sandbox.path("films/disk/b.mkv")).expect("gone");
    eventually("it is missing", || (sandbox.row("films/disk/b.mkv").status == "missing").then_some(()));
    assert_eq!(sandbox.row("films/disk/c.mkv").status, "ok");
    assert!(daemon.stop().success());
}
