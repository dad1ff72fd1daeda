//! Requests `/health` and prints a line for each load.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: vpo\r\n\r\n";
/// Between two requests.
const PAUSE: Duration = Duration::from_millis(2);

/// Requests `/health` of one server until it is dropped or asked for its result.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Latencies>>,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Latencies {
    /// Sorted, of answers and of failures.
    all: Vec<Duration>,
    /// Requests without an answer of 200.
    pub(crate) failed: usize,
}

impl Probe {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        // It connects before the load does.
        let mut stream = connect(address);
        let thread = std::thread::spawn(move || {
            let mut latencies = Latencies::default();
            while !told.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = stream.as_mut().and_then(|stream| ask(stream, HEALTH));
                latencies.all.push(begun.elapsed());
                if answer.is_none_or(|status| status != 200) {
                    latencies.failed += 1;
                    stream = connect(address);
                }
                std::thread::sleep(PAUSE);
            }
            latencies.all.sort_unstable();
            latencies
        });
        Self { stop, thread: Some(thread) }
    }

    pub(crate) fn end(mut self) -> Latencies {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("once").join().expect("no panic")
    }
}

impl Latencies {
    fn p99(&self) -> f64 {
        self.all.get(self.all.len() * 99 / 100).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }

    fn slowest(&self) -> f64 {
        self.all.last().map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    Some(stream)
}

/// Sends a request and reads the whole answer; its status.
pub(crate) fn ask(stream: &mut TcpStream, request: &[u8]) -> Option<u16> {
    stream.write_all(request).ok()?;
    answer(stream).map(|(status, _)| status)
}

/// The status and the body of one answer.
pub(crate) fn answer(stream: &mut TcpStream) -> Option<(u16, Vec<u8>)> {
    let mut answer = Vec::new();
    let mut space = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut space).ok()? {
            0 => return None,
            count => answer.extend_from_slice(&space[..count]),
        }
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).ok()?.to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(Some(0), |length| length.trim().parse().ok())?;
        if answer.len() >= head + 4 + length {
            return Some((text.split(' ').nth(1)?.parse().ok()?, answer.split_off(head + 4)));
        }
    }
}

/// The targets of a row: p99 and slowest in milliseconds, peak in MiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Target {
    pub(crate) latency: Option<(f64, f64)>,
    pub(crate) memory: Option<u64>,
}

impl Target {
    pub(crate) fn new(p99: f64, slowest: f64, memory: u64) -> Self {
        Self { latency: Some((p99, slowest)), memory: Some(memory) }
    }
}

pub(crate) fn heading() {
    println!(
        "{:<44} {:>17} {:>17} {:>9}  {:<19} further",
        "load", "vpo p99/slowest", "raw p99/slowest", "peak MiB", "target"
    );
}

/// Whether a load missed a latency, and whether one missed an answer or a bound on memory.
pub(crate) static LATE: AtomicBool = AtomicBool::new(false);
/// As [`LATE`].
pub(crate) static MISSED: AtomicBool = AtomicBool::new(false);

/// Prints the line of a load.
pub(crate) fn line(load: &str, vpo: &Latencies, raw: &Latencies, peak: u64, target: Target, further: &str) {
    let in_time = target.latency.is_none_or(|(p99, slowest)| vpo.p99() <= p99 && vpo.slowest() <= slowest);
    let is_held = target.memory.is_none_or(|memory| peak <= memory) && vpo.failed == 0;
    LATE.fetch_or(!in_time, Ordering::Relaxed);
    MISSED.fetch_or(!is_held, Ordering::Relaxed);
    let is_met = in_time && is_held;
    let latency =
        target.latency.map_or_else(|| "-".to_owned(), |(p99, slowest)| format!("{p99} / {slowest}"));
    let memory = target.memory.map_or_else(|| "-".to_owned(), |memory| memory.to_string());
    println!(
        "{load:<44} {:>8.1} /{:>7.1} {:>8.1} /{:>7.1} {peak:>9}  {:<19} {}{further}{}",
        vpo.p99(),
        vpo.slowest(),
        raw.p99(),
        raw.slowest(),
        format!("{latency}, {memory}"),
        if is_met { "" } else { "MISSED; " },
        if vpo.failed > 0 {
            format!("; {} of {} probes failed", vpo.failed, vpo.all.len())
        } else {
            String::new()
        },
    );
}
