//! The loads over HTTP. Their threads have nice 19.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::report;

/// Connections that the flood keeps open.
const FLOOD_OPEN: usize = 4_000;

/// Runs `work` on a thread of its own with nice 19, and waits for it.
pub(crate) fn politely<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // On Linux this sets the nice value of the thread.
            let _ = rustix::process::nice(19);
            work()
        });
        thread.join().expect("no panic")
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Clients that fetch one page after the other. Returns the answers of 200 and their bytes, and the others.
pub(crate) fn fetch_pages(
    address: SocketAddr,
    clients: usize,
    path: &str,
    time: Duration,
) -> (usize, usize, usize) {
    let end = Instant::now() + time;
    let path = path.to_owned();
    let client = move || {
        let path = path.clone();
        async move {
            let (mut ok, mut bytes, mut others, mut cursor) = (0, 0, 0, String::new());
            let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return (0, 0, 1) };
            while Instant::now() < end {
                let request = format!("GET {path}{cursor} HTTP/1.1\r\nHost: vpo\r\n\r\n");
                let Some((status, body)) = exchange(&mut stream, request.as_bytes()).await else {
                    others += 1;
                    break;
                };
                if status != 200 {
                    others += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
                (ok, bytes) = (ok + 1, bytes + body.len());
                let text = String::from_utf8_lossy(&body);
                let next = text.rsplit("\"next_cursor\":").next().and_then(|rest| rest.split(',').next());
                cursor =
                    next.filter(|id| *id != "null").map_or_else(String::new, |id| format!("&cursor={id}"));
            }
            (ok, bytes, others)
        }
    };
    politely(|| {
        block_on(async {
            let tasks: Vec<_> = (0..clients).map(|_| tokio::spawn(client())).collect();
            let mut sum = (0, 0, 0);
            for task in tasks {
                let (ok, bytes, others) = task.await.expect("no panic");
                sum = (sum.0 + ok, sum.1 + bytes, sum.2 + others);
            }
            sum
        })
    })
}

async fn exchange(stream: &mut tokio::net::TcpStream, request: &[u8]) -> Option<(u16, Vec<u8>)> {
    stream.write_all(request).await.ok()?;
    let (mut answer, mut space) = (Vec::new(), vec![0; 64 * 1024]);
    let mut whole = None;
    loop {
        match stream.read(&mut space).await.ok()? {
            0 => return None,
            count => answer.extend_from_slice(&space[..count]),
        }
        if whole.is_none()
            && let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let text = std::str::from_utf8(&answer[..head]).ok()?.to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            whole = Some((head + 4, head + 4 + length, text.split(' ').nth(1)?.parse().ok()?));
        }
        if let Some((body, end, status)) = whole
            && answer.len() >= end
        {
            return Some((status, answer.split_off(body)));
        }
    }
}

/// Clients that send requests, read nothing, and begin again after some seconds: they do not notice that they were
/// disconnected, because the end of the stream stands behind what they do not read.
pub(crate) fn never_read(address: SocketAddr, clients: usize, path: &str, time: Duration) {
    const TURN: Duration = Duration::from_secs(13);
    let request = format!("GET {path} HTTP/1.1\r\nHost: vpo\r\n\r\n").repeat(5);
    politely(|| {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let connect = |_| {
                let mut stream = TcpStream::connect(address).ok()?;
                stream.write_all(request.as_bytes()).ok()?;
                Some(stream)
            };
            let _streams: Vec<_> = (0..clients).map(connect).collect();
            std::thread::sleep(TURN.min(end.saturating_duration_since(Instant::now())));
        }
    });
}

/// Connections that have each been answered once and stay open.
pub(crate) fn idle(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect(address).ok()?;
        report::ask(&mut stream, b"GET /livez HTTP/1.1\r\nHost: vpo\r\n\r\n")?;
        Some(stream)
    };
    politely(|| (0..count).filter_map(connect).collect())
}

/// Connections opened at once, with one request each. Returns how many were answered.
pub(crate) fn burst(address: SocketAddr, count: usize) -> usize {
    politely(|| {
        block_on(async {
            let one = move || async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
                exchange(&mut stream, b"GET /health HTTP/1.1\r\nHost: vpo\r\n\r\n").await
            };
            let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(one())).collect();
            let mut answered = 0;
            for task in tasks {
                let answer = tokio::time::timeout(Duration::from_secs(30), task).await;
                answered += usize::from(matches!(answer, Ok(Ok(Some((200, _))))));
            }
            answered
        })
    })
}

/// New connections that send nothing, and are reset by the client when there are too many. Returns how many a second.
pub(crate) fn flood(address: SocketAddr, per_second: u32, time: Duration) -> f64 {
    politely(|| {
        let (begun, mut open, mut count) = (Instant::now(), VecDeque::<OwnedFd>::new(), 0_u32);
        while begun.elapsed() < time {
            let due = begun.elapsed().as_secs_f64() * f64::from(per_second);
            while f64::from(count) < due {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let Ok(socket) = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None) else {
                    break;
                };
                let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
                let _ = connect(&socket, &address);
                open.push_back(socket);
                count += 1;
                if open.len() > FLOOD_OPEN {
                    open.pop_front();
                }
                if begun.elapsed() > time {
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        f64::from(count) / begun.elapsed().as_secs_f64()
    })
}
