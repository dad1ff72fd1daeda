//! `vpo version` and `vpo --version`: name, version, schema version of the library, and the commit of the build.

use std::process::ExitCode;

use serde_json::json;

use super::output;
use crate::base::text::Text;
use crate::cli::VersionArgs;
use crate::library::SCHEMA_VERSION;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit and its date, such as `9ca8149 2026-11-28`, if the build was given them.
const BUILD: Option<&str> = option_env!("VPO_COMMIT");

/// Runs `vpo version`.
#[must_use]
pub(crate) fn run(args: &VersionArgs) -> ExitCode {
    let build = commit_and_date(BUILD);
    if args.json {
        let (commit, date) = build.unzip();
        let value =
            json!({"version": VERSION, "schema_version": SCHEMA_VERSION, "commit": commit, "date": date});
        return output::print_json(&value);
    }
    let mut text = Text::line(format_args!("vpo {VERSION} (library schema {SCHEMA_VERSION})"));
    if let Some((commit, date)) = build {
        text.push_line(format_args!("commit {commit} of {date}"));
    }
    output::print(&text)
}

fn commit_and_date(build: Option<&str>) -> Option<(&str, &str)> {
    build?.split_once(' ').filter(|(commit, date)| !commit.is_empty() && !date.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_is_known_only_with_its_date() {
        assert_eq!(commit_and_date(Some("9ca8149 2026-11-28")), Some(("9ca8149", "2026-11-28")));
        for build in [None, Some(""), Some("9ca8149"), Some(" "), Some("9ca8149 ")] {
            assert_eq!(commit_and_date(build), None, "{build:?}");
        }
    }
}
