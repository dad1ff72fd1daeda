//! The flags of `vpo changes` and `vpo forget`.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::{Colour, colour, refused, whole_number};
use crate::base::timestamp::{self, Timestamp};

/// List what happened to the files of the library, or to those for which a query holds; the latest change first.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "changes",
    help_triggers("-h", "--help"),
    example = "vpo changes --since 7d",
    example = "vpo changes 'container == mkv'",
    note = "VPO_DATABASE_PATH: the database file, where --database is not given",
    note = "NO_COLOR: no colours, where --color is not given"
)]
pub struct ChangesArgs {
    /// one JSON object a change, each on a line
    #[argh(switch)]
    pub json: bool,
    /// only changes since then: an age such as 7d, or a date
    #[argh(option, arg_name = "when", from_str_fn(since))]
    pub since: Option<Timestamp>,
    /// at most so many changes
    #[argh(option, arg_name = "number", from_str_fn(whole_number))]
    pub limit: Option<u64>,
    /// auto (default), always or never
    #[argh(option, arg_name = "when", default = "Colour::Auto", from_str_fn(colour))]
    pub color: Colour,
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// database file (default ~/.vpo/library.db)
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
    /// of which files (default: all)
    #[argh(positional, arg_name = "query")]
    pub query: Option<String>,
}

/// Remove the rows of files that are missing for long, with their tracks.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "forget",
    help_triggers("-h", "--help"),
    example = "vpo forget --missing-for 90d --dry-run",
    note = "VPO_DATABASE_PATH: the database file, where --database is not given"
)]
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

fn since(text: &str) -> Result<Timestamp, String> {
    let since = Timestamp::since(text, Timestamp::now());
    since.ok_or_else(|| {
        refused("--since", text, "give an age such as 12h, 7d or 8w, or a date such as 2025-01-31")
    })
}

fn missing_for(text: &str) -> Result<Duration, String> {
    age("--missing-for", text)
}

/// A number of hours, days or weeks.
fn age(flag: &str, text: &str) -> Result<Duration, String> {
    let parsed = timestamp::age(text);
    parsed.ok_or_else(|| refused(flag, text, "give hours, days or weeks, such as 12h, 90d or 8w"))
}
