//! Every recipe of docs/recipes.md: the command, the request and the SQL find the same files.

use std::collections::BTreeMap;
use std::process::Command;

use crate::harness::{Sandbox, samples, settled, video};

const PAGE: &str = include_str!("../docs/recipes.md");

/// The recipes: question → language of a block → its content.
fn recipes() -> BTreeMap<&'static str, BTreeMap<&'static str, &'static str>> {
    let sections = PAGE.split("\n### ").skip(1);
    let recipe = |section: &'static str| {
        let (question, rest) = section.split_once('\n').expect("a heading");
        let rest = rest.split("\n## ").next().unwrap_or_default();
        let blocks = rest.split("\n```\n").filter_map(|part| {
            let (_, block) = part.split_once("\n```")?;
            block.split_once('\n')
        });
        (question, blocks.collect())
    };
    sections.map(recipe).collect()
}

/// A library in which every recipe finds some files and not others.
fn library() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, languages) in
        [("de", &["ger", "eng"][..]), ("copy of de", &["ger", "eng"]), ("en", &["eng"]), ("gone", &["eng"])]
    {
        settled(&sandbox.write(&format!("films/{name}.mkv"), video::matroska("Film", languages)));
    }
    settled(&sandbox.write("films/full.mkv", samples::matroska()));
    settled(&sandbox.write("films/broken.mp4", "no video"));
    for (film, subtitle) in [("beside", "beside.en.srt"), ("zeros", "zeros.de.srt")] {
        settled(&sandbox.write(&format!("films/{film}.mkv"), video::matroska(film, &["eng"])));
        sandbox.write(&format!("films/{subtitle}"), "text");
    }
    sandbox.scan(&[]);
    sandbox.film("films/h264.mkv");
    std::fs::remove_file(sandbox.path("films/gone.mkv")).expect("removed");
    sandbox.scan(&["--accept-missing"]);
    sandbox.sql(
        "UPDATE tracks SET is_default = track_index = 1 WHERE track_type = 'audio'
            AND file_id IN (SELECT id FROM files WHERE filename LIKE '%de.mkv');
         UPDATE tracks SET is_default = 0 WHERE language = 'eng'
            AND file_id IN (SELECT id FROM files WHERE filename LIKE '%de.mkv');
         UPDATE tracks SET codec = 'dts', channels = 6 WHERE track_type = 'audio'
            AND file_id IN (SELECT id FROM files WHERE filename = 'en.mkv');
         UPDATE tracks SET language = 'eng' WHERE track_type = 'subtitle';
         UPDATE files SET size_bytes = 2000000000, container_format = 'avi' WHERE filename = 'en.mkv';
         UPDATE daemon_files SET first_seen = '2020-01-01T00:00:00.000000+00:00'
            WHERE file_id IN (SELECT id FROM files WHERE filename = 'full.mkv');
         INSERT OR REPLACE INTO daemon_tracks (file_id, track_index, hdr_format)
            SELECT id, 0, 'hdr10' FROM files WHERE filename = 'full.mkv';
         INSERT OR REPLACE INTO daemon_tracks (file_id, track_index, hdr_format, bit_depth, codec_detail)
            SELECT id, 0, 'hdr10+', 10, NULL FROM files WHERE filename = 'zeros.mkv'
            UNION ALL SELECT id, 1, NULL, NULL, 'Atmos' FROM files WHERE filename = 'zeros.mkv';
         UPDATE files SET size_bytes = 5000000000, content_hash = 'xxh64:0123456789abcdef:5983dda9f15715a4:5000000000'
            WHERE filename = 'zeros.mkv';
         UPDATE daemon_files SET media_end = NULL, size_bytes = 5000000000
            WHERE file_id = (SELECT id FROM files WHERE filename = 'zeros.mkv');
         UPDATE daemon_files SET missing_bytes = 7 WHERE file_id = (SELECT id FROM files WHERE filename = 'de.mkv');
         UPDATE daemon_files SET duration_seconds = 1000 + file_id",
    );
    sandbox
}

fn sorted(mut paths: Vec<String>) -> Vec<String> {
    paths.sort();
    paths
}

#[test]
fn recipes_find_the_same_in_three_ways() {
    let sandbox = library();
    let daemon = sandbox.serve::<&str>([]);
    let recipes = recipes();
    assert!(recipes.len() > 10, "{:?}", recipes.keys());
    let all: Vec<String> = sandbox.rows().iter().map(|row| row.path.clone()).collect();
    for (question, blocks) in recipes {
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_vpo")).parent().expect("a directory");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("{} --paths", blocks["sh"])]).env_clear().env("PATH", bin);
        let output = shell.env("HOME", sandbox.path("")).output().expect("sh runs");
        assert!(output.status.success(), "{question}: {}", String::from_utf8_lossy(&output.stderr));
        let by_command =
            String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect();
        let by_command = sorted(by_command);

        let parameters = blocks["http"];
        let encoded = match parameters.strip_prefix("where=") {
            Some(query) => {
                let bytes = query.bytes().map(|byte| format!("%{byte:02X}"));
                format!("where={}", bytes.collect::<String>())
            }
            None => parameters.to_owned(),
        };
        let answer = daemon.get(&format!("/api/v1/files?{encoded}"));
        assert_eq!(answer.status, 200, "{question}: {}", answer.body);
        let answer = answer.json();
        let files = answer["files"].as_array().expect("files");
        let by_http = files.iter().map(|file| file["path"].as_str().expect("a path").to_owned()).collect();
        assert_eq!(by_command, sorted(by_http), "{question}");

        let database = sandbox.database();
        let mut statement = database.prepare(blocks["sql"]).expect(question);
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect(question);
        let by_sql = rows.collect::<rusqlite::Result<_>>().expect(question);
        assert_eq!(by_command, sorted(by_sql), "{question}");
        assert!(!by_command.is_empty() && by_command.len() < all.len() - 1, "{question}: {by_command:?}");
    }
}

/// The commands of the table, and of the text.
#[test]
fn commands_of_the_page_run() {
    let sandbox = library();
    let commands = PAGE.split('`').filter(|code| code.starts_with("vpo ") && !code.contains("> "));
    let commands: Vec<&str> =
        commands.filter(|code| !code.contains("healthcheck") && !code.contains('\n')).collect();
    assert!(commands.len() > 6, "{commands:?}");
    for command in commands {
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_vpo")).parent().expect("a directory");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).env_clear().env("PATH", bin).env("HOME", sandbox.path(""));
        let output = shell.output().expect("sh runs");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Replaces what differs from run to run: numbers, and the blanks that align columns.
fn normalised(text: &str, home: &str) -> Vec<String> {
    let text = text.replace(home, "/home/ada");
    let lines = text.lines().map(|line| {
        let digits = line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c });
        let mut line: String = digits.collect();
        while line.contains("00") {
            line = line.replace("00", "0");
        }
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    lines.collect()
}

#[test]
fn tutorial_shows_what_is_printed() {
    let page = include_str!("../docs/tutorial.md");
    assert_prints(page.split("\n```console\n").skip(1));
}

#[test]
fn first_screen_of_the_readme_shows_what_is_printed() {
    let page = include_str!("../README.md");
    assert_prints(page.split("\n```console\n").skip(1).take(1));
}

/// Runs the commands of console blocks, for the library of the tutorial.
#[track_caller]
fn assert_prints<'a>(blocks: impl Iterator<Item = &'a str>) {
    let sandbox = Sandbox::new();
    let with_english_subtitles: Vec<u8> = {
        let mut film = samples::matroska();
        let at = film.windows(3).position(|bytes| bytes == b"ger").expect("its subtitles are German");
        film[at..at + 3].copy_from_slice(b"eng");
        film
    };
    settled(&sandbox.write("videos/Arrival.mkv", with_english_subtitles));
    settled(&sandbox.write("videos/Brücke.mkv", video::matroska("Brücke", &["ger", "eng"])));
    settled(&sandbox.write("videos/Unfinished.mp4", "This is not a video."));
    let home = sandbox.path("").display().to_string();
    let home = home.trim_end_matches('/');
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_vpo")).parent().expect("a directory");
    for block in blocks.map(|rest| rest.split("\n```\n").next().expect("an end")) {
        for part in block.strip_prefix("$ ").expect("a command").split("\n$ ") {
            let (command, shown) = part.split_once('\n').unwrap_or((part, ""));
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &format!("{command} 2>&1")]).env_clear().env("PATH", bin).env("HOME", home);
            let output = shell.current_dir(home).output().expect("sh runs");
            let printed = String::from_utf8(output.stdout).expect("UTF-8");
            assert!(output.status.success(), "{command}: {printed}");
            let actual = printed.replace(home, "/home/ada");
            assert_eq!(normalised(shown, home), normalised(&printed, home), "{command} prints\n{actual}");
        }
    }
}
