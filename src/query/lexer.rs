//! Text → tokens.

use super::error::{Error, quoted};
use super::fact::{self, Fact};

/// The longest text, in bytes.
const LONGEST: usize = 65_536;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Name,
    Quoted,
    Number,
    /// A number with a unit.
    Size,
    Boolean,
    And,
    Or,
    Not,
    Operator(Operator),
    /// `(`, `)`, `[`, `]` or `,`
    Sign(char),
    End,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `in`
    In,
}

impl Operator {
    const SIGNS: [(&'static str, Self); 6] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::SIGNS.iter().find(|(_, operator)| *operator == self).map_or("in", |(sign, _)| sign)
    }

    /// Whether `a OPERATOR b`. Not for [`Self::In`].
    pub(super) fn holds(self, a: i128, b: i128) -> bool {
        match self {
            Self::Equal | Self::In => a == b,
            Self::NotEqual => a != b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
        }
    }
}

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexeme<'a> {
    pub token: Token,
    /// As it is written; of a quoted text what is between the quotes.
    pub text: &'a str,
    /// Bytes before it.
    pub start: usize,
}

/// The tokens of `text`, the last of which is [`Token::End`]. With `facts`, the value of a fact may have any unit.
///
/// # Errors
/// A character that no token begins with, a quote that is not closed, a unit, or a text longer than [`LONGEST`].
pub(super) fn tokens(text: &str, facts: bool) -> Result<Vec<Lexeme<'_>>, Error> {
    if text.trim().is_empty() {
        return Err(Error::at(text, 0, "the expression is empty".into()));
    }
    if text.len() > LONGEST {
        let start = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        return Err(Error::at(text, start, format!("the expression is longer than {LONGEST} bytes")));
    }
    let mut lexer = Lexer { text, found: Vec::new(), open: Vec::new(), facts };
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        at = if matches!(c, ' ' | '\t' | '\r' | '\n') { at + 1 } else { lexer.token(at, c)? };
    }
    lexer.push(Token::End, at, at);
    Ok(lexer.found)
}

struct Lexer<'a> {
    text: &'a str,
    found: Vec<Lexeme<'a>>,
    /// Of each open parenthesis, whether it is that of a call.
    open: Vec<bool>,
    facts: bool,
}

impl Lexer<'_> {
    /// Adds the token that begins with `c` at `start`. Returns where it ends.
    fn token(&mut self, start: usize, c: char) -> Result<usize, Error> {
        let rest = &self.text[start..];
        let end_of = |is_part: fn(char) -> bool| rest.find(|c| !is_part(c)).unwrap_or(rest.len()) + start;
        if let Some((sign, operator)) = Operator::SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            return Ok(self.push(Token::Operator(*operator), start, start + sign.len()));
        }
        match c {
            '(' | ')' | '[' | ']' | ',' => {
                match c {
                    '(' => self.open.push(self.found.last().is_some_and(|last| last.token == Token::Name)),
                    ')' => drop(self.open.pop()),
                    _ => {}
                }
                Ok(self.push(Token::Sign(c), start, start + 1))
            }
            '"' | '\'' => {
                let Some(length) = rest[1..].find(c) else {
                    return Err(self.error(start, format!("the quote {c} is not closed")));
                };
                self.push(Token::Quoted, start + 1, start + 1 + length);
                if let Some(last) = self.found.last_mut() {
                    last.start = start;
                }
                Ok(start + length + 2)
            }
            _ if c.is_numeric() => self.number(start),
            _ if c.is_alphabetic() || c == '_' => {
                let end = end_of(|c| c.is_alphanumeric() || c == '_' || c == '-');
                let token = match &self.text[start..end] {
                    "and" => Token::And,
                    "or" => Token::Or,
                    "not" => Token::Not,
                    "in" => Token::Operator(Operator::In),
                    "true" | "false" => Token::Boolean,
                    _ => Token::Name,
                };
                Ok(self.push(token, start, end))
            }
            _ => Err(self.error(start, unexpected(c))),
        }
    }

    /// Adds a number, perhaps with a unit.
    fn number(&mut self, start: usize) -> Result<usize, Error> {
        let rest = &self.text[start..];
        let digits = |text: &str| text.find(|c: char| !c.is_numeric()).unwrap_or(text.len());
        let mut length = digits(rest);
        if let Some(fraction) = rest[length..].strip_prefix('.') {
            length += 1 + digits(fraction);
        }
        let unit = &rest[length..];
        let unit = &unit[..unit.find(|c: char| !c.is_alphabetic()).unwrap_or(unit.len())];
        let is_size = ["k", "kb", "m", "mb", "g", "gb", "t", "tb"].contains(&&*unit.to_lowercase());
        let token = if unit.is_empty() { Token::Number } else { Token::Size };
        if token == Token::Size && !is_size && !self.follows_fact() {
            let wanted = "expected a number, or one with the unit k, kb, m, mb, g, gb, t or tb";
            return Err(self.error(start, format!("{wanted}; found {} after the number", quoted(unit))));
        }
        Ok(self.push(token, start, start + length + unit.len()))
    }

    /// Whether the next token is the value of a fact that is compared with a number and a unit.
    fn follows_fact(&self) -> bool {
        let [before @ .., Lexeme { token: Token::Name, text, .. }, Lexeme { token: Token::Operator(_), .. }] =
            &self.found[..]
        else {
            return false;
        };
        let may_begin = match before.last().map(|last| last.token) {
            None | Some(Token::And | Token::Or | Token::Not) => true,
            Some(Token::Sign('(')) => self.open.last() == Some(&false),
            _ => false,
        };
        self.facts && may_begin && matches!(fact::find(text), Some(Fact::Amount(_)))
    }

    fn push(&mut self, token: Token, start: usize, end: usize) -> usize {
        self.found.push(Lexeme { token, text: &self.text[start..end], start });
        end
    }

    fn error(&self, start: usize, message: String) -> Error {
        Error::at(self.text, start, message)
    }
}

fn unexpected(c: char) -> String {
    let hint = match c {
        '=' => "; write == to compare",
        '!' => "; write not",
        '&' => "; write and",
        '|' => "; write or",
        '-' => "; numbers have no sign",
        '#' => "; expressions have no comments",
        '/' | '*' | '\\' | '.' | '+' | ':' => "; put text that contains it in quotes",
        _ => "",
    };
    format!("unexpected character {c:?}{hint}")
}
