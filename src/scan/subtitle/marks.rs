//! What follows the video's stem in the name of a subtitle file: language, forced, hearing-impaired, and a title.

use super::words::{ALIASES, COUNTRIES, ISO_639_3, LATIN, NATIVE, REGIONS, SCRIPTS};
use crate::base::language;
use crate::media;

/// What a name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// ISO 639-2/B, or ISO 639-3 where that has none.
    pub(super) language: Option<String>,
    /// The BCP 47 tag, if it says more than the language.
    pub(super) tag: Option<String>,
    pub(super) is_forced: bool,
    pub(super) is_hearing_impaired: bool,
    /// `hi`: Hindi, or hearing-impaired.
    hi: u8,
    /// A word for the variant of a language, such as `Brazilian`, with that language and its tag.
    region: Option<(&'static str, &'static str, &'static str)>,
}

/// Reads what follows the stem of the video. Text that is neither a language nor a flag is a title and ignored. Of several
/// languages the last one counts (Jellyfin).
pub(super) fn read(rest: &str) -> Marks {
    let rest = lower(rest);
    let mut marks = Marks::default();
    for part in rest.rsplit('.') {
        marks.take_part(part);
    }
    marks.resolve()
}

/// Reads a name that does not begin with that of the video, from its end up to the first part that is a title: in
/// `It.2017.English` no word is Italian.
pub(super) fn read_end(name: &str) -> Marks {
    let name = lower(name);
    let mut marks = Marks::default();
    for part in name.rsplit('.') {
        if !marks.take_part(part) {
            break;
        }
    }
    marks.resolve()
}

/// Whether `text` is languages and flags, at least one, and nothing else.
pub(super) fn is_all_marks(text: &str) -> bool {
    let mut marks = Marks::default();
    marks.take_words(&lower(text)) && marks != Marks::default()
}

fn lower(text: &str) -> String {
    let mut text = text.to_lowercase().replace("latin american", "latam").replace("latin america", "latam");
    if text.contains("forced") {
        for not in
            ["not forced", "non forced", "not-forced", "non-forced", "not_forced", "non_forced", "unforced"]
        {
            text = text.replace(not, "default");
        }
    }
    text
}

impl Marks {
    /// Takes what is between two dots, in lower case. Returns whether all of it is known.
    fn take_part(&mut self, part: &str) -> bool {
        let mut all = self.clone();
        if all.take_words(part) {
            *self = all;
            return true;
        }
        // A title such as `English commentary`. Short codes may be words of it.
        for word in pieces(part).rev().filter(|word| word.len() > 3) {
            self.take_word(word);
        }
        false
    }

    /// Takes one or more words, from the last one on; `false` if one is not known.
    fn take_words(&mut self, text: &str) -> bool {
        let text = text.replace('_', "-");
        self.take_word(text.trim()) || pieces(&text).rev().all(|piece| self.take_piece(piece))
    }

    /// Takes words between hyphens: a language with its region, before flags, or else each of them.
    fn take_piece(&mut self, mut piece: &str) -> bool {
        while !self.take_word(piece) {
            match piece.rsplit_once('-') {
                Some((rest, last)) if self.take_flag(last) => piece = rest,
                _ => return piece.contains('-') && piece.split('-').rev().all(|word| self.take_word(word)),
            }
        }
        true
    }

    fn take_word(&mut self, word: &str) -> bool {
        self.take_flag(word) || self.take_region(word) || self.take_language(word)
    }

    fn take_flag(&mut self, word: &str) -> bool {
        match word {
            "forced" | "foreign" => self.is_forced = true,
            "sdh" | "cc" => self.is_hearing_impaired = true,
            "hi" => self.hi = self.hi.saturating_add(1),
            // Nothing that is asked for.
            "default" | "orig" | "original" | "auto" | "full" => {}
            // The number of the track in `2_English.srt`.
            _ if word.len() <= 3 && word.bytes().all(|byte| byte.is_ascii_digit()) => {}
            _ => return false,
        }
        true
    }

    fn take_region(&mut self, word: &str) -> bool {
        let found = REGIONS.iter().find(|(known, ..)| *known == word);
        if let Some(found) = found {
            self.region.get_or_insert(*found);
        }
        found.is_some()
    }

    fn take_language(&mut self, word: &str) -> bool {
        let Some((language, tag)) = find_language(word) else { return false };
        if self.language.is_none() {
            (self.language, self.tag) = (Some(language), tag);
        }
        true
    }

    /// `hi` alone is Hindi; with another language it is a flag (Jellyfin).
    fn resolve(mut self) -> Self {
        if self.language.is_none() && self.hi > 0 {
            self.language = Some("hin".to_owned());
            self.hi -= 1;
        }
        self.is_hearing_impaired |= self.hi > 0;
        if self.language.is_none() && self.region == Some(LATIN) {
            return Self { language: Some("lat".to_owned()), ..self };
        }
        if let Some((_, language, tag)) = self.region
            && self.language.as_deref() == Some(language)
        {
            self.tag.get_or_insert_with(|| tag.to_owned());
        }
        self
    }
}

/// The words of a part; a region stays with its language.
fn pieces(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    let pieces = text.split(|c: char| !(c.is_alphanumeric() || c == '-'));
    pieces.map(|piece| piece.trim_matches('-')).filter(|piece| !piece.is_empty())
}

/// The code of a language, given as a code, a tag or a name in lower case; and the tag, if it says more than the code.
fn find_language(word: &str) -> Option<(String, Option<String>)> {
    if let Some((_, code, tag)) = ALIASES.iter().find(|(known, ..)| *known == word) {
        return Some(((*code).to_owned(), Some((*tag).to_owned())));
    }
    if let Some(code) = find_name(word) {
        return Some((code.to_owned(), None));
    }
    let (primary, rest) = word.split_once('-').map_or((word, None), |(primary, rest)| (primary, Some(rest)));
    let code = find_name(primary).map(str::to_owned).or_else(|| find_code(primary))?;
    let Some(rest) = rest else { return Some((code, None)) };
    let mut tag = media::tag(&code)?;
    for subtag in rest.split('-') {
        tag.push('-');
        tag.push_str(&shown_subtag(subtag)?);
    }
    Some((code, Some(tag)))
}

/// The code of a language by its name.
fn find_name(word: &str) -> Option<&'static str> {
    let native = NATIVE.split_terminator(';').filter_map(|entry| entry.split_once('='));
    language::names().chain(native).find(|(known, _)| *known == word).map(|(_, code)| code)
}

/// A script (four letters) or a region (two letters or three digits), in the usual case (RFC 5646, 2.1.1).
fn shown_subtag(subtag: &str) -> Option<String> {
    let is_country = || COUNTRIES.as_bytes().chunks(2).any(|country| country == subtag.as_bytes());
    match subtag.len() {
        // `cc` is a flag, and subtitles for the Cocos Islands have not been seen.
        2 if subtag == "uk" => Some("GB".to_owned()),
        2 if subtag != "cc" && is_country() => Some(subtag.to_ascii_uppercase()),
        3 if subtag.bytes().all(|byte| byte.is_ascii_digit()) => Some(subtag.to_owned()),
        4 if SCRIPTS.split(' ').any(|script| script == subtag) => {
            Some(format!("{}{}", subtag[..1].to_ascii_uppercase(), &subtag[1..]))
        }
        _ => None,
    }
}

/// A code of ISO 639-1, 639-2 or, of languages with many subtitles, 639-3.
fn find_code(word: &str) -> Option<String> {
    let code = media::bibliographic(word).filter(|_| word.len() <= 3)?;
    let is_known = language::is_code(&code) || ISO_639_3.split(' ').any(|known| known == code);
    is_known.then_some(code)
}
