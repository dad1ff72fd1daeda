//! The process environment as a value: `VPO_*` variables → [`crate::config::Layer`] through `envy`, one variable at a time.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// A snapshot of environment variables; `from_process` is the only place that reads the real ones.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);
