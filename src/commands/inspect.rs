//! `vpo inspect FILE`: prints the container, its tracks and the facts of both, as text or JSON.

mod find;

use std::ffi::CString;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::{EXIT_FAILURE, output};
use crate::base::error::at;
use crate::base::text::{Escaped, Text};
use crate::cli::InspectArgs;
use crate::library::files::facts::{Cut, ZERO_TAIL};
use crate::library::subtitles::{SEPARATOR, Subtitle};
use crate::media::{self, Facts, MediaInfo, Track, TrackFacts};
use crate::scan::hash::ContentHash;
use crate::scan::{discover, subtitle};

/// Runs `vpo inspect`. Reports a file that cannot be read, and continues with the next.
#[must_use]
pub(crate) fn run(args: &InspectArgs) -> ExitCode {
    let mut run = Run { json: args.json, is_first: true, code: ExitCode::SUCCESS, stop: None };
    for path in &args.files {
        let mut count = 0;
        find::each(Path::new(path), &mut |path, found| {
            count += 1;
            match found {
                _ if run.stop.is_some() => {}
                Ok(()) => run.file(path),
                Err(error) => run.complain(path, &unreadable(path, error)),
            }
        });
        if count == 0 {
            run.complain(Path::new(path), &"there is no video in this directory");
        }
    }
    run.stop.unwrap_or(run.code)
}

/// The state of one run.
struct Run {
    json: bool,
    is_first: bool,
    /// Failure once a file could not be read.
    code: ExitCode,
    /// The exit code, once no more can be printed.
    stop: Option<ExitCode>,
}

impl Run {
    fn file(&mut self, path: &Path) {
        let found = match inspect(path) {
            Ok(inspected) => inspected,
            Err(media::Error::Io(error)) => return self.complain(path, &unreadable(path, error)),
            Err(error) => return self.complain(path, &error),
        };
        let path = path.to_string_lossy();
        let printed = if self.json {
            print_json(&path, &found)
        } else {
            let mut text = Text::default();
            if !std::mem::take(&mut self.is_first) {
                text.end_line();
            }
            show(&mut text, &path, &found);
            output::print_part(&text)
        };
        self.stop = printed.break_value();
    }

    fn complain(&mut self, path: &Path, error: &dyn std::fmt::Display) {
        output::complain(&format_args!("{}: {error}", path.display()));
        self.code = ExitCode::from(EXIT_FAILURE);
    }
}

fn unreadable(path: &Path, error: io::Error) -> String {
    format!("cannot be read: {}", at(path, error))
}

/// What is found of one file.
struct Found {
    info: MediaInfo,
    /// Bytes.
    size: u64,
    /// It ends with [`ZERO_TAIL`] zeros.
    has_zero_tail: bool,
    subtitles: Vec<Subtitle<'static>>,
}

fn inspect(path: &Path) -> Result<Found, media::Error> {
    let file = media::open(path)?;
    let size = file.metadata()?.len();
    let info = media::measure_file(&file).0?;
    let has_zero_tail = ContentHash::from_file(&file, size).is_ok_and(ContentHash::has_zero_tail);
    Ok(Found { info, size, has_zero_tail, subtitles: subtitles(path).unwrap_or_default() })
}

/// The subtitle files beside a video, as scans find them.
fn subtitles(path: &Path) -> Option<Vec<Subtitle<'static>>> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (directory, name) = (File::open(parent).ok()?, path.file_name()?);
    let extensions: Vec<String> = media::extensions().map(str::to_owned).collect();
    let raw = CString::new(name.as_bytes()).ok()?;
    let names = discover::subtitles_of(directory.as_fd(), &raw, &extensions)?;
    let stored = crate::scan::name::encode(name.as_bytes());
    let describe = |name: &str| {
        let found = subtitle::describe(subtitle::stem(&stored), name);
        Subtitle { name: name.to_owned().into(), format: found.format.into_owned().into(), ..found }
    };
    Some(names.split(SEPARATOR).filter(|name| !name.is_empty()).map(describe).collect())
}

/// Prints one line. The keys and their order are a contract.
fn print_json(path: &str, found: &Found) -> ControlFlow<ExitCode> {
    #[derive(Serialize)]
    struct File<'a> {
        path: &'a str,
        size_bytes: u64,
        container_format: &'a str,
        duration_seconds: Option<f64>,
        tracks: Vec<Row<'a>>,
        #[serde(flatten)]
        facts: &'a Facts,
        zero_tail: Option<u64>,
        subtitles: &'a [Subtitle<'static>],
    }
    #[derive(Serialize)]
    struct Row<'a> {
        track_index: usize,
        track_type: &'a str,
        codec: Option<&'a str>,
        language: Option<&'a str>,
        title: Option<&'a str>,
        is_default: bool,
        is_forced: bool,
        channels: Option<u32>,
        channel_layout: Option<&'a str>,
        width: Option<u32>,
        height: Option<u32>,
        frame_rate: Option<&'a str>,
        #[serde(flatten)]
        facts: &'a TrackFacts,
    }
    impl<'a> Row<'a> {
        fn new((track_index, track): (usize, &'a Track)) -> Self {
            Self {
                track_index,
                track_type: track.track_type.as_str(),
                codec: track.codec.as_deref(),
                language: track.language.as_deref(),
                title: track.title.as_deref(),
                is_default: track.is_default,
                is_forced: track.is_forced,
                channels: track.channels,
                channel_layout: track.channel_layout.as_deref(),
                width: track.width,
                height: track.height,
                frame_rate: track.frame_rate.as_deref(),
                facts: &track.facts,
            }
        }
    }
    let Found { info, size, has_zero_tail, subtitles } = found;
    let file = File {
        path,
        size_bytes: *size,
        container_format: info.container_format,
        // Containers do not store more digits.
        duration_seconds: info.duration_seconds.map(|seconds| (seconds * 1e6).round() / 1e6),
        tracks: info.tracks.iter().enumerate().map(Row::new).collect(),
        facts: &info.facts,
        zero_tail: has_zero_tail.then_some(ZERO_TAIL),
        subtitles,
    };
    output::print_json_part(&file)
}

/// Appends a heading, and an aligned line for each track.
fn show(text: &mut Text, path: &str, Found { info, size, has_zero_tail, subtitles }: &Found) {
    text.push_line(path);
    let duration = info.duration_seconds.map(|seconds| format!(", {}", clock(seconds))).unwrap_or_default();
    text.push_line(format_args!("  {}, {}{duration}", info.container_format, bytes(*size)));
    let facts = &info.facts;
    match Cut::of(*size, *has_zero_tail, facts) {
        None | Some(Cut::Missing(0)) => {}
        Some(Cut::Missing(missing)) => {
            let (missing, stated) = (bytes(missing), bytes(size.saturating_add(missing)));
            text.push_line(format_args!("  warning: truncated, {missing} of {stated} are missing"));
        }
        Some(Cut::Zeros) => {
            let zeros = bytes(ZERO_TAIL);
            text.push_line(format_args!("  warning: truncated, ends with at least {zeros} of zeros"));
        }
    }
    if let Some(holes) = facts.hole_bytes.filter(|holes| *holes > 0) {
        let holes = bytes(holes);
        text.push_line(format_args!("  warning: {holes} in holes: not written, or left out by a copy"));
    }
    let title = facts.title.as_ref().map(|title| format!("\"{}\"", Escaped(title)));
    let chapters = facts.chapters.filter(|count| *count > 0).map(|count| format!("{count} chapters"));
    let start = facts.is_fast_start.map(|is_fast| if is_fast { "fast start" } else { "index at the end" });
    let about: Vec<String> = [title, chapters, start.map(str::to_owned)].into_iter().flatten().collect();
    if !about.is_empty() {
        text.push_line(format_args!("  {}", about.join(", ")));
    }
    let heading = ["#", "type", "codec", "lang", "details", "flags", "title"].map(str::to_owned);
    let rows: Vec<Vec<String>> =
        std::iter::once(heading).chain(info.tracks.iter().enumerate().map(cells)).map(Vec::from).collect();
    push_rows(text, &rows);
    for Subtitle { name, language, tag, is_forced, is_hearing_impaired, .. } in subtitles {
        let flags = [(*is_forced, ", forced"), (*is_hearing_impaired, ", hearing-impaired")];
        let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
        let language = tag.as_ref().unwrap_or(language);
        text.push_line(format_args!("  subtitle file: {name} ({language}{flags})"));
    }
}

/// Appends rows of escaped cells, the columns aligned.
fn push_rows(text: &mut Text, rows: &[Vec<String>]) {
    aligned(rows).for_each(|line| text.push_line(line));
}

/// Rows of escaped cells as lines, the columns aligned.
pub(super) fn aligned(rows: &[Vec<String>]) -> impl Iterator<Item = String> {
    let mut widths = vec![0; rows.first().map_or(0, Vec::len)];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    rows.iter().map(move |row| {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, " {cell}{:1$} ", "", width - cell.width());
        }
        line.truncate(line.trim_end().len());
        line
    })
}

fn cells((index, track): (usize, &Track)) -> [String; 7] {
    // Escaped before the width is measured.
    let escaped = |text: &str| Escaped(text).to_string();
    let or_dash = |text: Option<&str>| escaped(text.unwrap_or("-"));
    let facts = &track.facts;
    let size = track.width.zip(track.height).map(|(width, height)| format!("{width}x{height}"));
    let rate = track.frame_rate.as_ref().map(|rate| format!("{rate} fps"));
    let bits = facts.bit_depth.filter(|bits| *bits != 8).map(|bits| format!("{bits} bit"));
    let details: Vec<String> = [
        size,
        rate,
        track.channel_layout.clone(),
        level(facts),
        bits,
        hdr(facts),
        facts.sample_rate.map(|rate| format!("{} kHz", f64::from(rate) / 1000.0)),
        facts.bit_rate.map(|rate| match rate {
            ..1000 => format!("{rate} b/s"),
            _ => format!("{} kb/s", rate / 1000),
        }),
        facts.mime_type.clone().filter(|_| facts.is_attached_picture.is_none()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let flags: Vec<&str> = [
        (track.is_default, "default"),
        (track.is_forced, "forced"),
        (facts.is_hearing_impaired == Some(true), "hearing-impaired"),
        (facts.is_visual_impaired == Some(true), "visual-impaired"),
        (facts.is_commentary == Some(true), "commentary"),
        (facts.is_original == Some(true), "original"),
        (facts.is_enabled == Some(false), "disabled"),
        (facts.is_attached_picture == Some(true), "cover"),
    ]
    .into_iter()
    .filter_map(|(is_set, name)| is_set.then_some(name))
    .collect();
    let title = [&track.title, &facts.name, &facts.file_name].into_iter().flatten().next();
    [
        index.to_string(),
        track.track_type.as_str().to_owned(),
        or_dash(track.codec.as_deref()),
        or_dash(facts.language_tag.as_deref().filter(|tag| tag.contains('-')).or(track.language.as_deref())),
        escaped(&details.join(" ")),
        flags.join(","),
        title.map(|title| escaped(title)).unwrap_or_default(),
    ]
}

/// `Main 10@5.1`, and what the codec's name leaves open.
fn level(facts: &TrackFacts) -> Option<String> {
    // Profiles without a name say nothing.
    let Some(profile) = facts.profile.as_deref().filter(|profile| profile.len() > 1) else {
        return facts.codec_detail.map(str::to_owned);
    };
    Some(match (&facts.level, facts.codec_detail) {
        (Some(level), _) => format!("{profile}@{level}"),
        (None, Some(detail)) if detail != profile => format!("{profile} {detail}"),
        _ => profile.to_owned(),
    })
}

/// `hdr10`, `dolby_vision 8.1`.
fn hdr(facts: &TrackFacts) -> Option<String> {
    let format = facts.hdr_format.filter(|format| *format != "sdr")?;
    Some([Some(format), facts.dolby_vision.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// `4.7 GB`, in powers of 1000 as in file managers.
pub(super) fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if size < 1000 {
        return format!("{size} bytes");
    }
    let (mut tenths, mut unit) = (size / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `1:32:05.250`.
fn clock(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is positive")]
    let milliseconds = (seconds * 1000.0).round() as u64;
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}.{milliseconds:03}")
    } else {
        format!("{minutes}:{seconds:02}.{milliseconds:03}")
    }
}
