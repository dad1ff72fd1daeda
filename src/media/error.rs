//! Errors of a probe. Each message is one line that a user can act on.

use std::io;

/// The reason why a file cannot be probed.
///
/// The messages do not name the file; the caller does.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file has no bytes at all.
    #[error("the file is empty")]
    Empty,
    /// The content is of another kind; `found` names it where it is a well-known one.
    #[error("not a {supported} video: it {found}")]
    NotAVideo {
        /// The names of the formats that are read: "A, B or C".
        supported: String,
        /// Completes the sentence "it …": "is a JPEG image".
        found: &'static str,
    },
    /// A video in a container that is not read.
    #[error("{container}, which vpo does not read; it reads {supported}")]
    UnreadContainer {
        /// The names of the formats that are read: "A, B or C".
        supported: String,
        /// Its name, with an article.
        container: &'static str,
    },
    /// The file ends before data that the container announces.
    #[error("truncated: the file ends at byte {length}, within its {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// The file's size in bytes.
        length: u64,
        /// How many bytes are missing, if the container states that.
        missing: Option<u64>,
    },
    /// The bytes violate the container's format.
    #[error("malformed at byte {offset}: {what}")]
    Malformed {
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A well-formed container without tracks.
    #[error("the container holds no tracks")]
    NoTracks,
    /// The headers exceed a limit of [`super::reader`].
    #[error("gave up on headers that exceed {limit}")]
    Excessive {
        /// The limit, in words.
        limit: &'static str,
    },
    /// A directory, FIFO, socket or device.
    #[error("not a regular file but {kind}")]
    NotAFile {
        /// What it is, with its article.
        kind: &'static str,
    },
    /// The operating system returned an error.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A parser panicked, which is a bug. A scan continues with the next file.
    #[error("the prober failed ({message}): please report this file")]
    Panicked {
        /// The panic's message and place.
        message: String,
    },
}

impl Error {
    /// States how many bytes of a truncated file are missing, if that is not stated yet.
    pub(crate) fn lacking(mut self, bytes: Option<u64>) -> Self {
        if let Self::Truncated { missing, .. } = &mut self {
            *missing = missing.or(bytes);
        }
        self
    }

    /// How many bytes of the file are missing, if that is known.
    #[must_use]
    pub fn missing_bytes(&self) -> Option<u64> {
        if let Self::Truncated { missing, .. } = self { *missing } else { None }
    }
}
