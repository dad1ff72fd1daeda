//! The walk of a root: it does not leave the root, one place that it cannot read excuses only what is below that place, and
//! a scan that could not read everything fails and names what it missed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::OpenFlags;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with, unlinkat};
use serde_json::Value;

use crate::harness::{Sandbox, eventually, settled, video};

/// Names of one film's content in `directory`.
fn links(film: &Path, directory: &Path, count: u32) {
    fs::create_dir_all(directory).expect("a directory");
    for number in 0..count {
        fs::hard_link(film, directory.join(format!("{number:04}.mkv"))).expect("a name");
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// `vpo scan` as a user that modes hold for.
fn scan_as_nobody(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut command = sandbox.vpo_as_nobody(["scan"]);
    command.arg("--library").arg(sandbox.root()).args(args).output().expect("vpo runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))["scans"][0]
        .clone()
}

#[test]
fn no_row_describes_a_file_outside_the_root_while_a_directory_and_a_link_are_exchanged() {
    let sandbox = Sandbox::new();
    let inside = sandbox.film("inside.mkv");
    let outside = sandbox.write("outside.mkv", video::matroska(&"outside ".repeat(50), &["eng"]));
    settled(&outside);
    links(&inside, &sandbox.path("films/a"), 1000);
    links(&outside, &sandbox.path("elsewhere"), 1000);
    let (directory, link) = (sandbox.path("films/a"), sandbox.path("films/b"));
    symlink(sandbox.path("elsewhere"), &link).expect("a link");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                renameat_with(CWD, &directory, CWD, &link, RenameFlags::EXCHANGE).expect("exchanged");
            }
        });
        let size = i64::try_from(fs::metadata(&inside).expect("there").len()).expect("small");
        let (mut recorded, mut outside) = (0, Vec::new());
        for _ in 0..5 {
            // A refusal is an end too: only the rows count.
            let _ = sandbox.try_scan(&["--accept-missing"]);
            let rows = sandbox.rows();
            recorded += rows.len();
            outside.extend(rows.into_iter().filter(|row| row.size != size).map(|row| row.path));
            fs::remove_dir_all(sandbox.path(".vpo")).expect("removed");
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(outside.is_empty(), "{} rows of files outside: {:?}", outside.len(), outside.first());
        assert!(recorded > 100, "only {recorded} rows: the scans met no files at all");
    });
}

#[test]
fn file_whose_path_is_longer_than_a_system_call_takes_is_read() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/short.mkv");
    let name = "d".repeat(250);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = openat(CWD, sandbox.root(), flags, Mode::empty()).expect("opens");
    for _ in 0..20 {
        mkdirat(&directory, &name, Mode::RWXU).expect("a directory");
        directory = openat(&directory, &name, flags, Mode::empty()).expect("opens");
    }
    rustix::fs::linkat(CWD, &film, &directory, "deep.mkv", rustix::fs::AtFlags::empty()).expect("a name");
    assert_eq!(sandbox.scan(&[])["added"], 2);
    let stored = format!("films/{}/deep.mkv", [name.as_str(); 20].join("/"));
    let row = sandbox.row(&stored);
    assert!(row.path.len() > 5000 && row.status == "ok" && row.hash.is_some(), "{:?}", row.error);
    // Not looked for and there is not missing; gone is.
    let mut command = sandbox.vpo(["scan", "--library"]);
    command.arg(sandbox.root()).env("VPO_LIBRARY_EXTENSIONS", "mp4").stdout(Stdio::null());
    assert!(command.status().expect("vpo runs").success());
    assert_eq!(sandbox.row(&stored).status, "ok");
    unlinkat(&directory, "deep.mkv", rustix::fs::AtFlags::empty()).expect("gone");
    assert_eq!(sandbox.scan(&[])["removed"], 1);
}

#[test]
fn place_that_cannot_be_read_excuses_only_what_is_below_it() {
    let sandbox = Sandbox::new();
    for name in ["a", "keep", "shut/b", "shut/sub/c", "shut!/d", "shutter/e"] {
        sandbox.film(&format!("films/{name}.mkv"));
    }
    let deep = format!("films/deep/{}", ["d"; 300].join("/"));
    fs::create_dir_all(sandbox.path(&deep)).expect("directories deeper than a walk goes");
    sandbox.give_away();
    assert_eq!(json(&scan_as_nobody(&sandbox, &["--json"]))["added"], 6);
    for name in ["a", "shut/b", "shut!/d", "shutter/e"] {
        fs::remove_file(sandbox.path(format!("films/{name}.mkv"))).expect("gone");
    }
    set_mode(&sandbox.path("films/shut"), 0o000);
    let scan = json(&scan_as_nobody(&sandbox, &["--json"]));
    set_mode(&sandbox.path("films/shut"), 0o755);
    assert_eq!((&scan["walk_errors"], &scan["removed"]), (&2.into(), &3.into()), "{scan}");
    let status = |name: &str| sandbox.row(&format!("films/{name}.mkv")).status;
    for name in ["a", "shut!/d", "shutter/e"] {
        assert_eq!(status(name), "missing", "{name}");
    }
    for name in ["keep", "shut/b", "shut/sub/c"] {
        assert_eq!(status(name), "ok", "{name}");
    }
    // Once it can be read, it is known what is gone of it.
    let scan = json(&scan_as_nobody(&sandbox, &["--json"]));
    assert_eq!((&scan["walk_errors"], &scan["removed"]), (&1.into(), &1.into()), "{scan}");
    assert_eq!((status("shut/b"), status("shut/sub/c")), ("missing".to_owned(), "ok".to_owned()));
}

#[test]
fn much_that_is_gone_beside_a_place_that_cannot_be_read_is_refused() {
    let sandbox = Sandbox::new();
    for number in 0..20 {
        sandbox.film(&format!("films/{number}.mkv"));
    }
    fs::create_dir_all(sandbox.root().join(["d"; 300].join("/"))).expect("directories");
    assert_eq!(sandbox.scan(&[])["added"], 20);
    for number in 0..15 {
        fs::remove_file(sandbox.path(format!("films/{number}.mkv"))).expect("gone");
    }
    let output = sandbox.try_scan(&[]);
    assert_eq!((output.status.code(), json(&output)["status"].as_str()), (Some(1), Some("failed")));
    assert_eq!(sandbox.rows().iter().filter(|row| row.status == "ok").count(), 20);
}

#[test]
fn scan_names_the_first_ten_broken_files_and_succeeds() {
    let sandbox = Sandbox::new();
    sandbox.film("films/good.mkv");
    for number in 0..12 {
        settled(&sandbox.write(&format!("films/broken \u{1b}[2J{number:02}.mkv"), "<html>"));
    }
    let output = sandbox.run(["scan".as_ref(), "--library".as_ref(), sandbox.root().as_os_str()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "the videos are damaged, and were read: {output:?}");
    assert!(text.contains("  12 files that cannot be parsed:\n"), "{text}");
    let named = text.lines().filter(|line| line.contains(r"broken \u{1b}[2J") && line.contains("HTML"));
    assert_eq!(named.count(), 10, "{text}");
    assert!(text.contains("    and 2 more\n") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn scan_that_could_not_read_everything_fails_and_names_what_it_missed() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/film.mkv");
    sandbox.film("films/good.mkv");
    sandbox.film("films/shut/a.mkv");
    sandbox.give_away();
    let shut = sandbox.path("films/shut");
    let scan = |args: &[&str]| {
        let output = scan_as_nobody(&sandbox, args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(scan(&[]).0, Some(0));
    set_mode(&film, 0o000);
    // With another mtime it is read again; its owner may set that, whatever the mode.
    let touched = Command::new("touch").args(["-d", "2020-01-02"]).arg(&film).status();
    assert!(touched.expect("touch runs").success());
    let (code, stdout, stderr) = scan(&[]);
    assert_eq!(code, Some(1), "a file: {stdout}{stderr}");
    assert!(stdout.contains("1 file that cannot be read:\n") && stdout.contains("film.mkv: "), "{stdout}");
    assert!(stderr.contains("error[scan-incomplete]: "), "{stderr}");
    assert_eq!(scan(&[]).0, Some(1), "as long as it cannot be read");
    set_mode(&film, 0o644);
    assert_eq!(scan(&[]).0, Some(0));
    set_mode(&shut, 0o000);
    for args in [&[][..], &["--dry-run"], &["--json"]] {
        let (code, stdout, stderr) = scan(args);
        assert_eq!(code, Some(1), "a directory, {args:?}: {stdout}{stderr}");
        assert!(stderr.contains("error[scan-incomplete]: "), "{stderr}");
    }
    set_mode(&shut, 0o755);
    assert_eq!(scan(&[]).0, Some(0));
}

#[test]
fn names_that_are_not_recorded_make_the_scan_fail_and_hide_no_missing_file() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let other = sandbox.film("films/other.mkv");
    for letter in [b'E', b'F'] {
        sandbox.film(&format!("films/%{}9.mkv", char::from(letter)));
        let name = [if letter == b'E' { b'\xE9' } else { b'\xF9' }, b'.', b'm', b'k', b'v'];
        let bytes = sandbox.root().join(std::ffi::OsStr::from_bytes(&name));
        fs::write(&bytes, video::matroska("another", &["eng"])).expect("any name");
        settled(&bytes);
    }
    let scan = sandbox.scan(&[]);
    assert_eq!((&scan["unreadable"], &scan["walk_errors"]), (&2.into(), &0.into()), "{scan}");
    let named = scan["unreadable_examples"].to_string();
    for name in [r"\\xE9.mkv", r"\\xF9.mkv"] {
        assert!(named.contains(name) && named.contains("rename"), "{named}");
    }
    assert_eq!(sandbox.try_scan(&["--dry-run"]).status.code(), Some(1));
    fs::remove_file(other).expect("ours");
    let output = sandbox.try_scan(&[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("did not read everything: 2 unreadable files\n"), "{stderr}");
    assert_eq!(sandbox.row("films/other.mkv").status, "missing");
}

#[test]
fn new_file_that_cannot_be_read_is_stored_with_its_size_and_time() {
    let sandbox = Sandbox::new();
    let film = sandbox.film("films/film.mkv");
    sandbox.give_away();
    set_mode(&film, 0o000);
    let output = scan_as_nobody(&sandbox, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let row = sandbox.row("films/film.mkv");
    assert_eq!(row.status, "error");
    assert_eq!(u64::try_from(row.size), Ok(fs::metadata(&film).expect("there").len()));
    assert!(!row.modified.starts_with("1970"), "{}", row.modified);
}

#[test]
fn file_that_is_never_finished_makes_the_scan_fail_and_is_named() {
    let sandbox = Sandbox::new();
    sandbox.film("films/whole.mkv");
    let growing = sandbox.write("films/growing.mkv", video::matroska("growing", &["eng"]));
    let mut command = sandbox.vpo(["scan", "films"]);
    let mut scan = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("vpo runs");
    eventually("the end of the scan", || {
        fs::OpenOptions::new().append(true).open(&growing).expect("there").write_all(b"0").expect("written");
        scan.try_wait().expect("waitable")
    });
    let output = scan.wait_with_output().expect("it has ended");
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(stderr.contains("error[scan-incomplete]: ") && stderr.contains("1 unfinished file"), "{stderr}");
    let name = growing.display();
    assert!(stdout.contains(&format!("1 file still being written:\n    {name}\n")), "{stdout}");
    assert_eq!(sandbox.row("films/whole.mkv").status, "ok");
}

#[test]
fn scan_by_the_daemon_that_could_not_read_everything_fails_too() {
    let sandbox = Sandbox::new();
    sandbox.film("films/good.mkv");
    settled(&sandbox.write("films/broken.mkv", "<html>"));
    fs::create_dir_all(sandbox.root().join(["d"; 300].join("/"))).expect("directories");
    let mut daemon = sandbox.serve(["--library".as_ref(), sandbox.root().as_os_str()]);
    let output = sandbox.run(["scan".as_ref(), sandbox.root().as_os_str()]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr.contains("error[scan-incomplete]: "), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 error during the walk"), "{output:?}");
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "needs Debian's strace, which makes a system call fail"]
fn scan_reads_every_file_where_there_is_no_openat2() {
    for error in ["ENOSYS", "EPERM"] {
        let sandbox = Sandbox::new();
        sandbox.film("films/a.mkv");
        sandbox.film("films/b/c/d.mkv");
        sandbox.film("outside/e.mkv");
        symlink(sandbox.path("outside"), sandbox.path("films/link")).expect("a link");
        let (trace, vpo) = (sandbox.path("trace"), sandbox.vpo([""; 0]));
        let mut command = Command::new("/usr/bin/strace");
        command.args([
            "-f",
            "-qq",
            "-e",
            "trace=openat2",
            "-e",
            &format!("inject=openat2:error={error}"),
            "-o",
        ]);
        command.arg(&trace).arg(vpo.get_program()).args(["scan", "--json", "--library"]).arg(sandbox.root());
        let output = command
            .env_clear()
            .env("HOME", sandbox.path(""))
            .current_dir(sandbox.path(""))
            .output()
            .expect("runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let refused = fs::read_to_string(&trace).expect("a trace");
        assert!(refused.contains(error) && refused.contains("b/c/d.mkv"), "{refused}");
        let rows = sandbox.rows();
        assert!(
            rows.len() == 2 && rows.iter().all(|row| row.status == "ok" && row.hash.is_some()),
            "{rows:?}"
        );
    }
}

#[test]
fn directory_that_cannot_be_read_again_makes_the_scan_fail() {
    let sandbox = Sandbox::new();
    sandbox.film("films/old.mkv");
    // Modified just now, so the scan walks to it once more after some seconds.
    sandbox.write("films/d/1.mkv", video::matroska("new", &["eng"]));
    fs::create_dir(sandbox.path("data")).expect("a directory");
    sandbox.give_away();
    let database = sandbox.path("data/library.db");
    let mut command = sandbox.vpo_as_nobody(["scan", "--json", "--root"]);
    command.arg(sandbox.root()).arg("--database").arg(&database);
    let scan = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("vpo runs");
    eventually("the first round is stored", || {
        let connection = rusqlite::Connection::open_with_flags(
            format!("file:{}?immutable=1", database.display()),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
        );
        let count = connection.ok()?.query_row("SELECT count(*) FROM files", [], |row| row.get::<_, i64>(0));
        count.is_ok_and(|count| count == 1).then_some(())
    });
    set_mode(&sandbox.path("films/d"), 0o000);
    let output = scan.wait_with_output().expect("ends");
    set_mode(&sandbox.path("films/d"), 0o700);
    assert_eq!((output.status.code(), &json(&output)["walk_errors"]), (Some(1), &1.into()), "{output:?}");
}
