//! The first few files or places with a problem, by name. How many there are is counted apart.

use serde::{Deserialize, Serialize};

/// Files or errors that are kept with their words; the others are only counted.
pub(super) const EXAMPLES_KEPT: usize = 10;

/// Bytes of their words: one path may have 65 KB.
const EXAMPLES_ROOM: usize = 8 << 10;

/// The first few files or places with the same problem, a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Examples(Vec<String>);

impl Examples {
    /// Keeps what `line` returns, if there is room.
    pub(crate) fn push(&mut self, line: impl FnOnce() -> String) {
        let room = EXAMPLES_ROOM.saturating_sub(self.0.iter().map(String::len).sum());
        if self.0.len() < EXAMPLES_KEPT && room > 0 {
            self.0.extend(Some(line()).filter(|line| line.len() <= room));
        }
    }

    /// Adds those of another list.
    pub(crate) fn add(&mut self, other: Self) {
        other.0.into_iter().for_each(|line| self.push(|| line));
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, String> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_are_kept_if_they_are_short() {
        let count = |length: usize| {
            let mut examples = Examples::default();
            (0..20).for_each(|_| examples.push(|| "x".repeat(length)));
            examples.iter().count()
        };
        assert_eq!((count(100), count(3000), count(70_000)), (10, 2, 0));
    }
}
