//! Writes the man pages and the completions for bash, zsh and fish, from the declarations of the command line:
//! `cargo run --example manual [DIRECTORY]`. Without a directory they are in `target/manual`.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};
use argh_complete::Generator as _;
use argh_complete::bash::Bash;
use argh_complete::fish::Fish;
use argh_complete::zsh::Zsh;

#[cfg(not(test))]
fn main() -> io::Result<()> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "target/manual".to_owned());
    write(Path::new(&directory))
}

/// Writes all of them into a directory, which is made.
pub(crate) fn write(directory: &Path) -> io::Result<()> {
    let vpo = visible(vpo::command_line());
    fs::create_dir_all(directory)?;
    fs::write(directory.join("vpo.bash"), Bash::generate("vpo", &vpo))?;
    fs::write(directory.join("_vpo"), Zsh::generate("vpo", &vpo))?;
    // fish knows -x since 3.7, and -o in every version.
    let fish = Fish::generate("vpo", &vpo).replace("commandline -xpc", "commandline -opc");
    fs::write(directory.join("vpo.fish"), fish)?;
    fs::write(directory.join("vpo.1"), page("vpo", &vpo))?;
    for command in &vpo.commands {
        let page = page(&format!("vpo {}", command.name), &command.command);
        fs::write(directory.join(format!("vpo-{}.1", command.name)), page)?;
    }
    Ok(())
}

/// Without the flags that the help does not show.
fn visible(mut command: CommandInfoWithArgs) -> CommandInfoWithArgs {
    let flags = command.flags.iter().filter(|flag| !flag.hidden).map(|flag| FlagInfo {
        kind: match flag.kind {
            FlagInfoKind::Switch => FlagInfoKind::Switch,
            FlagInfoKind::Option { arg_name } => FlagInfoKind::Option { arg_name },
        },
        optionality: match flag.optionality {
            Optionality::Required => Optionality::Required,
            _ => Optionality::Optional,
        },
        ..*flag
    });
    command.flags = flags.collect::<Vec<_>>().leak();
    for inner in &mut command.commands {
        inner.command = visible(std::mem::take(&mut inner.command));
    }
    command
}

/// The man page of a command, in the macros of man(7).
fn page(name: &str, command: &CommandInfoWithArgs) -> String {
    let title = name.replace(' ', "-");
    let mut page = format!(".TH {} 1 \"\" \"vpo {}\"\n", title.to_uppercase(), env!("CARGO_PKG_VERSION"));
    let mut put = |macro_or_text: &str| {
        // Writing to memory cannot fail.
        let _ = writeln!(page, "{macro_or_text}");
    };
    put(".SH NAME");
    put(&format!("{} \\- {}", text(&title), text(command.description)));
    put(".SH SYNOPSIS");
    let positionals = command.positionals.iter().map(|positional| match positional.optionality {
        Optionality::Required => format!(" {}", positional.name),
        Optionality::Optional => format!(" [{}]", positional.name),
        _ => format!(" [{}...]", positional.name),
    });
    let after = if command.commands.is_empty() { "" } else { " [command]" };
    put(&format!(".B {}\n[options]{after}{}", text(name), text(&positionals.collect::<String>())));
    if !command.positionals.is_empty() {
        put(".SH ARGUMENTS");
        for positional in command.positionals {
            put(&format!(".TP\n.I {}\n{}", text(positional.name), text(positional.description)));
        }
    }
    put(".SH OPTIONS");
    for flag in command.flags {
        let short = flag.short.map(|short| format!("-{short}, ")).unwrap_or_default();
        let value = match flag.kind {
            FlagInfoKind::Switch => String::new(),
            FlagInfoKind::Option { arg_name } => format!(" \\fI{}\\fR", text(arg_name)),
        };
        let names = text(&format!("{short}{}", flag.long));
        put(&format!(".TP\n\\fB{names}\\fR{value}\n{}", text(flag.description)));
    }
    if !command.commands.is_empty() {
        put(".SH COMMANDS");
        for inner in &command.commands {
            put(&format!(".TP\n.BR vpo\\-{} (1)\n{}", text(inner.name), text(inner.command.description)));
        }
    }
    for (heading, lines) in [("EXAMPLES", command.examples), ("NOTES", command.notes)] {
        if !lines.is_empty() {
            put(&format!(".SH {heading}\n.nf"));
            for line in lines {
                put(&text(line));
            }
            put(".fi");
        }
    }
    if name != "vpo" {
        put(".SH SEE ALSO\n.BR vpo (1)");
    }
    page
}

/// Text of a line as roff(7) reads it.
fn text(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}
