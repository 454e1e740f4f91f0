//! Locks with versions, striped by key, and what a lookup knows of them.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::ops::{BitOr, BitOrAssign};
use std::sync::{PoisonError, TryLockError};
use std::thread;

// The module's own, as the tests have loom's in its place.
use super::sync::atomic::{AtomicU64, Ordering};
use super::sync::{Mutex, MutexGuard};

/// How many stripes there are: one for each bit of [`Stripes`].
pub(super) const COUNT: u32 = u64::BITS;
/// How often a long work yields to those who wait for a stripe.
const MAX_YIELDS: usize = 100;

/// A set of stripes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stripes(u64);

impl Stripes {
    pub(super) const NONE: Self = Self(0);

    /// The stripe that guards the rows of an owner, or what an index has under a key.
    pub(super) fn of(key: &str) -> Self {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        Self(1 << (hasher.hash_one(key.as_bytes()) % u64::from(COUNT)))
    }

    pub(super) const fn nth(index: u32) -> Self {
        Self(1 << (index % COUNT))
    }

    /// All of so many.
    pub(super) fn all(count: u32) -> Self {
        (0..count).fold(Self::NONE, |all, index| all | Self::nth(index))
    }

    pub(super) const fn contains(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The least stripe of the set.
    pub(super) const fn first(self) -> u32 {
        self.0.trailing_zeros()
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn each(self) -> impl Iterator<Item = u32> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let first = rest.first();
            rest = rest.without(Self::nth(first));
            (first < COUNT).then_some(first)
        })
    }
}

impl BitOr for Stripes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Stripes {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// A stripe: a lock that writers take, and a version that tells readers whether one wrote meanwhile. On a cache line of
/// its own, so that the writers of other stripes do not slow it down.
#[derive(Default)]
#[repr(align(128))]
struct SeqLock {
    writer: Mutex<()>,
    /// How many wait for the lock.
    waiting: AtomicU64,
    /// Odd while a write is under way. It only grows.
    version: AtomicU64,
}

impl SeqLock {
    fn lock(&self) -> MutexGuard<'_, ()> {
        // A panic of one caller must not end the store for all others.
        match self.writer.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }
}

/// The locks of all stripes.
pub(super) struct StripeLocks(Box<[SeqLock]>);

impl StripeLocks {
    pub(super) fn new(count: u32) -> Self {
        Self((0..count).map(|_| SeqLock::default()).collect())
    }

    pub(super) fn all(&self) -> Stripes {
        Stripes::all(u32::try_from(self.0.len()).unwrap_or(COUNT))
    }

    pub(super) fn version(&self, stripe: u32) -> u64 {
        let stripe = usize::try_from(stripe).ok().and_then(|i| self.0.get(i));
        // Who has seen a change, through the lock of a shard, also sees the version that was raised before it.
        stripe.map_or(0, |stripe| stripe.version.load(Ordering::Acquire))
    }

    /// Runs the work while no other writer has these stripes. They are locked in ascending order, so that two writers
    /// never wait for each other. The work must not lock further stripes.
    pub(super) fn lock<T>(&self, stripes: Stripes, work: impl FnOnce(Locked<'_>) -> T) -> T {
        self.lock_rest(stripes, stripes, work)
    }

    fn lock_rest<T>(
        &self,
        rest: Stripes,
        stripes: Stripes,
        work: impl FnOnce(Locked<'_>) -> T,
    ) -> T {
        let first = rest.first();
        let Some(lock) = usize::try_from(first).ok().and_then(|i| self.0.get(i)) else {
            return work(Locked {
                locks: self,
                stripes,
            });
        };
        let _guard = lock.lock();
        self.lock_rest(rest.without(Stripes::nth(first)), stripes, work)
    }

    /// Lets the writers go first that wait for a stripe, and says how often it yielded to them. The locks are not fair: a
    /// writer that locks one again and again would keep the others waiting.
    pub(super) fn give_way(&self) -> usize {
        let is_waited_for = |stripe: &SeqLock| stripe.waiting.load(Ordering::Relaxed) > 0;
        let mut yields = 0;
        while yields < MAX_YIELDS && self.0.iter().any(is_waited_for) {
            thread::yield_now();
            yields += 1;
        }
        yields
    }

    /// Reads what was there at one moment: so often without a lock, and then with the locks of the stripes that it read.
    pub(super) fn read<T>(&self, optimistic: usize, mut read: impl FnMut(&mut ReadSet) -> T) -> T {
        let mut stripes = Stripes::NONE;
        let mut attempt = |stripes: &mut Stripes| {
            let mut reads = ReadSet::default();
            let answer = read(&mut reads);
            *stripes |= reads.stripes;
            reads.holds(self).then_some(answer)
        };
        for _ in 0..optimistic {
            if let Some(answer) = attempt(&mut stripes) {
                return answer;
            }
        }
        loop {
            // Ends when the read needs no further stripe, with all of them at the latest.
            let locked = stripes;
            if let Some(answer) = self.lock(locked, |_| attempt(&mut stripes)) {
                return answer;
            }
        }
    }

    /// Whether each of these stripes is being written to.
    pub(super) fn are_raised(&self, stripes: Stripes) -> bool {
        stripes
            .each()
            .all(|stripe| !self.version(stripe).is_multiple_of(2))
    }

    fn raise(&self, stripes: Stripes) {
        for stripe in stripes.each() {
            if let Some(stripe) = usize::try_from(stripe).ok().and_then(|i| self.0.get(i)) {
                stripe.version.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

/// The right to write to what some stripes guard.
pub(super) struct Locked<'a> {
    locks: &'a StripeLocks,
    stripes: Stripes,
}

impl Locked<'_> {
    /// Runs `write`. Readers see all of what it does or nothing.
    pub(super) fn write<T>(&self, write: impl FnOnce() -> T) -> T {
        struct Raised<'a>(&'a StripeLocks, Stripes);

        impl Drop for Raised<'_> {
            fn drop(&mut self) {
                self.0.raise(self.1);
            }
        }

        self.locks.raise(self.stripes);
        let _even_again = Raised(self.locks, self.stripes);
        write()
    }
}

/// The stripes that guard what a lookup has read, with the versions that it met.
#[derive(Default)]
pub(super) struct ReadSet {
    pub(super) stripes: Stripes,
    /// The sum of the versions. As versions only grow, an equal sum means equal versions.
    versions: u64,
    met_a_write: bool,
}

impl ReadSet {
    /// Notes these stripes: before the lookup of a key, or while the guard of the row is held, so that the row is as
    /// it was at that version.
    pub(super) fn note(&mut self, locks: &StripeLocks, stripes: Stripes) {
        for stripe in stripes.without(self.stripes).each() {
            let version = locks.version(stripe);
            self.met_a_write |= !version.is_multiple_of(2);
            self.versions = self.versions.wrapping_add(version);
        }
        self.stripes |= stripes;
    }

    /// Whether the stripes are unchanged since they were noted, so that all that was read was there at the same moment.
    pub(super) fn holds(&self, locks: &StripeLocks) -> bool {
        let versions = self.stripes.each().map(|stripe| locks.version(stripe));
        !self.met_a_write && versions.fold(0, u64::wrapping_add) == self.versions
    }
}
