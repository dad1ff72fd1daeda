//! inotify through the `notify` crate, debounced; says once where it cannot watch.
