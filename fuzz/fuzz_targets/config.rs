//! Anything where the daemon expects its configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| vpo_fuzz::config::check(file));
