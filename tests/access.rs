//! A daemon without full permissions: what it still serves, what it refuses, and its messages.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Answer, Client, Daemon, Sandbox, eventually};

/// A database as VPO makes it, optionally in WAL mode, with no file beside it.
fn library(sandbox: &Sandbox, wal: bool) {
    let path = sandbox.write("data/library.db", "");
    let connection = Connection::open(path).expect("opens");
    connection.execute_batch(vpo::library::schema::SQL).expect("valid");
    if wal {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("WAL");
    }
}

fn set(sandbox: &Sandbox, name: &str, mode: u32) {
    fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).expect("set");
}

fn serve(sandbox: &Sandbox, roots: bool) -> Command {
    let mut command = sandbox.vpo_as_nobody(["serve", "--port", "0", "--database"]);
    command.arg(sandbox.path("data/library.db"));
    if roots {
        command.arg("--library").arg(sandbox.path("videos"));
    }
    command
}

#[track_caller]
fn assert_refused(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = text.lines().last().expect("a line");
    for part in parts {
        assert!(line.contains(part), "{part:?} not in {line}");
    }
}

/// The fix concerns these files and directories, and nothing else below them.
#[track_caller]
fn assert_advised(output: &Output, places: &[&Path]) {
    let text = String::from_utf8_lossy(&output.stderr);
    let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    let places = places.join(" ");
    let owner = text.split("`chown ").nth(1).and_then(|rest| rest.split_once(' ')).expect("chown is advised");
    assert!(owner.1.starts_with(&format!("{places}` and `chmod u+rwX {places}`")), "{text}");
    assert_eq!(text.matches("chown").count(), 1, "{text}");
}

/// The daemon, with the address from its log: there may be no lock file.
fn start(command: Command, library: &Path) -> (Daemon, SocketAddr) {
    let daemon = Daemon::spawn(command, library);
    let line = daemon.wait_log("address=");
    let address = line.split("address=").nth(1).expect("there").split_whitespace().next().expect("a word");
    let address = address.trim_start_matches("http://").parse().expect("an address");
    (daemon, address)
}

#[track_caller]
fn assert_read_only(address: SocketAddr) {
    let answer = eventually("/health is 200", || {
        let answer = Client::try_connect(address)?.try_get("/health")?;
        (answer.status == 200).then_some(answer)
    });
    let body = answer.json();
    assert_eq!(
        (&body["status"], &body["checks"][0]["reason"]),
        (&"healthy".into(), &"read_only".into()),
        "{body}"
    );
}

fn listing(sandbox: &Sandbox) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(sandbox.path("data"))
        .expect("readable")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name(), fs::read(entry.path()).expect("readable")))
        .collect();
    files.sort();
    files
}

#[test]
fn a_library_that_may_not_be_written_is_served_without_roots_and_refused_with_them() {
    let sandbox = Sandbox::new();
    library(&sandbox, false);
    sandbox.write("videos/notes.txt", "");
    sandbox.give_away();
    set(&sandbox, "data/library.db", 0o444);
    let (mut daemon, address) = start(serve(&sandbox, false), &sandbox.path("data/library.db"));
    assert_read_only(address);
    assert!(daemon.stop().success());
    let output = serve(&sandbox, true).output().expect("runs");
    assert_refused(
        &output,
        &[
            "error[database-read-only]",
            "scan.roots",
            "mode 0444",
            "vpo runs as ",
            ":U",
            "--userns=keep-id",
            "ReadWritePaths=",
        ],
    );
}

#[test]
fn a_directory_that_may_not_be_written_needs_no_lock_file_to_read() {
    let sandbox = Sandbox::new();
    library(&sandbox, false);
    sandbox.give_away();
    set(&sandbox, "data", 0o555);
    let before = listing(&sandbox);
    for runtime_directory in [None, Some(sandbox.path("none"))] {
        let mut command = serve(&sandbox, false);
        command.envs(runtime_directory.map(|directory| ("RUNTIME_DIRECTORY", directory)));
        let (mut daemon, address) = start(command, &sandbox.path("data/library.db"));
        assert_read_only(address);
        assert!(daemon.log().contains("healthcheck"), "{}", daemon.log());
        assert!(daemon.stop().success());
    }
    assert!(listing(&sandbox) == before, "nothing is touched");
    set(&sandbox, "data", 0o755);
}

#[test]
fn where_the_directory_may_not_be_written_the_lock_is_in_the_runtime_directory() {
    let sandbox = Sandbox::new();
    library(&sandbox, false);
    fs::create_dir(sandbox.path("run")).expect("made");
    sandbox.give_away();
    set(&sandbox, "data", 0o555);
    let with_runtime = |mut command: Command| {
        // As systemd sets it for a unit with two of them.
        command.env("RUNTIME_DIRECTORY", format!(":{}:/nowhere", sandbox.path("run").display()));
        command
    };
    let (mut daemon, address) = start(with_runtime(serve(&sandbox, false)), &sandbox.path("data/library.db"));
    assert_read_only(address);
    let lock = fs::read_to_string(sandbox.path("run/library.db.lock")).expect("there");
    let library = sandbox.path("data/library.db");
    let written = format!("{}\nhttp://{address}\n{}\nstarted ", daemon.pid(), library.display());
    assert!(lock.starts_with(&written), "{lock}");
    let output = with_runtime(serve(&sandbox, false)).output().expect("runs");
    assert_refused(
        &output,
        &["error[database-in-use]", &format!("pid {}", daemon.pid()), &address.to_string()],
    );
    let mut healthcheck = sandbox.vpo_as_nobody(["healthcheck", "--database"]);
    healthcheck.arg(sandbox.path("data/library.db"));
    let output = with_runtime(healthcheck).output().expect("runs");
    assert!(output.status.success(), "it finds the daemon there: {output:?}");
    assert!(daemon.stop().success());
    set(&sandbox, "data", 0o755);
}

#[test]
fn two_daemons_that_share_a_runtime_directory_are_told_apart() {
    let sandbox = Sandbox::new();
    library(&sandbox, false);
    sandbox.write("other/library.db", fs::read(sandbox.path("data/library.db")).expect("readable"));
    fs::create_dir(sandbox.path("run")).expect("made");
    sandbox.give_away();
    set(&sandbox, "data", 0o555);
    set(&sandbox, "other", 0o555);
    let vpo = |words: [&str; 4], library: &str| {
        let mut command = sandbox.vpo_as_nobody(words.into_iter().filter(|word| !word.is_empty()));
        command.arg(sandbox.path(library)).env("RUNTIME_DIRECTORY", sandbox.path("run"));
        command
    };
    let serve = |library| vpo(["serve", "--port", "0", "--database"], library);
    let (mut daemon, _) = start(serve("data/library.db"), &sandbox.path("data/library.db"));
    eventually("the address is published", || {
        fs::read_to_string(sandbox.path("run/library.db.lock")).ok().filter(|text| text.contains("http://"))
    });
    let output = serve("other/library.db").output().expect("runs");
    let lock = sandbox.path("run/library.db.lock").display().to_string();
    let parts = ["other/library.db", &lock, "data/library.db", "error[runtime-directory-shared]"];
    assert_refused(&output, &parts);
    let output = vpo(["healthcheck", "--database", "", ""], "other/library.db").output().expect("runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "the one that runs serves another library: {output:?}");
    assert!(text.contains("no daemon runs on"), "{text}");
    let output = vpo(["healthcheck", "--database", "", ""], "data/library.db").output().expect("runs");
    assert!(output.status.success(), "{output:?}");
    assert!(daemon.stop().success());
    set(&sandbox, "data", 0o755);
    set(&sandbox, "other", 0o755);
}

#[test]
fn who_may_not_read_the_lock_file_only_reads_beside_its_daemon() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be the other user");
        return;
    }
    let sandbox = Sandbox::new();
    library(&sandbox, false);
    fs::create_dir(sandbox.path("run")).expect("made");
    sandbox.give_away();
    let mut ours = sandbox.vpo(["serve", "--port", "0", "--database"]);
    ours.arg(sandbox.path("data/library.db"));
    let (mut daemon, _) = start(ours, &sandbox.path("data/library.db"));
    // The lock file is root's, who alone may read it. In a directory of theirs they still may not write beside its daemon.
    let output = serve(&sandbox, true).output().expect("runs");
    assert_refused(&output, &["no permission to write its lock file"]);
    set(&sandbox, "data", 0o555);
    let before = listing(&sandbox);
    for runtime_directory in [None, Some(sandbox.path("run"))] {
        let mut command = serve(&sandbox, false);
        command.envs(runtime_directory.map(|directory| ("RUNTIME_DIRECTORY", directory)));
        let (mut second, address) = start(command, &sandbox.path("data/library.db"));
        assert_read_only(address);
        assert!(second.stop().success());
    }
    let output = serve(&sandbox, true).output().expect("runs");
    assert_refused(&output, &["can be read but not written"]);
    assert!(daemon.stop().success());
    assert!(listing(&sandbox) == before, "nothing is touched");
    set(&sandbox, "data", 0o755);
}

#[test]
fn a_lock_file_that_may_not_be_written_is_named() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can leave a lock file that another user may not write");
        return;
    }
    let sandbox = Sandbox::new();
    library(&sandbox, false);
    fs::create_dir(sandbox.path("videos")).expect("made");
    sandbox.give_away();
    let lock = sandbox.write("data/library.db.lock", "4711\n");
    let output = serve(&sandbox, true).output().expect("runs");
    assert_refused(&output, &["no permission to write its lock file", "mode 0644"]);
    assert_advised(&output, &[&lock]);
}

#[test]
fn a_wal_library_in_a_directory_that_may_not_be_written_is_refused() {
    let sandbox = Sandbox::new();
    library(&sandbox, true);
    sandbox.give_away();
    set(&sandbox, "data", 0o555);
    let before = listing(&sandbox);
    let output = serve(&sandbox, false).output().expect("runs");
    assert_refused(
        &output,
        &["WAL mode", "writable directory", "mode 0555", ":U", "--userns=keep-id", "ReadWritePaths="],
    );
    assert!(listing(&sandbox) == before, "nothing is touched");
    set(&sandbox, "data", 0o755);
}

#[test]
fn what_may_not_be_reached_is_refused_with_the_component_that_is_in_the_way() {
    let sandbox = Sandbox::new();
    library(&sandbox, false);
    sandbox.give_away();
    set(&sandbox, "data/library.db", 0o000);
    let output = serve(&sandbox, false).output().expect("runs");
    assert_refused(
        &output,
        &["library.db", "mode 0000", "may not be read", "vpo runs as ", ":U", "--userns=keep-id"],
    );
    assert_advised(&output, &[&sandbox.path("data/library.db")]);
    set(&sandbox, "data/library.db", 0o644);
    set(&sandbox, "data", 0o600);
    let output = serve(&sandbox, false).output().expect("runs");
    assert_refused(&output, &["Permission denied", "mode 0600", "may not be entered", "ReadWritePaths="]);
    assert_advised(&output, &[&sandbox.path("data")]);
    set(&sandbox, "data", 0o755);
}

#[test]
fn a_library_that_cannot_be_made_is_refused_with_the_fix() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("data")).expect("made");
    sandbox.give_away();
    set(&sandbox, "data", 0o555);
    let output = serve(&sandbox, false).output().expect("runs");
    assert_refused(
        &output,
        &["error[database-create]", "mode 0555", "data may not be written", ":U", "ReadWritePaths="],
    );
    assert_advised(&output, &[&sandbox.path("data")]);
    assert!(listing(&sandbox).is_empty());
    set(&sandbox, "data", 0o755);
}

#[test]
fn a_default_place_that_cannot_be_made_is_refused_with_what_is_in_the_way() {
    let sandbox = Sandbox::new();
    for directory in ["shut", "linked"] {
        fs::create_dir(sandbox.path(directory)).expect("made");
    }
    sandbox.give_away();
    std::os::unix::fs::symlink("../nowhere", sandbox.path("linked/.vpo")).expect("a link");
    set(&sandbox, "shut", 0o555);
    let missing = |home: &str| format!("`install -d -o {{uid}} -g {{gid}} {}`", sandbox.path(home).display());
    for (home, expected) in [
        ("shut", vec!["error[database-create]", "mode 0555", missing("shut/.vpo").as_str()]),
        ("none", vec!["error[database-create]", "none does not exist", missing("none/.vpo").as_str()]),
        ("linked", vec!["linked/.vpo is a symbolic link to ../nowhere", "remove the link"]),
    ] {
        let mut command = sandbox.vpo_as_nobody(["serve", "--port", "0"]);
        let output = command.env("HOME", sandbox.path(home)).output().expect("runs");
        let text = String::from_utf8_lossy(&output.stderr);
        let ids = text.split("vpo runs as ").nth(1).and_then(|rest| rest.split_once(':'));
        let (uid, gid) =
            ids.map_or(("", ""), |(uid, rest)| (uid, rest.split(';').next().unwrap_or_default()));
        for part in expected {
            let part = part.replace("{uid}", uid).replace("{gid}", gid);
            assert_refused(&output, &[&part]);
        }
        assert!(!text.contains("directory created") && !text.contains("SELinux"), "{text}");
    }
}

#[test]
fn a_name_that_is_too_long_is_refused_as_such() {
    let sandbox = Sandbox::new();
    // With `-journal` the name would have 256 bytes.
    for length in [248, 300] {
        let output =
            sandbox.run(["serve", "--port", "0", "--database", &format!("/tmp/{}", "x".repeat(length))]);
        assert_refused(&output, &["too long: correct `database.path`"]);
    }
}

/// Waits until a check has this status and `part` in what is said of it; the answer and the check.
#[track_caller]
fn wait_check(address: SocketAddr, name: &str, status: &str, part: &str) -> (Answer, Value) {
    eventually(&format!("the check {name} is {status} with {part:?}"), || {
        let answer = Client::connect(address).get("/health");
        let checks = answer.json()["checks"].as_array()?.clone();
        let check = checks.into_iter().find(|check| check["name"] == name)?;
        (check["status"] == status && check.to_string().contains(part)).then_some((answer, check))
    })
}

#[test]
fn a_task_that_fails_is_a_check_that_warns_until_the_cause_is_gone() {
    let sandbox = Sandbox::new();
    library(&sandbox, false);
    sandbox.write("videos/notes.txt", "");
    let config = sandbox.write("vpo.toml", "");
    sandbox.give_away();
    set(&sandbox, "data/library.db", 0o444);
    let mut command = serve(&sandbox, false);
    command.arg("--config").arg(&config);
    let (mut daemon, address) = start(command, &sandbox.path("data/library.db"));
    // The scanner cannot begin: it has roots now, and a library that it cannot write.
    fs::write(&config, format!("[library]\nroots = [{:?}]\n", sandbox.path("videos"))).expect("written");
    daemon.signal(Signal::HUP);
    let (answer, warned) = wait_check(address, "scanner", "warn", "");
    assert_eq!((answer.status, &answer.json()["status"]), (200, &"healthy".into()));
    assert_eq!(warned["reason"], "restarting");
    let detail = warned["detail"].as_str().expect("says why");
    assert!(detail.contains("can be read but not written") && detail.contains("chown"), "{detail}");
    let metrics = Client::connect(address).get("/metrics").body;
    assert!(metrics.contains("vpo_check_status{check=\"scanner\",status=\"warn\"} 1"), "{metrics}");
    set(&sandbox, "data/library.db", 0o644);
    wait_check(address, "scanner", "pass", "");
    assert!(daemon.stop().success());
    assert!(daemon.log().contains("check passes again check=scanner"), "{}", daemon.log());
}

/// Waits until the first film is scanned and hashed, and the daemon writes no more.
fn first_scan_is_saved(sandbox: &Sandbox, address: SocketAddr) {
    eventually("all that follows a scan is saved", || {
        let files = Client::connect(address).get("/api/v1/files").json();
        let is_hashed = files["files"][0]["content_hash"].is_string();
        (is_hashed && !sandbox.path("data/library.db-wal").exists()).then_some(())
    });
}

#[test]
fn database_that_may_not_be_written_for_a_while_is_written_again() {
    let sandbox = Sandbox::new();
    library(&sandbox, true);
    sandbox.film("videos/a.mkv");
    sandbox.give_away();
    let (mut daemon, address) = start(serve(&sandbox, true), &sandbox.path("data/library.db"));
    first_scan_is_saved(&sandbox, address);
    set(&sandbox, "data/library.db", 0o444);
    sandbox.film("videos/b.mkv");
    wait_check(address, "scanner", "warn", "");
    set(&sandbox, "data/library.db", 0o644);
    wait_check(address, "scanner", "pass", "");
    eventually("the second film is recorded", || {
        let files = Client::connect(address).get("/api/v1/files").json();
        files["files"].as_array().is_some_and(|files| files.len() == 2).then_some(())
    });
    assert!(daemon.stop().success());
}

/// A bind mount of `data` on itself, read-only.
struct ReadOnlyMount<'a>(&'a Sandbox);

impl<'a> ReadOnlyMount<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let data = sandbox.path("data");
        let mount = |arguments: &[&str]| {
            let status = Command::new("mount").args(arguments).arg(&data).status().expect("mount runs");
            assert!(status.success(), "mount {arguments:?}");
        };
        mount(&["--bind", data.to_str().expect("UTF-8")]);
        mount(&["-o", "remount,ro,bind"]);
        Self(sandbox)
    }
}

impl Drop for ReadOnlyMount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path("data")).status();
    }
}

#[test]
#[ignore = "needs root: mounts a directory read-only"]
fn a_library_on_a_read_only_mount_is_served_as_it_is() {
    for wal in [false, true] {
        let sandbox = Sandbox::new();
        library(&sandbox, wal);
        sandbox.write("videos/notes.txt", "");
        sandbox.give_away();
        let before = listing(&sandbox);
        let mount = ReadOnlyMount::new(&sandbox);
        let (mut daemon, address) = start(serve(&sandbox, false), &sandbox.path("data/library.db"));
        assert_read_only(address);
        assert!(daemon.stop().success());
        let output = serve(&sandbox, true).output().expect("runs");
        assert_refused(&output, &["error[database-read-only]", "mounted read-only", "ReadWritePaths="]);
        drop(mount);
        assert!(listing(&sandbox) == before, "wal {wal}: nothing is touched");
    }
}

/// A connection to the WAL library at `name`, which keeps the index of its log there, and makes it read-only.
fn shut_index(sandbox: &Sandbox, name: &str) -> Connection {
    let other = Connection::open(sandbox.path(name)).expect("opens");
    other.query_row("SELECT count(*) FROM files", [], |_| Ok(())).expect("read");
    sandbox.give_away();
    set(sandbox, &format!("{name}-shm"), 0o444);
    other
}

#[test]
fn an_index_of_the_log_that_may_not_be_written_is_told_and_not_found_out_by_a_scan() {
    let sandbox = Sandbox::new();
    library(&sandbox, true);
    sandbox.write("videos/notes.txt", "");
    let command = serve(&sandbox, true);
    let path = sandbox.path("data/library.db");
    let _other = shut_index(&sandbox, "data/library.db");
    let mut daemon = Daemon::spawn(command, &path);
    let output = Output { status: daemon.wait(), stdout: Vec::new(), stderr: daemon.log().into_bytes() };
    assert_refused(&output, &["error[database-access]"]);
    assert_advised(&output, &[&sandbox.path("data/library.db-shm")]);
    // Beside a daemon that only reads, there is one who writes all the same.
    let (mut daemon, _) = start(serve(&sandbox, false), &path);
    let mut scan = sandbox.vpo_as_nobody(["scan", "--database"]);
    let output = scan.arg(&path).arg(sandbox.path("videos")).output().expect("runs");
    assert_refused(&output, &["error[database-access]"]);
    assert_advised(&output, &[&sandbox.path("data/library.db-shm")]);
    assert!(daemon.stop().success());
}

#[test]
fn an_index_of_the_log_that_may_not_be_written_for_a_while_is_a_warning() {
    let sandbox = Sandbox::new();
    library(&sandbox, true);
    sandbox.film("videos/a.mkv");
    sandbox.give_away();
    let (mut daemon, address) = start(serve(&sandbox, true), &sandbox.path("data/library.db"));
    first_scan_is_saved(&sandbox, address);
    let _other = shut_index(&sandbox, "data/library.db");
    wait_check(address, "database", "warn", "read_only");
    let fix = format!("chmod u+rwX {}`", sandbox.path("data/library.db-shm").display());
    wait_check(address, "database", "warn", &fix);
    set(&sandbox, "data/library.db-shm", 0o644);
    wait_check(address, "database", "pass", "");
    assert!(daemon.stop().success());
}

#[test]
fn an_index_of_the_log_that_may_be_written_again_needs_no_restart() {
    let sandbox = Sandbox::new();
    library(&sandbox, true);
    sandbox.film("videos/a.mkv");
    let serve = serve(&sandbox, true);
    sandbox.give_away();
    let path = sandbox.path("data/library.db");
    let (mut daemon, address) = start(serve, &path);
    let count = |connection: &Connection, name: &str| {
        let sql = "SELECT count(*) FROM files WHERE filename = ?1";
        connection.query_row(sql, [name], |row| row.get::<_, u32>(0)).unwrap_or(0)
    };
    first_scan_is_saved(&sandbox, address);
    // Another library comes with what another program has left open beside it.
    let other = sandbox.path("other/library.db");
    fs::create_dir(sandbox.path("other")).expect("made");
    fs::copy(&path, &other).expect("copied");
    let connection = shut_index(&sandbox, "other/library.db");
    for suffix in ["-shm", "-wal", ""] {
        let file = |path: &Path| format!("{}{suffix}", path.display());
        fs::rename(file(&other), file(&path)).expect("in its place");
    }
    let health = |status, part: &str| {
        eventually(&format!("/health is {status} with {part:?}"), || {
            let answer = Client::try_connect(address)?.try_get("/health")?;
            (answer.status == status && answer.body.contains(part)).then_some(())
        });
    };
    health(503, "permission_denied");
    set(&sandbox, "data/library.db-shm", 0o644);
    health(200, "healthy");
    sandbox.film("videos/b.mkv");
    eventually("a film is recorded", || (count(&connection, "b.mkv") == 1).then_some(()));
    assert!(daemon.stop().success());
}

#[test]
#[ignore = "needs root: mounts a directory read-only"]
fn a_log_on_a_read_only_mount_is_not_overlooked() {
    let sandbox = Sandbox::new();
    library(&sandbox, true);
    let path = sandbox.path("data/library.db");
    // A log with content, as a snapshot of a live library has it; without its index it cannot be read here.
    let writer = Connection::open(&path).expect("opens");
    writer.execute("INSERT INTO _meta VALUES ('in', 'the log')", []).expect("written");
    let left = listing(&sandbox);
    drop(writer);
    for (name, bytes) in left {
        fs::write(sandbox.path("data").join(name), bytes).expect("written");
    }
    fs::remove_file(sandbox.path("data/library.db-shm")).expect("removed");
    sandbox.give_away();
    let _mount = ReadOnlyMount::new(&sandbox);
    let output = serve(&sandbox, false).output().expect("runs");
    assert_refused(&output, &["library.db", "mounted read-only"]);
}

/// Another user who can open it can hold it, and so keep the daemon from starting.
#[test]
fn lock_file_is_for_its_owner_alone() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.serve::<&str>([]);
    let mode = fs::metadata(sandbox.lock()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
