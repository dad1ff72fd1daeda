//! systemd: sd_notify(3) messages, the watchdog and LISTEN_FDS. Imports nothing of the crate; errors of the notify socket are ignored.
