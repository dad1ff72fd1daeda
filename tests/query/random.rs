//! Properties, on texts from a seeded generator: reading what is written gives the same, and no text makes the parser panic.

use std::time::{Duration, Instant};

use vpo::query::{self, Query, fold, normalise};

use super::Sample;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("less than limit")
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const TYPES: [&str; 4] = ["video", "AUDIO", "subtitle", "attachment"];
const ORDERING: [&str; 5] = ["==", "<", "<=", ">", ">="];
const VALUES: [&str; 12] =
    ["eng", "\"pt-br\"", "'a \"b\" c'", "\"it's\"", "5", "5.1", "20M", "Straße", "true", "''", "x265", "İ"];

/// A valid expression; of a policy, or of a query.
fn expression(random: &mut Random, depth: usize, is_query: bool) -> String {
    let choice = if depth == 0 { 0 } else { random.below(6) };
    let part = |random: &mut Random| expression(random, depth.saturating_sub(1), is_query);
    match choice {
        1 => format!("not {}", part(random)),
        2 => format!("({})", part(random)),
        3 => format!("{} and {}", part(random), part(random)),
        4 => format!("{} or\n{}", part(random), part(random)),
        _ if is_query && random.below(2) == 0 => fact(random),
        _ => {
            let track_type = random.pick(&TYPES).to_owned();
            let filters = filters(random, is_query);
            let arguments = [vec![track_type], filters].concat().join(" , ");
            match random.below(2) {
                0 => format!("exists({arguments})"),
                _ => format!("count({arguments}) {} {}", random.pick(&ORDERING), random.below(9)),
            }
        }
    }
}

fn filters(random: &mut Random, is_query: bool) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["lang", "codec"] {
        match random.below(4) {
            0 => found.push(format!("{name} == {}", random.pick(&VALUES))),
            1 => found.push(format!("{name} in [{}, {}]", random.pick(&VALUES), random.pick(&VALUES))),
            _ => {}
        }
    }
    if random.below(3) == 0 {
        found.push(format!("title == {}", random.pick(&VALUES)));
    }
    let numbers: &[&str] =
        if is_query { &["channels", "Width", "bit_depth"] } else { &["channels", "Width", "height"] };
    let flags: &[&str] =
        if is_query { &["default", "hdr", "external"] } else { &["default", "not_commentary"] };
    if random.below(2) == 0 {
        found.push(format!("{} {} {}", random.pick(numbers), random.pick(&ORDERING), random.below(5000)));
    }
    if random.below(2) == 0 {
        found.push(format!("{} == {}", random.pick(flags), random.pick(&["true", "false"])));
    }
    found
}

fn fact(random: &mut Random) -> String {
    let operator = random.pick(&["==", "!=", "<", "<=", ">", ">="]);
    match random.below(7) {
        0 => random.pick(&["missing", "Duplicate", "truncated"]).to_owned(),
        1 => format!("missing == {}", random.pick(&["true", "false"])),
        2 => format!("size {operator} {}", random.pick(&["20GB", "1.5GiB", "7", "0.3k", "4tib"])),
        3 => format!(
            "{} {operator} {}",
            random.pick(&["age", "duration"]),
            random.pick(&["7d", "90min", "1.5h"])
        ),
        4 => format!("path contains {}", random.pick(&VALUES)),
        5 => format!("container {} {}", random.pick(&["==", "!="]), random.pick(&["mkv", "avi", "\"mov\""])),
        _ => format!(
            "root in [{}, {}]",
            random.pick(&["'/'", "'/a/'"]),
            random.pick(&["\"/b\"", "'/c \"d\"'"])
        ),
    }
}

#[test]
fn reading_what_is_written_gives_the_same() {
    let mut random = Random(1);
    let value = serde_json::json!({"path": "/a/x.mkv", "size": 7, "tracks": [{"track_type": "audio", "channels": 2}]});
    let file = Sample::new(&value);
    let mut held = 0;
    for round in 0..5_000 {
        let is_query = round % 2 == 0;
        let text = expression(&mut random, 5, is_query);
        let read = |text: &str| {
            let recorded = |_, _: &str| true;
            if is_query {
                Query::parse(text, &recorded).map(|query| query.expression)
            } else {
                query::parse(text)
            }
        };
        match read(&text) {
            Ok(expression) => {
                let written = expression.to_string();
                assert_eq!(read(&written).as_ref(), Ok(&expression), "{text} is written as {written}");
                held += u32::from(expression.matches(&file));
            }
            // The only values that a query refuses are languages that it does not know.
            Err(error) => {
                assert!(is_query && error.message.starts_with("unknown language"), "{text}: {error}");
            }
        }
    }
    assert!((500..4_500).contains(&held), "{held}");
}

const TOKENS: [&str; 44] = [
    "exists",
    "count",
    "(",
    "(",
    ")",
    ")",
    "audio",
    "video",
    ",",
    ",",
    "lang",
    "codec",
    "title",
    "channels",
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "and",
    "or",
    "not",
    "true",
    "[",
    "]",
    "7",
    "5.1",
    "20GB",
    "7d",
    "eng",
    "\"a\"",
    "'b'",
    "size",
    "age",
    "missing",
    "path",
    "contains",
    "é",
    "²",
    "!",
    "\"",
    "\n",
    "default",
    "is_dubbed",
];

#[test]
fn no_sequence_of_tokens_makes_the_parser_panic() {
    let mut random = Random(2);
    let mut valid = 0;
    for _ in 0..20_000 {
        let count = random.below(16);
        let text: Vec<&str> = (0..count).map(|_| random.pick(&TOKENS)).collect();
        let text = text.join(random.pick(&["", " "]));
        check(&text, &mut valid);
    }
    assert!(valid > 5, "{valid}");
}

#[test]
fn no_mistake_in_an_expression_makes_the_parser_panic() {
    let mut random = Random(3);
    let mut valid = 0;
    for _ in 0..5_000 {
        let mut text: Vec<char> = expression(&mut random, 3, true).chars().collect();
        let at = random.below(text.len());
        match random.below(3) {
            0 => drop(text.remove(at)),
            1 => text.insert(at, random.pick(&TOKENS).chars().next().unwrap_or(' ')),
            _ => text.swap(0, at),
        }
        check(&text.iter().collect::<String>(), &mut valid);
    }
    assert!(valid > 100, "{valid}");
}

fn check(text: &str, valid: &mut u32) {
    let places = text.chars().count();
    for read in [query::parse(text), Query::parse(text, &|_, _| false).map(|query| query.expression)] {
        match read {
            Ok(_) => *valid += 1,
            Err(error) => assert!(error.position <= places, "{text:?}: {error:?}"),
        }
    }
}

#[test]
fn folding_and_normalising_twice_changes_nothing_more() {
    for c in '\0'..='\u{1F000}' {
        let text = c.to_string();
        assert_eq!(fold(&fold(&text)), fold(&text), "{c:?}");
    }
    for text in ["de", "deu", "German", " ENG ", "", "xx", "xyz", "pt-br", "norwegian bokmål", "ß\u{e9}"] {
        assert_eq!(normalise(&normalise(text)), normalise(text), "{text:?}");
    }
}

/// A text of the greatest length takes milliseconds with optimisation; this leaves room for a machine with other work.
#[test]
fn the_longest_texts_are_read_in_bounded_time() {
    let long = |part: &str| part.repeat(65_536 / part.len());
    for text in [
        long("exists(audio) or "),
        long("not "),
        format!("exists(audio, lang in [{}eng])", long("eng,").get(..65_000).unwrap_or_default()),
        format!("exists(audio, {})", long("x==1,").get(..65_000).unwrap_or_default()),
        long("("),
        long("\"a\" "),
        long("x").clone(),
        long("size > 7d and "),
        format!("exists(audio, codec == {}", long("y")),
    ] {
        let start = Instant::now();
        for read in [query::parse(&text), Query::parse(&text, &|_, _| false).map(|query| query.expression)] {
            assert!(
                read.is_err_and(|error| error.message.len() < 500)
                    || text.ends_with("eng])")
                    || text.ends_with(' ')
            );
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{:.40}: {:?}", text, start.elapsed());
    }
}
