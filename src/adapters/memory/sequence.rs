use std::sync::PoisonError;

// The module's own, as the tests have loom's in its place.
use super::sync::atomic::{AtomicU64, Ordering};
use super::sync::{Mutex, MutexGuard};

/// Makes reads and writes of several maps atomic, without a lock that readers share.
///
/// Writers run one at a time. A reader runs beside them, and runs again where a writer was under way meanwhile: the
/// second time in the writers' queue, so that it cannot starve. What a write changes is therefore seen whole or not at
/// all, and a reader that meets no writer only reads one number twice.
#[derive(Default)]
pub(super) struct Sequence {
    writer: Mutex<()>,
    /// Odd while a write is under way.
    version: AtomicU64,
}

impl Sequence {
    /// Runs `read` once or twice; it must not call back into this sequence.
    pub(super) fn read<T>(&self, read: impl Fn() -> T) -> T {
        let before = self.version.load(Ordering::Acquire);
        if before.is_multiple_of(2) {
            let value = read();
            // Whoever saw a change through the lock of a shard also sees the version that was raised before it.
            if self.version.load(Ordering::Acquire) == before {
                return value;
            }
        }
        let _alone = self.exclusive();
        read()
    }

    /// Runs `write` alone; it must not call back into this sequence.
    pub(super) fn write<T>(&self, write: impl FnOnce() -> T) -> T {
        self.exclusive().write(write)
    }

    /// Keeps writers away, so that what is read stays so until the answer is written or dropped. Readers go on.
    pub(super) fn exclusive(&self) -> Exclusive<'_> {
        Exclusive {
            version: &self.version,
            // A panic of one caller must not end the store for all others.
            _writer: self.writer.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// The right to write to what a [`Sequence`] guards.
pub(super) struct Exclusive<'a> {
    version: &'a AtomicU64,
    _writer: MutexGuard<'a, ()>,
}

impl Exclusive<'_> {
    /// Runs `write`; readers see all of what it does or nothing.
    pub(super) fn write<T>(&self, write: impl FnOnce() -> T) -> T {
        struct Raise<'a>(&'a AtomicU64);

        impl Drop for Raise<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::AcqRel);
            }
        }

        self.version.fetch_add(1, Ordering::AcqRel);
        let _even_again = Raise(self.version);
        write()
    }
}
