//! What `/health` may answer in which state, and from when.

use std::fmt::Write;
use std::time::{Duration, Instant};

/// From the end of an event to the answer that fits: the product's own deadline.
const DEADLINE: Duration = Duration::from_millis(1500);

/// How long a changed file must stay unchanged before it is adopted.
pub(super) const STANDSTILL: Duration = Duration::from_millis(500);

/// How long damage may stay unnoticed that only `integrity_check` in the background can find.
pub(super) const IN_BACKGROUND: Duration = Duration::from_secs(5);

/// What is the case. A base state lasts until the next one; the others hold for a while beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The file is the previous, sound database.
    Good,
    /// Another sound database was put there, no minute ago.
    Replaced,
    /// The same, but it cannot be distinguished from what the daemon left, or the daemon was not running.
    PerhapsReplaced,
    /// The file does not exist.
    Missing,
    /// The file is not a database.
    Garbage,
    /// `integrity_check` fails.
    Damaged,
    /// A copy has collided with a checkpoint, and the file is a mix.
    Collided,
    /// A file is being written over the database, or stands still for less than half a second.
    Overwriting,
    /// The files were changed under a program that has the database open, which SQLite does not survive.
    Wild,
    /// The other program holds a lock that excludes readers.
    Locked,
    /// The disk is full.
    FullDisk,
    /// The directory may not be written.
    ReadOnly,
    /// The lock file has been removed, and the daemon not started since.
    Unlocked,
    /// The daemon is stopped by SIGSTOP.
    Frozen,
}

/// A row of the table.
struct Row {
    state: State,
    /// The verdicts that the state allows: `healthy`, the reason of a warning, or `fail:` and the reason of a failure.
    /// `fail:*` is any failure. `silent` is no answer.
    may: &'static [&'static str],
    /// How long after its end the state still allows them. For a base state: how long the one before does.
    lasts: Duration,
}

const fn row(state: State, may: &'static [&'static str]) -> Row {
    Row { state, may, lasts: DEADLINE }
}

/// For each state the verdicts that it allows. In the first 1.5 s after a change those of the state before are allowed too.
const TABLE: &[Row] = &[
    row(State::Good, &["healthy"]),
    // For a minute, which is longer than a seed.
    row(State::Replaced, &["replaced"]),
    row(State::PerhapsReplaced, &["healthy", "replaced"]),
    row(State::Missing, &["fail:missing"]),
    // What overwrites it may overlap a checkpoint, or be looked at while it is empty.
    row(State::Garbage, &["fail:not_a_database", "fail:corrupt", "fail:copy_collided", "fail:wrong_schema"]),
    row(State::Damaged, &["fail:corrupt", "fail:not_a_database", "fail:wrong_schema", "fail:copy_collided"]),
    row(State::Collided, &["fail:copy_collided", "fail:corrupt"]),
    // A copy at work shows any part of itself; `cat >` begins with an empty file.
    row(State::Overwriting, &["healthy", "replaced", "fail:*"]),
    row(State::Wild, &["healthy", "replaced", "fail:*"]),
    // The last result replaces that of a locked database for a second.
    row(State::Locked, &["healthy", "replaced", "fail:locked", "fail:timeout"]),
    // The scanner's own check warns; the database can be read.
    row(State::FullDisk, &["healthy", "replaced"]),
    // Other content is not taken into use where it cannot be written.
    row(State::ReadOnly, &["healthy", "replaced", "read_only", "fail:permission_denied"]),
    row(State::Unlocked, &["lock_lost"]),
    row(State::Frozen, &["silent", "healthy", "replaced", "fail:timeout"]),
];

fn allows(state: State, verdict: &str) -> bool {
    let row = TABLE.iter().find(|row| row.state == state).expect("every state has a row");
    row.may.iter().any(|may| *may == verdict || (*may == "fail:*" && verdict.starts_with("fail:")))
}

/// One answer of `/health`.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) asked: Instant,
    pub(super) answered: Instant,
    pub(super) verdict: String,
    /// How much later than it should the poller woke before: the machine was busy, and the daemon may be late by as much.
    pub(super) late: Duration,
}

struct Span {
    state: State,
    from: Instant,
    to: Option<Instant>,
    lasts: Duration,
    is_base: bool,
}

/// The states of a seed, in their order.
#[derive(Default)]
pub(super) struct Timeline {
    spans: Vec<Span>,
}

impl Timeline {
    /// The base state from `from` on. The one before was over at `ended`, at the latest, and is allowed until `lasts` after.
    pub(super) fn base_within(&mut self, state: State, from: Instant, ended: Instant, lasts: Duration) {
        if let Some(before) = self.spans.iter_mut().rfind(|span| span.is_base) {
            (before.to, before.lasts) = (Some(ended), lasts);
        }
        self.spans.push(Span { state, from, to: None, lasts, is_base: true });
    }

    /// As [`Self::base_within`] with the state's own deadline.
    pub(super) fn base(&mut self, state: State, from: Instant, ended: Instant) {
        let row = TABLE.iter().find(|row| row.state == state).expect("every state has a row");
        self.base_within(state, from, ended, row.lasts);
    }

    /// A state beside the base state.
    pub(super) fn during(&mut self, state: State, from: Instant, to: Instant) {
        let row = TABLE.iter().find(|row| row.state == state).expect("every state has a row");
        self.spans.push(Span { state, from, to: Some(to), lasts: row.lasts, is_base: false });
    }

    /// The base state.
    pub(super) fn state(&self) -> State {
        self.spans.iter().rfind(|span| span.is_base).map_or(State::Good, |span| span.state)
    }

    /// The first answer that no state of its time allows.
    pub(super) fn violation(&self, samples: &[Sample], epoch: Instant) -> Option<String> {
        let is_wrong = |at: &usize| !self.allows(&samples[*at], samples) && !is_brief(samples, *at);
        let wrong = (0..samples.len()).find(is_wrong)?;
        let sample = &samples[wrong];
        let mut text = format!(
            "/health was {:?} {:.3} s after the start; the states then:",
            sample.verdict,
            sample.asked.duration_since(epoch).as_secs_f64()
        );
        let seconds = |at: Instant| at.duration_since(epoch).as_secs_f64();
        let relevant = |span: &&Span| span.to.is_none_or(|to| to + 3 * DEADLINE > sample.asked);
        for span in self.spans.iter().filter(relevant) {
            let to = span.to.map_or("now".to_owned(), |to| format!("{:.3}", seconds(to)));
            let _ = write!(text, "\n  {:?} from {:.3} to {to}", span.state, seconds(span.from));
        }
        let _ = write!(text, "\n  the answers around it:");
        for near in &samples[wrong.saturating_sub(5)..(wrong + 5).min(samples.len())] {
            let _ = write!(text, " {:.3} {}", seconds(near.asked), near.verdict);
        }
        Some(text)
    }

    fn allows(&self, sample: &Sample, samples: &[Sample]) -> bool {
        self.spans.iter().any(|span| {
            allows(span.state, &sample.verdict)
                && span.from <= sample.answered
                && span.to.is_none_or(|to| {
                    let late = samples.iter().filter(|one| one.asked >= to && one.asked <= sample.asked);
                    let late: Duration = late.map(|one| one.late).sum();
                    sample.asked <= to + span.lasts + late
                })
        })
    }
}

/// Whether an answer that is late or does not come is one of those that a busy machine may cause: within 1.5 s there are
/// others again.
fn is_brief(samples: &[Sample], at: usize) -> bool {
    let is_late = |sample: &&Sample| ["silent", "fail:timeout"].contains(&sample.verdict.as_str());
    let before = samples[..=at].iter().rev().take_while(is_late).last();
    let after = samples[at..].iter().take_while(is_late).last();
    before.zip(after).is_some_and(|(first, last)| last.answered.duration_since(first.asked) < DEADLINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(epoch: Instant, answers: &[(u64, &str)]) -> Vec<Sample> {
        let sample = |(at, verdict): &(u64, &str)| {
            let asked = epoch + Duration::from_millis(*at);
            Sample { asked, answered: asked, verdict: (*verdict).to_owned(), late: Duration::ZERO }
        };
        answers.iter().map(sample).collect()
    }

    #[test]
    fn overwrite_must_be_told_within_its_deadline() {
        let epoch = Instant::now();
        let at = |millis| epoch + Duration::from_millis(millis);
        let mut line = Timeline::default();
        line.base(State::Good, epoch, epoch);
        line.during(State::Overwriting, at(1000), at(1600));
        line.base(State::Replaced, at(1000), at(1100));
        let violation = |answers| line.violation(&samples(epoch, answers), epoch);
        assert_eq!(
            violation(&[(500, "healthy"), (1700, "healthy"), (2600, "replaced"), (9000, "replaced")]),
            None
        );
        assert_eq!(violation(&[(1200, "fail:corrupt"), (3000, "replaced")]), None);
        assert!(violation(&[(500, "replaced")]).is_some(), "before there was anything to tell");
        assert!(violation(&[(3200, "healthy")]).is_some(), "undetected");
        assert!(violation(&[(3200, "fail:corrupt")]).is_some(), "never adopted");
    }

    #[test]
    fn missing_database_is_never_healthy_for_long() {
        let epoch = Instant::now();
        let at = |millis| epoch + Duration::from_millis(millis);
        let mut line = Timeline::default();
        line.base(State::Good, epoch, epoch);
        line.base(State::Missing, at(100), at(100));
        let violation = |answers| line.violation(&samples(epoch, answers), epoch);
        assert_eq!(violation(&[(1500, "healthy"), (1700, "fail:missing")]), None);
        assert!(violation(&[(1700, "healthy")]).is_some());
        assert!(violation(&[(1700, "fail:corrupt")]).is_some());
    }
}
