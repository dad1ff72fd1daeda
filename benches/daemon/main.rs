//! What the daemon costs, beside a raw tokio responder that gives a constant answer of the same size in the
//! same run: `cargo bench --bench daemon`. The ratios count, not the figures: both sides meet the same machine
//! at the same time.
//!
//! ```text
//! cargo bench --bench daemon                    the whole of it, some minutes
//! cargo bench --bench daemon -- --smoke         that everything still runs, some seconds
//! cargo bench --bench daemon -- --vpo PATH      another binary, such as the static musl build
//! ```
//!
//! Servers are pinned to one core and the load to another. nginx and static-web-server join when installed.
//! What came out last is in `docs/performance.md`.

mod cost;
mod load;
mod raw;
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use cost::{cpu_seconds, median, resident_kib};
use load::Load;
use servers::{Server, Vpo};

/// How much is measured.
struct Extent {
    seconds: f64,
    rounds: usize,
    requests: u64,
}

const FULL: Extent = Extent { seconds: 3.0, rounds: 20, requests: 100_000 };
const SMOKE: Extent = Extent { seconds: 0.1, rounds: 2, requests: 1_000 };

fn main() {
    let mut vpo = PathBuf::from(env!("CARGO_BIN_EXE_vpo"));
    let mut extent = &FULL;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--raw" => return raw::serve(),
            "--smoke" => extent = &SMOKE,
            "--vpo" => vpo = arguments.next().expect("a path after --vpo").into(),
            // What cargo itself passes.
            "--bench" => {}
            other => panic!("unknown argument {other}: see the head of benches/daemon/main.rs"),
        }
    }
    cost::pin_to_load_core();
    println!("{}, load {}\n", cost::machine(), cost::load_average());
    throughput(&vpo, extent);
    start_and_stop(&vpo, extent);
    memory(&vpo, extent);
    healthcheck(&vpo, extent);
}

fn throughput(vpo: &std::path::Path, extent: &Extent) {
    println!(
        "{:>5} {:>10}  {:<18} {:>9} {:>9} {:>9} {:>8} {:>7}",
        "conns", "", "server", "req/s", "p50 µs", "p99 µs", "CPU µs", "ratio"
    );
    let vpo = Vpo::start(vpo);
    let address = vpo.address();
    let answer = load::answer_of(address);
    let mut servers: Vec<Box<dyn Server>> = vec![Box::new(raw::Raw::start(&answer)), Box::new(vpo)];
    servers.extend(servers::installed(&answer));
    for keep_alive in [true, false] {
        for connections in [1, 64, 512] {
            let mut reference = None;
            for server in &servers {
                let load = Load {
                    address: server.address(),
                    connections,
                    keep_alive,
                    time: Duration::from_secs_f64(extent.seconds),
                };
                // Once to warm up, so that each meets its own steady state.
                Load { time: load.time / 5, ..load }.run();
                let before = cpu_seconds(server.pid());
                let result = load.run();
                let cpu = (cpu_seconds(server.pid()) - before) * 1e6 / result.count();
                let reference = *reference.get_or_insert(cpu);
                println!(
                    "{connections:>5} {:>10}  {:<18} {:>9.0} {:>9.0} {:>9.0} {cpu:>8.2} {:>7.2}",
                    if keep_alive { "keep-alive" } else { "new" },
                    server.name(),
                    result.per_second(),
                    result.quantile(0.5),
                    result.quantile(0.99),
                    cpu / reference,
                );
            }
        }
    }
    let check = |what| load::metric(address, &format!("vpo_database_check_duration_seconds_{what}"));
    let (count, seconds) = (check("count"), check("sum"));
    println!("\na check of the library, mean of {count:<5} {:>8.0} µs\n", seconds / count * 1e6);
}

fn start_and_stop(vpo: &std::path::Path, extent: &Extent) {
    let answer = vec![b'x'; 300];
    let raw = median((0..extent.rounds).map(|_| raw::Raw::start(&answer).until_first_answer()));
    println!("exec to first answer, raw             {:>8.2} ms", raw * 1e3);
    let home = servers::Home::new();
    let started: Vec<Vpo> = (0..extent.rounds).map(|_| Vpo::start_in(vpo, &home)).map(Vpo::stopped).collect();
    let first = median(started.iter().map(|vpo| vpo.first_answer.as_secs_f64()));
    println!("exec to first 200 of /health, vpo     {:>8.2} ms  (target 5)", first * 1e3);
    let exit = median(started.iter().map(|vpo| vpo.exit.as_secs_f64()));
    println!("SIGTERM to exit, idle                 {:>8.2} ms  (target 5)", exit * 1e3);
    let exit = median((0..extent.rounds).map(|_| {
        let vpo = Vpo::start_in(vpo, &home);
        let _open = load::idle_connections(vpo.address(), 100);
        vpo.stopped().exit.as_secs_f64()
    }));
    println!("SIGTERM to exit, 100 connections      {:>8.2} ms\n", exit * 1e3);
}

fn memory(vpo: &std::path::Path, extent: &Extent) {
    let vpo = Vpo::start(vpo);
    // The first checks and probes belong to the idle state.
    std::thread::sleep(Duration::from_secs_f64(extent.seconds.min(2.0)));
    println!(
        "resident, idle                        {:>8} KiB (target for musl 4096)",
        resident_kib(vpo.pid())
    );
    for _ in 0..2 {
        let mut left = extent.requests;
        while left > 0 {
            let time = Duration::from_millis(100);
            let load = Load { address: vpo.address(), connections: 64, keep_alive: true, time };
            left = left.saturating_sub(load.run().requests());
        }
        println!("resident, after {:>7} more requests {:>8} KiB", extent.requests, resident_kib(vpo.pid()));
    }
    println!();
}

fn healthcheck(vpo: &std::path::Path, extent: &Extent) {
    let daemon = Vpo::start(vpo);
    let url = format!("http://{}/health", daemon.address());
    let probe = daemon.probe();
    let mut rows = vec![("vpo healthcheck", probe)];
    for (name, program, arguments) in [
        ("curl", "curl", vec!["-sf", "-o", "/dev/null", &url]),
        ("busybox wget", "busybox", vec!["wget", "-q", "-O", "/dev/null", &url]),
    ] {
        if let Some(program) = servers::find(program) {
            rows.push((name, [vec![program], arguments.into_iter().map(Into::into).collect()].concat()));
        }
    }
    let busybox = servers::find("busybox");
    for (name, command) in rows {
        let wall = median((0..extent.rounds * 5).map(|_| cost::wall_seconds(&command, daemon.home())));
        let memory = busybox.as_ref().and_then(|busybox| cost::peak_kib(busybox, &command, daemon.home()));
        let memory = memory.map_or_else(|| "-".to_owned(), |kib| format!("{kib} KiB"));
        println!("{name:<37} {:>8.2} ms  {memory}", wall * 1e3);
    }
}
