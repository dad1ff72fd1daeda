//! Local time for people: the offset from UTC of a moment, from `TZ` or `/etc/localtime`. localtime(3) of the C library
//! cannot be called without `unsafe`.
//!
//! Files are in the format of RFC 9636. What they do not list, their last line states as a rule, in the form of `TZ` (POSIX.1-2017,
//! section 8.3). Of the forms of a day only `Mm.w.d` is read, which all zones use.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use time::{Date, Month, UtcDateTime};

/// Where the files are.
const FILES: &str = "/usr/share/zoneinfo";
/// The file of this machine.
const LOCAL: &str = "/etc/localtime";
/// Largest file that is read. The largest one has 4 KB.
const MAX_BYTES: u64 = 1 << 16;

/// A time zone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Zone {
    /// The offset in seconds from a moment on, in ascending order.
    transitions: Vec<(i64, i32)>,
    /// After the last of them.
    rule: Rule,
}

impl Zone {
    /// The zone that `TZ` names, else that of the machine; UTC if there is none.
    pub(crate) fn load(tz: Option<&OsStr>, now: i64) -> Self {
        let Some(tz) = tz else { return Self::read(Path::new(LOCAL), now).unwrap_or_default() };
        let Some(name) = tz.to_str() else { return Self::default() };
        let name = name.strip_prefix(':').unwrap_or(name);
        let file = || Self::read(&Path::new(FILES).join(name), now);
        let rule = || Rule::parse(name).map(|rule| Self { transitions: Vec::new(), rule });
        if name.is_empty() { Self::default() } else { file().or_else(rule).unwrap_or_default() }
    }

    fn read(file: &Path, now: i64) -> Option<Self> {
        let mut bytes = Vec::new();
        File::open(file).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        Self::parse(&bytes, now)
    }

    /// Reads a file from the transition on that is in force `now`.
    fn parse(bytes: &[u8], now: i64) -> Option<Self> {
        let (mut counts, mut rest) = header(bytes)?;
        let mut width = 4;
        if bytes[4] >= b'2' {
            // The same once more, with times of 64 bits.
            (counts, rest) = header(rest.get(block(counts, width)..)?)?;
            width = 8;
        }
        let [_, _, _, times, types, _] = counts;
        let (moments, tail) = rest.split_at_checked(times * width)?;
        let (indices, tail) = tail.split_at_checked(times)?;
        let offset = |index: u8| -> Option<i32> {
            let at = Some(usize::from(index)).filter(|index| *index < types)? * 6;
            i32::try_from(integer(tail.get(at..at + 4)?)).ok()
        };
        let mut transitions = Vec::new();
        for (moment, index) in moments.chunks_exact(width).zip(indices) {
            transitions.push((integer(moment), offset(*index)?));
        }
        let last = transitions.last().map_or_else(|| offset(0), |(_, offset)| Some(*offset))?;
        let footer = rest.get(block(counts, width)..).and_then(|footer| std::str::from_utf8(footer).ok());
        let rule = footer.and_then(|footer| Rule::parse(footer.trim())).unwrap_or(Rule::always(last));
        let past = transitions.partition_point(|(moment, _)| *moment <= now);
        transitions.drain(..past.saturating_sub(1));
        transitions.shrink_to_fit();
        Some(Self { transitions, rule })
    }

    /// The offset in seconds at a moment in seconds since 1970.
    pub(crate) fn offset(&self, moment: i64) -> i32 {
        let past = self.transitions.partition_point(|(from, _)| *from <= moment);
        match self.transitions.get(past.saturating_sub(1)) {
            Some((_, offset)) if past < self.transitions.len() => *offset,
            _ => self.rule.offset(moment),
        }
    }
}

/// The six counts of a header, and what follows it.
fn header(bytes: &[u8]) -> Option<([usize; 6], &[u8])> {
    let (header, rest) = bytes.split_at_checked(44)?;
    let mut counts = [0; 6];
    for (count, bytes) in counts.iter_mut().zip(header[20..].chunks_exact(4)) {
        *count = usize::try_from(integer(bytes)).ok()?;
    }
    (header.starts_with(b"TZif") && bytes.len() <= 1 << 16).then_some((counts, rest))
}

/// The bytes of the data after a header.
fn block([utc, standard, leaps, times, types, characters]: [usize; 6], width: usize) -> usize {
    times.saturating_mul(width + 1)
        + types * 6
        + characters
        + leaps.saturating_mul(width + 4)
        + standard
        + utc
}

/// A signed big-endian number of 4 or 8 bytes.
fn integer(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| (number << 8) | i64::from(*byte))
}

/// Standard time, and summer time if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rule {
    standard: i32,
    summer: Option<Summer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summer {
    offset: i32,
    begins: Change,
    ends: Change,
}

/// When a clock is changed, in the local time before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    month: Month,
    /// 5 is the last one.
    week: u8,
    /// From Sunday, 0.
    day: u8,
    /// Since midnight; may be negative, or more than a day.
    seconds: i32,
}

impl Rule {
    const fn always(standard: i32) -> Self {
        Self { standard, summer: None }
    }

    /// Parses `CET-1CEST,M3.5.0,M10.5.0/3`.
    fn parse(text: &str) -> Option<Self> {
        let (clock, changes) = text.split_once(',').unwrap_or((text, ""));
        let (standard, rest) = clock_time(name(clock)?)?;
        let standard = -standard;
        if changes.is_empty() {
            return rest.is_empty().then_some(Self::always(standard));
        }
        let rest = name(rest)?;
        let (offset, rest) = if rest.is_empty() {
            (standard + 3600, "")
        } else {
            clock_time(rest).map(|(time, rest)| (-time, rest))?
        };
        let (begins, ends) = changes.split_once(',')?;
        let summer = Summer { offset, begins: Change::parse(begins)?, ends: Change::parse(ends)? };
        rest.is_empty().then_some(Self { standard, summer: Some(summer) })
    }

    fn offset(&self, moment: i64) -> i32 {
        let Some(summer) = self.summer else { return self.standard };
        let Ok(local) = UtcDateTime::from_unix_timestamp(moment + i64::from(self.standard)) else {
            return self.standard;
        };
        let change =
            |change: Change, offset: i32| change.moment(local.year()).map(|at| at - i64::from(offset));
        let (Some(begins), Some(ends)) =
            (change(summer.begins, self.standard), change(summer.ends, summer.offset))
        else {
            return self.standard;
        };
        let is_summer =
            if begins < ends { (begins..ends).contains(&moment) } else { !(ends..begins).contains(&moment) };
        if is_summer { summer.offset } else { self.standard }
    }
}

impl Change {
    /// Parses `M3.5.0` or `M10.5.0/3`.
    fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('/').unwrap_or((text, "2"));
        let mut parts = date.strip_prefix('M')?.split('.').map(|part| part.parse::<u8>().ok());
        let (month, week, day) = (parts.next()??, parts.next()??, parts.next()??);
        let (seconds, rest) = clock_time(time)?;
        ((1..=5).contains(&week) && day < 7 && rest.is_empty()).then_some(Self {
            month: Month::try_from(month).ok()?,
            week,
            day,
            seconds,
        })
    }

    /// In seconds since 1970 as if the local time were UTC.
    fn moment(self, year: i32) -> Option<i64> {
        let first = Date::from_calendar_date(year, self.month, 1).ok()?;
        let wait = (self.day + 7 - first.weekday().number_days_from_sunday()) % 7;
        let day = 1 + wait + (self.week - 1) * 7;
        let day = if day > self.month.length(year) { day - 7 } else { day };
        let date = Date::from_calendar_date(year, self.month, day).ok()?;
        Some(date.midnight().assume_utc().unix_timestamp() + i64::from(self.seconds))
    }
}

/// What follows the name of a clock: letters, or anything in `<>`.
fn name(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('<') {
        return rest.split_once('>').map(|(_, rest)| rest);
    }
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    (text.len() - rest.len() >= 3).then_some(rest)
}

/// Parses `[+-]hh[:mm[:ss]]` to seconds. Returns also the rest.
fn clock_time(text: &str) -> Option<(i32, &str)> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(digits.len());
    let (time, rest) = digits.split_at(end);
    let mut seconds = 0;
    for (part, unit) in time.split(':').zip([3600, 60, 1]) {
        seconds += i32::from(part.parse::<u8>().ok()?) * unit;
    }
    Some((sign * seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds since 1970 of a moment in UTC.
    fn at(year: i32, month: u8, day: u8, hour: u8) -> i64 {
        let date =
            Date::from_calendar_date(year, Month::try_from(month).expect("a month"), day).expect("a date");
        date.with_hms(hour, 0, 0).expect("a time").assume_utc().unix_timestamp()
    }

    #[track_caller]
    fn check(rule: &str, moments: &[(i64, i32)]) {
        let zone = Zone::load(Some(rule.as_ref()), 0);
        for (moment, offset) in moments {
            assert_eq!(zone.offset(*moment), *offset, "{rule} at {moment}");
        }
    }

    #[test]
    fn rules_give_the_offset_of_any_year() {
        check(
            "CET-1CEST,M3.5.0,M10.5.0/3",
            &[
                (at(2026, 3, 29, 0), 3600),
                (at(2026, 3, 29, 1), 7200),
                (at(2026, 10, 25, 0), 7200),
                (at(2026, 10, 25, 1), 3600),
                (at(2050, 7, 1, 0), 7200),
            ],
        );
        // The year's turn is in summer.
        check(
            "AEST-10AEDT,M10.1.0,M4.1.0/3",
            &[(at(2026, 1, 1, 0), 39_600), (at(2026, 6, 1, 0), 36_000), (at(2026, 12, 31, 23), 39_600)],
        );
        // Winter time is the exception, and less than standard time.
        check("IST-1GMT0,M10.5.0,M3.5.0/1", &[(at(2026, 1, 1, 0), 0), (at(2026, 7, 1, 0), 3600)]);
        check(
            "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
            &[(at(2026, 1, 1, 0), -10_800), (at(2026, 7, 1, 0), -7200)],
        );
        check("<+0545>-5:45", &[(0, 20_700)]);
        for unknown in
            ["", "UTC0", ":UTC0", "No/Such_Zone", "CET-1CEST,J60,J300", "x", "CET-1CEST,M3.6.0,M10.5.0"]
        {
            check(unknown, &[(at(2026, 7, 1, 0), 0)]);
        }
    }

    /// A file of version 2 with these transitions between offsets.
    fn file(transitions: &[(i64, u8)], offsets: &[i32], footer: &str) -> Vec<u8> {
        let header = |times: usize, types: usize| {
            let counts =
                [0, 0, 0, times, types, 0].map(|count| u32::try_from(count).expect("small").to_be_bytes());
            [&b"TZif2"[..], &[0; 15], &counts.concat()].concat()
        };
        let mut bytes = [header(0, 1), vec![0; 6], header(transitions.len(), offsets.len())].concat();
        for (moment, _) in transitions {
            bytes.extend(moment.to_be_bytes());
        }
        bytes.extend(transitions.iter().map(|(_, index)| *index));
        for offset in offsets {
            bytes.extend([&offset.to_be_bytes()[..], &[0, 0]].concat());
        }
        bytes.extend(format!("\n{footer}\n").bytes());
        bytes
    }

    #[test]
    fn files_give_the_offset_and_any_bytes_are_survived() {
        let now = at(2026, 7, 1, 0);
        let bytes =
            file(&[(now - 9, 1), (now - 5, 0), (now + 5, 1)], &[-3600, 7200], "CET-1CEST,M3.5.0,M10.5.0/3");
        let zone = Zone::parse(&bytes, now).expect("a file");
        assert_eq!(zone.transitions, [(now - 5, -3600), (now + 5, 7200)], "what is past is not kept");
        let offsets = [now, now + 4, now + 5, at(2030, 1, 1, 0)].map(|moment| zone.offset(moment));
        assert_eq!(offsets, [-3600, -3600, 7200, 3600]);
        let zone = Zone::parse(&file(&[(now - 9, 1)], &[0, 7200], ""), now).expect("a file");
        assert_eq!(zone.offset(now), 7200, "without a rule the last one stays");
        for end in 0..bytes.len() {
            let _ = Zone::parse(&bytes[..end], now);
            for byte in [0, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[end] = byte;
                let _ = Zone::parse(&bytes, now);
            }
        }
    }
}
