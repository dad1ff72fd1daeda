//! SIGHUP: rereads the configuration and applies what can change while the daemon runs.

use tokio::sync::watch;
use tracing::{info, warn};

use super::{Sources, scanning};
use crate::config::{Config, ConfigError};
use crate::scan::Settings;
use crate::telemetry::Telemetry;

/// What a reload reads and changes.
pub(super) struct Reload {
    pub(super) sources: Sources,
    pub(super) in_force: Config,
    pub(super) telemetry: Telemetry,
    pub(super) settings: watch::Sender<Settings>,
}

impl Reload {
    /// Applies the keys that need no restart, and names the others that have changed. Blocks as long as the disk of the
    /// configuration does. An error means that nothing was changed.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let resolved = Config::resolve(&self.sources.flags, &self.sources.environment)
            .map_err(|error| in_one_line(&error))?;
        for warning in &resolved.warnings {
            warn!("configuration: {warning}");
        }
        let in_force = &mut self.in_force;
        let changes = Config::changes(in_force, &resolved.config);
        in_force.reload(resolved.config);
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

/// All problems in one line of the log. At the start each has a line on standard error.
fn in_one_line(error: &ConfigError) -> String {
    let problems: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
    problems.join("; ")
}
