//! The facts of `vpo inspect` against what ffprobe and mkvmerge state.
//!
//! A fact that they do not state is not compared; one that they state and VPO does not is a difference.

use std::path::Path;

use serde_json::{Value, json};

use super::Table;

/// Codecs of video that state profile, format and colour in frames only, of which VPO reads none (docs/probing.md).
const IN_FRAMES: [&str; 22] = [
    "cfhd", "dirac", "dnxhd", "dvvideo", "ffv1", "gif", "hap", "huffyuv", "jpeg2000", "magicyuv", "mjpeg",
    "png", "qtrle", "rawvideo", "rpza", "smc", "snow", "theora", "tiff", "utvideo", "vp8", "bmp",
];

/// Facts that a codec of [`IN_FRAMES`] does not state.
#[rustfmt::skip]
const OF_PICTURE: [&str; 10] = [
    "profile", "level", "pixel_format", "bit_depth", "color_primaries", "color_transfer", "color_matrix", "color_range",
    "hdr_format", "field_order",
];

/// The facts of a track that are compared with ffprobe's, in the order of the table.
pub(super) const OF_FFPROBE: [&str; 20] = [
    "title",
    "chapters",
    "profile",
    "level",
    "bit_depth",
    "pixel_format",
    "color_primaries",
    "color_transfer",
    "color_matrix",
    "color_range",
    "hdr_format",
    "dolby_vision",
    "field_order",
    "sample_rate",
    "is_hearing_impaired",
    "is_visual_impaired",
    "is_commentary",
    "is_original",
    "file_name",
    "mime_type",
];

/// As [`OF_FFPROBE`], with mkvmerge's.
pub(super) const OF_MKVMERGE: [&str; 9] = [
    "language_tag",
    "bit_rate",
    "duration_seconds",
    "sample_rate",
    "is_hearing_impaired",
    "is_visual_impaired",
    "is_commentary",
    "is_original",
    "is_enabled",
];

/// Compares what `truth` states: the facts of the file beside those of its tracks.
pub(super) fn compare(table: &mut Table, path: &Path, family: &'static str, truth: &Value, ours: &Value) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut one = |place: &str, truth: &Value, ours: &Value| {
        let stated = truth.as_object().into_iter().flatten().filter(|(fact, _)| *fact != "tracks");
        for (fact, truth) in stated.filter(|(_, truth)| !truth.is_null()) {
            let found = &ours[fact.as_str()];
            table.note(family, fact, is_equal(truth, found), || {
                format!("{name}:{place} {fact}: {truth}, vpo: {found}")
            });
        }
    };
    one("", truth, ours);
    let tracks = ours["tracks"].as_array().into_iter().flatten();
    for (index, (truth, ours)) in truth["tracks"].as_array().into_iter().flatten().zip(tracks).enumerate() {
        one(&format!(" track {index}:"), truth, ours);
    }
}

/// Rates and durations within 2 in a hundred, for the clocks of containers differ.
fn is_equal(truth: &Value, found: &Value) -> bool {
    match (truth.as_f64(), found.as_f64()) {
        (Some(truth), Some(found)) => (truth - found).abs() <= truth.abs() * 0.02,
        _ => truth == found,
    }
}

/// What ffprobe's answer states, in VPO's names.
pub(super) fn of_ffprobe(probed: &Value) -> Value {
    let format = probed["format"]["format_name"].as_str().unwrap_or_default();
    let streams = probed["streams"].as_array().into_iter().flatten();
    json!({
        "title": tag(&probed["format"], "title"),
        "chapters": probed["chapters"].as_array().filter(|_| format != "avi").map(Vec::len),
        "tracks": streams.map(|stream| stream_facts(stream, format)).collect::<Vec<_>>(),
    })
}

fn stream_facts(stream: &Value, format: &str) -> Value {
    let kind = stream["codec_type"].as_str().unwrap_or_default();
    let codec = stream["codec_name"].as_str().unwrap_or_default();
    let word = |field: &str| stream[field].as_str().filter(|word| *word != "unknown" && *word != "reserved");
    let number =
        |field: &str| word(field).and_then(|word| word.parse::<u64>().ok()).filter(|number| *number > 0);
    let is_cover = stream["disposition"]["attached_pic"] == 1;
    let flag = |name: &str| {
        let is_flagged = matches!(kind, "video" | "audio" | "subtitle") && !is_cover && format != "avi";
        is_flagged.then(|| stream["disposition"][name] == 1)
    };
    let (video, is_file) = (kind == "video", kind == "attachment" || is_cover);
    let side_data = |name: &str| {
        let all = stream["side_data_list"].as_array().into_iter().flatten();
        all.filter_map(|data| data["side_data_type"].as_str().map(|kind| (kind, data)))
            .find(|(kind, _)| kind.starts_with(name))
            .map(|(_, data)| data)
    };
    let vision = side_data("DOVI");
    let hdr = match word("color_transfer") {
        _ if vision.is_some() => Some("dolby_vision"),
        Some("smpte2084") if side_data("Mastering").or_else(|| side_data("Content light")).is_some() => {
            Some("hdr10")
        }
        Some("smpte2084") => None, // metadata may be in frames
        Some("arib-std-b67") => Some("hlg"),
        stated => stated.map(|_| "sdr"),
    };
    let mut facts = json!({
        "profile": word("profile"),
        "level": stream["level"].as_i64().filter(|_| video).and_then(|level| level_name(codec, level)),
        "bit_depth": number("bits_per_raw_sample").or_else(|| stream["bits_per_sample"].as_u64().filter(|bits| *bits > 0)),
        "pixel_format": word("pix_fmt"),
        "color_primaries": word("color_primaries"),
        "color_transfer": word("color_transfer"),
        "color_matrix": word("color_space"),
        "color_range": word("color_range"),
        "hdr_format": hdr,
        "dolby_vision": vision.map(|data| format!("{}.{}", data["dv_profile"], data["dv_bl_signal_compatibility_id"])),
        "field_order": word("field_order").filter(|_| video),
        "sample_rate": number("sample_rate"),
        "is_hearing_impaired": flag("hearing_impaired"),
        "is_visual_impaired": flag("visual_impaired"),
        "is_commentary": flag("comment"),
        // MP4 cannot state it.
        "is_original": flag("original").filter(|_| format.starts_with("matroska")),
        "file_name": tag(stream, "filename").filter(|_| is_file),
        "mime_type": tag(stream, "mimetype").filter(|_| is_file),
    });
    if IN_FRAMES.contains(&codec) {
        for fact in OF_PICTURE {
            facts[fact] = Value::Null;
        }
    }
    facts
}

/// As people write the number that ffprobe reports.
fn level_name(codec: &str, level: i64) -> Option<String> {
    let tenths = |tenths: i64| format!("{}.{}", tenths / 10, tenths % 10);
    match codec {
        _ if level <= 0 => None,
        "h264" | "vp9" => Some(tenths(level)),
        "hevc" => Some(tenths(level / 3)),
        "av1" => Some(tenths((2 + level / 4) * 10 + level % 4)),
        "mpeg2video" => {
            let names = [(4, "High"), (5, "Main"), (6, "High 1440"), (8, "Main"), (10, "Low")];
            names.iter().find(|(number, _)| *number == level).map(|(_, name)| (*name).to_owned())
        }
        "mpeg4" => Some(level.to_string()),
        _ => None,
    }
}

fn tag<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    let tags = of["tags"].as_object()?;
    tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1.as_str().filter(|text| !text.is_empty())
}

/// What mkvmerge's answer states, in VPO's names.
pub(super) fn of_mkvmerge(probed: &Value) -> Value {
    let chapters = probed["chapters"].as_array().into_iter().flatten();
    let tracks = probed["tracks"].as_array().into_iter().flatten().map(|track| {
        let stated = &track["properties"];
        let flag = |name: &str| stated[name].as_bool().unwrap_or(false);
        let is_film = matches!(track["type"].as_str(), Some("video" | "audio"));
        json!({
            "language_tag": stated["language_ietf"].as_str().filter(|tag| *tag != "und"),
            "bit_rate": stated["tag_bps"].as_str().and_then(|rate| rate.parse::<u64>().ok()),
            "duration_seconds": stated["tag_duration"].as_str().and_then(seconds),
            // Of HE-AAC that of the core.
            "sample_rate": stated["audio_sampling_frequency"].as_u64().filter(|_| is_film),
            "is_hearing_impaired": flag("flag_hearing_impaired"),
            "is_visual_impaired": flag("flag_visual_impaired"),
            "is_commentary": flag("flag_commentary"),
            "is_original": flag("flag_original"),
            "is_enabled": stated["enabled_track"],
        })
    });
    json!({
        "title": probed["container"]["properties"]["title"],
        "chapters": chapters.map(|edition| edition["num_entries"].as_u64().unwrap_or(0)).next(),
        "tracks": tracks.collect::<Vec<_>>(),
    })
}

fn seconds(text: &str) -> Option<f64> {
    let parts: Vec<f64> = text.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(parts.iter().fold(0.0, |sum, part| sum * 60.0 + part))
}
