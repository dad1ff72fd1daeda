//! What views show of a library, and where they lead.

use std::fs;

use super::{overview, serve, view};
use crate::harness::{Sandbox, eventually, settled, video};

#[test]
fn the_export_is_what_is_shown() {
    let (_sandbox, daemon) = serve();
    for query in ["", "two", "missing", "status+%3D%3D+error+or+missing"] {
        let page = view(&daemon, &format!("/files?q={query}&sort=-path"));
        let link = |format: &str| {
            let start = format!("<a href=\"api/v1/files?format={format}");
            let rest = page.split(&start).nth(1).and_then(|rest| rest.split('"').next());
            format!("/api/v1/files?format={format}{}", rest.expect(format).replace("&amp;", "&"))
        };
        // HTTP/1.0 has no chunks.
        let get = |format| {
            let mut client = daemon.client();
            client
                .send(format!("GET {} HTTP/1.0\r\nHost: vpo\r\n\r\n", link(format)).as_bytes())
                .expect("sent");
            client.receive(false).expect("an answer").body
        };
        let lines = get("ndjson");
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let names: Vec<_> = lines.iter().filter_map(|file| file["filename"].as_str()).collect();
        let mut rest = page.as_str();
        for name in &names {
            let name = format!("<bdi>{name}</bdi>");
            rest = rest.split_once(name.as_str()).unwrap_or_else(|| panic!("{query}: {name}: {page}")).1;
        }
        assert_eq!(page.matches("<tr><th scope=\"row\">").count(), names.len(), "{query}");
        assert!(
            !names.is_empty() && lines.iter().all(|file| file["tracks"].is_array()),
            "{query}: {lines:?}"
        );
        assert_eq!(get("csv").lines().count(), names.len() + 1, "{query}");
        assert!(page.contains(">JSON lines</a>"), "{page}");
    }
}

#[test]
fn what_is_cut_short_or_unreachable_is_counted_and_named() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    for number in 0..7 {
        let mut cut = video::matroska(&format!("cut {number}"), &["eng"]);
        cut.truncate(cut.len() - 5);
        settled(&sandbox.write(&format!("films/cut {number}.mkv"), cut));
    }
    settled(&sandbox.write("films/broken.mp4", "no video"));
    sandbox.scan(&[]);
    let root = sandbox.root();
    let (root, nowhere) = (root.to_str().expect("UTF-8"), sandbox.path("nowhere"));
    let args = ["--root", root, "--root", nowhere.to_str().expect("UTF-8")];
    let daemon = sandbox.serve(args);
    let page = eventually("all problems", || {
        Some(overview(&daemon))
            .filter(|page| page.contains("<h1 class=\"state warn\">3 things need attention."))
    });
    for part in [
        "1</data> video is broken</a>",
        "7</data> videos are cut short</a>",
        "lacks <data class=\"b\" value=\"5\">5 B</data>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(page.matches("<bdi>cut ").count(), 5, "the first five: {page}");
    assert!(page.contains("data-label=\"Watch\">–<") && !page.contains("cannot be watched"), "{page}");
    let daemon = {
        drop(daemon);
        sandbox.serve::<&str>([])
    };
    daemon.wait_healthy();
    let page = overview(&daemon);
    assert!(
        page.contains("1</data> video is broken.</h1>") && page.contains("7</data> videos are cut short<"),
        "{page}"
    );
}

#[test]
fn the_space_is_shown_by_root_and_range_and_the_growth_by_month() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    for language in ["fre", "ita", "spa", "por", "dut", "swe", "fin", "dan", "nor", "pol"] {
        let film = video::matroska(language, &[language]);
        settled(&sandbox.write(&format!("films/{language}.mkv"), film));
    }
    sandbox.scan(&[]);
    assert!(!overview(&sandbox.serve::<&str>([])).contains("New in the last months"));
    sandbox.film("films/b.mkv");
    sandbox.scan(&[]);
    let root = sandbox.root();
    let root = root.to_str().expect("UTF-8");
    let daemon = sandbox.serve(["--root", root]);
    let page = eventually("the root is scanned", || {
        Some(overview(&daemon)).filter(|page| page.contains("<h3>Root</h3>") && page.contains("All is well."))
    });
    assert!(page.contains(&format!("files?q=root%20%3D%3D%20%22{root}%22")), "{page}");
    let growth = page.split("New in the last months").nth(1).expect("the growth");
    let growth = growth.split("</section>").next().expect("its section");
    assert!(growth.contains("1</data> file<") && growth.matches("<li>").count() == 1, "{growth}");
    assert!(page.contains("<summary>and 4 more</summary>") && page.contains("lang%20%3D%3D%20pol"), "{page}");
}

#[test]
fn a_file_is_shown_with_what_its_tracks_are_marked_as() {
    let sandbox = Sandbox::new();
    let video = video::matroska_with("two", &[("eng", ""), ("eng", "Director's commentary")]);
    settled(&sandbox.write("films/two  spaces/100%FF.mkv", video));
    settled(&sandbox.write("films/two  spaces/100%FF.de.forced.srt", "1\n"));
    sandbox.film("films/plain.mkv");
    sandbox.film("films/gone.mkv");
    sandbox.scan(&[]);
    fs::remove_file(sandbox.path("films/gone.mkv")).expect("gone");
    sandbox.scan(&[]);
    let daemon = sandbox.serve::<&str>([]);
    daemon.wait_healthy();
    let files = view(&daemon, "/files");
    assert!(files.contains("eng stereo, eng stereo commentary"), "{files}");
    assert!(files.contains("<td>ger forced (srt)</td>"), "{files}");
    let shown = |name| view(&daemon, &format!("/file/{}", sandbox.row(name).id));
    let page = shown("films/two  spaces/100%FF.mkv");
    assert!(page.contains("<span class=\"badge\">commentary</span>"), "{page}");
    assert!(page.contains("two  spaces/100%FF.mkv") && page.contains("Escapes of VPO"), "{page}");
    assert!(page.contains("Last read") && page.contains("forced"), "{page}");
    let plain = shown("films/plain.mkv");
    assert!(!plain.contains("Escapes of VPO") && !plain.contains("commentary"), "{plain}");
    let gone = shown("films/gone.mkv");
    assert!(gone.contains("no longer there") && !gone.contains("Last read"), "{gone}");
    assert!(view(&daemon, "/changes").contains(">missing<"));
}

#[test]
fn lists_say_how_many_there_are() {
    let sandbox = Sandbox::new();
    for number in 0..60 {
        sandbox.film(&format!("films/{number:02}.mkv"));
    }
    sandbox.scan(&[]);
    let daemon = sandbox.serve::<&str>([]);
    daemon.wait_healthy();
    let page = view(&daemon, "/files");
    assert!(page.contains("<a href=\"api/v1/stats?missing=0\">Count all</a>"), "{page}");
    let page = view(&daemon, "/files?q=mkv");
    assert!(page.contains("api/v1/stats?where=path%20contains%20%22mkv%22"), "{page}");
    overview(&daemon);
    let page = view(&daemon, "/files");
    assert!(page.contains(" on this page, <data value=\"60\">60</data> in all"), "{page}");
    assert!(!page.contains("data-refresh"), "{page}");
}

#[test]
fn the_file_of_the_configuration_is_named() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("config.toml", "");
    let config = config.to_str().expect("UTF-8");
    let daemon = sandbox.serve(["--config", config]);
    daemon.wait_healthy();
    for page in [overview(&daemon), view(&daemon, "/about")] {
        assert!(page.contains(&format!("<code><bdi>{config}</bdi></code>")), "{page}");
    }
}
