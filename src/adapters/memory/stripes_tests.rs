//! The stripes on real threads; `tests/loom` has them in every order that threads can take.

use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::adapters::memory::stripes::{COUNT, ReadSet, StripeLocks, Stripes};

#[test]
fn readers_see_writes_whole() {
    let locks = StripeLocks::new(COUNT);
    let rows = [AtomicU64::new(0), AtomicU64::new(0)];
    let stripes = [Stripes::nth(3), Stripes::nth(COUNT - 1)];
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..50_000 {
                    locks.lock(stripes[0] | stripes[1], |locked| {
                        locked.write(|| {
                            for row in &rows {
                                row.fetch_add(1, Ordering::AcqRel);
                            }
                        });
                    });
                }
            });
            scope.spawn(|| {
                for _ in 0..50_000 {
                    let [left, right] = locks.read(2, |reads| {
                        [0, 1].map(|row| {
                            reads.note(&locks, stripes[row]);
                            rows[row].load(Ordering::Acquire)
                        })
                    });
                    assert_eq!(left, right);
                }
            });
        }
    });
    assert_eq!(rows[0].load(Ordering::Acquire), 100_000);
}

#[test]
fn a_panicking_writer_stops_nobody() {
    let locks = StripeLocks::new(COUNT);
    let all = locks.all();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        locks.lock(all, |locked| locked.write(|| panic!("on purpose")));
    }));
    assert!(outcome.is_err());
    assert_eq!(locks.lock(all, |locked| locked.write(|| 1)), 1);
    let read = locks.read(1, |reads| {
        reads.note(&locks, all);
        2
    });
    assert_eq!(read, 2);
}

#[test]
fn a_long_work_yields_to_who_waits() {
    let locks = StripeLocks::new(COUNT);
    assert_eq!(locks.give_way(), 0);
    let stripe = Stripes::nth(3);
    thread::scope(|scope| {
        locks.lock(stripe, |_| {
            scope.spawn(|| locks.lock(stripe, |_| {}));
            // It yields as soon as the other one waits, and not for ever.
            let yields = iter::repeat_with(|| locks.give_way()).find(|yields| *yields > 0);
            assert_eq!(yields.map(|_| locks.give_way()), Some(100));
        });
    });
}

#[test]
fn what_is_read_holds_until_a_write_begins() {
    let locks = StripeLocks::new(COUNT);
    let [written, other] = [Stripes::nth(3), Stripes::nth(4)];
    let noted = |stripes| {
        let mut reads = ReadSet::default();
        reads.note(&locks, stripes);
        reads
    };
    let (before, elsewhere) = (noted(written | other), noted(other));
    assert!(before.holds(&locks) && elsewhere.holds(&locks));
    locks.lock(written, |locked| {
        assert!(before.holds(&locks));
        locked.write(|| {
            assert!(!before.holds(&locks) && elsewhere.holds(&locks));
            let mut during = noted(written);
            during.note(&locks, other);
            assert!(!during.holds(&locks));
        });
    });
    assert!(!before.holds(&locks) && elsewhere.holds(&locks));
    assert!(noted(written).holds(&locks));
}

#[test]
fn a_version_is_odd_while_a_write_is_under_way() {
    let locks = StripeLocks::new(COUNT);
    let [written, other] = [Stripes::nth(3), Stripes::nth(4)];
    locks.lock(written, |locked| {
        assert!(!locks.are_raised(written));
        locked.write(|| assert!(locks.are_raised(written) && !locks.are_raised(written | other)));
        assert!(!locks.are_raised(written));
    });
}

#[test]
fn sets_of_stripes() {
    let all = Stripes::all(COUNT);
    assert_eq!(StripeLocks::new(COUNT).all(), all);
    for key in ["", "a", "ada@example.com"] {
        let stripe = Stripes::of(key);
        assert_eq!(stripe, Stripes::nth(stripe.first()));
        assert!(all.contains(stripe) && !Stripes::NONE.contains(stripe));
    }
    assert!(!Stripes::all(COUNT - 1).contains(Stripes::nth(COUNT - 1)));
}
