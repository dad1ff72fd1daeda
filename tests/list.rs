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
        ("duplicate and exists(audio, lang == ger) and size > 1 and path contains copy", &[copy]),
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
    let said = |args: &[&str]| stderr(&sandbox.run([&["list"], args].concat()));
    for (limit, has_more) in [("0", false), ("3", true), ("5", false)] {
        let said = said(&["--missing", "--limit", limit, "not missing"]);
        assert_eq!(said.contains("there may be more"), has_more, "{limit}: {said}");
    }
    assert!(!said(&["--paths"]).contains(" of "), "{}", said(&["--paths"]));
    assert!(said(&["--paths", "--verbose"]).contains(&format!("4 files of {}", sandbox.library().display())));
}

#[test]
fn what_is_stored_as_a_fact_is_compared() {
    let sandbox = library();
    sandbox.sql(
        "UPDATE daemon_files SET duration_seconds = 1.023 WHERE file_id = (SELECT id FROM files WHERE filename = 'de.mkv');
         UPDATE daemon_tracks SET hdr_format = 'hdr10+', codec_detail = 'Atmos', is_attached_picture = 1
            WHERE file_id = (SELECT id FROM files WHERE filename = 'full.mkv')",
    );
    sandbox.write("films/de.eng.srt", "text");
    sandbox.scan(&[]);
    for (query, expected) in [
        ("duration == 1023ms", &["de.mkv"][..]),
        ("duration == 1.5s", &[]),
        ("duration == 1s", &[]),
        ("exists(video, hdr_format == 'hdr10+')", &["full.mkv"]),
        ("exists(audio, codec_detail == atmos)", &["full.mkv"]),
        ("exists(video, attached_picture == true)", &["full.mkv"]),
        ("exists(subtitle, default == false, external == true)", &[]),
    ] {
        assert_eq!(names(&sandbox, &[query]), expected, "{query}");
    }
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
    let said = stderr(&sandbox.run(["list", "container != foo"]));
    assert!(said.contains("no file has the container foo; there is matroska,webm"), "{said}");
    let said = stderr(&sandbox.run(["list", "container in [mkv, webm]"]));
    assert!(!said.contains("no file has"), "{said}");
    let said = stderr(&sandbox.run(["list", "exists(audio, lang == japanese)"]));
    assert!(said.contains("no track has the language jpn; there is ") && said.contains("eng"), "{said}");
    for args in
        [&["list", "--paths", "--lacks", "subtitle:fre"][..], &["stats", "not exists(audio, lang == fre)"]]
    {
        let said = stderr(&sandbox.run(args));
        assert!(said.contains("no track has the language fre; there is "), "{args:?}: {said}");
    }
    sandbox.sql("UPDATE tracks SET codec = 'QUUX', language = 'qqq' WHERE codec = 'hevc'");
    assert_eq!(names(&sandbox, &["exists(video, codec == quux, lang == QQQ)"]), ["full.mkv"]);
    sandbox.sql("UPDATE tracks SET language = 'EN' WHERE language = 'eng' AND track_index = 2");
    let (de, copy, en) = ("de.mkv", "copy of de.mkv", "en.mkv");
    assert_eq!(names(&sandbox, &["exists(audio, lang == english) and not missing"]), [copy, de, en]);
    assert_eq!(names(&sandbox, &["exists(audio, lang == english) and size > 1", "--limit", "2"]).len(), 2);
}

#[test]
fn subtitle_files_are_found_in_every_order_and_shown() {
    let sandbox = library();
    sandbox.write("films/en.fr.forced.srt", "text");
    sandbox.scan(&[]);
    let (en, full) = ("en.mkv", "full.mkv");
    for sort in ["added", "-added", "path", "-size", "duration"] {
        for (args, expected) in [
            (&["exists(subtitle, lang == fre)"][..], &[en][..]),
            (&["exists(subtitle, lang == fre, external == true)"], &[en]),
            (&["count(subtitle, lang == french) >= 1"], &[en]),
            (&["--has", "subtitle:fre"], &[en]),
            (&["--has", "subtitle:subrip", "exists(subtitle, lang == fr)"], &[en]),
            (&["not exists(subtitle, lang == fre) and exists(subtitle)"], &[full]),
            (&["exists(audio, lang == fre)"], &[]),
        ] {
            assert_eq!(names(&sandbox, &[&["--sort", sort], args].concat()), expected, "{sort} {args:?}");
        }
    }
    let output = sandbox.run(["list", "exists(subtitle, lang == fre, external == false)"]);
    assert!(!stderr(&output).contains("no track has"), "{}", stderr(&output));
    let table = stdout(&sandbox.run(["list", "--has", "subtitle:fre"]));
    assert!(table.contains("  fre forced srt  "), "{table}");
    let csv = stdout(&sandbox.run(["list", "--csv", "--has", "subtitle:fre"]));
    assert!(csv.contains(",eng,fre,"), "{csv}");
    let daemon = sandbox.serve::<&str>([]);
    crate::harness::eventually("the language of the subtitle file", || {
        let library = daemon.get("/api/v1/library").json();
        let languages = library["languages"].as_array()?.clone();
        languages.iter().any(|group| group["name"] == "fre" && group["files"] == 1).then_some(())
    });
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

#[test]
fn short_flags_stand_for_queries() {
    let sandbox = library();
    let (de, copy, en, full) = ("de.mkv", "copy of de.mkv", "en.mkv", "full.mkv");
    for (args, expected) in [
        (&["--has", "audio:german"][..], &[copy, de][..]),
        (&["--lacks", "audio:de"], &[en, full]),
        (&["--has", "video:h265"], &[full]),
        (&["--has", "audio:eng", "--lacks", "audio:ger"], &[en]),
        (&["--lacks", "subtitle"], &[copy, de, en]),
        (&["--duplicates", "path contains copy"], &[copy]),
        (&["--in", "films", "--lacks", "video:hevc", "--has", "audio:eng"], &[copy, de, en]),
        (&["--in", "films/de.mkv"], &[]),
    ] {
        assert_eq!(names(&sandbox, args), expected, "{args:?}");
    }
    let output = sandbox.run([
        "list",
        "--verbose",
        "--has",
        "video:x265",
        "--lacks",
        "subtitle:en",
        "size > 1kB and missing",
    ]);
    let said = stderr(&output);
    assert!(
        said.contains(
            "query: exists(video, codec == \"hevc\") and not exists(subtitle, lang == \"eng\") and size > 1000 and missing"
        ),
        "{said}"
    );
    for (args, message) in [
        (&["--has", "audio:englsh"][..], "--has audio:englsh, line 1"),
        (&["--has", "sound:eng"], "expected video, audio, subtitle or attachment"),
        (&["--sort", "colour"], "--sort colour: give one of added, path, size"),
        (&["--json", "--paths"], "--json and --paths exclude each other"),
        (&["--limit", "abc"], "--limit"),
        (&["--color", "red"], "--color"),
    ] {
        let output = sandbox.run([&["list"], args].concat());
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(64), ""), "{args:?}");
        assert!(stderr(&output).contains(message), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn files_come_in_the_order_that_is_asked_for() {
    let sandbox = library();
    sandbox.sql("UPDATE files SET size_bytes = length(filename) * 100");
    let order = |args: &[&str]| {
        let output = sandbox.run([&["list", "--paths"], args].concat());
        let text = stdout(&output);
        text.lines().map(|path| path.rsplit('/').next().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(order(&["--sort", "path"]), ["copy of de.mkv", "de.mkv", "en.mkv", "full.mkv"]);
    assert_eq!(order(&["--sort", "-path", "--limit", "2"]), ["full.mkv", "en.mkv"]);
    let sized = order(&["--sort", "-size"]);
    assert_eq!((&*sized[0], &*sized[1], sized.len()), ("copy of de.mkv", "full.mkv", 4));
    let added = order(&["--sort", "added"]);
    let mut reversed = order(&["--sort", "-added"]);
    reversed.reverse();
    assert_eq!(added, reversed);
}

#[test]
fn csv_has_a_heading_and_a_line_for_each_file() {
    let sandbox = library();
    sandbox.sql("UPDATE files SET filename = 'x', path = '/a, \"b\".mkv' WHERE filename = 'full.mkv'");
    let text = stdout(&sandbox.run(["list", "--csv", "exists(video, codec == hevc)"]));
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("id,path,size_bytes,scan_status,"), "{text}");
    assert!(
        lines[1].contains(",\"/a, \"\"b\"\".mkv\",") && lines[1].contains(",hevc png,1920,1080,eac3,por,"),
        "{text}"
    );
}

#[test]
fn covers_are_not_the_picture_of_a_file() {
    let sandbox = library();
    sandbox.sql("UPDATE tracks SET width = 6000, height = 9000 WHERE codec = 'png'");
    let text = stdout(&sandbox.run(["list", "--csv", "exists(video, codec == hevc)"]));
    assert!(text.contains(",hevc png,1920,1080,eac3,por,"), "{text}");
}

#[test]
fn colours_are_written_where_they_are_wanted() {
    let sandbox = library();
    sandbox.sql(
        "UPDATE files SET scan_status = 'error' WHERE filename = 'en.mkv';
         UPDATE files SET size_bytes = 200000, content_hash = 'xxh64:0123456789abcdef:5983dda9f15715a4:200000'
            WHERE filename = 'de.mkv';
         UPDATE daemon_files SET size_bytes = 200000, media_end = NULL
            WHERE file_id = (SELECT id FROM files WHERE filename = 'de.mkv')",
    );
    let text = |args: &[&str]| stdout(&sandbox.run([&["list"], args].concat()));
    let coloured = text(&["--color", "always"]);
    assert!(coloured.contains("\x1b[1m") && coloured.contains("\x1b[31m"), "{coloured}");
    let is_cut = |line: &str| line.starts_with("\x1b[33m") && line.contains(" 1920x1080, truncated  ");
    assert_eq!(coloured.lines().filter(|line| is_cut(line)).count(), 1, "{coloured}");
    for args in [&["--color", "never"][..], &[], &["--color", "always", "--json"]] {
        assert!(!text(args).contains('\x1b'), "{args:?}");
    }
}

#[test]
fn statistics_count_files_and_bytes_by_a_property() {
    let sandbox = library();
    let size = |name: &str| sandbox.row(name).size;
    let stats = |args: &[&str]| -> Value {
        let output = sandbox.run([&["stats", "--json"], args].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).expect("JSON")
    };
    let (full, de, en) = (size("films/full.mkv"), size("films/de.mkv"), size("films/en.mkv"));
    let all = stats(&[]);
    assert_eq!(
        (&all["files"], &all["bytes"], &all["left_out"]),
        (&4.into(), &(full + 2 * de + en).into(), &1.into())
    );
    let group = |by: &str, name: Value| {
        let stats = stats(&["--by", by]);
        let found =
            stats["groups"].as_array().expect("groups").iter().find(|group| group["name"] == name).cloned();
        found.map(|group| (group["files"].as_i64(), group["bytes"].as_i64()))
    };
    assert_eq!(group("codec", "hevc".into()), Some((Some(1), Some(full))));
    assert_eq!(group("resolution", "1080p".into()), Some((Some(4), Some(full + 2 * de + en))));
    assert_eq!(group("codec", "h264".into()), Some((Some(3), Some(2 * de + en))));
    assert_eq!(group("language", "ger".into()), Some((Some(2), Some(2 * de))));
    assert_eq!(group("language", "eng".into()), Some((Some(3), Some(2 * de + en))));
    assert_eq!(group("container", "matroska,webm".into()), Some((Some(4), Some(full + 2 * de + en))));
    assert_eq!(group("root", Value::Null), Some((Some(4), Some(full + 2 * de + en))));
    assert_eq!(stats(&["exists(audio, lang == german)", "--missing"])["files"], 2);
    let table = stdout(&sandbox.run(["stats", "--by", "language"]));
    let first: Vec<&str> = table.lines().next().expect("a heading").split_whitespace().collect();
    assert_eq!(first, ["language", "files", "hours", "bytes"], "{table}");
    assert!(table.contains("4.5"), "three films of 90 minutes: {table}");
    assert_eq!(stats(&["--by", "hdr"])["groups"].as_array().map(Vec::len), Some(1));
    let output = sandbox.run(["stats", "--by", "codecs"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("did you mean codec?"), "{}", stderr(&output));
}

#[test]
fn status_shows_the_daemon_and_what_is_wrong() {
    let sandbox = library();
    let status = |args: &[&str]| -> Value {
        let output = sandbox.run([&["status", "--json"], args].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).expect("JSON")
    };
    let reasons = |status: &Value| {
        let problems = status["problems"].as_array().expect("problems");
        let reasons = problems.iter().map(|problem| problem["reason"].as_str().expect("a code").to_owned());
        reasons.collect::<Vec<_>>()
    };
    let alone = status(&[]);
    assert_eq!(
        (&alone["daemon"], reasons(&alone)),
        (&Value::Null, vec!["not_running".to_owned(), "none".to_owned()])
    );
    assert_eq!(alone["database"]["path"], sandbox.library().display().to_string());
    assert!(alone["database"]["bytes"].as_u64() > Some(4096), "{alone}");
    let root = sandbox.root();
    let gone = sandbox.path("gone");
    let args = ["--root".as_ref(), root.as_os_str(), "--root".as_ref(), gone.as_os_str()];
    let daemon = sandbox.serve(args);
    let shown = crate::harness::eventually("the root that is missing", || {
        let shown = status(&[]);
        (reasons(&shown).len() == 1 && shown["roots"][1].is_object()).then_some(shown)
    });
    assert_eq!(
        (&shown["phase"], shown["roots"].as_array().map(Vec::len)),
        (&"running".into(), Some(2)),
        "{shown}"
    );
    assert_eq!(shown["daemon"]["pid"], daemon.pid());
    assert!(shown["problems"][0]["detail"].as_str().is_some_and(|detail| detail.contains("gone")), "{shown}");
    let text = stdout(&sandbox.run(["status"]));
    assert!(text.contains("daemon    running, version") && text.contains("problem   root:"), "{text}");
    let output = sandbox.run(["healthcheck"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = sandbox.run(["healthcheck", "--strict"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stderr(&output).contains("unhealthy: root:"), "{}", stderr(&output));
    assert_eq!((daemon.get("/health").status, daemon.get("/health?warnings=fail").status), (200, 503));
}

#[test]
fn scan_without_a_path_asks_the_daemon_for_its_roots() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    let daemon = sandbox.serve(["--root".as_ref(), sandbox.root().as_os_str()]);
    crate::harness::eventually("a check of the root", || {
        daemon.get("/health").body.contains("root:").then_some(())
    });
    let output = sandbox.run(["scan", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(said["scans"].as_array().map(Vec::len), Some(1), "{said}");
}
