//! Anything as the names of a directory, a line each: a video, and files beside it or in its folders.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|names: &[u8]| vpo_fuzz::subtitle::check(&String::from_utf8_lossy(names)));
