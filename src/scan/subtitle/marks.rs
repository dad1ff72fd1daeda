//! What follows the video's stem in the name of a subtitle file: language, forced, hearing-impaired, and a title.

use super::words::{ALIASES, ISO_639_3, NATIVE, REGIONS};
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
    region: Option<(&'static str, &'static str)>,
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
    text.to_lowercase().replace("latin american", "latam").replace("latin america", "latam")
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
        self.take_word(text.trim())
            || pieces(text)
                .rev()
                .all(|piece| self.take_word(piece) || piece.split('-').rev().all(|word| self.take_word(word)))
    }

    fn take_word(&mut self, word: &str) -> bool {
        match word {
            "forced" | "foreign" => self.is_forced = true,
            "sdh" | "cc" => self.is_hearing_impaired = true,
            "hi" => self.hi = self.hi.saturating_add(1),
            "default" => {}
            // The number of the track in `2_English.srt`.
            _ if word.len() <= 3 && word.bytes().all(|byte| byte.is_ascii_digit()) => {}
            _ => return self.take_region(word) || self.take_language(word),
        }
        true
    }

    fn take_region(&mut self, word: &str) -> bool {
        let found = REGIONS.iter().find(|(known, ..)| *known == word);
        if let Some((_, language, tag)) = found {
            self.region.get_or_insert((language, tag));
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
        if let Some((language, tag)) = self.region
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
    let native = NATIVE.split_terminator(';').filter_map(|entry| entry.split_once('='));
    if let Some((_, code)) = language::names().chain(native).find(|(known, _)| *known == word) {
        return Some((code.to_owned(), None));
    }
    let mut subtags = word.split(['-', '_']);
    let primary = subtags.next()?;
    let code = find_code(primary)?;
    let mut tag = primary.to_owned();
    for subtag in subtags {
        tag.push('-');
        tag.push_str(&shown_subtag(subtag)?);
    }
    Some((code, Some(tag).filter(|tag| tag != primary)))
}

/// A script (four letters) or a region (two letters or three digits), in the usual case (RFC 5646, 2.1.1).
fn shown_subtag(subtag: &str) -> Option<String> {
    let is_letters = subtag.bytes().all(|byte| byte.is_ascii_lowercase());
    match subtag.len() {
        // Flags, and of no country whose subtitles have been seen.
        2 if matches!(subtag, "hi" | "cc") => None,
        2 if is_letters => Some(subtag.to_ascii_uppercase()),
        3 if subtag.bytes().all(|byte| byte.is_ascii_digit()) => Some(subtag.to_owned()),
        4 if is_letters => Some(format!("{}{}", subtag[..1].to_ascii_uppercase(), &subtag[1..])),
        _ => None,
    }
}

/// A code of ISO 639-1, 639-2 or, of languages with many subtitles, 639-3.
fn find_code(word: &str) -> Option<String> {
    let code = media::bibliographic(word).filter(|_| word.len() <= 3)?;
    let is_known = language::is_code(&code) || ISO_639_3.split(' ').any(|known| known == code);
    is_known.then_some(code)
}
