//! The walk of a root: what is there, in which state.
