//! Languages, normalised as VPO's policies do it.

use std::borrow::Cow;

use crate::base::fold::fold;
use crate::base::language::names;

/// The code of an unknown language.
const UNDETERMINED: &str = "und";

/// A language as a file or a policy names it → its ISO 639-2/B code.
///
/// Two letters are ISO 639-1, and unknown ones are `und`. Three letters are translated from ISO 639-2/T, or kept, known or
/// not. Everything else is an English name; an unknown one is `und`.
#[must_use]
pub fn normalise(language: &str) -> Cow<'_, str> {
    let plain = language.len() == 3 && language.bytes().all(|byte| byte.is_ascii_lowercase());
    if plain {
        return Cow::Borrowed(three_letters(language));
    }
    let folded = fold(language);
    let folded = folded.trim();
    match folded.chars().count() {
        2 => Cow::Borrowed(find(TWO_LETTERS, folded).unwrap_or(UNDETERMINED)),
        3 => Cow::Owned(three_letters(folded).to_owned()),
        _ => Cow::Borrowed(named(folded).unwrap_or(UNDETERMINED)),
    }
}

fn three_letters(code: &str) -> &str {
    find(TERMINOLOGICAL, code).unwrap_or(code)
}

/// The three letters that follow `code` in a table of codes of its length.
fn find(table: &'static str, code: &str) -> Option<&'static str> {
    let mut rest = table;
    while let Some((key, after)) = rest.split_at_checked(code.len()) {
        let (value, after) = after.split_at_checked(3)?;
        if key == code {
            return Some(value);
        }
        rest = after;
    }
    None
}

fn named(name: &str) -> Option<&'static str> {
    names().find(|(known, _)| *known == name).map(|(_, code)| code)
}

/// ISO 639-1 and 639-2/B, in turn: `languages.json` of the policy vectors, `iso639_1`.
const TWO_LETTERS: &str = "aaaarababkafaframamhararaasasmayaymazazebabakbebelbgbulbhbihbibisbnbenbotibbrbrecacatcocoscsczecywel\
    dadandegerdzdzoelgreenengeoepoesspaetesteubaqfaperfifinfjfijfofaofrfrefyfrygaglegdglaglglggngrnguguj\
    hahauhehebhihinhrhrvhuhunhyarmiainaidindieileikipkisiceititaiuikujajpnjvjavkageokkkazklkalkmkhmknkan\
    kokorkskaskukurkykirlalatlnlinlolaoltlitlvlavmgmlgmimaomkmacmlmalmnmonmrmarmsmaymtmltmyburnanaunbnob\
    nenepnldutnnnnononorocociomormororipapanplpolpspusptporququermrohrnrunrorumrurusrwkinsasansdsndsesme\
    sgsagsisinsksloslslvsmsmosnsnasosomsqalbsrsrpsssswstsotsusunsvsweswswatatamteteltgtgkththatitirtktuk\
    tltgltntsntotontrturtstsotttattwtwiuguigukukrururduzuzbvivievovolwowolxhxhoyiyidyoyorzazhazhchizuzul";

/// ISO 639-2/T and 639-2/B, in turn: `terminological` of the same file.
const TERMINOLOGICAL: &str = "bodtibcesczecymweldeugerellgreeusbaqfasperfrafrehyearmislicekatgeomkdmacmrimaomsamaymyaburnlddut\
    ronrumslkslosqialbzhochi";
