//! Subtitle files beside the films, and what the database must say of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::films::{Films, Tree, UNREADABLE};
use super::plan::Rng;

/// Names that follow that of a film, some in a folder.
const ENDINGS: [&str; 4] = [".srt", ".en.srt", ".de.forced.ass", ".hi.vtt"];

impl Films {
    /// A new subtitle file beside a film, or one less.
    pub(super) fn change_subtitles(&mut self, rng: &mut Rng) {
        let Some(film) = self.some(rng) else { return };
        let directory = film.parent().expect("has one");
        let stem = film.file_stem().expect("a name").to_str().expect("UTF-8");
        let name = format!("{stem}{}", rng.pick(&ENDINGS));
        let path = if rng.one_in(3) { directory.join("Subs").join(name) } else { directory.join(name) };
        if path.exists() {
            return fs::remove_file(path).expect("removed");
        }
        fs::create_dir_all(path.parent().expect("has one")).expect("a directory");
        fs::write(path, "text").expect("written");
    }
}

/// The subtitle files of the films of the tree that can be read: path of the film, and relative name.
fn on_disk(tree: &Tree) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for path in tree.iter().filter(|(_, film)| **film != UNREADABLE).map(|(path, _)| Path::new(path)) {
        let stem = path.file_stem().expect("a name").to_str().expect("UTF-8");
        let directory = path.parent().expect("has one");
        for (place, before) in [(directory.to_owned(), ""), (directory.join("Subs"), "Subs/")] {
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if ENDINGS.iter().any(|ending| name == format!("{stem}{ending}")) {
                    found.insert((path.to_str().expect("UTF-8").to_owned(), format!("{before}{name}")));
                }
            }
        }
    }
    found
}

/// Compares the table with the disk.
pub(super) fn check(connection: &Connection, tree: &Tree) -> Result<(), String> {
    let read = || -> rusqlite::Result<BTreeSet<(String, String)>> {
        let sql = "SELECT path, name FROM daemon_subtitles JOIN files ON files.id = file_id";
        connection.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    // No table: no subtitle file was recorded yet.
    let recorded = read().unwrap_or_default();
    // A file in a folder that begins with the name of no film may be the only film's.
    let is_known = |(path, name): &(String, String)| {
        let stem = Path::new(path).file_stem().expect("a name").to_str().expect("UTF-8");
        let is_readable = tree.get(path).is_some_and(|film| *film != UNREADABLE);
        is_readable && name.rsplit('/').next().is_some_and(|name| name.starts_with(&format!("{stem}.")))
    };
    let (recorded, found) = (recorded.into_iter().filter(is_known).collect::<BTreeSet<_>>(), on_disk(tree));
    let wrong: Vec<_> = recorded.symmetric_difference(&found).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("subtitle files differ: {wrong:?}")) }
}
