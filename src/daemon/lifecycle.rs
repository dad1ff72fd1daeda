//! The daemon's life: signals → start → serve → drain → exit, as one narrative.
