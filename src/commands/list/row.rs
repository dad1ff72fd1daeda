//! A file as a row of the table.

use crate::base::text::Escaped;
use crate::commands::inspect::bytes;
use crate::commands::output::Style;
use crate::library::files::listing::{Details, Track};
use crate::library::subtitles::Subtitle;

/// Most tracks of a type that a row names.
const SHOWN: usize = 3;

/// The heading of the table.
pub(super) fn heading() -> Vec<String> {
    ["size", "video", "audio", "subtitles", "path"].map(str::to_owned).into()
}

/// The cells of a file, escaped.
pub(super) fn cells(details: &Details) -> Vec<String> {
    let file = &details.file;
    let of_type = |track_type: &str, short: fn(&Track) -> String, beside: &[Subtitle<'_>]| {
        let tracks = details.tracks.iter().filter(|track| track.track_type == track_type);
        let all: Vec<String> = tracks.map(short).chain(beside.iter().map(subtitle_file)).collect();
        let mut names: Vec<String> = all.iter().take(SHOWN).map(|name| Escaped(name).to_string()).collect();
        if all.len() > SHOWN {
            names.push(format!("+{}", all.len() - SHOWN));
        }
        if names.is_empty() { "-".to_owned() } else { names.join(", ") }
    };
    let video = match file.scan_status.as_str() {
        "ok" if details.file.is_truncated() == Some(true) => {
            format!("{}, truncated", of_type("video", video, &[]))
        }
        "ok" => of_type("video", video, &[]),
        status => Escaped(status).to_string(),
    };
    vec![
        bytes(u64::try_from(file.size_bytes).unwrap_or_default()),
        video,
        of_type("audio", audio, &[]),
        of_type("subtitle", subtitle, &details.subtitles),
        Escaped(&file.path).to_string(),
    ]
}

/// How the row of a file is shown.
pub(super) fn style(details: &Details) -> Style {
    match details.file.scan_status.as_str() {
        "error" => Style::Bad,
        "missing" => Style::Doubtful,
        _ if details.file.is_truncated() == Some(true) => Style::Doubtful,
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

/// `eng srt`, or `eng forced srt`
fn subtitle_file(file: &Subtitle<'_>) -> String {
    let forced = file.is_forced.then(|| "forced".to_owned());
    joined([Some(file.language.clone()), forced, Some(file.format.clone().into_owned())])
}

fn joined<const N: usize>(parts: [Option<String>; N]) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "?".to_owned() } else { parts.join(" ") }
}
