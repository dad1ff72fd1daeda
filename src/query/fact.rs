//! Facts of a file, which queries name outside of calls: `missing`, `size > 20GB`, `path contains "Season 1"`.

use std::fmt::{self, Display, Formatter};

use super::call::Value;
use super::error::{Error, hint, quoted};
use super::evaluate::File;
use super::expression::{Expression, List, Quoted};
use super::lexer::{Lexeme, Operator, Token};
use super::vocabulary::{Kind, Term};
use crate::base::fold::{contains, equals, fold};

/// A comparison of a fact of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is so, or is not.
    Mark(Mark, bool),
    /// It compares so with a number in the unit of [`Amount`].
    Amount(Amount, Operator, u64),
    /// It is one of these.
    Words(Words, Vec<String>),
    /// The path contains this, folded.
    PathContains(String),
}

/// A yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It was recorded and is no longer there.
    Missing,
    /// Another file that is there has the same `content_hash`.
    Duplicate,
    /// Its container says that it is longer than it is.
    Truncated,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Bytes.
    Size,
    /// Milliseconds.
    Duration,
    /// Milliseconds since VPO first saw the file. Not known of files that the first scan found.
    Age,
    /// Bits per second.
    BitRate,
    /// Bytes of the file that lie in holes.
    Holes,
}

/// A text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// ffprobe's name of the family, such as `matroska,webm`; one of its parts is enough.
    Container,
    /// pending, ok, error or missing
    Status,
    /// The whole path.
    Path,
    /// A directory above the file; of the file its path.
    Root,
}

/// A fact by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Mark(Mark),
    Amount(Amount),
    Words(Words),
}

/// How a fact is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Operator(Operator),
    Contains,
}

pub(super) const NAMES: [(&str, Fact); 12] = [
    ("missing", Fact::Mark(Mark::Missing)),
    ("duplicate", Fact::Mark(Mark::Duplicate)),
    ("truncated", Fact::Mark(Mark::Truncated)),
    ("size", Fact::Amount(Amount::Size)),
    ("duration", Fact::Amount(Amount::Duration)),
    ("age", Fact::Amount(Amount::Age)),
    ("bit_rate", Fact::Amount(Amount::BitRate)),
    ("holes", Fact::Amount(Amount::Holes)),
    ("container", Fact::Words(Words::Container)),
    ("status", Fact::Words(Words::Status)),
    ("path", Fact::Words(Words::Path)),
    ("root", Fact::Words(Words::Root)),
];

/// The values of `status`.
const STATUSES: [&str; 4] = ["pending", "ok", "error", "missing"];

/// Names of containers that people use, and the part of ffprobe's name that means the same.
const CONTAINERS: [(&str, &str); 3] = [("mkv", "matroska"), ("m4v", "mp4"), ("qt", "mov")];

const BYTES: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("tib", 1 << 40),
];

const MILLISECONDS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("y", 31_536_000_000),
];

const BITS: &[(&str, u64)] = &[("", 1), ("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000)];

/// The fact of that name, in any case.
pub(super) fn find(name: &str) -> Option<Fact> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, fact)| *fact)
}

impl Fact {
    fn name(self) -> &'static str {
        NAMES.iter().find(|(_, fact)| *fact == self).map_or("", |(name, _)| name)
    }
}

/// A fact without a comparison.
pub(super) fn alone(fact: Fact) -> Option<Expression> {
    match fact {
        Fact::Mark(mark) => Some(Expression::Fact(Test::Mark(mark, true))),
        Fact::Amount(_) | Fact::Words(_) => None,
    }
}

/// `fact comparison value`, read but not understood yet.
pub(super) struct Compared<'a> {
    pub text: &'a str,
    pub fact: Fact,
    pub comparison: Comparison,
    /// Where the operator is.
    pub start: usize,
    pub value: Value<'a>,
}

impl Compared<'_> {
    /// What it means. Adds the containers that it names.
    ///
    /// # Errors
    /// An operator or a value that does not fit the fact.
    pub(super) fn build(&self, terms: &mut Vec<Term>) -> Result<Expression, Error> {
        let test = match self.fact {
            Fact::Mark(mark) => self.mark(mark),
            Fact::Amount(amount) => self.amount(amount),
            Fact::Words(words) => self.words(words),
        };
        let test = test?;
        if let Test::Words(Words::Container, wanted) = &test {
            let term = |name: &String| Term {
                kind: Kind::Container,
                given: name.clone(),
                canonical: name.clone(),
                start: self.start,
            };
            terms.extend(wanted.iter().map(term));
        }
        let expression = Expression::Fact(test);
        Ok(match self.comparison {
            // Also holds where the text is not known: a file without a container is not in Matroska.
            Comparison::Operator(Operator::NotEqual) if matches!(self.fact, Fact::Words(_)) => {
                Expression::Not(Box::new(expression))
            }
            _ => expression,
        })
    }

    fn mark(&self, mark: Mark) -> Result<Test, Error> {
        match (self.comparison, self.value.lexeme) {
            (Comparison::Operator(Operator::Equal), Lexeme { token: Token::Boolean, text, .. }) => {
                Ok(Test::Mark(mark, text == "true"))
            }
            (Comparison::Operator(Operator::Equal), _) => Err(self.unfit_value("true or false", &self.value)),
            _ => Err(self.unfit("==, or stands alone")),
        }
    }

    fn amount(&self, amount: Amount) -> Result<Test, Error> {
        let operator = match self.comparison {
            Comparison::Operator(operator) if operator != Operator::In => operator,
            _ => return Err(self.unfit("== != < <= > or >=")),
        };
        let number =
            number(&self.value, amount.units()).map_err(|wanted| self.unfit_value(&wanted, &self.value))?;
        Ok(Test::Amount(amount, operator, number))
    }

    fn words(&self, words: Words) -> Result<Test, Error> {
        let items = match self.comparison {
            Comparison::Contains if words == Words::Path => {
                let wanted = self.value.text().map_err(|wanted| self.unfit_value(wanted, &self.value))?;
                return Ok(Test::PathContains(fold(wanted)));
            }
            Comparison::Operator(Operator::In) if !self.value.items.is_empty() => &self.value.items[..],
            Comparison::Operator(Operator::Equal | Operator::NotEqual | Operator::In) => {
                std::slice::from_ref(&self.value)
            }
            _ if words == Words::Path => return Err(self.unfit("== != in or contains")),
            _ => return Err(self.unfit("== != or in")),
        };
        let word = |item| word(words, item).map_err(|wanted| self.unfit_value(&wanted, item));
        Ok(Test::Words(words, items.iter().map(word).collect::<Result<_, _>>()?))
    }

    fn unfit(&self, wanted: &str) -> Error {
        let operator = match self.comparison {
            Comparison::Operator(operator) => operator.as_str(),
            Comparison::Contains => "contains",
        };
        Error::at(self.text, self.start, format!("{} takes {wanted}, not {operator}", self.fact.name()))
    }

    fn unfit_value(&self, wanted: &str, value: &Value<'_>) -> Error {
        let Lexeme { text: found, start, .. } = value.lexeme;
        Error::at(self.text, start, format!("{} needs {wanted}; found {}", self.fact.name(), quoted(found)))
    }
}

impl Amount {
    fn units(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Size | Self::Holes => BYTES,
            Self::Duration | Self::Age => MILLISECONDS,
            Self::BitRate => BITS,
        }
    }
}

/// Maximum digits of a number, before its unit and in the smallest one.
const MAX_DIGITS: usize = 18;

/// A number with its unit, in the smallest unit; rounded down.
fn number(value: &Value<'_>, units: &[(&str, u64)]) -> Result<u64, String> {
    let wanted = || {
        let names: Vec<&str> = units.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        format!("a number with a unit ({})", names.join(", "))
    };
    let Lexeme { token: Token::Number | Token::Size, text, .. } = value.lexeme else { return Err(wanted()) };
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let found = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let digits: Result<u128, _> = [whole, fraction].concat().parse();
    match (found, digits, u32::try_from(fraction.len())) {
        (Some((_, factor)), Ok(digits), Ok(places)) if number.len() <= MAX_DIGITS => {
            let amount = digits * u128::from(*factor) / 10_u128.pow(places);
            // Written in the smallest unit it can be read again.
            u64::try_from(amount).ok().filter(|amount| *amount < 10_u64.pow(18)).ok_or_else(wanted)
        }
        _ => Err(wanted()),
    }
}

fn word(words: Words, item: &Value<'_>) -> Result<String, String> {
    let given = item.text()?;
    Ok(match words {
        Words::Path => given.to_owned(),
        Words::Root => {
            let bare = given.trim_end_matches('/');
            if !given.starts_with('/') {
                return Err("an absolute path in quotes".to_owned());
            }
            bare.to_owned()
        }
        Words::Container => {
            let folded = fold(given);
            CONTAINERS.iter().find(|(name, _)| *name == folded).map_or(folded, |(_, part)| (*part).to_owned())
        }
        Words::Status => {
            let folded = fold(given);
            if !STATUSES.contains(&folded.as_str()) {
                let hint = hint(&folded, &mut STATUSES.into_iter());
                return Err(format!("one of {}{hint}", STATUSES.join(", ")));
            }
            folded
        }
    })
}

impl Test {
    /// The name of the fact.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Mark(mark, _) => Fact::Mark(*mark),
            Self::Amount(amount, ..) => Fact::Amount(*amount),
            Self::Words(words, _) => Fact::Words(*words),
            Self::PathContains(_) => Fact::Words(Words::Path),
        }
        .name()
    }

    pub(super) fn asks_for_missing(&self) -> bool {
        match self {
            Self::Mark(Mark::Missing, _) => true,
            Self::Words(Words::Status, wanted) => wanted.iter().any(|status| status == "missing"),
            _ => false,
        }
    }

    pub(super) fn holds(&self, file: &dyn File) -> bool {
        match self {
            Self::Mark(mark, wanted) => file.mark(*mark) == Some(*wanted),
            Self::Amount(amount, operator, wanted) => file
                .amount(*amount)
                .is_some_and(|found| operator.holds(i128::from(found), i128::from(*wanted))),
            Self::PathContains(wanted) => file.words(Words::Path).is_some_and(|path| contains(wanted, path)),
            Self::Words(words, wanted) => file
                .words(*words)
                .is_some_and(|found| wanted.iter().any(|wanted| is_word(*words, wanted, found))),
        }
    }
}

fn is_word(words: Words, wanted: &str, found: &str) -> bool {
    match words {
        Words::Path => wanted == found,
        Words::Root => found.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/')),
        Words::Status => equals(wanted, found),
        Words::Container => equals(wanted, found) || found.split(',').any(|part| equals(wanted, part)),
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::Mark(_, true) => f.write_str(name),
            Self::Mark(_, false) => write!(f, "{name} == false"),
            Self::Amount(amount, operator, number) => {
                let (number, unit) = match amount {
                    Amount::Duration | Amount::Age if number % 1000 == 0 => (number / 1000, "s"),
                    Amount::Duration | Amount::Age => (*number, "ms"),
                    Amount::Size | Amount::Holes | Amount::BitRate => (*number, ""),
                };
                write!(f, "{name} {} {number}{unit}", operator.as_str())
            }
            Self::Words(Words::Root, wanted) if wanted.iter().any(String::is_empty) => {
                // The root of the file system, without its slash.
                let wanted: Vec<String> = wanted.iter().map(|path| format!("{path}/")).collect();
                write!(f, "{name} {}", List(&wanted))
            }
            Self::Words(_, wanted) => write!(f, "{name} {}", List(wanted)),
            Self::PathContains(wanted) => write!(f, "{name} contains {}", Quoted(wanted)),
        }
    }
}
