//! Anything as an expression of a policy and as a query: what is accepted is written so that it reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| vpo_fuzz::check_query(&String::from_utf8_lossy(text)));
