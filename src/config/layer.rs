//! One source of configuration: every key as a plain `Option<T>`, filled by the file, by `envy` and by the flags.

/// One source of configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer {}
