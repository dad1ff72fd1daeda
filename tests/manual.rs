//! The man pages and completions that `cargo run --example manual` writes.

#[path = "../examples/manual.rs"]
mod generator;

use std::fs;
use std::process::Command;

/// Every visible flag of each command: command → flags.
fn declared() -> Vec<(String, Vec<String>)> {
    let flags = |command: &argh::CommandInfoWithArgs| {
        let visible = command.flags.iter().filter(|flag| !flag.hidden);
        visible.map(|flag| flag.long.to_owned()).collect()
    };
    let vpo = vpo::command_line();
    vpo.commands.iter().map(|command| (command.name.to_owned(), flags(&command.command))).collect()
}

#[test]
fn every_command_and_flag_is_in_the_man_pages_and_completions() {
    let directory = tempfile::tempdir().expect("a directory");
    generator::write(directory.path()).expect("written");
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect(name);
    let (all, commands) = (read("vpo.1"), declared());
    assert!(commands.len() > 12, "{commands:?}");
    let completions = ["vpo.bash", "_vpo", "vpo.fish"].map(|name| (name, read(name)));
    for (command, flags) in &commands {
        assert!(all.contains(&format!("vpo\\-{command} (1)")), "{command}: {all}");
        let page = read(&format!("vpo-{command}.1"));
        assert!(flags.len() > 1, "{command}");
        for flag in flags {
            assert!(page.contains(&format!("{}\\fR", flag.replace('-', "\\-"))), "{command} {flag}: {page}");
        }
        for (name, script) in &completions {
            let is_there = |flag: &String| script.contains(flag.trim_start_matches('-'));
            assert!(script.contains(command) && flags.iter().all(is_there), "{name} {command}");
        }
        assert!(!page.contains("older spelling"), "{page}");
    }
    assert!(completions.iter().all(|(_, script)| !script.contains("older spelling")));
}

#[test]
fn bash_completes_commands_and_flags() {
    let directory = tempfile::tempdir().expect("a directory");
    generator::write(directory.path()).expect("written");
    let script = directory.path().join("vpo.bash");
    for (words, expected) in
        [("vpo sc", "scan"), ("vpo list --dup", "--duplicates"), ("vpo scan --dry", "--dry-run")]
    {
        let last = words.split(' ').count() - 1;
        let program = format!(
            ". '{}'; COMP_WORDS=({words}); COMP_CWORD={last}; _vpo; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["-c", &program]).output().expect("bash runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{words}: {output:?}");
    }
}
