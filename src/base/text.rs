//! Text that no terminal obeys, for people and as JSON.
//!
//! File names, titles, host names and error messages may contain anything. A terminal executes control characters, and
//! bidirectional controls show text in another order than it has: a name could set the title, clear the screen or forge
//! a line. So whatever is written for people is a [`Text`] or passes through [`Escaped`], and JSON comes from [`to_json`].
//! None of them can contain such a character, other than the line ends that [`Text`] writes itself.

use std::fmt::{self, Display, Write};

use serde::Serialize;

/// Ends a text that was cut.
pub(crate) const CUT: char = '…';

/// Whether a character can steer a terminal or change the order or line in which text is shown: C0, DEL, C1, line and
/// paragraph separators, bidirectional marks, embeddings, overrides and isolates, and the byte order mark.
#[must_use]
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
        )
}

/// Shows text on one line, with every unsafe character as `\n`, `\r`, `\t` or `\u{1b}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<T>(pub T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape(f), "{}", self.0)
    }
}

/// Escapes what is written through it.
struct Escape<'a, W>(&'a mut W);

impl<W: Write> Write for Escape<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            let (safe, from) = rest.split_at(at);
            self.0.write_str(safe)?;
            let mut characters = from.chars();
            if let Some(c) = characters.next() {
                write!(self.0, "{}", c.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Lines for people. What is written into it (`write!`) is escaped; only [`Text::end_line`] ends a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text(String);

impl Text {
    /// One whole line.
    pub(crate) fn line(line: impl Display) -> Self {
        let mut text = Self::default();
        text.push_line(line);
        text
    }

    /// Text that already consists of lines, such as the help: its line feeds stay.
    #[must_use]
    pub(crate) fn from_lines(lines: &str) -> Self {
        let mut text = Self::default();
        lines.lines().for_each(|line| text.push_line(line));
        text
    }

    /// Adds a whole line.
    pub(crate) fn push_line(&mut self, line: impl Display) {
        // Writing to a String fails only where a Display implementation does, and then there is no more to show.
        let _ = write!(self, "{line}");
        self.end_line();
    }

    /// Ends the line under way.
    pub(crate) fn end_line(&mut self) {
        self.0.push('\n');
    }

    /// Adds the lines of another text.
    pub(crate) fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// The text itself.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        Escape(&mut self.0).write_str(text)
    }
}

/// The last boundary between characters within the first `most` bytes of a text.
pub(crate) fn boundary_within(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)
}

/// Cuts a text that takes more than `most` bytes as JSON, and marks it with [`CUT`].
pub(crate) fn cut(text: &mut String, most: usize) {
    // No byte takes more than six as JSON.
    if text.len() <= most / 6 {
        return;
    }
    let mut length = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        length += match c {
            '"' | '\\' => 2,
            c if is_unsafe(c) => 6,
            c => c.len_utf8(),
        };
        (length > most).then_some(at)
    });
    if let Some(end) = end {
        text.truncate(end);
        text.push(CUT);
        text.shrink_to_fit();
    }
}

/// `1 video`, `2 videos`.
pub(crate) fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A value as JSON on one line, with unsafe characters as `\u001b`: it parses to the same value.
///
/// # Errors
/// When the value cannot be serialised.
pub(crate) fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    // ASCII controls are escaped by serde_json already, all but DEL.
    if json.is_ascii() && !json.contains('\u{7f}') || !json.contains(is_unsafe) {
        return Ok(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        // Such characters stand in strings only, and all of them fit into four digits.
        if is_unsafe(c) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A character of each kind, and what is near but harmless.
    const UNSAFE: &str = "\0\u{7}\t\n\r\u{1b}\u{7f}\u{80}\u{85}\u{9b}\u{9f}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}";
    const SAFE: &str = " ~\u{a0}é\\\"'日本語e\u{301}👩\u{200d}👧\u{200c}עברית";

    #[test]
    fn every_unsafe_character_is_shown_and_none_is_kept() {
        let shown = Escaped(UNSAFE).to_string();
        assert!(!shown.contains(is_unsafe), "{shown:?}");
        assert!(
            shown.starts_with(r"\u{0}\u{7}\t\n\r\u{1b}\u{7f}\u{80}\u{85}\u{9b}\u{9f}\u{61c}\u{200e}"),
            "{shown}"
        );
        assert_eq!(shown.matches('\\').count(), UNSAFE.chars().count());
        assert_eq!(Escaped(SAFE).to_string(), SAFE);
    }

    #[test]
    fn a_text_has_the_line_ends_that_were_asked_for_and_no_others() {
        let mut text = Text::line(format_args!("a{}b", '\n'));
        let _ = write!(text, "{UNSAFE}{SAFE}");
        text.end_line();
        assert_eq!(text.as_str(), format!("a\\nb\n{}{SAFE}\n", Escaped(UNSAFE)));
        assert_eq!(Text::from_lines("a\tb\r\n\nc").as_str(), "a\\tb\n\nc\n");
    }

    #[test]
    fn a_text_is_cut_by_its_length_as_json() {
        for (text, most, expected) in [
            ("plain", 5, "plain"),
            ("plain", 4, "plai\u{2026}"),
            ("\u{1b}\u{1b}", 12, "\u{1b}\u{1b}"),
            ("\u{1b}\u{1b}", 11, "\u{1b}\u{2026}"),
            ("\"\u{e9}", 4, "\"\u{e9}"),
            ("\"\u{e9}", 3, "\"\u{2026}"),
        ] {
            let mut text = text.to_owned();
            cut(&mut text, most);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn json_is_safe_and_parses_to_the_same() {
        for text in [UNSAFE, SAFE, "plain", "\u{7f}", "a\u{9b}b"] {
            let json = to_json(&[text]).expect("serialisable");
            assert!(!json.contains(is_unsafe), "{json:?}");
            assert_eq!(serde_json::from_str::<Vec<String>>(&json).expect("JSON"), [text]);
        }
        assert!(
            to_json(&"\u{9b}\u{202e}\u{1b}\u{7f}")
                .expect("serialisable")
                .contains(r"\u009b\u202e\u001b\u007f")
        );
    }
}
