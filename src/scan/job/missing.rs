//! Recording what is gone.

use std::path::PathBuf;

use tracing::{info, warn};

use super::{BATCH, Run};
use crate::library::files;
use crate::library::files::writer::Writer;
use crate::scan::Error;
use crate::scan::compare::Vanished;
use crate::scan::progress::Phase;
use crate::scan::root::{self, Look, Offline, RecoverySignal};

impl Run<'_> {
    /// Files that are gone with their mount are not missing, unless the user says so.
    pub(super) fn take_unmounted(
        &mut self,
        unmounted: &mut Vec<(String, Vec<Vanished>)>,
        vanished: &mut Vec<Vanished>,
    ) {
        for (mount, rows) in unmounted.drain(..) {
            if self.task.job.options.accept_missing {
                vanished.extend(rows);
                continue;
            }
            warn!(
                mount,
                files = rows.len(),
                "was a mount point below the root and is none now: its files keep their status; mount what belongs \
                 there, or confirm with `vpo scan --accept-missing`"
            );
            self.summary.unmounted += rows.len() as u64;
            self.signals.push(RecoverySignal::Mount(PathBuf::from(&mount)));
            // Remembered until it is back or confirmed.
            self.summary.mounts.push(mount);
        }
    }

    /// Marks what vanished, after one more look at the root: it may have gone during the walk.
    pub(super) fn mark_missing(&mut self, look: &Look, vanished: &[Vanished]) -> Result<(), Error> {
        if vanished.is_empty() || self.summary.walk_errors > 0 {
            return Ok(());
        }
        self.context.progress.enter(Phase::Missing);
        let now = root::look(&self.task.root).map_err(|why| self.offline(why))?;
        root::compare(&look.identity, &now.identity).map_err(|why| self.offline(why))?;
        if now.empty && !look.empty {
            return Err(self.offline(Offline::Empty));
        }
        for rows in vanished.chunks(BATCH) {
            let gone = self.really_gone(rows)?;
            let removed = self.write(|tx| {
                let mut writer = Writer::new(tx)?;
                // A row that was moved or changed meanwhile, by whomever, is left alone.
                let mark = |(id, path): &(i64, String)| writer.mark_missing(*id, path);
                gone.iter().map(mark).collect::<Result<Vec<_>, _>>()
            })?;
            for ((id, path), _) in gone.iter().zip(removed).filter(|(_, removed)| *removed) {
                info!(file_path = path, file_id = id, "a file is missing");
                self.summary.removed += 1;
            }
        }
        Ok(())
    }

    /// Those of the rows of which there still is no file, with their paths.
    fn really_gone(&mut self, rows: &[Vanished]) -> Result<Vec<(i64, String)>, Error> {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let paths = self.read_library(|tx| files::paths(tx, &ids))?;
        let mut gone = Vec::new();
        for (row, path) in rows.iter().zip(paths) {
            self.check()?;
            self.beat_if_due();
            self.context.progress.alive();
            if let Some(path) = path.filter(|path| root::is_gone(&self.task.root, path) == Ok(true)) {
                gone.push((row.id, path));
            }
        }
        Ok(gone)
    }
}
