//! `vpo config`: prints the effective configuration as TOML with each value's origin; `--check` only validates.

use std::process::ExitCode;

use super::{configure, output};
use crate::base::text::{Text, is_unsafe, to_json};
use crate::cli::ConfigArgs;
use crate::config::keys::SECTIONS;
use crate::config::{Config, Origin, Resolved, Shown};

/// Runs `vpo config`.
#[must_use]
pub(crate) fn run(args: &ConfigArgs) -> ExitCode {
    // Reads the token too, so that every problem that prevents a start is reported here.
    match configure(&args.layer(), Config::resolve) {
        Ok(resolved) => output::print(&if args.check { confirmation(&resolved) } else { toml(&resolved) }),
        Err(code) => code,
    }
}

fn confirmation(resolved: &Resolved) -> Text {
    match &resolved.file {
        Some(file) => Text::line(format_args!("OK: {} is valid", file.display())),
        None => Text::line("OK: valid, without a configuration file"),
    }
}

/// The configuration as a TOML file that results in the same configuration.
fn toml(resolved: &Resolved) -> Text {
    let mut text = Text::default();
    let shown = resolved.config.shown();
    for section in SECTIONS {
        if text != Text::default() {
            text.end_line();
        }
        text.push_line(format_args!("[{section}]"));
        let fields = shown.iter().filter_map(|(name, shown)| {
            let field = name.strip_prefix(section)?.strip_prefix('.')?;
            Some(line(field, shown, resolved.origins.get(name)))
        });
        fields.for_each(|line| text.push_line(line));
    }
    text
}

fn line(field: &str, shown: &Shown, origin: Option<&Origin>) -> String {
    let origin = origin.unwrap_or(&Origin::Default);
    match shown {
        Shown::Unset => format!("# {field} is not set"),
        Shown::Secret => format!("# {field} = \"***\" # {origin}"),
        Shown::Value(value) => format!("{field} = {} # {origin}", written(value)),
    }
}

/// A value as TOML on one line. Characters that control a terminal are escaped as `\u001b`.
pub(super) fn written(value: &toml::Value) -> String {
    let plain = value.to_string();
    match value {
        _ if !plain.contains(is_unsafe) => plain,
        // A string in JSON is also a basic string in TOML.
        toml::Value::String(text) => to_json(text).unwrap_or(plain),
        toml::Value::Array(items) => {
            format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "))
        }
        _ => plain,
    }
}
