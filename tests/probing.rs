//! `vpo inspect` against ffprobe and mkvmerge, field by field, on files that ffmpeg and mkvmerge make here and,
//! where they are, on real ones.
//!
//! What may differ, and why, is in docs/probing.md.

mod avi;
mod corpus;
mod cuts;
mod facts;
mod matroska;
mod mp4;
mod pictures;
mod truth;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vpo::media::{self, Error};

use crate::harness::Sandbox;
use corpus::Recipe;

/// A field's agreement in percent below which the test fails.
fn least(field: &str) -> f64 {
    if field == "frame_rate" { 96.0 } else { 99.0 }
}

/// The fields of a track that are compared.
const TRACK: [&str; 11] = [
    "track_type",
    "codec",
    "language",
    "title",
    "is_default",
    "is_forced",
    "channels",
    "channel_layout",
    "width",
    "height",
    "frame_rate",
];

/// The fields of a file that are compared; `readable` is whether there is any answer.
const FILE: [&str; 4] = ["readable", "container_format", "duration_seconds", "tracks"];

#[test]
#[ignore = "needs ffmpeg and mkvtoolnix: compares with them"]
fn every_field_equals_ffprobes() {
    let recipes: Vec<Recipe> = matroska::recipes().chain(avi::recipes()).chain(mp4::recipes()).collect();
    let mut files = corpus::make(&recipes);
    let made = files.len();
    files.extend(corpus::real());
    let ours = inspect(&files);
    let mut table = Table::default();
    for path in &files {
        let truth = truth::ffprobe(path);
        table.compare(path, family(path, truth.as_ref()), truth.as_ref(), ours.get(path));
    }
    println!("{} files, {made} of them made here\n\n{}", files.len(), table.show(&FILE, &TRACK));
    assert!(made >= 45, "only {made} files were made");
    table.assert_agreement(least);
}

#[test]
#[ignore = "needs ffmpeg and mkvtoolnix: compares with them"]
fn matroska_fields_equal_mkvmerges() {
    let recipes: Vec<Recipe> = matroska::recipes().collect();
    let mut files = corpus::make(&recipes);
    files.extend(corpus::real());
    files.retain(|path| path.extension().is_some_and(|name| name == "mkv" || name == "webm"));
    let ours = inspect(&files);
    let mut table = Table::default();
    for path in &files {
        // What only one of them calls a video is the other test's matter.
        if let (Some(truth), Some(ours)) = (truth::mkvmerge(path), ours.get(path)) {
            table.compare(path, "matroska", Some(&truth), Some(&truth::without_attachments(ours)));
        }
    }
    println!("{} files\n\n{}", files.len(), table.show(&["tracks"], &truth::MKVMERGE));
    table.assert_agreement(least);
}

#[test]
#[ignore = "needs ffmpeg and mkvtoolnix: compares with them"]
fn facts_equal_what_others_state() {
    let recipes = matroska::recipes().chain(avi::recipes()).chain(mp4::recipes()).chain(pictures::recipes());
    let mut files = corpus::make(&recipes.collect::<Vec<_>>());
    files.extend(corpus::real());
    let ours = inspect(&files);
    let (mut of_ffprobe, mut of_mkvmerge) = (Table::default(), Table::default());
    for path in &files {
        let Some(ours) = ours.get(path) else { continue };
        let family = family(path, Some(ours));
        if let Some(probed) = truth::ffprobe_facts(path) {
            facts::compare(&mut of_ffprobe, path, family, &probed, ours);
        }
        if family == "matroska"
            && let Some(probed) = truth::mkvmerge_facts(path)
        {
            facts::compare(&mut of_mkvmerge, path, family, &probed, &truth::without_attachments(ours));
        }
    }
    println!("ffprobe:\n{}\n", of_ffprobe.show(&[], &facts::OF_FFPROBE));
    println!("mkvmerge:\n{}", of_mkvmerge.show(&[], &facts::OF_MKVMERGE));
    of_ffprobe.assert_agreement(|_| 98.0);
    of_mkvmerge.assert_agreement(|_| 98.0);
}

/// The targets of docs/performance.md.
#[test]
#[ignore = "needs ffmpeg and mkvtoolnix: reads what they make"]
fn a_file_costs_few_reads_in_the_mean() {
    let recipes = matroska::recipes().chain(avi::recipes()).chain(mp4::recipes()).chain(pictures::recipes());
    let made = corpus::make(&recipes.collect::<Vec<_>>());
    for files in [made, corpus::real()] {
        let (mut bytes, mut reads, mut count) = (0, 0, 0);
        for path in &files {
            let (info, usage) = media::measure(std::fs::File::open(path).expect("a file"));
            if info.is_ok() {
                (bytes, reads, count) = (bytes + usage.bytes, reads + u64::from(usage.reads), count + 1);
            }
        }
        println!("{count} files, {bytes} bytes in {reads} reads");
        assert!(
            bytes <= count * 24 * 1024 && reads <= count * 4,
            "{count} files, {bytes} bytes, {reads} reads"
        );
    }
}

/// The real files, where they are.
pub(crate) fn real_files() -> Vec<PathBuf> {
    corpus::real()
}

#[test]
fn every_format_is_among_the_default_extensions_and_in_the_docs() {
    let output = Sandbox::new().run(["config"]);
    let shown = String::from_utf8(output.stdout).expect("UTF-8");
    let (_, default) = shown.split_once("extensions = ").expect("the key");
    let (default, _) = default.split_once(" # default\n").expect("its origin");
    let mut default: Vec<&str> = serde_json::from_str(default).expect("a list of strings");
    let mut of_formats: Vec<&str> = media::extensions().collect();
    default.sort_unstable();
    of_formats.sort_unstable();
    assert_eq!(default, of_formats, "what `scan.extensions` is without a word of the user");

    let Err(Error::NotAVideo { supported, .. }) = media::probe(Cursor::new(b"text")) else {
        panic!("text is a video")
    };
    let headings: String =
        include_str!("../docs/probing.md").lines().filter(|line| line.starts_with("## ")).collect();
    for format in supported.split(", ").flat_map(|formats| formats.split(" or ")) {
        assert!(headings.contains(format), "docs/probing.md has no section on {format}");
    }
}

/// `vpo inspect --json` of all files in one run; those that it refuses are missing.
fn inspect(files: &[PathBuf]) -> BTreeMap<PathBuf, Value> {
    let sandbox = Sandbox::new();
    let mut command = sandbox.vpo(["inspect", "--json"]);
    let output = command.args(files).output().expect("vpo runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("the prober failed") && !stderr.contains("panic at "), "{stderr}");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("one object a line"))
        .map(|file| (PathBuf::from(file["path"].as_str().expect("a path")), file))
        .collect()
}

fn family(path: &Path, truth: Option<&Value>) -> &'static str {
    let format = truth.and_then(|truth| truth["container_format"].as_str()).unwrap_or_default();
    let extension = path.extension().and_then(|name| name.to_str()).unwrap_or_default();
    match (format, extension) {
        ("matroska,webm", _) | ("", "mkv" | "webm") => "matroska",
        ("avi", _) | ("", "avi") => "avi",
        _ => "mp4",
    }
}

/// Agreement by container and field, and every difference.
#[derive(Default)]
struct Table {
    /// (field, family) → (equal, all).
    cells: BTreeMap<(String, &'static str), (u32, u32)>,
    differences: Vec<String>,
}

impl Table {
    fn compare(&mut self, path: &Path, family: &'static str, truth: Option<&Value>, ours: Option<&Value>) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        // Reading more than ffprobe is not a fault, but is reported.
        self.note(family, "readable", truth.is_none() || ours.is_some(), || {
            format!("{name}: ffprobe reads it, vpo does not")
        });
        if truth.is_none() && ours.is_some() {
            self.differences.push(format!("{name}: vpo reads it, ffprobe does not"));
        }
        let (Some(truth), Some(ours)) = (truth, ours) else { return };
        for field in ["container_format", "duration_seconds"] {
            if truth.get(field).is_some() {
                let (theirs, ours) = (&truth[field], &ours[field]);
                let equal = theirs == ours || is_close(theirs, ours);
                self.note(family, field, equal, || format!("{name}: {field}: {theirs}, vpo: {ours}"));
            }
        }
        let (theirs, ours) = (tracks(truth), tracks(ours));
        self.note(family, "tracks", theirs.len() == ours.len(), || {
            format!("{name}: {} tracks, vpo: {}", theirs.len(), ours.len())
        });
        for (index, theirs) in theirs.iter().enumerate() {
            for (field, truth) in theirs.as_object().expect("a track") {
                let found = ours.get(index).map_or(&Value::Null, |track| &track[field]);
                self.note(family, field, truth == found, || {
                    format!("{name}: track {index}: {field}: {truth}, vpo: {found}")
                });
            }
        }
    }

    fn note(&mut self, family: &'static str, field: &str, equal: bool, difference: impl FnOnce() -> String) {
        let cell = self.cells.entry((field.to_owned(), family)).or_default();
        cell.0 += u32::from(equal);
        cell.1 += 1;
        if !equal {
            self.differences.push(difference());
        }
    }

    fn show(&self, file: &[&str], track: &[&str]) -> String {
        let families = ["matroska", "mp4", "avi"];
        let line = |field: &str, cells: Vec<String>| {
            cells.iter().fold(format!("{field:<18}"), |line, cell| format!("{line}{cell:>18}"))
        };
        let mut lines = vec![line("field", families.map(str::to_owned).to_vec())];
        for field in file.iter().chain(track) {
            let cell = |family| {
                let (equal, all) =
                    self.cells.get(&((*field).to_owned(), family)).copied().unwrap_or_default();
                let percent = f64::from(equal) * 100.0 / f64::from(all.max(1));
                if all == 0 { "-".to_owned() } else { format!("{equal}/{all} {percent:.1} %") }
            };
            lines.push(line(field, families.into_iter().map(cell).collect()));
        }
        lines.push(String::new());
        lines.extend(self.differences.iter().cloned());
        lines.join("\n")
    }

    fn assert_agreement(&self, least: impl Fn(&str) -> f64) {
        let mut fields: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        for ((field, _), (equal, all)) in &self.cells {
            let cell = fields.entry(field).or_default();
            *cell = (cell.0 + equal, cell.1 + all);
        }
        let low: Vec<String> = fields
            .iter()
            .map(|(field, (equal, all))| (field, f64::from(*equal) * 100.0 / f64::from(*all)))
            .filter(|(field, percent)| *percent < least(field))
            .map(|(field, percent)| format!("{field}: {percent:.2} %"))
            .collect();
        assert!(low.is_empty(), "too little agreement: {low:?}");
    }
}

fn tracks(file: &Value) -> Vec<Value> {
    file["tracks"].as_array().cloned().unwrap_or_default()
}

/// Durations within 2 ms: ffprobe rounds to its own clock.
fn is_close(one: &Value, other: &Value) -> bool {
    matches!((one.as_f64(), other.as_f64()), (Some(one), Some(other)) if (one - other).abs() < 0.002)
}
