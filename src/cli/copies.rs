//! The flags of `vpo backup` and `vpo restore`.

use argh::{ArgsInfo, FromArgs};

/// Copy the database into one file, also while the daemon runs.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "backup",
    help_triggers("-h", "--help"),
    example = "vpo backup library-backup.db",
    note = "VPO_DATABASE_PATH: the database file, where --database is not given"
)]
pub struct BackupArgs {
    /// print the result as JSON
    #[argh(switch)]
    pub json: bool,
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// database file (default ~/.vpo/library.db)
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
    /// the backup to make; it must not exist
    #[argh(positional, arg_name = "file")]
    pub file: String,
}

/// Replace the database with a backup, also while the daemon runs.
#[derive(ArgsInfo, FromArgs, Clone, Debug, Default, PartialEq)]
#[argh(
    subcommand,
    name = "restore",
    help_triggers("-h", "--help"),
    example = "vpo restore library-backup.db",
    note = "VPO_DATABASE_PATH: the database file, where --database is not given"
)]
pub struct RestoreArgs {
    /// print the result as JSON
    #[argh(switch)]
    pub json: bool,
    /// configuration file
    #[argh(option, short = 'c', arg_name = "file")]
    pub config: Option<String>,
    /// database file (default ~/.vpo/library.db)
    #[argh(option, arg_name = "file")]
    pub database: Option<String>,
    /// the backup to restore; it stays as it is
    #[argh(positional, arg_name = "file")]
    pub file: String,
}
