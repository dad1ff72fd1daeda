//! Anything behind the name of an AVI file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    if file.starts_with(b"RIFF") {
        vpo_fuzz::check_as(file, 8, b"AVI ");
    }
});
