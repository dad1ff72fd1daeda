//! Frame rates as fractions.

use std::fmt;

/// Frames a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) numerator: u64,
    pub(crate) denominator: u64,
}

impl Rate {
    /// The fraction in lowest terms; `None` when it is no rate.
    pub(crate) fn new(numerator: u64, denominator: u64) -> Option<Self> {
        Self::approximate(numerator, denominator, u64::MAX)
    }

    /// The fraction nearest to `numerator / denominator` of which neither part exceeds `limit`: durations in
    /// whole nanoseconds become the rate that was meant (41,708,333 ns → 24000/1001).
    pub(crate) fn approximate(numerator: u64, denominator: u64, limit: u64) -> Option<Self> {
        if numerator == 0 || denominator == 0 {
            return None;
        }
        let common = gcd(numerator, denominator);
        let (mut rest, mut divisor) = (u128::from(numerator / common), u128::from(denominator / common));
        let limit = u128::from(limit);
        if rest <= limit && divisor <= limit {
            return Self::in_range(rest, divisor);
        }
        // Convergents of the continued fraction, and at the end the best semiconvergent.
        let (mut before, mut best) = ((0, 1), (1, 0));
        while divisor != 0 {
            let mut digit = rest / divisor;
            let remainder = rest - divisor * digit;
            let next = (digit * best.0 + before.0, digit * best.1 + before.1);
            if next.0 > limit || next.1 > limit {
                let room = |before: u128, best: u128| (limit - before).checked_div(best);
                digit = room(before.0, best.0).unwrap_or(digit);
                digit = digit.min(room(before.1, best.1).unwrap_or(digit));
                if divisor * (2 * digit * best.1 + before.1) > rest * best.1 {
                    best = (digit * best.0 + before.0, digit * best.1 + before.1);
                }
                break;
            }
            before = best;
            best = next;
            rest = divisor;
            divisor = remainder;
        }
        Self::in_range(best.0, best.1)
    }

    fn in_range(numerator: u128, denominator: u128) -> Option<Self> {
        let rate =
            Self { numerator: u64::try_from(numerator).ok()?, denominator: u64::try_from(denominator).ok()? };
        (rate.numerator != 0 && rate.denominator != 0).then_some(rate)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.numerator, self.denominator)
    }
}

/// The greatest common divisor.
pub(crate) fn gcd(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_nanoseconds_become_the_rate_that_was_meant() {
        for (nanoseconds, rate) in [
            (41_708_333, "24000/1001"),
            (41_708_334, "24000/1001"),
            (33_366_666, "30000/1001"),
            (16_683_333, "19001/317"),
            (40_000_000, "25/1"),
            (20_000_000, "50/1"),
        ] {
            let found = Rate::approximate(1_000_000_000, nanoseconds, 30_000).unwrap();
            assert_eq!(found.to_string(), rate, "{nanoseconds} ns");
        }
        assert_eq!(Rate::new(50, 2).unwrap().to_string(), "25/1");
        assert_eq!(Rate::new(0, 1), None);
        assert_eq!(Rate::new(1, 0), None);
        assert!(Rate::approximate(u64::MAX, 1, 30_000).is_some());
        assert_eq!(Rate::approximate(1, u64::MAX, 30_000), None);
    }
}
