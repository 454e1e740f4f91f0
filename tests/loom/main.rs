//! The memory adapter's sequence with loom's types in place of the standard library's, in every order that threads can
//! take and with every value that a load may see.
//!
//! `DashMap` cannot be put under loom; a mutex of loom's stands for each shard. As the locks of the shards order what is
//! in them, the orderings of the version itself are stronger than they need to be.

#[path = "../../src/adapters/memory/sequence.rs"]
mod sequence;

use loom::sync;
use std::cell::Cell;

use loom::sync::{Arc, Mutex};
use loom::thread;

use sequence::Sequence;

/// Two shards under a sequence. What is in them is always the same, but while a write is under way.
#[derive(Default)]
struct Store {
    sequence: Sequence,
    left: Mutex<u64>,
    right: Mutex<u64>,
}

impl Store {
    fn add(&self) {
        *self.left.lock().unwrap() += 1;
        *self.right.lock().unwrap() += 1;
    }

    fn both(&self) -> (u64, u64) {
        let left = *self.left.lock().unwrap();
        (left, *self.right.lock().unwrap())
    }

    /// What a reader sees, whole.
    fn read(&self) -> u64 {
        let looks = Cell::new(0);
        let (left, right) = self.sequence.read(|| {
            looks.set(looks.get() + 1);
            self.both()
        });
        assert_eq!(left, right, "a half of a write");
        assert!(looks.get() <= 2, "a reader starves");
        left
    }
}

/// Runs the case in every order with at most so many preemptions; all orders would take hours.
fn explore(preemptions: usize, case: impl Fn(&Arc<Store>) + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || case(&Arc::default()));
}

#[test]
fn readers_see_writes_whole_and_in_order() {
    explore(3, |store| {
        let writer = {
            let store = Arc::clone(store);
            thread::spawn(move || {
                for _ in 0..2 {
                    store.sequence.write(|| store.add());
                }
            })
        };
        let (first, second) = (store.read(), store.read());
        assert!(first <= second, "a later read saw an earlier state");
        writer.join().unwrap();
        assert_eq!(store.read(), 2);
    });
}

#[test]
fn writers_run_one_at_a_time() {
    explore(2, |store| {
        let writers = [(); 2].map(|()| {
            let store = Arc::clone(store);
            thread::spawn(move || {
                store.sequence.write(|| {
                    let (left, right) = store.both();
                    *store.left.lock().unwrap() = left + 1;
                    *store.right.lock().unwrap() = right + 1;
                });
            })
        });
        store.read();
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(store.read(), 2, "a write got lost");
    });
}

/// As a commit does it: look, and then write what the look allows.
#[test]
fn what_is_read_alone_stays_so_until_it_is_written() {
    explore(2, |store| {
        let writer = {
            let store = Arc::clone(store);
            thread::spawn(move || store.sequence.write(|| store.add()))
        };
        let reader = {
            let store = Arc::clone(store);
            thread::spawn(move || store.read())
        };
        let alone = store.sequence.exclusive();
        let before = store.both();
        thread::yield_now();
        assert_eq!(store.both(), before);
        alone.write(|| store.add());
        assert_eq!(store.both(), (before.0 + 1, before.1 + 1));
        drop(alone);
        reader.join().unwrap();
        writer.join().unwrap();
        assert_eq!(store.read(), 2);
    });
}

/// Loom fails where all wait.
#[test]
fn readers_go_on_while_a_transaction_looks() {
    explore(3, |store| {
        let alone = store.sequence.exclusive();
        let reader = {
            let store = Arc::clone(store);
            thread::spawn(move || store.read())
        };
        assert_eq!(reader.join().unwrap(), 0);
        alone.write(|| store.add());
    });
}
