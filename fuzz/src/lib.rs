//! What the targets have in common: probe, and hold the file to its budget. The modules and [`check_query`] are the targets
//! that do not parse videos.

pub mod config;
pub mod database;
pub mod host;
pub mod http;
pub mod subtitle;

use std::io::Cursor;

use vpo::media::{self, Error};
use vpo::query::{self, Query};

/// Probes `file` and panics on what no file may cause: a caught panic, or more reading than the budget allows.
pub fn check(file: &[u8]) {
    let (info, usage) = media::measure(Cursor::new(file));
    assert!(usage.bytes <= 4_000_000, "{} bytes were read", usage.bytes);
    match info {
        Err(Error::Panicked { message }) => panic!("{message}"),
        Err(error) => assert!(!error.to_string().contains('\n')),
        Ok(info) => {
            assert!(!info.tracks.is_empty());
            assert!(info.duration_seconds.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0));
        }
    }
}

/// Probes `file` with its first bytes replaced, so that it is taken for one of a family.
pub fn check_as(file: &[u8], at: usize, magic: &[u8]) {
    let mut file = file.to_vec();
    if let Some(place) = file.get_mut(at..at + magic.len()) {
        place.copy_from_slice(magic);
        check(&file);
    }
}

/// Reads `text` both ways, and panics where a place lies outside of it or what is written reads otherwise.
pub fn check_query(text: &str) {
    let as_query = |text: &str| Query::parse(text, &|_, _| true).map(|query| query.expression);
    for read in [&query::parse as &dyn Fn(&str) -> _, &as_query] {
        match read(text) {
            Ok(expression) => assert_eq!(read(&expression.to_string()), Ok(expression)),
            Err(error) => {
                let line = text.split('\n').nth(error.line - 1).expect("a line");
                assert!(error.position <= text.chars().count() && error.column <= line.chars().count() + 1);
            }
        }
    }
}
