use super::*;

/// One line of `names.txt`.
fn judge(line: &str) -> Result<(), String> {
    let columns: Vec<_> = line.split('|').map(str::trim).collect();
    let [videos, names, expected @ ..] = &columns[..] else { return Err("too few columns".to_owned()) };
    let videos: Vec<_> = videos.split('/').collect();
    let mut names: Vec<_> = names.split(" + ").map(str::to_owned).collect();
    names.sort_unstable();
    let assignment = assign(&videos, &names);
    let owners: Vec<_> = assignment.pairs.iter().map(|(video, _)| videos[*video]).collect();
    let found = match assignment.pairs.first() {
        None if assignment.unmatched == 1 => ["-", "", "", "", ""].map(str::to_owned),
        None => return Err(format!("{assignment:?}")),
        Some((video, name)) => {
            let Subtitle { language, tag, is_forced, is_hearing_impaired, format, .. } =
                describe(videos[*video], &names[*name]);
            let flags = [("forced", is_forced), ("hi", is_hearing_impaired)];
            let flags: Vec<_> = flags.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
            let flags = if flags.is_empty() { "-".to_owned() } else { flags.join(" ") };
            [owners.join("/"), language, tag.unwrap_or_else(|| "-".to_owned()), flags, format.into_owned()]
        }
    };
    if found[..] == expected[..5] { Ok(()) } else { Err(format!("{found:?}")) }
}

#[test]
fn names_mean_what_the_conventions_say() {
    let lines = include_str!("names.txt").lines().filter(|line| !line.starts_with('#'));
    let (count, wrong) = lines.fold((0, Vec::new()), |(count, mut wrong), line| {
        wrong.extend(judge(line).err().map(|found| format!("{line}\n    {found}")));
        (count + 1, wrong)
    });
    assert!(count >= 120, "{count} names");
    assert!(wrong.is_empty(), "{} of {count} names:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn videos_of_one_stem_share_their_subtitle_files() {
    let names = ["Film.en.srt", "Subs/de.srt", "x.srt"].map(str::to_owned);
    let assignment = assign(&["Film", "film"], &names);
    assert_eq!(assignment, Assignment { pairs: vec![(0, 0), (1, 0), (0, 1), (1, 1)], unmatched: 1 });
    assert_eq!(assign(&[], &names), Assignment { pairs: Vec::new(), unmatched: 3 });
}
