//! `vpo list`: which files it prints, in which form, and what it says.

use std::process::Output;

use serde_json::Value;

use crate::harness::{Sandbox, samples, video};

/// Three films: `de.mkv` and its copy with German and English sound, `en.mkv` with English sound, and a file that is gone.
fn library() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, title, languages) in [
        ("films/de.mkv", "Brücke", &["ger", "eng"][..]),
        ("films/copy of de.mkv", "Brücke", &["ger", "eng"]),
        ("films/en.mkv", "Bridge", &["eng"]),
        ("films/gone.mkv", "Gone", &["eng"]),
    ] {
        sandbox.write(name, video::matroska(title, languages));
    }
    sandbox.write("films/full.mkv", samples::matroska());
    sandbox.scan(&[]);
    std::fs::remove_file(sandbox.path("films/gone.mkv")).expect("removed");
    sandbox.scan(&["--accept-missing"]);
    sandbox
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The names of the files that `vpo list --paths ARGS` prints.
#[track_caller]
fn names(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let output = sandbox.run([&["list", "--paths"], args].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let root = format!("{}/", sandbox.root().display());
    let mut names: Vec<String> = stdout(&output).lines().map(|path| path.replacen(&root, "", 1)).collect();
    names.sort();
    names
}

#[test]
fn a_query_prints_the_files_for_which_it_holds() {
    let sandbox = library();
    let (de, copy, en, full, gone) = ("de.mkv", "copy of de.mkv", "en.mkv", "full.mkv", "gone.mkv");
    for (query, expected) in [
        ("exists(audio, lang == german)", &[copy, de][..]),
        ("not exists(audio, lang == de)", &[en, full]),
        ("duplicate", &[copy, de]),
        ("missing", &[gone]),
        ("status == ok and path contains COPY", &[copy]),
        ("exists(video, codec == x265)", &[full]),
        ("count(audio) == 1 and container == mkv", &[en, full]),
        ("size > 1GiB", &[]),
        ("age < 1h", &[]),
        ("duration > 1h and not missing and not truncated", &[copy, de, en]),
        ("exists(subtitle, forced == true, external == false)", &[full]),
    ] {
        assert_eq!(names(&sandbox, &[query]), expected, "{query}");
    }
    assert_eq!(names(&sandbox, &[]), [copy, de, en, full]);
    assert_eq!(names(&sandbox, &["--missing"]), [copy, de, en, full, gone]);
    assert_eq!(names(&sandbox, &["--limit", "2"]).len(), 2);
    assert_eq!(names(&sandbox, &["--limit", "0"]).len(), 0);
}

#[test]
fn a_root_is_compared_by_whole_names() {
    let sandbox = library();
    let root = sandbox.root().display().to_string();
    assert_eq!(names(&sandbox, &[&format!("root == '{root}'")]).len(), 4);
    assert_eq!(names(&sandbox, &[&format!("root == '{}'", &root[..root.len() - 1])]).len(), 0);
}

#[test]
fn the_table_is_aligned_and_says_what_was_read() {
    let sandbox = library();
    let output = sandbox.run(["list", "exists(video, codec == x265) or path contains \"en.mkv\""]);
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    let column = lines[0].find("path").expect("a heading");
    assert_eq!(lines.len(), 3, "{text}");
    let root = sandbox.root().display().to_string();
    assert!(lines[1..].iter().all(|line| line[column..].starts_with(&root)), "{text}");
    let film = lines.iter().find(|line| line.ends_with("full.mkv")).expect("its row");
    let cells: Vec<&str> = film.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells[1..4], ["hevc 1920x1080, png 600x900", "eac3 5.1 por", "ger forced"], "{text}");
    let said = stderr(&output);
    assert!(said.contains("x265 is read as hevc"), "{said}");
    assert!(said.contains(&format!("2 files of {}", sandbox.library().display())), "{said}");
    assert!(stderr(&sandbox.run(["list", "duplicate"])).contains("probable duplicates"));
    let said = stderr(&sandbox.run(["list", "exists(audio, lang == eng)"]));
    assert!(said.contains("3 files of") && said.contains("1 missing left out"), "{said}");
}

#[test]
fn json_has_an_object_a_line_with_columns_and_tracks() {
    let sandbox = library();
    let output = sandbox.run(["list", "--json", "path contains full"]);
    let text = stdout(&output);
    let file: Value = serde_json::from_str(text.trim_end()).expect("one object");
    assert_eq!(file["path"], sandbox.path("films/full.mkv").display().to_string());
    assert_eq!((&file["scan_status"], &file["tracks"][1]["language"]), (&"ok".into(), &"por".into()));
    assert_eq!(file["tracks"].as_array().map(Vec::len), Some(5));
}

#[test]
fn names_that_no_line_can_hold_are_printed_with_nul_only() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = library();
    let strange = [&b"films/two\nlines.mkv"[..], b"films/latin \xe9 1%.mkv", b"films/100%.mkv"];
    for name in strange {
        let path = sandbox.path(std::path::Path::new(std::ffi::OsStr::from_bytes(name)));
        std::fs::write(path, video::matroska("x", &["eng"])).expect("written");
    }
    sandbox.scan(&[]);
    let output = sandbox.run(["list", "--paths"]);
    assert_eq!(stdout(&output).lines().count(), 5);
    assert!(stderr(&output).contains("2 files left out"), "{}", stderr(&output));
    let output = sandbox.run(["list", "-0"]);
    let paths: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty()).collect();
    assert_eq!(paths.len(), 7);
    for path in paths {
        assert!(std::path::Path::new(std::ffi::OsStr::from_bytes(path)).exists(), "{}", path.escape_ascii());
    }
    let text = stdout(&sandbox.run(["list"]));
    assert!(text.contains(r"two\nlines.mkv"), "{text}");
}

#[test]
fn a_mistake_is_shown_in_its_place() {
    let sandbox = library();
    let refused = |query: &str| {
        let output = sandbox.run(["list", query]);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(64), ""), "{query}");
        stderr(&output)
    };
    let said = refused("exists(audio, title == 日本) and exists(audio, lang = eng)");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("line 1, column 51: unexpected character '='; write =="), "{said}");
    let width = |text: &str| unicode_width::UnicodeWidthStr::width(text);
    assert_eq!(width(lines[1].split(" = ").next().expect("a part")) + 1, width(lines[2]) - 1, "{said}");
    assert!(lines[2].ends_with("  ^"), "{said}");
    assert!(refused("exists(audio, lang == englsh)").contains("did you mean english?"));
}

#[test]
fn what_is_known_but_not_there_is_answered_with_what_is() {
    let sandbox = library();
    let said = stderr(&sandbox.run(["list", "exists(video, codec == av1)"]));
    assert!(said.contains("no track has the codec av1; there is ") && said.contains("hevc"), "{said}");
    let said = stderr(&sandbox.run(["list", "exists(audio, lang == japanese)"]));
    assert!(said.contains("no track has the language jpn; there is ") && said.contains("eng"), "{said}");
    sandbox.sql("UPDATE tracks SET codec = 'QUUX', language = 'qqq' WHERE codec = 'hevc'");
    assert_eq!(names(&sandbox, &["exists(video, codec == quux, lang == QQQ)"]), ["full.mkv"]);
}

#[test]
fn the_listing_crosses_pages_beside_a_daemon_and_ends_with_its_reader() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    sandbox.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
         INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at, scan_status)
         SELECT '/gone/' || i, i, '/gone', 'mkv', i, '', '', iif(i % 2, 'ok', 'missing') FROM n",
    );
    let daemon = sandbox.serve::<&str>([]);
    let output = sandbox.run(["list", "--json", "size <= 2500 and path contains gone"]);
    assert_eq!(stdout(&output).lines().count(), 1250);
    assert!(stderr(&output).contains("1250 missing left out"), "{}", stderr(&output));
    drop(daemon);
    let mut child = sandbox.vpo(["list"]);
    let mut child = child.stdout(std::process::Stdio::piped()).spawn().expect("vpo runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("ended").success());
}

#[test]
fn without_a_database_none_is_made() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(["list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!sandbox.library().exists(), "{}", stderr(&output));
}

#[test]
fn database_that_is_removed_beside_its_daemon_is_said_to_be_lost() {
    let sandbox = Sandbox::new();
    let _daemon = sandbox.serve::<&str>([]);
    std::fs::remove_file(sandbox.library()).expect("removed");
    for args in [&["list"][..], &["backup", "b.db"]] {
        let output = sandbox.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("error[library-lost]") && !said.contains("Stop that process"), "{said}");
        assert_eq!(output.status.code(), Some(1));
    }
}
