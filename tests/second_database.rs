//! `vpo scan` makes no second database beside that of a running daemon by accident.

use crate::harness::{Daemon, Sandbox, eventually};

#[test]
fn a_root_of_a_daemon_is_recorded_in_a_second_database_only_on_request() {
    let sandbox = Sandbox::new();
    for name in ["films/deep/a.mkv", "more/b.mkv"] {
        sandbox.film(name);
    }
    let root = sandbox.root();
    let mut command = sandbox.vpo(["serve", "--port", "0", "--root"]);
    std::fs::create_dir(sandbox.path("d")).expect("made");
    let database = sandbox.path("d/library.db");
    command.arg(&root).arg("--database").arg(&database);
    let elsewhere = Daemon::spawn(command, &database);
    elsewhere.wait_healthy();
    let at_home = sandbox.serve(["--root".as_ref(), root.as_os_str()]);
    for daemon in [&elsewhere, &at_home] {
        eventually("the root is checked", || daemon.get("/health").body.contains("root:").then_some(()));
    }
    let port = elsewhere.address().port().to_string();
    let home = |name: &str| sandbox.path(name).display().to_string();
    // The daemon at home is found by its lock file, the other one at its address.
    for (home_of_user, database, found) in [
        (home(""), Some("other.db"), format!("--database {}", sandbox.library().display())),
        (home("home2"), None, format!("at http://127.0.0.1:{port} scans")),
    ] {
        let scan = |args: &[&str]| {
            let mut command = sandbox.vpo(["scan"]);
            command.env("HOME", &home_of_user).env("VPO_SERVER_PORT", &port).args(args);
            command.args(database.map(|name| ["--database", name]).into_iter().flatten());
            command.output().expect("vpo runs")
        };
        let made = database.map_or(sandbox.path("home2/.vpo/library.db"), |name| sandbox.path(name));
        for path in ["films", "films/deep", "."] {
            let output = scan(&[path]);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{path}: {stderr}");
            assert!(stderr.starts_with("vpo: error[second-database]: "), "{stderr}");
            assert!(stderr.contains(&found) && stderr.contains("--create"), "{stderr}");
            assert!(!made.exists() && !sandbox.path("home2").exists(), "{path}");
        }
        std::fs::create_dir_all(&home_of_user).expect("made");
        let output = scan(&["films", "--create"]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(stdout.contains(&format!("recorded in {}\n", made.display())), "{stdout}");
        assert!(made.exists());
        std::fs::remove_file(&made).expect("removed");
        std::fs::remove_file(format!("{}.lock", made.display())).expect("removed");
        assert!(scan(&["more"]).status.success(), "a root of no daemon");
    }
    drop(at_home);
}
