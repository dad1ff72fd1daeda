//! The least that a tokio server can do: read until an empty line, write a constant. Everything above its cost
//! is HTTP, routing and the truth.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::cost::on_server_core;
use crate::load;
use crate::servers::Server;

/// What runs in the child: takes the answer on standard input, says its port on standard output.
pub(crate) fn serve() {
    let mut answer = Vec::new();
    std::io::stdin().read_to_end(&mut answer).expect("the answer");
    let answer: &'static [u8] = answer.leak();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        rustix::net::listen(&listener, 4096).expect("listens");
        println!("{}", listener.local_addr().expect("an address"));
        std::io::stdout().flush().expect("said");
        loop {
            let (stream, _) = listener.accept().await.expect("accepts");
            tokio::spawn(respond(stream, answer));
        }
    });
}

async fn respond(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        filled += match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            count => count,
        };
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            stream.write_all(answer).await?;
            if buffer[..filled].ends_with(b"close\r\n\r\n") {
                return Ok(());
            }
            filled = 0;
        }
    }
}

/// The responder as a child.
pub(crate) struct Raw {
    child: Child,
    address: SocketAddr,
    begun: Instant,
}

impl Raw {
    pub(crate) fn start(answer: &[u8]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("--raw").stdin(Stdio::piped()).stdout(Stdio::piped());
        let begun = Instant::now();
        let mut child = on_server_core(&mut command);
        child.stdin.take().expect("piped").write_all(answer).expect("taken");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        Self { child, address: line.trim().parse().expect("an address"), begun }
    }

    /// Seconds from the start to the first answer.
    pub(crate) fn until_first_answer(&self) -> f64 {
        load::try_answer_of(self.address).expect("an answer");
        self.begun.elapsed().as_secs_f64()
    }
}

impl Server for Raw {
    fn name(&self) -> &'static str {
        "raw tokio"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
