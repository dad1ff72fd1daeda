//! The frames of a write-ahead log, read as they lie there (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>). Only
//! while nothing of ours has the database open: closing a descriptor drops the locks of SQLite.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER: u64 = 32;

const FRAME_HEADER: u64 = 24;

/// Whether the main file `main` holds a page as it is in the log: then a checkpoint of this log has begun to write into this file.
pub(super) fn is_begun(main: &Path, log: &Path) -> io::Result<bool> {
    let (main, log) = (File::open(main)?, File::open(log)?);
    let mut header = [0; HEADER as usize];
    log.read_exact_at(&mut header, 0)?;
    let size = u64::from(number(&header[8..]));
    if !(512..=65536).contains(&size) {
        return Ok(false);
    }
    let salts = &header[16..24];
    let mut newest = BTreeMap::new();
    let mut frame = [0; FRAME_HEADER as usize];
    let mut at = HEADER;
    while log.read_exact_at(&mut frame, at).is_ok() && frame[8..16] == *salts {
        newest.insert(u64::from(number(&frame)), at + FRAME_HEADER);
        at += FRAME_HEADER + size;
    }
    let size = usize::try_from(size).unwrap_or_default();
    let (mut there, mut logged) = (vec![0; size], vec![0; size]);
    Ok(newest.into_iter().filter(|(page, _)| *page > 0).any(|(page, at)| {
        log.read_exact_at(&mut logged, at).is_ok()
            && main.read_exact_at(&mut there, (page - 1) * size as u64).is_ok()
            && there == logged
    }))
}

/// Four bytes, the highest first.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use rusqlite::config::DbConfig;

    use super::*;

    #[test]
    fn a_page_of_the_log_in_the_main_file_shows_that_a_checkpoint_has_begun() {
        let dir = tempfile::tempdir().expect("a directory");
        let (main, log) = (dir.path().join("main.db"), dir.path().join("main.db-wal"));
        let connection = Connection::open(&main).expect("made");
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
        let sql = "PRAGMA journal_mode = WAL; CREATE TABLE one (x); CREATE TABLE other (x);
            INSERT INTO one VALUES (1); INSERT INTO other VALUES (1); PRAGMA wal_checkpoint(TRUNCATE)";
        connection.execute_batch(sql).expect("written");
        let update = "UPDATE one SET x = 2; UPDATE one SET x = 3; UPDATE other SET x = 2";
        connection.execute_batch(update).expect("written");
        drop(connection);
        assert!(!is_begun(&main, &log).expect("readable"), "nothing was written back");
        // The newest frame of the first page, not the one before it.
        let size = 4096;
        let frame = |index: u64| HEADER + index * (FRAME_HEADER + size);
        for (index, expected) in [(0, false), (1, true)] {
            let mut page = vec![0; 4096];
            let log_file = File::open(&log).expect("opens");
            log_file.read_exact_at(&mut page, frame(index) + FRAME_HEADER).expect("read");
            let mut number_of_page = [0; 4];
            log_file.read_exact_at(&mut number_of_page, frame(index)).expect("read");
            let at = u64::from(u32::from_be_bytes(number_of_page) - 1) * size;
            let file = File::options().write(true).open(&main).expect("opens");
            file.write_all_at(&page, at).expect("written");
            assert_eq!(is_begun(&main, &log).expect("readable"), expected, "frame {index}");
        }
    }
}
