//! The TOML file: found, parsed once to a spanned table, each key deserialised alone.
