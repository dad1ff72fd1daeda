//! `vpo restore FILE`: replaces the database with a backup.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::backup::failed;
use super::{EXIT_FAILURE, configure, inspect, output};
use crate::base::signals::Stop;
use crate::base::text::{Text, plural};
use crate::cli::RestoreArgs;
use crate::config::{Config, Environment};
use crate::library::backup::{Options, Restored, restore};

/// Runs `vpo restore`.
#[must_use]
pub(crate) fn run(args: &RestoreArgs) -> ExitCode {
    let stop = match Stop::listen() {
        Ok(stop) => stop,
        Err(error) => return output::fail(&error, EXIT_FAILURE),
    };
    let config = match configure(&args.layer(), Config::resolve_without_secrets) {
        Ok(resolved) => resolved.config,
        Err(code) => return code,
    };
    let environment = Environment::from_process();
    let options = Options {
        create_directory: config.is_default_path,
        runtime_directory: environment.runtime_directory(),
    };
    match restore(Path::new(&args.file), &config.database.path, options, stop.cancel()) {
        Ok(restored) if args.json => output::print_json(&json(&restored)),
        Ok(restored) => output::print(&text(&restored)),
        Err(error) => failed(&error, &stop),
    }
}

fn json(restored: &Restored) -> Value {
    let shown = |path: &PathBuf| path.display().to_string();
    json!({
        "path": shown(&restored.path),
        "bytes": restored.bytes,
        "files": restored.files,
        "kept": restored.kept.as_ref().map(shown),
        "set_aside": restored.aside.iter().map(shown).collect::<Vec<_>>(),
        "seconds": restored.took.as_secs_f64(),
    })
}

fn text(restored: &Restored) -> Text {
    let mut text = Text::default();
    text.push_line(format_args!(
        "{}: restored, {}, {}, checked ({:.2} s)",
        restored.path.display(),
        plural(restored.files, "file"),
        inspect::bytes(restored.bytes),
        restored.took.as_secs_f64()
    ));
    if let Some(kept) = &restored.kept {
        let kept = kept.display();
        text.push_line(format_args!("the previous database is kept as {kept}; to remove it: rm '{kept}'*"));
    }
    for aside in &restored.aside {
        text.push_line(format_args!("the log of a lost database is kept as {}", aside.display()));
    }
    if let Some(daemon) = &restored.daemon {
        text.push_line(format_args!("{daemon} adopts it within 2 s"));
    }
    text
}
