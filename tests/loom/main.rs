//! The memory adapter's stripes with loom's types in place of the standard library's, in every order that threads can
//! take and with every value that a load may see.
//!
//! `DashMap` cannot be put under loom; a mutex of loom's stands for each shard. As the locks of the shards order what is
//! in them, the orderings of the versions themselves are stronger than they need to be.

#[allow(dead_code, reason = "the adapter needs more of it")]
#[path = "../../src/adapters/memory/stripes.rs"]
mod stripes;

use loom::sync;
use loom::sync::{Arc, Mutex};
use loom::thread;

use stripes::{ReadSet, StripeLocks, Stripes};

const LEFT: Stripes = Stripes::nth(0);
const RIGHT: Stripes = Stripes::nth(1);

/// Two shards under two stripes. A commit raises what is in both.
struct Store {
    locks: StripeLocks,
    left: Mutex<u64>,
    right: Mutex<u64>,
}

impl Store {
    fn commit(&self) {
        self.locks.lock(LEFT | RIGHT, |locked| {
            locked.write(|| {
                *self.left.lock().unwrap() += 1;
                *self.right.lock().unwrap() += 1;
            });
        });
    }

    /// A row that is found: its guard is held while its stripe is noted.
    fn found(&self, reads: &mut ReadSet, stripe: Stripes) -> u64 {
        let shard = if stripe == LEFT {
            &self.left
        } else {
            &self.right
        };
        let row = shard.lock().unwrap();
        reads.note(&self.locks, stripe);
        *row
    }

    /// A key that is looked up: its stripe is noted before.
    fn looked_up(&self, reads: &mut ReadSet, stripe: Stripes) -> u64 {
        reads.note(&self.locks, stripe);
        let shard = if stripe == LEFT {
            &self.left
        } else {
            &self.right
        };
        *shard.lock().unwrap()
    }

    /// What a reader sees, whole. It is turned away so often at most.
    fn read(&self, optimistic: usize) -> u64 {
        let mut attempts = 0;
        let (left, right) = self.locks.read(optimistic, |reads| {
            attempts += 1;
            (self.found(reads, LEFT), self.looked_up(reads, RIGHT))
        });
        assert_eq!(left, right, "a half of a commit");
        assert!(attempts <= optimistic + 3, "a reader starves");
        left
    }
}

/// Runs the case in every order with at most so many preemptions; all orders would take hours.
fn explore(preemptions: usize, case: impl Fn(&Arc<Store>) + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        case(&Arc::new(Store {
            locks: StripeLocks::new(2),
            left: Mutex::new(0),
            right: Mutex::new(0),
        }));
    });
}

#[test]
fn readers_see_commits_whole_and_in_order() {
    explore(3, |store| {
        let writer = {
            let store = Arc::clone(store);
            thread::spawn(move || {
                store.commit();
                store.commit();
            })
        };
        let (first, second) = (store.read(1), store.read(1));
        assert!(first <= second, "a later read saw an earlier state");
        writer.join().unwrap();
        assert_eq!(store.read(1), 2);
    });
}

#[test]
fn readers_that_lock_see_commits_whole() {
    explore(3, |store| {
        let writer = {
            let store = Arc::clone(store);
            thread::spawn(move || store.commit())
        };
        store.read(0);
        writer.join().unwrap();
        assert_eq!(store.read(0), 1);
    });
}

/// One by one: whoever has seen one row as a commit left it finds the other so too.
#[test]
fn rows_that_are_read_one_by_one_show_no_half_of_a_commit() {
    explore(3, |store| {
        let writer = {
            let store = Arc::clone(store);
            thread::spawn(move || store.commit())
        };
        let first = store.locks.read(1, |reads| store.looked_up(reads, RIGHT));
        let second = store.locks.read(1, |reads| store.found(reads, LEFT));
        assert!(first <= second, "a half of a commit");
        writer.join().unwrap();
    });
}

#[test]
fn writers_of_a_stripe_run_one_at_a_time() {
    explore(2, |store| {
        let writers = [LEFT | RIGHT, RIGHT].map(|stripes| {
            let store = Arc::clone(store);
            thread::spawn(move || {
                store.locks.lock(stripes, |locked| {
                    locked.write(|| {
                        let right = *store.right.lock().unwrap();
                        *store.right.lock().unwrap() = right + 1;
                    });
                });
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(*store.right.lock().unwrap(), 2, "a write got lost");
    });
}

/// As a commit does it: look, and then write what the look allows.
#[test]
fn what_is_locked_stays_so_until_it_is_written() {
    explore(2, |store| {
        let writer = {
            let store = Arc::clone(store);
            thread::spawn(move || store.commit())
        };
        store.locks.lock(LEFT | RIGHT, |locked| {
            let before = *store.left.lock().unwrap();
            thread::yield_now();
            assert_eq!(*store.right.lock().unwrap(), before);
            locked.write(|| {
                *store.left.lock().unwrap() = before + 1;
                *store.right.lock().unwrap() = before + 1;
            });
        });
        writer.join().unwrap();
        assert_eq!(store.read(1), 2);
    });
}

/// Loom fails if all wait.
#[test]
fn readers_go_on_while_a_commit_looks() {
    explore(3, |store| {
        store.locks.lock(LEFT | RIGHT, |locked| {
            let reader = {
                let store = Arc::clone(store);
                thread::spawn(move || store.read(1))
            };
            assert_eq!(reader.join().unwrap(), 0);
            locked.write(|| ());
        });
    });
}

/// A write as the store makes it: it names its stripes, locks them, and names them again. Answers how often it locked.
fn write_where(store: &Store, name: impl Fn() -> Stripes, write: impl Fn()) -> usize {
    let (mut stripes, mut attempts) = (name(), 0);
    loop {
        attempts += 1;
        let done = store.locks.lock(stripes, |locked| {
            let named = name();
            if !stripes.contains(named) {
                stripes |= named;
                return false;
            }
            locked.write(&write);
            true
        });
        if done {
            return attempts;
        }
    }
}

/// The row is in the left shard until it moves to the right one. Whoever named its stripe before begins again.
#[test]
fn a_write_that_named_the_wrong_stripe_begins_again() {
    explore(3, |store| {
        let mover = {
            let store = Arc::clone(store);
            thread::spawn(move || {
                store.locks.lock(LEFT | RIGHT, |locked| {
                    locked.write(|| {
                        let row = std::mem::take(&mut *store.left.lock().unwrap());
                        *store.right.lock().unwrap() = row + 10;
                    });
                });
            })
        };
        let has_moved = || *store.right.lock().unwrap() > 0;
        let name = || if has_moved() { RIGHT } else { LEFT };
        let write = || {
            let shard = if has_moved() {
                &store.right
            } else {
                &store.left
            };
            *shard.lock().unwrap() += 1;
        };
        let attempts = write_where(store, name, write);
        assert!(attempts <= 2, "a writer starves");
        mover.join().unwrap();
        assert_eq!(*store.left.lock().unwrap(), 0, "a write got lost");
        assert_eq!(*store.right.lock().unwrap(), 11, "a write got lost");
    });
}

/// A commit replays with the stripes that its writes had locked, finds that it needs another one, and replays with both.
#[test]
fn a_commit_that_needs_more_stripes_replays_with_all() {
    explore(3, |store| {
        let writer = {
            let store = Arc::clone(store);
            thread::spawn(move || store.commit())
        };
        let mut stripes = LEFT;
        loop {
            let committed = store.locks.lock(stripes, |locked| {
                let reads = &mut ReadSet::default();
                let (left, right) = (store.looked_up(reads, LEFT), store.looked_up(reads, RIGHT));
                if !stripes.contains(reads.stripes) {
                    stripes |= reads.stripes;
                    return false;
                }
                assert_eq!(left, right, "a commit saw half of another");
                locked.write(|| {
                    *store.left.lock().unwrap() = left + 1;
                    *store.right.lock().unwrap() = right + 1;
                });
                true
            });
            if committed {
                break;
            }
        }
        writer.join().unwrap();
        assert_eq!(store.read(1), 2, "a commit got lost");
    });
}
