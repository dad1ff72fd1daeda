//! Roots and libraries on file systems that come, go, refuse and fill up.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Daemon, Sandbox, eventually, within};

/// A mount for one test; lazily unmounted at its end.
struct Mount(PathBuf);

impl Mount {
    fn new(args: &[&str], at: PathBuf) -> Self {
        fs::create_dir_all(&at).expect("a mount point");
        run(Command::new("mount").args(args).arg(&at));
        Self(at)
    }

    fn tmpfs(size: &str, at: PathBuf) -> Self {
        Self::new(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], at)
    }

    fn bind(from: &Path, at: PathBuf) -> Self {
        Self::new(&["--bind", from.to_str().expect("UTF-8")], at)
    }

    /// Properly, as soon as nobody is at work there.
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
    // What lies below the mount point must not be taken for the root's.
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
