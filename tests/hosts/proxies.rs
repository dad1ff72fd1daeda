//! nginx and Caddy before the daemon.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::serve;
use crate::harness::{Daemon, PATIENCE, Sandbox, eventually};

/// A reverse proxy that listens on a Unix socket, so that no port can be taken; ended with the test.
struct Proxy {
    child: Child,
    socket: PathBuf,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn start(mut command: Command, socket: &Path) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let proxy = Self { child: child.expect("the proxy is installed"), socket: socket.to_owned() };
        eventually("the proxy listens", || UnixStream::connect(socket).ok());
        proxy
    }

    /// nginx before `daemon`; `preserving` hands on the client's `Host`.
    fn nginx(sandbox: &Sandbox, daemon: &Daemon, preserving: bool) -> Self {
        let (socket, directory) = (sandbox.path("nginx.sock"), sandbox.path("nginx"));
        std::fs::create_dir_all(&directory).expect("created");
        let header = if preserving { "proxy_set_header Host $host;" } else { "" };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};"));
        let config = format!(
            "daemon off; master_process off; pid pid; error_log stderr; events {{}}
             http {{ access_log off; {} server {{
                 listen unix:{}; location / {{ proxy_pass http://{}; {header} }} }} }}",
            temporary.concat(),
            socket.display(),
            daemon.address()
        );
        let mut command = Command::new("/usr/sbin/nginx");
        command
            .arg("-p")
            .arg(&directory)
            .args(["-e", "stderr", "-c"])
            .arg(sandbox.write("nginx/conf", config));
        Self::start(command, &socket)
    }

    /// Caddy before `daemon`, which passes on the client's `Host` unless configured otherwise.
    fn caddy(sandbox: &Sandbox, daemon: &Daemon, preserving: bool) -> Self {
        let socket = sandbox.path("caddy.sock");
        let header = if preserving { "" } else { "header_up Host {upstream_hostport}" };
        let config = format!(
            "{{\n admin off\n auto_https off\n}}\nhttp:// {{\n bind unix/{}\n reverse_proxy {} {{\n {header}\n }}\n}}\n",
            socket.display(),
            daemon.address()
        );
        let config = sandbox.write("Caddyfile", config);
        let mut command = Command::new("/usr/bin/caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
        command.env_clear().env("HOME", sandbox.path("caddy"));
        Self::start(command, &socket)
    }

    /// The answer's first line and the rest.
    fn get(&self, path: &str, host: &str) -> (String, String) {
        let mut stream = UnixStream::connect(&self.socket).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (line, rest) = answer.split_once("\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        (line.to_owned(), rest.to_owned())
    }
}

#[test]
#[ignore = "needs nginx-light and caddy (Debian): real reverse proxies"]
fn behind_a_proxy_the_host_that_it_hands_on_counts() {
    let proxies: [fn(&Sandbox, &Daemon, bool) -> Proxy; 2] = [Proxy::nginx, Proxy::caddy];
    for (at, start) in proxies.into_iter().enumerate() {
        for (hosts, preserving, allowed) in [
            ("", false, true),
            ("", true, false),
            ("hosts = ['films.example.org']", false, true),
            ("hosts = ['films.example.org']", true, true),
        ] {
            let what = format!("proxy {at}, {hosts:?}, preserving: {preserving}");
            let sandbox = Sandbox::new();
            let daemon = serve(&sandbox, hosts);
            let proxy = start(&sandbox, &daemon, preserving);
            let (line, rest) = proxy.get("/api/v1/files", "films.example.org");
            let (health, report) = proxy.get("/health", "films.example.org");
            assert!(health.contains(" 200 "), "{what}: {health}");
            assert_eq!(report.contains("root:"), allowed, "{what}: {report}");
            if allowed {
                assert!(line.contains(" 200 ") && rest.contains("secret.mkv"), "{what}: {line} {rest}");
            } else {
                assert!(line.contains(" 421 "), "{what}: {line} {rest}");
                assert!(
                    rest.contains("films.example.org") && rest.contains("host-not-allowed"),
                    "{what}: {rest}"
                );
            }
            let (line, _) = proxy.get("/api/v1/files", "evil.example");
            assert!(line.contains(if preserving { " 421 " } else { " 200 " }), "{what}: {line}");
        }
    }
}
