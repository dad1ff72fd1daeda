//! The process's own figures under the names that all exporters use, from `/proc/self` (proc(5)). Where that
//! is not mounted they are left out.

use std::fs;

use super::{Kind, Text};

pub(super) fn collect(text: &mut Text) {
    let Some(stat) = Stat::read() else { return };
    text.family("process_cpu_seconds_total", Kind::Counter, "CPU time spent, user and system, in seconds.")
        .sample(&[], seconds(stat.cpu_ticks));
    text.family("process_resident_memory_bytes", Kind::Gauge, "Resident memory.")
        .sample(&[], stat.resident_pages.saturating_mul(page_size()));
    text.family("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory.")
        .sample(&[], stat.virtual_bytes);
    text.family("process_threads", Kind::Gauge, "Threads of the process.").sample(&[], stat.threads);
    if let Some(boot) = boot_time() {
        let since_epoch = seconds(stat.start_ticks.saturating_add(boot.saturating_mul(TICKS)));
        text.family("process_start_time_seconds", Kind::Gauge, "Start of the process, as Unix time.")
            .sample(&[], since_epoch);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        text.family("process_open_fds", Kind::Gauge, "Open file descriptors.")
            .sample(&[], entries.count().saturating_sub(1));
    }
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        text.family("process_max_fds", Kind::Gauge, "Most file descriptors the process may have.")
            .sample(&[], limit);
    }
}

/// The kernel counts in clock ticks for user space, 100 a second on every Linux.
const TICKS: u64 = 100;

fn seconds(ticks: u64) -> String {
    format!("{}.{:02}", ticks / TICKS, ticks % TICKS)
}

fn page_size() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or_default()
}

/// `btime` of `/proc/stat`: when the system was booted, as Unix time.
fn boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The fields of `/proc/self/stat` that we use.
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field, the program's name in parentheses, may hold anything; the third follows the last one.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.saturating_add(field(15)?),
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}
