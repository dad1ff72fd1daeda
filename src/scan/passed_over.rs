//! Counts the files that a scan does not read, by the extensions of their names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Extensions that are counted one by one.
const MOST: usize = 32;

/// Bytes of the longest extension that is counted by itself.
const LONGEST: usize = 10;

/// What counts extensions that are too long or too many.
const OTHER: &str = "other";

/// Numbers of files by extension, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PassedOver(BTreeMap<String, u64>);

impl PassedOver {
    /// Counts a file, unless its name has no extension.
    pub(crate) fn count(&mut self, name: &[u8]) {
        let Some(dot) = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0) else { return };
        let extension = &name[dot + 1..];
        let is_usual = (1..=LONGEST).contains(&extension.len())
            && extension
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+'));
        let mut buffer = [0; LONGEST];
        let key = if is_usual {
            let lower = &mut buffer[..extension.len()];
            lower.copy_from_slice(extension);
            lower.make_ascii_lowercase();
            std::str::from_utf8(lower).unwrap_or(OTHER)
        } else {
            OTHER
        };
        self.add_to(key, 1);
    }

    fn add_to(&mut self, extension: &str, count: u64) {
        if let Some(known) = self.0.get_mut(extension) {
            *known += count;
            return;
        }
        let others = usize::from(self.0.contains_key(OTHER));
        let key = if self.0.len() - others < MOST { extension } else { OTHER };
        *self.0.entry(key.to_owned()).or_default() += count;
    }

    /// Adds the counts of another part of the walk.
    pub(crate) fn add(&mut self, other: &Self) {
        for (extension, count) in &other.0 {
            self.add_to(extension, *count);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The extensions with their numbers of files, the most frequent first.
    pub(crate) fn by_count(&self) -> Vec<(&str, u64)> {
        let mut counts: Vec<_> =
            self.0.iter().map(|(extension, count)| (extension.as_str(), *count)).collect();
        counts.sort_by_key(|(extension, count)| (*extension == OTHER, u64::MAX - count));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_counted_in_any_case_and_at_most_32_of_them() {
        let mut counts = PassedOver::default();
        for name in ["a.TS", "b.ts", "c.iso", ".hidden", "none", "x.toolongextension", "y.b%d", "z."] {
            counts.count(name.as_bytes());
        }
        assert_eq!(counts.by_count(), [("ts", 2), ("iso", 1), ("other", 3)]);
        let mut many = PassedOver::default();
        for number in 0..40 {
            many.count(format!("f.e{number:02}").as_bytes());
        }
        assert_eq!(many.by_count().len(), 33);
        assert_eq!(many.by_count().last(), Some(&("other", 8)));
        many.add(&counts);
        assert_eq!(many.by_count().last(), Some(&("other", 14)), "no new extension has room");
    }
}
