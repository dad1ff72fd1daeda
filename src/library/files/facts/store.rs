//! Writes facts: creates their tables, and the statements of one batch.

use rusqlite::types::{Null, ToSqlOutput, ValueRef};
use rusqlite::{Statement, ToSql, Transaction};

use super::{FOUND, StoredTrackFacts, are_stored, statements};
use crate::base::facts::{Facts, Value};
use crate::base::timestamp::Timestamp;
use crate::library::files::writer::Record;
use crate::library::own::unless_irreplaceable;

/// Creates the tables where they are not there or of another shape, and the row of `_meta` that states their version. `false`
/// if what has their names cannot be removed; then no facts are stored.
fn prepare(tx: &Transaction<'_>) -> rusqlite::Result<bool> {
    let problem = format_args!(
        "cannot store facts of files: what has the names daemon_files and daemon_tracks cannot be replaced"
    );
    if !are_stored(tx)? && !unless_irreplaceable("daemon_files", problem, replace(tx))? {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO _meta (key, value) SELECT 'daemon_tables', '1'
         WHERE NOT EXISTS (SELECT 1 FROM _meta WHERE key = 'daemon_tables')",
        [],
    )?;
    Ok(true)
}

/// Creates the tables in place of those that are there. When files were first seen is kept: it is not read again.
fn replace(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let is_kept = states_first_seen(tx)?
        && tx.execute_batch("ALTER TABLE daemon_files RENAME TO daemon_files_before").is_ok();
    for (kind, name, _) in found(tx)? {
        // An index or a trigger goes with its table.
        if ["table", "view"].contains(&kind.as_str()) {
            tx.execute_batch(&format!("DROP {kind} \"{name}\""))?;
        }
    }
    statements().iter().try_for_each(|statement| tx.execute_batch(statement))?;
    if is_kept {
        // As rows that a prober before the first one has read.
        tx.execute_batch(
            "INSERT INTO daemon_files (file_id, prober, size_bytes, modified_at, first_seen)
             SELECT f.id, 0, f.size_bytes, f.modified_at, b.first_seen
             FROM daemon_files_before AS b JOIN files AS f ON f.id = b.file_id WHERE b.first_seen IS NOT NULL;
             DROP TABLE daemon_files_before",
        )?;
    }
    tx.execute("DELETE FROM _meta WHERE key = 'daemon_tables'", []).map(drop)
}

fn found(tx: &Transaction<'_>) -> rusqlite::Result<Vec<(String, String, String)>> {
    let mut statement = tx.prepare(FOUND)?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

/// Whether a table of another version has the column `first_seen`, and computes nothing.
fn states_first_seen(tx: &Transaction<'_>) -> rusqlite::Result<bool> {
    // SQLite cannot list the columns of a virtual table whose module is missing.
    let is_plain = |(_, name, sql): &(String, String, String)| {
        name.eq_ignore_ascii_case("daemon_files") && sql.starts_with("CREATE TABLE ")
    };
    let columns = "SELECT count(*) = 2 FROM pragma_table_xinfo('daemon_files')
        WHERE name IN ('file_id', 'first_seen') AND hidden = 0";
    Ok(found(tx)?.iter().any(is_plain) && tx.query_one(columns, [], |row| row.get(0))?)
}

/// The statements that write facts.
pub(in crate::library::files) struct FactsWriter<'tx> {
    file: Statement<'tx>,
    track: Statement<'tx>,
    clear: Statement<'tx>,
    forget: Statement<'tx>,
}

impl<'tx> FactsWriter<'tx> {
    /// Prepares the statements; `None` if no facts can be stored.
    pub(in crate::library::files) fn new(tx: &'tx Transaction<'_>) -> rusqlite::Result<Option<Self>> {
        if !prepare(tx)? {
            return Ok(None);
        }
        let placeholders = |count: usize| vec!["?"; count].join(", ");
        let kept = ["prober", "size_bytes", "modified_at", "duration_seconds"].into_iter();
        let replaced: Vec<String> = kept
            .chain(Facts::COLUMNS.iter().map(|(name, _)| *name))
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        Ok(Some(Self {
            // When the file was first seen stays.
            file: tx.prepare(&format!(
                "INSERT INTO daemon_files VALUES ({}) ON CONFLICT (file_id) DO UPDATE SET {},
                    first_seen = coalesce(excluded.first_seen, daemon_files.first_seen)",
                placeholders(6 + Facts::COLUMNS.len()),
                replaced.join(", ")
            ))?,
            track: tx.prepare(&format!(
                "INSERT OR REPLACE INTO daemon_tracks VALUES ({})",
                placeholders(2 + StoredTrackFacts::COLUMNS.len())
            ))?,
            clear: tx.prepare("DELETE FROM daemon_tracks WHERE file_id = ?1")?,
            forget: tx.prepare(
                "DELETE FROM daemon_files WHERE file_id = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE id = ?1)",
            )?,
        }))
    }

    /// Records the facts of the row `id`, in place of those that were recorded. A `first_seen` of `None` leaves the time as it
    /// is.
    pub(in crate::library::files) fn write(
        &mut self,
        id: i64,
        record: &Record<'_>,
        first_seen: Option<Timestamp>,
    ) -> rusqlite::Result<()> {
        let mut of_broken = Facts::default();
        let (facts, duration) = match &record.content {
            Ok(found) => (found.facts, found.duration_seconds),
            Err(failure) => {
                of_broken.missing_bytes = failure.missing_bytes;
                (&of_broken, None)
            }
        };
        let mut row = Binding::new(&mut self.file);
        row.add(&id);
        row.add(&record.prober);
        row.add(&record.size.cast_signed());
        row.add(&record.modified);
        row.add(&first_seen);
        row.add(&duration);
        facts.each(&mut |_, value| row.add(&value));
        row.execute()
    }

    /// Records the facts of the tracks of the row `id`. Of a track without facts there is no row.
    pub(in crate::library::files) fn write_tracks(
        &mut self,
        id: i64,
        record: &Record<'_>,
        is_new: bool,
    ) -> rusqlite::Result<()> {
        if !is_new {
            self.clear.execute([id])?;
        }
        let Ok(content) = &record.content else { return Ok(()) };
        for (index, (_, facts)) in (0_i64..).zip(&content.tracks) {
            let mut is_empty = true;
            facts.each(&mut |_, value| is_empty &= value == Value::Null);
            if !is_empty {
                let mut row = Binding::new(&mut self.track);
                row.add(&id);
                row.add(&index);
                facts.each(&mut |_, value| row.add(&value));
                row.execute()?;
            }
        }
        Ok(())
    }

    /// Deletes the facts of `id`, if `files` has no such row.
    pub(in crate::library::files) fn forget(&mut self, id: i64) -> rusqlite::Result<()> {
        if self.forget.execute([id])? > 0 {
            self.clear.execute([id])?;
        }
        Ok(())
    }
}

/// The values of one row, bound one after the other.
struct Binding<'a, 'tx> {
    statement: &'a mut Statement<'tx>,
    count: usize,
    bound: rusqlite::Result<()>,
}

impl<'a, 'tx> Binding<'a, 'tx> {
    fn new(statement: &'a mut Statement<'tx>) -> Self {
        Self { statement, count: 0, bound: Ok(()) }
    }

    fn add(&mut self, value: &dyn ToSql) {
        self.count += 1;
        if self.bound.is_ok() {
            self.bound = self.statement.raw_bind_parameter(self.count, value);
        }
    }

    fn execute(self) -> rusqlite::Result<()> {
        self.bound?;
        self.statement.raw_execute().map(drop)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => Null.into(),
            Self::Flag(flag) => ToSqlOutput::Owned((*flag).into()),
            Self::Integer(number) => ToSqlOutput::Owned((*number).into()),
            Self::Real(number) => ToSqlOutput::Owned((*number).into()),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}
