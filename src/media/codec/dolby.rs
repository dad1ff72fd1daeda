//! Headers of Dolby's codecs in MP4: channels, service, rates, and whether there are audio objects (Atmos).

use super::audio::Header;
use super::bits::Bits;
use super::sound::Sound;

/// Speakers by `acmod` (ETSI TS 102 366, table 4.3).
pub(super) const AC3_CHANNELS: [u32; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// Contents of `dac3` and `dec3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DolbyConfig {
    pub(crate) channels: u32,
    /// `bsmod`: what the service is for.
    pub(crate) service: u32,
    pub(crate) sound: Sound,
}

impl DolbyConfig {
    /// From `dac3` (ETSI TS 102 366, F.4).
    pub(crate) fn ac3(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        let rate = dolby_rate(bits.number(2)?);
        bits.skip(5)?; // bsid
        let service = bits.number(3)?;
        let mode = usize::try_from(bits.number(3)?).ok()?;
        let low_frequency = bits.number(1)?;
        let bit_rate = bits.number(5).and_then(ac3_bit_rate);
        let sound = Sound { rate, bit_rate, ..Sound::default() };
        Some(Self { channels: AC3_CHANNELS.get(mode)? + low_frequency, service, sound })
    }

    /// From `dec3` (ETSI TS 102 366, F.6): the first independent substream and those that depend on
    /// it.
    pub(crate) fn eac3(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        let bit_rate = Some(bits.number(13)? * 1000);
        let substreams = bits.number(3)?;
        let rate = dolby_rate(bits.number(2)?);
        bits.skip(5 + 1 + 1)?; // bsid, reserved, asvc
        let service = bits.number(3)?;
        let mode = usize::try_from(bits.number(3)?).ok()?;
        let low_frequency = bits.number(1)?;
        bits.skip(3)?;
        let dependent = bits.number(4)?;
        let locations = if dependent > 0 { bits.number(9)? } else { 0 };
        // Pairs: Lc/Rc, Lrs/Rrs, Lsd/Rsd, Lw/Rw, Lvh/Rvh; single: Cs, Ts, Cvh, LFE2.
        let dependents = locations.count_ones() + (locations & 0b0_0111_0011).count_ones();
        if dependent == 0 {
            bits.skip(1)?; // reserved
        }
        // The extension for joint object coding (ETSI TS 103 420, C.3.1) follows the only substream.
        let has_objects = substreams == 0 && bits.skip(7).and_then(|()| bits.flag()) == Some(true);
        let detail = has_objects.then_some("Atmos");
        let sound = Sound { detail, rate, bit_rate, ..Sound::default() };
        Some(Self { channels: AC3_CHANNELS.get(mode)? + low_frequency + dependents, service, sound })
    }

    /// Whether the service is an associated one: ffprobe then clears the track's other flags.
    pub(crate) fn is_associated(self) -> bool {
        matches!(self.service, 1 | 2 | 3 | 5) || self.service == 7 && self.channels > 1
    }
}

/// Hz by `fscod`.
pub(super) fn dolby_rate(code: u32) -> Option<u32> {
    [48_000, 44_100, 32_000].get(usize::try_from(code).ok()?).copied()
}

/// Bits per second by half of `frmsizecod` (ETSI TS 102 366, table 4.13).
pub(super) fn ac3_bit_rate(code: u32) -> Option<u32> {
    #[rustfmt::skip]
    const KILOBITS: [u32; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    KILOBITS.get(usize::try_from(code).ok()?).map(|kilobits| kilobits * 1000)
}

/// Contents of `dmlp`, for the presentation with most channels (Dolby's "TrueHD in ISO base media").
pub(crate) fn truehd(payload: &[u8]) -> Option<Header> {
    /// Speakers by bit of `channel_assignment`.
    const SPEAKERS: [u32; 13] = [2, 1, 1, 2, 2, 2, 2, 1, 1, 2, 2, 1, 1];
    let mut bits = Bits::new(payload);
    let rate = mlp_rate(bits.number(4)?);
    bits.skip(8)?;
    let six = bits.number(5)?;
    bits.skip(2)?;
    let eight = bits.number(13)?;
    let assignment = if eight == 0 { six } else { eight };
    let channels = SPEAKERS.iter().enumerate().filter(|(bit, _)| assignment >> bit & 1 == 1);
    let channels = Some(channels.map(|(_, speakers)| speakers).sum()).filter(|channels| *channels > 0);
    Some((channels, Sound { rate, depth: Some(24), ..Sound::default() }))
}

/// Hz by the code of MLP.
pub(super) fn mlp_rate(code: u32) -> Option<u32> {
    (code != 15).then(|| (if code & 8 == 0 { 48_000 } else { 44_100 }) << (code & 7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_state_channels_rates_and_objects() {
        let ac3 = DolbyConfig::ac3(&[0x10, 0x3D, 0xC0]).unwrap();
        assert_eq!((ac3.channels, ac3.is_associated()), (6, false));
        let eac3 = DolbyConfig::eac3(&[0x06, 0x00, 0x20, 0x0F, 0x02, 0x02]).unwrap();
        assert_eq!(eac3.channels, 8);
        assert_eq!(DolbyConfig::eac3(&[0x06, 0x00, 0x20, 0x0F, 0x00]).unwrap().channels, 6);
        assert_eq!(ac3.sound, Sound { rate: Some(48_000), bit_rate: Some(384_000), ..Sound::default() });
        let atmos = DolbyConfig::eac3(&[0x18, 0x00, 0x20, 0x0F, 0x00, 0x01, 0x10]).unwrap().sound;
        assert_eq!((atmos.detail, atmos.bit_rate), (Some("Atmos"), Some(768_000)));
    }
}
