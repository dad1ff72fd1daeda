//! argv → [`Parsed`]: argh's parser with what people expect of a command line besides, `--flag=value` and
//! a did-you-mean.

use std::ffi::OsString;

use argh::{ArgsInfo, FlagInfo, FlagInfoKind, FromArgs};

use super::{Command, Vpo};
use crate::config::error::nearest;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// A command.
    Command(Command),
    /// `--help`: this text.
    Help(String),
    /// `--version`
    Version,
}

/// The command line is wrong (`EX_USAGE`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: run `vpo{command} --help` for what there is")]
pub struct UsageError {
    what: String,
    /// The command with a space before it, once it is known.
    command: String,
}

/// Parses argv, the program's name first.
///
/// # Errors
/// When it is not UTF-8, or not what a command takes.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Parsed, UsageError> {
    let mut words = Vec::new();
    for arg in args.into_iter().skip(1) {
        words.push(arg.into_string().map_err(|arg| UsageError {
            what: format!("argument \"{}\" is not UTF-8", arg.as_encoded_bytes().escape_ascii()),
            command: String::new(),
        })?);
    }
    let words = split_values(words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Vpo::from_args(&["vpo"], &words) {
        Ok(Vpo { version: true, .. }) => Ok(Parsed::Version),
        Ok(Vpo { command: Some(Command::Inspect(args)), .. }) if args.files.is_empty() => {
            Err(usage("no file to inspect", &words))
        }
        Ok(Vpo { command: Some(command), .. }) => Ok(Parsed::Command(command)),
        Ok(Vpo { command: None, .. }) => {
            let commands: Vec<&str> = Vpo::get_subcommands().iter().map(|command| command.name).collect();
            Err(usage(format!("no command: give one of {}", commands.join(", ")), &words))
        }
        Err(exit) if exit.status.is_ok() => Ok(Parsed::Help(exit.output)),
        Err(exit) => Err(usage(explained(&exit.output, &words), &words)),
    }
}

/// `--port=80` as `--port 80`, which is all that argh knows; switches, positional arguments and what follows `--`
/// stay as they are.
fn split_values(words: Vec<String>) -> Vec<String> {
    if !words.iter().any(|word| word.starts_with("--") && word.contains('=')) {
        return words;
    }
    let command = command(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let options: Vec<String> = flags(command.as_deref(), |kind| matches!(kind, FlagInfoKind::Option { .. }));
    let mut split = Vec::new();
    let mut words = words.into_iter();
    for word in words.by_ref() {
        match word.split_once('=') {
            Some((flag, value)) if options.iter().any(|option| option == flag) => {
                split.extend([flag.to_owned(), value.to_owned()]);
            }
            _ => {
                let end = word == "--";
                split.push(word);
                if end {
                    break;
                }
            }
        }
    }
    split.extend(words);
    split
}

/// argh's words on one line, with the name that was probably meant.
fn explained(output: &str, words: &[&str]) -> String {
    let Some(given) = unrecognized(output) else {
        return output.split_whitespace().collect::<Vec<_>>().join(" ");
    };
    if given.is_empty() {
        return "unknown argument \"\" (a variable that is not set?)".into();
    }
    if let Some(example) = misplaced(given, words) {
        return format!("{given} stands before the command: put it after, as in `{example}`");
    }
    let command = command(words);
    let names = match &command {
        None if !given.starts_with('-') => {
            Vpo::get_subcommands().iter().map(|command| command.name.to_owned()).collect()
        }
        command => flags(command.as_deref(), |_| true),
    };
    match nearest(given, names.iter().map(String::as_str)) {
        Some(meant) if meant == given => {
            format!("{given} stands behind --, where nothing is a flag: put it before")
        }
        Some(meant) => format!("unknown argument {given}, did you mean {meant}?"),
        None if given.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            format!("unknown argument {given:?}")
        }
        None => format!("unknown argument {given}"),
    }
}

/// The argument that argh does not know, which may be empty.
fn unrecognized(output: &str) -> Option<&str> {
    let given = output.strip_prefix("Unrecognized argument:")?;
    let given = given.strip_suffix('\n').unwrap_or(given);
    Some(given.strip_prefix(' ').unwrap_or(given))
}

/// How to give `flag`, where it stands before the command and belongs after it.
fn misplaced(flag: &str, words: &[&str]) -> Option<String> {
    let at = words.iter().position(|word| *word == flag)?;
    let commands = Vpo::get_subcommands();
    let named = |words: &[&str]| commands.iter().find(|command| words.contains(&command.name));
    if named(&words[..at]).is_some() {
        return None;
    }
    // The command that was given if it takes the flag, else the first that does.
    named(&words[at..]).into_iter().chain(&commands).find_map(|command| {
        let is_it = |own: &&FlagInfo<'_>| {
            own.long == flag
                || own.short.is_some_and(|short| flag.strip_prefix('-') == Some(&short.to_string()))
        };
        let found = command.command.flags.iter().find(is_it)?;
        let value = if matches!(found.kind, FlagInfoKind::Option { .. }) { " …" } else { "" };
        Some(format!("vpo {} {flag}{value}", command.name))
    })
}

fn usage(what: impl Into<String>, words: &[&str]) -> UsageError {
    let command = command(words).map(|name| format!(" {name}")).unwrap_or_default();
    UsageError { what: what.into(), command }
}

/// The name of the command among the words, if there is one.
fn command(words: &[&str]) -> Option<String> {
    let first = words.iter().find(|word| !word.starts_with('-'))?;
    Vpo::get_subcommands().iter().map(|command| command.name).find(|name| name == first).map(str::to_owned)
}

/// The long flags of a command, or of `vpo` itself.
fn flags(command: Option<&str>, wanted: impl Fn(&FlagInfoKind<'_>) -> bool) -> Vec<String> {
    let info = Vpo::get_args_info();
    let commands = Vpo::get_subcommands();
    let own =
        commands.iter().find(|own| Some(own.name) == command).map_or(info.flags, |own| own.command.flags);
    own.iter().filter(|flag| wanted(&flag.kind)).map(|flag| flag.long.to_owned()).collect()
}
