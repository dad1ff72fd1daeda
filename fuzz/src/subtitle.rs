//! Names of subtitle files: each is assigned to videos of the directory or counted, and what it says is short.

use std::collections::BTreeSet;

use vpo::scan::subtitle::{assign, describe, stem};

/// Assigns files to videos. Lines that begin with `+` name videos, the others files.
pub fn check(lines: &str) {
    let (videos, names): (Vec<_>, Vec<_>) = lines.lines().partition(|line| line.starts_with('+'));
    let videos: Vec<_> = videos.iter().map(|line| stem(&line[1..])).collect();
    let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
    let assignment = assign(&videos, &names);
    let pairs: BTreeSet<_> = assignment.pairs.iter().collect();
    assert_eq!(pairs.len(), assignment.pairs.len(), "a file belongs to a video twice");
    let assigned: BTreeSet<_> = pairs.iter().map(|(_, name)| name).collect();
    assert!(assigned.len() as u64 + assignment.unmatched <= names.len() as u64);
    for (video, name) in &assignment.pairs {
        let subtitle = describe(videos[*video], &names[*name]);
        assert_eq!(subtitle.name, names[*name]);
        assert_eq!(subtitle.language.len(), 3, "{}", subtitle.language);
        assert!(subtitle.tag.is_none_or(|tag| tag.len() <= 35 && tag.is_ascii()));
    }
}
