//! How values are written. Times are UTC. Where the script runs, it writes numbers, sizes and times in the language of the
//! browser.

use std::fmt::Write;

use maud::{Escaper, Markup, PreEscaped, Render, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::base::text::{CUT, Escaped, boundary_within};
use crate::base::timestamp::Timestamp;

/// Bytes of a text that are shown; of a longer one its start. Titles are longer, and paths of many bytes that are not UTF-8.
const LONGEST: usize = 4096;

/// Bytes of HTML that the rows of a page take, so that with the rest it takes less than 256 kB.
pub(super) const ROWS: usize = 200_000;

/// As many of the rows as fit into `left`, less their bytes then; and how many.
pub(super) fn fitting(rows: &mut dyn Iterator<Item = Markup>, left: &mut usize) -> (Markup, usize) {
    let (mut text, mut number) = (String::new(), 0);
    for row in rows {
        let Some(rest) = left.checked_sub(row.0.len()) else { break };
        text.push_str(&row.0);
        (*left, number) = (rest, number + 1);
    }
    (PreEscaped(text), number)
}

/// A name, a title or a path: in its own direction, and with control characters as text.
pub(super) struct Name<'a>(pub &'a str);

impl Render for Name<'_> {
    fn render_to(&self, page: &mut String) {
        page.push_str("<bdi>");
        Sentence(self.0).render_to(page);
        page.push_str("</bdi>");
    }
}

/// A sentence, such as an error, that may hold names.
pub(super) struct Sentence<'a>(pub &'a str);

impl Render for Sentence<'_> {
    fn render_to(&self, page: &mut String) {
        let shown = &self.0[..boundary_within(self.0, LONGEST)];
        let _ = write!(Escaper::new(page), "{}", Escaped(shown));
        if shown.len() < self.0.len() {
            page.push(CUT);
        }
    }
}

/// A whole number with separators.
pub(super) fn count(number: u64) -> Markup {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    html! { data value=(number) { (text) } }
}

/// `1 file`, `1,204 files`
pub(super) fn plural(number: u64, one: &str, many: &str) -> Markup {
    html! { (count(number)) " " (if number == 1 { one } else { many }) }
}

/// Bits per second, such as `5,600 kbit/s`.
pub(super) fn rate(bits: u64) -> String {
    if bits < 1000 { format!("{bits} bit/s") } else { format!("{} kbit/s", bits / 1000) }
}

/// Bytes, such as `3.4 TB`.
pub(super) fn size(bytes: u64) -> Markup {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (exact, mut unit, mut name) = (u128::from(bytes), 1, 0);
    // From 999.5 on it would be rounded to 1000.
    while exact * 2 >= unit * 1999 && name + 1 < UNITS.len() {
        unit *= 1000;
        name += 1;
    }
    let tenths = (exact * 10 + unit / 2) / unit;
    let text = if unit == 1 || tenths >= 1000 {
        format!("{} {}", (exact + unit / 2) / unit, UNITS[name])
    } else {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[name])
    };
    html! { data.b value=(bytes) { (text) } }
}

/// A length of time, such as `1 h 52 min`, from seconds.
pub(super) fn duration(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates"
    )]
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) if seconds < 10.0 => format!("{seconds:.1} s"),
        (0, 0) => format!("{rest} s"),
        (0, minutes) => format!("{minutes} min {rest} s"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// A moment.
pub(super) fn moment(time: Timestamp) -> Markup {
    let stored = time.to_string();
    let (day, hour) = (stored.get(..10).unwrap_or_default(), stored.get(11..16).unwrap_or_default());
    html! { time datetime=(seconds(&stored)) { (day) " " (hour) " UTC" } }
}

/// A moment as stored.
pub(super) fn stored(text: &str) -> Markup {
    Timestamp::parse(text).map_or_else(|| html! { (Name(text)) }, moment)
}

/// How long ago a moment was.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> Markup {
    let passed = time.until(now).unwrap_or_default().as_secs();
    let (number, unit) = match passed {
        0..60 => (0, ""),
        60..3_600 => (passed / 60, "minute"),
        3_600..86_400 => (passed / 3_600, "hour"),
        _ => (passed / 86_400, "day"),
    };
    html! {
        time.ago datetime=(seconds(&time.to_string())) {
            @if number == 0 { "just now" } @else { (number) " " (unit) @if number > 1 { "s" } " ago" }
        }
    }
}

/// A stored time to the second.
fn seconds(stored: &str) -> String {
    format!("{}Z", stored.get(..19).unwrap_or_default())
}

/// Everything but what a query may hold as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A value of a query.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, QUERY).to_string()
}

/// A link to the files for which a query holds.
pub(super) fn files(query: &str) -> String {
    format!("files?q={}", encoded(query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_at_least() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_550, "1.6 kB"),
            (99_949, "99.9 kB"),
            (123_456, "123 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (4_700_000_000, "4.7 GB"),
            (u64::MAX, "18447 PB"),
        ] {
            let shown = size(bytes).into_string();
            assert_eq!(shown, format!("<data class=\"b\" value=\"{bytes}\">{text}</data>"));
        }
    }

    #[test]
    fn numbers_have_separators() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(number).into_string(), format!("<data value=\"{number}\">{text}</data>"));
        }
    }

    #[test]
    fn lengths_of_time_are_short() {
        let shown = [0.04, 9.94, 59.4, 59.6, 3_599.0, 6_720.0].map(duration);
        assert_eq!(shown, ["0.0 s", "9.9 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 52 min"]);
    }

    #[test]
    fn moments_are_written_for_people_and_for_the_script() {
        let now = Timestamp::parse("2026-03-01T12:00:00.5+00:00").unwrap();
        assert_eq!(
            moment(now).into_string(),
            "<time datetime=\"2026-03-01T12:00:00Z\">2026-03-01 12:00 UTC</time>"
        );
        for (text, shown) in [
            ("2026-03-01T12:00:00Z", "just now"),
            ("2026-03-01T11:58:59Z", "1 minute ago"),
            ("2026-02-28T12:00:00Z", "1 day ago"),
            ("2026-02-01T12:00:00Z", "28 days ago"),
            ("2027-02-01T12:00:00Z", "just now"),
        ] {
            let text = ago(Timestamp::parse(text).unwrap(), now).into_string();
            assert!(text.contains(&format!(">{shown}<")), "{text}");
        }
    }

    #[test]
    fn names_are_isolated_and_cannot_leave_their_element() {
        let name = html! { (Name("<b>&\"\u{202e}\u{1b}[2J\n")) }.into_string();
        assert_eq!(name, "<bdi>&lt;b&gt;&amp;&quot;\\u{202e}\\u{1b}[2J\\n</bdi>");
        assert_eq!(files("a b&c==\"d\""), "files?q=a%20b%26c%3D%3D%22d%22");
    }
}
