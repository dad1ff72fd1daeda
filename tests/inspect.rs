//! `vpo inspect`: what it shows, what it refuses, and how.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{Sandbox, samples};

/// The complaints, which are one line each.
fn complaints(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

fn json(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

#[test]
fn json_has_every_key_in_its_place() {
    let sandbox = Sandbox::new();
    sandbox.write("film.mkv", samples::matroska());
    let output = sandbox.run(["inspect", "--json", "film.mkv"]);
    assert!(output.status.success());
    let of_track = [("is_commentary", "false"), ("is_enabled", "true"), ("is_original", "false")];
    let of_track =
        [&of_track[..], &[("is_hearing_impaired", "false"), ("is_visual_impaired", "false")]].concat();
    let png = [("bit_depth", "8"), ("pixel_format", "\"rgb24\""), ("color_range", "\"pc\"")];
    let cover =
        [("is_attached_picture", "true"), ("mime_type", "\"image/png\""), ("file_name", "\"cover.png\"")];
    let font = [("mime_type", "\"application/x-truetype-font\""), ("file_name", "\"font.ttf\"")];
    let facts = [
        facts(&[&of_track[..], &[("is_attached_picture", "false")]].concat()),
        facts(&[&of_track[..], &[("language_tag", "\"pt-BR\""), ("sample_rate", "48000")]].concat()),
        facts(&[&of_track[..], &[("language_tag", "\"de\"")]].concat()),
        facts(&[&cover[..], &png].concat()),
        facts(&font),
    ];
    let rows = [
        concat!(
            r#"{"track_index":0,"track_type":"video","codec":"hevc","language":"und","title":null,"is_default":true,"#,
            r#""is_forced":false,"channels":null,"channel_layout":null,"width":1920,"height":1080,"frame_rate":"24000/1001","#,
        ),
        concat!(
            r#"{"track_index":1,"track_type":"audio","codec":"eac3","language":"por","title":"Surround 5.1","is_default":true,"#,
            r#""is_forced":false,"channels":6,"channel_layout":"5.1","width":null,"height":null,"frame_rate":null,"#,
        ),
        concat!(
            r#"{"track_index":2,"track_type":"subtitle","codec":"subrip","language":"ger","title":null,"is_default":false,"#,
            r#""is_forced":true,"channels":null,"channel_layout":null,"width":null,"height":null,"frame_rate":null,"#,
        ),
        concat!(
            r#"{"track_index":3,"track_type":"video","codec":"png","language":"und","title":null,"is_default":false,"#,
            r#""is_forced":false,"channels":null,"channel_layout":null,"width":600,"height":900,"frame_rate":null,"#,
        ),
        concat!(
            r#"{"track_index":4,"track_type":"attachment","codec":"ttf","language":"und","title":null,"is_default":false,"#,
            r#""is_forced":false,"channels":null,"channel_layout":null,"width":null,"height":null,"frame_rate":null,"#,
        ),
    ];
    let rows: Vec<String> = rows.iter().zip(facts).map(|(row, facts)| format!("{row}{facts}}}")).collect();
    let expected = format!(
        "{}{}{}{}\n",
        r#"{"path":"film.mkv","size_bytes":3807,"container_format":"matroska,webm","duration_seconds":61.25,"tracks":["#,
        rows.join(","),
        r#"],"missing_bytes":0,"media_end":3807,"hole_bytes":0,"title":null,"chapters":0,"is_fast_start":null,"#,
        r#""zero_tail":null,"subtitles":[]}"#,
    );
    let size = samples::matroska().len();
    let expected = expected.replace("3807", &size.to_string());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// The keys of a track's facts with these values, the others null.
fn facts(stated: &[(&str, &str)]) -> String {
    #[rustfmt::skip]
    const KEYS: [&str; 25] = [
        "language_tag", "name", "profile", "level", "bit_depth", "pixel_format", "color_primaries", "color_transfer",
        "color_matrix", "color_range", "hdr_format", "dolby_vision", "field_order", "sample_rate", "bit_rate",
        "duration_seconds", "codec_detail", "is_hearing_impaired", "is_visual_impaired", "is_commentary",
        "is_original", "is_enabled", "is_attached_picture", "file_name", "mime_type",
    ];
    let value =
        |key: &str| stated.iter().find(|(stated, _)| *stated == key).map_or("null", |(_, value)| *value);
    KEYS.map(|key| format!("\"{key}\":{}", value(key))).join(",")
}

#[test]
fn a_table_is_aligned_whatever_the_script() {
    let sandbox = Sandbox::new();
    let title = |text: &str| samples::track(1, 0x11, "S_TEXT/UTF8", &[samples::name(text)]);
    let tracks = [title("日本語"), title("plain"), title("e\u{301}")].concat();
    let cluster = samples::element(0x1F43_B675, &[]);
    let segment = [samples::element(0x1654_AE6B, &tracks), cluster].concat();
    let file = [samples::ebml_header("matroska"), samples::element(0x1853_8067, &segment)].concat();
    sandbox.write("film.mkv", file);
    let output = sandbox.run(["inspect", "film.mkv"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "film.mkv");
    assert!(lines[1].starts_with("  matroska,webm, "), "{text}");
    let column = lines[2].find("title").expect("a heading");
    for (line, title) in lines[3..].iter().zip(["日本語", "plain", "e\u{301}"]) {
        assert_eq!(line.find(title), Some(column), "{text}");
    }
}

#[test]
fn all_families_are_told_by_content_whatever_their_name() {
    let sandbox = Sandbox::new();
    sandbox.write("really.avi", samples::matroska());
    sandbox.write("really.mkv", samples::mp4());
    sandbox.write("really.mp4", samples::avi());
    let output = sandbox.run(["inspect", "--json", "really.avi", "really.mkv", "really.mp4"]);
    let formats: Vec<Value> = json(&output).iter().map(|file| file["container_format"].clone()).collect();
    assert_eq!(formats, ["matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "avi"]);
    let avi = &json(&output)[2];
    assert_eq!(avi["tracks"][0]["title"], "Film");
    assert_eq!(avi["tracks"][0]["frame_rate"], "24000/1001");
    assert_eq!(avi["tracks"][1]["codec"], "mp3");
    assert_eq!(avi["duration_seconds"], 60.06);
}

#[test]
fn what_a_browser_records_has_a_rate_and_no_length() {
    let sandbox = Sandbox::new();
    sandbox.write("live.webm", samples::webm_live());
    let file = &json(&sandbox.run(["inspect", "--json", "live.webm"]))[0];
    assert_eq!(file["duration_seconds"], Value::Null);
    assert_eq!(file["tracks"][0]["frame_rate"], "25/1");
    assert_eq!(file["tracks"][0]["language"], "eng");
}

#[test]
fn tracks_behind_the_clusters_are_found_and_a_cycle_ends() {
    let sandbox = Sandbox::new();
    sandbox.write("film.mkv", samples::matroska_tracks_last());
    let file = &json(&sandbox.run(["inspect", "--json", "film.mkv"]))[0];
    assert_eq!(file["tracks"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_truncated_file_is_readable_and_named() {
    let sandbox = Sandbox::new();
    for (name, film) in
        [("cut.mkv", samples::matroska()), ("cut.avi", samples::avi()), ("cut.mp4", moov_first())]
    {
        let missing = 20;
        sandbox.write(name, &film[..film.len() - missing]);
        let file = &json(&sandbox.run(["inspect", "--json", name]))[0];
        assert_eq!(file["missing_bytes"], missing, "{name}");
        let text = sandbox.run(["inspect", name]).stdout;
        let text = String::from_utf8(text).expect("UTF-8");
        let line = format!("  warning: truncated, {missing} bytes of ");
        assert!(text.lines().any(|shown| shown.starts_with(&line)), "{text}");
    }
    sandbox.write("live.webm", samples::webm_live());
    let file = &json(&sandbox.run(["inspect", "--json", "live.webm"]))[0];
    assert_eq!(file["missing_bytes"], Value::Null, "its Segment states no size");
}

/// [`samples::mp4`] with `mdat` at the end, as for streaming.
fn moov_first() -> Vec<u8> {
    let film = samples::mp4();
    let media = film.windows(4).position(|kind| kind == b"mdat").expect("media data") - 4;
    let movie = film.windows(4).position(|kind| kind == b"moov").expect("a movie box") - 4;
    [&film[..media], &film[movie..], &film[media..movie]].concat()
}

#[test]
fn a_bad_file_is_said_in_one_line_and_the_others_are_shown() {
    let sandbox = Sandbox::new();
    let film = samples::matroska();
    sandbox.write("good.mkv", &film);
    sandbox.write("empty.mkv", "");
    sandbox.write("picture.mkv", b"\xFF\xD8\xFF\xE0\0\x10JFIF\0");
    sandbox.write("zeros.mkv", vec![0; 5000]);
    sandbox.write("notes.mkv", "Not a film at all.\n");
    sandbox.write("cut.mkv", &film[..300]);
    sandbox.write("cut.avi", &samples::avi()[..200]);
    sandbox.write("cut.mp4", &samples::mp4()[..700]);
    std::fs::create_dir(sandbox.path("folder.mkv")).expect("a directory");
    let made = Command::new("mkfifo").arg(sandbox.path("pipe.mkv")).status().expect("mkfifo runs");
    assert!(made.success());
    let cases = [
        ("empty.mkv", "the file is empty"),
        ("picture.mkv", "it is a JPEG image"),
        ("zeros.mkv", "begins with zeros, as an incomplete download does"),
        ("notes.mkv", "it looks like text"),
        ("cut.mkv", "truncated: the file ends at byte 300"),
        ("cut.avi", "truncated: the file ends at byte 200"),
        ("cut.mp4", "truncated: the file ends at byte 700"),
        ("folder.mkv", "there is no video in this directory"),
        ("pipe.mkv", "not a regular file but a FIFO"),
        ("missing.mkv", "No such file or directory"),
    ];
    let mut args = vec!["inspect", "--json"];
    args.extend(cases.iter().map(|(name, _)| *name));
    args.push("good.mkv");
    let output = sandbox.run(args);
    assert_eq!(output.status.code(), Some(1));
    let shown: Vec<Value> = json(&output).iter().map(|file| file["path"].clone()).collect();
    assert_eq!(shown, ["good.mkv"]);
    let complaints = complaints(&output);
    assert_eq!(complaints.len(), cases.len(), "{complaints:#?}");
    for ((name, reason), complaint) in cases.iter().zip(&complaints) {
        assert!(
            complaint.starts_with(&format!("vpo: {name}: ")) && complaint.contains(reason),
            "{complaint}"
        );
    }
}

#[test]
fn file_and_directory_that_may_not_be_read_are_reported_with_owner_and_fix() {
    let sandbox = Sandbox::new();
    for place in [sandbox.film("shut.mkv"), sandbox.film("shut/film.mkv").with_file_name("")] {
        set_permissions(&place, Permissions::from_mode(0o000)).expect("ours");
        let output =
            sandbox.vpo_as_nobody(["inspect".as_ref(), place.as_os_str()]).output().expect("vpo runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("permission denied: vpo runs as"), "{stderr}");
        assert!(stderr.contains("with mode 0000. Give that user access"), "{stderr}");
        set_permissions(&place, Permissions::from_mode(0o700)).expect("ours");
    }
}

#[test]
fn what_a_terminal_would_obey_is_shown_and_not_sent() {
    let sandbox = Sandbox::new();
    let track = samples::track(1, 0x11, "S_TEXT/UTF8", &[samples::name("\u{1B}[31mred\u{7}\n\u{202E}x")]);
    let segment = [samples::element(0x1654_AE6B, &track), samples::element(0x1F43_B675, &[])].concat();
    let file = [samples::ebml_header("matroska"), samples::element(0x1853_8067, &segment)].concat();
    sandbox.write("film.mkv", file);
    let output = sandbox.run(["inspect", "film.mkv"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains(r"\u{1b}[31mred\u{7}\n\u{202e}x"), "{text}");
    assert!(!text.contains('\u{1B}') && !text.contains('\u{202E}'));
}

#[test]
fn videos_of_a_directory_are_shown_by_name_without_links() {
    let sandbox = Sandbox::new();
    for name in ["films/b/two.MKV", "films/a.mkv", "films/b/one.mkv", "elsewhere.mkv"] {
        let path = sandbox.path(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        sandbox.write(name, samples::matroska());
    }
    sandbox.write("films/b/notes.txt", "no video");
    for ignored in ["films/@eaDir", "films/.trash"] {
        std::fs::create_dir(sandbox.path(ignored)).expect("a directory");
        sandbox.write(&format!("{ignored}/x.mkv"), samples::matroska());
    }
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(sandbox.path(target), sandbox.path(name)).expect("a link");
    };
    link("films", "films/b/again");
    link("elsewhere.mkv", "films/b/link.mkv");
    link("films", "linked");
    for directory in ["films", "linked"] {
        let output = sandbox.run(["inspect", "--json", directory]);
        assert!(output.status.success(), "{output:?}");
        let shown: Vec<String> =
            json(&output).iter().map(|file| file["path"].as_str().expect("a path").to_owned()).collect();
        assert_eq!(shown, ["a.mkv", "b/one.mkv", "b/two.MKV"].map(|name| format!("{directory}/{name}")));
    }
}

#[test]
fn other_containers_are_named_and_holes_are_counted() {
    let sandbox = Sandbox::new();
    let packet = [&[0x47][..], &[0xFF; 187]].concat();
    sandbox.write("film.ts", packet.repeat(5));
    let output = sandbox.run(["inspect", "film.ts"]);
    assert_eq!(
        complaints(&output),
        [
            "vpo: film.ts: an MPEG transport stream, which vpo does not read; it reads Matroska, WebM, AVI, MP4 or MOV"
        ]
    );
    let path = sandbox.write("sparse.mkv", samples::matroska());
    let length = std::fs::metadata(&path).expect("the file").len();
    let file = std::fs::File::options().write(true).open(&path).expect("the file");
    file.set_len(length + 10_000_000).expect("a longer file");
    let shown = &json(&sandbox.run(["inspect", "--json", "sparse.mkv"]))[0];
    // A file system without holes states 0; another one counts whole blocks.
    let holes = shown["hole_bytes"].as_u64().expect("this file system tells");
    assert!(holes == 0 || (9_900_000..=10_000_000).contains(&holes), "{holes}");
}

#[test]
fn zeros_at_the_end_and_subtitle_files_are_those_that_scans_find() {
    let sandbox = Sandbox::new();
    let tag = samples::element(0x22_B59D, b"pt-BR");
    let tracks = samples::element(0x1654_AE6B, &samples::track(1, 0x11, "S_TEXT/UTF8", &[tag]));
    let cluster = samples::element(0x1F43_B675, &[vec![7; 100_000], vec![0; 100_000]].concat());
    let segment = samples::element(0x1853_8067, &[tracks, cluster].concat());
    sandbox.write("film.mkv", [samples::ebml_header("matroska"), segment].concat());
    sandbox.write("film.en.forced.srt", "text");
    sandbox.write("other.en.srt", "text");
    let shown = &json(&sandbox.run(["inspect", "--json", "film.mkv"]))[0];
    assert_eq!(shown["zero_tail"], 65536);
    let subtitles = shown["subtitles"].as_array().expect("a list");
    assert_eq!((subtitles.len(), &subtitles[0]["name"]), (1, &Value::from("film.en.forced.srt")));
    let text = String::from_utf8(sandbox.run(["inspect", "film.mkv"]).stdout).expect("UTF-8");
    for part in [
        "\n  warning: truncated, ends with at least 65.5 kB of zeros\n",
        "  pt-BR  ",
        "\n  subtitle file: film.en.forced.srt (eng, forced)\n",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
}

#[test]
fn nothing_to_inspect_is_a_mistake_of_usage() {
    let output = Sandbox::new().run(["inspect"]);
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(complaints(&output).len(), 1);
}
