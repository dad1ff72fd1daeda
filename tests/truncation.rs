//! Files that are cut short, by bytes or by zeros in place of data, and files that only look so.

use crate::beside::changes;
use crate::facts::matching;
use crate::harness::{Sandbox, samples, settled};

/// A film of one track and one Cluster that ends with 100,000 of `byte`.
fn film(track: &[u8], byte: u8) -> Vec<u8> {
    let tracks = samples::element(0x1654_AE6B, track);
    let cluster = samples::element(0x1F43_B675, &[vec![7; 100_000], vec![byte; 100_000]].concat());
    [samples::ebml_header("matroska"), samples::element(0x1853_8067, &[tracks, cluster].concat())].concat()
}

fn text_track() -> Vec<u8> {
    samples::track(1, 0x11, "S_TEXT/UTF8", &[])
}

/// Writes a file that has been there for an hour.
fn write(sandbox: &Sandbox, name: &str, content: &[u8]) {
    settled(&sandbox.write(name, content));
}

#[test]
fn zeros_in_place_of_data_are_news_once_until_they_are_filled() {
    let sandbox = Sandbox::new();
    let [zeros, whole] = [0, 1].map(|byte| film(&text_track(), byte));
    write(&sandbox, "films/old.mkv", &zeros);
    let scan = sandbox.scan(&[]);
    assert_eq!(changes(&sandbox), ["first_scan films 1"], "one entry for all");
    let named = [0, 1, 2].map(|place| (&scan["changes"][place]["kind"], &scan["changes"][place]["detail"]));
    let null = &serde_json::Value::Null;
    assert_eq!(named, [(&"added".into(), null), (&"truncated".into(), &"zeros 65536".into()), (null, null)]);
    assert_eq!(matching(&sandbox, "truncated"), ["old.mkv"]);
    write(&sandbox, "films/new.mkv", &zeros);
    sandbox.scan(&[]);
    assert_eq!(changes(&sandbox)[1..], ["added films/new.mkv -", "truncated films/new.mkv zeros 65536"]);
    let text = String::from_utf8(sandbox.run(["changes"]).stdout).expect("UTF-8");
    assert!(text.contains("films/new.mkv (ends with at least 65.5 kB of zeros)\n"), "{text}");
    settled(&sandbox.path("films/new.mkv"));
    sandbox.scan(&[]);
    assert_eq!(changes(&sandbox)[3..], ["changed films/new.mkv -"], "as before");

    // Its hashes are of an older version, which stated no facts.
    sandbox.sql("DROP TABLE daemon_files");
    sandbox.scan(&[]);
    assert_eq!(matching(&sandbox, "truncated"), ["new.mkv", "old.mkv"]);
    assert_eq!(changes(&sandbox)[4..], ["reread films 2"]);
    for name in ["new", "old"] {
        write(&sandbox, &format!("films/{name}.mkv"), &whole);
    }
    sandbox.scan(&[]);
    let mut filled = changes(&sandbox)[5..].to_vec();
    filled.sort();
    let expected = ["changed films/new.mkv -", "changed films/old.mkv -", "complete films/new.mkv -"];
    assert_eq!(filled, [&expected[..], &["complete films/old.mkv -"]].concat());
    assert!(matching(&sandbox, "truncated").is_empty());
}

#[test]
fn zeros_behind_the_data_and_silence_are_no_cut() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    let sound = [samples::element(0x6264, &[16]), samples::element(0x9F, &[2])].concat();
    let pcm = samples::track(1, 2, "A_PCM/INT/LIT", &[samples::element(0xE1, &sound)]);
    let padding = vec![0; 200_000];
    write(&sandbox, "films/padded.mkv", &[film(&text_track(), 1), padding.clone()].concat());
    let free = [&200_008_u32.to_be_bytes()[..], b"free", &padding].concat();
    write(&sandbox, "films/padded.mp4", &[samples::mp4(), free].concat());
    write(&sandbox, "films/silence.mkv", &film(&pcm, 0));
    sandbox.scan(&[]);
    let added = ["padded.mkv", "padded.mp4", "silence.mkv"].map(|name| format!("added films/{name} -"));
    // In the order in which they were read.
    let mut found = changes(&sandbox)[1..].to_vec();
    found.sort();
    assert_eq!(found, added);
    assert_eq!(matching(&sandbox, "truncated == false").len(), 4);
}

#[test]
fn a_cut_file_that_cannot_be_read_lacks_its_bytes_too() {
    let sandbox = Sandbox::new();
    sandbox.film("films/a.mkv");
    sandbox.scan(&[]);
    let film = samples::mp4();
    let media_end = film.windows(4).position(|kind| kind == b"moov").expect("a movie box") - 4;
    write(&sandbox, "films/cut.mp4", &film[..media_end - 200]);
    sandbox.scan(&[]);
    assert_eq!(sandbox.row("films/cut.mp4").status, "error");
    assert_eq!(matching(&sandbox, "truncated"), ["cut.mp4"]);
    assert_eq!(changes(&sandbox)[1..], ["added films/cut.mp4 -", "truncated films/cut.mp4 200"]);
    write(&sandbox, "films/cut.mp4", &film);
    sandbox.scan(&[]);
    assert_eq!(changes(&sandbox)[3..], ["changed films/cut.mp4 -", "complete films/cut.mp4 -"]);
}
