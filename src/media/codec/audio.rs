//! Headers of audio codecs: codec and channels.

use super::bits::Bits;

/// The audio object types that matter here (ISO/IEC 14496-3, table 1.17).
mod object {
    pub(super) const SBR: u32 = 5;
    pub(super) const PS: u32 = 29;
    pub(super) const LC: u32 = 2;
    pub(super) const BSAC: u32 = 22;
    pub(super) const ALS: u32 = 36;
}

/// Channels by `channelConfiguration` (ISO/IEC 14496-3, table 1.19 and its amendments).
const CHANNELS: [u32; 15] = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8];

/// ISO/IEC 14496-3, 1.6.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AudioSpecificConfig {
    object_type: u32,
    channels: Option<u32>,
}

impl AudioSpecificConfig {
    /// `None` when it makes no sense.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(bytes);
        let mut object_type = audio_object_type(&mut bits)?;
        sampling_frequency(&mut bits)?;
        let configuration = bits.number(4)?;
        let channels = *CHANNELS.get(usize::try_from(configuration).ok()?)?;
        // `None` = not stated: a decoder then searches the stream for both.
        let (mut sbr, mut ps) = (None, None);
        if object_type == object::SBR || object_type == object::PS && !is_old_mp3_on_mp4(bits) {
            ps = (object_type == object::PS).then_some(true);
            sbr = Some(true);
            sampling_frequency(&mut bits)?;
            object_type = audio_object_type(&mut bits)?;
            if object_type == object::BSAC {
                bits.skip(4)?;
            }
        }
        if object_type == object::ALS {
            return Some(Self { object_type, channels: als_channels(bits).or(Some(channels)) });
        }
        if channels == 0 {
            return Some(Self { object_type, channels: program_config_channels(bits) });
        }
        if sbr.is_none() {
            (sbr, ps) = sync_extension(bits);
        }
        // Parametric stereo makes two channels of one, and a decoder expects it wherever there is
        // SBR.
        let parametric = ps.unwrap_or(object_type == object::LC && sbr == Some(true));
        let stereo = channels == 1 && sbr != Some(false) && parametric;
        Some(Self { object_type, channels: Some(if stereo { 2 } else { channels }) })
    }

    /// Channels that a decoder puts out.
    pub(crate) fn channels(self) -> Option<u32> {
        self.channels
    }

    /// The codec, by the audio object type.
    pub(crate) fn codec(self) -> &'static str {
        match self.object_type {
            object::PS | 32..=34 => "mp3on4",
            object::ALS => "mp4als",
            _ => "aac",
        }
    }
}

fn audio_object_type(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.number(5)? {
        31 => Some(32 + bits.number(6)?),
        short => Some(short),
    }
}

fn sampling_frequency(bits: &mut Bits<'_>) -> Option<()> {
    if bits.number(4)? == 15 { bits.skip(24) } else { Some(()) }
}

/// A draft that was used under the number of parametric stereo.
fn is_old_mp3_on_mp4(bits: Bits<'_>) -> bool {
    let low = |count| bits.peek(count).unwrap_or(0);
    !low(3).is_multiple_of(4) && low(9).is_multiple_of(64)
}

/// SBR and PS in the backward compatible extension after the configuration; `None` = not stated.
fn sync_extension(mut bits: Bits<'_>) -> (Option<bool>, Option<bool>) {
    let mut found = || {
        while bits.left() > 15 {
            if bits.peek(11)? != 0x2B7 {
                bits.skip(1)?;
                continue;
            }
            bits.skip(11)?;
            if audio_object_type(&mut bits)? != object::SBR {
                return None;
            }
            let sbr = bits.flag()?;
            if sbr {
                sampling_frequency(&mut bits)?;
            }
            let marked = bits.left() > 11 && bits.number(11)? == 0x548;
            return Some((Some(sbr), if marked { bits.flag() } else { None }));
        }
        None
    };
    found().unwrap_or((None, None))
}

/// Channels of a `program_config_element` in a `GASpecificConfig` (ISO/IEC 14496-3, 4.4.1).
fn program_config_channels(mut bits: Bits<'_>) -> Option<u32> {
    bits.skip(1)?; // frameLengthFlag
    if bits.flag()? {
        bits.skip(14)?; // coreCoderDelay
    }
    bits.skip(1)?; // extensionFlag
    bits.skip(4 + 2 + 4)?; // instance tag, object type, sampling frequency
    let elements = [bits.number(4)?, bits.number(4)?, bits.number(4)?];
    let low_frequency = bits.number(2)?;
    bits.skip(3 + 4)?; // associated data, coupling
    for mixdown in [4, 4, 3] {
        if bits.flag()? {
            bits.skip(mixdown)?;
        }
    }
    let mut channels = low_frequency;
    for _ in 0..elements.iter().sum::<u32>() {
        channels += 1 + u32::from(bits.flag()?);
        bits.skip(4)?;
    }
    (channels > 0).then_some(channels)
}

/// Channels of an `ALSSpecificConfig` (ISO/IEC 14496-3, 11.2.1), which old encoders pad.
fn als_channels(mut bits: Bits<'_>) -> Option<u32> {
    bits.skip(5)?;
    if bits.peek(24)? != 0x0041_4C53 {
        bits.skip(24)?;
    }
    (bits.number(32)? == 0x414C_5300).then_some(())?;
    bits.skip(64)?;
    Some(bits.number(16)? + 1)
}

/// Channels of the Vorbis identification header, however the headers are laced.
pub(crate) fn vorbis_channels(headers: &[u8]) -> Option<u32> {
    const MAGIC: &[u8] = b"\x01vorbis";
    let at = headers.windows(MAGIC.len()).take(64).position(|window| window == MAGIC)?;
    headers.get(at + MAGIC.len() + 4).map(|channels| u32::from(*channels))
}

/// Speakers by `acmod` (ETSI TS 102 366, table 4.3).
pub(super) const AC3_CHANNELS: [u32; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// Contents of `dac3` and `dec3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DolbyConfig {
    pub(crate) channels: u32,
    /// `bsmod`: what the service is for.
    pub(crate) service: u32,
}

impl DolbyConfig {
    /// From `dac3` (ETSI TS 102 366, F.4).
    pub(crate) fn ac3(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        bits.skip(2 + 5)?; // fscod, bsid
        let service = bits.number(3)?;
        let mode = usize::try_from(bits.number(3)?).ok()?;
        let low_frequency = bits.number(1)?;
        Some(Self { channels: AC3_CHANNELS.get(mode)? + low_frequency, service })
    }

    /// From `dec3` (ETSI TS 102 366, F.6): the first independent substream and those that depend on
    /// it.
    pub(crate) fn eac3(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        bits.skip(13 + 3 + 2 + 5 + 1 + 1)?; // data rate, substreams, fscod, bsid, reserved, asvc
        let service = bits.number(3)?;
        let mode = usize::try_from(bits.number(3)?).ok()?;
        let low_frequency = bits.number(1)?;
        bits.skip(3)?;
        let dependent = bits.number(4)?;
        let locations = if dependent > 0 { bits.number(9)? } else { 0 };
        // Pairs: Lc/Rc, Lrs/Rrs, Lsd/Rsd, Lw/Rw, Lvh/Rvh; single: Cs, Ts, Cvh, LFE2.
        let dependents = locations.count_ones() + (locations & 0b0_0111_0011).count_ones();
        Some(Self { channels: AC3_CHANNELS.get(mode)? + low_frequency + dependents, service })
    }

    /// Whether the service is an associated one: ffprobe then clears the track's other flags.
    pub(crate) fn is_associated(self) -> bool {
        matches!(self.service, 1 | 2 | 3 | 5) || self.service == 7 && self.channels > 1
    }
}

/// Channels of `ddts` (ETSI TS 102 114, E.2.2.3.1): pairs and single speakers of `ChannelLayout`.
pub(crate) fn dts_channels(payload: &[u8]) -> Option<u32> {
    const PAIRS: u32 = 0xAE66;
    let mut bits = Bits::new(payload);
    bits.skip(32 * 3 + 8 + 2 + 5 + 1 + 6 + 14 + 1 + 1)?;
    let layout = bits.number(16)?;
    (layout != 0).then(|| layout.count_ones() + (layout & PAIRS).count_ones())
}

/// Channels of `dmlp`, for the presentation with most (Dolby's "TrueHD in ISO base media").
pub(crate) fn truehd_channels(payload: &[u8]) -> Option<u32> {
    /// Speakers by bit of `channel_assignment`.
    const SPEAKERS: [u32; 13] = [2, 1, 1, 2, 2, 2, 2, 1, 1, 2, 2, 1, 1];
    let mut bits = Bits::new(payload);
    bits.skip(4 + 8)?;
    let six = bits.number(5)?;
    bits.skip(2)?;
    let eight = bits.number(13)?;
    let assignment = if eight == 0 { six } else { eight };
    let channels = SPEAKERS.iter().enumerate().filter(|(bit, _)| assignment >> bit & 1 == 1);
    Some(channels.map(|(_, speakers)| speakers).sum()).filter(|channels| *channels > 0)
}

/// Channels of `dOps` (Encapsulation of Opus in ISO Base Media File Format, 4.3.2).
pub(crate) fn opus_channels(payload: &[u8]) -> Option<u32> {
    payload.get(1).map(|channels| u32::from(*channels))
}

/// Channels of `dfLa`: of the STREAMINFO block (RFC 9639, 8.2) in it.
pub(crate) fn flac_channels(payload: &[u8]) -> Option<u32> {
    stream_info_channels(payload.get(4 + 4..)?)
}

fn stream_info_channels(stream_info: &[u8]) -> Option<u32> {
    Some(u32::from(stream_info.get(12)? >> 1 & 7) + 1)
}

/// Channels by the configuration that follows a `WAVEFORMATEX`.
pub(super) fn configured_channels(codec: &str, config: &[u8]) -> Option<u32> {
    match codec {
        "aac" => AudioSpecificConfig::parse(config)?.channels(),
        "flac" if config.starts_with(b"fLaC") => flac_channels(config),
        "flac" => stream_info_channels(config),
        "vorbis" => vorbis_channels(config),
        _ => None,
    }
}

/// Channels of the ALAC magic cookie.
pub(crate) fn alac_channels(cookie: &[u8]) -> Option<u32> {
    cookie.get(9).map(|channels| u32::from(*channels)).filter(|channels| *channels > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(config: &[u8]) -> Option<u32> {
        AudioSpecificConfig::parse(config)?.channels
    }

    #[test]
    fn aac_channels() {
        assert_eq!(channels(&[0x12, 0x10]), Some(2)); // LC, 44.1 kHz, stereo
        assert_eq!(channels(&[0x12, 0x08]), Some(1));
        assert_eq!(channels(&[0x11, 0xB0]), Some(6));
        assert_eq!(channels(&[0xEB, 0x8A, 0x08, 0x00]), Some(2)); // PS over mono
        assert_eq!(channels(&[0x2B, 0x8A, 0x08, 0x00]), Some(2)); // SBR over mono may carry PS
        assert_eq!(channels(&[0x2B, 0x92, 0x08, 0x00]), Some(2)); // SBR over stereo
        assert_eq!(channels(&[0x13, 0x88, 0x56, 0xE5, 0x00]), Some(1)); // SBR stated as absent
        assert_eq!(channels(&[0x12]), None);
        assert_eq!(channels(&[]), None);
    }

    #[test]
    fn a_program_config_element_counts_its_channels() {
        // LC, 48 kHz, configuration 0; one front single, one front pair, one back pair, one LFE.
        let mut bits = String::from("00010" /* LC */);
        bits += "0011" /* 48 kHz */;
        bits += "0000";
        bits += "000"; // GASpecificConfig's flags
        bits += "0000" /* tag */;
        bits += "01" /* profile */;
        bits += "0011";
        bits += "0010" /* front */;
        bits += "0000" /* side */;
        bits += "0001" /* back */;
        bits += "01" /* LFE */;
        bits += "000";
        bits += "0000";
        bits += "000"; // no mixdown
        bits += "00000" /* single */;
        bits += "10001" /* pair */;
        bits += "10000";
        bits += "0000" /* LFE's tag */;
        let mut bytes = Vec::new();
        for chunk in bits.as_bytes().chunks(8) {
            let text = format!("{:0<8}", std::str::from_utf8(chunk).unwrap());
            bytes.push(u8::from_str_radix(&text, 2).unwrap());
        }
        assert_eq!(channels(&bytes), Some(6));
    }

    #[test]
    fn dolby_and_dts() {
        let ac3 = DolbyConfig::ac3(&[0x10, 0x3D, 0xC0]).unwrap();
        assert_eq!((ac3.channels, ac3.is_associated()), (6, false));
        let eac3 = DolbyConfig::eac3(&[0x06, 0x00, 0x20, 0x0F, 0x02, 0x02]).unwrap();
        assert_eq!(eac3.channels, 8);
        assert_eq!(DolbyConfig::eac3(&[0x06, 0x00, 0x20, 0x0F, 0x00]).unwrap().channels, 6);
        assert_eq!(
            flac_channels(&[0, 0, 0, 0, 0, 0, 0, 34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0A, 0xC4, 0x42]),
            Some(2)
        );
    }
}
