//! `vpo status`: the daemon, its roots, running scans, the database's disk, and problems with what to do about each. Asks the
//! daemon; without one, or without its token, reads the database and the configuration.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::output::{Lines, Style};
use super::{client, configure, database, inspect, output};
use crate::base::address::Address;
use crate::base::times::DAEMON_ANSWER_TIMEOUT;
use crate::cli::StatusArgs;
use crate::config::{Config, Environment, Secret};
use crate::library::file_system::space;
use crate::library::jobs::listing::{self as jobs, Filter};
use crate::library::lock::Holder;
use crate::library::{Library, Retry};

/// Fewer free bytes are a problem.
const LITTLE: u64 = 500_000_000;

/// Runs `vpo status`.
#[must_use]
pub(crate) fn run(args: &StatusArgs) -> ExitCode {
    let environment = Environment::from_process();
    // The token shows more. This user may not be allowed to read it.
    let config = match Config::resolve(&args.layer(), &environment) {
        Ok(resolved) => resolved.config,
        Err(_) => match configure(&args.layer(), Config::resolve_without_secrets) {
            Ok(resolved) => resolved.config,
            Err(code) => return code,
        },
    };
    let path = database::find(&config, &environment);
    let holder = client::holder(&path, environment.runtime_directory());
    let status = gather(&config, &path, holder.as_ref());
    if args.json {
        return output::print_json(&status);
    }
    let mut lines = Lines::new(args.color, &environment);
    show(&mut lines, &status).break_value().unwrap_or(ExitCode::SUCCESS)
}

/// What the daemon reports, with what this command adds.
fn gather(config: &Config, path: &Path, holder: Option<&Holder>) -> Value {
    let address = holder.and_then(|holder| holder.address.as_ref());
    let token = config.server.auth_token.as_ref().map(Secret::expose);
    let mut status = address.and_then(|address| of_daemon(address, token)).unwrap_or_else(|| {
        let health = address.and_then(|address| client::health(address, token));
        of_database(config, path, health.as_ref())
    });
    status["daemon"] = match holder {
        Some(holder) => json!({"pid": holder.pid, "address": address.map(client::shown)}),
        None => Value::Null,
    };
    let mut problems = own_problems(&status);
    problems.extend(status["problems"].as_array().cloned().unwrap_or_default());
    status["problems"] = problems.into();
    status
}

fn of_daemon(address: &Address, token: Option<&str>) -> Option<Value> {
    let answer = client::get(address, "/api/v1/status", token, Some(DAEMON_ANSWER_TIMEOUT)).ok()?;
    let answer = client::Answer::parse(&answer).filter(|answer| answer.status == "200")?;
    serde_json::from_str(&answer.body).ok()
}

/// The same from the database and the configuration, and from what the daemon reports without its token.
fn of_database(config: &Config, path: &Path, health: Option<&client::Health>) -> Value {
    let (bytes, free_bytes) = space(path).unzip();
    let cancel = CancellationToken::new();
    let running = Filter { status: Some("running".to_owned()), job_type: Some("scan".to_owned()) };
    let read = Library::view(path, &cancel).map_err(|error| error.to_string()).and_then(|library| {
        let read = library.read(Retry::new(&cancel), |tx| jobs::page(tx, &running, None, 20));
        read.map_err(|error| error.to_string())
    });
    let mut problems = Vec::new();
    let scans = read.unwrap_or_else(|error| {
        problems.push(json!({"name": "database", "status": "fail", "reason": null, "detail": error}));
        None
    });
    let root = |path: &str, status: &str| json!({"path": path, "status": status});
    let configured = config.scan.roots.iter().map(|path| root(&path.to_string_lossy(), "unknown"));
    let roots: Vec<Value> = match health {
        Some(health) => client::roots(health).map(|(path, check)| root(path, &check.status)).collect(),
        None => configured.collect(),
    };
    for check in health.iter().flat_map(|health| &health.checks).filter(|check| check.status != "pass") {
        problems.push(json!({
            "name": check.name, "status": check.status, "reason": check.reason, "detail": check.detail,
        }));
    }
    json!({
        "version": health.map(|health| &health.version),
        "phase": health.map(|health| &health.phase),
        "uptime_seconds": health.map(|health| health.uptime_seconds),
        "problems": problems,
        "database": {"path": path.display().to_string(), "bytes": bytes, "free_bytes": free_bytes},
        "roots": roots,
        "scans": scans.map(|page| page.jobs).unwrap_or_default(),
    })
}

/// Problems that no check of the daemon reports.
fn own_problems(status: &Value) -> Vec<Value> {
    let mut problems = Vec::new();
    let mut add = |name: &str, reason: &str, detail: String| {
        problems.push(json!({"name": name, "status": "warn", "reason": reason, "detail": detail}));
    };
    if status["daemon"].is_null() {
        add("daemon", "not_running", "no daemon uses this database: start one with `vpo serve`".to_owned());
    } else if status["phase"].is_null() {
        add("daemon", "no_answer", "the daemon does not answer: see its log, or restart it".to_owned());
    }
    if status["roots"].as_array().is_some_and(Vec::is_empty) {
        let detail =
            "nothing is scanned: add --root DIRECTORY to `vpo serve`, or scan.roots to the configuration";
        add("roots", "none", detail.to_owned());
    }
    if let Some(free) = status["database"]["free_bytes"].as_u64().filter(|free| *free < LITTLE) {
        let detail =
            format!("{} are free on the disk of the database: free some space", inspect::bytes(free));
        add("disk", "little_space", detail);
    }
    problems
}

fn show(lines: &mut Lines, status: &Value) -> ControlFlow<ExitCode> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let daemon = match (&status["daemon"], &status["phase"]) {
        (Value::Null, _) => "not running".to_owned(),
        (daemon, phase) => {
            let pid = daemon["pid"].as_u64().map(|pid| format!(", pid {pid}")).unwrap_or_default();
            let uptime = status["uptime_seconds"].as_f64().map(|time| format!(", up {}", span(time)));
            let version = status["version"].as_str().map(|version| format!(", version {version}"));
            let (uptime, version) = (uptime.unwrap_or_default(), version.unwrap_or_default());
            format!("{}{version}{pid}{uptime}, {}", text(phase), text(&daemon["address"]))
        }
    };
    let style = if status["phase"] == "running" { Style::Good } else { Style::Doubtful };
    lines.push(style, format_args!("daemon    {daemon}"));
    let database = &status["database"];
    let size = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), inspect::bytes);
    let (path, used, free) =
        (text(&database["path"]), size(&database["bytes"]), size(&database["free_bytes"]));
    lines.push(Style::Plain, format_args!("database  {path}, {used}, {free} free"));
    for root in status["roots"].as_array().into_iter().flatten() {
        let scanned = root["last_success"].as_str().map(|time| format!(", scanned {time}"));
        let watch = root["watch"].as_str().map(|watch| format!(", watch {watch}"));
        let style = if root["status"] == "warn" { Style::Bad } else { Style::Plain };
        let (scanned, watch) = (scanned.unwrap_or_default(), watch.unwrap_or_default());
        lines.push(
            style,
            format_args!("root      {}, {}{scanned}{watch}", text(&root["path"]), text(&root["status"])),
        );
    }
    for scan in status["scans"].as_array().into_iter().flatten() {
        let percent = scan["progress_percent"].as_f64().unwrap_or_default();
        lines.push(
            Style::Plain,
            format_args!("scan      {}, running, {percent:.0} %", text(&scan["file_path"])),
        );
    }
    for problem in status["problems"].as_array().into_iter().flatten() {
        let style = if problem["status"] == "fail" { Style::Bad } else { Style::Doubtful };
        let (name, reason) = (text(&problem["name"]), text(&problem["reason"]));
        let detail = problem["detail"].as_str();
        let detail = detail.unwrap_or("its meaning is in docs/operations.md; the access token shows details");
        lines.push(style, format_args!("problem   {name} {reason}: {detail}"));
    }
    if status["problems"].as_array().is_some_and(Vec::is_empty) {
        lines.push(Style::Good, "problems  none");
    }
    lines.print()
}

/// `3 d`, `4 h`, `5 min` or `6 s`.
fn span(seconds: f64) -> String {
    let (unit, name) = match seconds {
        86_400.0.. => (86_400.0, "d"),
        3_600.0.. => (3_600.0, "h"),
        60.0.. => (60.0, "min"),
        _ => (1.0, "s"),
    };
    format!("{:.0} {name}", (seconds / unit).floor())
}
