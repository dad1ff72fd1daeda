//! SIGHUP: rereads the configuration and applies the keys that do not need a restart.

use std::path::PathBuf;

use tokio::sync::watch;
use tracing::{info, warn};

use super::{Sources, scanning};
use crate::config::{Config, ConfigError, Origins};
use crate::scan::Settings;
use crate::telemetry::Telemetry;

/// The state that a reload reads and changes.
pub(super) struct Reload {
    pub(super) sources: Sources,
    pub(super) in_force: Config,
    /// Where the values in force come from.
    pub(super) origins: Origins,
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    pub(super) telemetry: Telemetry,
    pub(super) settings: watch::Sender<Settings>,
}

impl Reload {
    /// Applies the keys that do not need a restart, and logs the names of the others that have changed. May block on disk
    /// I/O.
    ///
    /// # Errors
    /// The problems of the configuration. Nothing was changed then.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let resolved = Config::resolve(&self.sources.flags, &self.sources.environment)
            .map_err(|error| in_one_line(&error))?;
        for warning in &resolved.warnings {
            warn!("configuration: {warning}");
        }
        let in_force = &mut self.in_force;
        let changes = Config::changes(in_force, &resolved.config);
        let waiting = |key: &str| changes.restart.contains(&key);
        self.origins.retain(|key, _| waiting(key));
        self.origins.extend(resolved.origins.into_iter().filter(|(key, _)| !waiting(key)));
        in_force.reload(resolved.config);
        self.file = resolved.file;
        self.telemetry.set_level(in_force.logging.level);
        self.settings.send_if_modified(|settings| {
            let now = scanning::settings(in_force);
            let differs = *settings != now;
            *settings = now;
            differs
        });
        if !changes.restart.is_empty() {
            warn!("reload: these keys need a restart to take effect: {}", changes.restart.join(", "));
        }
        match (changes.live.is_empty(), changes.restart.is_empty()) {
            (false, _) => info!(changed = changes.live.join(", "), "reloaded"),
            (true, true) => info!("reloaded: nothing changed"),
            (true, false) => info!("reloaded: nothing else changed"),
        }
        Ok(())
    }
}

/// All problems in one line of the log.
fn in_one_line(error: &ConfigError) -> String {
    let problems: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
    problems.join("; ")
}
