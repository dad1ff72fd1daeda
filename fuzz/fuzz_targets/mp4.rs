//! Anything behind the type of a first box.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| vpo_fuzz::check_as(file, 4, b"ftyp"));
