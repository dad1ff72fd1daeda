//! Hostile files beside the films: what a scan must survive, what it must record of them, and what it must report.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::films::{Films, UNREADABLE, key, touch};
use super::plan::Rng;
use crate::harness::video;

/// A kind of hostile files. There is one directory of each at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hostile {
    /// Directories deeper than a walk goes, and a film as deep as one may well be.
    Deep,
    /// Names that are not UTF-8 or control a terminal.
    Names,
    /// A film whose headers are 3.9 MB of titles.
    Titles,
    /// A film that cannot be read, and later can.
    UnreadableFile,
    /// A directory that cannot be read, and later can.
    UnreadableDirectory,
    /// A link to films outside the root, and a directory that takes its place.
    Link,
}

const SHUT_FILE: &str = "shut.mkv";
const SHUT_DIRECTORY: &str = "shut";
/// Clears a terminal, begins a new line, and turns the direction of text.
const CONTROLLING: &str = "\u{1b}[2J\r\n\u{202e}.mkv";

const KINDS: [Hostile; 6] = [
    Hostile::Deep,
    Hostile::Names,
    Hostile::Titles,
    Hostile::UnreadableFile,
    Hostile::UnreadableDirectory,
    Hostile::Link,
];

/// A directory with hostile files.
#[derive(Debug)]
pub(super) struct Place {
    directory: PathBuf,
    /// Something in it cannot be read.
    is_unreadable: bool,
}

impl Films {
    /// Puts a kind of hostile files there, makes of it what it becomes, or removes it.
    pub(super) fn hostile(&mut self, rng: &mut Rng) {
        let kind = rng.pick(&KINDS);
        let Some(place) = self.places.remove(&kind) else { return self.put(kind, rng) };
        let directory = place.directory.clone();
        match kind {
            Hostile::UnreadableFile if place.is_unreadable => {
                let film = directory.join(SHUT_FILE);
                set_mode(&film, 0o644);
                self.record(&film, &film);
                self.places.insert(kind, Place { directory, is_unreadable: false });
            }
            Hostile::UnreadableDirectory if place.is_unreadable => {
                let shut = directory.join(SHUT_DIRECTORY);
                set_mode(&shut, 0o755);
                self.record(&shut.join("a.mkv"), &shut.join("a.mkv"));
                self.places.insert(kind, Place { directory, is_unreadable: false });
            }
            Hostile::Link if directory.join("link").is_symlink() => {
                self.forget(&directory);
                let [link, films] = ["link", "films"].map(|name| directory.join(name));
                // Many times, so that a scan meets both; at the end they have changed places.
                for _ in 0..=2 * rng.below(50) {
                    renameat_with(CWD, &link, CWD, &films, RenameFlags::EXCHANGE).expect("exchanged");
                }
                self.record(&link.join("a.mkv"), &link.join("a.mkv"));
                self.places.insert(kind, place);
            }
            _ => {
                self.forget(&directory);
                let hidden = self.root.join(".gone");
                fs::rename(&directory, &hidden).expect("renamed");
                fs::remove_dir_all(hidden).expect("removed");
            }
        }
    }

    /// Whether a scan meets something that it cannot read.
    pub(super) fn is_incomplete(&self) -> bool {
        self.places.values().any(|place| place.is_unreadable)
    }

    fn put(&mut self, kind: Hostile, rng: &mut Rng) {
        self.next += 1;
        // Under a hidden name first, as every film.
        let hidden = self.root.join(".hostile");
        let directory = self.root.join("hostile").join(self.next.to_string());
        fs::create_dir_all(self.root.join("hostile")).expect("a directory");
        // Each film by its name, and by its name in the library, if it is to be recorded.
        let deep = |levels: usize| ["d"; 300][..levels].join("/") + "/deep.mkv";
        let films: Vec<(Vec<u8>, Option<String>)> = match kind {
            Hostile::Deep => vec![(deep(60).into(), Some(deep(60))), (deep(300).into(), None)],
            Hostile::Names => vec![
                (b"caf\xE9 100%.mkv".to_vec(), Some("caf%E9 100%25.mkv".to_owned())),
                (CONTROLLING.into(), Some(CONTROLLING.to_owned())),
            ],
            Hostile::Titles => vec![(b"titles.mkv".to_vec(), Some("titles.mkv".to_owned()))],
            Hostile::UnreadableFile => vec![(SHUT_FILE.into(), None)],
            Hostile::UnreadableDirectory => vec![([SHUT_DIRECTORY, "/a.mkv"].concat().into(), None)],
            Hostile::Link => vec![(b"films/a.mkv".to_vec(), Some("films/a.mkv".to_owned()))],
        };
        for (name, _) in &films {
            let path = hidden.join(OsStr::from_bytes(name));
            fs::create_dir_all(path.parent().expect("has one")).expect("a directory");
            let content = match kind {
                Hostile::Titles => {
                    video::matroska_with("titles", &vec![("eng", "x".repeat(3770).as_str()); 990])
                }
                _ => video::matroska(&format!("{} {name:?}", self.next), &["eng"]),
            };
            fs::write(&path, content).expect("written");
            touch(&path, rng);
        }
        match kind {
            Hostile::UnreadableFile => {
                set_mode(&hidden.join(SHUT_FILE), 0o000);
                self.tree.insert(key(&directory.join(SHUT_FILE)), UNREADABLE);
            }
            Hostile::UnreadableDirectory => set_mode(&hidden.join(SHUT_DIRECTORY), 0o000),
            Hostile::Link => {
                let outside = self.root.with_file_name(format!("outside-{}", self.next));
                fs::create_dir(&outside).expect("a directory");
                fs::write(outside.join("a.mkv"), video::matroska("outside", &["eng"])).expect("written");
                symlink(outside, hidden.join("link")).expect("a link");
            }
            Hostile::Deep | Hostile::Names | Hostile::Titles => {}
        }
        fs::rename(&hidden, &directory).expect("renamed");
        for (name, stored) in films {
            if let Some(stored) = stored {
                self.record(&directory.join(OsStr::from_bytes(&name)), &directory.join(stored));
            }
        }
        let is_unreadable =
            matches!(kind, Hostile::Deep | Hostile::UnreadableFile | Hostile::UnreadableDirectory);
        self.places.insert(kind, Place { directory, is_unreadable });
    }

    /// The film at `path` is to be recorded as `stored`.
    fn record(&mut self, path: &Path, stored: &Path) {
        let found = fs::metadata(path).expect("there");
        let size = i64::try_from(found.len()).expect("small");
        self.tree.insert(key(stored), (size, found.mtime()));
    }

    /// Nothing below `directory` is there any more.
    fn forget(&mut self, directory: &Path) {
        self.tree.retain(|path, _| !Path::new(path).starts_with(directory));
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}
