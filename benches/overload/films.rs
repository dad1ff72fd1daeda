//! The files and rows of the loads.

use std::fs::{self, File, FileTimes, create_dir_all, hard_link};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::daemon::Home;
use crate::{samples, video};

/// Hard links to one file: file systems allow some 65,000.
const LINKS: u32 = 50_000;

/// Writes a file that has been there for long.
pub(crate) fn write(path: &Path, content: &[u8]) {
    create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(path, content).expect("written");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
    let file = File::options().write(true).open(path).expect("there");
    file.set_times(FileTimes::new().set_modified(long_ago)).expect("a time");
}

/// A film of four tracks.
pub(crate) fn film(title: &str) -> Vec<u8> {
    video::matroska(title, &["eng", "ger", "fre"])
}

/// `count` names of films, by hard links to as few files as possible, in directories of `per_directory`.
pub(crate) fn link_many(home: &Home, count: u32, per_directory: u32) {
    let (mut source, mut directory) = (PathBuf::new(), PathBuf::new());
    for number in 0..count {
        if number % LINKS == 0 {
            source = home.films().with_file_name(format!("source-{number}"));
            write(&source, &film(&format!("{number:07}")));
        }
        if number % per_directory == 0 {
            directory = home.films().join(format!("{:05}", number / per_directory));
            create_dir_all(&directory).expect("a directory");
        }
        hard_link(&source, directory.join(format!("{number:07}.mkv"))).expect("a link");
    }
}

/// A film whose 1,000 tracks have titles of 3,900 bytes.
pub(crate) fn film_of_titles(byte: u8) -> Vec<u8> {
    let title = samples::element(0x536E, &[byte; 3_900]);
    let tracks = samples::element(0x1654_AE6B, &samples::track(1, 2, "A_AAC", &[title]).repeat(1_000));
    let cluster = samples::element(0x1F43_B675, &samples::element(0xE7, &[0]));
    [samples::ebml_header("matroska"), samples::element(0x1853_8067, &[tracks, cluster].concat())].concat()
}

/// A library of `count` rows with paths of 3.9 KB. The schema is the daemon's own.
pub(crate) fn long_paths(home: &Home, count: u32) {
    write(&home.films().join("first.mkv"), &film("first"));
    let films = home.films();
    let status =
        home.vpo(&["scan", films.to_str().expect("UTF-8")], "").stdout(std::process::Stdio::null()).status();
    assert!(status.expect("vpo runs").success());
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at, scan_status)
         SELECT format('/v/%s/%05d.mkv', long, i), format('%05d.mkv', i), '/v/' || long, 'mkv', 1, '', '', 'ok'
         FROM n, (SELECT replace(hex(zeroblob(1940)), '0', 'x') AS long)"
    );
    home.open().execute_batch(&sql).expect("rows");
}
