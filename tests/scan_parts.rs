//! Scans of a part of a root: what they may conclude, and what only a walk of the whole root can.

use std::fs;

use crate::harness::Sandbox;

fn move_file(sandbox: &Sandbox, from: &str, to: &str) {
    fs::create_dir_all(sandbox.path(to).parent().expect("a parent")).expect("directories");
    fs::rename(sandbox.path(from), sandbox.path(to)).expect("moved");
}

#[test]
fn file_moved_into_the_part_that_is_scanned_keeps_its_row() {
    let sandbox = Sandbox::new();
    sandbox.film("films/new/a.mkv");
    sandbox.film("films/old/b.mkv");
    sandbox.scan(&[]);
    let id = sandbox.row("films/new/a.mkv").id;
    move_file(&sandbox, "films/new/a.mkv", "films/old/a.mkv");
    let scan = sandbox.scan(&[sandbox.path("films/old").to_str().expect("UTF-8")]);
    assert_eq!((&scan["moved"], &scan["added"]), (&1.into(), &0.into()), "{scan}");
    assert_eq!(sandbox.row("films/old/a.mkv").id, id);
    assert_eq!(sandbox.rows().len(), 2);
}

#[test]
fn many_files_moved_into_the_part_that_is_scanned_keep_their_rows() {
    let sandbox = Sandbox::new();
    for number in 0..20 {
        sandbox.film(&format!("films/new/{number}.mkv"));
    }
    sandbox.film("films/old/b.mkv");
    sandbox.scan(&[]);
    let ids = |directory: &str| {
        (0..20).map(|number| sandbox.row(&format!("films/{directory}/{number}.mkv")).id).collect::<Vec<_>>()
    };
    let before = ids("new");
    for number in 0..20 {
        move_file(&sandbox, &format!("films/new/{number}.mkv"), &format!("films/old/{number}.mkv"));
    }
    let scan = sandbox.scan(&[sandbox.path("films/old").to_str().expect("UTF-8")]);
    assert_eq!((&scan["moved"], &scan["added"]), (&20.into(), &0.into()), "{scan}");
    assert_eq!(ids("old"), before);
}

#[test]
fn copy_within_the_root_is_a_new_file() {
    let sandbox = Sandbox::new();
    sandbox.film("films/new/a.mkv");
    sandbox.scan(&[]);
    let copy = sandbox.write("films/old/a.mkv", fs::read(sandbox.path("films/new/a.mkv")).expect("readable"));
    crate::harness::settled(&copy);
    let scan = sandbox.scan(&[sandbox.path("films/old").to_str().expect("UTF-8")]);
    assert_eq!(
        (&scan["moved"], &scan["added"], &scan["total_discovered"]),
        (&0.into(), &1.into(), &1.into())
    );
}

/// As if the root had been a mount when it was last scanned.
fn unmount(sandbox: &Sandbox, json: &str) {
    sandbox.sql(&format!(
        "UPDATE jobs SET summary_json = {json} WHERE json_extract(summary_json, '$.root') IS NOT NULL"
    ));
}

const WAS_A_MOUNT: &str = "json_set(summary_json, '$.root.mount_point', json('true'))";

#[test]
fn part_of_a_root_that_is_no_longer_mounted_takes_no_new_rows() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    unmount(&sandbox, WAS_A_MOUNT);
    fs::remove_file(sandbox.path("films/a.mkv")).expect("gone with the mount");
    let part = sandbox.film("films/under.mkv");
    let output = sandbox.try_scan(&[part.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(sandbox.find_row("films/under.mkv").is_none(), "it lies in the bare directory");
    assert_eq!(sandbox.row("films/a.mkv").status, "ok");
}

#[test]
fn root_that_is_elsewhere_with_all_its_files_is_taken_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    unmount(&sandbox, WAS_A_MOUNT);
    let part = sandbox.film("films/b.mkv");
    sandbox.scan(&[part.to_str().expect("UTF-8")]);
    assert_eq!((sandbox.row("films/a.mkv").status, sandbox.rows().len()), ("ok".into(), 2));
    fs::remove_file(sandbox.path("films/a.mkv")).expect("deleted");
    sandbox.scan(&[]);
    assert_eq!(sandbox.row("films/a.mkv").status, "missing", "it is known now that the root is no mount");
}

#[test]
fn what_another_version_recorded_of_a_root_guards_it_all_the_same() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.film("films/b.mkv");
    sandbox.scan(&[]);
    unmount(
        &sandbox,
        &format!("json_set(json_remove({WAS_A_MOUNT}, '$.symlinks', '$.seconds'), '$.later', 1)"),
    );
    fs::remove_file(sandbox.path("films/a.mkv")).expect("gone with the mount");
    let output = sandbox.try_scan(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(sandbox.row("films/a.mkv").status, "ok");
}

#[test]
fn dry_run_answers_as_the_scan_would() {
    let sandbox = Sandbox::new();
    for number in 0..12 {
        sandbox.film(&format!("films/{number}.mkv"));
    }
    sandbox.scan(&[]);
    for number in 0..12 {
        fs::remove_file(sandbox.path(format!("films/{number}.mkv"))).expect("deleted");
    }
    sandbox.film("films/other.mkv");
    let typo = sandbox.path("films/typo");
    let typo = typo.to_str().expect("UTF-8");
    for (arguments, code) in [(&[][..], 1), (&["--accept-missing"], 0), (&["--accept-missing", typo], 1)] {
        let dry = sandbox.try_scan(&[&["--dry-run"], arguments].concat());
        assert_eq!(dry.status.code(), Some(code), "--dry-run {arguments:?}: {dry:?}");
    }
    let output = sandbox.try_scan(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = sandbox.try_scan(&["--accept-missing"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
