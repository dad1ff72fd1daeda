//! `vpo config`: prints the effective configuration as TOML with each value's origin; `--check` only validates.

use std::fmt::Write;
use std::process::ExitCode;

use super::{configure, output};
use crate::cli::ConfigArgs;
use crate::config::keys::{KEYS, Key, SECTIONS};
use crate::config::{Config, Resolved, Shown};

/// Runs `vpo config`.
#[must_use]
pub fn run(args: &ConfigArgs) -> ExitCode {
    // With the secrets, also where it only prints: what would keep the daemon from starting is said here too.
    match configure(&args.layer(), Config::resolve) {
        Ok(resolved) => output::print(&if args.check { verdict(&resolved) } else { toml(&resolved) }),
        Err(code) => code,
    }
}

fn verdict(resolved: &Resolved) -> String {
    match &resolved.file {
        Some(file) => format!("OK: {} is valid\n", file.display().to_string().escape_debug()),
        None => "OK: valid, without a configuration file\n".into(),
    }
}

/// The configuration as a file that leads to the same configuration.
fn toml(resolved: &Resolved) -> String {
    let mut text = String::new();
    let shown = resolved.config.shown();
    for section in SECTIONS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}[{section}]", if text.is_empty() { "" } else { "\n" });
        for (key, shown) in KEYS.iter().zip(&shown).filter(|(key, _)| key.section == *section) {
            let _ = writeln!(text, "{}", line(resolved, key, &shown.1));
        }
    }
    text
}

fn line(resolved: &Resolved, key: &Key, shown: &Shown) -> String {
    let Key { name, field, .. } = key;
    let origin = resolved.origins.get(name).map_or_else(|| "default".into(), ToString::to_string);
    match shown {
        Shown::Unset => format!("# {field} is not set"),
        Shown::Secret => format!("# {field} = \"***\" # {origin}"),
        Shown::Value(value) => format!("{field} = {value} # {origin}"),
    }
}
