//! Verifies the content of a database before it is used.

use std::path::Path;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::OpenError;
use super::refusal::refused;
use crate::base::retry::Failure;
use crate::base::times::DATABASE_ATTEMPT_TIMEOUT;
use crate::library::connection::{self, Reader};
use crate::library::identity::{Known, Row, Stamp};
use crate::library::session::failure;
use crate::library::{Error, Retry, schema};

/// A database of ours.
pub(super) enum Recognised {
    /// It can be read; what identifies its content.
    Whole(Known),
    /// A program died while it wrote, and SQLite reads nothing before that write is rolled back.
    Unfinished,
}

/// Verifies the content, through one connection that only reads.
pub(super) fn recognise(
    reader: &Reader,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<Recognised, OpenError> {
    let found = Retry::new(cancel).run(path, || {
        let stamp = std::fs::metadata(path).map(|found| Stamp::of(&found));
        let stamp = stamp
            .map_err(|source| Failure::Permanent(Error::Unreachable { path: path.to_owned(), source }))?;
        let read = reader.read(DATABASE_ATTEMPT_TIMEOUT, |connection| {
            let tx = connection.unchecked_transaction()?;
            Ok(match schema::verify(&tx)? {
                Ok(()) => Ok((schema::unused(&tx).unwrap_or_default(), Row::read(&tx)?)),
                Err(mismatch) => Err(mismatch),
            })
        });
        read.map(|read| (stamp, read)).map_err(|source| failure(path, source))
    });
    match found {
        Ok((stamp, Ok((unused, row)))) => {
            if !unused.is_empty() {
                warn!(path = %path.display(), "triggers and views are ignored: {}", unused.join(", "));
            }
            Ok(Recognised::Whole(Known { stamp, row }))
        }
        Ok((_, Err(mismatch))) => Err(OpenError::NotOurs { path: path.to_owned(), mismatch }),
        // Rolling back a hot journal modifies the file, so verify the schema first, without applying the journal.
        Err(Error::Sqlite { source, .. }) if connection::is_unfinished(&source) => {
            match reader.read_as_it_is(|connection| schema::verify(connection)) {
                Ok(Ok(())) => Ok(Recognised::Unfinished),
                Ok(Err(mismatch)) => Err(OpenError::NotOurs { path: path.to_owned(), mismatch }),
                Err(_) => Err(OpenError::Unfinished { path: path.to_owned() }),
            }
        }
        Err(error) => Err(refused(path, error)),
    }
}
