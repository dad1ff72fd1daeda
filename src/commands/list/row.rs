//! A file as a row of the table.

use crate::base::text::Escaped;
use crate::commands::inspect::bytes;
use crate::commands::output::Style;
use crate::library::files::listing::{Details, Track};

/// Most tracks of a type that a row names.
const SHOWN: usize = 3;

/// The heading of the table.
pub(super) fn heading() -> Vec<String> {
    ["size", "video", "audio", "subtitles", "path"].map(str::to_owned).into()
}

/// The cells of a file, escaped.
pub(super) fn cells(details: &Details) -> Vec<String> {
    let file = &details.file;
    let of_type = |track_type: &str, short: fn(&Track) -> String| {
        let tracks: Vec<&Track> =
            details.tracks.iter().filter(|track| track.track_type == track_type).collect();
        let mut names: Vec<String> =
            tracks.iter().take(SHOWN).map(|track| Escaped(short(track)).to_string()).collect();
        if tracks.len() > SHOWN {
            names.push(format!("+{}", tracks.len() - SHOWN));
        }
        if names.is_empty() { "-".to_owned() } else { names.join(", ") }
    };
    let video = match file.scan_status.as_str() {
        "ok" => of_type("video", video),
        status => Escaped(status).to_string(),
    };
    vec![
        bytes(u64::try_from(file.size_bytes).unwrap_or_default()),
        video,
        of_type("audio", audio),
        of_type("subtitle", subtitle),
        Escaped(&file.path).to_string(),
    ]
}

/// How the row of a file is shown.
pub(super) fn style(details: &Details) -> Style {
    match details.file.scan_status.as_str() {
        "error" => Style::Bad,
        "missing" => Style::Doubtful,
        _ if details.file.facts.missing_bytes.is_some_and(|bytes| bytes > 0) => Style::Doubtful,
        _ => Style::Plain,
    }
}

/// `hevc 3840x2160`, or `hevc 3840x2160 hdr10`
fn video(track: &Track) -> String {
    let size = track.width.zip(track.height).map(|(width, height)| format!("{width}x{height}"));
    let hdr = track.facts.hdr_format.clone().filter(|format| format != "sdr");
    joined([track.codec.clone(), size, hdr])
}

/// `eac3 5.1 ger`
fn audio(track: &Track) -> String {
    joined([track.codec.clone(), track.channel_layout.clone(), track.language.clone()])
}

/// `eng`, or `eng forced`
fn subtitle(track: &Track) -> String {
    let language = track.language.clone().unwrap_or_else(|| "und".to_owned());
    joined([Some(language), track.is_forced.then(|| "forced".to_owned())])
}

fn joined<const N: usize>(parts: [Option<String>; N]) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "?".to_owned() } else { parts.join(" ") }
}
