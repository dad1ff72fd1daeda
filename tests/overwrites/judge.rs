//! How a run has ended, and whether it may.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use rusqlite::Connection;

use super::cell::{Situation, Way};
use super::content::Content;
use super::outcome::Outcome;
use super::trial::{DEADLINE, Settled, Trial, is_told, millis_of};
use super::ways::overwrite;

impl Trial<'_> {
    /// What came of an overwrite beside a daemon that goes on running.
    pub(super) fn judge_running(
        &mut self,
        begin: &str,
        settled: Settled,
        result: Result<String, String>,
    ) -> (Outcome, String) {
        let note = match result {
            Ok(note) => note,
            Err(failed) => return self.judge_not_restored(begin, &failed),
        };
        let is_late = self.detected.is_some_and(|millis| millis > millis_of(DEADLINE));
        match settled {
            Settled::Up => {
                let found = match self.stop_and_read(begin) {
                    Ok(found) => found,
                    Err(error) => return (Outcome::Mix, error),
                };
                let (outcome, text) = self.compare(&found);
                match outcome {
                    Outcome::Exact if is_late => (Outcome::Late, note),
                    Outcome::Exact => (Outcome::Exact, format!("{note}{text}")),
                    outcome => (outcome, format!("{note}{text}")),
                }
            }
            Settled::Failing(reason) => {
                if !self.is_right(&reason) {
                    return (Outcome::Wrong, reason);
                }
                let failed = self.failed;
                let reason =
                    if self.adopted.is_some() { format!("{reason} after an adoption") } else { reason };
                let reason =
                    format!("{reason}, {} ms; the file was {}", failed.unwrap_or(0), self.look_aside(begin));
                if let Err(error) = self.copy_again(begin) {
                    return (Outcome::Wrong, format!("{reason}, copied again: {error}"));
                }
                let is_late = is_late || failed.is_some_and(|millis| millis > millis_of(DEADLINE));
                (if is_late { Outcome::Late } else { Outcome::Collided }, reason)
            }
            Settled::Unnoticed => {
                let found = self.stop_and_read(begin);
                (Outcome::Undetected, format!("then the database was {}", self.named(found)))
            }
            Settled::Ended => (Outcome::Wrong, "the daemon has ended".to_owned()),
            Settled::Stuck(verdict) => (Outcome::Wrong, format!("stuck, {verdict}")),
        }
    }

    /// `.restore` reports its failure.
    fn judge_not_restored(&mut self, begin: &str, failed: &str) -> (Outcome, String) {
        match self.stop_and_read(begin) {
            Ok(found) if self.is_own(&found) => (Outcome::NotRestored, failed.to_owned()),
            found => (Outcome::Wrong, format!("{failed}; the database is {}", self.named(found))),
        }
    }

    fn is_right(&self, reason: &str) -> bool {
        self.cell.situation == Situation::Scan
            && ["fail:copy_collided", "fail:corrupt", "fail:not_a_database"].contains(&reason)
            && self.cell.way.copies_in_place()
    }

    /// What a database is that `/health` calls damaged.
    fn look_aside(&self, begin: &str) -> String {
        let aside = self.sandbox.path("aside.db");
        for ending in ["", "-wal"] {
            let _ = fs::copy(self.beside(ending), self.sandbox.path(format!("aside.db{ending}")));
        }
        let found = Connection::open(&aside).map_err(|error| error.to_string());
        self.named(found.and_then(|connection| Content::read(&connection, begin)))
    }

    /// The same backup in the same way, as `/health` advises; it must be adopted.
    fn copy_again(&mut self, begin: &str) -> Result<(), String> {
        let (adopted, detected) = (self.adopted, self.detected);
        let log = self.daemon().log();
        let way = if self.cell.way.removes().is_empty() { self.cell.way } else { Way::Rename };
        overwrite(way, &self.backup.path, &self.database, &mut self.rng)?;
        self.end = Instant::now();
        (self.cell.killed, self.copied_again) = (false, true);
        let settled = self.settle(log.len());
        (self.adopted, self.detected) = (adopted, detected);
        match settled {
            Settled::Up => {}
            Settled::Failing(reason) => return Err(reason),
            Settled::Ended => return Err("the daemon has ended".to_owned()),
            Settled::Unnoticed => return Err("not noticed".to_owned()),
            Settled::Stuck(verdict) => return Err(format!("stuck, {verdict}")),
        }
        let found = self.stop_and_read(begin)?;
        if found == self.backup.content { Ok(()) } else { Err(self.named(Ok(found))) }
    }

    /// What came of an overwrite that a kill interrupted or followed, after a start.
    pub(super) fn after_kill(&mut self, begin: &str, result: Result<String, String>) -> (Outcome, String) {
        let note = match result {
            Ok(note) => note,
            Err(failed) => {
                self.notes.push(failed);
                String::new()
            }
        };
        self.verdicts.clear();
        self.serve();
        self.end = Instant::now();
        match self.settle(0) {
            Settled::Up => {
                let told = self.verdicts.iter().any(|(_, verdict)| is_told(verdict));
                let found = match self.stop_and_read(begin) {
                    Ok(found) => found,
                    Err(error) => return (Outcome::Mix, error),
                };
                let (outcome, text) = self.compare(&found);
                match outcome {
                    Outcome::Undetected | Outcome::OwnReported => {
                        let outcome = match self.cell.way {
                            Way::Restore if !self.notes.is_empty() => Outcome::NotRestored,
                            _ if told => Outcome::OwnReported,
                            _ => Outcome::Undetected,
                        };
                        (outcome, format!("{note}{text}"))
                    }
                    outcome => (outcome, format!("{note}{text}")),
                }
            }
            Settled::Failing(reason) => {
                if !self.is_right(&reason) {
                    return (Outcome::Wrong, reason);
                }
                let reason = format!("{reason}; the file was {}", self.look_aside(begin));
                match self.copy_again(begin) {
                    Ok(()) => (Outcome::Collided, reason),
                    Err(error) => (Outcome::Wrong, format!("{reason}, copied again: {error}")),
                }
            }
            Settled::Ended => self.repair(begin),
            Settled::Unnoticed => (Outcome::Wrong, "unreachable".to_owned()),
            Settled::Stuck(verdict) => (Outcome::Wrong, format!("stuck, {verdict}")),
        }
    }

    /// The start refused: the backup again, without the files beside it.
    fn repair(&mut self, begin: &str) -> (Outcome, String) {
        let log = self.daemon().log();
        let said = log.lines().rfind(|line| line.contains("error")).unwrap_or_default().to_owned();
        self.daemon().wait();
        self.collect_log();
        for ending in ["-wal", "-shm"] {
            let _ = fs::remove_file(self.beside(ending));
        }
        overwrite(Way::Rename, &self.backup.path, &self.database, &mut self.rng).expect("copied");
        self.serve();
        self.end = Instant::now();
        let settled = self.settle(0);
        if !matches!(settled, Settled::Up) {
            return (Outcome::Wrong, format!("{said}; after a repair it is not healthy"));
        }
        match self.stop_and_read(begin) {
            Ok(found) if found == self.backup.content => (Outcome::Refused, said),
            found => {
                (Outcome::Wrong, format!("{said}; after a repair the database is {}", self.named(found)))
            }
        }
    }

    /// Stops the daemon and reads what it leaves.
    fn stop_and_read(&mut self, begin: &str) -> Result<Content, String> {
        let status = self.daemon().stop();
        self.collect_log();
        if !status.success() {
            return Err(format!("the daemon ended with {status}"));
        }
        let connection = Connection::open(&self.database).map_err(|error| error.to_string())?;
        let found = Content::read(&connection, begin)?;
        if !self.is_brief {
            self.compare_tree(&connection)?;
        }
        Ok(found)
    }

    /// The rows of films must be equal to the tree.
    fn compare_tree(&self, connection: &Connection) -> Result<(), String> {
        let rows = || -> rusqlite::Result<BTreeMap<String, i64>> {
            let sql = "SELECT path, size_bytes FROM files WHERE path NOT LIKE '/elsewhere/%' AND scan_status = 'ok'";
            let mut statement = connection.prepare(sql)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let rows = rows().map_err(|error| error.to_string())?;
        if rows == self.scene.tree { Ok(()) } else { Err("the rows are not as the films are".to_owned()) }
    }

    fn is_own(&self, found: &Content) -> bool {
        found.has_same_rows(&self.scene.live(self.cell.situation).content)
    }

    fn compare(&self, found: &Content) -> (Outcome, String) {
        if !self.cell.way.removes().is_empty() {
            let outcome = if self.is_own(found) { Outcome::Exact } else { Outcome::Mix };
            return (outcome, String::new());
        }
        if *found == self.backup.content {
            return (Outcome::Exact, String::new());
        }
        let outcome = if !self.is_own(found) {
            Outcome::Mix
        } else if self.detected.is_some() {
            Outcome::OwnReported
        } else {
            Outcome::Undetected
        };
        (outcome, self.named(Ok(found.clone())))
    }

    /// Classifies a database.
    fn named(&self, found: Result<Content, String>) -> String {
        match found {
            Err(error) => error,
            Ok(found) if found == self.backup.content => "the backup".to_owned(),
            Ok(found) if self.is_own(&found) => "the daemon's own".to_owned(),
            Ok(found) => format!("{}, not {}", found.summary(), self.backup.content.summary()),
        }
    }
}
