//! The page: what each view shows, to whom, and that nothing in the library can leave its place in the HTML.

mod bounds;
mod database;
mod views;

use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::harness::{Answer, Daemon, Sandbox, eventually, settled, video};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// What browsers send.
const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

const VIEWS: [&str; 6] = ["/", "/files", "/changes", "/jobs", "/about", "/live"];

/// A daemon without roots over a library of two films, one broken file and one missing.
fn serve() -> (Sandbox, Daemon) {
    let sandbox = Sandbox::new();
    for name in ["films/a/one.mkv", "films/b/two.mkv", "films/b/gone.mkv"] {
        sandbox.film(name);
    }
    let broken = sandbox.write("films/b/broken.mp4", "no video");
    settled(&broken);
    sandbox.scan(&[]);
    fs::remove_file(sandbox.path("films/b/gone.mkv")).expect("gone");
    sandbox.scan(&[]);
    let daemon = sandbox.serve::<&str>([]);
    daemon.wait_healthy();
    (sandbox, daemon)
}

/// An answer to a request with these header lines.
#[track_caller]
fn ask(daemon: &Daemon, path: &str, headers: &str) -> Answer {
    let mut client = daemon.client();
    client.send(format!("GET {path} HTTP/1.1\r\n{headers}\r\n").as_bytes()).expect("sent");
    client.receive(false).expect("an answer")
}

/// What a browser gets.
#[track_caller]
fn browse(daemon: &Daemon, path: &str) -> Answer {
    let answer = ask(daemon, path, &format!("Host: vpo\r\n{BROWSER}"));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}: {answer:?}");
    assert_eq!(answer.header("content-security-policy"), Some(POLICY), "{path}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    answer
}

/// The text of a view that is shown.
#[track_caller]
fn view(daemon: &Daemon, path: &str) -> String {
    let answer = browse(daemon, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// The overview, once the library is counted.
#[track_caller]
fn overview(daemon: &Daemon) -> String {
    eventually("the library is counted", || {
        Some(view(daemon, "/")).filter(|page| !page.contains("Counting the library"))
    })
}

/// The values of an attribute.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    page.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_view_is_a_page_and_leads_to_the_others() {
    let (sandbox, daemon) = serve();
    let page = overview(&daemon);
    assert!(
        page.contains("<h1 class=\"state warn\"><data value=\"1\">1</data> video is broken.</h1>"),
        "{page}"
    );
    assert!(page.contains("broken.mp4") && page.contains(">h264<"), "{page}");
    let files = view(&daemon, "/files");
    for name in ["one.mkv", "two.mkv", "broken.mp4"] {
        assert!(files.contains(&format!("<bdi>{name}</bdi>")), "{files}");
    }
    assert!(!files.contains("gone.mkv") && files.contains("missing one left out"), "{files}");
    assert!(files.contains("eng stereo, ger stereo"), "{files}");
    let id = sandbox.row("films/a/one.mkv").id;
    let file = view(&daemon, &format!("/file/{id}"));
    assert!(file.contains(sandbox.path("films/a/one.mkv").to_str().expect("UTF-8")), "{file}");
    assert!(file.contains("1920 × 1080") && file.contains("matroska,webm"), "{file}");
    assert!(view(&daemon, "/jobs").contains("1</data> missing"));
    let changes = view(&daemon, "/changes");
    assert!(
        changes.contains("first scan") && changes.contains(">missing<") && changes.contains("gone.mkv"),
        "{changes}"
    );
    assert!(page.contains("Last changes") && page.contains("Audio language"), "{page}");
    let gone = view(&daemon, &format!("/file/{}", sandbox.row("films/b/gone.mkv").id));
    assert!(
        gone.contains("no longer there") && gone.contains("History") && gone.contains("../file/"),
        "{gone}"
    );
    let about = view(&daemon, "/about");
    assert!(
        about.contains("server.port") && about.contains(sandbox.library().to_str().expect("UTF-8")),
        "{about}"
    );
    for path in VIEWS.iter().filter(|path| **path != "/live") {
        let page = view(&daemon, path);
        for part in ["href=\"files\"", "href=\"changes\"", "href=\"jobs\"", "href=\"about\"", "href=\"./\""] {
            assert!(page.contains(part), "{path} has no {part}");
        }
        assert_eq!(page.matches("<h1").count(), 1, "{path}");
        assert_eq!(page.matches("<main").count(), 1, "{path}");
    }
}

/// The path that a link leads to from a page.
fn resolved(page: &str, link: &str) -> String {
    let (mut directory, mut link) = (page.rsplit_once('/').expect("a path").0, link);
    while let Some(rest) = link.strip_prefix("../") {
        directory = directory.rsplit_once('/').expect("not above the page").0;
        link = rest;
    }
    format!("{directory}/{}", link.trim_start_matches("./"))
}

#[test]
fn every_link_of_every_view_leads_somewhere_below_the_page() {
    let (sandbox, daemon) = serve();
    overview(&daemon);
    let file = format!("/file/{}", sandbox.row("films/a/one.mkv").id);
    for path in VIEWS.into_iter().chain([file.as_str(), "/files?q=exists(", "/none", "/no/such/page"]) {
        let page = browse(&daemon, path).body;
        let links = ["href", "src", "action", "data-from"].map(|name| attributes(&page, name)).concat();
        for link in links.into_iter().filter(|link| !link.starts_with('#')) {
            assert!(!link.starts_with('/') && !link.contains("//"), "{path}: {link}");
            let target = resolved(path, &link.replace("&amp;", "&"));
            let answer = ask(&daemon, &target, &format!("Host: vpo\r\nConnection: close\r\n{BROWSER}"));
            assert_eq!(answer.status, 200, "{path}: {link} → {target}: {}", answer.body);
        }
    }
}

#[test]
fn programs_get_what_they_got() {
    let (_sandbox, daemon) = serve();
    let answer = daemon.get("/");
    assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/json")));
    assert_eq!(
        ask(&daemon, "/nothing", "Host: vpo\r\nAccept: */*\r\n").header("content-type"),
        Some("application/json")
    );
    let api = ask(&daemon, "/api/v1/nothing", &format!("Host: vpo\r\n{BROWSER}"));
    assert_eq!((api.status, api.header("content-type")), (404, Some("application/json")));
    assert_eq!(
        ask(&daemon, "/health", &format!("Host: vpo\r\n{BROWSER}")).header("content-type"),
        Some("application/json")
    );
    let page = browse(&daemon, "/nothing");
    assert!(page.status == 404 && page.body.contains("There is no such page."), "{page:?}");
    assert_eq!(browse(&daemon, "/file/999").status, 404);
    let mut client = daemon.client();
    client
        .send(format!("POST / HTTP/1.1\r\nHost: vpo\r\n{BROWSER}Content-Length: 0\r\n\r\n").as_bytes())
        .expect("sent");
    assert_eq!(client.receive(false).expect("an answer").status, 405);
    client.send(format!("HEAD / HTTP/1.1\r\nHost: vpo\r\n{BROWSER}\r\n").as_bytes()).expect("sent");
    let head = client.receive(true).expect("an answer");
    assert!(
        head.status == 200 && head.header("content-length").is_some_and(|length| length != "0"),
        "{head:?}"
    );
}

#[test]
fn the_page_is_guarded_as_the_api_is() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("config.toml", "[server]\nauth_token = \"correct horse\"\n");
    let daemon = sandbox.serve(["--config", config.to_str().expect("UTF-8")]);
    let basic = "Authorization: Basic YW55b25lOmNvcnJlY3QgaG9yc2U=\r\n";
    for path in VIEWS.into_iter().chain(["/style.css", "/page.js", "/logo.svg", "/nothing"]) {
        let refused = browse(&daemon, path);
        assert_eq!(refused.status, 401, "{path}");
        let challenge = refused.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Basic "), "{path}: {challenge}");
        assert!(
            refused.body.contains("access token")
                && refused.body.contains("server.auth_token_file")
                && !refused.body.contains("href"),
            "{path}: {refused:?}"
        );
        assert!(daemon.get(path).json()["error"].is_string(), "{path}");
    }
    let about = ask(&daemon, "/about", &format!("Host: evil.example\r\n{BROWSER}{basic}"));
    assert_eq!(about.status, 200);
    assert!(about.body.contains("server.auth_token") && !about.body.contains("correct horse"), "{about:?}");
}

#[test]
fn a_browser_at_another_name_is_told_the_line_to_add() {
    let (_sandbox, daemon) = serve();
    for path in ["/", "/files", "/nothing", "/style.css"] {
        let answer = ask(&daemon, path, &format!("Host: films.example.org:8321\r\n{BROWSER}"));
        assert_eq!(answer.status, 421, "{path}");
        assert_eq!(answer.header("content-security-policy"), Some(POLICY));
        assert!(answer.body.contains("hosts = [&quot;films.example.org&quot;]"), "{answer:?}");
        assert!(answer.body.contains("VPO_SERVER_HOSTS=films.example.org"), "{answer:?}");
        assert!(!answer.body.contains("one.mkv") && !answer.body.contains("href"), "{answer:?}");
    }
    let odd = ask(&daemon, "/", &format!("Host: a&b'.example\r\n{BROWSER}"));
    assert!(
        odd.status == 421 && odd.body.contains("a&amp;b'.example") && !odd.body.contains("hosts ="),
        "{odd:?}"
    );
}

#[test]
fn hostile_names_and_titles_are_text() {
    let sandbox = Sandbox::new();
    let names: [&[u8]; 6] = [
        b"<img src=x onerror=alert(1)>.mkv",
        b"\"><script>alert(1).mkv",
        "\u{202e}gpj.\u{2066}mkv.mkv".as_bytes(),
        b"\x1b]0;title\x07\r\n.mkv",
        b"\xff\xfe.mkv",
        b"&lt;'`&amp;.mkv",
    ];
    let title = "</bdi><script>alert(2)</script>\u{202e}\u{0}\u{1b}[2J";
    for (at, name) in names.iter().chain([&[b'a'; 251].as_slice()]).enumerate() {
        let name = if name.len() == 251 { [name, b".mkv".as_slice()].concat() } else { name.to_vec() };
        let path = sandbox.path("films").join(std::ffi::OsStr::from_bytes(&name));
        fs::create_dir_all(sandbox.root()).expect("a root");
        fs::write(&path, video::matroska_with(&format!("film {at}"), &[("eng", title)])).expect("written");
        settled(&path);
    }
    let broken = sandbox.write("films/<b>broken</b>.mp4", "<script>alert(3)</script>");
    settled(&broken);
    sandbox.scan(&[]);
    let daemon = sandbox.serve::<&str>([]);
    daemon.wait_healthy();
    let mut pages = vec![overview(&daemon), view(&daemon, "/files"), view(&daemon, "/jobs")];
    pages.extend(sandbox.rows().iter().map(|row| view(&daemon, &format!("/file/{}", row.id))));
    let is_control = |c: char| {
        c.is_control() && c != '\n'
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    assert!(pages.iter().all(|page| !page.contains(is_control)), "{pages:?}");
    // What was typed stays in its field as it is.
    pages.push(view(&daemon, "/files?q=%3Cscript%3Ealert(4)%3C/script%3E"));
    pages.push(view(&daemon, "/files?q=exists(%3Cb%3E%22%E2%80%AE%1b"));
    pages.push(browse(&daemon, "/files?q=a&cursor=99&sort=%22%3E%3Cb%3E").body);
    for page in &pages {
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert_eq!(page.matches("<img").count(), 1, "{page}");
        assert!(!page.contains("<b>"), "{page}");
    }
    assert!(pages[1].contains("&lt;img src=x onerror=alert(1)&gt;.mkv"), "{}", pages[1]);
    assert!(pages[1].contains("\\u{202e}gpj.\\u{2066}mkv.mkv"), "{}", pages[1]);
}

#[test]
fn words_expressions_and_mistakes_are_told_apart() {
    let (_sandbox, daemon) = serve();
    let found = |query: &str| {
        let page = view(&daemon, &format!("/files?q={query}"));
        ["one.mkv", "two.mkv", "gone.mkv", "broken.mp4"]
            .into_iter()
            .filter(|name| page.contains(&format!("<bdi>{name}</bdi>")))
            .collect::<Vec<_>>()
    };
    assert_eq!(found("TWO"), ["two.mkv"]);
    assert_eq!(found("films+two"), ["two.mkv"]);
    assert_eq!(found("missing"), ["gone.mkv"]);
    assert_eq!(found("exists(audio,+lang+%3D%3D+de)"), ["one.mkv", "two.mkv"]);
    assert_eq!(found("nothing+like+it"), Vec::<&str>::new());
    assert!(view(&daemon, "/files?q=nothing+like+it").contains("Nothing was found."));
    let mistake = view(&daemon, "/files?q=exists(audo)");
    assert!(mistake.contains("<pre>exists(<mark>a</mark>udo)</pre>"), "{mistake}");
    assert!(
        mistake.contains("did you mean audio?") && mistake.contains("aria-invalid=\"true\""),
        "{mistake}"
    );
    let end = view(&daemon, "/files?q=exists(audio)+and");
    assert!(end.contains("exists(audio) and<mark>"), "{end}");
}

#[test]
fn pages_and_orders_hold_every_file_once() {
    let sandbox = Sandbox::new();
    for number in 0..120 {
        sandbox.film(&format!("films/{number:03}.mkv"));
    }
    sandbox.scan(&[]);
    let daemon = sandbox.serve::<&str>([]);
    daemon.wait_healthy();
    for order in ["", "path", "-path", "size", "-size"] {
        let (mut seen, mut next) = (Vec::new(), Some(format!("files?sort={order}")));
        while let Some(link) = next {
            let page = view(&daemon, &format!("/{link}"));
            let names = page
                .split("<bdi>")
                .skip(1)
                .filter_map(|rest| rest.split(".mkv</bdi>").next().filter(|name| name.len() == 3));
            seen.extend(names.map(str::to_owned));
            let link = page
                .split("<a href=\"")
                .skip(1)
                .find(|rest| rest.contains("rel=\"next\"") && rest.find("rel=\"next\"") < rest.find('>'));
            next = link.and_then(|rest| rest.split('"').next()).map(|link| link.replace("&amp;", "&"));
        }
        assert_eq!(seen.len(), 120, "{order}");
        if order == "-path" {
            assert_eq!(seen.first().map(String::as_str), Some("119"));
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 120, "{order}");
    }
}

#[test]
fn a_cold_load_is_small() {
    let sandbox = Sandbox::new();
    for number in 0..300 {
        let title = format!("A film with an ordinary title, number {number}");
        let path = sandbox.write(
            &format!("films/A film with a title ({number})/A film with a title ({number}).mkv"),
            video::matroska(&title, &["eng", "ger", "fre"]),
        );
        settled(&path);
    }
    sandbox.scan(&[]);
    let daemon = sandbox.serve::<&str>([]);
    daemon.wait_healthy();
    let assets: usize =
        ["/style.css", "/page.js"].map(|path| ask(&daemon, path, "Host: vpo\r\n").body.len()).iter().sum();
    for (view, page) in [("overview", overview(&daemon)), ("files", view(&daemon, "/files"))] {
        assert!(page.len() + assets <= 40_000, "{view}: {} + {assets} bytes", page.len());
    }
}

#[test]
fn every_view_says_what_to_do_when_there_is_nothing() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve::<&str>([]);
    daemon.wait_healthy();
    let page = overview(&daemon);
    assert!(page.contains("no root is configured") && page.contains("--root"), "{page}");
    assert!(page.contains("<code>~/.vpo/config.toml</code>"), "{page}");
    let files = view(&daemon, "/files");
    assert!(files.contains("No file is recorded yet.") && files.contains("data-refresh"), "{files}");
    assert!(view(&daemon, "/jobs").contains("No job is recorded yet."));
    assert!(view(&daemon, "/changes").contains("No change is recorded yet."));
}

#[test]
fn a_running_scan_and_its_end_are_shown() {
    let sandbox = Sandbox::new();
    sandbox.film("films/one.mkv");
    let root = sandbox.root();
    let daemon = sandbox.serve(["--root".as_ref(), root.as_os_str()]);
    let page = eventually("the film is counted", || {
        Some(overview(&daemon)).filter(|page| page.contains("All is well."))
    });
    assert!(page.contains(root.to_str().expect("UTF-8")) && page.contains("seen at once"), "{page}");
    let before = view(&daemon, "/live");
    sandbox.film("films/two.mkv");
    eventually("the views are another version", || (view(&daemon, "/live") != before).then_some(()));
    eventually("the second film", || view(&daemon, "/files").contains("two.mkv").then_some(()));
}
