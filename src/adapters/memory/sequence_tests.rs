//! The sequence on real threads; `tests/loom` has it in every order that threads can take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::adapters::memory::sequence::Sequence;

#[test]
fn readers_see_writes_whole() {
    let sequence = Sequence::default();
    let left = AtomicU64::new(0);
    let right = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..50_000 {
                    sequence.write(|| {
                        left.fetch_add(1, Ordering::AcqRel);
                        right.fetch_add(1, Ordering::AcqRel);
                    });
                }
            });
            scope.spawn(|| {
                for _ in 0..50_000 {
                    let (left, right) = sequence
                        .read(|| (left.load(Ordering::Acquire), right.load(Ordering::Acquire)));
                    assert_eq!(left, right);
                }
            });
        }
    });
    assert_eq!(left.into_inner(), 100_000);
}

#[test]
fn a_panicking_writer_stops_nobody() {
    let sequence = Sequence::default();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sequence.write(|| panic!("on purpose"));
    }));
    assert!(outcome.is_err());
    assert_eq!(sequence.write(|| 1), 1);
    assert_eq!(sequence.read(|| 2), 2);
}
