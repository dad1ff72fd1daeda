//! What the kernel knows of a process's cost, and on which core it runs.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that we may use: the first is the servers', the last the load's.
fn cores() -> Vec<usize> {
    let set = sched_getaffinity(None).expect("an affinity");
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).expect("a core of ours");
}

std::thread_local! {
    static CORES: Vec<usize> = cores();
}

/// Puts this process on the load's core.
pub(crate) fn pin_to_load_core() {
    CORES.with(|cores| pin(*cores.last().expect("a core")));
}

/// Spawns on the servers' core.
pub(crate) fn on_server_core(command: &mut Command) -> Child {
    CORES.with(|cores| pin(cores[0]));
    let child = command.spawn().expect("the program is there");
    pin_to_load_core();
    child
}

/// CPU time of all threads that live, in seconds, to the nanosecond (Documentation/scheduler/sched-stats).
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a bench")]
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let of = |path: &Path| fs::read_to_string(path).ok()?.split(' ').next()?.parse::<u64>().ok();
    let nanoseconds: u64 = threads.flatten().filter_map(|thread| of(&thread.path().join("schedstat"))).sum();
    nanoseconds as f64 / 1e9
}

/// Resident memory. `VmRSS` of `/proc/PID/status` may be off by some hundred kilobytes, says proc(5).
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process lives");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).expect("Rss");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Wall time of a command, from before fork to after wait.
pub(crate) fn wall_seconds(command: &[OsString], home: &Path) -> f64 {
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]).env_clear().env("HOME", home).stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = child.status().expect("the program is there");
    let took = begun.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}: {status}");
    took
}

/// Largest resident memory of a command. `busybox time` takes the kernel's kibibytes for pages.
pub(crate) fn peak_kib(busybox: &OsStr, command: &[OsString], home: &Path) -> Option<u64> {
    let output = Command::new(busybox)
        .args(["time", "-f", "%M"])
        .args(command)
        .env_clear()
        .env("HOME", home)
        .output()
        .ok()?;
    let told: u64 = String::from_utf8(output.stderr).ok()?.lines().last()?.trim().parse().ok()?;
    Some(told / (rustix::param::page_size() as u64 / 1024))
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The machine in a few words.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} cores of {model}, Linux {}", CORES.with(Vec::len), kernel.trim())
}

/// How busy the machine is with other things.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
