//! Batches into the library, renames, missing files, the second pass of hashes.
