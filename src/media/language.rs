//! Language codes → ISO 639-2/B, the bibliographic codes that Matroska uses and VPO's policies
//! name. A language that ISO 639-2 lacks has its code of ISO 639-3.
//!
//! The tables are those of Debian's package `iso-codes` 4.15 (`iso_639-2.json`).

use std::cmp::Ordering;

/// The code for an unknown language.
pub(crate) const UNDETERMINED: &str = "und";

/// Any code of a file → ISO 639-2/B: two-letter (ISO 639-1) and terminological (639-2/T) codes are
/// translated, other three-letter codes kept, region and script of a BCP 47 tag dropped. `None` for
/// all else.
pub(crate) fn bibliographic(code: &str) -> Option<String> {
    let code = code.split(['-', '_', '\0']).next().unwrap_or(code).trim().to_ascii_lowercase();
    let translated = match code.len() {
        2 => look_up(ALPHA_2, &code)?,
        3 if code.bytes().all(|byte| byte.is_ascii_lowercase()) => {
            look_up(TERMINOLOGICAL, &code).unwrap_or(&code)
        }
        _ => return None,
    };
    Some(translated.to_owned())
}

/// The BCP 47 tag of any code of a file: a tag as it is, a code of ISO 639-2 with its two letters where there are some (RFC
/// 5646, 2.2.1). `None` for `und`, and for what is no code.
pub(crate) fn tag(code: &str) -> Option<String> {
    let code = code.split('\0').next().unwrap_or_default().trim();
    let is_tag =
        code.len() <= MAX_TAG && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let language = bibliographic(code).filter(|language| is_tag && language != UNDETERMINED)?;
    if code.len() != 3 {
        return Some(code.to_owned());
    }
    let short = |record: &[u8]| record.get(2..5) == Some(language.as_bytes());
    let mut records = ALPHA_2.as_bytes().chunks_exact(6).filter(|record| short(record));
    let current = records.find_map(|record| {
        let two = std::str::from_utf8(record.get(..2)?).ok()?;
        (!WITHDRAWN.contains(&two)).then(|| two.to_owned())
    });
    Some(current.unwrap_or_else(|| code.to_ascii_lowercase()))
}

/// Maximum of bytes of a tag.
const MAX_TAG: usize = 64;
/// Codes of ISO 639-1 that are not used in tags.
const WITHDRAWN: [&str; 5] = ["in", "iw", "ji", "mo", "sh"];

/// The three letters that follow `code` in a table of records of one length, which end with a space.
fn look_up(table: &'static str, code: &str) -> Option<&'static str> {
    let record = code.len() + 4;
    let (mut low, mut high) = (0, table.len() / record);
    while low < high {
        let middle = usize::midpoint(low, high);
        let (key, value) = table.get(middle * record..)?.split_at_checked(code.len())?;
        match key.cmp(code) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return value.get(..3),
            Ordering::Greater => high = middle,
        }
    }
    None
}

/// ISO 639-1 with the withdrawn `in`, `iw`, `ji`, `mo` and `sh`, each followed by its code of ISO 639-2/B (of `sh`,
/// which has none, of ISO 639-3); sorted.
const ALPHA_2: &str = "\
    aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak bebel bgbul bhbih bibis \
    bmbam bnben botib brbre bsbos cacat ceche chcha cocos crcre cscze cuchu cvchv cywel dadan deger dvdiv \
    dzdzo eeewe elgre eneng eoepo esspa etest eubaq faper ffful fifin fjfij fofao frfre fyfry gagle gdgla \
    glglg gngrn guguj gvglv hahau heheb hihin hohmo hrhrv hthat huhun hyarm hzher iaina idind ieile igibo \
    iiiii ikipk inind ioido isice itita iuiku iwheb jajpn jiyid jvjav kageo kgkon kikik kjkua kkkaz klkal \
    kmkhm knkan kokor krkau kskas kukur kvkom kwcor kykir lalat lbltz lglug lilim lnlin lolao ltlit lulub \
    lvlav mgmlg mhmah mimao mkmac mlmal mnmon morum mrmar msmay mtmlt mybur nanau nbnob ndnde nenep ngndo \
    nldut nnnno nonor nrnbl nvnav nynya ococi ojoji omorm orori ososs papan pipli plpol pspus ptpor quque \
    rmroh rnrun rorum rurus rwkin sasan scsrd sdsnd sesme sgsag shhbs sisin skslo slslv smsmo snsna sosom \
    sqalb srsrp ssssw stsot susun svswe swswa tatam tetel tgtgk ththa titir tktuk tltgl tntsn toton trtur \
    tstso tttat twtwi tytah uguig ukukr ururd uzuzb veven vivie vovol wawln wowol xhxho yiyid yoyor zazha \
    zhchi zuzul \
    ";

/// ISO 639-2/T where it differs from 639-2/B, each followed by that; sorted.
const TERMINOLOGICAL: &str = "\
    bodtib cescze cymwel deuger ellgre eusbaq fasper frafre hyearm islice katgeo mkdmac mrimao msamay \
    myabur nlddut ronrum slkslo sqialb zhochi \
    ";

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
            ("ckb-IQ", "ckb"),
            ("sh", "hbs"),
            ("aa", "aar"),
            ("zu", "zul"),
            ("bod", "tib"),
            ("zho", "chi"),
        ] {
            assert_eq!(bibliographic(code).as_deref(), Some(expected), "{code:?}");
        }
        for code in ["", "xx", "english", "\u{e9}a", "a b", "x-own", "i-klingon"] {
            assert_eq!(bibliographic(code), None, "{code:?}");
        }
    }

    #[test]
    fn tags_have_two_letters_where_there_are_some() {
        for (code, expected) in [
            ("ger", "de"),
            ("deu", "de"),
            ("de", "de"),
            ("pt-BR", "pt-BR"),
            ("sr-Latn-RS", "sr-Latn-RS"),
            ("yid", "yi"),
            ("rum", "ro"),
            ("heb", "he"),
            ("hbs", "hbs"),
            ("ckb", "ckb"),
            ("mul", "mul"),
            ("qaa", "qaa"),
        ] {
            assert_eq!(tag(code).as_deref(), Some(expected), "{code:?}");
        }
        for code in ["", "und", "english", "e\u{301}n", "de DE"] {
            assert_eq!(tag(code), None, "{code:?}");
        }
    }

    #[test]
    fn the_tables_are_sorted_and_of_whole_records() {
        for (table, record) in [(ALPHA_2, 6), (TERMINOLOGICAL, 7)] {
            let records: Vec<&[u8]> = table.as_bytes().chunks(record).collect();
            assert!(records.is_sorted());
            assert!(records.iter().all(|entry| entry.len() == record && entry.ends_with(b" ")), "{table}");
        }
    }
}
