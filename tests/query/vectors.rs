//! What the Python VPO answers (commit 2abe743, run on Python 3.12): values, refusals and their places.

use serde_json::Value;
use vpo::query::{self, Error, Query, fold};

use super::{Sample, lines};

fn records(name: &str) -> Vec<Value> {
    lines(name).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).expect("a number")
}

fn text(record: &Value) -> String {
    if let Some(text) = record["expr"].as_str() {
        return text.to_owned();
    }
    let parts = record["expr_parts"].as_array().expect("expr or expr_parts").iter();
    parts.map(|part| part[0].as_str().expect("text").repeat(number(&part[1]))).collect()
}

#[test]
fn every_expression_gives_the_value_of_the_vectors() {
    let records = records("expressions.jsonl.gz");
    assert_eq!(records.len(), 1000);
    for record in &records {
        let text = text(record);
        let expression = query::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found = expression.matches(&Sample::new(&record["file"]));
        assert_eq!(record["expect"], found, "{}: {text}", record["id"]);
        let written = expression.to_string();
        assert_eq!(query::parse(&written).as_ref(), Ok(&expression), "{text} is written as {written}");
    }
}

/// Whether `error` is at the place of the vector: exactly there, or for a function anywhere in its call.
fn is_in_place(text: &str, error: &Error, upstream: &Value) -> bool {
    let at = |key: &str| number(&upstream[key]);
    match upstream["at"].as_str() {
        Some("token") => {
            (error.position, error.line, error.column) == (at("position"), at("line"), at("column"))
        }
        Some("call") => {
            let from_call: Vec<char> = text.chars().skip(at("position")).collect();
            let end = from_call.iter().position(|c| *c == ')').expect("the call is closed");
            (at("position")..=at("position") + end).contains(&error.position)
        }
        _ => true,
    }
}

#[test]
fn what_is_refused_is_refused_in_its_place_in_policies_and_in_queries() {
    let records = records("expressions-odd.jsonl.gz");
    let refused: Vec<&Value> = records.iter().filter(|record| record["verdict"] == "refused").collect();
    assert_eq!(refused.len(), 150);
    for record in refused {
        let text = text(record);
        let error = query::parse(&text).expect_err(&text);
        assert!(is_in_place(&text, &error, &record["upstream"]), "{}: {text:?}: {error}", record["id"]);
        let in_query = Query::parse(&text, &|_, _| true).expect_err(&text);
        assert_eq!(in_query.position, error.position, "{text:?}: {error} and {in_query}");
    }
}

/// The vectors suggest what to do with what is accepted by accident; this program does that.
#[test]
fn what_is_accepted_though_odd_is_refused_or_accepted_as_suggested() {
    let records = records("expressions-odd.jsonl.gz");
    let (mut accepted, mut refused) = (0, 0);
    for record in records.iter().filter(|record| record["verdict"] != "refused") {
        let text = text(record);
        match query::parse(&text) {
            Ok(expression) => {
                assert_eq!(record["suggest"], "accept", "{}: {text:.200}", record["odd"]);
                let files = record["files"].as_array().expect("files");
                for (file, expected) in files.iter().zip(record["expect"].as_array().expect("values")) {
                    assert_eq!(*expected, expression.matches(&Sample::new(file)), "{text}");
                }
                assert_eq!(query::parse(&expression.to_string()), Ok(expression));
                accepted += 1;
            }
            Err(error) => {
                assert_ne!(record["suggest"], "accept", "{}: {text:.200}: {error}", record["odd"]);
                if record["suggest"] == "refuse-as-not-supported" {
                    assert!(error.message.contains("not supported"), "{text}: {error}");
                }
                refused += 1;
            }
        }
    }
    assert_eq!((accepted, refused), (26, 27));
}

#[test]
fn every_character_folds_as_in_the_unicode_data() {
    let mut folds: std::collections::HashMap<String, String> = lines("casefold.txt.gz")
        .iter()
        .map(|line| line.split_once(' ').map(|(c, folded)| (c.to_owned(), folded.to_owned())).expect("two"))
        .collect();
    assert!(folds.len() > 1400);
    // Characters of this version of Unicode fold as listed, or not at all; later ones are not listed.
    for c in ('\0'..='\u{1F000}').filter(|c| !is_later_than_the_data(*c)) {
        let expected = folds.remove(&c.to_string()).unwrap_or_else(|| c.to_string());
        assert_eq!(fold(&c.to_string()), expected, "{c:?}, U+{:04X}", u32::from(c));
    }
    assert!(folds.is_empty(), "{folds:?}");
}

/// Letters with a case that Unicode got after version 14.
fn is_later_than_the_data(c: char) -> bool {
    matches!(c, '\u{1C89}'..='\u{1C8A}' | '\u{A7CB}'..='\u{A7CF}' | '\u{A7D2}'..='\u{A7D5}' | '\u{A7DA}'..='\u{A7DC}' | '\u{10D50}'..='\u{10D85}' | '\u{16EA0}'..='\u{16ED3}')
}

#[test]
fn places_count_code_points_and_lines() {
    for (text, place, caret) in [
        ("exists(audio, title == \"é\n😀\") !", (30, 2, 5), ("😀\") !", 4)),
        ("exists(audio)\r\nand\r\n  exist(video)", (22, 3, 3), ("  exist(video)", 2)),
        ("exists(audio) and", (17, 1, 18), ("exists(audio) and", 17)),
    ] {
        let error = query::parse(text).expect_err(text);
        assert_eq!((error.position, error.line, error.column), place, "{text:?}: {error}");
        assert_eq!((error.excerpt.as_str(), error.caret), caret, "{text:?}");
    }
    let long = format!("exists(audio, title == \"{}\") !{}", "ä".repeat(500), " ".repeat(500));
    let error = query::parse(&long).expect_err("refused");
    assert_eq!(error.excerpt.chars().nth(error.caret), Some('!'));
    assert!(error.excerpt.chars().count() <= 120, "{error:?}");
}

/// What is accepted before a limit, and refused behind it.
#[test]
fn length_and_depth_are_limited() {
    let nested = |open: &str, count: usize, close: &str| {
        query::parse(&format!("{}exists(audio){}", open.repeat(count), close.repeat(count)))
    };
    assert!(nested("(", 50, ")").is_ok());
    assert_eq!(nested("(", 51, ")").expect_err("too deep").position, 50);
    assert!(nested("not ", 256, "").is_ok());
    assert_eq!(nested("not ", 257, "").expect_err("too deep").position, 256 * 4);
    let lists = format!("exists(audio, lang in {})", "[".repeat(2000));
    assert_eq!(query::parse(&lists).expect_err("too deep").position, 22 + 256);
    let chain = vec!["exists(audio)"; 3500].join(" or ");
    assert!(query::parse(&chain).is_ok());
    let longest = format!("exists(audio){}", " ".repeat(65_536 - 13));
    assert!(query::parse(&longest).is_ok());
    assert_eq!(query::parse(&(longest + " ")).expect_err("too long").position, 65_536);
}

/// Else a text that policies refuse would be refused in another place.
#[test]
fn what_only_this_program_refuses_counts_last() {
    for (text, position) in [
        ("exists(audio, t)xyz", 16),
        ("exists(audio, default == yes) and exists(video", 46),
        ("exists(audio, lang == eng, lang == ger) or exist(video)", 43),
        ("count(audio) == true > 1", 21),
        ("exists(audio, channels == 5.1, title != x)", 37),
        ("exists(audio, lang in [[eng], 05]) and", 38),
        ("exists(audio, lang == [eng], forced) and exists(audio, channels == six)", 22),
    ] {
        let error = query::parse(text).expect_err(text);
        assert_eq!(error.position, position, "{text}: {error}");
    }
}
