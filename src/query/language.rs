//! Languages, normalised as VPO's policies do it.

use std::borrow::Cow;

use super::fold::fold;

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

/// The English names that are known, with their codes.
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMES.split_terminator(';').filter_map(|entry| entry.split_once('='))
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

/// English names: `names` of the same file.
const NAMES: &str = "abkhazian=abk;afar=aar;afrikaans=afr;albanian=alb;amharic=amh;arabic=ara;armenian=arm;assamese=asm;\
    aymara=aym;azerbaijani=aze;bashkir=bak;basque=baq;belarusian=bel;bengali=ben;bihari=bih;bislama=bis;\
    breton=bre;bulgarian=bul;burmese=bur;catalan=cat;chinese=chi;corsican=cos;czech=cze;danish=dan;\
    dutch=dut;dzongkha=dzo;english=eng;esperanto=epo;estonian=est;faroese=fao;fijian=fij;filipino=fil;\
    finnish=fin;french=fre;galician=glg;georgian=geo;german=ger;greek=gre;guarani=grn;gujarati=guj;\
    hausa=hau;hebrew=heb;hindi=hin;hungarian=hun;icelandic=ice;indonesian=ind;interlingua=ina;\
    interlingue=ile;inuktitut=iku;inupiaq=ipk;irish=gle;italian=ita;japanese=jpn;javanese=jav;\
    kalaallisut=kal;kannada=kan;kashmiri=kas;kazakh=kaz;khmer=khm;kinyarwanda=kin;korean=kor;\
    kurdish=kur;kyrgyz=kir;lao=lao;latin=lat;latvian=lav;lingala=lin;lithuanian=lit;macedonian=mac;\
    malagasy=mlg;malay=may;malayalam=mal;maltese=mlt;maori=mao;marathi=mar;mongolian=mon;nauru=nau;\
    nepali=nep;norwegian=nor;norwegian bokmal=nob;norwegian bokmål=nob;norwegian nynorsk=nno;\
    occitan=oci;oriya=ori;oromo=orm;pashto=pus;persian=per;polish=pol;portuguese=por;punjabi=pan;\
    quechua=que;romanian=rum;romansh=roh;rundi=run;russian=rus;samoan=smo;sango=sag;sanskrit=san;\
    scottish gaelic=gla;serbian=srp;shona=sna;sindhi=snd;sinhala=sin;slovak=slo;slovenian=slv;\
    somali=som;southern sotho=sot;spanish=spa;sundanese=sun;swahili=swa;swati=ssw;swedish=swe;\
    tagalog=tgl;tajik=tgk;tamil=tam;tatar=tat;telugu=tel;thai=tha;tibetan=tib;tigrinya=tir;tonga=ton;\
    tsonga=tso;tswana=tsn;turkish=tur;turkmen=tuk;twi=twi;ukrainian=ukr;urdu=urd;uyghur=uig;uzbek=uzb;\
    vietnamese=vie;volapük=vol;welsh=wel;western frisian=fry;wolof=wol;xhosa=xho;yiddish=yid;yoruba=yor;\
    zhuang=zha;zulu=zul;";
