//! `vpo serve`: the composition root, the only file that names daemon, library and scan.
