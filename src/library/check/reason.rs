//! What a check can find wrong, by stable names.

/// What is wrong. The names ([`Reason::as_str`]) are part of the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is at the path.
    Missing,
    /// Something else than a SQLite database, or nothing in it.
    NotADatabase,
    /// A database that does not hold together.
    Corrupt,
    /// A copy overlapped a checkpoint of ours, so that pages of both may lie in the file.
    CopyCollided,
    /// A database of another program or time.
    WrongSchema,
    /// We may not read it.
    PermissionDenied,
    /// Another program keeps it locked.
    Locked,
    /// The system cannot read it.
    IoError,
    /// It can be read but not written.
    ReadOnly,
    /// Another valid library has just taken its place.
    Replaced,
    /// The lock file is not ours any more: another daemon may be at work on the library.
    LockLost,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::Missing,
        Self::NotADatabase,
        Self::Corrupt,
        Self::CopyCollided,
        Self::WrongSchema,
        Self::PermissionDenied,
        Self::Locked,
        Self::IoError,
        Self::ReadOnly,
        Self::Replaced,
        Self::LockLost,
    ];

    /// The reason of a stable name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotADatabase => "not_a_database",
            Self::Corrupt => "corrupt",
            Self::CopyCollided => "copy_collided",
            Self::WrongSchema => "wrong_schema",
            Self::PermissionDenied => "permission_denied",
            Self::Locked => "locked",
            Self::IoError => "io_error",
            Self::ReadOnly => "read_only",
            Self::Replaced => "replaced",
            Self::LockLost => "lock_lost",
        }
    }

    /// Whether the library is usable all the same.
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Replaced | Self::LockLost)
    }
}
