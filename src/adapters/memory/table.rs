//! The store's own tables: rows with their indexes.

use std::borrow::Cow;
use std::iter;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use dashmap::DashMap;

use super::key::Key;
use super::list::{Emptied, Ends, List, Place};
use super::ordered::Ordered;
use super::stripes::{ReadSet, StripeLocks, Stripes};

/// How many shards a map has. Two rows seldom share one, and a shard that grows or shrinks delays no caller for long.
const SHARDS: usize = 64;
/// Longer lists are removed in two steps; see [`Table::remove_list`].
const MAX_REMOVED_AT_ONCE: usize = 500;

/// What a table keeps, and how its rows are found.
///
/// A row's key, time of creation, owner, lists and ends never change.
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
    /// When lists stop to find the row among the live ones and among those that have not expired.
    fn ends(&self) -> Ends {
        Ends::NEVER
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
    /// What hides rows whose list is removed, until [`sweep`](Self::sweep) removes the rows.
    veils: Mutex<Vec<Veil>>,
    /// How many there are.
    veiled: AtomicUsize,
}

/// Hides the rows of an owner up to a generation, but one.
#[derive(Clone, PartialEq)]
struct Veil {
    owner: Key,
    last: Generation,
    spared: Option<Key>,
}

impl Veil {
    fn hides<R: Row>(&self, slot: &Slot<R>) -> bool {
        // Of one stripe, so that the greater generation is the later one.
        slot.generation.0 <= self.last.0
            && slot.row.owner().as_bytes() == self.owner.as_bytes()
            && (self.spared.as_ref()).is_none_or(|key| key.as_bytes() != slot.row.key().as_bytes())
    }
}

/// The rows of a list that was removed: those that are gone, or those that are hidden and go by [`Table::sweep`].
#[must_use]
pub(super) struct RemovedList<R> {
    pub(super) rows: Vec<R>,
    hidden: Option<(Veil, List)>,
}

impl<R> RemovedList<R> {
    pub(super) const fn of(rows: Vec<R>) -> Self {
        Self { rows, hidden: None }
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
            veils: Mutex::default(),
            veiled: AtomicUsize::default(),
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

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.rows.capacity()
    }

    #[cfg(test)]
    pub(super) fn owners(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|slot| slot.row.owner().to_owned())
    }

    /// What `read` tells of the row. It must not call back into the table.
    pub(super) fn with<T>(
        &self,
        key: &str,
        reads: &mut ReadSet,
        read: impl FnOnce(&Slot<R>) -> T,
    ) -> Option<T> {
        let slot = self.rows.get(key.as_bytes()).or_else(|| {
            // Nobody knows whose the row would be: a commit that creates or removes it writes to the stripe of its key.
            reads.note(&self.locks, Stripes::of(key));
            self.rows.get(key.as_bytes())
        })?;
        reads.note(&self.locks, slot.generation.stripe());
        (!self.is_hidden(&slot)).then(|| read(&slot))
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
        rows.filter(|slot| test(&slot.row) && !self.is_hidden(slot))
            .map(|slot| slot.key().clone())
            .collect()
    }

    /// Stores a row whose key is free.
    pub(super) fn insert(&self, row: R) {
        self.assert_raised(|| row.stripes());
        let owner = Stripes::of(row.owner());
        let slot = Slot {
            generation: Generation::of(&self.locks, owner),
            row,
        };
        self.index(&slot.row, owner);
        for (list, list_key) in self.lists.iter().zip(slot.row.list_keys()) {
            let (place, ends) = (slot.row.place(), slot.row.ends());
            if let Some(mut list) = list.get_mut(list_key.as_bytes()) {
                list.insert(place, ends);
                continue;
            }
            let mut list = list.entry(Key::new(&list_key)).or_default();
            list.insert(place, ends);
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
        self.assert_raised(|| old.stripes() | row.stripes());
        self.unindex(&old, Some(&row));
        self.index(&row, Stripes::of(row.owner()));
        if let Some(mut slot) = self.rows.get_mut(row.key().as_bytes()) {
            slot.row = row;
        }
    }

    /// Changes a row where it is. What `change` does must leave its keys as they are.
    pub(super) fn update<T>(&self, key: &str, change: impl FnOnce(&mut R) -> T) -> Option<T> {
        let mut slot = self.rows.get_mut(key.as_bytes())?;
        self.assert_raised(|| slot.generation.stripe());
        (!self.is_hidden(&slot)).then(|| change(&mut slot.row))
    }

    pub(super) fn remove(&self, key: &str, emptied: &mut Emptied) -> Option<R> {
        let is_there = |_: &Key, slot: &Slot<R>| !self.is_hidden(slot);
        let (_, Slot { row, .. }) = self.rows.remove_if(key.as_bytes(), is_there)?;
        self.assert_raised(|| row.stripes());
        self.unindex(&row, None);
        for (list, list_key) in self.lists.iter().zip(row.list_keys()) {
            let removed = list.remove_if_mut(list_key.as_bytes(), |_, rows| {
                rows.remove(&row.place(), emptied);
                rows.is_empty()
            });
            emptied.extend(removed.map(|(_, rows)| rows));
        }
        Some(row)
    }

    /// Removes the rows of an owner's list but one. Those of a long list are hidden at once, and removed by
    /// [`sweep`](Self::sweep), without the locks, so that others need not wait.
    pub(super) fn remove_list(
        &self,
        list: &ListIndex<R>,
        owner: &str,
        spared: Option<&str>,
        emptied: &mut Emptied,
    ) -> RemovedList<R> {
        self.assert_raised(|| Stripes::of(owner));
        let lists = self.lists.get(list.0);
        let Some((lists, (owner, mut rows))) =
            lists.and_then(|lists| Some((lists, lists.remove(owner.as_bytes())?)))
        else {
            return RemovedList::of(Vec::new());
        };
        let spared = spared.and_then(|key| {
            let row = self.rows.get(key.as_bytes())?;
            Some((row.row.place(), row.row.ends()))
        });
        let spared = spared.filter(|(place, _)| rows.remove(place, emptied));
        if let Some((place, ends)) = &spared {
            let mut rest = List::default();
            rest.insert(place.clone(), *ends);
            lists.insert(owner.clone(), rest);
        }
        let others_find_rows = R::UNIQUE > 0 || R::LISTS > 1 || R::IS_ORDERED;
        if rows.len() <= MAX_REMOVED_AT_ONCE || others_find_rows {
            let removed = rows
                .newest_first()
                .filter_map(|(_, key)| self.remove(key.as_str(), emptied));
            let removed = RemovedList::of(removed.collect());
            emptied.push(rows);
            return removed;
        }
        let veil = Veil {
            last: Generation::of(&self.locks, Stripes::of(owner.as_str())),
            owner,
            spared: spared.map(|((_, key), _)| key),
        };
        self.veils().push(veil.clone());
        self.veiled.fetch_add(1, Ordering::Relaxed);
        RemovedList {
            rows: Vec::new(),
            hidden: Some((veil, rows)),
        }
    }

    /// Removes what is left of the rows, and shows each of them. It takes no lock of a stripe.
    pub(super) fn sweep(&self, removed: RemovedList<R>, mut see: impl FnMut(&R)) {
        removed.rows.iter().for_each(&mut see);
        let Some((veil, rows)) = removed.hidden else {
            return;
        };
        for (_, key) in rows.newest_first() {
            let is_hidden = |_: &Key, slot: &Slot<R>| veil.hides(slot);
            if let Some((_, slot)) = self.rows.remove_if(key.as_bytes(), is_hidden) {
                see(&slot.row);
            }
        }
        let mut veils = self.veils();
        if let Some(index) = veils.iter().position(|other| *other == veil) {
            veils.swap_remove(index);
        }
        self.veiled.fetch_sub(1, Ordering::Relaxed);
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

    /// Fails in debug builds unless the writer has locked these stripes. Without them, readers would see half of a write.
    fn assert_raised(&self, stripes: impl FnOnce() -> Stripes) {
        debug_assert!(
            self.locks.are_raised(stripes()),
            "a stripe of what is written is not locked"
        );
    }

    fn is_hidden(&self, slot: &Slot<R>) -> bool {
        self.veiled.load(Ordering::Relaxed) > 0 && self.veils().iter().any(|veil| veil.hides(slot))
    }

    fn veils(&self) -> MutexGuard<'_, Vec<Veil>> {
        self.veils.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
