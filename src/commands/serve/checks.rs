//! The health checks of `vpo serve`. Each file contains a type that implements
//! [`Check`](crate::daemon::health::Check), which [`register`] starts.

mod database;
pub(super) mod scanner;

use std::io;
use std::sync::Arc;

use crate::config::Config;
use crate::daemon::health::Health;
use crate::library::Library;

/// Starts the checks. `/health` lists them in this order.
pub(super) fn register(health: &Health, library: &Arc<Library>, config: &Config) -> io::Result<()> {
    health.register(database::Database::new(library, config.database.verify_interval.interval()))?;
    Ok(())
}
