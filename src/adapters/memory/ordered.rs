//! All rows of a table in their order, for lists of everything.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::iter;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::Key;
use super::list::Place;
use super::stripes::{COUNT, Stripes};
use crate::types::UserOrder;

type Part<R> = Arc<BTreeMap<Place, R>>;

/// A part of the rows for each stripe, so that writers of different stripes share nothing.
///
/// A list takes a snapshot of the parts and reads that. A writer that meets a snapshot copies its part once.
pub(super) struct Ordered<R>(Box<[Mutex<Part<R>>]>);

impl<R> Default for Ordered<R> {
    fn default() -> Self {
        Self((0..COUNT).map(|_| Mutex::default()).collect())
    }
}

impl<R: Clone> Ordered<R> {
    pub(super) fn insert(&self, owner: Stripes, place: Place, row: R) {
        if let Some(mut part) = self.part(owner) {
            Arc::make_mut(&mut part).insert(place, row);
        }
    }

    pub(super) fn remove(&self, owner: Stripes, place: &Place) {
        if let Some(mut part) = self.part(owner) {
            Arc::make_mut(&mut part).remove(place);
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot<R> {
        let parts = self.0.iter().map(|part| Arc::clone(&lock(part)));
        Snapshot {
            parts: parts.collect(),
            own: BTreeMap::new(),
            shadowed: HashSet::new(),
        }
    }

    fn part(&self, owner: Stripes) -> Option<MutexGuard<'_, Part<R>>> {
        let stripe = usize::try_from(owner.first()).ok()?;
        self.0.get(stripe).map(lock)
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rows as they were at one moment.
pub(super) struct Snapshot<R> {
    parts: Vec<Part<R>>,
    /// What a transaction has put in place of the rows that it shadows, or beside them.
    pub(super) own: BTreeMap<Place, R>,
    pub(super) shadowed: HashSet<Key>,
}

impl<R> Snapshot<R> {
    /// The rows in no order.
    pub(super) fn unordered(&self) -> impl Iterator<Item = &R> {
        let shown = |(place, row)| self.shown(place).then_some(row);
        let parts = self.parts.iter().flat_map(|part| part.iter());
        parts.filter_map(shown).chain(self.own.values())
    }

    /// The rows from the newest or from the oldest on, beginning behind a place.
    pub(super) fn after(&self, place: &Place, order: UserOrder) -> impl Iterator<Item = &R> {
        let mut sources: Vec<_> = self
            .parts
            .iter()
            .map(|part| range(part, place, order, Some(&self.shadowed)))
            .chain(iter::once(range(&self.own, place, order, None)))
            .collect();
        let mut heads: BinaryHeap<_> = (0..sources.len())
            .filter_map(|source| Head::next(&mut sources, source, order))
            .collect();
        iter::from_fn(move || {
            let next = heads.pop()?;
            heads.extend(Head::next(&mut sources, next.source, order));
            Some(next.row)
        })
    }

    fn shown(&self, place: &Place) -> bool {
        !self.shadowed.contains(&place.1)
    }
}

type Range<'a, R> = Box<dyn Iterator<Item = (&'a Place, &'a R)> + 'a>;

fn range<'a, R>(
    part: &'a BTreeMap<Place, R>,
    after: &Place,
    order: UserOrder,
    shadowed: Option<&'a HashSet<Key>>,
) -> Range<'a, R> {
    let shown = move |(place, _): &(&'a Place, &'a R)| {
        shadowed.is_none_or(|shadowed| !shadowed.contains(&place.1))
    };
    let after = Bound::Excluded(after);
    match order {
        UserOrder::NewestFirst => {
            Box::new(part.range((Bound::Unbounded, after)).rev().filter(shown))
        }
        UserOrder::OldestFirst => Box::new(part.range((after, Bound::Unbounded)).filter(shown)),
    }
}

/// The next row of one of the sources. The greatest head comes first.
struct Head<'a, R> {
    place: &'a Place,
    row: &'a R,
    source: usize,
    order: UserOrder,
}

impl<'a, R> Head<'a, R> {
    fn next(sources: &mut [Range<'a, R>], source: usize, order: UserOrder) -> Option<Self> {
        let (place, row) = sources.get_mut(source)?.next()?;
        Some(Self {
            place,
            row,
            source,
            order,
        })
    }
}

impl<R> Ord for Head<'_, R> {
    fn cmp(&self, other: &Self) -> Ordering {
        let places = self.place.cmp(other.place);
        match self.order {
            UserOrder::NewestFirst => places,
            UserOrder::OldestFirst => places.reverse(),
        }
    }
}

impl<R> PartialOrd for Head<'_, R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> PartialEq for Head<'_, R> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<R> Eq for Head<'_, R> {}
