//! Unicode full case folding, character by character.

/// The full case folding of `text`: ß becomes `ss`, ﬁ `fi`, ς `σ`. Normalises nothing else.
///
/// Folding is lower case of upper case of lower case (Unicode's own derivation starts from the same mappings). The two
/// differ for the dotless ı, which folds to itself, and for Cherokee, which folds to upper case. A test compares every
/// character with CaseFolding.txt.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'ı' | '\u{13A0}'..='\u{13F5}' => folded.push(c),
            '\u{13F8}'..='\u{13FD}' => folded.extend(char::from_u32(u32::from(c) - 8)),
            '\u{AB70}'..='\u{ABBF}' => folded.extend(char::from_u32(u32::from(c) - 0xAB70 + 0x13A0)),
            _ => {
                let upper = c.to_lowercase().flat_map(char::to_uppercase);
                folded.extend(upper.flat_map(char::to_lowercase));
            }
        }
    }
    folded
}

/// Whether `text`, folded, equals `folded`.
pub(crate) fn equals(folded: &str, text: &str) -> bool {
    if text.is_ascii() { folded.eq_ignore_ascii_case(text) } else { folded == fold(text) }
}

/// Whether `text`, folded, contains `folded`.
pub(crate) fn contains(folded: &str, text: &str) -> bool {
    fold(text).contains(folded)
}
