//! Names of uncompressed audio, by size, sign and order of its samples.

/// From QuickTime's `lpcm` flags: 1 = floating point, 2 = big-endian, 4 = signed.
pub(crate) fn linear(bits: u32, flags: u32) -> Option<&'static str> {
    let big = flags & 2 != 0;
    Some(match (flags & 1 != 0, flags & 4 != 0, bits.div_ceil(8), big) {
        (true, _, 4, true) if bits == 32 => "pcm_f32be",
        (true, _, 4, false) if bits == 32 => "pcm_f32le",
        (true, _, 8, true) if bits == 64 => "pcm_f64be",
        (true, _, 8, false) if bits == 64 => "pcm_f64le",
        (false, true, 1, _) => "pcm_s8",
        (false, true, 2, true) => "pcm_s16be",
        (false, true, 2, false) => "pcm_s16le",
        (false, true, 3, true) => "pcm_s24be",
        (false, true, 3, false) => "pcm_s24le",
        (false, true, 4, true) => "pcm_s32be",
        (false, true, 4, false) => "pcm_s32le",
        (false, true, 8, true) => "pcm_s64be",
        (false, true, 8, false) => "pcm_s64le",
        (false, false, 1, _) => "pcm_u8",
        (false, false, 2, true) => "pcm_u16be",
        (false, false, 2, false) => "pcm_u16le",
        (false, false, 3, true) => "pcm_u24be",
        (false, false, 3, false) => "pcm_u24le",
        (false, false, 4, true) => "pcm_u32be",
        (false, false, 4, false) => "pcm_u32le",
        _ => return None,
    })
}

/// The codec with its sample size: the sample entry's type gives only the byte order.
pub(crate) fn with_sample_size(codec: Option<&'static str>, bits: u32) -> Option<&'static str> {
    Some(match (codec?, bits) {
        ("pcm_u8" | "pcm_s8", 16) => "pcm_s16be",
        ("pcm_s16be" | "pcm_s16le", 8) => "pcm_s8",
        ("pcm_s16be", 24) => "pcm_s24be",
        ("pcm_s16le", 24) => "pcm_s24le",
        ("pcm_s16be", 32) => "pcm_s32be",
        ("pcm_s16le", 32) => "pcm_s32le",
        (codec, _) => codec,
    })
}

/// The little-endian variant of a codec, used when `enda` or `pcmC` states that order.
pub(crate) fn little_endian(codec: Option<&'static str>) -> Option<&'static str> {
    Some(match codec? {
        "pcm_s16be" => "pcm_s16le",
        "pcm_s24be" => "pcm_s24le",
        "pcm_s32be" => "pcm_s32le",
        "pcm_f32be" => "pcm_f32le",
        "pcm_f64be" => "pcm_f64le",
        codec => codec,
    })
}

/// Bits of a sample of PCM, by its codec's name, and of ADPCM; `None` of other codecs.
pub(crate) fn sample_size(codec: &str) -> Option<u32> {
    if codec.starts_with("adpcm_") {
        return Some(4);
    }
    let name = codec.strip_prefix("pcm_")?;
    match name {
        "alaw" | "mulaw" => Some(8),
        _ => name.get(1..)?.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_flags_sizes_and_order() {
        assert_eq!(linear(24, 4), Some("pcm_s24le"));
        assert_eq!(linear(32, 3), Some("pcm_f32be"));
        assert_eq!(linear(0, 4), None);
        let sizes = ["pcm_s16le", "pcm_f64be", "pcm_u8", "pcm_alaw", "aac"].map(sample_size);
        assert_eq!(sizes, [Some(16), Some(64), Some(8), Some(8), None]);
        assert_eq!(with_sample_size(Some("pcm_s16be"), 24), Some("pcm_s24be"));
        assert_eq!(with_sample_size(Some("aac"), 16), Some("aac"));
        assert_eq!(little_endian(Some("pcm_f32be")), Some("pcm_f32le"));
        assert_eq!(little_endian(None), None);
    }
}
