//! Problems and warnings of the configuration, each with its origin.
