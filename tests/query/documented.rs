//! Every example of docs/query.md.

use vpo::query::{Error, Query};

use super::Sample;

const PAGE: &str = include_str!("../../docs/query.md");

fn read(text: &str) -> Result<Query, Error> {
    Query::parse(text, &|_, _| false)
}

/// What stands between the fences of a kind of block.
fn block(kind: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n```{kind}\n")).expect("a block");
    rest.split("\n```\n").next().expect("an end")
}

/// The rows of the table that begins with `| query | SECOND `: query, second column, third column.
fn table(second: &str) -> Vec<[&'static str; 3]> {
    let (_, rest) = PAGE.split_once(&format!("\n| query | {second} ")).expect("a table");
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with("| `"));
    rows.map(|row| {
        let (query, rest) = row.trim_start_matches("| `").split_once("` | ").expect("a query");
        let (second, third) = rest.split_once(" |").expect("a column");
        [query, second, third.trim_matches([' ', '|'])]
    })
    .collect()
}

#[test]
fn examples_are_queries() {
    let examples: Vec<&str> = block("vpo").lines().collect();
    assert!(examples.len() > 10, "{examples:?}");
    let commands =
        block("sh").lines().map(|line| line.trim_start_matches("vpo list '").trim_end_matches('\''));
    for example in examples.into_iter().chain(commands) {
        read(example).unwrap_or_else(|error| panic!("{example}: {error}"));
    }
}

#[test]
fn examples_hold_or_not_as_said() {
    let film = serde_json::from_str(block("json")).expect("JSON");
    let rows = table("holds");
    assert!(rows.len() > 10, "{rows:?}");
    for [text, holds, _] in rows {
        let query = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(query.expression.matches(&Sample::new(&film)), holds == "yes", "{text}");
    }
}

#[test]
fn refusals_are_as_quoted() {
    let rows = table("column");
    assert!(rows.len() > 10, "{rows:?}");
    for [text, column, message] in rows {
        let error = read(text).expect_err(text);
        assert_eq!((error.column.to_string().as_str(), error.message.as_str()), (column, message), "{text}");
    }
}

/// The tables name every filter and fact that the parser names when it is given a wrong one.
#[test]
fn every_name_is_in_the_tables() {
    for (text, known) in [
        (
            "exists(audio, lang == eng, codec == aac, title == x, channels > 1, width > 1, height > 1, bit_depth > 1)",
            7,
        ),
        ("exists(audio, default == true, forced == true, hdr == true, hearing_impaired == true)", 4),
        ("exists(audio, commentary == true, original == true, external == true, not_commentary == true)", 4),
        (
            "exists(audio, profile == x, tag == x, hdr_format == x, codec_detail == x, attached_picture == true)",
            5,
        ),
        (
            "missing or duplicate or truncated or size > 1 or age > 1d or duration > 1d or bit_rate > 1 or holes > 1",
            8,
        ),
        ("container == avi or status == ok or path == x or root == '/'", 4),
    ] {
        let names = read(text).expect(text).names();
        assert_eq!(names.len(), known, "{names:?}");
        for name in names {
            assert!(PAGE.contains(&format!("`{name}`")), "{name}");
        }
    }
}
