//! Cut copies of the files that are made here and of real ones: which cuts are found.

use std::collections::BTreeMap;
use std::io::Cursor;

use vpo::media;

use super::corpus::{self, Recipe};
use super::{avi, matroska, mp4};

const COPIES: usize = 1_000;

/// What a probe says about bytes that are missing.
fn missing(bytes: &[u8]) -> Result<Option<u64>, media::Error> {
    match media::probe(Cursor::new(bytes)) {
        Ok(info) => Ok(info.facts.missing_bytes),
        Err(error) => error.missing_bytes().map(Some).ok_or(error),
    }
}

#[test]
#[ignore = "needs ffmpeg and mkvtoolnix: cuts the files that they made, and real ones"]
fn cuts_are_found_where_the_container_states_a_length() {
    let recipes: Vec<Recipe> = matroska::recipes().chain(avi::recipes()).chain(mp4::recipes()).collect();
    let mut paths = corpus::make(&recipes);
    paths.extend(corpus::real());
    let (mut stated, mut others, mut alarms) = (Vec::new(), Vec::new(), Vec::new());
    for path in &paths {
        let bytes = std::fs::read(path).expect("a file");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        match missing(&bytes) {
            Ok(Some(0)) => stated.push((name, bytes)),
            Ok(None) => others.push((name, bytes)),
            Ok(Some(bytes)) => alarms.push(format!("{name}: {bytes}")),
            // Not a video, or one that is refused.
            Err(_) => {}
        }
    }
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut of_others = 0;
    let (mut counts, mut silent) = (BTreeMap::<&str, u32>::new(), Vec::new());
    for (copy, (name, bytes)) in stated.iter().chain(&others).cycle().take(COPIES).enumerate() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // 5 to 95 % are kept.
        let share = usize::try_from(50 + (random >> 33) % 901).expect("small");
        let kept = bytes.len() * share / 1_000;
        let is_stated = copy % (stated.len() + others.len()) < stated.len();
        of_others += u32::from(!is_stated);
        let found = match missing(&bytes[..kept]) {
            Ok(Some(1..)) => "found",
            Err(_) => "not readable",
            Ok(_) => {
                silent.push(format!("{name}: {kept} of {}, stated: {is_stated}", bytes.len()));
                if is_stated { "not found although stated" } else { "not found" }
            }
        };
        *counts.entry(found).or_default() += 1;
    }
    println!("{} files state a length, {} do not: {counts:?}", stated.len(), others.len());
    println!("{}\nuncut files with missing bytes: {alarms:?}", silent.join("\n"));
    let is_known = |alarm: &String| CUT.iter().any(|name| alarm.starts_with(name));
    assert!(alarms.iter().all(is_known), "{alarms:?}");
    assert_eq!(counts.get("not found although stated"), None, "{silent:#?}");
    assert!(counts.get("not found").unwrap_or(&0) * 2 <= of_others, "{counts:?} of {of_others}");
    assert!(stated.len() >= 40, "{} files", stated.len());
}

/// Files that are made cut, or published as beginnings of videos; and one whose media data states 8 bytes too many.
const CUT: [&str; 7] = [
    "truncated.mkv:",
    "truncated.avi:",
    "headers-only.mkv:",
    "Matroska.mkv:",
    "Pentax.avi:",
    "RIFF.avi:",
    "sample_mdat_too_long.mp4:",
];
