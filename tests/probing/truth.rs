//! The results of ffprobe and mkvmerge for a file, in VPO's names.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::facts;

/// The fields that mkvmerge also reports.
pub(super) const MKVMERGE: [&str; 8] =
    ["track_type", "language", "title", "is_default", "is_forced", "channels", "width", "height"];

/// ffprobe's answer as `vpo inspect --json` would give it; `None` when it refuses the file.
pub(super) fn ffprobe(path: &Path) -> Option<Value> {
    let arguments = ["-v", "error", "-show_format", "-show_streams", "-of", "json", "-i"];
    let probed = run("ffprobe", &arguments, path)?;
    let format = probed.get("format")?;
    let duration = format["duration"].as_str().and_then(|text| text.parse::<f64>().ok());
    let tracks: Vec<Value> = probed["streams"].as_array()?.iter().map(stream).collect();
    Some(json!({
        "container_format": format["format_name"],
        "duration_seconds": duration,
        "tracks": tracks,
    }))
}

/// What ffprobe states as facts.
pub(super) fn ffprobe_facts(path: &Path) -> Option<Value> {
    let arguments = ["-v", "error", "-show_format", "-show_streams", "-show_chapters", "-of", "json", "-i"];
    run("ffprobe", &arguments, path).map(|probed| facts::of_ffprobe(&probed))
}

/// What mkvmerge states as facts.
pub(super) fn mkvmerge_facts(path: &Path) -> Option<Value> {
    run("mkvmerge", &["-J"], path).map(|probed| facts::of_mkvmerge(&probed))
}

fn stream(stream: &Value) -> Value {
    let known = ["video", "audio", "subtitle", "attachment"];
    let track_type = stream["codec_type"].as_str().filter(|kind| known.contains(kind)).unwrap_or("other");
    let only = |kind: &str, field: &str| {
        let value = &stream[field];
        if track_type == kind { value.clone() } else { Value::Null }
    };
    let disposition = |name: &str| stream["disposition"][name] == 1;
    let channels = only("audio", "channels");
    // A cover has no rate, and "0/0" is none.
    let is_cover = disposition("attached_pic");
    let rate = stream["r_frame_rate"].as_str().filter(|rate| *rate != "0/0" && !is_cover);
    let title = stream["tags"]["title"].as_str().filter(|title| !title.is_empty());
    json!({
        "track_type": track_type,
        "codec": stream["codec_name"].as_str().filter(|name| *name != "unknown"),
        "language": language(tag(stream, "language").unwrap_or("und")),
        "title": title,
        "is_default": disposition("default"),
        "is_forced": disposition("forced"),
        "channel_layout": layout(&channels),
        "channels": channels,
        "width": only("video", "width"),
        "height": only("video", "height"),
        "frame_rate": rate.filter(|_| track_type == "video"),
    })
}

/// A tag in any case: a file's own tags come in capitals.
fn tag<'a>(stream: &'a Value, name: &str) -> Option<&'a str> {
    let tags = stream["tags"].as_object()?;
    tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1.as_str()
}

/// mkvmerge's answer, without the fields that it names otherwise; `None` when it does not know the format.
pub(super) fn mkvmerge(path: &Path) -> Option<Value> {
    let probed = run("mkvmerge", &["-J"], path)?;
    if probed["container"]["type"] != "Matroska" {
        return None;
    }
    let tracks: Vec<Value> = probed["tracks"].as_array()?.iter().map(mkvmerge_track).collect();
    // It passes over tracks whose codec headers are missing, as in encrypted WebM.
    (!tracks.is_empty()).then(|| json!({ "tracks": tracks }))
}

fn mkvmerge_track(track: &Value) -> Value {
    let properties = &track["properties"];
    let track_type = match track["type"].as_str() {
        Some("subtitles") => "subtitle",
        Some(known) => known,
        None => "other",
    };
    let size = properties["pixel_dimensions"].as_str().and_then(|size| size.split_once('x'));
    let pixels = |side: Option<&str>| side.and_then(|side| side.parse::<u32>().ok());
    json!({
        "track_type": track_type,
        "language": language(properties["language"].as_str().unwrap_or("und")),
        "title": properties["track_name"],
        "is_default": properties["default_track"],
        "is_forced": properties["forced_track"],
        "channels": properties["audio_channels"],
        "width": pixels(size.map(|size| size.0)),
        "height": pixels(size.map(|size| size.1)),
    })
}

/// Our answer without the tracks that mkvmerge lists apart.
pub(super) fn without_attachments(file: &Value) -> Value {
    let is_track = |track: &&Value| {
        let is_cover = track["track_type"] == "video"
            && track["frame_rate"].is_null()
            && matches!(track["codec"].as_str(), Some("mjpeg" | "png" | "gif" | "tiff"));
        track["track_type"] != "attachment" && !is_cover
    };
    let tracks = file["tracks"].as_array().expect("tracks").iter();
    let mut file = file.clone();
    file["tracks"] = tracks.filter(is_track).cloned().collect();
    file
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Option<Value> {
    let output = Command::new(program).args(arguments).arg(path).output().expect("the program is installed");
    let probed: Value = serde_json::from_slice(&output.stdout).ok()?;
    output.status.success().then_some(probed)
}

/// ISO 639-2/B, for the codes in these files; a table of its own, to hold the product's against.
fn language(code: &str) -> String {
    let code = code.split('-').next().unwrap_or(code).to_ascii_lowercase();
    let known = [
        ("deu", "ger"),
        ("fra", "fre"),
        ("zho", "chi"),
        ("ces", "cze"),
        ("nld", "dut"),
        ("ell", "gre"),
        ("isl", "ice"),
        ("ron", "rum"),
        ("slk", "slo"),
        ("fas", "per"),
        ("en", "eng"),
        ("de", "ger"),
        ("fr", "fre"),
        ("ja", "jpn"),
        ("pt", "por"),
        ("zh", "chi"),
        ("es", "spa"),
        ("sr", "srp"),
    ];
    let found = known.iter().find(|(from, _)| *from == code).map(|(_, to)| (*to).to_owned());
    found.unwrap_or(if code.len() == 3 { code } else { "und".into() })
}

fn layout(channels: &Value) -> Value {
    match channels.as_u64() {
        None | Some(0) => Value::Null,
        Some(1) => "mono".into(),
        Some(2) => "stereo".into(),
        Some(4) => "quad".into(),
        Some(5) => "5.0".into(),
        Some(6) => "5.1".into(),
        Some(8) => "7.1".into(),
        Some(other) => format!("{other}ch").into(),
    }
}
