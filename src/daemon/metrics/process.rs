//! The process's own figures under the names that all exporters use, from `/proc/self` (proc(5)). Where that
//! is not mounted they are left out.

use std::fs;

use super::Text;

pub(super) fn collect(text: &mut Text) {
    let Some(stat) = Stat::read() else { return };
    text.value(
        "process_cpu_seconds_total",
        "CPU time spent, user and system, in seconds.",
        seconds(stat.cpu_ticks),
    );
    text.value(
        "process_resident_memory_bytes",
        "Resident memory.",
        stat.resident_pages.saturating_mul(page_size()),
    );
    text.value("process_virtual_memory_bytes", "Virtual memory.", stat.virtual_bytes);
    text.value("process_threads", "Threads of the process.", stat.threads);
    if let Some(boot) = boot_time() {
        let since_epoch = seconds(stat.start_ticks.saturating_add(boot.saturating_mul(TICKS)));
        text.value("process_start_time_seconds", "Start of the process, as Unix time.", since_epoch);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        text.value("process_open_fds", "Open file descriptors.", entries.count().saturating_sub(1));
    }
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        text.value("process_max_fds", "Most file descriptors the process may have.", limit);
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
