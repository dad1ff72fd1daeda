//! Anything where the daemon expects its database. `VPO_FUZZ_SEEDS=DIRECTORY` writes the seeds and ends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: {
        if let Some(directory) = std::env::var_os("VPO_FUZZ_SEEDS") {
            for (name, content) in vpo_fuzz::database::seeds() {
                std::fs::write(std::path::Path::new(&directory).join(name), content).expect("written");
            }
            std::process::exit(0);
        }
    },
    |file: &[u8]| vpo_fuzz::database::check(file)
);
