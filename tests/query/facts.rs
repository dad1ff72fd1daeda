//! What queries add to the language of policies.

use serde_json::{Value, json};
use vpo::query::{self, Kind, Query};

use super::Sample;

fn query(text: &str) -> Query {
    Query::parse(text, &|_, _| false).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> (usize, String) {
    let error = Query::parse(text, &|_, _| false).expect_err(text);
    (error.position, error.message)
}

fn film() -> Value {
    json!({
        "path": "/srv/films/Die Brücke (1959)/Season 1/a.mkv", "container_format": "matroska,webm", "status": "ok",
        "size": 20_000_000_000_u64, "age": 7 * 86_400, "duplicate": true,
        "tracks": [
            {"track_type": "video", "codec": "hevc", "hdr": true, "hdr_format": "hdr10+", "bit_depth": 10, "profile": "Main 10",
             "attached_picture": false},
            {"track_type": "audio", "codec": "eac3", "language": "por", "tag": "pt-BR", "commentary": true,
             "codec_detail": "Atmos"},
            {"track_type": "subtitle", "codec": "subrip", "language": "ger", "external": true}
        ]
    })
}

#[test]
fn facts_and_filters_compare_as_documented() {
    let film = film();
    for (text, expected) in [
        ("missing", false),
        ("missing == false", true),
        ("duplicate and not missing", true),
        ("(duplicate)", true),
        ("size >= 20GB", true),
        ("size > 20GB", false),
        ("size > 18.6GiB", true),
        ("size < 0.02TB", false),
        ("SIZE == 20000000000", true),
        ("size != 20G", false),
        ("age <= 7d", true),
        ("age < 1w", false),
        ("not age > 169h", true),
        ("container == mkv", true),
        ("container == webm", true),
        ("container in [mp4, MKV]", true),
        ("container != mkv", false),
        ("status == OK", true),
        ("status in [error, missing]", false),
        ("path contains \"SEASON 1\"", true),
        ("path contains BRÜCKE", true),
        ("path contains '%'", false),
        ("path == '/srv/films'", false),
        ("root == '/srv/films/'", true),
        ("root == '/srv/film'", false),
        ("root == '/'", true),
        ("exists(video, hdr == true, bit_depth >= 10, profile == \"main 10\")", true),
        ("exists(audio, tag == pt-br)", true),
        ("exists(audio, commentary == true, original == false)", false),
        ("exists(subtitle, lang == de, external == false)", false),
        ("exists(subtitle, lang == german)", true),
        ("exists(video, hdr_format in ['HDR10+', dolby_vision])", true),
        ("exists(video, hdr_format == hdr10)", false),
        ("exists(audio, codec_detail == atmos)", true),
        ("exists(video, attached_picture == false) and not exists(video, attached_picture == true)", true),
        // What is not known of a file passes no comparison.
        ("duration != 5s", false),
        ("duration < 10m", false),
        ("duration >= 0s", false),
        ("truncated", false),
        ("truncated == false", false),
        ("bit_rate > 20M", false),
        ("holes > 1M or holes == 0", false),
        ("exists(video, hearing_impaired == false)", false),
    ] {
        assert_eq!(query(text).expression.matches(&Sample::new(&film)), expected, "{text}");
    }
}

#[test]
fn a_query_that_names_missing_files_asks_for_them() {
    for (text, expected) in [
        ("missing", true),
        ("not missing", true),
        ("exists(audio) and (missing or duplicate)", true),
        ("status in [ok, missing]", true),
        ("status == error", false),
        ("exists(audio, title == missing)", false),
    ] {
        assert_eq!(query(text).asks_for_missing(), expected, "{text}");
    }
    let names = query("age < 7d and not exists(video, hdr == true, language == eng)").names();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["age", "hdr", "lang"]);
}

#[test]
fn aliases_of_codecs_are_resolved_in_queries_only() {
    let found = query("exists(video, codec in [X265, h264]) or exists(audio, codec == 'DD+')");
    assert_eq!(
        found.expression.to_string(),
        r#"exists(video, codec in ["hevc", "h264"]) or exists(audio, codec == "eac3")"#
    );
    let given: Vec<_> =
        found.terms.iter().map(|term| (term.given.as_str(), term.canonical.as_str())).collect();
    assert_eq!(given, [("X265", "hevc"), ("h264", "h264"), ("DD+", "eac3")]);
    let policy = query::parse("exists(video, codec == x265)").expect("an expression");
    assert_eq!(policy.to_string(), r#"exists(video, codec == "x265")"#);
}

#[test]
fn unknown_languages_and_codecs_are_refused_with_a_hint_unless_they_are_recorded() {
    for (text, position, message) in [
        ("exists(audio, lang == englsh)", 22, "unknown language \"englsh\"; did you mean english?"),
        ("exists(audio, lang in [eng, xx])", 28, "unknown language \"xx\"; give a code of ISO 639"),
        (
            "exists(audio, lang == pt-BR)",
            22,
            "unknown language \"pt-BR\"; write pt, or compare tag == \"pt-BR\"",
        ),
        ("exists(video, codec == hvec)", 23, "unknown codec \"hvec\"; did you mean hevc?"),
        ("exists(video, codec == quux)", 23, "unknown codec \"quux\"; give ffprobe's name"),
    ] {
        let (found, said) = refused(text);
        assert_eq!(found, position, "{text}: {said}");
        assert!(said.starts_with(message), "{text}: {said}");
    }
    for text in [
        "exists(audio, lang in [und, zxx, mis, mul, en, ger, deu, German, tgl, hmn, bos])",
        "exists(audio, lang == fil)",
    ] {
        query(text);
    }
    let is_recorded =
        |kind, value: &str| kind == Kind::Codec && value == "quux" || value == "qqq" || value == "und";
    assert!(Query::parse("exists(video, codec == Quux, lang == qqq)", &is_recorded).is_ok());
    assert!(Query::parse("exists(video, lang == xx)", &is_recorded).is_err());
}

/// A policy has no facts and only its own filters; a name before `(` is a function; units stand behind facts only.
#[test]
fn facts_take_nothing_away_from_the_language_of_policies() {
    for (text, position) in
        [("missing", 7), ("size > 20GB", 5), ("exists(video, hdr == true)", 14), ("age < 7d", 6)]
    {
        assert_eq!(query::parse(text).expect_err(text).position, position, "{text}");
        query(text);
    }
    for (text, position) in [
        ("missing(audio)", 0),
        ("size(20) > 7d", 11),
        ("exists(audio, age < 7d)", 20),
        ("exists(audio) age < 7d", 20),
        ("count(audio) > 7d", 15),
        ("exists(audio, channels == 7d)", 26),
        ("path > 7d", 7),
        ("nothing", 7),
        ("codec == hevc", 6),
    ] {
        assert_eq!(refused(text).0, position, "{text}: {}", refused(text).1);
        assert_eq!(
            query::parse(text).expect_err(text).position,
            if text.starts_with("path") { 7 } else { position }
        );
    }
}

#[test]
fn values_that_fit_no_fact_are_refused_in_their_place() {
    for (text, position) in [
        ("missing == yes", 11),
        ("missing > 1", 8),
        ("size", 4),
        ("size and missing", 5),
        ("size > big", 7),
        ("size > 20d", 7),
        ("size in [1, 2]", 5),
        ("age < 7", 6),
        ("age < 7GB", 6),
        ("age == 1234567890123456789012d", 7),
        ("container < mkv", 10),
        ("container contains mkv", 10),
        ("status == errors", 10),
        ("status in [ok, errors]", 15),
        ("root == films", 8),
        ("path == [a]", 8),
        ("path contains 5.10", 14),
        ("path", 4),
    ] {
        let (found, message) = refused(text);
        assert_eq!(found, position, "{text}: {message}");
    }
    assert!(refused("status == errors").1.contains("did you mean error?"));
    for (text, position, hint) in [
        ("exists audio", 7, "write exists(audio)"),
        ("count audio > 1", 6, "write count(audio) > 2"),
        ("missing()", 0, "fact of the file: write it without parentheses"),
        ("exists(video, codec == H.265)", 24, "in quotes"),
        ("exists(audio, codec == dd+)", 25, "in quotes"),
        ("exists(audio, codec == pcm)", 23, "such as pcm_s16le"),
        ("exists(audio, codec == dts-hd)", 23, "codec_detail == \"DTS-HD MA\""),
        ("exists(audio, codec == Atmos)", 23, "codec_detail == atmos"),
    ] {
        let (found, message) = refused(text);
        assert!(found == position && message.contains(hint), "{text}: {found}, {message}");
    }
    query("exists(video, codec == libx264)");
    assert!(refused("missng").1.contains("did you mean missing?"));
    assert!(refused("exist(audio)").1.contains("did you mean exists?"));
    assert!(refused("exists(audo)").1.contains("did you mean audio?"));
    assert!(refused("exists(audio, lnag == eng)").1.contains("did you mean lang?"));
}

#[test]
fn durations_are_compared_in_milliseconds() {
    for (text, written, expected) in [
        ("duration == 1.5s", "duration == 1500ms", true),
        ("duration > 1s", "duration > 1s", true),
        ("duration <= 1499ms", "duration <= 1499ms", false),
        ("duration != 0.025m", "duration != 1500ms", false),
    ] {
        let query = query(text);
        assert_eq!(query.expression.to_string(), written);
        assert_eq!(query.expression.matches(&Sample::new(&json!({"duration": 1500}))), expected, "{text}");
    }
}

#[test]
fn amount_that_could_not_be_written_again_is_refused() {
    let parse = |text: &str| Query::parse(text, &|_, _| true).map(|query| query.expression.to_string());
    assert_eq!(parse("size > 999999999GB"), Ok("size > 999999999000000000".to_owned()));
    for text in ["size > 9999999999GB", "size > 8888888888820GB", "duration < 999999999999999999h"] {
        let error = parse(text).expect_err(text);
        assert!(error.to_string().contains("a number with a unit"), "{error}");
    }
}
