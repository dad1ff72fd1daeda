//! Schema version 7: created from `schema.sql`, recognised, refused with what was found.
