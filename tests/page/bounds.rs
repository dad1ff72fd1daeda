//! What a page may take, and what is refused.

use std::io::Read;

use super::{BROWSER, ask, attributes, browse, overview, serve, view};
use crate::harness::{Daemon, Sandbox, eventually, settled, video};

/// The bytes that any page may take.
const MOST: usize = 256_000;

/// Head and body of an answer to a browser that accepts `coding`.
fn fetch(daemon: &Daemon, path: &str, coding: &str) -> (String, Vec<u8>) {
    let mut client = daemon.client();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: vpo\r\nConnection: close\r\n{BROWSER}Accept-Encoding: {coding}\r\n\r\n"
    );
    client.send(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    client.stream().read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase(), answer[end + 4..].to_vec())
}

#[test]
fn pages_and_their_parts_are_compressed_for_clients_that_ask_for_it() {
    let (_sandbox, daemon) = serve();
    overview(&daemon);
    for path in ["/", "/files", "/changes", "/jobs", "/about", "/file/1", "/style.css", "/page.js"] {
        let (head, plain) = fetch(&daemon, path, "identity");
        assert!(!head.contains("content-encoding"), "{path}: {head}");
        let (head, gzip) = fetch(&daemon, path, "br, gzip");
        assert!(
            head.contains("content-encoding: gzip") && head.contains("vary: accept, accept-encoding"),
            "{path}: {head}"
        );
        let text = miniz_oxide::inflate::decompress_to_vec(&gzip[10..gzip.len() - 8]).expect("DEFLATE");
        assert!(gzip.len() * 3 < plain.len() * 2, "{path}: {} of {} bytes", gzip.len(), plain.len());
        let end = String::from_utf8_lossy(&text).trim_end().chars().rev().take(7).collect::<String>();
        assert_eq!(end, String::from_utf8_lossy(&plain).trim_end().chars().rev().take(7).collect::<String>());
    }
}

#[test]
fn pages_of_long_names_and_many_tracks_are_bounded_and_hold_all_of_them() {
    let sandbox = Sandbox::new();
    sandbox.film("films/first.mkv");
    sandbox.scan(&[]);
    let long = "&".repeat(250);
    for number in 0..60 {
        sandbox.film(&format!("films/{long}/{long}/{long}/{number:02}{}.mkv", "&".repeat(240)));
    }
    let tracks = vec![("eng", long.as_str()); 991];
    settled(&sandbox.write("films/tracks.mkv", video::matroska_with("tracks", &tracks)));
    sandbox.scan(&[]);
    let daemon = sandbox.serve::<&str>([]);
    daemon.wait_healthy();
    let bounded = |path: &str| {
        let page = view(&daemon, path);
        assert!(page.len() <= MOST, "{path}: {} bytes", page.len());
        page
    };
    eventually("the library is counted", || (!bounded("/").contains("Counting")).then_some(()));
    for (list, number) in [("/files", 62), ("/changes", 61), ("/jobs", 2)] {
        let (mut found, mut pages, mut next) = (Vec::new(), 0, Some(list.to_owned()));
        while let Some(path) = next {
            let page = bounded(&path);
            let row = if list == "/jobs" { "<tr><th scope=\"row\">" } else { " href=\"file/" };
            found.extend(page.split(row).skip(1).map(|rest| rest[..1000.min(rest.len())].to_owned()));
            let link = page.split("<a href=\"").skip(1).find(|rest| {
                rest.split('>').next().is_some_and(|attributes| attributes.contains("rel=\"next\""))
            });
            next = link
                .and_then(|rest| rest.split('"').next())
                .map(|link| format!("/{}", link.replace("&amp;", "&")));
            pages += 1;
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len(), number, "{list}");
        assert!(pages > 1 || list == "/jobs", "{list}: one page");
    }
    let page = bounded(&format!("/file/{}", sandbox.row("films/tracks.mkv").id));
    assert!(page.contains(" tracks more"), "the number of tracks that are not shown");
    // A search that is as long as a request may be.
    let words = "a+".repeat(4000);
    assert!(browse(&daemon, &format!("/files?q={words}")).body.len() <= MOST);
    let text = "'".repeat(8000);
    assert!(browse(&daemon, &format!("/files?q={text}")).body.len() <= MOST);
}

#[test]
fn parameters_that_cannot_be_read_are_refused_with_the_words_of_the_api() {
    let (_sandbox, daemon) = serve();
    for (path, words) in [
        ("/files?q=%ff", "q: not percent-encoded UTF-8"),
        ("/files?sort=foo", "sort: one of added, path, size, duration, bit_rate, or one of them after a -"),
        ("/files?cursor=abc", "cursor: the number in `next_cursor` of the previous page"),
        ("/files?size=1", "size: unknown; the parameters are q, sort, cursor"),
        ("/changes?cursor=-1", "cursor: the number"),
        ("/jobs?cursor=%ff", "cursor: not percent-encoded UTF-8"),
        ("/jobs?since=1", "since: unknown"),
    ] {
        let page = browse(&daemon, path);
        assert!(page.status == 400 && page.body.contains(words), "{path}: {page:?}");
        assert!(page.body.contains("<nav"), "{path}");
    }
    assert_eq!(browse(&daemon, "/files?q=&sort=&x").status, 400);
    assert_eq!(browse(&daemon, "/files?q=&sort=").status, 200);
}

#[test]
fn pages_that_do_not_exist_lead_back_from_any_depth() {
    let (_sandbox, daemon) = serve();
    for (path, up) in
        [("/nothing", ""), ("/a/b", "../"), ("/a/b/c", "../../"), ("/files/", "../"), ("/file/1/", "../../")]
    {
        let page = browse(&daemon, path);
        assert!(page.status == 404 && page.body.contains("There is no such page."), "{path}: {page:?}");
        let links = [attributes(&page.body, "href"), attributes(&page.body, "src")].concat();
        for file in ["style.css", "page.js", "files"] {
            assert!(links.contains(&format!("{up}{file}").as_str()), "{path}: {links:?}");
        }
        let answer = daemon.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/json")), "{path}");
    }
    let api = ask(&daemon, "/api/v1/files/", &format!("Host: vpo\r\n{BROWSER}"));
    assert_eq!((api.status, api.header("content-type")), (404, Some("application/json")));
    assert!(browse(&daemon, &"/".repeat(5000)).body.len() < 20_000);
}
