//! The command line: argv → [`Command`] (argh), and each command's flags → [`crate::config::Layer`].
//!
//! argh's `from_env` exits with 1 on a usage error; [`parse()`] returns errors that exit with 64. Arguments must be
//! UTF-8 (else 64). This module does not read files or the environment, and does not run commands.
//!
//! Values of configuration keys stay text here. The configuration parses them with those of the other layers, so
//! that one report lists all problems.

mod copies;
mod history;
mod parse;
mod scan;

use std::time::Duration;

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};

use crate::config::Layer;
use crate::config::keys::keys;

pub(crate) use copies::{BackupArgs, RestoreArgs};
pub(crate) use history::{ChangesArgs, ForgetArgs};
use parse::refused;
pub(crate) use parse::{Parsed, UsageError, parse};
pub(crate) use scan::ScanArgs;

/// Video Policy Orchestrator: records the video files of a home library and reports its own health.
#[derive(ArgsInfo, FromArgs, Clone, Debug, PartialEq)]
#[argh(
    help_triggers("-h", "--help", "help"),
    note = "Each key of the configuration has a variable, such as VPO_SCAN_ROOTS for scan.roots:",
    note = "`vpo config` prints every key with its value and where that is from.",
    note = "VPO_CONFIG_PATH: the configuration file. NO_COLOR: no colours."
)]
struct Vpo {
    /// print name, version and schema version
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

/// A command with its arguments.
#[derive(ArgsInfo, FromArgs, Clone, Debug, PartialEq)]
#[argh(subcommand)]
pub enum Command {
    Serve(ServeArgs),
    Healthcheck(HealthcheckArgs),
    Config(ConfigArgs),
    Scan(ScanArgs),
    Inspect(InspectArgs),
    List(ListArgs),
    Changes(ChangesArgs),
    Forget(ForgetArgs),
    Stats(StatsArgs),
    Status(StatusArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Version(VersionArgs),
}

/// `vpo serve` and `vpo config` with the flags that [`keys`](crate::config::keys) declares.
macro_rules! commands {
    ($($(#[$section_doc:meta])* $section:ident: $Section:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty $(= $default:expr)?, $change:ident, $expects:literal
            $(, flag $long:tt $arg:tt $help:tt $([$short:tt])?)? $(, repeated $repeated:tt)?;)*
    })*) => {
        command! {
            ServeArgs "serve" "Run the daemon, in the foreground." "vpo serve --root /srv/films" {}
            $($($($field $long $arg $help [$($short)?];)?)*)*
        }
        command! {
            ConfigArgs "config" "Print the effective configuration with the origin of each value." "vpo config --check" {
                /// only check whether the configuration is valid
                #[argh(switch)]
                pub check: bool,
            }
            $($($($field $long $arg $help [$($short)?];)?)*)*
        }
    };
}

macro_rules! command {
    ($Args:ident $name:tt $what:tt $example:tt { $($own:tt)* }
        $($field:ident $long:tt $arg:tt $help:tt [$($short:tt)?];)*) => {
        #[doc = $what]
        #[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
        #[argh(
            subcommand,
            name = $name,
            help_triggers("-h", "--help"),
            example = $example,
            note = "Each key has a variable, too: `vpo config` prints them."
        )]
        pub struct $Args {
            $($own)*
            /// configuration file
            #[argh(option, short = 'c', arg_name = "file")]
            pub config: Option<String>,
            $(
                #[doc = $help]
                #[argh(option, long = $long, arg_name = $arg $(, short = $short)?)]
                pub $field: Option<String>,
            )*
            /// a directory of videos (repeatable)
            #[argh(option, arg_name = "directory")]
            pub root: Vec<String>,
            /// the older spelling of --root
            #[argh(option, hidden_help)]
            pub library: Vec<String>,
        }

        impl $Args {
            /// The layer of the flags.
            #[must_use]
            pub fn layer(&self) -> Layer {
                let values = [$((concat!("--", $long), self.$field.as_deref()),)*];
                Layer::from_flags(self.config.as_deref(), values, &[&self.root[..], &self.library].concat())
            }
        }
    };
}

keys!(commands);

/// Query the health of the running daemon: exit code 0 healthy, 1 not.
#[derive(ArgsInfo, FromArgs, Clone, Debug, PartialEq)]
#[argh(
    subcommand,
    name = "healthcheck",
    help_triggers("-h", "--help"),
    example = "vpo healthcheck --strict",
    note = "VPO_DATABASE_PATH: the database file, where --database is not given"
)]
pub struct HealthcheckArgs {
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// health (default), livez or readyz
    #[argh(option, default = "Route::Health", from_str_fn(route))]
    pub route: Route,
    /// database file, whose lock file contains the daemon's address
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
    /// warnings are failures, too
    #[argh(switch)]
    pub strict: bool,
    /// seconds to wait for the answer (default 2)
    #[argh(option, arg_name = "seconds", default = "Duration::from_secs(2)", from_str_fn(timeout))]
    pub timeout: Duration,
}

/// The route that `vpo healthcheck` queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/health`
    Health,
    /// `/livez`
    Livez,
    /// `/readyz`
    Readyz,
}

fn route(text: &str) -> Result<Route, String> {
    match text {
        "health" => Ok(Route::Health),
        "livez" => Ok(Route::Livez),
        "readyz" => Ok(Route::Readyz),
        _ => Err(refused("--route", text, "give health, livez or readyz")),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|time| !time.is_zero() && *time <= Duration::from_secs(3600))
        .ok_or_else(|| refused("--timeout", text, "give seconds above 0 and up to 3600"))
}

/// Show a video file's container and tracks.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(subcommand, name = "inspect", help_triggers("-h", "--help"), example = "vpo inspect film.mkv")]
pub struct InspectArgs {
    /// one JSON object a file, each on a line
    #[argh(switch)]
    pub json: bool,
    /// files, and directories, of which all videos are meant
    #[argh(positional, arg_name = "file")]
    pub files: Vec<String>,
}

/// List the files of the library for which a query holds, such as 'not exists(subtitle, lang == eng)'.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "list",
    help_triggers("-h", "--help"),
    example = "vpo list 'not exists(subtitle, lang == eng)'",
    example = "vpo list --has video:hevc --sort -size",
    note = "VPO_DATABASE_PATH: the database file, where --database is not given",
    note = "NO_COLOR: no colours, where --color is not given"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct ListArgs {
    /// a track that files must have, such as subtitle:eng or video:hevc (repeatable)
    #[argh(option, arg_name = "type:value")]
    pub has: Vec<String>,
    /// a track that files must not have (repeatable)
    #[argh(option, arg_name = "type:value")]
    pub lacks: Vec<String>,
    /// only files below this directory
    #[argh(option, long = "in", arg_name = "directory")]
    pub below: Option<String>,
    /// only files that are shorter than their container says
    #[argh(switch)]
    pub truncated: bool,
    /// only files whose content another file probably has, too
    #[argh(switch)]
    pub duplicates: bool,
    /// missing files too
    #[argh(switch)]
    pub missing: bool,
    /// the order, such as path, size or duration; -size begins with the largest (default: as recorded)
    #[argh(option, arg_name = "key")]
    pub sort: Option<String>,
    /// at most so many files
    #[argh(option, arg_name = "number", from_str_fn(whole_number))]
    pub limit: Option<u64>,
    /// one JSON object a file, each on a line
    #[argh(switch)]
    pub json: bool,
    /// comma-separated values with a heading (RFC 4180)
    #[argh(switch)]
    pub csv: bool,
    /// only paths, each on a line
    #[argh(switch)]
    pub paths: bool,
    /// only paths, each followed by a NUL byte, for xargs -0
    #[argh(switch, short = '0')]
    pub print0: bool,
    /// print the query that the flags stand for
    #[argh(switch)]
    pub verbose: bool,
    /// auto (default), always or never
    #[argh(option, arg_name = "when", default = "Colour::Auto", from_str_fn(colour))]
    pub color: Colour,
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// database file (default ~/.vpo/library.db)
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
    /// which files (default: all)
    #[argh(positional, arg_name = "query")]
    pub query: Option<String>,
}

/// Count files, hours and bytes of the library, or of the files for which a query holds.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "stats",
    help_triggers("-h", "--help"),
    example = "vpo stats --by codec",
    example = "vpo stats --by language 'duration > 1h'",
    note = "VPO_DATABASE_PATH: the database file, where --database is not given",
    note = "NO_COLOR: no colours, where --color is not given"
)]
pub struct StatsArgs {
    /// codec, resolution, hdr, language, container or root
    #[argh(option, arg_name = "property")]
    pub by: Option<String>,
    /// missing files too
    #[argh(switch)]
    pub missing: bool,
    /// print the result as JSON
    #[argh(switch)]
    pub json: bool,
    /// auto (default), always or never
    #[argh(option, arg_name = "when", default = "Colour::Auto", from_str_fn(colour))]
    pub color: Colour,
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// database file (default ~/.vpo/library.db)
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
    /// which files (default: all)
    #[argh(positional, arg_name = "query")]
    pub query: Option<String>,
}

/// Show the daemon, its roots, running scans, the database's disk, and problems.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "status",
    help_triggers("-h", "--help"),
    example = "vpo status --json",
    note = "VPO_DATABASE_PATH: the database file, where --database is not given",
    note = "NO_COLOR: no colours, where --color is not given"
)]
pub struct StatusArgs {
    /// print the result as JSON
    #[argh(switch)]
    pub json: bool,
    /// auto (default), always or never
    #[argh(option, arg_name = "when", default = "Colour::Auto", from_str_fn(colour))]
    pub color: Colour,
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// database file (default ~/.vpo/library.db)
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

fn colour(text: &str) -> Result<Colour, String> {
    match text {
        "auto" => Ok(Colour::Auto),
        "always" => Ok(Colour::Always),
        "never" => Ok(Colour::Never),
        _ => Err(refused("--color", text, "give auto, always or never")),
    }
}

fn whole_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| refused("--limit", text, "give a whole number"))
}

/// Print the version, the schema version of the library, and the commit of the build where it is known.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(subcommand, name = "version", help_triggers("-h", "--help"))]
pub struct VersionArgs {
    /// print the result as JSON
    #[argh(switch)]
    pub json: bool,
}

/// The declared commands with their flags.
pub(crate) fn declarations() -> CommandInfoWithArgs {
    Vpo::get_args_info()
}

/// The layer of commands whose only keys are the configuration file and the database.
macro_rules! layers {
    ($($name:ident),*) => {
        $(impl $name {
            /// The layer of the flags.
            #[must_use]
            pub fn layer(&self) -> Layer {
                Layer::from_flags(self.config.as_deref(), [("--database", self.database.as_deref())], &[])
            }
        })*
    };
}

layers!(HealthcheckArgs, StatsArgs, StatusArgs, ListArgs, BackupArgs, RestoreArgs, ChangesArgs, ForgetArgs);
