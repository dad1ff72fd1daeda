//! A hostile or mistaken configuration file: it leads to a valid configuration, or to few and short complaints.

use std::path::PathBuf;
use std::sync::OnceLock;

use vpo::config::error::MAX_PROBLEMS;
use vpo::config::{Config, Environment, Layer};

/// Most bytes of one complaint. Each part of the file in it is shortened.
const LINE: usize = 2000;

/// Resolves the configuration of a file with this content.
pub fn check(content: &[u8]) {
    let path = directory().join("config.toml");
    std::fs::write(&path, content).expect("written");
    let flags = Layer::from_flags(path.to_str(), [], &[]);
    let environment = Environment::new([("HOME", directory())], directory());
    // The file of the token may be any file of this machine.
    match Config::resolve_without_secrets(&flags, &environment) {
        Ok(resolved) => {
            assert!(resolved.config.scan.roots.iter().all(|root| root.is_absolute()));
            assert!(resolved.config.database.path.is_absolute());
            let again = Config::resolve_without_secrets(&flags, &environment).expect("as before");
            assert_eq!(resolved.config, again.config);
            assert!(!resolved.config.shown().is_empty());
            check_lines(&resolved.warnings);
        }
        Err(error) => {
            assert!(
                (1..=MAX_PROBLEMS + 1).contains(&error.problems.len()),
                "{} problems",
                error.problems.len()
            );
            check_lines(&error.problems);
            check_lines(&error.warnings);
        }
    }
}

fn check_lines(findings: &[vpo::config::Finding]) {
    for finding in findings {
        let line = finding.to_string();
        assert!(line.len() < LINE, "{} bytes: {line:?}", line.len());
    }
}

/// A directory of this process in `$TMPDIR`, which `fuzz/run` puts into memory and removes.
fn directory() -> &'static PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = std::env::temp_dir().join(format!("vpo-fuzz-config-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        directory
    })
}
