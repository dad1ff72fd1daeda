//! Tokens → [`Expression`].

use super::call::{self, Argument, Call, Notes, Value};
use super::error::{Error, hint, quoted};
use super::expression::Expression;
use super::fact;
use super::lexer::{Lexeme, Token, tokens};

/// Most parentheses that are open at once, those of calls not counted.
const PARENTHESES: usize = 50;

/// Most levels of parentheses, `not` and lists together.
const LEVELS: usize = 256;

/// Reads `text`. With `notes.terms`, facts and all filters are known, and the languages and codecs that it names are added.
///
/// # Errors
/// What is not an expression, at its first place. Of two errors in the calls of a text the one in the first call counts,
/// an unknown character anywhere counts before all others, and what only this program refuses counts last.
pub(super) fn parse(text: &str, notes: &mut Notes) -> Result<Expression, Error> {
    let lexemes = tokens(text, notes.terms.is_some())?;
    let mut parser = Parser { text, lexemes, at: 0, parentheses: 0, levels: 0, notes };
    let expression = parser.any()?;
    match parser.current() {
        Lexeme { token: Token::End, .. } => {}
        found => return Err(parser.expected("and, or, or the end", found)),
    }
    match notes.oddity.take() {
        Some((start, message)) => Err(Error::at(text, start, message)),
        None => Ok(expression),
    }
}

struct Parser<'a, 'n> {
    text: &'a str,
    /// The last is [`Token::End`].
    lexemes: Vec<Lexeme<'a>>,
    /// The current one of them.
    at: usize,
    /// Open now.
    parentheses: usize,
    /// Open now.
    levels: usize,
    notes: &'n mut Notes,
}

impl<'a> Parser<'a, '_> {
    fn any(&mut self) -> Result<Expression, Error> {
        self.chain(Token::Or, Self::all, Expression::Or)
    }

    fn all(&mut self) -> Result<Expression, Error> {
        self.chain(Token::And, Self::negated, Expression::And)
    }

    fn chain(
        &mut self,
        separator: Token,
        part: fn(&mut Self) -> Result<Expression, Error>,
        whole: fn(Vec<Expression>) -> Expression,
    ) -> Result<Expression, Error> {
        let first = part(self)?;
        if self.current().token != separator {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take(separator).is_some() {
            parts.push(part(self)?);
        }
        Ok(whole(parts))
    }

    fn negated(&mut self) -> Result<Expression, Error> {
        let outside = self.levels;
        while self.current().token == Token::Not {
            self.enter()?;
        }
        let negations = self.levels - outside;
        let mut expression = self.atom()?;
        for _ in 0..negations {
            expression = Expression::Not(Box::new(expression));
        }
        self.levels = outside;
        Ok(expression)
    }

    fn atom(&mut self) -> Result<Expression, Error> {
        let found = self.current();
        match found.token {
            Token::Name => self.named(),
            Token::Sign('(') => {
                if self.parentheses == PARENTHESES {
                    let message = format!("more than {PARENTHESES} parentheses are open");
                    return Err(Error::at(self.text, found.start, message));
                }
                self.parentheses += 1;
                self.enter()?;
                let expression = self.any()?;
                self.close(')')?;
                self.parentheses -= 1;
                self.levels -= 1;
                Ok(expression)
            }
            _ => Err(self.expected("a function such as exists(audio), not, or (", found)),
        }
    }

    /// A call; in a query also a fact.
    fn named(&mut self) -> Result<Expression, Error> {
        let name = self.advance();
        if self.take(Token::Sign('(')).is_some() {
            return self.call(name);
        }
        match fact::find(name.text) {
            Some(fact) if self.notes.terms.is_some() => self.fact(name, fact),
            _ => {
                let known = call::FUNCTIONS.iter().copied();
                let facts = fact::NAMES.iter().map(|(fact, _)| *fact).filter(|_| self.notes.terms.is_some());
                let hint = match call::place_of(name.text) {
                    Some(example) => format!("; write {example}"),
                    None => hint(name.text, &mut known.chain(facts)),
                };
                Err(self.expected(&format!("( after {}{hint}", quoted(name.text)), self.current()))
            }
        }
    }

    fn fact(&mut self, name: Lexeme<'a>, fact: fact::Fact) -> Result<Expression, Error> {
        let next = self.current();
        let comparison = match next.token {
            Token::Operator(operator) => Some(fact::Comparison::Operator(operator)),
            Token::Name if next.text == "contains" => Some(fact::Comparison::Contains),
            _ => None,
        };
        let Some(comparison) = comparison else {
            return match fact::alone(fact) {
                Some(expression) => Ok(expression),
                None => Err(self.expected(&format!("a comparison after {}", quoted(name.text)), next)),
            };
        };
        self.at += 1;
        let value = self.value()?;
        let terms = self.notes.terms.get_or_insert_default();
        fact::Compared { text: self.text, fact, comparison, start: next.start, value }.build(terms)
    }

    fn call(&mut self, name: Lexeme<'a>) -> Result<Expression, Error> {
        let mut arguments = Vec::new();
        if self.take(Token::Sign(')')).is_none() {
            loop {
                arguments.push(self.argument()?);
                if self.take(Token::Sign(',')).is_none() {
                    break;
                }
            }
            self.close(')')?;
        }
        let comparison = self.comparison()?;
        let call = Call { text: self.text, name, arguments, comparison };
        call.build(self.notes)
    }

    fn argument(&mut self) -> Result<Argument<'a>, Error> {
        let name = self.current();
        if name.token != Token::Name {
            return Err(self.expected("a name", name));
        }
        self.at += 1;
        Ok(Argument { name, comparison: self.comparison()? })
    }

    /// An operator with a value, if an operator is next.
    fn comparison(&mut self) -> Result<Option<call::Comparison<'a>>, Error> {
        let found = self.current();
        let Token::Operator(operator) = found.token else { return Ok(None) };
        self.at += 1;
        Ok(Some(call::Comparison { operator, start: found.start, value: self.value()? }))
    }

    fn value(&mut self) -> Result<Value<'a>, Error> {
        let found = self.current();
        match found.token {
            Token::Name | Token::Quoted | Token::Number | Token::Size | Token::Boolean => {
                self.at += 1;
                Ok(Value { lexeme: found, items: Vec::new() })
            }
            Token::Sign('[') => {
                self.enter()?;
                let mut items = vec![self.value()?];
                while self.take(Token::Sign(',')).is_some() {
                    items.push(self.value()?);
                }
                self.close(']')?;
                self.levels -= 1;
                Ok(Value { lexeme: found, items })
            }
            _ => Err(self.expected("a value", found)),
        }
    }

    fn current(&self) -> Lexeme<'a> {
        let end = Lexeme { token: Token::End, text: "", start: self.text.len() };
        self.lexemes.get(self.at).copied().unwrap_or(end)
    }

    fn advance(&mut self) -> Lexeme<'a> {
        let found = self.current();
        self.at += 1;
        found
    }

    fn take(&mut self, token: Token) -> Option<Lexeme<'a>> {
        (self.current().token == token).then(|| self.advance())
    }

    fn close(&mut self, sign: char) -> Result<(), Error> {
        match self.take(Token::Sign(sign)) {
            Some(_) => Ok(()),
            None => Err(self.expected(&format!("{sign} or ,"), self.current())),
        }
    }

    /// Takes the token that opens a level.
    fn enter(&mut self) -> Result<(), Error> {
        let found = self.advance();
        if self.levels == LEVELS {
            let message = format!("more than {LEVELS} levels of parentheses, not and lists");
            return Err(Error::at(self.text, found.start, message));
        }
        self.levels += 1;
        Ok(())
    }

    fn expected(&self, what: &str, found: Lexeme<'_>) -> Error {
        let found_text = match found.token {
            Token::End => "the end".to_owned(),
            _ => quoted(found.text),
        };
        Error::at(self.text, found.start, format!("expected {what}; found {found_text}"))
    }
}
