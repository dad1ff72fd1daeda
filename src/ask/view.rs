//! A file of the library as a query sees it.

use crate::base::timestamp::Timestamp;
use crate::library::files::listing::{Details, Track};
use crate::library::subtitles::Subtitle;
use crate::query::{self, Amount, Flag, Mark, Number, Text, TrackType, Words};

/// A file, at a time.
pub(super) struct View<'a> {
    pub details: &'a Details,
    /// Whether another file that is there has the same content.
    pub has_twin: bool,
    pub now: Timestamp,
}

impl query::File for View<'_> {
    fn track(&self, index: usize) -> Option<&dyn query::Track> {
        // Subtitle files come after the tracks.
        let Details { tracks, subtitles, .. } = self.details;
        match tracks.get(index) {
            Some(track) => Some(track),
            None => subtitles.get(index - tracks.len()).map(|subtitle| subtitle as &dyn query::Track),
        }
    }

    fn mark(&self, mark: Mark) -> Option<bool> {
        match mark {
            Mark::Missing => Some(self.details.file.scan_status == "missing"),
            Mark::Duplicate => Some(self.has_twin),
            Mark::Truncated => self.details.file.is_truncated(),
        }
    }

    fn amount(&self, amount: Amount) -> Option<u64> {
        match amount {
            Amount::Size => u64::try_from(self.details.file.size_bytes).ok(),
            Amount::Age => {
                let first_seen = Timestamp::parse(self.details.file.first_seen.as_ref()?)?;
                u64::try_from(first_seen.until(self.now).unwrap_or_default().as_millis()).ok()
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole milliseconds")]
            Amount::Duration => {
                self.details.file.duration_seconds.map(|seconds| (seconds * 1000.0).round() as u64)
            }
            Amount::BitRate => self.details.file.bit_rate,
            Amount::Holes => self.details.file.facts.hole_bytes,
        }
    }

    fn words(&self, words: Words) -> Option<&str> {
        match words {
            Words::Container => self.details.file.container_format.as_deref(),
            Words::Status => Some(&self.details.file.scan_status),
            Words::Path | Words::Root => Some(&self.details.file.path),
        }
    }
}

impl query::Track for Track {
    fn track_type(&self) -> Option<TrackType> {
        TrackType::ALL.into_iter().find(|known| known.as_str() == self.track_type)
    }

    fn text(&self, text: Text) -> Option<&str> {
        match text {
            Text::Language => self.language.as_deref(),
            Text::Codec => self.codec.as_deref(),
            Text::Title => self.title.as_deref(),
            Text::Profile => self.facts.profile.as_deref(),
            Text::Tag => self.facts.language_tag.as_deref(),
            Text::HdrFormat => self.facts.hdr_format.as_deref(),
            Text::CodecDetail => self.facts.codec_detail.as_deref(),
        }
    }

    fn number(&self, number: Number) -> Option<i64> {
        match number {
            Number::Channels => self.channels,
            Number::Width => self.width,
            Number::Height => self.height,
            Number::BitDepth => self.facts.bit_depth.map(i64::from),
        }
    }

    fn flag(&self, flag: Flag) -> Option<bool> {
        match flag {
            Flag::Default => Some(self.is_default),
            Flag::Forced => Some(self.is_forced),
            Flag::External => Some(false),
            Flag::Hdr => self.facts.hdr_format.as_ref().map(|format| format != "sdr"),
            Flag::HearingImpaired => self.facts.is_hearing_impaired,
            Flag::Commentary => self.facts.is_commentary,
            Flag::Original => self.facts.is_original,
            Flag::AttachedPicture => self.facts.is_attached_picture,
        }
    }
}

impl query::Track for Subtitle<'_> {
    fn track_type(&self) -> Option<TrackType> {
        Some(TrackType::Subtitle)
    }

    fn text(&self, text: Text) -> Option<&str> {
        match text {
            Text::Language => Some(&self.language),
            Text::Codec => self.codec(),
            Text::Tag => self.tag.as_deref(),
            _ => None,
        }
    }

    fn number(&self, _: Number) -> Option<i64> {
        None
    }

    fn flag(&self, flag: Flag) -> Option<bool> {
        match flag {
            Flag::External => Some(true),
            Flag::Forced => Some(self.is_forced),
            Flag::HearingImpaired => Some(self.is_hearing_impaired),
            _ => None,
        }
    }
}
