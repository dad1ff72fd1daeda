//! What must hold when the daemon has nothing to do.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::OptionalExtension;

use super::content::Snapshot;
use super::subtitles;
use super::world::{SCAN, World};

impl World {
    /// Waits until the daemon has nothing to do, and compares all that can be compared.
    pub(super) fn quiet(&mut self) {
        self.close_other();
        self.expected.seen(&self.films.tree);
        let found = if self.calm { self.caught_up() } else { self.scanned() };
        self.expected.checked(&found);
        self.check_facts();
        self.check_idle();
        self.check_api(&found);
        self.check_health();
        self.calm = true;
    }

    /// Left alone the daemon sees what has changed.
    fn caught_up(&self) -> Snapshot {
        let mut last = String::new();
        let begun = Instant::now();
        while begun.elapsed() < SCAN {
            match self.compared() {
                Ok(found) => return found,
                Err(error) => last = error,
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the daemon has not caught up within {SCAN:?}: {last}");
    }

    /// A scan makes the database equal to the tree. It may have to be asked for more than once, where one is cancelled.
    fn scanned(&self) -> Snapshot {
        let begun = Instant::now();
        loop {
            match self.scan() {
                Ok(()) => {
                    break self.compared().unwrap_or_else(|error| panic!("after a completed scan: {error}"));
                }
                Err(error) => assert!(begun.elapsed() < SCAN, "no scan succeeds: {error}"),
            }
        }
    }

    fn compared(&self) -> Result<Snapshot, String> {
        let found = Snapshot::read(&self.connect(), &self.root)?;
        self.expected.check(&found, Some(&self.films.tree))?;
        subtitles::check(&self.connect(), &self.films.tree)?;
        Ok(found)
    }

    /// Of every film that was read there are facts, of the file as its row describes it, and of no other row.
    fn check_facts(&self) {
        let missing = "SELECT path FROM files WHERE scan_status = 'ok' AND substr(path, 1, length(?1)) = ?1
                AND NOT EXISTS (SELECT 1 FROM daemon_files AS d WHERE d.file_id = files.id
                    AND d.size_bytes = files.size_bytes AND d.modified_at = files.modified_at)
            UNION ALL SELECT 'row ' || file_id FROM daemon_files WHERE file_id NOT IN (SELECT id FROM files)";
        let below = format!("{}/", self.root.display());
        let mut last = String::new();
        let begun = Instant::now();
        while begun.elapsed() < SCAN {
            match self.connect().query_row(missing, [&below], |row| row.get(0)).optional() {
                Ok(None) => return,
                Ok(Some(first)) => last = first,
                Err(error) => last = error.to_string(),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("facts are not those of the rows within {SCAN:?}: {last}");
    }

    /// Idle, the daemon has nothing open and leaves nothing beside the database.
    fn check_idle(&self) {
        let begun = Instant::now();
        loop {
            let kept = self.kept();
            if kept.is_empty() {
                return;
            }
            let elapsed = begun.elapsed();
            assert!(
                elapsed < Duration::from_secs(3),
                "an idle daemon does not let go of the database: {kept:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether the daemon has the database open.
    pub(super) fn has_open(&self) -> bool {
        self.kept().iter().any(|kept| kept.starts_with("open:"))
    }

    /// The files of the database that the daemon has open or mapped, and the files beside it.
    fn kept(&self) -> Vec<String> {
        let process = PathBuf::from(format!("/proc/{}", self.daemon.as_ref().expect("it runs").pid()));
        let mut kept = Vec::new();
        for entry in fs::read_dir(process.join("fd")).expect("readable").flatten() {
            let file = fs::read_link(entry.path()).unwrap_or_default();
            if ["", "-wal", "-shm"].iter().any(|ending| file == self.beside(ending)) {
                kept.push(format!("open: {}", file.display()));
            }
        }
        if fs::read_to_string(process.join("maps")).expect("readable").contains("library.db-shm") {
            kept.push("mapped: library.db-shm".to_owned());
        }
        let left = ["-wal", "-shm"].map(|ending| (ending, fs::metadata(self.beside(ending))));
        for (ending, found) in left {
            kept.extend(found.ok().map(|found| format!("left: {ending}, {} bytes", found.len())));
        }
        kept
    }

    /// The API shows the content of the database, the newest jobs first.
    fn check_api(&self, found: &Snapshot) {
        let daemon = self.daemon.as_ref().expect("it runs");
        let ids = |path: &str, list: &str| -> Vec<serde_json::Value> {
            let answer = daemon.get(path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            let body = answer.json();
            body[list].as_array().expect("a list").iter().map(|item| item["id"].clone()).collect()
        };
        let files: Vec<serde_json::Value> = found.ids.iter().map(|id| (*id).into()).collect();
        // A page ends after some time too.
        let (mut shown, mut cursor) = (Vec::new(), String::new());
        while shown.len() < files.len() {
            let page = daemon.get(&format!("/api/v1/files?limit=1000{cursor}")).json();
            shown.extend(page["files"].as_array().expect("a list").iter().map(|file| file["id"].clone()));
            match &page["next_cursor"] {
                next if next.is_null() => break,
                next => cursor = format!("&cursor={next}"),
            }
        }
        assert_eq!(shown, files, "the files over HTTP are those of the database");
        let jobs: Vec<serde_json::Value> = found.jobs.iter().map(|id| id.as_str().into()).collect();
        let newest = ids("/api/v1/jobs?limit=5", "jobs");
        // A scan may have ended since; none is lost, and none of the future comes before it.
        assert!(
            newest == jobs || newest[1..] == jobs[..newest.len() - 1],
            "jobs over HTTP {newest:?}, in their order {jobs:?}"
        );
        let totals = daemon.get("/api/v1/library");
        assert_eq!(totals.status, 200, "{}", totals.body);
    }

    /// Every answer of `/health` so far was allowed.
    pub(super) fn check_health(&self) {
        if let Some(violation) = self.line.violation(&self.poller.samples(), self.epoch) {
            panic!("{violation}");
        }
    }

    /// The end of the seed.
    pub(super) fn end(&mut self) {
        self.terminate();
        self.check_health();
        let found = self.compared().unwrap_or_else(|error| panic!("after the stop: {error}"));
        self.expected.checked(&found);
    }
}
