//! One daemon per library: `library.db.lock`, held with flock(2) for life, never unlinked.
//!
//! The file's content, written by the holder, is two lines of UTF-8: the pid in decimal, then the address
//! that the daemon really bound, as `http://127.0.0.1:8321` or `unix:/run/vpo/vpo.sock`. The second line is
//! absent until the daemon listens. A prober takes a shared lock without waiting: getting it means that no
//! daemon runs.
