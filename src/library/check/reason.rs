//! The reasons that a check of the database can fail or warn with.

/// Why the check fails or warns. The names ([`Reason::as_str`]) are part of the public contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No file exists at the path.
    Missing,
    /// The file is not a SQLite database, or it is empty.
    NotADatabase,
    /// The database is damaged.
    Corrupt,
    /// A copy overlapped a checkpoint of ours: the file may hold pages of both.
    CopyCollided,
    /// The database belongs to another program, or has another schema version.
    WrongSchema,
    /// The daemon may not read it.
    PermissionDenied,
    /// Another program keeps it locked.
    Locked,
    /// The system reports an I/O error.
    IoError,
    /// It can be read, but not written.
    ReadOnly,
    /// The content was replaced by another valid library in the last minute.
    Replaced,
    /// The lock file was removed or replaced: a second daemon could start.
    LockLost,
}

impl Reason {
    /// All reasons.
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

    /// Returns the reason of a stable name.
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

    /// Whether the database stays usable: the check warns and does not fail.
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Replaced | Self::LockLost)
    }
}
