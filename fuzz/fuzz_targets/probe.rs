//! Anything.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| vpo_fuzz::check(file));
