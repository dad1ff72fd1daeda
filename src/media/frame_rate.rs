//! Frame rates as fractions, and the estimate of ffprobe's `r_frame_rate` from decoding times: the
//! lowest rate at which all times can be represented, else the standard rate that fits best.

use std::fmt;

/// Frames a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) numerator: u64,
    pub(crate) denominator: u64,
}

impl Rate {
    /// The fraction in lowest terms; `None` if either part is 0.
    pub(crate) fn new(numerator: u64, denominator: u64) -> Option<Self> {
        Self::approximate(numerator, denominator, u64::MAX)
    }

    /// The fraction nearest to `numerator / denominator` of which neither part exceeds `limit`:
    /// durations in whole nanoseconds become the intended rate (41,708,333 ns → 24000/1001).
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

/// What a track states about its frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing<'a> {
    /// A unit of the times is `tick / timescale` seconds.
    pub(crate) tick: u32,
    pub(crate) timescale: u32,
    /// Decoding times of the first frames, from zero on.
    pub(crate) times: &'a [i64],
    /// When the first of them is presented: the times may be shifted against those of other tracks.
    pub(crate) shift: i64,
    /// Sum of the frames' stated durations; `None` = use their times, `Some(0)` = none is stated.
    pub(crate) shown: Option<i64>,
    /// The times come from a sample table, of which ffprobe uses more frames.
    pub(crate) is_table: bool,
    /// Frames a second by the codec's header, a fraction.
    pub(crate) claimed: Option<(u32, u32)>,
    /// Whether the times may be finer than the rate, see [`is_fine`].
    pub(crate) is_fine: bool,
}

/// Whether ffprobe takes a track's times to be finer than its rate: always with some codecs, else
/// for a rate (a fraction) outside of 5 to 101 frames a second.
pub(crate) fn is_fine(codec: Option<&str>, (frames, seconds): (u32, u32)) -> bool {
    let (frames, seconds) = (u64::from(frames), u64::from(seconds));
    matches!(codec, Some("h264" | "hevc" | "mpeg2video" | "gif"))
        || !(seconds * 5..seconds * 101).contains(&frames)
}

/// Frames of a sample table that are used.
pub(crate) const FRAMES: usize = 99;

/// Standard rates for videos with jitter, in units of 1/(12 × 1001) frames a second.
fn standard_rates() -> impl Iterator<Item = u32> {
    let twelfths = (1..=360).map(|twelfth| twelfth * 1001);
    let high = (31..=60).map(|rate| rate * 1001 * 12);
    let odd = [80, 120, 240].into_iter().map(|rate| rate * 1001 * 12);
    let film = [24, 30, 60, 12, 15, 48].into_iter().map(|rate| rate * 1000 * 12);
    twelfths.chain(high).chain(odd).chain(film)
}

/// Units of [`standard_rates`] in a frame a second.
const UNIT: u32 = 12 * 1001;

/// The number of differences of times that ffprobe uses: more where a unit (`tick / timescale` seconds)
/// is coarse.
pub(crate) fn sufficient(timescale: u32, tick: u32) -> usize {
    if u64::from(timescale) < u64::from(tick) * 2000 { 40 } else { 20 }
}

/// The rate by the times; without a result the codec's rate, then the timescale.
pub(crate) fn estimate(timing: Timing<'_>) -> Option<Rate> {
    let measure = |is_table, shift, limit| {
        let sample = Sample::from_timing(&timing, shift, limit);
        sample.by_common_divisor().or_else(|| sample.by_standard_rate(is_table))
    };
    // The sample table first, for any codec; then the frames in presentation order.
    let of_table = if timing.is_table { measure(true, 0, FRAMES) } else { None };
    let of_frames = || {
        timing
            .is_fine
            .then(|| measure(false, timing.shift, sufficient(timing.timescale, timing.tick)))
            .flatten()
    };
    let (tick, timescale) = (u64::from(timing.tick), u64::from(timing.timescale));
    let claimed = timing.claimed.map(|(frames, seconds)| (u64::from(frames), u64::from(seconds)));
    of_table.or_else(of_frames).or_else(|| match claimed {
        Some((frames, seconds)) if frames * tick <= timescale * seconds => Rate::new(frames, seconds),
        _ => Rate::new(timescale, tick),
    })
}

/// The first differences of a track's times, and how well each standard rate fits them.
struct Sample {
    tick: u32,
    timescale: u32,
    shown: Option<i64>,
    count: usize,
    sum: i64,
    divisor: u64,
    candidates: Vec<Candidate>,
}

/// A candidate among the standard rates.
struct Candidate {
    rate: u32,
    /// For a grid with a frame at zero and one shifted by half a frame: the sum of the errors and
    /// of their squares.
    errors: [(f64, f64); 2],
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "times of the first seconds are far below 2^52")]
    fn from_timing(timing: &Timing<'_>, shift: i64, limit: usize) -> Self {
        let mut sample = Self {
            tick: timing.tick,
            timescale: timing.timescale,
            shown: timing.shown,
            count: 0,
            sum: 0,
            divisor: 0,
            candidates: standard_rates().map(|rate| Candidate { rate, errors: [(0.0, 0.0); 2] }).collect(),
        };
        let unit = f64::from(timing.tick) / f64::from(timing.timescale);
        for pair in timing.times.windows(2) {
            let difference = pair[1].saturating_sub(pair[0]);
            if difference <= 0 {
                continue;
            }
            let time = pair[1].saturating_sub(shift) as f64 * unit;
            for Candidate { rate, errors } in &mut sample.candidates {
                let frames = time * f64::from(*rate) / f64::from(UNIT);
                for (shift, (sum, squares)) in [0.0, 0.5].into_iter().zip(errors) {
                    let error = frames + shift - (frames + shift).round_ties_even();
                    *sum += error;
                    *squares += error * error;
                }
            }
            sample.count += 1;
            sample.sum = sample.sum.saturating_add(difference);
            // The first ones may jitter.
            if sample.count > 3 {
                sample.divisor = gcd(sample.divisor, difference.unsigned_abs());
            }
            if sample.count.is_multiple_of(10) {
                sample.drop_misfits();
            }
            if sample.count >= limit {
                break;
            }
        }
        sample
    }

    /// Removes rates with a large error. They are not considered again.
    #[expect(clippy::cast_precision_loss, reason = "a count of frames")]
    fn drop_misfits(&mut self) {
        let count = self.count as f64;
        self.candidates.retain(|candidate| {
            candidate.errors.iter().any(|(sum, squares)| variance(*sum, *squares, count) <= 0.04)
        });
    }

    fn by_common_divisor(&self) -> Option<Rate> {
        let (tick, timescale) = (u64::from(self.tick), u64::from(self.timescale));
        let finest = (timescale / (500 * tick).max(1)).max(1);
        let frame = self.divisor.checked_mul(tick)?;
        (self.count > 15 && self.divisor > finest).then(|| Rate::new(timescale, frame))?
    }

    /// Slow rates are considered only for frames in presentation order.
    #[expect(clippy::cast_precision_loss, reason = "sums of a few differences")]
    fn by_standard_rate(&self, is_table: bool) -> Option<Rate> {
        if self.count < 2 {
            return None;
        }
        let unit = f64::from(self.tick) / f64::from(self.timescale);
        let seconds = self.sum as f64 * unit;
        let shown = self.shown.unwrap_or(self.sum) as f64 * unit;
        let count = self.count as f64;
        let mut best = (0.01, None);
        for Candidate { rate, errors } in &self.candidates {
            let frame = f64::from(UNIT) / f64::from(*rate);
            let is_slow = if is_table || shown == 0.0 { *rate < UNIT } else { shown < frame * 11.5 / 12.0 };
            if is_slow || seconds / count < frame * 0.8 {
                continue;
            }
            for (sum, squares) in errors {
                let error = variance(*sum, *squares, count);
                if error < best.0 && best.0 > 1e-9 {
                    best = (error, Some(*rate));
                }
            }
        }
        let rate = best.1?;
        // The times cannot represent a rate above their own resolution.
        let possible = f64::from(rate) / f64::from(UNIT) < 1.01 / unit;
        possible.then(|| Rate::new(u64::from(rate), u64::from(UNIT)))?
    }
}

fn variance(sum: f64, squares: f64, count: f64) -> f64 {
    let mean = sum / count;
    squares / count - mean * mean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(timescale: u32, times: &[i64]) -> String {
        let timing = Timing {
            tick: 1,
            timescale,
            times,
            shift: 0,
            shown: None,
            is_table: true,
            claimed: None,
            is_fine: true,
        };
        estimate(timing).unwrap().to_string()
    }

    #[test]
    fn regular_times_give_the_exact_rate() {
        let times: Vec<i64> = (0..30).map(|frame| frame * 1001).collect();
        assert_eq!(rate(30_000, &times), "30000/1001");
    }

    #[test]
    fn jitter_gives_the_nearest_standard_rate() {
        let times: Vec<i64> = (0..30).map(|frame| frame * 1000 / 30).collect();
        assert_eq!(rate(1000, &times), "30/1");
        let film: Vec<i64> = (0..60).map(|frame| frame * 1001 * 1000 / 24_000).collect();
        assert_eq!(rate(1000, &film), "24000/1001");
    }

    #[test]
    fn a_claim_stands_in_for_times() {
        let timing = Timing {
            tick: 1,
            timescale: 90_000,
            times: &[],
            shift: 0,
            shown: None,
            is_table: false,
            claimed: Some((50, 2)),
            is_fine: true,
        };
        assert_eq!(estimate(timing).unwrap().to_string(), "25/1");
        assert_eq!(estimate(Timing { claimed: None, ..timing }).unwrap().to_string(), "90000/1");
        assert_eq!(estimate(Timing { timescale: 0, claimed: None, ..timing }), None);
        let negative: Vec<i64> = vec![i64::MAX, i64::MIN, 0, i64::MAX];
        let _ = rate(1, &negative);
    }

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
