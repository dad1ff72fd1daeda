//! `vpo backup FILE`: copies the database into one file and checks the copy.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::{EXIT_FAILURE, configure, database, inspect, output};
use crate::base::signals::Stop;
use crate::base::text::{Text, plural};
use crate::cli::BackupArgs;
use crate::config::{Config, Environment};
use crate::library::backup::{self, Error};

/// Runs `vpo backup`.
#[must_use]
pub(crate) fn run(args: &BackupArgs) -> ExitCode {
    let stop = match Stop::listen() {
        Ok(stop) => stop,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let config = match configure(&args.layer(), Config::resolve_without_secrets) {
        Ok(resolved) => resolved.config,
        Err(code) => return code,
    };
    let database = database::find(&config, &Environment::from_process());
    let made = match backup::back_up(&database, Path::new(&args.file), stop.cancel()) {
        Ok(made) => made,
        Err(error) => return failed(&error, &stop),
    };
    let path = made.path.display();
    if args.json {
        let value = json!({
            "path": path.to_string(),
            "bytes": made.bytes,
            "files": made.files,
            "seconds": made.took.as_secs_f64(),
        });
        return output::print_json(&value);
    }
    let mut text = Text::default();
    text.push_line(format_args!(
        "{path}: {}, {}, checked ({:.2} s)",
        plural(made.files, "file"),
        inspect::bytes(made.bytes),
        made.took.as_secs_f64()
    ));
    output::print(&text)
}

/// Reports why nothing was done, and returns the exit code.
pub(super) fn failed(error: &Error, stop: &Stop) -> ExitCode {
    match (error, stop.code()) {
        (_, Some(code)) => {
            output::complain(&"interrupted, nothing was changed");
            ExitCode::from(code)
        }
        (error, None) => output::fail(error, EXIT_FAILURE),
    }
}
