//! Tasks: `spawn(name, policy, |token| async …)`; a panic or an error becomes a state and a restart with backoff. Imports nothing of the crate.
