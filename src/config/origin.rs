//! Where a value came from: default, file:line:column, variable, flag.
