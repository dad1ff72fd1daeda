//! What the daemon answers and needs under overload: `cargo bench --bench overload`.
//!
//! ```text
//! cargo bench --bench overload                    every row, some minutes
//! cargo bench --bench overload -- --smoke         every row in small, a minute, for CI
//! cargo bench --bench overload -- --vpo PATH      another binary, such as the static musl build
//! cargo bench --bench overload -- ROW…            only these: pages silent titles idle many one burst flood
//! ```
//!
//! The load has nice 19. `/health` is requested all the time, by a thread that has not. A raw tokio responder, which writes
//! a constant answer, gets the same load in the same run, or is requested beside the daemon while that scans. The last
//! results are in `docs/performance.md`.

#[path = "../../tests/harness/samples.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod samples;
#[path = "../../tests/harness/video.rs"]
mod video;

mod clients;
mod daemon;
mod films;
#[path = "../daemon/raw.rs"]
#[expect(dead_code, reason = "the other bench uses the rest")]
mod raw;
mod report;
mod rows;

/// What [`raw`] names of its own bench.
mod cost {
    use std::process::{Child, Command};

    pub(crate) fn on_server_core(command: &mut Command) -> Child {
        command.spawn().expect("the program is there")
    }
}

/// As [`cost`].
mod load {
    use std::net::SocketAddr;

    pub(crate) fn try_answer_of(_: SocketAddr) -> Option<Vec<u8>> {
        None
    }
}

/// As [`cost`].
mod servers {
    use std::net::SocketAddr;

    pub(crate) trait Server {
        #[expect(dead_code, reason = "the other bench uses it")]
        fn name(&self) -> &'static str;
        fn address(&self) -> SocketAddr;
        #[expect(dead_code, reason = "the other bench uses it")]
        fn pid(&self) -> u32;
    }
}

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How much is done.
#[derive(Clone, Copy)]
struct Extent {
    is_smoke: bool,
    /// Of a load over HTTP.
    time: Duration,
    /// Hard links to files of titles.
    links: u32,
    /// Files in 20,000 directories (or a fiftieth of their number), and in one directory.
    many: u32,
    one: u32,
    /// New connections per second, and for how long.
    flood: u32,
    flood_time: Duration,
}

const FULL: Extent = Extent {
    is_smoke: false,
    time: Duration::from_secs(15),
    links: 300,
    many: 1_000_000,
    one: 500_000,
    flood: 11_000,
    flood_time: Duration::from_secs(20),
};

const SMOKE: Extent = Extent {
    is_smoke: true,
    time: Duration::from_secs(3),
    links: 30,
    many: 5_000,
    one: 5_000,
    flood: 2_000,
    flood_time: Duration::from_secs(3),
};

fn main() -> ExitCode {
    let mut extent = FULL;
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--raw" => {
                raw::serve();
                return ExitCode::SUCCESS;
            }
            "--vpo" => {
                let path = arguments.next().expect("a path after --vpo");
                daemon::OTHER.set(path.into()).expect("once");
            }
            "--smoke" => extent = SMOKE,
            // What cargo itself passes.
            "--bench" => {}
            row => wanted.push(row.to_owned()),
        }
    }
    // For the many connections of both sides.
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: Some(65_536), maximum: Some(65_536) },
    );
    for row in &wanted {
        assert!(
            rows::ALL.iter().any(|(name, _)| name == row),
            "unknown row {row}: see benches/overload/main.rs"
        );
    }
    report::heading();
    for (name, run) in rows::ALL {
        if wanted.is_empty() || wanted.iter().any(|row| row == name) {
            run(&extent);
        }
    }
    // The latencies of the small loads show only the machine.
    let is_late = report::LATE.load(Ordering::Relaxed) && !extent.is_smoke;
    if is_late || report::MISSED.load(Ordering::Relaxed) {
        eprintln!("a row has MISSED its target");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
