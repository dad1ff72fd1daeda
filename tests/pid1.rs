//! As the first process of a container: signals without default actions, and orphans to reap.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Daemon, Sandbox, eventually};

/// `vpo serve` as PID 1 of a namespace of its own.
struct Container {
    /// `unshare`, which waits for it and exits as it does.
    outer: Daemon,
    sandbox: Sandbox,
}

impl Container {
    /// `script` is run by a shell that is PID 1, and becomes `vpo serve` by `exec "$@"`.
    fn start(script: &str) -> Self {
        let sandbox = Sandbox::new();
        let serve = sandbox.vpo(["serve", "--port", "0", "--log-level", "debug"]);
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"])
            .args(["sh", "-c", script, "sh"])
            .arg(serve.get_program())
            .args(serve.get_args())
            .env_clear()
            .env("HOME", sandbox.path(""))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(sandbox.path(""))
            .stdout(Stdio::null());
        let container = Self { outer: Daemon::spawn(command, &sandbox.library()), sandbox };
        container.outer.wait_log("running");
        let lock = container.sandbox.library().with_file_name("library.db.lock");
        assert!(std::fs::read_to_string(lock).expect("a lock file").starts_with("1\n"), "it is PID 1");
        container
    }

    /// The daemon's pid out here.
    fn pid(&self) -> Pid {
        let [pid] = children(self.outer.pid())[..] else { panic!("unshare has one child") };
        pid
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it is there");
    }
}

fn children(pid: u32) -> Vec<Pid> {
    let path = PathBuf::from(format!("/proc/{pid}/task/{pid}/children"));
    let list = std::fs::read_to_string(path).expect("CONFIG_PROC_CHILDREN");
    list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

#[test]
#[ignore = "needs a pid namespace: root, or a kernel that gives users namespaces of their own"]
fn as_pid_1_it_obeys_sigterm_and_sigint() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut container = Container::start("exec \"$@\"");
        container.signal(signal);
        assert_eq!(container.outer.wait().code(), Some(0), "{}", container.outer.log());
    }
}

#[test]
#[ignore = "needs a pid namespace: root, or a kernel that gives users namespaces of their own"]
fn as_pid_1_it_reaps_orphans() {
    // Twenty grandchildren lose their parents, and then end: some at once, some while the daemon serves.
    let script = "i=0; while [ $i -lt 20 ]; do (sleep 0.$i &); i=$((i+1)); done; exec \"$@\"";
    let mut container = Container::start(script);
    let pid = u32::try_from(container.pid().as_raw_nonzero().get()).expect("positive");
    eventually("every orphan is reaped", || children(pid).is_empty().then_some(()));
    container.outer.wait_log("orphan reaped");
    container.signal(Signal::HUP);
    container.outer.wait_log("reloaded");
    container.signal(Signal::TERM);
    assert_eq!(container.outer.wait().code(), Some(0), "{}", container.outer.log());
}
