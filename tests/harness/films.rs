//! Videos for one test, and their rows in `library.db`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, Row};
use serde_json::Value;

use super::{Sandbox, video};

/// A row of `files`, as tests compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) id: i64,
    pub(crate) path: String,
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    pub(crate) hash: Option<String>,
    pub(crate) size: i64,
    pub(crate) modified: String,
}

impl Sandbox {
    /// Writes a film that has been there for an hour.
    pub(crate) fn film(&self, name: &str) -> PathBuf {
        let path = self.write(name, video::matroska(name, &["eng", "ger"]));
        settled(&path);
        path
    }

    /// The directory below which a test puts its films.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("films")
    }

    /// `vpo scan --json` of [`Self::root`] with `args`, which must succeed; the one scan of its answer. The exit code is 1 if, and
    /// only if, something could not be read.
    #[track_caller]
    pub(crate) fn scan(&self, args: &[&str]) -> Value {
        let output = self.try_scan(args);
        let text = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let value: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{stderr}"));
        let scan = value["scans"][0].clone();
        let is_incomplete =
            scan["walk_errors"] != 0 || scan["unreadable"] != 0 || scan["unsettled"].as_u64() > Some(0);
        assert_eq!(output.status.code(), Some(i32::from(is_incomplete)), "{text}{stderr}");
        assert_eq!(stderr.contains("error[scan-incomplete]"), is_incomplete, "{stderr}");
        scan
    }

    /// As [`Self::scan`], with any result.
    pub(crate) fn try_scan(&self, args: &[&str]) -> std::process::Output {
        let root = self.root();
        let mut command = self.vpo(["scan", "--json", "--library"]);
        command.arg(root).args(args);
        command.output().expect("vpo runs")
    }

    /// A connection to the library, as another program has it.
    pub(crate) fn database(&self) -> Connection {
        let connection = Connection::open(self.library()).expect("the library opens");
        connection.busy_timeout(Duration::from_secs(10)).expect("a timeout");
        connection
    }

    /// All rows of `files`, by path.
    pub(crate) fn rows(&self) -> Vec<FileRow> {
        let connection = self.database();
        let mut statement = connection
            .prepare(
                "SELECT id, path, scan_status, scan_error, content_hash, size_bytes, modified_at
                 FROM files ORDER BY path",
            )
            .expect("a query");
        let row = |row: &Row<'_>| {
            Ok(FileRow {
                id: row.get(0)?,
                path: row.get(1)?,
                status: row.get(2)?,
                error: row.get(3)?,
                hash: row.get(4)?,
                size: row.get(5)?,
                modified: row.get(6)?,
            })
        };
        statement.query_map([], row).expect("rows").collect::<Result<_, _>>().expect("rows")
    }

    /// The row of the file `name` of this sandbox.
    #[track_caller]
    pub(crate) fn row(&self, name: &str) -> FileRow {
        self.find_row(name).unwrap_or_else(|| panic!("no row of {name}: {:#?}", self.rows()))
    }

    /// The row of the file `name` of this sandbox, if there is one.
    pub(crate) fn find_row(&self, name: &str) -> Option<FileRow> {
        let path = self.path(name);
        if !self.library().exists() {
            return None;
        }
        self.rows().into_iter().find(|row| Path::new(&row.path) == path)
    }

    /// One value of the library.
    #[track_caller]
    pub(crate) fn value<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.database().query_one(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Changes the library as another program would.
    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) {
        self.database().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// Sets the times of a file to an hour ago.
pub(crate) fn settled(path: &Path) {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(path).and_then(|file| file.set_modified(hour_ago)).expect("an mtime");
}
