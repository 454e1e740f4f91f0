//! Hidden rows, lists and memory that is given back.

use std::borrow::Cow;
use std::iter;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use dashmap::DashMap;

use super::super::stripes::{COUNT, ReadSet, StripeLocks, Stripes};
use super::{
    Generation, Key, ListIndex, MAX_REMOVED_AT_ONCE, RemovedList, Row, Table, map, shrink,
};

/// One of `ada`'s rows, in so many indexes.
#[derive(Clone, Debug, PartialEq)]
struct Numbered<const UNIQUE: usize, const LISTS: usize>(String);

impl<const UNIQUE: usize, const LISTS: usize> Row for Numbered<UNIQUE, LISTS> {
    const UNIQUE: usize = UNIQUE;
    const LISTS: usize = LISTS;

    fn key(&self) -> &str {
        &self.0
    }
    fn created_at(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
    fn owner(&self) -> &str {
        OWNER
    }
    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        iter::repeat_with(|| Some(Cow::Borrowed(self.key()))).take(UNIQUE)
    }
    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        iter::repeat_with(|| Cow::Borrowed(OWNER)).take(LISTS)
    }
}

const OWNER: &str = "ada";

struct Fixture<const UNIQUE: usize, const LISTS: usize> {
    locks: Arc<StripeLocks>,
    table: Table<Numbered<UNIQUE, LISTS>>,
}

impl<const UNIQUE: usize, const LISTS: usize> Fixture<UNIQUE, LISTS> {
    fn new() -> Self {
        let locks = Arc::new(StripeLocks::new(COUNT));
        let table = Table::new(&locks);
        Self { locks, table }
    }

    fn write<T>(&self, write: impl FnOnce(&Table<Numbered<UNIQUE, LISTS>>) -> T) -> T {
        let locks = &self.locks;
        locks.lock(locks.all(), |locked| locked.write(|| write(&self.table)))
    }

    fn insert(&self, numbers: impl IntoIterator<Item = usize>) {
        self.write(|table| {
            for number in numbers {
                table.insert(Numbered(number.to_string()));
            }
        });
    }

    fn remove_list(&self, spared: Option<&str>) -> RemovedList<Numbered<UNIQUE, LISTS>> {
        let list = ListIndex::nth(0);
        self.write(|table| table.remove_list(&list, OWNER, spared, &mut Vec::new()))
    }

    fn is_there(&self, key: &str) -> bool {
        let reads = &mut ReadSet::default();
        self.table.with(key, reads, |_| ()).is_some()
    }

    /// How many rows are swept.
    fn sweep(&self, removed: RemovedList<Numbered<UNIQUE, LISTS>>) -> usize {
        let mut swept = 0;
        self.table.sweep(removed, |_| swept += 1);
        swept
    }
}

#[test]
fn a_generation_knows_its_stripe_and_grows() {
    let locks = StripeLocks::new(COUNT);
    for stripe in [0, 1, COUNT - 1].map(Stripes::nth) {
        let mut last = None;
        for _ in 0..3 {
            let next = locks.lock(stripe, |locked| {
                locked.write(|| Generation::of(&locks, stripe))
            });
            assert_eq!(next.stripe(), stripe);
            assert!(last < Some(next.0));
            last = Some(next.0);
        }
    }
    let greatest = Stripes::nth(COUNT - 1);
    assert_eq!(Generation(u64::MAX).stripe(), greatest);
}

#[test]
fn short_lists_are_removed_at_once() {
    let fixture = Fixture::<0, 1>::new();
    fixture.insert(0..=MAX_REMOVED_AT_ONCE);
    let removed = fixture.remove_list(Some("7"));
    assert_eq!(removed.rows.len(), MAX_REMOVED_AT_ONCE);
    assert!(removed.hidden.is_none());
    assert!(fixture.is_there("7") && fixture.table.len() == 1);
    assert_eq!(fixture.sweep(removed), MAX_REMOVED_AT_ONCE);
}

#[test]
fn long_lists_are_hidden_at_once() {
    let fixture = Fixture::<0, 1>::new();
    let count = MAX_REMOVED_AT_ONCE + 2;
    fixture.insert(0..count);
    let removed = fixture.remove_list(Some("7"));
    assert!(removed.rows.is_empty() && removed.hidden.is_some());
    let keys = |key: &str| fixture.table.keys(|row| row.0 == key).len();
    assert!(fixture.is_there("7") && !fixture.is_there("8"));
    assert_eq!([keys("7"), keys("8"), keys("none")], [1, 0, 0]);
    let change = |key| fixture.write(|table| table.update(key, |_| ()));
    assert_eq!([change("7"), change("8")], [Some(()), None]);
    assert_eq!(
        fixture.write(|table| table.remove("8", &mut Vec::new())),
        None
    );
    assert_eq!(fixture.table.len(), count);

    // What comes and goes meanwhile is another list.
    fixture.insert(count..2 * count);
    let other = fixture.remove_list(None);
    assert!(other.hidden.is_some() && !fixture.is_there("7"));
    assert_eq!(fixture.sweep(removed), count - 1);
    let latest = (2 * count - 1).to_string();
    assert!(!fixture.is_there(&latest));
    assert_eq!(fixture.sweep(other), count + 1);
    assert_eq!((fixture.table.len(), fixture.table.index_keys()), (0, 0));
    assert!(fixture.table.veils().is_empty());
}

fn assert_removed_at_once<const UNIQUE: usize, const LISTS: usize>() {
    let fixture = Fixture::<UNIQUE, LISTS>::new();
    fixture.insert(0..2 * MAX_REMOVED_AT_ONCE);
    let removed = fixture.remove_list(None);
    assert_eq!(removed.rows.len(), 2 * MAX_REMOVED_AT_ONCE);
    assert!(removed.hidden.is_none());
    assert_eq!((fixture.table.len(), fixture.table.index_keys()), (0, 0));
}

#[test]
fn rows_that_others_find_are_removed_at_once() {
    assert_removed_at_once::<1, 1>();
    assert_removed_at_once::<0, 2>();
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "release builds do not check")]
#[should_panic(expected = "is not locked")]
fn what_is_not_locked_is_not_written() {
    Fixture::<0, 1>::new()
        .table
        .insert(Numbered("1".to_owned()));
}

#[test]
fn a_map_shrinks_when_less_than_a_quarter_is_left() {
    let rows: DashMap<_, ()> = map();
    let key = |number: usize| Key::new(&number.to_string());
    for number in 0..20_000 {
        rows.insert(key(number), ());
    }
    let mut numbers = 0..20_000;
    while rows.len() > rows.capacity() / 4 {
        rows.remove(&key(numbers.next().unwrap()));
    }
    let before = (rows.len(), rows.capacity());
    assert_eq!(before.0, before.1 / 4);
    shrink(&rows);
    assert_eq!((rows.len(), rows.capacity()), before);
    for number in numbers.take(10) {
        rows.remove(&key(number));
    }
    shrink(&rows);
    assert!(rows.capacity() < before.1 / 2);
}

#[test]
fn a_table_shrinks_with_its_indexes() {
    let fixture = Fixture::<1, 1>::new();
    fixture.insert(0..10_000);
    let capacity = || {
        let table = &fixture.table;
        [table.rows.capacity(), table.unique[0].capacity()]
    };
    assert!(capacity().iter().all(|capacity| *capacity >= 10_000));
    assert_eq!(fixture.remove_list(None).rows.len(), 10_000);
    fixture.table.shrink();
    assert_eq!(capacity(), [0, 0]);
}
