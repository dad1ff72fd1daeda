//! Times as the library stores them: UTC text in the form `2025-01-31T12:00:00.123456+00:00`, always with
//! microseconds and never with `Z`, which breaks older readers.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
        if year < 1 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
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
                let seconds = number(hours)? * 3600 + number(&[*m1, *m2])? * 60;
                if *sign == b'+' { seconds } else { -seconds }
            }
            _ => return None,
        };
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
        (FIRST_SECOND..=LAST_SECOND).contains(&seconds).then(|| Self(seconds * MICROS + micros))
    }
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
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
    }
}

impl rusqlite::ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in eras of 400 years that begin on
/// 1 March, so that the leap day is a year's last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
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
        for text in
            ["", "2024-02-29", "2024-13-01T00:00:00Z", "2024-02-29T12:00:00.Z", "2024-02-29T12:00:00+1"]
        {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
