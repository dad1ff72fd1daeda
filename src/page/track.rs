//! Tracks and subtitle files in words.

use super::format::rate;
use crate::base::text::cut;
use crate::library::files::listing::{Details, Track};
use crate::library::files::statistics::resolution;

/// Most tracks of a type that a row of the list names.
const TRACKS: usize = 4;

/// Bytes of their descriptions together.
const LONGEST: usize = 1000;

/// The video tracks of a file, for a row of the list: `hevc 2160p HDR10`.
pub(super) fn pictures(details: &Details) -> String {
    short(
        of_type(details, "video").filter(|track| track.facts.is_attached_picture != Some(true)).map(picture),
    )
}

/// The audio tracks of a file: `eng 5.1, ger stereo commentary`.
pub(super) fn sounds(details: &Details) -> String {
    short(of_type(details, "audio").map(sound))
}

/// The subtitle tracks of a file, and the subtitle files beside it with their format: `eng, ger forced, fre (srt)`.
pub(super) fn texts(details: &Details) -> String {
    let tracks = of_type(details, "subtitle").map(|track| {
        let is_for_deaf = track.facts.is_hearing_impaired == Some(true);
        text(track.language.as_deref(), track.is_forced, is_for_deaf)
    });
    let files = details.subtitles.iter().map(|file| {
        let text = text(Some(&file.language), file.is_forced, file.is_hearing_impaired);
        format!("{text} ({})", file.format)
    });
    short(tracks.chain(files))
}

fn of_type<'a>(details: &'a Details, track_type: &'a str) -> impl Iterator<Item = &'a Track> {
    details.tracks.iter().filter(move |track| track.track_type == track_type)
}

/// Each description once, the first few.
fn short(descriptions: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for one in descriptions {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    let more = all.len().saturating_sub(TRACKS);
    all.truncate(TRACKS);
    if more > 0 {
        all.push(format!("+{more}"));
    }
    let mut text = all.join(", ");
    cut(&mut text, LONGEST);
    text
}

/// A dynamic range in words.
pub(super) fn hdr(format: &str) -> &str {
    match format {
        "sdr" => "SDR",
        "pq" => "PQ",
        "hdr10" => "HDR10",
        "hdr10+" => "HDR10+",
        "hlg" => "HLG",
        "dolby_vision" => "Dolby Vision",
        other => other,
    }
}

fn picture(track: &Track) -> String {
    let class = track.width.zip(track.height).map(|(width, height)| resolution(width, height));
    let hdr = track.facts.hdr_format.as_deref().map(hdr).filter(|hdr| *hdr != "SDR");
    joined(&[track.codec.as_deref(), class, hdr])
}

fn sound(track: &Track) -> String {
    joined(&[
        track.language.as_deref(),
        track.channel_layout.as_deref(),
        track.facts.codec_detail.as_deref(),
        is_commentary(track).then_some("commentary"),
    ])
}

fn text(language: Option<&str>, is_forced: bool, is_for_deaf: bool) -> String {
    let language = Some(language.unwrap_or("und"));
    joined(&[language, is_forced.then_some("forced"), is_for_deaf.then_some("hearing-impaired")])
}

/// Whether a track is a commentary, by its flag or its title.
fn is_commentary(track: &Track) -> bool {
    let title = || track.title.as_deref().is_some_and(|title| title.to_lowercase().contains("commentary"));
    track.facts.is_commentary.unwrap_or_default() || title()
}

/// `3840 × 2160, 24 fps`, `5.1`
pub(super) fn measures(track: &Track) -> String {
    let facts = &track.facts;
    let numbered = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
    let is_bare = |profile: &String| profile.bytes().all(|byte| byte.is_ascii_digit());
    let profile = facts.profile.clone();
    let colours = [&facts.color_primaries, &facts.color_transfer, &facts.color_matrix, &facts.color_range];
    let mut colours: Vec<&str> = colours.into_iter().flatten().map(String::as_str).collect();
    colours.dedup();
    let parts = [
        track.width.zip(track.height).map(|(width, height)| format!("{width} × {height}")),
        track.frame_rate.as_deref().map(|rate| format!("{} fps", frames(rate))),
        facts.hdr_format.as_deref().map(|format| hdr(format).to_owned()),
        numbered("Dolby Vision profile", &facts.dolby_vision),
        facts.bit_depth.map(|bits| format!("{bits} bit")),
        profile.map(|profile| if is_bare(&profile) { format!("profile {profile}") } else { profile }),
        numbered("level", &facts.level),
        facts.pixel_format.clone(),
        (!colours.is_empty()).then(|| format!("colour {}", colours.join(" "))),
        numbered("field order", &facts.field_order),
        track.channel_layout.clone(),
        facts.codec_detail.clone(),
        facts.sample_rate.map(|rate| format!("{rate} Hz")),
        facts.bit_rate.filter(|bits| *bits > 0).map(rate),
        facts.file_name.clone(),
        facts.mime_type.clone(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What a track is marked as.
pub(super) fn marks(track: &Track) -> impl Iterator<Item = &'static str> {
    let facts = &track.facts;
    let marks = [
        (track.is_default, "default"),
        (track.is_forced, "forced"),
        (is_commentary(track), "commentary"),
        (facts.is_original == Some(true), "original language"),
        (facts.is_hearing_impaired == Some(true), "hearing-impaired"),
        (facts.is_visual_impaired == Some(true), "visually impaired"),
        (facts.is_attached_picture == Some(true), "cover"),
        (facts.is_enabled == Some(false), "disabled"),
    ];
    marks.into_iter().filter_map(|(is_so, mark)| is_so.then_some(mark))
}

/// `por`, or `por, pt-BR` where the tag says more.
pub(super) fn language(language: Option<&str>, tag: Option<&str>) -> String {
    match (language, tag) {
        (Some(language), Some(tag)) if tag.contains('-') => format!("{language}, {tag}"),
        (one, other) => one.or(other).unwrap_or("–").to_owned(),
    }
}

/// `24000/1001` as `23.976`.
fn frames(rate: &str) -> String {
    let number = |part: &str| part.parse::<f64>().ok();
    let parts = rate.split_once('/').and_then(|(above, below)| number(above).zip(number(below)));
    match parts {
        Some((above, below)) if below > 0.0 => {
            let text = format!("{:.3}", above / below);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => rate.to_owned(),
    }
}

fn joined(parts: &[Option<&str>]) -> String {
    let parts: Vec<&str> = parts.iter().copied().flatten().collect();
    if parts.is_empty() { "?".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_are_decimal() {
        for (rate, shown) in
            [("24000/1001", "23.976"), ("25/1", "25"), ("0/0", "0/0"), ("100/1", "100"), ("x", "x")]
        {
            assert_eq!(frames(rate), shown);
        }
    }
}
