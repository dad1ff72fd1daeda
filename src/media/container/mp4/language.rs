//! Languages of `mdhd`: three packed letters, or one of the Macintosh's numbers.

use crate::media::language;

/// The ISO 639-2/B code, or that of ISO 639-3; `None` when none is stated.
pub(crate) fn name(code: u16) -> Option<String> {
    match code {
        0x7FFF => None,
        0..0x400 => macintosh(code).and_then(language::bibliographic),
        _ => language::bibliographic(&packed(code)),
    }
}

/// Three letters of five bits each (ISO/IEC 14496-12, 8.4.2.3).
fn packed(code: u16) -> String {
    [10, 5, 0].map(|shift| char::from(0x60 + (code >> shift & 0x1F).to_le_bytes()[0])).iter().collect()
}

/// Macintosh language codes (QuickTime File Format Specification, "Language Code Values"; those from
/// 139 on by Apple's `Script.h`), as ISO 639.
fn macintosh(code: u16) -> Option<&'static str> {
    #[rustfmt::skip]
    const ROMAN: [&str; 95] = [
        "eng", "fre", "ger", "ita", "dut", "swe", "spa", "dan", "por", "nor", "heb", "jpn", "ara", "fin", "gre",
        "ice", "mlt", "tur", "hrv", "chi", "urd", "hin", "tha", "kor", "lit", "pol", "hun", "est", "lav", "smi",
        "fao", "per", "rus", "chi", "dut", "gle", "alb", "rum", "cze", "slo", "slv", "yid", "srp", "mac", "bul",
        "ukr", "bel", "uzb", "kaz", "aze", "aze", "arm", "geo", "mol", "kir", "tgk", "tuk", "mon", "mon", "pus",
        "kur", "kas", "snd", "tib", "nep", "san", "mar", "ben", "asm", "guj", "pan", "ori", "mal", "kan", "tam",
        "tel", "sin", "bur", "khm", "lao", "vie", "ind", "tgl", "may", "may", "amh", "tir", "orm", "som", "swa",
        "kin", "run", "nya", "mlg", "epo",
    ];
    #[rustfmt::skip]
    const FROM_128: [&str; 24] = [
        "wel", "baq", "cat", "lat", "que", "grn", "aym", "tat", "uig", "dzo", "jav", "sun", "glg", "afr", "bre",
        "iku", "gla", "glv", "gle", "ton", "grc", "kal", "aze", "nno",
    ];
    let code = usize::from(code);
    ROMAN.get(code).or_else(|| FROM_128.get(code.checked_sub(128)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_macintosh_codes() {
        let name = |code| name(code);
        assert_eq!(name(0x15C7).as_deref(), Some("eng"));
        assert_eq!(name(0x10B5).as_deref(), Some("ger"), "deu");
        assert_eq!(name(0x55C4).as_deref(), Some("und"));
        assert_eq!(name(0).as_deref(), Some("eng"));
        assert_eq!(name(2).as_deref(), Some("ger"));
        assert_eq!(name(128).as_deref(), Some("wel"));
        assert_eq!(name(138).as_deref(), Some("jav"));
        assert_eq!(name(34).as_deref(), Some("dut"), "Flemish");
        assert_eq!(name(151).as_deref(), Some("nno"));
        assert_eq!(name(152), None);
        assert_eq!(name(100), None);
        assert_eq!(name(0x3FF), None);
        assert_eq!(name(0x7FFF), None);
    }
}
