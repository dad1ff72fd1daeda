//! Anything as the value of a Host header.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| {
    if let Ok(header) = std::str::from_utf8(header) {
        vpo_fuzz::host::check(header);
    }
});
