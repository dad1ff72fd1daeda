//! What more than one part knows of languages: the codes of ISO 639-2/B, and English names.

/// The English names that are known, in lower case, with their ISO 639-2/B codes.
pub(crate) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMES.split_terminator(';').filter_map(|entry| entry.split_once('='))
}

/// Whether `code` is one of ISO 639-2/B, in lower case.
pub(crate) fn is_code(code: &str) -> bool {
    code.len() == 3 && CODES.as_bytes().chunks(3).any(|known| known == code.as_bytes())
}

/// English names: `names` in `languages.json` of the policy vectors.
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

/// The codes of ISO 639-2/B, in turn (iso-codes, `iso_639-2`).
const CODES: &str = "aarabkaceachadaadyafaafhafrainakaakkalbalealgaltamhanganpapaaraarcargarmarnarpartarwasmastathausavaave\
    awaaymazebadbaibakbalbambanbaqbasbatbejbelbembenberbhobihbikbinbisblabntbosbrabrebtkbuabugbulburbyncad\
    caicarcatcaucebcelchachbchechgchichkchmchnchochpchrchuchvchycmccnrcopcorcoscpecpfcppcrecrhcrpcsbcuscze\
    dakdandardaydeldendgrdindivdoidradsbduadumdutdyudzoefiegyekaelxengenmepoesteweewofanfaofatfijfilfinfiu\
    fonfrefrmfrofrrfrsfryfulfurgaagaygbagemgeogergezgilglagleglgglvgmhgohgongorgotgrbgrcgregrngswgujgwihai\
    hathauhawhebherhilhimhinhithmnhmohrvhsbhunhupibaiboiceidoiiiijoikuileiloinaincindineinhipkirairoitajav\
    jbojpnjprjrbkaakabkackalkamkankarkaskaukawkazkbdkhakhikhmkhokikkinkirkmbkokkomkonkorkoskpekrckrlkrokru\
    kuakumkurkutladlahlamlaolatlavlezlimlinlitlollozltzlualublugluilunluolusmacmadmagmahmaimakmalmanmaomap\
    marmasmaymdfmdrmenmgamicminmismkhmlgmltmncmnimnomohmonmosmulmunmusmwlmwrmynmyvnahnainapnaunavnblndendo\
    ndsnepnewnianicniunnonobnognonnornqonsonubnwcnyanymnynnyonziociojioriormosaossotaotopaapagpalpampanpap\
    paupeoperphiphnplipolponporprapropusquerajraprarroarohromrumrunruprussadsagsahsaisalsamsansassatscnsco\
    selsemsgasgnshnsidsinsiositslasloslvsmasmesmismjsmnsmosmssnasndsnksogsomsonsotspasrdsrnsrpsrrssasswsuk\
    sunsussuxswaswesycsyrtahtaitamtatteltemtertettgktglthatibtigtirtivtkltlhtlitmhtogtontpitsitsntsotuktum\
    tupturtuttvltwityvudmugauigukrumbundurduzbvaivenvievolvotwakwalwarwaswelwenwlnwolxalxhoyaoyapyidyorypk\
    zapzblzenzghzhazndzulzunzxxzza";
