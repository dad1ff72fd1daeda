//! The flags of `vpo changes` and `vpo forget`.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::{refused, whole_number};

/// List what happened to the files of the library, the latest change first.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(subcommand, name = "changes", help_triggers("-h", "--help"))]
pub struct ChangesArgs {
    /// one JSON object a change, each on a line
    #[argh(switch)]
    pub json: bool,
    /// only changes of that time until now, such as 7d
    #[argh(option, arg_name = "age", from_str_fn(since))]
    pub since: Option<Duration>,
    /// at most so many changes
    #[argh(option, arg_name = "number", from_str_fn(whole_number))]
    pub limit: Option<u64>,
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// database file (default ~/.vpo/library.db)
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
}

/// Remove the rows of files that are missing for long, with their tracks.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(subcommand, name = "forget", help_triggers("-h", "--help"))]
pub struct ForgetArgs {
    /// for how long, such as 90d
    #[argh(option, arg_name = "age", from_str_fn(missing_for))]
    pub missing_for: Duration,
    /// only print what would be removed
    #[argh(switch)]
    pub dry_run: bool,
    /// print the numbers as JSON
    #[argh(switch)]
    pub json: bool,
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// database file (default ~/.vpo/library.db)
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
}

fn since(text: &str) -> Result<Duration, String> {
    age("--since", text)
}

fn missing_for(text: &str) -> Result<Duration, String> {
    age("--missing-for", text)
}

/// A number of hours, days or weeks.
fn age(flag: &str, text: &str) -> Result<Duration, String> {
    const HOURS: [(char, u64); 3] = [('h', 1), ('d', 24), ('w', 7 * 24)];
    let parsed = HOURS.iter().find_map(|(unit, hours)| {
        let number: u32 = text.strip_suffix(*unit)?.parse().ok()?;
        Some(Duration::from_secs(u64::from(number) * hours * 3600))
    });
    parsed.ok_or_else(|| refused(flag, text, "give hours, days or weeks, such as 12h, 90d or 8w"))
}
