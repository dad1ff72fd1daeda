//! The check must be able to fail: every fault that a library can suffer, injected into a running daemon. It is
//! reported with its reason within 1.5 s, and healthy again within 1.5 s of the repair, without a restart.
//!
//! The deadlines are the product's own, tested as written. On a machine that is busy with something else they may
//! be missed by no fault of the daemon's: so a test that misses one gets [`ATTEMPTS`] in all, each from the
//! start in a sandbox of its own, and fails when none keeps them; and so does a single probe. A wrong answer fails
//! at once.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Answer, Client, Daemon, PROBE, Sandbox, eventually};

/// From the fault to the right answer, and from the repair to health.
const DEADLINE: Duration = Duration::from_millis(1500);

const ATTEMPTS: usize = 3;

const FILE: &str =
    "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at)
     VALUES (hex(randomblob(8)), 'f', 'd', 'mkv', 1, 't', 't')";

/// The kind of database that the daemon uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Rollback journal, no roots: the daemon only reads.
    Rollback,
    /// WAL, no other program has it open, no roots.
    Wal,
    /// WAL, another program has it open, no roots.
    Shared,
    /// WAL, with a root: the daemon itself keeps a writer.
    Roots,
}

use Kind::{Rollback, Roots, Shared, Wal};

const ALL: &[Kind] = &[Rollback, Wal, Shared, Roots];

/// A daemon with a database, and the state for a fault.
struct Scene {
    library: PathBuf,
    address: SocketAddr,
    daemon: Daemon,
    sandbox: Sandbox,
    /// The other program of [`Kind::Shared`].
    neighbour: Option<Connection>,
}

/// A deadline was missed: worth another attempt.
struct Late(String);

impl Scene {
    fn new(kind: Kind) -> Self {
        Self::with(kind, Sandbox::new(), |_| {})
    }

    fn with(kind: Kind, sandbox: Sandbox, adapt: impl FnOnce(&mut Command)) -> Self {
        let library = sandbox.path("data/library.db");
        if !library.exists() {
            make_library(&library, kind != Rollback);
        }
        let neighbour = (kind == Shared).then(|| {
            let neighbour = open(&library);
            neighbour.execute_batch(FILE).expect("written");
            neighbour
        });
        let mut command = sandbox.vpo(["serve", "--port", "0"]);
        command.arg("--database").arg(&library);
        if kind == Roots {
            sandbox.write("videos/notes.txt", "a root with something in it");
            command.arg("--library").arg(sandbox.path("videos"));
        }
        adapt(&mut command);
        let daemon = Daemon::spawn(command, &library);
        daemon.wait_healthy();
        let scene = Self { address: daemon.address(), library, daemon, sandbox, neighbour };
        if kind == Roots {
            let watcher = open(&scene.library);
            eventually("the first scan is over", || {
                let sql = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')";
                watcher
                    .query_row(sql, [], |row| row.get::<_, i64>(0))
                    .is_ok_and(|jobs| jobs == 0)
                    .then_some(())
            });
        }
        scene.settle();
        scene
    }

    /// Everything is in `library.db` itself.
    fn settle(&self) {
        let connection = open(&self.library);
        eventually("the log is copied", || {
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            connection
                .query_row(sql, [], |row| row.get::<_, i64>(0))
                .is_ok_and(|busy| busy == 0)
                .then_some(())
        });
    }

    fn aside(&self) -> PathBuf {
        self.sandbox.path("aside")
    }

    /// Puts the library away.
    fn put_away(&self) {
        fs::rename(&self.library, self.aside()).expect("renamed");
    }

    /// Puts it back, and replaces any other file.
    fn put_back(&self) {
        match fs::symlink_metadata(&self.library) {
            Ok(found) if found.is_dir() => fs::remove_dir(&self.library).expect("removed"),
            _ => {}
        }
        fs::rename(self.aside(), &self.library).expect("renamed");
    }

    /// One probe, answered in time.
    fn probe(&self) -> Result<Answer, Late> {
        let mut late = Vec::new();
        for _ in 0..ATTEMPTS {
            let asked = Instant::now();
            let answer = Client::try_connect(self.address).and_then(|mut client| client.try_get("/health"));
            let took = asked.elapsed();
            let Some(answer) = answer else { panic!("no answer; the daemon's log:\n{}", self.daemon.log()) };
            if took <= PROBE {
                return Ok(answer);
            }
            late.push(took);
        }
        Err(Late(format!("probes took {late:?}")))
    }

    /// Probes until `/health` answers `status` with `reason`. The reasons that may be there on the way are those of
    /// the passing states.
    fn await_health(&self, status: u16, reason: Option<&str>) -> Result<Answer, Late> {
        let start = Instant::now();
        loop {
            let answer = self.probe()?;
            assert!(!answer.body.contains("os error"), "{}", answer.body);
            if answer.status == status && database(&answer)["reason"].as_str() == reason {
                return Ok(answer);
            }
            if start.elapsed() > DEADLINE {
                return Err(Late(format!(
                    "not {status} with {reason:?} after {:?}, but {} {}",
                    start.elapsed(),
                    answer.status,
                    answer.body
                )));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn database(answer: &Answer) -> serde_json::Value {
    let checks = answer.json()["checks"].clone();
    let found = checks.as_array().expect("a list").iter().find(|check| check["name"] == "database");
    found.expect("a database check").clone()
}

/// A database as VPO makes it, with one row, optionally in WAL mode.
fn make_library(path: &Path, wal: bool) {
    fs::create_dir_all(path.parent().expect("has one")).expect("made");
    let connection = Connection::open(path).expect("made");
    connection.execute_batch(vpo::library::schema::SQL).expect("valid");
    connection.execute_batch(FILE).expect("written");
    if wal {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("WAL");
    }
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("opens");
    connection.busy_timeout(Duration::from_secs(10)).expect("set");
    connection
}

fn overwrite(path: &Path, offset: u64, length: usize) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("opens");
    file.write_all_at(&vec![0x5a; length], offset).expect("written");
}

/// Runs `attempt` until one keeps the deadlines.
fn attempts(what: &str, attempt: impl Fn() -> Result<(), Late>) {
    let mut late = Vec::new();
    for _ in 0..ATTEMPTS {
        match attempt() {
            Ok(()) => return,
            Err(Late(why)) => late.push(why),
        }
    }
    panic!("{what}: late in every attempt:\n{}", late.join("\n"));
}

/// The table's harness: for each kind of library a daemon of its own, the fault, its reason, the repair, health.
/// What `inject` returns (a lock, the bytes as they were) is there for `repair`. A library that comes back as another
/// file is healthy with the warning `replaced`.
fn fault<T>(
    kinds: &[Kind],
    reason: &str,
    inject: impl Fn(&Scene) -> T + Sync,
    repair: impl Fn(&Scene, T) + Sync,
    afterwards: Option<&str>,
) {
    std::thread::scope(|scope| {
        for kind in kinds {
            let (inject, repair) = (&inject, &repair);
            scope.spawn(move || {
                attempts(&format!("{kind:?}, {reason}"), || {
                    run(&Scene::new(*kind), reason, inject, repair, afterwards)
                });
            });
        }
    });
}

fn run<T>(
    scene: &Scene,
    reason: &str,
    inject: impl Fn(&Scene) -> T,
    repair: impl Fn(&Scene, T),
    afterwards: Option<&str>,
) -> Result<(), Late> {
    let before = scene.probe()?;
    assert_eq!((before.status, database(&before)["reason"].as_str()), (200, None), "{}", before.body);
    let harm = inject(scene);
    let answer = scene.await_health(503, Some(reason))?;
    let body = answer.json();
    assert_eq!((&body["status"], &body["database"]), (&"degraded".into(), &"disconnected".into()), "{body}");
    assert_eq!(body["shutting_down"], false);
    assert_eq!(database(&answer)["status"], "fail", "{body}");
    assert!(database(&answer)["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    assert_eq!(Client::connect(scene.address).get("/readyz").status, 503);
    assert_eq!(Client::connect(scene.address).get("/livez").status, 200);
    repair(scene, harm);
    let answer = scene.await_health(200, afterwards)?;
    assert_eq!(answer.json()["status"], "healthy");
    Ok(())
}

// ------------------------------------------------------------------------------------ what becomes of the file

#[test]
fn a_deleted_library_is_missing_and_a_restored_backup_is_adopted() {
    fault(
        ALL,
        "missing",
        |scene| {
            let backup = fs::read(&scene.library).expect("readable");
            fs::remove_file(&scene.library).expect("removed");
            backup
        },
        |scene, backup| {
            fs::write(scene.aside(), backup).expect("written");
            scene.put_back();
        },
        Some("replaced"),
    );
}

#[test]
fn a_library_that_is_moved_away_and_back_is_as_before() {
    fault(ALL, "missing", Scene::put_away, |scene, ()| scene.put_back(), None);
}

#[test]
fn a_dangling_link_in_its_place_is_missing() {
    fault(
        ALL,
        "missing",
        |scene| {
            scene.put_away();
            symlink("nowhere", &scene.library).expect("made");
        },
        |scene, ()| scene.put_back(),
        None,
    );
}

#[test]
fn a_parent_directory_renamed_away_is_missing() {
    fault(
        ALL,
        "missing",
        |scene| fs::rename(scene.sandbox.path("data"), scene.sandbox.path("gone")).expect("renamed"),
        |scene, ()| fs::rename(scene.sandbox.path("gone"), scene.sandbox.path("data")).expect("renamed"),
        None,
    );
}

#[test]
fn garbage_in_its_place_is_not_a_database() {
    fault(
        ALL,
        "not_a_database",
        |scene| {
            scene.put_away();
            fs::write(&scene.library, "this is no database at all; ".repeat(1000)).expect("written");
        },
        |scene, ()| scene.put_back(),
        None,
    );
}

#[test]
fn garbage_in_the_file_itself_is_not_a_database() {
    fault(
        ALL,
        "not_a_database",
        |scene| {
            let bytes = fs::read(&scene.library).expect("readable");
            overwrite(&scene.library, 0, bytes.len());
            bytes
        },
        |scene, bytes| fs::write(&scene.library, bytes).expect("restored"),
        None,
    );
}

#[test]
fn another_schema_in_its_place_is_a_wrong_schema() {
    fault(
        ALL,
        "wrong_schema",
        |scene| {
            make_library(&scene.aside(), false);
            open(&scene.aside()).execute("UPDATE _meta SET value = '8'", []).expect("written");
            fs::rename(&scene.library, scene.sandbox.path("good")).expect("renamed");
            fs::rename(scene.aside(), &scene.library).expect("renamed");
        },
        |scene, ()| fs::rename(scene.sandbox.path("good"), &scene.library).expect("renamed"),
        None,
    );
}

#[test]
fn another_schema_in_the_file_itself_is_a_wrong_schema() {
    fault(
        ALL,
        "wrong_schema",
        |scene| open(&scene.library).execute("UPDATE _meta SET value = '6'", []).expect("written"),
        |scene, _| {
            open(&scene.library).execute("UPDATE _meta SET value = '7'", []).expect("written");
        },
        None,
    );
}

#[test]
fn a_database_of_another_program_is_a_wrong_schema() {
    fault(
        ALL,
        "wrong_schema",
        |scene| {
            scene.put_away();
            open(&scene.library).execute_batch("CREATE TABLE recipes (id)").expect("made");
        },
        |scene, ()| scene.put_back(),
        None,
    );
}

#[test]
fn a_library_cut_to_nothing_is_not_a_database() {
    fault(ALL, "not_a_database", |scene| cut(scene, |_| 0), undo, None);
}

#[test]
fn a_library_cut_in_half_is_corrupt() {
    fault(ALL, "corrupt", |scene| cut(scene, |length| length / 2), undo, None);
}

fn cut(scene: &Scene, to: impl Fn(u64) -> u64) -> Vec<u8> {
    let bytes = fs::read(&scene.library).expect("readable");
    let length = to(u64::try_from(bytes.len()).expect("small"));
    fs::OpenOptions::new().write(true).open(&scene.library).expect("opens").set_len(length).expect("cut");
    bytes
}

/// Writes the bytes as they were into the file itself.
fn undo(scene: &Scene, bytes: impl AsRef<[u8]>) {
    let file = fs::OpenOptions::new().write(true).open(&scene.library).expect("opens");
    file.write_all_at(bytes.as_ref(), 0).expect("restored");
}

#[test]
fn an_overwritten_header_is_not_a_database() {
    fault(ALL, "not_a_database", |scene| damage(scene, 0, 100), undo, None);
}

#[test]
fn an_overwritten_schema_page_is_corrupt() {
    fault(ALL, "corrupt", |scene| damage(scene, 100, 3996), undo, None);
}

#[test]
fn an_overwritten_table_is_corrupt() {
    // Page 2 is the root of `_meta`, and all there is of it.
    fault(ALL, "corrupt", |scene| damage(scene, 4096, 4096), undo, None);
}

fn damage(scene: &Scene, offset: u64, length: usize) -> Vec<u8> {
    let bytes = fs::read(&scene.library).expect("readable");
    overwrite(&scene.library, offset, length);
    bytes
}

#[test]
fn a_pipe_in_its_place_is_not_opened() {
    fault(
        ALL,
        "not_a_database",
        |scene| {
            scene.put_away();
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &scene.library,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from_raw_mode(0o600),
                0,
            )
            .expect("made");
        },
        |scene, ()| scene.put_back(),
        None,
    );
}

#[test]
fn a_directory_in_its_place_is_not_a_database() {
    fault(
        ALL,
        "not_a_database",
        |scene| {
            scene.put_away();
            fs::create_dir(&scene.library).expect("made");
        },
        |scene, ()| scene.put_back(),
        None,
    );
}

// ------------------------------------------------------------------------------------ permissions

/// A daemon to which permissions mean something.
fn unprivileged(kind: Kind) -> Scene {
    let sandbox = Sandbox::new();
    make_library(&sandbox.path("data/library.db"), kind != Rollback);
    sandbox.give_away();
    let exe = sandbox.vpo_as_nobody([""; 0]);
    Scene::with(kind, sandbox, |command| {
        let args: Vec<OsString> = command.get_args().map(ToOwned::to_owned).collect();
        *command = exe;
        command.args(args);
    })
}

#[test]
fn permissions_of_the_file_or_its_directory_revoked_are_permission_denied() {
    for (name, mode, before) in
        [("data/library.db", 0o000, 0o644), ("data", 0o000, 0o755), ("data", 0o600, 0o755)]
    {
        for kind in [Rollback, Wal, Roots] {
            attempts(&format!("{kind:?}, {name} {mode:o}"), || {
                let set = |scene: &Scene, mode| {
                    fs::set_permissions(scene.sandbox.path(name), fs::Permissions::from_mode(mode))
                        .expect("set");
                };
                let scene = unprivileged(kind);
                run(
                    &scene,
                    "permission_denied",
                    |scene| set(scene, mode),
                    |scene, ()| set(scene, before),
                    None,
                )
            });
        }
    }
}

#[test]
fn a_library_that_cannot_be_written_is_served_with_a_warning() {
    attempts("read-only", || {
        let scene = unprivileged(Rollback);
        let set = |mode| fs::set_permissions(&scene.library, fs::Permissions::from_mode(mode)).expect("set");
        set(0o444);
        let answer = scene.await_health(200, Some("read_only"))?;
        assert_eq!(
            (&answer.json()["status"], &database(&answer)["status"]),
            (&"healthy".into(), &"warn".into())
        );
        let detail = database(&answer)["detail"].as_str().expect("says why").to_owned();
        for part in ["mode 0444", "vpo runs as ", ":U", "--userns=keep-id", "ReadWritePaths="] {
            assert!(detail.contains(part), "{part:?} not in {detail}");
        }
        set(0o644);
        scene.await_health(200, None).map(drop)
    });
}

// ------------------------------------------------------------------------------------ locks

#[test]
fn an_exclusive_lock_is_locked() {
    fault(
        &[Rollback],
        "locked",
        |scene| {
            let connection = open(&scene.library);
            connection.execute_batch("BEGIN EXCLUSIVE").expect("locked");
            connection
        },
        |_, connection| connection.execute_batch("ROLLBACK").expect("unlocked"),
        None,
    );
}

#[test]
fn exclusive_locking_mode_in_wal_is_locked() {
    fault(
        &[Wal],
        "locked",
        |scene| {
            let connection = open(&scene.library);
            connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(())).expect("set");
            connection.execute_batch(FILE).expect("written");
            connection
        },
        |_, connection| drop(connection),
        None,
    );
}

/// Sets a flag in the end.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Probes for three seconds while `work` goes on over and over.
fn no_fault(kind: Kind, work: impl Fn(&Connection) + Sync) {
    attempts(&format!("{kind:?}"), || {
        let scene = Scene::new(kind);
        let neighbour = open(&scene.library);
        if kind == Roots {
            // Before its first write the daemon cannot distinguish another program's write from other content.
            eventually("the daemon has written", || {
                neighbour.query_row("SELECT seq FROM daemon_state", [], |row| row.get::<_, i64>(0)).ok()
            });
        }
        let done = AtomicBool::new(false);
        let rounds = std::thread::scope(|scope| {
            let (work, done) = (&work, &done);
            let worker = scope.spawn(move || {
                let mut rounds = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    work(&neighbour);
                    rounds += 1;
                }
                rounds
            });
            // Also if an assertion fails: the other program would never end.
            let end = Finally(done);
            let judged = (|| {
                let start = Instant::now();
                while start.elapsed() < Duration::from_secs(3) {
                    let answer = scene.probe()?;
                    if answer.status != 200 {
                        return Err(Late(answer.body));
                    }
                    assert_eq!(database(&answer)["status"], "pass", "{}", answer.body);
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            })();
            drop(end);
            let rounds = worker.join().expect("no panic");
            judged.map(|()| rounds)
        })?;
        assert!(rounds > 10, "the neighbour was at work: {rounds} rounds");
        Ok(())
    });
}

#[test]
fn a_busy_wal_writer_is_no_fault() {
    no_fault(Wal, |neighbour| {
        neighbour
            .execute_batch(&format!("BEGIN IMMEDIATE; {}; COMMIT", [FILE; 50].join(";")))
            .expect("written");
    });
}

#[test]
fn a_busy_writer_beside_our_own_is_no_fault() {
    no_fault(Roots, |neighbour| {
        neighbour
            .execute_batch(&format!("BEGIN IMMEDIATE; {}; COMMIT", [FILE; 50].join(";")))
            .expect("written");
    });
}

#[test]
fn a_neighbours_commits_in_rollback_mode_are_no_fault() {
    no_fault(Rollback, |neighbour| neighbour.execute_batch(FILE).expect("written"));
}

#[test]
fn a_neighbour_that_comes_and_goes_is_no_fault() {
    // Each time the last connection closes, the log is copied and removed.
    no_fault(Wal, |neighbour| {
        let path = neighbour.path().expect("a file");
        let other = open(Path::new(path));
        other.execute_batch(FILE).expect("written");
    });
}

#[test]
fn another_valid_library_in_its_place_is_no_fault() {
    for kind in ALL {
        attempts(&format!("{kind:?}"), || {
            let mut scene = Scene::new(*kind);
            make_library(&scene.aside(), *kind == Roots);
            fs::rename(scene.aside(), &scene.library).expect("renamed");
            let start = Instant::now();
            let answer = loop {
                let answer = scene.probe()?;
                if answer.status != 200 {
                    return Err(Late(answer.body));
                }
                if database(&answer)["reason"] == "replaced" {
                    break answer;
                }
                if start.elapsed() > DEADLINE {
                    return Err(Late(format!("not noticed: {}", answer.body)));
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            assert_eq!(answer.json()["status"], "healthy");
            assert_eq!(database(&answer)["status"], "warn");
            scene.daemon.wait_log("library adopted");
            drop(scene.neighbour.take());
            assert!(scene.daemon.stop().success());
            let log = scene.daemon.log();
            let is_warning = |line: &&str| line.contains(" warning ") && line.contains("reason=replaced");
            let warnings = log.lines().filter(is_warning).count();
            assert_eq!(warnings, 1, "one warning: {log}");
            let sound: String =
                open(&scene.library).query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("read");
            assert_eq!(sound, "ok");
            Ok(())
        });
    }
}

// ------------------------------------------------------------------------------------ lost libraries

#[test]
fn a_lost_library_is_not_replaced_by_a_restart() {
    for (kind, end) in [(Rollback, Signal::TERM), (Roots, Signal::TERM), (Roots, Signal::KILL)] {
        let mut scene = Scene::new(kind);
        fs::remove_file(&scene.library).expect("removed");
        scene.daemon.signal(end);
        scene.daemon.wait();
        let before: Vec<_> = list(&scene.sandbox.path("data"));
        let output = scene
            .sandbox
            .vpo(["serve", "--port", "0", "--database"])
            .arg(&scene.library)
            .output()
            .expect("vpo runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("lost") && text.contains("backup") && text.contains("library.db.lock"),
            "{text}"
        );
        assert_eq!(list(&scene.sandbox.path("data")), before, "nothing is touched");
    }
}

#[test]
fn a_kill_at_any_moment_of_the_first_start_is_in_nobodys_way() {
    for round in 0..30_u64 {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("data")).expect("made");
        let library = sandbox.path("data/library.db");
        let serve = || {
            let mut command = sandbox.vpo(["serve", "--port", "0", "--database"]);
            command.arg(&library);
            Daemon::spawn(command, &library)
        };
        let mut first = serve();
        // From before the first instruction to after the last step of the start.
        std::thread::sleep(Duration::from_micros(700 * round));
        first.signal(Signal::KILL);
        first.wait();
        let mut second = serve();
        second.wait_healthy();
        assert!(second.stop().success());
    }
}

fn list(directory: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    names
}

// ------------------------------------------------------------------------------------ a file system that hangs

/// A directory served by a FUSE server that can be stopped.
struct Fuse {
    server: Child,
    mount: PathBuf,
}

impl Fuse {
    fn mount(source: &Path, mount: &Path) -> Self {
        let server = Command::new("bindfs")
            .arg("-f")
            .args([source, mount])
            .stdin(Stdio::null())
            .spawn()
            .expect("bindfs is installed");
        let device = |path: &Path| std::os::unix::fs::MetadataExt::dev(&fs::metadata(path).expect("there"));
        eventually("bindfs has mounted", || (device(source) != device(mount)).then_some(()));
        Self { server, mount: mount.to_owned() }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.server.id()).expect("a pid")).expect("not 0");
        kill_process(pid, signal).expect("the server is there");
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = Command::new("umount").arg("-l").arg(&self.mount).status();
    }
}

fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").count()
}

#[test]
#[ignore = "needs root, /dev/fuse and Debian's bindfs: a file system whose server can be stopped"]
fn a_file_system_that_hangs_is_a_timeout_and_holds_nothing_up() {
    for kind in [Rollback, Wal, Roots] {
        attempts(&format!("{kind:?}"), || {
            let sandbox = Sandbox::new();
            fs::create_dir(sandbox.path("disk")).expect("made");
            make_library(&sandbox.path("disk/library.db"), kind != Rollback);
            fs::create_dir(sandbox.path("data")).expect("made");
            let fuse = Fuse::mount(&sandbox.path("disk"), &sandbox.path("data"));
            let mut scene = Scene::with(kind, sandbox, |command| {
                command.args(["--shutdown-timeout", "1"]);
            });
            // Dropped before the daemon, which would wait for the disk otherwise.
            let fuse = fuse;
            let pid = scene.daemon.pid();

            fuse.signal(Signal::STOP);
            scene.await_health(503, Some("timeout"))?;
            let before = threads(pid);
            // Requests for the library are answered 503 meanwhile, and do not delay probes.
            let mut readers: Vec<_> = (0..8).map(|_| Client::connect(scene.address)).collect();
            for reader in &mut readers {
                reader.send(b"GET /api/v1/library HTTP/1.1\r\nHost: vpo\r\n\r\n").expect("sent");
            }
            for _ in 0..200 {
                let answer = scene.probe()?;
                assert_eq!((answer.status, database(&answer)["reason"].as_str()), (503, Some("timeout")));
            }
            for reader in &mut readers {
                let answer = reader.receive(false).expect("an answer");
                assert_eq!(answer.status, 503, "{}", answer.body);
            }
            // Threads of the runtime's pool come and go by themselves; 200 probes must not leave their mark, and 8
            // requests no more than the places that there are for them.
            let after = threads(pid);
            assert!(
                after <= before + 2 + 2,
                "a stuck disk holds one thread, not one per probe: {before}, now {after}"
            );

            fuse.signal(Signal::CONT);
            scene.await_health(200, None)?;

            fuse.signal(Signal::STOP);
            scene.await_health(503, Some("timeout"))?;
            // The timeout, the half second that closing gets after it, and some for the machine.
            let limit = Duration::from_secs(2);
            let asked = Instant::now();
            scene.daemon.signal(Signal::TERM);
            // With roots `-shm` is mapped into memory, and Linux writes such pages of a FUSE file back before it lets
            // a process go, killed or not: there the last thing we can do in time is to be done.
            let mut over = || match kind {
                Roots => scene.daemon.log().contains("stopped after"),
                _ => scene.daemon.try_wait().is_some(),
            };
            while !over() {
                if asked.elapsed() > limit {
                    return Err(Late(format!("the exit took over {limit:?} with a timeout of 1 s")));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            fuse.signal(Signal::CONT);
            assert_eq!(scene.daemon.wait().code(), Some(0), "{}", scene.daemon.log());
            Ok(())
        });
    }
}

#[test]
#[ignore = "needs root, /dev/fuse and Debian's bindfs: a file system whose server can be stopped"]
fn requests_that_wait_for_a_hung_disk_do_not_shut_probes_out() {
    attempts("every connection has a request in progress", || {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("disk")).expect("made");
        make_library(&sandbox.path("disk/library.db"), false);
        fs::create_dir(sandbox.path("data")).expect("made");
        let fuse = Fuse::mount(&sandbox.path("disk"), &sandbox.path("data"));
        let scene = Scene::with(Rollback, sandbox, |command| {
            command.env("VPO_SERVER_MAX_CONNECTIONS", "16").args(["--shutdown-timeout", "1"]);
        });
        // Dropped before the daemon, which would wait for the disk otherwise.
        let fuse = fuse;
        fuse.signal(Signal::STOP);
        scene.await_health(503, Some("timeout"))?;
        for count in [16, 44] {
            let begun = Instant::now();
            let ask = |_| {
                let mut client = Client::connect(scene.address);
                client.send(b"GET /api/v1/files HTTP/1.1\r\nHost: vpo\r\n\r\n").expect("sent");
                client
            };
            let waiting: Vec<Client> = (0..count).map(ask).collect();
            // They wait for 3 s.
            while begun.elapsed() < Duration::from_millis(2500) {
                let answer = scene.probe()?;
                assert_eq!((answer.status, database(&answer)["reason"].as_str()), (503, Some("timeout")));
                assert_eq!(Client::connect(scene.address).get("/livez").status, 200);
                std::thread::sleep(Duration::from_millis(20));
            }
            drop(waiting);
        }
        fuse.signal(Signal::CONT);
        scene.await_health(200, None).map(drop)
    });
}
