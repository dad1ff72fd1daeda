//! The metrics of the core.

use std::sync::Arc;

use super::Counters;
use crate::daemon::health::{BUCKETS, DATABASE, Health, Phase, Status};
use crate::daemon::metrics::{Registry, Text};

/// The collectors of the core. The composition root adds those of other parts.
#[must_use]
pub(crate) fn exposition(health: Health, counters: Arc<Counters>) -> Registry {
    let mut registry = Registry::with_process();
    registry.add(move |text| daemon(&health, text));
    registry.add(move |text| counters.collect(text));
    registry
}

fn daemon(health: &Health, text: &mut Text) {
    let identity = health.identity();
    text.family("vpo_build_info", "Version and schema version of the daemon; always 1.").sample(
        &[("version", identity.version), ("schema_version", &identity.schema_version.to_string())],
        1,
    );
    let mut phases = text.family("vpo_phase", "1 for the phase that the daemon is in, else 0.");
    for phase in Phase::ALL {
        phases.sample(&[("phase", phase.as_str())], u8::from(phase == health.phase()));
    }
    checks(health, text);
}

fn checks(health: &Health, text: &mut Text) {
    let checks = health.checks();
    let mut statuses = text.family("vpo_check_status", "1 for the status of each check, else 0.");
    for check in checks.iter() {
        for status in Status::ALL {
            let is = check.result.as_ref().is_some_and(|result| result.status == status);
            statuses.sample(&[("check", &check.name), ("status", status.as_str())], u8::from(is));
        }
    }
    if let Some(result) = health.check(DATABASE) {
        if let Some(reason) = result.reason {
            text.family("vpo_database_check_reason", "1 for why the database check does not pass.")
                .sample(&[("reason", reason)], 1);
        }
        text.value(
            "vpo_database_check_age_seconds",
            "Age of the database check's result.",
            result.checked_at.elapsed().as_secs_f64(),
        );
    }
    if let Some(durations) = health.durations(DATABASE) {
        text.histogram(
            "vpo_database_check_duration_seconds",
            "How long the database checks took.",
            &BUCKETS,
            &durations.counts,
            durations.sum,
        );
    }
}
