//! Counts and bytes over the whole library.
