//! Anything that a client may send on one connection. The first byte says how it is cut into reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some((seed, bytes)) = input.split_first() {
        vpo_fuzz::http::check(bytes, *seed);
    }
});
