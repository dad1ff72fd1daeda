//! strace: how it is run, and how its log is read.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::steps::{CALLS, OTHER, Step};
use crate::harness::eventually;

/// A system call of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) thread: u32,
    pub(super) comm: String,
    pub(super) name: String,
    /// The names, relative to the database's directory, of the files in it that the call names; `.` for itself.
    pub(super) files: Vec<String>,
    pub(super) injected: bool,
}

/// The arguments for strace: with `step` the fault, else every call is listed.
fn arguments(data: &Path, log: &Path, step: Option<&Step>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        ["-f", "-y", "-s", "4", "--decode-pids=comm", "-o"].map(Into::into).to_vec();
    arguments.push(log.into());
    match step {
        None => arguments.extend(["-e".into(), format!("trace={}", CALLS.join(",")).into()]),
        Some(step) => {
            let Step { file, call, nth, error, .. } = step;
            if *file != OTHER {
                let path = if *file == "." { data.to_owned() } else { data.join(file) };
                arguments.extend(["-P".into(), path.into()]);
            }
            arguments.extend(["-e".into(), format!("trace={call}").into()]);
            let fault = if step.kills() { "signal=KILL".to_owned() } else { format!("error={error}") };
            arguments.extend(["-e".into(), format!("inject={call}:{fault}:when={nth}").into()]);
        }
    }
    arguments
}

/// `command` under strace from its first instruction. The process that it becomes is `command` itself (`-D`).
pub(super) fn wrap(command: &Command, data: &Path, log: &Path, step: Option<&Step>) -> Command {
    let mut wrapped = Command::new("strace");
    wrapped.arg("-D").args(arguments(data, log, step));
    // With it strace 6.1 injects no signal.
    if !step.is_some_and(Step::kills) {
        wrapped.arg("--seccomp-bpf");
    }
    wrapped.arg("--");
    wrapped.arg(command.get_program()).args(command.get_args()).env_clear();
    wrapped.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    // The dynamic loader searches each of its few libraries here first. So the first `openat` calls of the main thread
    // are of no consequence, and one that is meant for another thread cannot keep the program from being loaded.
    let nowhere: Vec<_> = (0..4).map(|number| format!("/nonexistent/{number}")).collect();
    wrapped.env("LD_LIBRARY_PATH", nowhere.join(":"));
    if let Some(directory) = command.get_current_dir() {
        wrapped.current_dir(directory);
    }
    wrapped
}

/// A strace that was attached to a process, and ends with it.
pub(super) struct Attached(Child);

impl Attached {
    pub(super) fn new(pid: u32, data: &Path, log: &Path, step: Option<&Step>) -> Self {
        let strace = Command::new("strace")
            .args(arguments(data, log, step))
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is installed");
        eventually("strace is attached", || {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
            let is_traced = |status: String| {
                let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
                tracer.is_some_and(|tracer| tracer.trim() != "0")
            };
            tasks
                .flatten()
                .all(|task| std::fs::read_to_string(task.path().join("status")).is_ok_and(is_traced))
                .then_some(())
        });
        Self(strace)
    }

    /// Waits until it has written its log.
    pub(super) fn finish(mut self) {
        self.0.wait().expect("strace ends with the process");
    }
}

/// The calls in a log. The log of a process that has ended is complete once it contains the exit.
pub(super) fn read(log: &Path, pid: u32, data: &Path) -> Vec<Call> {
    let end = format!("{pid}<");
    let text = eventually("strace has written its log", || {
        let text = String::from_utf8_lossy(&std::fs::read(log).ok()?).into_owned();
        let last = text.lines().rev().find(|line| line.starts_with(&end))?;
        last.contains(" +++ ").then_some(text)
    });
    parse(&text, data.to_str().expect("UTF-8"))
}

fn parse(text: &str, data: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        let Some((id, rest)) = line.split_once("> ") else { continue };
        let Some((thread, comm)) = id.split_once('<') else { continue };
        let Ok(thread) = thread.parse() else { continue };
        let injected = rest.ends_with("(INJECTED)");
        if rest.starts_with("<... ") {
            // What has begun on an earlier line.
            if let Some(call) = calls.iter_mut().rev().find(|call| call.thread == thread) {
                call.injected |= injected;
            }
            continue;
        }
        let Some((name, arguments)) = rest.split_once('(') else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            continue;
        }
        let files = files(arguments, data);
        calls.push(Call { thread, comm: comm.to_owned(), name: name.to_owned(), files, injected });
    }
    calls
}

/// The files in `data` that the arguments of a call name, in quotes or as what a descriptor is open on.
fn files(arguments: &str, data: &str) -> Vec<String> {
    // The return value is not an argument, and would name the file again.
    let arguments = arguments.rsplit_once(") = ").map_or(arguments, |(arguments, _)| arguments);
    let mut files = Vec::new();
    for (at, _) in arguments.match_indices(data) {
        let rest = &arguments[at + data.len()..];
        let end = rest.find(['"', '>']).unwrap_or(rest.len());
        match rest[..end].strip_prefix('/') {
            Some(file) => files.push(file.trim_end_matches(" (deleted)").to_owned()),
            None if end == 0 => files.push(".".to_owned()),
            None => {}
        }
    }
    files
}

#[test]
fn a_log_is_read() {
    let text = r#"7<vpo> openat(AT_FDCWD</d>, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3</etc/ld.so.cache>
8<tokio-rt-worker> pwrite64(9</d/data/library.db-wal>, "\0\0"..., 24, 32 <unfinished ...>
9<scan> fsync(16</d/data>) = 0
8<tokio-rt-worker> <... pwrite64 resumed>) = -1 EIO (Input/output error) (INJECTED)
8<tokio-rt-worker> renameat2(AT_FDCWD</d>, "/d/data/.vpo-draft-1-2/draft.db", AT_FDCWD</d>, "/d/data/library.db", RENAME_NOREPLACE) = 0
7<vpo> --- SIGTERM {si_signo=SIGTERM} ---
7<vpo> +++ exited with 0 +++"#;
    let calls = parse(text, "/d/data");
    let found: Vec<_> =
        calls.iter().map(|call| (call.thread, &*call.name, call.files.join(" "), call.injected)).collect();
    let expected = [
        (7, "openat", "", false),
        (8, "pwrite64", "library.db-wal", true),
        (9, "fsync", ".", false),
        (8, "renameat2", ".vpo-draft-1-2/draft.db library.db", false),
    ];
    assert_eq!(
        found,
        expected.map(|(thread, name, files, injected)| (thread, name, files.to_owned(), injected))
    );
}
