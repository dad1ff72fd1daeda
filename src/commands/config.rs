//! `vpo config`: prints the effective configuration as TOML with each value's origin; `--check` only validates.

use std::fmt::Write;
use std::process::ExitCode;

use super::{configure, output};
use crate::cli::ConfigArgs;
use crate::config::keys::SECTIONS;
use crate::config::{Config, Origin, Resolved, Shown};

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
        let fields = shown.iter().filter_map(|(name, shown)| {
            let field = name.strip_prefix(section)?.strip_prefix('.')?;
            Some(line(field, shown, resolved.origins.get(name)))
        });
        for line in fields {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

fn line(field: &str, shown: &Shown, origin: Option<&Origin>) -> String {
    let origin = origin.unwrap_or(&Origin::Default);
    match shown {
        Shown::Unset => format!("# {field} is not set"),
        Shown::Secret => format!("# {field} = \"***\" # {origin}"),
        Shown::Value(value) => format!("{field} = {value} # {origin}"),
    }
}
