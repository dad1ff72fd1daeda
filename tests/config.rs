//! The configuration, from outside: `vpo config` with real files, variables and flags.

mod documents;
mod faults;
mod places;
mod precedence;
mod report;

use std::process::Command;

use super::harness::Sandbox;
use vpo::config::keys::KEYS;

/// The advice for an unknown key of a section that is not similar to any.
fn remove_from(section: &str) -> String {
    let fields: Vec<_> = KEYS.iter().filter(|key| key.section == section).map(|key| key.field).collect();
    format!("remove it; [{section}] has {}", fields.join(", "))
}

/// The output of `vpo config`.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn by(command: &mut Command) -> Self {
        let output = command.output().expect("vpo runs");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// It succeeded without warnings.
    #[track_caller]
    fn quietly(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self
    }

    /// A key's value as printed (also when it is a comment) and its origin; `None` = not set.
    #[track_caller]
    fn value(&self, key: &str) -> Option<(&str, &str)> {
        let (section, field) = key.split_once('.').expect("section.key");
        let header = format!("[{section}]\n");
        let start = self.stdout.find(&header).unwrap_or_else(|| panic!("{section} in {}", self.stdout));
        let body = &self.stdout[start + header.len()..];
        let lines = body.lines().take_while(|line| !line.starts_with('['));
        lines
            .map(|line| line.trim_start_matches("# "))
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(" = ")?.rsplit_once(" # "))
    }

    /// It was refused with exactly these lines.
    #[track_caller]
    fn refused(&self, lines: &[&str]) {
        let said: Vec<&str> = self.stderr.lines().collect();
        let expected: Vec<String> = lines.iter().map(|line| format!("vpo: {line}")).collect();
        assert_eq!(said, expected);
        assert_eq!((self.code, self.stdout.as_str()), (Some(78), ""));
    }
}

impl Sandbox {
    /// `vpo config ARGS`
    fn config(&self, args: &[&str]) -> Said {
        self.config_with(args, &[])
    }

    /// `vpo config ARGS` with variables.
    fn config_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Said {
        let mut command = self.vpo(["config"]);
        Said::by(command.args(args).envs(variables.iter().copied()))
    }

    /// The sandbox itself, as text.
    fn home(&self) -> String {
        self.path("").to_str().expect("UTF-8").trim_end_matches('/').to_owned()
    }
}
