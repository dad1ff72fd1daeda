//! How a database is overwritten.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::cell::Way;
use crate::model::Rng;

/// How long `.restore` tries to get the lock.
const RESTORE: Duration = Duration::from_secs(10);

/// Pieces of the slow copy, and the pause after each.
const PIECES: usize = 40;
const PAUSE: Duration = Duration::from_millis(25);

/// How long companions are waited for, to be removed.
const REMOVAL: Duration = Duration::from_millis(60);

/// Puts `from` in the place of `to`, or removes its companions. What failed, if something did; for a removal what it did.
pub(super) fn overwrite(way: Way, from: &Path, to: &Path, rng: &mut Rng) -> Result<String, String> {
    match way {
        Way::Cp => Ok(run("cp \"$0\" \"$1\"", from, to)),
        Way::Cat => Ok(run("cat \"$0\" > \"$1\"", from, to)),
        Way::Dd => {
            let size = rng.pick(&["4k", "16k", "64k", "1M"]);
            Ok(run(&format!("dd if=\"$0\" of=\"$1\" bs={size} conv=notrunc status=none"), from, to))
        }
        Way::Rsync => {
            let whole = rng.pick(&["--whole-file", "--no-whole-file"]);
            Ok(run(&format!("rsync --inplace -I {whole} \"$0\" \"$1\""), from, to))
        }
        Way::Slow => Ok(slowly(from, to)),
        Way::Restore => restore(from, to),
        Way::Rename => {
            let new = to.with_file_name("library.db.new");
            run("cp \"$0\" \"$1\"", from, &new);
            fs::rename(new, to).expect("renamed");
            Ok(String::new())
        }
        Way::NoWal | Way::NoShm | Way::NoCompanions => Ok(remove(way.removes(), to)),
    }
}

fn run(script: &str, from: &Path, to: &Path) -> String {
    let output = Command::new("sh").args(["-c", script]).args([from, to]).output().expect("sh runs");
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}: {problem}");
    String::new()
}

fn slowly(from: &Path, to: &Path) -> String {
    let wanted = fs::read(from).expect("readable");
    let file = fs::File::options().write(true).open(to).expect("opens");
    let size = wanted.len().div_ceil(PIECES);
    for (index, piece) in wanted.chunks(size).enumerate() {
        file.write_all_at(piece, (index * size) as u64).expect("written");
        std::thread::sleep(PAUSE);
    }
    file.set_len(wanted.len() as u64).expect("cut");
    String::new()
}

fn restore(from: &Path, to: &Path) -> Result<String, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let source =
        Connection::open_with_flags(format!("file:{}?immutable=1", from.display()), flags).expect("opens");
    let mut live = Connection::open(to).map_err(|error| error.to_string())?;
    let start = Instant::now();
    let copier = Backup::new(&source, &mut live).map_err(|error| error.to_string())?;
    loop {
        match copier.step(64).map_err(|error| error.to_string())? {
            StepResult::Done => return Ok(String::new()),
            StepResult::More => {}
            _ if start.elapsed() < RESTORE => std::thread::sleep(Duration::from_millis(1)),
            _ => return Err("the database stays busy".to_owned()),
        }
    }
}

/// Removes each of `endings` as soon as it is there.
fn remove(endings: &[&str], database: &Path) -> String {
    let start = Instant::now();
    let mut left = endings.to_vec();
    while !left.is_empty() && start.elapsed() < REMOVAL {
        left.retain(|ending| {
            fs::remove_file(database.with_file_name(format!("library.db{ending}"))).is_err()
        });
    }
    format!("{} removed", endings.len() - left.len())
}
