//! `vpo config`: prints the effective configuration as TOML with each value's origin; `--check` only validates.
