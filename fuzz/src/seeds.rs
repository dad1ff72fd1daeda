//! Writes the seeds of the targets, other than of `database`: `seeds DIRECTORY`. `seeds` in it is for the parsers of videos.

#[path = "../../tests/harness/samples.rs"]
mod samples;

fn main() -> std::io::Result<()> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "fuzz/corpus".to_owned());
    let write = |kind: &str, name: &str, content: &[u8]| {
        let directory = std::path::Path::new(&directory).join(kind);
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(name), content)
    };
    for (name, content) in samples::all() {
        write("seeds", name, &content)?;
    }
    for (number, requests) in REQUESTS.iter().enumerate() {
        write("http-seeds", &number.to_string(), &[b"\x08", requests.as_bytes()].concat())?;
    }
    for (number, host) in HOSTS.iter().enumerate() {
        write("host-seeds", &number.to_string(), host.as_bytes())?;
    }
    write("subtitle-seeds", "names", SUBTITLES.as_bytes())?;
    write("config-seeds", "example", CONFIGURATION.as_bytes())?;
    write("config-seeds", "every-key", uncommented(CONFIGURATION).as_bytes())
}

const REQUESTS: [&str; 4] = [
    "GET /health HTTP/1.1\r\nHost: localhost:8321\r\nAuthorization: Bearer token\r\n\r\n",
    "\r\nGET /api/v1/files?limit=10&codec=hevc HTTP/1.0\n\nHEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

const HOSTS: [&str; 5] = ["films.example.org:8321", "[fe80::1%25eth0]:1", "127.0.0.1.", "nas.home.arpa", "a%2elan"];

const SUBTITLES: &str = "+Film (2020).mkv\n+Film.mkv\nFilm (2020).pt-BR.forced.srt\nFilm.en[sdh].ass\nSubs/2_English.srt\n\
    Subs/Film/ger.vtt\nFilm.idx\nFilm.sub\nFilm-zh-Hant.srt\n";

const CONFIGURATION: &str = include_str!("../../docs/vpo.toml");

/// The example with every key set.
fn uncommented(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix("# ") {
        Some(key) if key.contains(" = ") && !key.contains(". ") => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}
