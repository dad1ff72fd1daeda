//! Is a file still being written?
