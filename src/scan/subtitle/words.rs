//! Words in names of subtitle files that no list of codes has. All in lower case.

/// Names of languages: their own, with and without accents, and English ones that policies do not name. Each with its code.
pub(super) const NATIVE: &str = "deutsch=ger;français=fre;francais=fre;español=spa;espanol=spa;castellano=spa;\
    italiano=ita;português=por;portugues=por;nederlands=dut;vlaams=dut;svenska=swe;norsk=nor;bokmål=nob;bokmal=nob;\
    nynorsk=nno;dansk=dan;suomi=fin;íslenska=ice;islenska=ice;polski=pol;čeština=cze;cestina=cze;česky=cze;cesky=cze;\
    slovenčina=slo;slovencina=slo;slovensky=slo;slovenščina=slv;slovenscina=slv;magyar=hun;română=rum;romana=rum;\
    български=bul;русский=rus;українська=ukr;српски=srp;srpski=srp;hrvatski=hrv;bosanski=bos;македонски=mac;shqip=alb;\
    ελληνικά=gre;türkçe=tur;turkce=tur;עברית=heb;العربية=ara;فارسی=per;हिन्दी=hin;தமிழ்=tam;ไทย=tha;中文=chi;日本語=jpn;\
    한국어=kor;tiếng việt=vie;bahasa indonesia=ind;bahasa melayu=may;eesti=est;latviešu=lav;lietuvių=lit;català=cat;\
    catala=cat;euskara=baq;galego=glg;cymraeg=wel;gaeilge=gle;\
    bosnian=bos;croatian=hrv;montenegrin=cnr;luxembourgish=ltz;mandarin=cmn;cantonese=yue;farsi=per;flemish=dut;\
    castilian=spa;haitian=hat;valencian=cat;moldavian=rum;";

/// Names and codes of languages with a tag: what Bazarr, subtitle sites and fansub groups use for variants.
pub(super) const ALIASES: [(&str, &str, &str); 13] = [
    ("pob", "por", "pt-BR"),
    ("pb", "por", "pt-BR"),
    ("zhs", "chi", "zh-Hans"),
    ("chs", "chi", "zh-Hans"),
    ("zht", "chi", "zh-Hant"),
    ("cht", "chi", "zh-Hant"),
    ("zt", "chi", "zh-Hant"),
    ("简体", "chi", "zh-Hans"),
    ("简体中文", "chi", "zh-Hans"),
    ("繁體", "chi", "zh-Hant"),
    ("繁體中文", "chi", "zh-Hant"),
    ("ea", "spa", "es-419"),
    ("spl", "spa", "es-419"),
];

/// The script, or the language of the Romans.
pub(super) const LATIN: (&str, &str, &str) = ("latin", "srp", "sr-Latn");

/// Scripts of subtitles in lower case (ISO 15924), each with a space behind it.
pub(super) const SCRIPTS: &str =
    "arab beng cyrl deva grek gujr guru hans hant hebr jpan knda kore latn mlym taml telu thai ";

/// Countries in lower case (ISO 3166-1), in turn.
pub(super) const COUNTRIES: &str = "adaeafagaialamaoaqarasatauawaxazbabbbdbebfbgbhbibjblbmbnbobqbrbsbtbvbwbybzcacccdcfcgchcickclcmcncocr\
    cucvcwcxcyczdedjdkdmdodzeceeegeheresetfifjfkfmfofrgagbgdgegfggghgiglgmgngpgqgrgsgtgugwgyhkhmhnhrhthuid\
    ieiliminioiqirisitjejmjojpkekgkhkikmknkpkrkwkykzlalblclilklrlsltlulvlymamcmdmemfmgmhmkmlmmmnmompmqmrms\
    mtmumvmwmxmymznancnenfngninlnonpnrnunzompapepfpgphpkplpmpnprpsptpwpyqarerorsrurwsasbscsdsesgshsisjsksl\
    smsnsosrssstsvsxsysztctdtftgthtjtktltmtntotrtttvtwtzuaugumusuyuzvavcvevgvivnvuwfwsyeytzazmzw";

/// Words for a variant of a language, which stand beside it: `Brazilian.por.srt`, `Chinese (Simplified).srt`.
pub(super) const REGIONS: [(&str, &str, &str); 12] = [
    ("brazilian", "por", "pt-BR"),
    ("brazil", "por", "pt-BR"),
    ("european", "por", "pt-PT"),
    ("simplified", "chi", "zh-Hans"),
    ("traditional", "chi", "zh-Hant"),
    ("hans", "chi", "zh-Hans"),
    ("hant", "chi", "zh-Hant"),
    LATIN,
    ("cyrillic", "srp", "sr-Cyrl"),
    ("latam", "spa", "es-419"),
    ("spain", "spa", "es-ES"),
    ("canadian", "fre", "fr-CA"),
];

/// Codes of ISO 639-3 for languages that ISO 639-2 has only as a part of another one.
pub(super) const ISO_639_3: &str =
    "apc arb ary arz azb azj cmn ckb ekk hak hbs khk kmr lvs nan pbu pes plt prs swh uzn wuu ydd yue zsm zlm";
