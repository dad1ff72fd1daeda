//! The command line: argv → [`Vpo`] (argh), and each command's flags → [`crate::config::Layer`].
//!
//! argh's `from_env` exits 1 on a usage error and 0 on `--help`; here its early exit becomes our own
//! codes (64, 0). Arguments must be UTF-8 (else 64). This module must not read files or the environment,
//! and knows no command's meaning.
