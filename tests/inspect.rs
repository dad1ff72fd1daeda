//! `vpo inspect`: what it shows, what it refuses, and how.

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
    let expected = concat!(
        r#"{"path":"film.mkv","size_bytes":3807,"container_format":"matroska,webm","duration_seconds":61.25,"tracks":["#,
        r#"{"track_index":0,"track_type":"video","codec":"hevc","language":"und","title":null,"is_default":true,"#,
        r#""is_forced":false,"channels":null,"channel_layout":null,"width":1920,"height":1080,"frame_rate":"24000/1001"},"#,
        r#"{"track_index":1,"track_type":"audio","codec":"eac3","language":"por","title":"Surround 5.1","is_default":true,"#,
        r#""is_forced":false,"channels":6,"channel_layout":"5.1","width":null,"height":null,"frame_rate":null},"#,
        r#"{"track_index":2,"track_type":"subtitle","codec":"subrip","language":"ger","title":null,"is_default":false,"#,
        r#""is_forced":true,"channels":null,"channel_layout":null,"width":null,"height":null,"frame_rate":null},"#,
        r#"{"track_index":3,"track_type":"video","codec":"png","language":"und","title":null,"is_default":false,"#,
        r#""is_forced":false,"channels":null,"channel_layout":null,"width":600,"height":900,"frame_rate":null},"#,
        r#"{"track_index":4,"track_type":"attachment","codec":"ttf","language":"und","title":null,"is_default":false,"#,
        r#""is_forced":false,"channels":null,"channel_layout":null,"width":null,"height":null,"frame_rate":null}],"missing_bytes":0}"#,
        "\n"
    );
    let size = samples::matroska().len();
    let expected = expected.replace("3807", &size.to_string());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
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
        ("folder.mkv", "not a regular file but a directory"),
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
fn nothing_to_inspect_is_a_mistake_of_usage() {
    let output = Sandbox::new().run(["inspect"]);
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(complaints(&output).len(), 1);
}
