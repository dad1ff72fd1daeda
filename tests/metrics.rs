//! `/metrics`: what a monitoring system reads.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Daemon, Sandbox, eventually, settled};

const NO_ARGS: [&str; 0] = [];

/// Samples by name and labels. Each has its HELP and TYPE before it, and each family comes once.
fn samples(daemon: &Daemon) -> BTreeMap<String, f64> {
    let answer = daemon.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let mut family = String::new();
    let mut families = Vec::new();
    let mut samples = BTreeMap::new();
    for line in answer.body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            help.split(' ').next().expect("a name").clone_into(&mut family);
            assert!(!families.contains(&family), "{family} twice");
            families.push(family.clone());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert!(kind.starts_with(&format!("{family} ")), "{line} after HELP of {family}");
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            assert!(name.starts_with(&family), "{line} in {family}");
            let before = samples.insert(name.to_owned(), value.parse().expect("a number"));
            assert!(before.is_none(), "{name} twice");
        }
    }
    samples
}

#[test]
fn figures_are_those_of_the_daemon() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    for _ in 0..5 {
        assert_eq!(daemon.get("/livez").status, 200);
    }
    assert_eq!(daemon.get("/nothing").status, 404);
    let samples = samples(&daemon);
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name} in {samples:#?}"));
    let version = env!("CARGO_PKG_VERSION");
    assert!(value(&format!("vpo_build_info{{version=\"{version}\",schema_version=\"7\"}}")) >= 1.0);
    assert!(value("vpo_phase{phase=\"running\"}") > 0.0);
    assert!(value("vpo_http_requests_total{route=\"/livez\",status=\"200\"}") >= 5.0);
    assert!(value("vpo_http_requests_total{route=\"other\",status=\"404\"}") >= 1.0);
    assert!(value("vpo_http_request_duration_seconds_count") >= 6.0);
    assert!(value("vpo_http_request_duration_seconds_sum") > 0.0);
    assert!(value("vpo_http_connections_closed_total{reason=\"ended\"}") >= 1.0);
    assert!(value("vpo_http_connections_open") >= 1.0);
    assert!(value("vpo_http_connections_accepted_total") >= 7.0);
    assert!(value("vpo_check_status{check=\"database\",status=\"pass\"}") > 0.0);
    assert!(value("vpo_database_check_duration_seconds_count") >= 1.0);
    assert!(value("vpo_database_check_age_seconds") < 5.0);
    assert!(value("vpo_log_lines_dropped_total") < 1.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 5.0);
    assert!(value("process_max_fds") > value("process_open_fds"));
    assert!(value("process_start_time_seconds") > 1.6e9);
    assert!(value("process_threads") >= 2.0);
    assert!(value("process_cpu_seconds_total") >= 0.0);
}

/// Waits until the library is counted, and returns the files by root and status.
fn files(daemon: &Daemon) -> BTreeMap<String, f64> {
    eventually("the library is counted", || {
        let mut samples = samples(daemon);
        samples.retain(|name, _| name.starts_with("vpo_library_files{"));
        (!samples.is_empty()).then_some(samples)
    })
}

#[test]
fn files_are_counted_by_root_and_status_from_the_start() {
    let sandbox = Sandbox::new();
    let (film, root) = (sandbox.film("films/a.mkv"), sandbox.root());
    sandbox.film("elsewhere/b.mkv");
    let name = |root: &str, status: &str| format!("vpo_library_files{{root=\"{root}\",status=\"{status}\"}}");
    let expect = |counts: &BTreeMap<String, f64>, root: &str, expected: [f64; 4]| {
        let statuses = ["pending", "ok", "error", "missing"];
        assert_eq!(
            statuses.map(|status| counts[&name(root, status)]).map(f64::to_bits),
            expected.map(f64::to_bits),
            "{counts:#?}"
        );
    };

    // Without roots, and empty.
    let mut daemon = sandbox.serve(NO_ARGS);
    expect(&files(&daemon), "", [0.0; 4]);
    daemon.stop();
    for place in ["films", "elsewhere"] {
        assert!(sandbox.run(["scan", place]).status.success());
    }
    let mut daemon = sandbox.serve(NO_ARGS);
    expect(&files(&daemon), "", [0.0, 2.0, 0.0, 0.0]);
    daemon.stop();

    // With a root: the change is one of a series that was there before.
    let shown = root.to_str().expect("UTF-8");
    let daemon = sandbox.serve(["--root", shown]);
    let counts = files(&daemon);
    expect(&counts, "", [0.0, 1.0, 0.0, 0.0]);
    expect(&counts, shown, [0.0, 1.0, 0.0, 0.0]);
    std::fs::remove_file(film).expect("removed");
    std::fs::write(root.join("broken.mkv"), "none").expect("written");
    std::fs::File::open(root.join("broken.mkv"))
        .and_then(|file| file.set_modified(std::time::UNIX_EPOCH))
        .expect("ours");
    eventually("one is missing", || (files(&daemon)[&name(shown, "missing")] > 0.0).then_some(()));
}

#[test]
fn films_are_counted_by_their_picture_and_changes_by_kind() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let root = sandbox.root();
    let daemon = sandbox.serve(["--root".as_ref(), root.as_os_str()]);
    let counted = |wanted: &[(&str, f64)]| {
        eventually(&format!("the metrics are {wanted:?}"), || {
            let samples = samples(&daemon);
            let is_so = |(name, value): &(&str, f64)| {
                samples.get(*name).is_some_and(|found| found.to_bits() == value.to_bits())
            };
            wanted.iter().all(is_so).then_some(())
        });
    };
    let (added, missing) = ("vpo_changes_total{kind=\"added\"}", "vpo_changes_total{kind=\"missing\"}");
    // A first scan is one entry of the history, and the films of other codecs are zero.
    counted(&[
        ("vpo_library_files_by_codec{codec=\"h264\"}", 1.0),
        ("vpo_library_files_by_codec{codec=\"av1\"}", 0.0),
        ("vpo_library_files_by_resolution{resolution=\"1080p\"}", 1.0),
        ("vpo_library_files_by_resolution{resolution=\"2160p\"}", 0.0),
        ("vpo_library_files_by_hdr{hdr=\"hdr10\"}", 0.0),
        ("vpo_library_truncated_files", 0.0),
        (added, 0.0),
        (missing, 0.0),
    ]);
    let film = std::fs::read(sandbox.path("films/a.mkv")).expect("read");
    let cut = sandbox.write("films/cut.mkv", &film[..film.len() - 10]);
    settled(&cut);
    std::fs::remove_file(sandbox.path("films/a.mkv")).expect("removed");
    counted(&[
        (added, 1.0),
        (missing, 1.0),
        ("vpo_changes_total{kind=\"truncated\"}", 1.0),
        ("vpo_library_truncated_files", 1.0),
        ("vpo_library_files_by_codec{codec=\"h264\"}", 1.0),
    ]);
}

#[test]
fn a_failed_check_is_told_with_its_reason() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    std::fs::remove_file(sandbox.library()).expect("removed");
    eventually("/health is 503", || (daemon.get("/health").status == 503).then_some(()));
    let samples = samples(&daemon);
    assert!(samples.contains_key("vpo_database_check_reason{reason=\"missing\"}"), "{samples:#?}");
    assert!(samples["vpo_check_status{check=\"database\",status=\"fail\"}"] > 0.0);
}

#[test]
#[ignore = "needs promtool (Debian: prometheus): Prometheus' own opinion of the format"]
fn promtool_has_nothing_to_say() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve(NO_ARGS);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let metrics = daemon.get("/metrics").body;
    promtool.stdin.take().expect("piped").write_all(metrics.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("ends");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "{said}");
}
