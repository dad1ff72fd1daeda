//! The load: connections that ask and read, one request at a time each, from one thread.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const KEEP: &[u8] = b"GET /health HTTP/1.1\r\nHost: vpo\r\n\r\n";
const CLOSE: &[u8] = b"GET /health HTTP/1.1\r\nHost: vpo\r\nConnection: close\r\n\r\n";

/// One measurement.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) keep_alive: bool,
    pub(crate) time: Duration,
}

/// What came of it.
pub(crate) struct Outcome {
    /// Sorted.
    latencies: Vec<u32>,
    took: Duration,
}

impl Outcome {
    pub(crate) fn requests(&self) -> u64 {
        self.latencies.len() as u64
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
    pub(crate) fn count(&self) -> f64 {
        self.latencies.len() as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.count() / self.took.as_secs_f64()
    }

    /// A latency in microseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into what is counted here"
    )]
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let index = (self.count() * quantile) as usize;
        self.latencies.get(index).copied().map_or(f64::NAN, |nanoseconds| f64::from(nanoseconds) / 1e3)
    }
}

impl Load {
    pub(crate) fn run(self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let latencies = Arc::new(Mutex::new(Vec::with_capacity(1 << 20)));
        let begun = Instant::now();
        let end = begun + self.time;
        runtime.block_on(async {
            let clients: Vec<_> = (0..self.connections)
                .map(|_| {
                    let latencies = Arc::clone(&latencies);
                    tokio::spawn(async move {
                        let own = if self.keep_alive { self.keep(end).await } else { self.renew(end).await };
                        let own = own.expect("every request is answered");
                        latencies.lock().expect("not poisoned").extend(own);
                    })
                })
                .collect();
            for client in clients {
                client.await.expect("no panic");
            }
        });
        let took = begun.elapsed();
        let mut latencies = std::mem::take(&mut *latencies.lock().expect("not poisoned"));
        latencies.sort_unstable();
        Outcome { latencies, took }
    }

    async fn keep(self, end: Instant) -> std::io::Result<Vec<u32>> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut latencies = Vec::new();
        let mut now = Instant::now();
        while now < end {
            let begun = now;
            stream.write_all(KEEP).await?;
            read_answer(&mut stream).await?;
            now = Instant::now();
            latencies.push(nanoseconds(now - begun));
        }
        Ok(latencies)
    }

    async fn renew(self, end: Instant) -> std::io::Result<Vec<u32>> {
        let mut latencies = Vec::new();
        let mut now = Instant::now();
        while now < end {
            let begun = now;
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(CLOSE).await?;
            read_answer(&mut stream).await?;
            now = Instant::now();
            latencies.push(nanoseconds(now - begun));
        }
        Ok(latencies)
    }
}

fn nanoseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX)
}

async fn read_answer(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        filled += match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => count,
        };
        if whole(&buffer[..filled]) {
            return Ok(());
        }
    }
}

/// Whether this is a head and all of the body that it announces.
fn whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let name = b"\r\ncontent-length: ";
    let length = answer[..head].windows(name.len()).position(|window| window.eq_ignore_ascii_case(name));
    let length = length.map_or(0, |start| {
        answer[start + name.len()..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
    });
    answer.len() >= head + 4 + length
}

/// The bytes of one answer; fails when it is not 200.
pub(crate) fn answer_of(address: SocketAddr) -> Vec<u8> {
    try_answer_of(address).expect("an answer")
}

/// As [`answer_of`]; `None` when there is none.
pub(crate) fn try_answer_of(address: SocketAddr) -> Option<Vec<u8>> {
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.write_all(KEEP).ok()?;
    let mut answer = vec![0; 4096];
    let mut filled = 0;
    while !whole(&answer[..filled]) {
        filled += match stream.read(&mut answer[filled..]) {
            Ok(count @ 1..) => count,
            _ => return None,
        };
        // The raw responder's start is measured with an answer that is not HTTP.
        if answer[0] == b'x' {
            break;
        }
    }
    answer.truncate(filled);
    Some(answer)
}

/// The value of a sample of `/metrics` that has no labels.
pub(crate) fn metric(address: SocketAddr, name: &str) -> f64 {
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let request = b"GET /metrics HTTP/1.1\r\nHost: vpo\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).expect("a sample of that name")
}

/// Connections that have each been answered once and stay open.
pub(crate) fn idle_connections(address: SocketAddr, count: usize) -> Vec<std::net::TcpStream> {
    (0..count)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(address).expect("connects");
            stream.write_all(KEEP).expect("sent");
            assert!(stream.read(&mut [0; 4096]).expect("an answer") > 0);
            stream
        })
        .collect()
}
