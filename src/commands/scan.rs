//! `vpo scan [PATH…]`: one scan now, in the foreground or as a job for the running daemon.
