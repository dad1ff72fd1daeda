//! `vpo forget --missing-for AGE`: removes the rows of files that are gone for that long.
//!
//! It writes in short transactions, as every SQLite program may beside a running daemon. A scan that runs meanwhile finds the
//! rows gone, or finds a file that is back first, whose row then stays.

use std::process::ExitCode;

use serde_json::json;

use super::{EXIT_FAILURE, configure, output};
use crate::base::signals::Stop;
use crate::base::text::{Text, plural};
use crate::base::timestamp::Timestamp;
use crate::cli::ForgetArgs;
use crate::config::{Config, Environment};
use crate::library::forget::{self, Forgotten};
use crate::library::lock::LockError;
use crate::library::{self, Library, OpenError, Retry};

/// Files of one transaction.
const BATCH: usize = 500;

/// Runs `vpo forget`.
#[must_use]
pub(crate) fn run(args: &ForgetArgs) -> ExitCode {
    let stop = match Stop::listen() {
        Ok(stop) => stop,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let config = match configure(&args.layer(), Config::resolve_without_secrets) {
        Ok(resolved) => resolved.config,
        Err(code) => return code,
    };
    let forgotten = match open(args, &config, &stop) {
        Ok(library) => remove(args, &library, &stop),
        Err(code) => return code,
    };
    let Forgotten { files, tracks, subtitles } = match forgotten {
        Ok(forgotten) => forgotten,
        Err(code) => return code,
    };
    if args.json {
        return output::print_json(&json!({
            "files": files, "tracks": tracks, "subtitles": subtitles, "dry_run": args.dry_run,
        }));
    }
    output::print(&Text::line(format_args!(
        "{}{} with {} and {}",
        if args.dry_run { "would forget " } else { "forgot " },
        plural(files, "file"),
        plural(tracks, "track"),
        plural(subtitles, "subtitle file"),
    )))
}

/// Opens the database: for reading, or for writing, beside a daemon or with its lock.
fn open(args: &ForgetArgs, config: &Config, stop: &Stop) -> Result<Library, ExitCode> {
    let path = &config.database.path;
    if args.dry_run || !path.exists() {
        return Library::view(path, stop.cancel()).map_err(|error| output::fail(&error, EXIT_FAILURE));
    }
    let environment = Environment::from_process();
    let runtime_directory = environment.runtime_directory();
    let options = library::Options { write: true, create_directory: false, runtime_directory };
    match Library::open(path, options, stop.cancel()) {
        Ok(library) => Ok(library),
        Err(OpenError::Lock(LockError::Held { .. })) => {
            if let Some(detail) = library::lock::damage(path, runtime_directory) {
                output::complain(&format_args!(
                    "error[database-damaged]: the daemon has found {} damaged ({detail}), and nothing is written to it. \
                     Restore a backup with `vpo restore`",
                    path.display()
                ));
                return Err(ExitCode::from(EXIT_FAILURE));
            }
            Library::visit(path, stop.cancel()).map_err(|error| output::fail(&error, EXIT_FAILURE))
        }
        Err(error) => Err(output::fail(&error, EXIT_FAILURE)),
    }
}

/// Removes a batch after the other, or only counts and prints them.
fn remove(args: &ForgetArgs, library: &Library, stop: &Stop) -> Result<Forgotten, ExitCode> {
    let failed = |error: library::Error| match stop.code() {
        Some(code) => ExitCode::from(code),
        None => output::fail(&error, EXIT_FAILURE),
    };
    let before = Timestamp::now().before(args.missing_for);
    let retry = Retry::new(stop.cancel());
    let (mut forgotten, mut after) = (Forgotten::default(), 0);
    loop {
        let found = library.read(retry, |tx| forget::missing(tx, before, after, BATCH)).map_err(failed)?;
        let Some(last) = found.last() else { break };
        after = last.id;
        let removed = if args.dry_run {
            library.read(retry, |tx| forget::forget(tx, &found, true))
        } else {
            library.write(retry, |tx| forget::forget(tx, &found, false))
        };
        forgotten.add(removed.map_err(failed)?);
        if args.dry_run && !args.json {
            let mut text = Text::default();
            for file in &found {
                text.push_line(format_args!("{}", file.path));
            }
            if let Some(code) = output::print_part(&text).break_value() {
                return Err(code);
            }
        }
    }
    if let Err(error) = library.close() {
        return Err(output::fail(&error, EXIT_FAILURE));
    }
    Ok(forgotten)
}
