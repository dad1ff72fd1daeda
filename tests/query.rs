//! The query language against what the policies' first program answers, and against itself.

mod documented;
mod facts;
mod random;
mod vectors;

use std::path::Path;

use vpo::query::{Amount, File, Flag, Mark, Number, Text, Track, TrackType, Words};

/// A file as the vectors write it.
struct Sample<'a> {
    value: &'a serde_json::Value,
    tracks: Vec<SampleTrack<'a>>,
}

struct SampleTrack<'a>(&'a serde_json::Value);

impl<'a> Sample<'a> {
    fn new(value: &'a serde_json::Value) -> Self {
        let tracks = value["tracks"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self { value, tracks: tracks.iter().map(SampleTrack).collect() }
    }
}

impl File for Sample<'_> {
    fn track(&self, index: usize) -> Option<&dyn Track> {
        Some(self.tracks.get(index)?)
    }

    fn mark(&self, mark: Mark) -> Option<bool> {
        match mark {
            Mark::Missing => Some(self.value["status"] == "missing"),
            Mark::Duplicate => self.value["duplicate"].as_bool(),
            Mark::Truncated => self.value["truncated"].as_bool(),
        }
    }

    fn amount(&self, amount: Amount) -> Option<u64> {
        match amount {
            Amount::Size => self.value["size"].as_u64(),
            Amount::Duration => self.value["duration"].as_u64(),
            Amount::Age => self.value["age"].as_u64().map(|seconds| seconds * 1000),
            Amount::BitRate => self.value["bit_rate"].as_u64(),
            Amount::Holes => self.value["holes"].as_u64(),
        }
    }

    fn words(&self, words: Words) -> Option<&str> {
        match words {
            Words::Container => self.value["container_format"].as_str(),
            Words::Status => self.value["status"].as_str(),
            Words::Path | Words::Root => self.value["path"].as_str(),
        }
    }
}

impl Track for SampleTrack<'_> {
    fn track_type(&self) -> Option<TrackType> {
        TrackType::ALL.into_iter().find(|known| self.0["track_type"] == known.as_str())
    }

    fn text(&self, text: Text) -> Option<&str> {
        match text {
            Text::Language => self.0["language"].as_str(),
            Text::Codec => self.0["codec"].as_str(),
            Text::Title => self.0["title"].as_str(),
            Text::Profile => self.0["profile"].as_str(),
            Text::Tag => self.0["tag"].as_str(),
            Text::HdrFormat => self.0["hdr_format"].as_str(),
            Text::CodecDetail => self.0["codec_detail"].as_str(),
        }
    }

    fn number(&self, number: Number) -> Option<i64> {
        match number {
            Number::Channels => self.0["channels"].as_i64(),
            Number::Width => self.0["width"].as_i64(),
            Number::Height => self.0["height"].as_i64(),
            Number::BitDepth => self.0["bit_depth"].as_i64(),
        }
    }

    fn flag(&self, flag: Flag) -> Option<bool> {
        match flag {
            Flag::Default => self.0["is_default"].as_bool(),
            Flag::Forced => self.0["is_forced"].as_bool(),
            Flag::Hdr => self.0["hdr"].as_bool(),
            Flag::HearingImpaired => self.0["hearing_impaired"].as_bool(),
            Flag::Commentary => self.0["commentary"].as_bool(),
            Flag::Original => self.0["original"].as_bool(),
            Flag::External => self.0["external"].as_bool(),
            Flag::AttachedPicture => self.0["attached_picture"].as_bool(),
        }
    }
}

/// A gzip file of `tests/query/`, as its lines.
fn lines(name: &str) -> Vec<String> {
    const HEADER: usize = 10;
    const HAS_NAME: u8 = 8;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/query").join(name);
    let packed = std::fs::read(path).expect("the data are there");
    let mut body = &packed[HEADER..];
    if packed[3] & HAS_NAME != 0 {
        let end = body.iter().position(|byte| *byte == 0).expect("a name ends");
        body = &body[end + 1..];
    }
    let text = miniz_oxide::inflate::decompress_to_vec(body).expect("deflated");
    String::from_utf8(text).expect("UTF-8").lines().map(str::to_owned).collect()
}
