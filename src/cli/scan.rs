//! The flags of `vpo scan`.

use argh::{ArgsInfo, FromArgs};

use crate::config::Layer;

/// Scan the roots once and record changes in the database.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "scan",
    help_triggers("-h", "--help"),
    example = "vpo scan --dry-run /srv/films",
    note = "VPO_SCAN_ROOTS: the roots, where --root is not given",
    note = "VPO_DATABASE_PATH: the database file, where --database is not given"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct ScanArgs {
    /// print the summary and every change as JSON
    #[argh(switch)]
    pub json: bool,
    /// name every file that has changed, not only ten of a kind
    #[argh(switch)]
    pub verbose: bool,
    /// only print what a scan would change
    #[argh(switch)]
    pub dry_run: bool,
    /// make a new database, even if a running daemon scans the same root
    #[argh(switch)]
    pub create: bool,
    /// mark files as missing even when they are many
    #[argh(switch)]
    pub accept_missing: bool,
    /// read every file again, also those that have not changed
    #[argh(switch)]
    pub full: bool,
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// database file (default ~/.vpo/library.db)
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
    /// debug, info, warning or error (default info)
    #[argh(option, arg_name = "level")]
    pub log_level: Option<String>,
    /// a directory of videos (repeatable)
    #[argh(option, arg_name = "directory")]
    pub root: Vec<String>,
    /// the older spelling of --root
    #[argh(option, hidden_help)]
    pub library: Vec<String>,
    /// what to scan (default: every root)
    #[argh(positional, arg_name = "path")]
    pub paths: Vec<String>,
}

impl ScanArgs {
    /// The layer of the flags.
    #[must_use]
    pub fn layer(&self) -> Layer {
        let values = [("--database", self.database.as_deref()), ("--log-level", self.log_level.as_deref())];
        Layer::from_flags(self.config.as_deref(), values, &[&self.root[..], &self.library].concat())
    }
}
