//! The store's own tables: rows with their indexes.

use std::borrow::Cow;
use std::iter;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use dashmap::DashMap;

use super::key::Key;
use super::list::{List, Place};
use super::ordered::Ordered;
use super::stripes::{ReadSet, StripeLocks, Stripes};

/// How many shards a map has. Two rows seldom share one, and a shard that grows or shrinks delays no caller for long.
const SHARDS: usize = 64;
/// Longer lists are removed in two steps; see [`Table::remove_list`].
const MAX_REMOVED_AT_ONCE: usize = 500;

/// What a table keeps, and how its rows are found.
///
/// A row's key, time of creation, owner and lists never change, and its expiry only if it is in no list.
pub(super) trait Row: Clone + Send + Sync + 'static {
    /// How many unique indexes and how many kinds of lists there are.
    const UNIQUE: usize = 0;
    const LISTS: usize = 0;
    /// Whether the table can show all its rows in their order.
    const IS_ORDERED: bool = false;

    /// By which the table itself finds the row.
    fn key(&self) -> &str;
    /// By which lists order the rows of one moment.
    fn id(&self) -> &str {
        self.key()
    }
    fn created_at(&self) -> DateTime<Utc>;
    /// Whose stripe guards the row.
    fn owner(&self) -> &str;
    /// Under what each unique index finds the row.
    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        iter::empty()
    }
    /// In what list of each kind the row is.
    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        iter::empty()
    }
    /// When lists stop to show the row as live.
    fn expires_at(&self) -> DateTime<Utc> {
        DateTime::<Utc>::MAX_UTC
    }

    fn place(&self) -> Place {
        (self.created_at().timestamp_micros(), Key::new(self.key()))
    }

    /// The stripes that guard the row and what indexes have of it: who creates or removes it writes to them.
    fn stripes(&self) -> Stripes {
        let unique = self.unique_keys().flatten();
        let keys = unique.chain(self.list_keys());
        keys.fold(Stripes::of(self.owner()), |stripes, key| {
            stripes | Stripes::of(&key)
        })
    }
}

/// The number of a unique index of a table.
pub(super) struct UniqueIndex<R>(pub(super) usize, PhantomData<R>);

impl<R> UniqueIndex<R> {
    pub(super) const fn nth(number: usize) -> Self {
        Self(number, PhantomData)
    }
}

/// The number of a kind of lists of a table.
pub(super) struct ListIndex<R>(pub(super) usize, PhantomData<R>);

impl<R> ListIndex<R> {
    pub(super) const fn nth(number: usize) -> Self {
        Self(number, PhantomData)
    }
}

/// Tells a row from one that had its key before: the version of its owner's stripe when it was created, with the number
/// of that stripe. Changes of a row keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u64);

impl Generation {
    fn of(locks: &StripeLocks, stripe: Stripes) -> Self {
        let stripe = stripe.first();
        Self(locks.version(stripe) * u64::from(super::stripes::COUNT) + u64::from(stripe))
    }

    fn stripe(self) -> Stripes {
        let stripe = self.0 % u64::from(super::stripes::COUNT);
        Stripes::nth(u32::try_from(stripe).unwrap_or_default())
    }
}

pub(super) struct Slot<R> {
    pub(super) row: R,
    pub(super) generation: Generation,
}

/// Rows with their indexes.
///
/// A writer has locked the stripes of the rows and raised their versions. It holds one guard of a map at a time.
pub(super) struct Table<R> {
    locks: Arc<StripeLocks>,
    rows: DashMap<Key, Slot<R>>,
    /// Key to the row's key.
    unique: Vec<DashMap<Key, Key>>,
    /// Key to the rows. No list is empty.
    lists: Vec<DashMap<Key, List>>,
    ordered: Option<Ordered<R>>,
    /// The lists that are removed, but whose rows are still there.
    sweeps: Mutex<Vec<Sweep>>,
    /// How many those are.
    sweeping: AtomicUsize,
}

/// Hides the rows of an owner up to a generation, until they are removed.
struct Sweep {
    owner: Key,
    last: Generation,
    /// Taken by who removes them.
    rows: Option<List>,
}

impl Sweep {
    fn hides<R: Row>(&self, slot: &Slot<R>) -> bool {
        // Of one stripe, so that the greater generation is the later one.
        slot.generation.0 <= self.last.0 && slot.row.owner().as_bytes() == self.owner.as_bytes()
    }
}

impl<R: Row> Table<R> {
    pub(super) fn new(locks: &Arc<StripeLocks>) -> Self {
        Self {
            locks: Arc::clone(locks),
            rows: map(),
            unique: iter::repeat_with(map).take(R::UNIQUE).collect(),
            lists: iter::repeat_with(map).take(R::LISTS).collect(),
            ordered: R::IS_ORDERED.then(Ordered::default),
            sweeps: Mutex::default(),
            sweeping: AtomicUsize::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many keys the indexes hold.
    #[cfg(test)]
    pub(super) fn index_keys(&self) -> usize {
        let unique: usize = self.unique.iter().map(DashMap::len).sum();
        unique + self.lists.iter().map(DashMap::len).sum::<usize>()
    }

    /// What `read` tells of the row. It must not call back into the table.
    pub(super) fn with<T>(
        &self,
        key: &str,
        reads: &mut ReadSet,
        read: impl FnOnce(&Slot<R>) -> T,
    ) -> Option<T> {
        if let Some(slot) = self.rows.get(key.as_bytes()) {
            reads.note(&self.locks, slot.generation.stripe());
            return (!self.is_swept(&slot)).then(|| read(&slot));
        }
        // Nobody knows whose the row would be: a commit that creates or removes it writes to the stripe of its key.
        reads.note(&self.locks, Stripes::of(key));
        let slot = self.rows.get(key.as_bytes())?;
        reads.note(&self.locks, slot.generation.stripe());
        (!self.is_swept(&slot)).then(|| read(&slot))
    }

    pub(super) fn find_unique(
        &self,
        index: &UniqueIndex<R>,
        key: &str,
        reads: &mut ReadSet,
    ) -> Option<Key> {
        reads.note(&self.locks, Stripes::of(key));
        let found = self.unique.get(index.0)?.get(key.as_bytes())?;
        Some(found.clone())
    }

    /// What `read` tells of a list.
    pub(super) fn scan<T>(
        &self,
        list: &ListIndex<R>,
        key: &str,
        reads: &mut ReadSet,
        read: impl FnOnce(&List) -> T,
    ) -> Option<T> {
        reads.note(&self.locks, Stripes::of(key));
        let list = self.lists.get(list.0)?.get(key.as_bytes())?;
        Some(read(&list))
    }

    pub(super) fn ordered(&self) -> Option<&Ordered<R>> {
        self.ordered.as_ref()
    }

    /// The keys of all rows that pass the test, in no order, and not of one moment.
    pub(super) fn keys(&self, test: impl Fn(&R) -> bool) -> Vec<Key> {
        let rows = self.rows.iter();
        rows.filter(|slot| test(&slot.row) && !self.is_swept(slot))
            .map(|slot| slot.key().clone())
            .collect()
    }

    /// Stores a row whose key is free.
    pub(super) fn insert(&self, row: R) {
        let owner = Stripes::of(row.owner());
        let slot = Slot {
            generation: Generation::of(&self.locks, owner),
            row,
        };
        self.index(&slot.row, owner);
        for (list, list_key) in self.lists.iter().zip(slot.row.list_keys()) {
            let (place, expires_at) = (slot.row.place(), slot.row.expires_at().timestamp_micros());
            if let Some(mut list) = list.get_mut(list_key.as_bytes()) {
                list.insert(place, expires_at);
                continue;
            }
            list.entry(Key::new(&list_key))
                .or_default()
                .insert(place, expires_at);
        }
        self.rows.insert(Key::new(slot.row.key()), slot);
    }

    /// Stores a changed row in the old one's place.
    pub(super) fn replace(&self, row: R) {
        let Some(old) = self
            .rows
            .get(row.key().as_bytes())
            .map(|old| old.row.clone())
        else {
            return;
        };
        self.unindex(&old, Some(&row));
        self.index(&row, Stripes::of(row.owner()));
        if let Some(mut slot) = self.rows.get_mut(row.key().as_bytes()) {
            slot.row = row;
        }
    }

    /// Changes a row where it is. What `change` does must leave its keys as they are.
    pub(super) fn update<T>(&self, key: &str, change: impl FnOnce(&mut R) -> T) -> Option<T> {
        let mut slot = self.rows.get_mut(key.as_bytes())?;
        (!self.is_swept(&slot)).then(|| change(&mut slot.row))
    }

    pub(super) fn remove(&self, key: &str) -> Option<R> {
        let is_there = |_: &Key, slot: &Slot<R>| !self.is_swept(slot);
        let (_, Slot { row, .. }) = self.rows.remove_if(key.as_bytes(), is_there)?;
        self.unindex(&row, None);
        for (list, list_key) in self.lists.iter().zip(row.list_keys()) {
            list.remove_if_mut(list_key.as_bytes(), |_, rows| {
                rows.remove(&row.place());
                rows.is_empty()
            });
        }
        Some(row)
    }

    /// Removes the rows of an owner's list, and says whether [`sweep`](Self::sweep) has to be called for it, without the
    /// locks: the rows of a long list are hidden at once, and removed afterwards, so that others need not wait.
    #[must_use]
    pub(super) fn remove_list(&self, list: &ListIndex<R>, owner: &str) -> bool {
        let lists = self.lists.get(list.0);
        let Some((_, rows)) = lists.and_then(|lists| lists.remove(owner.as_bytes())) else {
            return false;
        };
        let others_find_rows = R::UNIQUE > 0 || R::LISTS > 1 || R::IS_ORDERED;
        if rows.len() <= MAX_REMOVED_AT_ONCE || others_find_rows {
            for (_, key) in rows.newest_first() {
                self.remove(key.as_str());
            }
            return false;
        }
        self.sweeps().push(Sweep {
            owner: Key::new(owner),
            last: Generation::of(&self.locks, Stripes::of(owner)),
            rows: Some(rows),
        });
        self.sweeping.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Removes the rows that [`remove_list`](Self::remove_list) has hidden.
    pub(super) fn sweep(&self) {
        loop {
            let taken = self.sweeps().iter_mut().find_map(|sweep| {
                let rows = sweep.rows.take()?;
                Some((sweep.owner.clone(), sweep.last, rows))
            });
            let Some((owner, last, rows)) = taken else {
                return;
            };
            let sweep = Sweep {
                owner,
                last,
                rows: None,
            };
            for (_, key) in rows.newest_first() {
                self.rows
                    .remove_if(key.as_bytes(), |_, slot| sweep.hides(slot));
            }
            self.sweeps().retain(|other| {
                other.rows.is_some() || other.last != sweep.last || other.owner != sweep.owner
            });
            self.sweeping.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Gives back what most of the table took, if most of it is gone.
    pub(super) fn shrink(&self) {
        shrink(&self.rows);
        self.unique.iter().for_each(shrink);
        self.lists.iter().for_each(shrink);
    }

    fn index(&self, row: &R, owner: Stripes) {
        for (index, key) in self.unique.iter().zip(row.unique_keys()) {
            if let Some(key) = key {
                index.insert(Key::new(&key), Key::new(row.key()));
            }
        }
        if let Some(ordered) = &self.ordered {
            ordered.insert(owner, row.place(), row.clone());
        }
    }

    /// Takes the old row out of the indexes in which the new one, if there is one, does not take its place.
    fn unindex(&self, old: &R, new: Option<&R>) {
        let mut kept = new.map(Row::unique_keys);
        for (index, key) in self.unique.iter().zip(old.unique_keys()) {
            let kept = kept.as_mut().and_then(Iterator::next).flatten();
            if let Some(key) = key.filter(|key| kept.as_ref() != Some(key)) {
                // Another row may have it by now.
                index.remove_if(key.as_bytes(), |_, holder| {
                    holder.as_bytes() == old.key().as_bytes()
                });
            }
        }
        if let (Some(ordered), None) = (&self.ordered, new) {
            ordered.remove(Stripes::of(old.owner()), &old.place());
        }
    }

    fn is_swept(&self, slot: &Slot<R>) -> bool {
        self.sweeping.load(Ordering::Relaxed) > 0
            && self.sweeps().iter().any(|sweep| sweep.hides(slot))
    }

    fn sweeps(&self) -> MutexGuard<'_, Vec<Sweep>> {
        self.sweeps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn map<V>() -> DashMap<Key, V> {
    DashMap::with_shard_amount(SHARDS)
}

fn shrink<V>(map: &DashMap<Key, V>) {
    // What is left has to be moved.
    if map.len() < map.capacity() / 4 {
        map.shrink_to_fit();
    }
}
