//! What headers state about sound beyond codec and channels, and ffprobe's words for it.

use super::pcm;
use crate::media::info::TrackFacts;

/// Codecs that keep the samples as they were, as one profile of DTS does.
const LOSSLESS: [&str; 8] = ["flac", "alac", "truehd", "mlp", "wavpack", "tta", "ape", "mp4als"];

/// Facts of an audio track, from its codec's header or from its container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sound {
    /// ffprobe's name.
    pub(crate) profile: Option<&'static str>,
    /// What the codec's name leaves open.
    pub(crate) detail: Option<&'static str>,
    /// Hz.
    pub(crate) rate: Option<u32>,
    /// Bits per second.
    pub(crate) bit_rate: Option<u32>,
    /// Bits of a sample.
    pub(crate) depth: Option<u32>,
}

impl Sound {
    /// What is stated here, else there.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            profile: self.profile.or(other.profile),
            detail: self.detail.or(other.detail),
            rate: self.rate.or(other.rate),
            bit_rate: self.bit_rate.or(other.bit_rate),
            depth: self.depth.or(other.depth),
        }
    }

    /// Adds the facts, with those that follow from the codec.
    pub(crate) fn apply(mut self, codec: Option<&str>, channels: Option<u32>, facts: &mut TrackFacts) {
        let rate = self.rate.filter(|rate| *rate > 0);
        match codec {
            Some("opus") => self = Self { rate: Some(48_000), depth: None, ..self },
            // Lossy codecs have no samples of a size, whatever the container states.
            Some(codec) if !LOSSLESS.contains(&codec) && self.profile != Some("DTS-HD MA") => {
                self.depth = pcm::sample_size(codec);
                let of_pcm = self.depth.filter(|_| codec.starts_with("pcm_"));
                let of_pcm = of_pcm.zip(rate).zip(channels);
                let of_pcm = of_pcm
                    .map(|((depth, rate), channels)| depth.saturating_mul(rate).saturating_mul(channels));
                self.bit_rate = of_pcm.or(self.bit_rate);
            }
            _ => {}
        }
        facts.profile = self.profile.map(str::to_owned);
        facts.codec_detail = self.detail;
        facts.sample_rate = self.rate.filter(|rate| *rate > 0);
        facts.bit_rate = self.bit_rate.filter(|rate| *rate > 0).map(u64::from);
        facts.bit_depth = self.depth.filter(|depth| *depth > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pcm_has_a_bit_rate_and_lossy_sound_no_depth() {
        let facts = |codec| {
            let mut facts = TrackFacts::default();
            let sound = Sound { rate: Some(44_100), depth: Some(16), ..Sound::default() };
            sound.apply(Some(codec), Some(2), &mut facts);
            (facts.sample_rate, facts.bit_rate, facts.bit_depth)
        };
        assert_eq!(facts("pcm_s24le"), (Some(44_100), Some(2_116_800), Some(24)));
        assert_eq!(facts("aac"), (Some(44_100), None, None));
        assert_eq!(facts("flac"), (Some(44_100), None, Some(16)));
        assert_eq!(facts("opus"), (Some(48_000), None, None));
    }
}
