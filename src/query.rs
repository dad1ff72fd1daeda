//! Questions about one file: the expressions of VPO's policies, and the queries that extend them. Pure: no database, no
//! files, no clock. Imports only [`crate::base`].
//!
//! [`parse`] reads an expression of a policy, [`Query::parse`] a query. Both return an [`Expression`], which
//! [`matches`](Expression::matches) a [`File`] or not.
//!
//! # The language
//!
//! ```text
//! expression = or_expr ;
//! or_expr    = and_expr , { "or" , and_expr } ;
//! and_expr   = not_expr , { "and" , not_expr } ;
//! not_expr   = "not" , not_expr | atom ;
//! atom       = "(" , expression , ")" | call | fact ;                     (* fact: queries only *)
//! call       = name , "(" , [ argument , { "," , argument } ] , ")" , [ operator , value ] ;
//! argument   = name , operator , value | name ;
//! fact       = name , [ ( operator | "contains" ) , value ] ;
//! operator   = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" ;
//! value      = string | number | size | boolean | name | list ;
//! list       = "[" , value , { "," , value } , "]" ;
//! ```
//!
//! The functions are `exists(TYPE, filter…)` and `count(TYPE, filter…) OPERATOR NUMBER`. Policies of another program, the
//! Python VPO, use the same language, so what it means, what is refused and where is fixed by that program's answers
//! (`tests/query/`), and `docs/query.md` describes it. Of what that program accepts by accident, this one refuses the
//! following: a bare name after the track type, a filter given twice, texts and fractions for numbers, anything but `true` and `false`
//! for flags, a list with `==`, lists in lists, digits other than 0 to 9, and numbers as texts that are not in their shortest form.
//!
//! Regular expressions do not occur in expressions: a title is compared by substring.
//!
//! # Reading
//!
//! [`lexer`](self) → tokens with their places; the parser → calls; each complete call → a part of the [`Expression`]. Text,
//! parentheses, and nesting are bounded, so time is linear in the length of the text. An [`Error`] has the first
//! place that is wrong: a character that no token begins with anywhere counts first, then the first token that does not
//! fit or the first call that means nothing, then what only this program refuses. So every text that policies refuse is
//! refused in the same place.
//!
//! # Comparing
//!
//! Texts are folded ([`fold()`]) and languages normalised ([`normalise`]) while reading; a track's own text is when it is compared.
//! What a track or a file does not have, or what is not known of it, passes no comparison.

mod call;
mod error;
mod evaluate;
mod expression;
mod fact;
mod language;
mod lexer;
mod parser;
mod vocabulary;

use std::collections::BTreeSet;

pub use crate::base::fold::fold;
use call::Notes;
pub use error::Error;
pub use evaluate::{File, Track};
pub use expression::{Expression, Filter, Flag, Number, Text, TrackType, Tracks};
pub use fact::{Amount, Mark, Test, Words};
pub use language::normalise;
pub use lexer::Operator;
pub use vocabulary::{Kind, Term, canonical, is_codec};

/// Reads an expression of a policy.
///
/// # Errors
/// If it is not one.
pub fn parse(text: &str) -> Result<Expression, Error> {
    parser::parse(text, &mut Notes::default())
}

/// A question about the files of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// What is asked of each file.
    pub expression: Expression,
    /// The languages, codecs and containers that it names, in order.
    pub terms: Vec<Term>,
}

impl Query {
    /// Reads a query: an expression that may also name facts of the file and further filters. Other names of codecs are
    /// replaced. `recorded` says whether a file of the library has a language or codec.
    ///
    /// # Errors
    /// If it is not one, or names a language or codec that is neither known nor recorded.
    pub fn parse(text: &str, recorded: &dyn Fn(Kind, &str) -> bool) -> Result<Self, Error> {
        let mut notes = Notes { terms: Some(Vec::new()), oddity: None };
        let expression = parser::parse(text, &mut notes)?;
        let terms = notes.terms.unwrap_or_default();
        terms.iter().try_for_each(|term| term.check(text, recorded))?;
        Ok(Self { expression, terms })
    }

    /// The query for which all of `queries` must hold; `None` for none.
    #[must_use]
    pub fn all(mut queries: Vec<Self>) -> Option<Self> {
        if queries.len() < 2 {
            return queries.pop();
        }
        let terms = queries.iter_mut().flat_map(|query| std::mem::take(&mut query.terms)).collect();
        let expressions = queries.into_iter().flat_map(|query| match query.expression {
            Expression::And(parts) => parts,
            other => vec![other],
        });
        Some(Self { expression: Expression::And(expressions.collect()), terms })
    }

    /// The names of the filters and facts that it uses.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&'static str> {
        let mut names = BTreeSet::new();
        self.expression.visit(&mut |name| {
            names.insert(name);
        });
        names
    }

    /// Whether it may hold for a file whose tracks and duplicates are not known yet. If not, it does not hold.
    #[must_use]
    pub fn may_match(&self, file: &dyn File) -> bool {
        self.parts().iter().all(|part| part.needs_more_than_the_file() || part.matches(file))
    }

    /// The languages of which a file must have a track in one: type and list for each part that demands it.
    #[must_use]
    pub fn required_languages(&self) -> Vec<(TrackType, &[String])> {
        fn languages(part: &Expression) -> Option<(TrackType, &[String])> {
            let Expression::Exists(tracks) = part else { return None };
            tracks.filters.iter().find_map(|filter| match filter {
                Filter::Text(Text::Language, wanted) => Some((tracks.track_type, &wanted[..])),
                _ => None,
            })
        }
        self.parts().iter().filter_map(languages).collect()
    }

    /// What must hold together.
    fn parts(&self) -> &[Expression] {
        match &self.expression {
            Expression::And(parts) => parts,
            other => std::slice::from_ref(other),
        }
    }

    /// Whether tracks matter to it.
    #[must_use]
    pub fn asks_for_tracks(&self) -> bool {
        self.expression.asks_for_tracks()
    }

    /// Whether it asks for files that are missing; others leave them out.
    #[must_use]
    pub fn asks_for_missing(&self) -> bool {
        self.expression.asks_for_missing()
    }
}
