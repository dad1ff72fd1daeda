//! A directory of its own for one test, and `vpo` run in it with an environment that holds nothing else.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::geteuid;

use super::Daemon;

/// The user and the group `nobody`.
const NOBODY: u32 = 65534;

/// A test's own world: `HOME`, library and configuration are inside; it goes with the test.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    /// A new, empty one.
    pub(crate) fn new() -> Self {
        // As a home directory: no other user reads what is in it.
        let mut private = tempfile::Builder::new();
        let dir = private.permissions(Permissions::from_mode(0o700)).tempdir();
        Self { dir: dir.expect("a temporary directory") }
    }

    /// A path inside.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the default library is.
    pub(crate) fn library(&self) -> PathBuf {
        self.path(".vpo/library.db")
    }

    /// The lock file of the default database.
    pub(crate) fn lock(&self) -> PathBuf {
        self.path(".vpo/library.db.lock")
    }

    /// The result of stat(2) for the database, as in the lock file.
    pub(crate) fn stamp(&self) -> String {
        let found = std::fs::metadata(self.library()).expect("there");
        format!(
            "{}:{}:{}:{}.{}:{}.{}",
            found.dev(),
            found.ino(),
            found.len(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec()
        )
    }

    /// Writes a file inside, with its directories, and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("directories");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// `vpo ARGS` with this sandbox as its home, no other environment, and no open port of its own choosing.
    pub(crate) fn vpo<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vpo"));
        command.args(args).env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path());
        command
    }

    /// As [`Self::vpo`], as a user whom file permissions restrict, also when the tests run as root. The binary is
    /// copied into the sandbox for that, because that user may not read root's home.
    pub(crate) fn vpo_as_nobody<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        if !geteuid().is_root() {
            return self.vpo(args);
        }
        let program = self.path("vpo");
        if !program.exists() {
            // By another process: a descriptor of ours that is open for writing could be inherited by the child of
            // a test running beside this one, and exec(2) would then find the text busy.
            let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_vpo")).arg(&program).status();
            assert!(copied.is_ok_and(|status| status.success()), "the binary is copied");
            std::fs::set_permissions(self.dir.path(), Permissions::from_mode(0o755)).expect("ours");
        }
        let mut command = Command::new(program);
        command.args(args).env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path());
        command.uid(NOBODY).gid(NOBODY);
        command
    }

    /// Changes the owner of everything inside to the user of [`Self::vpo_as_nobody`].
    pub(crate) fn give_away(&self) {
        fn give(path: &Path) {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
            for entry in std::fs::read_dir(path).into_iter().flatten() {
                give(&entry.expect("an entry").path());
            }
        }
        if geteuid().is_root() {
            give(self.dir.path());
        }
    }

    /// Runs `vpo ARGS` to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.vpo(args).output().expect("vpo runs")
    }

    /// Starts `vpo serve --port 0 ARGS` and waits until it is healthy.
    pub(crate) fn serve<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Daemon {
        let mut command = self.vpo(["serve", "--port", "0"]);
        command.args(args);
        let daemon = Daemon::spawn(command, &self.library());
        daemon.wait_healthy();
        daemon
    }
}
