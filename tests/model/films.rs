//! The tree of films, and what the model knows of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::hostile::{Hostile, Place};
use super::plan::Rng;
use crate::harness::video;

/// Films that are never changed, moved or deleted: with them no step looks like a share that is gone.
const STABLE: u32 = 40;

/// Most of the others.
const MOST: usize = 16;

/// A time long ago, in seconds since 1970: the daemon does not read what was written just now.
const LONG_AGO: u64 = 1_600_000_000;

/// Size and mtime (in whole seconds) of each film, by its path.
pub(super) type Tree = BTreeMap<String, (i64, i64)>;

/// In place of them: the film cannot be read, and its row says so.
pub(super) const UNREADABLE: (i64, i64) = (-1, -1);

/// The films below a root.
pub(super) struct Films {
    pub(super) root: PathBuf,
    pub(super) tree: Tree,
    pub(super) next: u64,
    /// Hostile files: see [`Films::hostile`].
    pub(super) places: BTreeMap<Hostile, Place>,
}

impl Films {
    /// A root with its stable films and some others.
    pub(super) fn new(root: PathBuf, rng: &mut Rng) -> Self {
        let mut films = Self { root, tree: Tree::new(), next: 0, places: BTreeMap::new() };
        for number in 0..STABLE {
            films.write(&films.root.join(format!("stable/{number:02}.mkv")), rng);
        }
        for _ in 0..8 {
            films.add(rng);
        }
        films
    }

    fn write(&mut self, path: &Path, rng: &mut Rng) {
        self.next += 1;
        let title = format!("{} {}", self.next, "x".repeat(usize::try_from(rng.below(200)).expect("small")));
        fs::create_dir_all(path.parent().expect("has one")).expect("a directory");
        // Under a hidden name first: what the watch sees is a film that is whole, and old.
        let hidden = path.with_file_name(".new");
        fs::write(&hidden, video::matroska(&title, &["eng"])).expect("written");
        let size = i64::try_from(fs::metadata(&hidden).expect("there").len()).expect("small");
        let time = touch(&hidden, rng);
        fs::rename(&hidden, path).expect("renamed");
        self.tree.insert(key(path), (size, time));
    }

    /// A new film; over the most, in the place of another.
    pub(super) fn add(&mut self, rng: &mut Rng) {
        if self.loose().len() >= MOST {
            return self.change(rng);
        }
        let path = self.root.join(format!("d{}/{}.mkv", rng.below(4), self.next));
        self.write(&path, rng);
    }

    /// Another content for one of them.
    pub(super) fn change(&mut self, rng: &mut Rng) {
        if let Some(path) = self.some(rng) {
            self.write(&path, rng);
        }
    }

    /// Another mtime for one of them.
    pub(super) fn touch(&mut self, rng: &mut Rng) {
        if let Some(path) = self.some(rng) {
            self.touch_one(&path, rng);
        }
    }

    /// Another mtime for half of all, the stable ones too.
    pub(super) fn touch_many(&mut self, rng: &mut Rng) {
        let hostile = self.root.join("hostile");
        for path in self
            .tree
            .keys()
            .filter(|path| !Path::new(path).starts_with(&hostile))
            .cloned()
            .collect::<Vec<_>>()
        {
            if rng.one_in(2) {
                self.touch_one(Path::new(&path), rng);
            }
        }
    }

    fn touch_one(&mut self, path: &Path, rng: &mut Rng) {
        let time = touch(path, rng);
        self.tree.get_mut(&key(path)).expect("known").1 = time;
    }

    /// Another name or another directory for one of them.
    pub(super) fn rename(&mut self, rng: &mut Rng) {
        let Some(from) = self.some(rng) else { return };
        self.next += 1;
        let to = self.root.join(format!("d{}/{}.mkv", rng.below(4), self.next));
        fs::create_dir_all(to.parent().expect("has one")).expect("a directory");
        fs::rename(&from, &to).expect("renamed");
        let film = self.tree.remove(&key(&from)).expect("known");
        self.tree.insert(key(&to), film);
    }

    pub(super) fn delete(&mut self, rng: &mut Rng) {
        if let Some(path) = self.some(rng) {
            fs::remove_file(&path).expect("removed");
            self.tree.remove(&key(&path));
        }
    }

    /// Another name for a directory, and back to the old one another time.
    pub(super) fn rename_directory(&mut self, rng: &mut Rng) {
        let Some(film) = self.some(rng) else { return };
        let from = film.parent().expect("has one").to_owned();
        self.next += 1;
        let to = self.root.join(format!("d{}-{}", rng.below(4), self.next));
        fs::rename(&from, &to).expect("renamed");
        let of = |path: &String| Path::new(path).parent() == Some(&from);
        for path in self.tree.keys().filter(|path| of(path)).cloned().collect::<Vec<_>>() {
            let film = self.tree.remove(&path).expect("known");
            self.tree.insert(key(&to.join(Path::new(&path).file_name().expect("a name"))), film);
        }
    }

    fn loose(&self) -> Vec<PathBuf> {
        let others = ["stable", "hostile"].map(|name| self.root.join(name));
        let is_loose = |path: &PathBuf| !others.iter().any(|other| path.starts_with(other));
        self.tree.keys().map(PathBuf::from).filter(is_loose).collect()
    }

    pub(super) fn some(&self, rng: &mut Rng) -> Option<PathBuf> {
        let mut loose = self.loose();
        let at = usize::try_from(rng.below(loose.len() as u64)).expect("an index");
        (!loose.is_empty()).then(|| loose.swap_remove(at))
    }
}

pub(super) fn key(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

pub(super) fn touch(path: &Path, rng: &mut Rng) -> i64 {
    let time = LONG_AGO + rng.below(100_000_000);
    let file = fs::File::options().write(true).open(path).expect("there");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(time)).expect("an mtime");
    i64::try_from(time).expect("small")
}
