//! Times as the library stores them: UTC text in the form `2025-01-31T12:00:00.123456+00:00`, always with
//! microseconds and never with `Z`, which breaks older readers.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{Date, Month, Time, UtcDateTime};

const MICROS: i64 = 1_000_000;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z in seconds: what four digits of a year can say.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;

/// A moment in microseconds since 1970-01-01T00:00:00Z, within the years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// From stat(2)'s seconds and nanoseconds; times beyond the calendar are held at its ends.
    #[must_use]
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        let seconds = seconds.clamp(FIRST_SECOND, LAST_SECOND);
        Self(seconds * MICROS + i64::from(nanoseconds / 1000).min(MICROS - 1))
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(MICROS)
    }

    /// How far the two lie apart.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_micros(self.0.abs_diff(other.0))
    }

    /// The time from `self` to `later`; `None` when `later` is the earlier one.
    #[must_use]
    pub fn until(self, later: Self) -> Option<Duration> {
        u64::try_from(later.0 - self.0).ok().map(Duration::from_micros)
    }

    /// The moment that much earlier, to the second.
    #[must_use]
    pub fn before(self, age: Duration) -> Self {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        Self::from_unix(self.unix_seconds().saturating_sub(age), 0)
    }

    /// What a reader means by `text`: an age ([`age`]) before `now`, the start of a day (UTC), or a time as [`Self::parse`].
    #[must_use]
    pub fn since(text: &str, now: Self) -> Option<Self> {
        let before = age(text).map(|age| now.before(age));
        before.or_else(|| Self::parse(text)).or_else(|| Self::parse(&format!("{text}T00:00:00")))
    }

    /// Reads the stored form and what other programs write: a fraction of any length or none, a space for
    /// the `T`, `Z` or an offset or nothing (UTC). `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (head, rest) = bytes.split_at_checked(19)?;
        let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
        if separators.iter().any(|&(at, byte)| head[at] != byte) || !matches!(head[10], b'T' | b' ') {
            return None;
        }
        let (year, month, day) = (number(&head[..4])?, number(&head[5..7])?, number(&head[8..10])?);
        let (hour, minute, second) = (number(&head[11..13])?, number(&head[14..16])?, number(&head[17..19])?);
        let date =
            Date::from_calendar_date(i32::from(year), Month::try_from(narrow(month)?).ok()?, narrow(day)?);
        // A leap second is the one before: the calendar knows none.
        let time =
            Time::from_hms(narrow(hour)?, narrow(minute)?, narrow(if second == 60 { 59 } else { second })?);
        let moment = UtcDateTime::new(date.ok()?, time.ok()?);
        let (micros, rest) = match rest.strip_prefix(b".") {
            None => (0, rest),
            Some(rest) => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let six = (0..6).map(|at| if at < digits { i64::from(rest[at] - b'0') } else { 0 });
                ((digits > 0).then(|| six.fold(0, |sum, digit| sum * 10 + digit))?, &rest[digits..])
            }
        };
        let offset = match rest {
            [] | [b'Z'] => 0,
            [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
                let seconds = i64::from(number(hours)?) * 3600 + i64::from(number(&[*m1, *m2])?) * 60;
                if *sign == b'+' { seconds } else { -seconds }
            }
            _ => return None,
        };
        let seconds = moment.unix_timestamp() - offset;
        (FIRST_SECOND..=LAST_SECOND).contains(&seconds).then(|| Self(seconds * MICROS + micros))
    }
}

/// A number of hours, days or weeks, such as 12h, 90d or 8w.
#[must_use]
pub fn age(text: &str) -> Option<Duration> {
    const HOURS: [(char, u64); 3] = [('h', 1), ('d', 24), ('w', 7 * 24)];
    HOURS.iter().find_map(|(unit, hours)| {
        let number: u32 = text.strip_suffix(*unit)?.parse().ok()?;
        Some(Duration::from_secs(u64::from(number) * hours * 3600))
    })
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => {
                Self::from_unix(i64::try_from(after.as_secs()).unwrap_or(LAST_SECOND), after.subsec_nanos())
            }
            Err(before) => Self::from_unix(
                i64::try_from(before.duration().as_secs()).map_or(FIRST_SECOND, |seconds| -seconds),
                0,
            ),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(MICROS), self.0.rem_euclid(MICROS));
        let moment = UtcDateTime::from_unix_timestamp(seconds).unwrap_or(UtcDateTime::UNIX_EPOCH);
        let (year, month, day) = moment.to_calendar_date();
        let ((hour, minute, second), month) = (moment.as_hms(), u8::from(month));
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')))
}

fn narrow(number: u16) -> Option<u8> {
    number.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_form_survives_a_round_trip() {
        for seconds in [FIRST_SECOND, -1, 0, 951_782_399, 951_782_400, 1_709_164_800, LAST_SECOND] {
            let time = Timestamp::from_unix(seconds, 123_456_789);
            assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "{time}");
        }
        assert_eq!(Timestamp::from_unix(0, 1000).to_string(), "1970-01-01T00:00:00.000001+00:00");
        assert_eq!(Timestamp::from_unix(1_709_208_000, 0).to_string(), "2024-02-29T12:00:00.000000+00:00");
    }

    #[test]
    fn what_others_write_is_read() {
        let noon = Timestamp::from_unix(1_709_208_000, 500_000_000);
        for text in [
            "2024-02-29T12:00:00.5Z",
            "2024-02-29 12:00:00.500",
            "2024-02-29T13:00:00.500000000+01:00",
            "2024-02-29T08:30:00.500000-03:30",
        ] {
            assert_eq!(Timestamp::parse(text), Some(noon), "{text}");
        }
        for text in [
            "",
            "2024-02-29",
            "2023-02-29T12:00:00Z",
            "0000-01-01T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-02-29T12:00:00.Z",
            "2024-02-29T12:00:00+1",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
