//! A disk that is full or cannot be written.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use super::plan::Rng;
use super::table::State;
use super::world::World;

/// A directory that cannot be written: by its mode, or for root by a mount of itself.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn new(directory: &Path) -> Option<Self> {
        let shut = Self(directory.to_owned());
        let is_shut = if geteuid().is_root() {
            let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\"";
            Command::new("sh")
                .args(["-c", script])
                .arg(directory)
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|end| end.success())
        } else {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o555)).is_ok()
        };
        if is_shut {
            return Some(shut);
        }
        std::mem::forget(shut);
        None
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        if geteuid().is_root() {
            let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        } else {
            let _ = fs::set_permissions(&self.0, fs::Permissions::from_mode(0o755));
        }
    }
}

impl World {
    pub(super) fn fill_disk(&mut self, rng: &mut Rng) {
        if self.disk.is_none() {
            self.skipped += 1;
            return;
        }
        self.close_other();
        self.calm = false;
        let from = Instant::now();
        let filler = self.beside(".filler");
        let block = vec![0; 1 << 16];
        let file = fs::File::create(&filler).expect("made");
        let written =
            (0..u64::MAX).take_while(|index| file.write_at(&block, index << 16).is_ok_and(|count| count > 0));
        assert!(written.count() > 0);
        self.films.add(rng);
        let scanned = self.scan();
        self.request(rng);
        std::thread::sleep(Duration::from_millis(rng.below(500)));
        fs::remove_file(&filler).expect("removed");
        self.line.during(State::FullDisk, from, Instant::now());
        if scanned.is_ok() {
            self.note("a scan succeeded on a full disk");
        }
    }

    pub(super) fn read_only(&mut self, rng: &mut Rng) {
        self.close_other();
        let from = Instant::now();
        let Some(shut) = ReadOnly::new(self.database.parent().expect("has one")) else {
            self.skipped += 1;
            return;
        };
        self.calm = false;
        self.films.add(rng);
        std::thread::sleep(Duration::from_millis(200 + rng.below(800)));
        drop(shut);
        self.line.during(State::ReadOnly, from, Instant::now());
    }
}
