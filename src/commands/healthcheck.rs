//! `vpo healthcheck`: asks the running daemon over HTTP; exit 0 healthy, 1 not. Opens no database, binds nothing, starts no runtime.
