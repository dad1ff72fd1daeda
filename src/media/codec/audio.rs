//! Headers of audio codecs: codec, channels, and what else they state.

use super::bits::Bits;
use super::sound::Sound;

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
    sound: Sound,
}

impl AudioSpecificConfig {
    /// `None` when it makes no sense.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(bytes);
        let mut object_type = audio_object_type(&mut bits)?;
        let mut rate = sampling_frequency(&mut bits)?;
        let configuration = bits.number(4)?;
        let channels = *CHANNELS.get(usize::try_from(configuration).ok()?)?;
        // `None` = not stated: a decoder then searches the stream for both.
        let (mut sbr, mut ps) = (None, None);
        if object_type == object::SBR || object_type == object::PS && !is_old_mp3_on_mp4(bits) {
            ps = (object_type == object::PS).then_some(true);
            sbr = Some(true);
            rate = sampling_frequency(&mut bits)?;
            object_type = audio_object_type(&mut bits)?;
            if object_type == object::BSAC {
                bits.skip(4)?;
            }
        }
        let sound = |sbr: bool, ps: bool, rate: u32| Sound {
            profile: profile_name(object_type, sbr, ps),
            rate: Some(rate),
            ..Sound::default()
        };
        if object_type == object::ALS {
            let channels = als_channels(bits).or(Some(channels));
            return Some(Self { object_type, channels, sound: sound(false, false, rate) });
        }
        let is_explicit = sbr.is_some();
        if channels == 0 {
            let sound = sound(is_explicit, ps == Some(true), rate);
            return Some(Self { object_type, channels: program_config_channels(bits), sound });
        }
        if !is_explicit {
            let extended;
            (sbr, ps, extended) = sync_extension(bits);
            rate = extended.unwrap_or(rate);
        }
        // Parametric stereo makes two channels of one, and a decoder expects it wherever there is
        // SBR.
        let parametric = ps.unwrap_or(object_type == object::LC && sbr == Some(true));
        let stereo = channels == 1 && sbr != Some(false) && parametric;
        let sound = sound(sbr == Some(true), ps == Some(true), rate);
        Some(Self { object_type, channels: Some(if stereo { 2 } else { channels }), sound })
    }

    /// Channels that a decoder puts out.
    pub(crate) fn channels(self) -> Option<u32> {
        self.channels
    }

    /// Profile and rate of a decoder's output.
    pub(crate) fn sound(self) -> Sound {
        if self.codec() == "aac" { self.sound } else { Sound { profile: None, ..self.sound } }
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

/// Hz; 0 of a reserved index.
fn sampling_frequency(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.number(4)? {
        15 => bits.number(24),
        index => Some(FREQUENCIES.get(usize::try_from(index).ok()?).copied().unwrap_or(0)),
    }
}

/// Hz by `samplingFrequencyIndex` (ISO/IEC 14496-3, table 1.18).
#[rustfmt::skip]
pub(super) const FREQUENCIES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// ffprobe's name of an audio object type.
fn profile_name(object_type: u32, sbr: bool, ps: bool) -> Option<&'static str> {
    Some(match object_type {
        object::LC if ps => "HE-AACv2",
        object::LC if sbr => "HE-AAC",
        1 => "Main",
        object::LC => "LC",
        3 => "SSR",
        4 => "LTP",
        23 => "LD",
        39 => "ELD",
        42 => "xHE-AAC",
        _ => return None,
    })
}

/// A draft that was used under the number of parametric stereo.
fn is_old_mp3_on_mp4(bits: Bits<'_>) -> bool {
    let low = |count| bits.peek(count).unwrap_or(0);
    !low(3).is_multiple_of(4) && low(9).is_multiple_of(64)
}

/// SBR, PS and the rate with SBR, in the backward compatible extension after the configuration; `None` = not stated.
fn sync_extension(mut bits: Bits<'_>) -> (Option<bool>, Option<bool>, Option<u32>) {
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
            let rate = if sbr { Some(sampling_frequency(&mut bits)?) } else { None };
            let marked = bits.left() > 11 && bits.number(11)? == 0x548;
            return Some((Some(sbr), if marked { bits.flag() } else { None }, rate));
        }
        None
    };
    found().unwrap_or((None, None, None))
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

/// Channels of a codec, if stated, and what else its header states.
pub(crate) type Header = (Option<u32>, Sound);

/// Contents of the Vorbis identification header, however the headers are laced.
pub(crate) fn vorbis(headers: &[u8]) -> Option<Header> {
    const MAGIC: &[u8] = b"\x01vorbis";
    let at = headers.windows(MAGIC.len()).take(64).position(|window| window == MAGIC)? + MAGIC.len() + 4;
    let channels = headers.get(at).map(|channels| u32::from(*channels))?;
    let number = |at: usize| Some(u32::from_le_bytes(*headers.get(at..)?.first_chunk()?));
    // Its nominal rate, unless that is negative.
    let bit_rate = number(at + 9).filter(|rate| i32::try_from(*rate).is_ok());
    Some((Some(channels), Sound { rate: number(at + 1), bit_rate, ..Sound::default() }))
}

/// Contents of `ddts` (ETSI TS 102 114, E.2.2.3.1): of `ChannelLayout` pairs and single speakers.
pub(crate) fn dts(payload: &[u8]) -> Option<Header> {
    const PAIRS: u32 = 0xAE66;
    let mut bits = Bits::new(payload);
    let rate = Some(bits.number(32)?);
    bits.skip(32)?; // maximum
    let bit_rate = Some(bits.number(32)?).filter(|rate| *rate > 0);
    bits.skip(8 + 2)?; // depth, frame
    let profile = match bits.number(5)? {
        1 => Some("DTS"),
        2 | 3 => Some("DTS-ES"),
        4 => Some("DTS 96/24"),
        5..=13 => Some("DTS-HD HRA"),
        14..=17 | 21 => Some("DTS-HD MA"),
        18 => Some("DTS Express"),
        _ => None,
    };
    bits.skip(1 + 6 + 14 + 1 + 1)?;
    let layout = bits.number(16)?;
    let channels = (layout != 0).then(|| layout.count_ones() + (layout & PAIRS).count_ones());
    let detail = profile.filter(|profile| *profile != "DTS");
    Some((channels, Sound { profile, detail, rate, bit_rate, depth: None }))
}

/// Contents of `dOps` (Encapsulation of Opus in ISO Base Media File Format, 4.3.2).
pub(crate) fn opus(payload: &[u8]) -> Option<Header> {
    payload.get(1).map(|channels| (Some(u32::from(*channels)), Sound::default()))
}

/// Contents of `dfLa`: of the STREAMINFO block (RFC 9639, 8.2) in it.
pub(crate) fn flac(payload: &[u8]) -> Option<Header> {
    stream_info(payload.get(4 + 4..)?)
}

fn stream_info(stream_info: &[u8]) -> Option<Header> {
    let mut bits = Bits::new(stream_info.get(10..)?);
    let rate = Some(bits.number(20)?);
    let channels = Some(bits.number(3)? + 1);
    Some((channels, Sound { rate, depth: bits.number(5).map(|depth| depth + 1), ..Sound::default() }))
}

/// Contents of the configuration that follows a `WAVEFORMATEX`.
pub(super) fn configured(codec: &str, config: &[u8]) -> Option<Header> {
    match codec {
        "aac" => AudioSpecificConfig::parse(config).map(|config| (config.channels(), config.sound())),
        "flac" if config.starts_with(b"fLaC") => flac(config),
        "flac" => stream_info(config),
        "vorbis" => vorbis(config),
        _ => None,
    }
}

/// Contents of the ALAC magic cookie.
pub(crate) fn alac(cookie: &[u8]) -> Option<Header> {
    let channels = u32::from(*cookie.get(9)?);
    let rate = cookie.get(20..).and_then(|rate| rate.first_chunk()).map(|rate| u32::from_be_bytes(*rate));
    let depth = Some(u32::from(*cookie.get(5)?));
    Some((Some(channels).filter(|channels| *channels > 0), Sound { rate, depth, ..Sound::default() }))
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
    fn aac_profiles_and_rates() {
        for (config, profile, rate) in [
            (&[0x12, 0x10][..], "LC", 44_100),
            (&[0x2B, 0x92, 0x08, 0x00], "HE-AAC", 44_100),
            (&[0xEB, 0x8A, 0x08, 0x00], "HE-AACv2", 44_100),
            (&[0x13, 0x90, 0x56, 0xE5, 0xA0], "HE-AAC", 44_100),
            (&[0x13, 0x88, 0x56, 0xE5, 0x00], "LC", 22_050),
            (&[0x0A, 0x10], "Main", 44_100),
        ] {
            let sound = AudioSpecificConfig::parse(config).unwrap().sound();
            assert_eq!((sound.profile, sound.rate), (Some(profile), Some(rate)), "{config:02X?}");
        }
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
    fn flac_states_rate_and_depth() {
        let (channels, sound) =
            flac(&[0, 0, 0, 0, 0, 0, 0, 34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0A, 0xC4, 0x42, 0xF0]).unwrap();
        assert_eq!((channels, sound.rate, sound.depth), (Some(2), Some(44_100), Some(16)));
    }
}
