//! Rows of `files` and `tracks`: queries, batches, renames, missing.
