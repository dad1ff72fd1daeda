//! Which family a file is of, and the guarded call of its parser.
