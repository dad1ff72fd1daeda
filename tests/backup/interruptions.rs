//! Signals, SIGKILL at any moment, full disks, other users.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::{begun, done, drafts, library, names, refused, said, whole};
use crate::harness::Sandbox;
use crate::mounts::Mount;

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
    // Without a previous file, to the owner of the directory; and root leaves no lock file.
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
