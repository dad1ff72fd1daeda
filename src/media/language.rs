//! Language codes → ISO 639-2/B, the bibliographic codes that Matroska uses and VPO's policies
//! name.

/// The code for an unknown language.
pub(crate) const UNDETERMINED: &str = "und";

/// Any code of a file → ISO 639-2/B: two-letter (ISO 639-1) and terminological (639-2/T) codes are
/// translated, other three-letter codes kept, region and script of a BCP 47 tag dropped; all else
/// is `und`.
pub(crate) fn bibliographic(code: &str) -> String {
    let code = primary_subtag(code).to_ascii_lowercase();
    let translated = match code.len() {
        2 => look_up(&ALPHA_2, &code).unwrap_or(UNDETERMINED),
        3 if code.bytes().all(|byte| byte.is_ascii_lowercase()) => {
            look_up(&TERMINOLOGICAL, &code).unwrap_or(&code)
        }
        _ => UNDETERMINED,
    };
    translated.to_owned()
}

/// The language of a BCP 47 tag: `pt` of `pt-BR`.
pub(crate) fn primary_subtag(tag: &str) -> &str {
    tag.split(['-', '_', '\0']).next().unwrap_or(tag).trim()
}

fn look_up(table: &[(&str, &'static str)], code: &str) -> Option<&'static str> {
    let index = table.binary_search_by_key(&code, |entry| entry.0).ok()?;
    Some(table.get(index)?.1)
}

/// ISO 639-1 with the withdrawn `in`, `iw`, `ji`, `mo` and `sh`; sorted.
#[rustfmt::skip]
const ALPHA_2: [(&str, &str); 189] = [
    ("aa", "aar"), ("ab", "abk"), ("ae", "ave"), ("af", "afr"), ("ak", "aka"), ("am", "amh"), ("an", "arg"),
    ("ar", "ara"), ("as", "asm"), ("av", "ava"), ("ay", "aym"), ("az", "aze"), ("ba", "bak"), ("be", "bel"),
    ("bg", "bul"), ("bh", "bih"), ("bi", "bis"), ("bm", "bam"), ("bn", "ben"), ("bo", "tib"), ("br", "bre"),
    ("bs", "bos"), ("ca", "cat"), ("ce", "che"), ("ch", "cha"), ("co", "cos"), ("cr", "cre"), ("cs", "cze"),
    ("cu", "chu"), ("cv", "chv"), ("cy", "wel"), ("da", "dan"), ("de", "ger"), ("dv", "div"), ("dz", "dzo"),
    ("ee", "ewe"), ("el", "gre"), ("en", "eng"), ("eo", "epo"), ("es", "spa"), ("et", "est"), ("eu", "baq"),
    ("fa", "per"), ("ff", "ful"), ("fi", "fin"), ("fj", "fij"), ("fo", "fao"), ("fr", "fre"), ("fy", "fry"),
    ("ga", "gle"), ("gd", "gla"), ("gl", "glg"), ("gn", "grn"), ("gu", "guj"), ("gv", "glv"), ("ha", "hau"),
    ("he", "heb"), ("hi", "hin"), ("ho", "hmo"), ("hr", "hrv"), ("ht", "hat"), ("hu", "hun"), ("hy", "arm"),
    ("hz", "her"), ("ia", "ina"), ("id", "ind"), ("ie", "ile"), ("ig", "ibo"), ("ii", "iii"), ("ik", "ipk"),
    ("in", "ind"), ("io", "ido"), ("is", "ice"), ("it", "ita"), ("iu", "iku"), ("iw", "heb"), ("ja", "jpn"),
    ("ji", "yid"), ("jv", "jav"), ("ka", "geo"), ("kg", "kon"), ("ki", "kik"), ("kj", "kua"), ("kk", "kaz"),
    ("kl", "kal"), ("km", "khm"), ("kn", "kan"), ("ko", "kor"), ("kr", "kau"), ("ks", "kas"), ("ku", "kur"),
    ("kv", "kom"), ("kw", "cor"), ("ky", "kir"), ("la", "lat"), ("lb", "ltz"), ("lg", "lug"), ("li", "lim"),
    ("ln", "lin"), ("lo", "lao"), ("lt", "lit"), ("lu", "lub"), ("lv", "lav"), ("mg", "mlg"), ("mh", "mah"),
    ("mi", "mao"), ("mk", "mac"), ("ml", "mal"), ("mn", "mon"), ("mo", "rum"), ("mr", "mar"), ("ms", "may"),
    ("mt", "mlt"), ("my", "bur"), ("na", "nau"), ("nb", "nob"), ("nd", "nde"), ("ne", "nep"), ("ng", "ndo"),
    ("nl", "dut"), ("nn", "nno"), ("no", "nor"), ("nr", "nbl"), ("nv", "nav"), ("ny", "nya"), ("oc", "oci"),
    ("oj", "oji"), ("om", "orm"), ("or", "ori"), ("os", "oss"), ("pa", "pan"), ("pi", "pli"), ("pl", "pol"),
    ("ps", "pus"), ("pt", "por"), ("qu", "que"), ("rm", "roh"), ("rn", "run"), ("ro", "rum"), ("ru", "rus"),
    ("rw", "kin"), ("sa", "san"), ("sc", "srd"), ("sd", "snd"), ("se", "sme"), ("sg", "sag"), ("sh", "hbs"),
    ("si", "sin"), ("sk", "slo"), ("sl", "slv"), ("sm", "smo"), ("sn", "sna"), ("so", "som"), ("sq", "alb"),
    ("sr", "srp"), ("ss", "ssw"), ("st", "sot"), ("su", "sun"), ("sv", "swe"), ("sw", "swa"), ("ta", "tam"),
    ("te", "tel"), ("tg", "tgk"), ("th", "tha"), ("ti", "tir"), ("tk", "tuk"), ("tl", "tgl"), ("tn", "tsn"),
    ("to", "ton"), ("tr", "tur"), ("ts", "tso"), ("tt", "tat"), ("tw", "twi"), ("ty", "tah"), ("ug", "uig"),
    ("uk", "ukr"), ("ur", "urd"), ("uz", "uzb"), ("ve", "ven"), ("vi", "vie"), ("vo", "vol"), ("wa", "wln"),
    ("wo", "wol"), ("xh", "xho"), ("yi", "yid"), ("yo", "yor"), ("za", "zha"), ("zh", "chi"), ("zu", "zul"),
];

/// ISO 639-2/T where it differs from 639-2/B; sorted.
#[rustfmt::skip]
const TERMINOLOGICAL: [(&str, &str); 20] = [
    ("bod", "tib"), ("ces", "cze"), ("cym", "wel"), ("deu", "ger"), ("ell", "gre"), ("eus", "baq"),
    ("fas", "per"), ("fra", "fre"), ("hye", "arm"), ("isl", "ice"), ("kat", "geo"), ("mkd", "mac"),
    ("mri", "mao"), ("msa", "may"), ("mya", "bur"), ("nld", "dut"), ("ron", "rum"), ("slk", "slo"),
    ("sqi", "alb"), ("zho", "chi"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_the_bibliographic_code() {
        for (code, expected) in [
            ("deu", "ger"),
            ("de", "ger"),
            ("ger", "ger"),
            ("GER", "ger"),
            ("pt-BR", "por"),
            ("zh_Hans", "chi"),
            ("en\0", "eng"),
            ("jpn", "jpn"),
            ("qaa", "qaa"),
            ("zxx", "zxx"),
            ("xyz", "xyz"),
            ("", "und"),
            ("xx", "und"),
            ("english", "und"),
            ("\u{e9}a", "und"),
            ("a b", "und"),
        ] {
            assert_eq!(bibliographic(code), expected, "{code:?}");
        }
    }

    #[test]
    fn the_tables_are_sorted() {
        assert!(ALPHA_2.is_sorted() && TERMINOLOGICAL.is_sorted());
    }
}
