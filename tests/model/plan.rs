//! Which steps a seed consists of: a pure function of the seed, so that a failure replays.

/// Steps of a seed.
pub(super) const STEPS: usize = 40;

/// splitmix64: a generator of our own, the same on every machine.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The next number, below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of `items`.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).expect("an index")]
    }
}

/// How a backup is put in the database's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// `cp BACKUP DATABASE`
    Cp,
    /// `cat BACKUP > DATABASE`
    Cat,
    /// `dd conv=notrunc`
    Dd,
    /// Only the blocks that differ, as `rsync --inplace`.
    InPlace,
    /// `cat >` whose input takes a second.
    Slow,
    /// SQLite's backup API into the database, as the shell's `.restore`.
    Restore,
    /// A rename onto it.
    Rename,
}

/// All of them.
pub(super) const WAYS: &[Way] =
    &[Way::Cp, Way::Cat, Way::Dd, Way::InPlace, Way::Slow, Way::Restore, Way::Rename];

macro_rules! kinds {
    ($($kind:ident $weight:literal),+ $(,)?) => {
        /// A kind of step.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Kind { $($kind),+ }

        const KINDS: &[(Kind, u64)] = &[$((Kind::$kind, $weight)),+];
    };
}

// Each with how often it is drawn, relative to the others. What takes a second or more is drawn seldom.
kinds! {
    // The films.
    FilmAdded 4,
    FilmChanged 3,
    FilmTouched 2,
    FilmRenamed 3,
    FilmDeleted 3,
    DirectoryRenamed 2,
    ManyTouched 2,
    HostileFiles 6,
    SubtitlesChanged 5,
    // The other program.
    Rows 4,
    RowsOfFilms 3,
    WriterOpens 3,
    WriterCloses 2,
    ReadHeld 2,
    WriteHeld 2,
    ExclusiveHeld 1,
    Vacuum 2,
    // Backups.
    VacuumInto 3,
    BackupApi 2,
    CopyTaken 2,
    // Put back while the daemon runs and has nothing to do, and otherwise.
    PutBackCp 2,
    PutBackCat 1,
    PutBackDd 1,
    PutBackInPlace 1,
    PutBackSlow 1,
    PutBackRestore 1,
    PutBackRename 1,
    PutBackWhileScanning 2,
    PutBackWhileFrozen 1,
    PutBackWhileStopped 2,
    PutBackAfterKill 2,
    PutBackWhileOpen 1,
    // The database's files.
    WalRemoved 2,
    ShmRemoved 2,
    CompanionsRemoved 2,
    CompanionsRemovedWhileScanning 1,
    CompanionsRemovedAfterKill 1,
    LockRemoved 2,
    MovedAway 1,
    Deleted 1,
    Garbage 1,
    Damage 1,
    // The daemon.
    Kill 3,
    KillWhileScanning 2,
    Terminate 3,
    Reload 3,
    Freeze 2,
    ScanBeside 1,
    ScanForeground 2,
    // Around it.
    FullDisk 2,
    DirectoryReadOnly 2,
    FutureJob 3,
    Requests 4,
    IdleConnections 2,
}

/// One step. What it needs by chance it draws from `dice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) dice: u64,
}

/// The steps of a seed.
pub(super) fn plan(seed: u64) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let total = KINDS.iter().map(|(_, weight)| weight).sum();
    let mut draw = || {
        let mut left = rng.below(total);
        let is_it = |(_, weight): &&(Kind, u64)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        };
        let kind = KINDS.iter().find(is_it).expect("within the total").0;
        Step { kind, dice: rng.next() }
    };
    (0..STEPS).map(|_| draw()).collect()
}
