//! Whether an expression holds for a file.

use super::expression::{Expression, Filter, Flag, Number, Text, TrackType, Tracks};
use super::fact::{Amount, Mark, Words};
use super::language::normalise;
use crate::base::fold::{contains, equals, fold};

/// A file, as an expression sees it. What is not known is `None`, which passes no comparison.
pub trait File {
    /// The track at `index` from 0; `None` behind the last.
    fn track(&self, index: usize) -> Option<&dyn Track>;

    /// A yes or no about the file.
    fn mark(&self, _mark: Mark) -> Option<bool> {
        None
    }

    /// A number about the file, in the unit of [`Amount`].
    fn amount(&self, _amount: Amount) -> Option<u64> {
        None
    }

    /// A text about the file.
    fn words(&self, _words: Words) -> Option<&str> {
        None
    }
}

/// A track, as an expression sees it. What is not known is `None`, which passes no filter.
pub trait Track {
    /// `None`: of no type that an expression can name.
    fn track_type(&self) -> Option<TrackType>;

    /// As stored.
    fn text(&self, text: Text) -> Option<&str>;

    /// As stored.
    fn number(&self, number: Number) -> Option<i64>;

    /// As stored.
    fn flag(&self, flag: Flag) -> Option<bool>;
}

impl Expression {
    /// Whether it holds for `file`.
    #[must_use]
    pub fn matches(&self, file: &dyn File) -> bool {
        match self {
            Self::Or(parts) => parts.iter().any(|part| part.matches(file)),
            Self::And(parts) => parts.iter().all(|part| part.matches(file)),
            Self::Not(part) => !part.matches(file),
            Self::Exists(tracks) => tracks.among(file).next().is_some(),
            Self::Count(tracks, operator, number) => {
                operator.holds(tracks.among(file).count() as i128, i128::from(*number))
            }
            Self::Fact(test) => test.holds(file),
        }
    }
}

impl Tracks {
    fn among<'a>(&'a self, file: &'a dyn File) -> impl Iterator<Item = &'a dyn Track> {
        (0..).map_while(|index| file.track(index)).filter(|track| {
            track.track_type() == Some(self.track_type)
                && self.filters.iter().all(|filter| filter.passes(*track))
        })
    }
}

impl Filter {
    fn passes(&self, track: &dyn Track) -> bool {
        match self {
            Self::Text(text, wanted) => track.text(*text).is_some_and(|found| match text {
                Text::Language => {
                    let found = normalise(found);
                    wanted.iter().any(|wanted| *wanted == found)
                }
                Text::Title => wanted.iter().any(|wanted| contains(wanted, found)),
                _ => wanted.iter().any(|wanted| equals(wanted, found)),
            }),
            Self::Number(number, operator, wanted) => track
                .number(*number)
                .is_some_and(|found| operator.holds(i128::from(found), i128::from(*wanted))),
            Self::Flag(flag, wanted) => track.flag(*flag) == Some(*wanted),
            Self::NotCommentary(wanted) => {
                !wanted || !is_commentary(track.text(Text::Title).unwrap_or_default())
            }
        }
    }
}

/// Whether a title marks a commentary. The words are fixed: the patterns of a policy do not count here.
fn is_commentary(title: &str) -> bool {
    let folded = fold(title);
    ["commentary", "director", "cast"].iter().any(|word| folded.contains(word))
}
