//! The check that can fail: one look at the library as a stranger would take it (stat, open afresh, read, close).
