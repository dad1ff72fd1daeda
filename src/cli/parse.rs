//! argv → [`Parsed`]. Names are checked against the declared flags before argh parses them, which adds
//! `--flag=value` and suggestions for misspelt names.

use std::ffi::OsString;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, FromArgs, Optionality};

use super::{Command, Vpo};
use crate::base::nearest::nearest;

/// Begins an error of ours within the text that argh makes of it, which is not shown.
const OURS: char = '\u{1f}';

/// Why `flag` does not accept `value`.
pub(super) fn refused(flag: &str, value: &str, hint: &str) -> String {
    format!("{OURS}{flag} {value:?} is not valid: {hint}")
}

/// The parsed command line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Parsed {
    /// A command.
    Command(Command),
    /// `--help`, with its text.
    Help(String),
    /// `--version`
    Version,
}

/// The command line is invalid (`EX_USAGE`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// No argument at all. Holds the help.
    #[error("no command is given")]
    Nothing(String),
    /// An argument is wrong.
    #[error("{what}; see `vpo{command} --help`")]
    Argument {
        /// The problem.
        what: String,
        /// The command with a leading space; empty if there is none.
        command: String,
    },
}

impl UsageError {
    fn new(what: impl Into<String>, command: &str) -> Self {
        Self::Argument { what: what.into(), command: command.to_owned() }
    }
}

/// Parses argv, program name first.
///
/// # Errors
/// If argv is not UTF-8, or no command accepts it.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Parsed, UsageError> {
    let mut words = Vec::new();
    for arg in args.into_iter().skip(1) {
        words.push(arg.into_string().map_err(|arg| {
            let what = format!("argument \"{}\" is not UTF-8", arg.as_encoded_bytes().escape_ascii());
            UsageError::new(what, "")
        })?);
    }
    if let [help, rest @ ..] = &mut words[..]
        && help == "help"
    {
        // `vpo help COMMAND` is `vpo COMMAND --help`.
        match rest {
            [] => {}
            [command] => words = vec![std::mem::take(command), "--help".to_owned()],
            _ => return Err(UsageError::new("`vpo help` takes one command", "")),
        }
    }
    let (words, command) = checked(words)?;
    let usage = |what: &str| UsageError::new(what, &command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Vpo::from_args(&["vpo"], &words) {
        Ok(Vpo { version: true, .. }) => Ok(Parsed::Version),
        Ok(Vpo { command: Some(Command::Inspect(args)), .. }) if args.files.is_empty() => {
            Err(usage("no file to inspect"))
        }
        Ok(Vpo { command: Some(command), .. }) => Ok(Parsed::Command(command)),
        Ok(Vpo { command: None, .. }) => Err(match Vpo::from_args(&["vpo"], &["--help"]) {
            Err(help) => UsageError::Nothing(help.output),
            Ok(_) => usage("no command is given"),
        }),
        Err(exit) if exit.status.is_ok() => Ok(Parsed::Help(exit.output)),
        Err(exit) => {
            let text = exit.output.rsplit(OURS).next().unwrap_or_default();
            Err(usage(&text.split_whitespace().collect::<Vec<_>>().join(" ")))
        }
    }
}

/// Rejects flags and arguments that the command does not accept, and splits `--port=80` into `--port 80`, because
/// argh does not support the former. Also returns the command with a leading space.
fn checked(words: Vec<String>) -> Result<(Vec<String>, String), UsageError> {
    let vpo = Vpo::get_args_info();
    let (mut taken, mut command, mut is_flag_end) = (&vpo, String::new(), false);
    let (mut checked, mut given, mut is_help) = (Vec::new(), Vec::new(), false);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let refused = |taken| UsageError::new(unknown(&word, taken, words.as_slice()), &command);
        if let Some(found) = taken.commands.iter().find(|command| command.name == word) {
            (taken, is_flag_end, command) = (&found.command, false, format!(" {word}"));
            checked.push(word);
        } else if is_flag_end || !word.starts_with('-') {
            let is_help = word == "help" && !is_flag_end && command.is_empty();
            if taken.positionals.is_empty() && !is_help {
                return Err(refused(taken));
            }
            given.push("");
            checked.push(word);
        } else if word == "--" || word == "-h" || word == "--help" {
            is_flag_end = word == "--";
            is_help |= !is_flag_end;
            checked.push(word);
        } else {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            let flag = taken.flags.iter().find(|flag| is_named(flag, name));
            match flag.map(|flag| (flag, &flag.kind)) {
                Some((flag, FlagInfoKind::Option { .. })) => {
                    if given.contains(&flag.long) && !matches!(flag.optionality, Optionality::Repeating) {
                        return Err(UsageError::new(format!("{name} is given twice"), &command));
                    }
                    let Some(value) = value.map(str::to_owned).or_else(|| words.next()) else {
                        return Err(UsageError::new(format!("{name} needs a value"), &command));
                    };
                    given.push(flag.long);
                    checked.extend([name.to_owned(), value]);
                }
                Some((_, FlagInfoKind::Switch)) if value.is_none() => checked.push(word),
                _ => return Err(refused(taken)),
            }
        }
    }
    match absent(taken, &given) {
        Some(absent) if !is_help => Err(UsageError::new(format!("{absent} is missing"), &command)),
        _ => Ok((checked, command)),
    }
}

/// What the command requires and is not in `given`: flags by their long names, and "" for each positional argument.
fn absent(taken: &CommandInfoWithArgs, given: &[&str]) -> Option<String> {
    let is_required = |optionality: &Optionality| matches!(optionality, Optionality::Required);
    let flag = taken.flags.iter().find(|flag| is_required(&flag.optionality) && !given.contains(&flag.long));
    let arguments = given.iter().filter(|long| long.is_empty()).count();
    let argument = taken.positionals.get(arguments).filter(|argument| is_required(&argument.optionality));
    flag.map(|flag| flag.long.to_owned()).or_else(|| Some(argument?.name.to_uppercase()))
}

fn is_named(flag: &FlagInfo<'_>, name: &str) -> bool {
    flag.long == name || flag.short.is_some_and(|short| name == format!("-{short}"))
}

/// The message for an argument that is not in `taken`, with a similar name if there is one. `rest` follows it in argv.
fn unknown(given: &str, taken: &CommandInfoWithArgs, rest: &[String]) -> String {
    if given.is_empty() {
        return "unknown argument \"\" (a variable that is not set?)".into();
    }
    let name = given.split('=').next().unwrap_or_default();
    if let Some(example) = misplaced(name, taken, rest) {
        return format!("{name} must follow the command, as in `{example}`");
    }
    let flags = || taken.flags.iter().filter(|flag| !flag.hidden).map(|flag| flag.long);
    // `version` for --version, and `-v` for -V.
    let spelled = |flag: &&FlagInfo<'_>| {
        flag.long.strip_prefix("--") == Some(given)
            || flag.short.is_some_and(|short| given.eq_ignore_ascii_case(&format!("-{short}")))
    };
    if let Some(flag) = taken.flags.iter().find(spelled) {
        return format!("unknown argument {given}, did you mean {}?", flag.long);
    }
    if given.contains('/') && !given.starts_with('-') && flags().any(|flag| flag == "--root") {
        return format!("unknown argument {given:?}; give a directory of videos with --root");
    }
    let names: Vec<&str> = match &taken.commands[..] {
        commands @ [_, ..] if !given.starts_with('-') => {
            commands.iter().map(|command| command.name).collect()
        }
        _ => flags().collect(),
    };
    // What other programs call it.
    if matches!(given, "ls" | "search" | "find") && names.contains(&"list") {
        return format!("unknown argument {given}, did you mean list?");
    }
    match nearest(given, names) {
        Some(meant) if meant == given => {
            format!("{given} follows --, after which no argument is a flag: put it before --")
        }
        Some(meant) => format!("unknown argument {given}, did you mean {meant}?"),
        None if given.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            format!("unknown argument {given:?}")
        }
        None => format!("unknown argument {given}"),
    }
}

/// An example of `flag` after the command that accepts it.
fn misplaced(flag: &str, taken: &CommandInfoWithArgs, rest: &[String]) -> Option<String> {
    let commands = &taken.commands;
    let given = commands.iter().find(|command| rest.iter().any(|word| word == command.name));
    // The given command if it accepts the flag, else the first that does.
    given.into_iter().chain(commands).find_map(|command| {
        let found = command.command.flags.iter().find(|own| is_named(own, flag))?;
        let value = if matches!(found.kind, FlagInfoKind::Option { .. }) { " …" } else { "" };
        Some(format!("vpo {} {flag}{value}", command.name))
    })
}
