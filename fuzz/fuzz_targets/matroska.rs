//! Anything behind the first four bytes of EBML.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| vpo_fuzz::check_as(file, 0, &[0x1A, 0x45, 0xDF, 0xA3]));
