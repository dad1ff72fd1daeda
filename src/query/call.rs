//! A call with its arguments → [`Expression`].

use super::error::{Error, hint, quoted};
use super::expression::{Expression, FILTERS, Field, Filter, Flag, Number, Text, TrackType, Tracks};
use super::fact;
use super::language::normalise;
use super::lexer::{Lexeme, Operator, Token};
use super::vocabulary::{Kind, Term, canonical_codec};
use crate::base::fold::fold;

/// The functions. All but the first two belong to policies that VPO does not check.
pub(super) const FUNCTIONS: [&str; 7] =
    ["exists", "count", "multi_language", "plugin", "container_meta", "is_original", "is_dubbed"];

/// `name(argument, …) operator value`, read but not understood yet.
pub(super) struct Call<'a> {
    pub text: &'a str,
    pub name: Lexeme<'a>,
    pub arguments: Vec<Argument<'a>>,
    pub comparison: Option<Comparison<'a>>,
}

/// `name` or `name operator value`
pub(super) struct Argument<'a> {
    pub name: Lexeme<'a>,
    pub comparison: Option<Comparison<'a>>,
}

/// `operator value`
pub(super) struct Comparison<'a> {
    pub operator: Operator,
    /// Where the operator is.
    pub start: usize,
    pub value: Value<'a>,
}

/// A value; of a list the opening bracket with the items.
pub(super) struct Value<'a> {
    pub lexeme: Lexeme<'a>,
    pub items: Vec<Value<'a>>,
}

/// What is noted while calls are read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// `None`: the text is of a policy, which has its own filters only.
    pub terms: Option<Vec<Term>>,
    /// The first place that only this program refuses, and why. It counts once nothing else is wrong, so that every text
    /// that policies refuse is refused in the same place.
    pub oddity: Option<(usize, String)>,
}

impl Notes {
    fn odd(&mut self, start: usize, message: String) {
        if self.oddity.as_ref().is_none_or(|(first, _)| start < *first) {
            self.oddity = Some((start, message));
        }
    }
}

impl Call<'_> {
    /// What it means.
    ///
    /// # Errors
    /// Outside the parentheses the place is that of the function's name, which is where the policies' first program reports
    /// all errors of a call.
    pub(super) fn build(&self, notes: &mut Notes) -> Result<Expression, Error> {
        let name = self.name.text.to_lowercase();
        match FUNCTIONS.iter().position(|function| *function == name) {
            Some(0) => {
                let tracks = self.tracks(notes)?;
                match &self.comparison {
                    None => Ok(Expression::Exists(tracks)),
                    Some(_) => Err(self.error("exists() is not compared with anything; use count()".into())),
                }
            }
            Some(1) => {
                let tracks = self.tracks(notes)?;
                let (operator, number) = self.number(notes)?;
                Ok(Expression::Count(tracks, operator, number))
            }
            Some(_) => Err(self.error(format!("{name}() is not supported; use exists() or count()"))),
            None => {
                let hint = match fact::find(&name).filter(|_| notes.terms.is_some()) {
                    Some(_) => "; it is a fact of the file: write it without parentheses".to_owned(),
                    None => hint(&name, &mut FUNCTIONS.into_iter().take(2)),
                };
                Err(self.error(format!("expected exists or count; found {}{hint}", quoted(self.name.text))))
            }
        }
    }

    /// What `count()` is compared with.
    fn number(&self, notes: &mut Notes) -> Result<(Operator, u64), Error> {
        const WANTED: &str = "count() needs one of == < <= > >= and a whole number, such as count(audio) > 2";
        match &self.comparison {
            Some(Comparison { operator, value, .. }) if is_ordering(*operator) => {
                let number = value.whole_number();
                if number.is_none() {
                    let message = format!("{WANTED}; found {}", quoted(value.lexeme.text));
                    let is_odd = match value.lexeme.token {
                        Token::Boolean => true,
                        Token::Number => !value.lexeme.text.contains('.'),
                        _ => false,
                    };
                    if !is_odd {
                        return Err(self.error(message));
                    }
                    notes.odd(self.name.start, message);
                }
                Ok((*operator, number.unwrap_or_default()))
            }
            Some(Comparison { operator, .. }) => {
                Err(self.error(format!("{WANTED}; found {:?}", operator.as_str())))
            }
            None => Err(self.error(WANTED.into())),
        }
    }

    fn tracks(&self, notes: &mut Notes) -> Result<Tracks, Error> {
        const TYPES: &str = "video, audio, subtitle or attachment";
        let bare = |argument: &&Argument<'_>| argument.comparison.is_none();
        let mut names = self.arguments.iter().filter(bare).map(|argument| argument.name);
        let Some(name) = names.next() else {
            return Err(self.error(format!("expected a track type: {TYPES}")));
        };
        let found = TrackType::ALL.into_iter().find(|known| known.as_str() == name.text.to_lowercase());
        let Some(track_type) = found else {
            let hint = hint(name.text, &mut TrackType::ALL.into_iter().map(TrackType::as_str));
            return Err(
                self.error_at(name.start, format!("expected {TYPES}; found {}{hint}", quoted(name.text)))
            );
        };
        if let Some(extra) = names.next() {
            let message = format!("expected a comparison, such as {0} == true; found only {0:?}", extra.text);
            notes.odd(extra.start, message);
        }
        let mut filters: Vec<Filter> = Vec::new();
        for argument in &self.arguments {
            let Some(comparison) = &argument.comparison else { continue };
            let filter = self.filter(argument.name, comparison, notes)?;
            if filters.iter().any(|other| other.field() == filter.field()) {
                let message =
                    format!("{} is given twice; use `in`, or two calls with `and`", argument.name.text);
                notes.odd(argument.name.start, message);
            } else {
                filters.push(filter);
            }
        }
        Ok(Tracks { track_type, filters })
    }

    fn filter(&self, name: Lexeme<'_>, given: &Comparison<'_>, notes: &mut Notes) -> Result<Filter, Error> {
        let folded = name.text.to_lowercase();
        let known = FILTERS.iter().filter(|(_, in_policies, _)| *in_policies || notes.terms.is_some());
        let Some((_, _, field)) = known.clone().find(|(filter, ..)| *filter == folded) else {
            let hint = match fact::find(&folded) {
                Some(_) => "; it is a fact of the file: write it outside of the parentheses".to_owned(),
                None => hint(&folded, &mut known.map(|(filter, ..)| *filter)),
            };
            let message = format!("unknown filter {}{hint}", quoted(name.text));
            return Err(self.error_at(name.start, message));
        };
        match *field {
            Field::Text(text) => self.texts(name, text, given, notes),
            Field::Number(number) => {
                self.demand(is_ordering(given.operator), name, given, "== < <= > or >=")?;
                let value = given.value.whole_number();
                if value.is_none() {
                    notes.odd(given.value.lexeme.start, unfit(name, given.value.lexeme, "a whole number"));
                }
                Ok(Filter::Number(number, given.operator, value.unwrap_or_default()))
            }
            Field::Flag(_) | Field::NotCommentary => {
                self.demand(given.operator == Operator::Equal, name, given, "==")?;
                let Lexeme { token, text, .. } = given.value.lexeme;
                if token != Token::Boolean {
                    notes.odd(given.value.lexeme.start, unfit(name, given.value.lexeme, "true or false"));
                }
                let value = text == "true";
                Ok(match *field {
                    Field::Flag(flag) => Filter::Flag(flag, value),
                    _ => Filter::NotCommentary(value),
                })
            }
        }
    }

    fn texts(
        &self,
        name: Lexeme<'_>,
        text: Text,
        given: &Comparison<'_>,
        notes: &mut Notes,
    ) -> Result<Filter, Error> {
        let value = &given.value;
        let items = match given.operator {
            Operator::In if text == Text::Title => return Err(self.not_with(name, given, text)),
            Operator::In if !value.items.is_empty() => &value.items[..],
            Operator::In | Operator::Equal => std::slice::from_ref(value),
            _ => return Err(self.not_with(name, given, text)),
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            texts.push(canonical(name, text, item, notes));
        }
        Ok(Filter::Text(text, texts))
    }

    fn not_with(&self, name: Lexeme<'_>, given: &Comparison<'_>, text: Text) -> Error {
        let wanted = if text == Text::Title { "==" } else { "== or in" };
        let hint = if given.operator == Operator::NotEqual { "; write not exists(…)" } else { "" };
        let message = format!("{} takes {wanted}, not {}{hint}", name.text, given.operator.as_str());
        self.error_at(given.start, message)
    }

    fn demand(
        &self,
        is_met: bool,
        name: Lexeme<'_>,
        given: &Comparison<'_>,
        wanted: &str,
    ) -> Result<(), Error> {
        let message = || format!("{} takes {wanted}, not {}", name.text, given.operator.as_str());
        if is_met { Ok(()) } else { Err(self.error_at(given.start, message())) }
    }

    fn error(&self, message: String) -> Error {
        self.error_at(self.name.start, message)
    }

    fn error_at(&self, start: usize, message: String) -> Error {
        Error::at(self.text, start, message)
    }
}

/// A value of a filter as it is compared.
fn canonical(name: Lexeme<'_>, text: Text, item: &Value<'_>, notes: &mut Notes) -> String {
    let given = item.text().unwrap_or_else(|wanted| {
        notes.odd(item.lexeme.start, unfit(name, item.lexeme, wanted));
        item.lexeme.text
    });
    let kind = match text {
        Text::Language => Kind::Language,
        Text::Codec => Kind::Codec,
        _ => return fold(given),
    };
    let canonical = match kind {
        Kind::Language => normalise(given).into_owned(),
        Kind::Codec if notes.terms.is_some() => canonical_codec(fold(given)),
        _ => fold(given),
    };
    if let Some(terms) = &mut notes.terms {
        let (given, canonical) = (given.to_owned(), canonical.clone());
        terms.push(Term { kind, given, canonical, start: item.lexeme.start });
    }
    canonical
}

/// How to write a function, a track type or a filter that is not followed by a parenthesis.
pub(super) fn place_of(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    match name.as_str() {
        "exists" => return Some("exists(audio)".to_owned()),
        "count" => return Some("count(audio) > 2".to_owned()),
        _ => {}
    }
    if TrackType::ALL.into_iter().any(|known| known.as_str() == name) {
        return Some(format!("exists({name})"));
    }
    let (name, _, field) = FILTERS.iter().find(|(filter, ..)| *filter == name)?;
    let (track_type, comparison) = match field {
        Field::Text(Text::Language | Text::Tag | Text::Title | Text::CodecDetail) => ("audio", "== …"),
        Field::Text(_) => ("video", "== …"),
        Field::Number(Number::Channels) => ("audio", "> …"),
        Field::Number(_) => ("video", ">= …"),
        Field::Flag(Flag::Hdr | Flag::AttachedPicture) => ("video", "== true"),
        Field::Flag(_) | Field::NotCommentary => ("subtitle", "== true"),
    };
    Some(format!("exists({track_type}, {name} {comparison})"))
}

fn unfit(name: Lexeme<'_>, found: Lexeme<'_>, wanted: &str) -> String {
    format!("{} needs {wanted}; found {}", name.text, quoted(found.text))
}

fn is_ordering(operator: Operator) -> bool {
    !matches!(operator, Operator::NotEqual | Operator::In)
}

impl<'a> Value<'a> {
    /// A number without fraction, unit or leading zero. One that is too large for any track stays larger than all of them.
    pub(super) fn whole_number(&self) -> Option<u64> {
        let Lexeme { token: Token::Number, text, .. } = self.lexeme else { return None };
        (is_plain(text) && !text.contains('.')).then(|| text.parse().unwrap_or(u64::MAX))
    }

    /// The text that it stands for.
    ///
    /// # Errors
    /// What is wanted instead.
    pub(super) fn text(&self) -> Result<&'a str, &'static str> {
        match self.lexeme {
            Lexeme { token: Token::Sign(_), .. } => Err("a text, or `in` before a list of texts"),
            Lexeme { token: Token::Number, text, .. } if !is_plain(text) => {
                Err("quotes around a number with leading or trailing zeros or other digits")
            }
            // What the policies' first program makes of them.
            Lexeme { token: Token::Boolean, text: "true", .. } => Ok("True"),
            Lexeme { token: Token::Boolean, .. } => Ok("False"),
            Lexeme { text, .. } => Ok(text),
        }
    }
}

/// Whether a number is written in its shortest form: the policies' first program compares that form, not the text.
fn is_plain(number: &str) -> bool {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole)
        && is_digits(fraction)
        && (whole == "0" || !whole.starts_with('0'))
        && (fraction == "0" || !fraction.ends_with('0') && !fraction.starts_with("0000"))
        && (!number.contains('.') || number.len() <= 16)
}
