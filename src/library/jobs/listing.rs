//! Jobs as the API lists them.
