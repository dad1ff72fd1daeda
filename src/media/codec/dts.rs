//! Frames of DTS (ETSI TS 102 114): channels and rates of the core, and the extension behind it.

use super::bits::Bits;
use super::sound::Sound;

/// Bytes of the core's header.
const LENGTH: usize = 16;
/// Bytes of the extension substream's header that precede what it holds, at most.
const MAX_EXTENSION: usize = 512;
/// Sync words of the extension substream, and of what it may hold (7.4.1 and annex B; of DTS:X as in ffmpeg).
const SUBSTREAM: [u8; 4] = [0x64, 0x58, 0x20, 0x25];
const LOSSLESS: [u8; 4] = [0x41, 0xA2, 0x95, 0x47];
const LOW_RATE: [u8; 4] = [0x0A, 0x80, 0x19, 0x21];
const HIGH_RATES: [[u8; 4]; 3] =
    [[0x65, 0x5E, 0x31, 0x5E], [0x47, 0x00, 0x4A, 0x03], [0x1D, 0x95, 0xF2, 0x62]];
const OBJECTS: [u8; 4] = [0x02, 0x00, 0x08, 0x50];

/// Channels and the rest, of a frame that begins with these bytes; no channels without a core.
pub(crate) fn parse(frame: &[u8]) -> Option<(u32, Sound)> {
    if frame.starts_with(&SUBSTREAM) {
        return Some((0, extension(frame)));
    }
    let (channels, size, core) = core(frame)?;
    let behind = frame.get(size..).unwrap_or_default();
    Some((channels, if behind.starts_with(&SUBSTREAM) { extension(behind).or(core) } else { core }))
}

/// The profile by what the extension substream holds, as ffprobe names it.
fn extension(bytes: &[u8]) -> Sound {
    let holds = |word: &[u8; 4], most: usize| bytes.windows(4).take(most).any(|bytes| bytes == word);
    let profile = if holds(&LOSSLESS, MAX_EXTENSION) {
        Some("DTS-HD MA")
    } else if holds(&LOW_RATE, MAX_EXTENSION) {
        Some("DTS Express")
    } else if HIGH_RATES.iter().any(|word| holds(word, MAX_EXTENSION)) {
        Some("DTS-HD HRA")
    } else {
        None
    };
    let has_objects = profile == Some("DTS-HD MA") && holds(&OBJECTS, usize::MAX);
    // The core's rate is not that of the whole.
    let bit_rate = profile.map(|_| 0);
    Sound { profile, detail: if has_objects { Some("DTS:X") } else { profile }, bit_rate, ..Sound::default() }
}

/// The core (5.3.1), in words of 16 or 14 bits, in either byte order: channels, size in bytes, and the rest.
fn core(frame: &[u8]) -> Option<(u32, usize, Sound)> {
    /// Speakers by `AMODE`.
    const SPEAKERS: [u32; 16] = [1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 8, 8];
    /// Hz by `SFREQ`.
    #[rustfmt::skip]
    const FREQUENCIES: [u32; 16] = [
        0, 8_000, 16_000, 32_000, 0, 0, 11_025, 22_050, 44_100, 0, 0, 12_000, 24_000, 48_000, 96_000, 192_000,
    ];
    /// Hundreds of bits a second by `RATE`.
    #[rustfmt::skip]
    const RATES: [u32; 29] = [
        320, 560, 640, 960, 1_120, 1_280, 1_920, 2_240, 2_560, 3_200, 3_840, 4_480, 5_120, 5_760, 6_400, 7_680,
        9_600, 10_240, 11_520, 12_800, 13_440, 14_080, 14_112, 14_720, 15_360, 19_200, 20_480, 30_720, 38_400,
    ];
    let (of_word, is_swapped) = match frame.first_chunk::<4>()? {
        [0x7F, 0xFE, 0x80, 0x01] => (16, false),
        [0xFE, 0x7F, 0x01, 0x80] => (16, true),
        [0x1F, 0xFF, 0xE8, 0x00] => (14, false),
        [0xFF, 0x1F, 0x00, 0xE8] => (14, true),
        _ => return None,
    };
    let words = frame.first_chunk::<LENGTH>()?.chunks_exact(2);
    let packed = words.fold(0_u128, |packed, pair| {
        let word = if is_swapped { [pair[1], pair[0]] } else { [pair[0], pair[1]] };
        packed << of_word | u128::from(u16::from_be_bytes(word)) & ((1 << of_word) - 1)
    });
    let packed = (packed << (8 * (16 - of_word))).to_be_bytes();
    let mut bits = Bits::new(&packed);
    bits.skip(32 + 1 + 5 + 1 + 7)?; // sync word, frame type, deficit, check, blocks
    let size = bits.number(14)? + 1;
    let mut number = |count| usize::try_from(bits.number(count)?).ok();
    let (mode, frequency, rate) = (number(6)?, number(4)?, number(5)?);
    number(5)?; // flags
    let (extension, is_extended) = (number(3)?, number(1)? == 1);
    number(1)?; // synchronisation
    let channels = SPEAKERS.get(mode)? + u32::from(matches!(number(2)?, 1 | 2));
    let profile = match extension {
        0 | 6 if is_extended => "DTS-ES",
        2 if is_extended => "DTS 96/24",
        _ => "DTS",
    };
    let doubled = u32::from(profile == "DTS 96/24");
    let sound = Sound {
        profile: Some(profile),
        detail: Some(profile).filter(|profile| *profile != "DTS"),
        rate: FREQUENCIES.get(frequency).map(|rate| rate << doubled),
        bit_rate: RATES.get(rate).map(|hundreds| hundreds * 100),
        ..Sound::default()
    };
    Some((channels, usize::try_from(size).ok()?, sound))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: [u8; 16] = [0x7F, 0xFE, 0x80, 0x01, 0xFC, 0x3C, 0x7D, 0xF2, 0x77, 0x00, 0x04, 0, 0, 0, 0, 0];

    #[test]
    fn the_extension_gives_the_profile() {
        let (channels, core) = parse(&CORE).unwrap();
        assert_eq!((channels, core.profile, core.detail), (6, Some("DTS"), None));
        assert_eq!((core.rate, core.bit_rate), (Some(48_000), Some(1_536_000)));
        let size = core_size();
        let with = |word: [u8; 4]| {
            let mut frame = CORE.to_vec();
            frame.resize(size, 0);
            parse(&[&frame[..], &SUBSTREAM, &[0; 40], &word, &[0; 9]].concat()).unwrap()
        };
        let (channels, lossless) = with(LOSSLESS);
        assert_eq!((channels, lossless.profile, lossless.detail), (6, Some("DTS-HD MA"), Some("DTS-HD MA")));
        assert_eq!(with(HIGH_RATES[0]).1.profile, Some("DTS-HD HRA"));
        assert_eq!(with([0; 4]).1.profile, Some("DTS"));
        let express = parse(&[&SUBSTREAM[..], &[0; 20], &LOW_RATE].concat()).unwrap();
        assert_eq!((express.0, express.1.profile), (0, Some("DTS Express")));
    }

    fn core_size() -> usize {
        core(&CORE).unwrap().1
    }

    #[test]
    fn the_core_has_words_of_several_kinds() {
        let channels = |frame: &[u8]| Some(parse(frame)?.0);
        let core = CORE;
        let swapped = |frame: [u8; 16]| -> Vec<u8> {
            frame.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect()
        };
        let packed = u128::from_be_bytes(core);
        let words = (1..=8).map(|nth| (packed >> (128 - 14 * nth) & 0x3FFF) as u16);
        // Signed samples of 14 bits.
        let words = words.map(|word| if word & 0x2000 == 0 { word } else { word | 0xC000 });
        let in_14: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
        let in_14 = *in_14.first_chunk().unwrap();
        for frame in [core.to_vec(), swapped(core), in_14.to_vec(), swapped(in_14)] {
            assert_eq!(channels(&frame), Some(6), "{frame:02X?}");
        }
        assert_eq!(channels(&core[..9]), None);
        assert_eq!(channels(&[0x7F; 16]), None);
    }
}
