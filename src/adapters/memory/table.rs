//! Tables: rows with their indexes, and tables of transactions that lie over them.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::iter;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::{DashMap, DashSet};

use crate::adapters::user_query::Position;

/// What a table keeps, and how its rows are found.
pub(super) trait Row: Clone {
    /// How many unique indexes and how many lists there are.
    const UNIQUE: usize;
    const LISTS: usize;

    /// By which the table itself finds the row.
    fn key(&self) -> &str;
    /// Where the row stands in its lists. A row of the same key has the same as long as it exists.
    fn position(&self) -> Position;
    /// Under what each unique index finds the row.
    fn unique_keys(&self) -> impl Iterator<Item = Option<String>>;
    /// In what list of each kind the row stands. Never changes either.
    fn list_keys(&self) -> impl Iterator<Item = String>;
}

/// Rows with their indexes.
///
/// A transaction has tables of its own, which lie over the store's: they hold the rows that it has changed, and what is
/// not in them is looked up below.
pub(super) struct Table<R> {
    rows: DashSet<ByKey<R>>,
    /// The greatest generation of a row.
    generations: AtomicU64,
    /// Key to the row's key.
    unique: Vec<DashMap<String, String>>,
    /// Key to the rows' keys, oldest first. No list is empty.
    lists: Vec<DashMap<String, BTreeMap<Position, String>>>,
    below: Option<Below<R>>,
}

struct Below<R> {
    table: Arc<Table<R>>,
    /// The rows of that table that are changed or removed here.
    hidden: DashSet<String>,
    seen: Mutex<Seen>,
}

/// The generations of the rows that a write found by these keys, to rely on them or to remove them; `None` of those that
/// were not there. A row of another generation is another row, whatever its key and its time.
pub(super) type Seen = HashMap<String, Option<u64>>;

impl<R> Below<R> {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A row that is found by its key, without a second copy of that beside it.
struct ByKey<R> {
    row: R,
    /// Changes of a row keep it.
    generation: u64,
}

impl<R: Row> Borrow<str> for ByKey<R> {
    fn borrow(&self) -> &str {
        self.row.key()
    }
}

impl<R: Row> Hash for ByKey<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.row.key().hash(state);
    }
}

impl<R: Row> PartialEq for ByKey<R> {
    fn eq(&self, other: &Self) -> bool {
        self.row.key() == other.row.key()
    }
}

impl<R: Row> Eq for ByKey<R> {}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: DashSet::new(),
            generations: AtomicU64::default(),
            unique: iter::repeat_with(DashMap::new).take(R::UNIQUE).collect(),
            lists: iter::repeat_with(DashMap::new).take(R::LISTS).collect(),
            below: None,
        }
    }
}

impl<R: Row> Table<R> {
    /// An empty table over another one.
    pub(super) fn over(table: &Arc<Self>) -> Self {
        Self {
            below: Some(Below {
                table: Arc::clone(table),
                hidden: DashSet::new(),
                seen: Mutex::default(),
            }),
            ..Self::default()
        }
    }

    /// Makes the table below what this one shows.
    pub(super) fn settle(&self) {
        let Some(below) = &self.below else { return };
        for key in below.hidden.iter() {
            if !self.rows.contains(key.as_str()) {
                below.table.remove(&key);
            }
        }
        for row in self.rows.iter() {
            below.table.put_as(row.row.clone(), row.generation);
        }
    }

    /// Takes what the last write saw of the table below.
    pub(super) fn take_seen(&self) -> Seen {
        self.below
            .as_ref()
            .map(|below| std::mem::take(&mut *below.seen()))
            .unwrap_or_default()
    }

    /// Lets the next write see of the table below only what one saw before.
    pub(super) fn expect(&self, seen: Seen) {
        if let Some(below) = &self.below {
            *below.seen() = seen;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<R> {
        self.look(key, R::clone)
    }

    /// What a look at the row tells; nothing here may be called from it.
    pub(super) fn look<T>(&self, key: &str, look: impl FnOnce(&R) -> T) -> Option<T> {
        let mut table = self;
        loop {
            if let Some(row) = table.rows.get(key) {
                return Some(look(&row.row));
            }
            table = table.below(key)?;
        }
    }

    /// As `look`, for the row that a write changes or refers to: it is the same row again when the transaction commits,
    /// or none.
    pub(super) fn rely<T>(&self, key: &str, look: impl FnOnce(&R) -> T) -> Option<T> {
        if !self.rows.contains(key) && !self.is_as_seen(key) {
            return None;
        }
        self.look(key, look)
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.look(key, |_| ()).is_some()
    }

    /// The key of the row that has this key in a unique index.
    pub(super) fn holder(&self, index: usize, key: &str) -> Option<String> {
        if let Some(holder) = self.unique.get(index)?.get(key) {
            return Some(holder.clone());
        }
        let holder = self.below.as_ref()?.table.holder(index, key)?;
        self.below(&holder).is_some().then_some(holder)
    }

    /// Visits the rows of a list, from the newest or from the oldest on, beginning behind a position.
    pub(super) fn walk(
        &self,
        list: usize,
        key: &str,
        newest_first: bool,
        after: Option<&Position>,
        mut visit: impl FnMut(&R) -> ControlFlow<()>,
    ) {
        let own = self.lists.get(list).and_then(|list| list.get(key));
        let mut own = range(own.as_deref(), newest_first, after).peekable();
        let below = self.below.as_ref();
        let lower = below.and_then(|below| below.table.lists.get(list)?.get(key));
        let mut lower = range(lower.as_deref(), newest_first, after)
            .filter(|(_, key)| self.below(key).is_some())
            .peekable();
        loop {
            let own_is_next = match (own.peek(), lower.peek()) {
                (Some((own, _)), Some((lower, _))) => (own > lower) == newest_first,
                (Some(_), None) => true,
                (None, _) => false,
            };
            let next = if own_is_next {
                own.next()
            } else {
                lower.next()
            };
            let Some((_, key)) = next else { return };
            if let Some(ControlFlow::Break(())) = self.look(key, &mut visit) {
                return;
            }
        }
    }

    /// The rows of a list, the newest first.
    pub(super) fn list<T>(
        &self,
        list: usize,
        key: &str,
        mut pick: impl FnMut(&R) -> Option<T>,
    ) -> Vec<T> {
        let mut picked = Vec::new();
        self.walk(list, key, true, None, |row| {
            picked.extend(pick(row));
            ControlFlow::Continue(())
        });
        picked
    }

    /// The keys of all rows that pass the test, in no order.
    pub(super) fn keys(&self, test: &impl Fn(&R) -> bool) -> Vec<String> {
        let mut keys: Vec<String> = self
            .rows
            .iter()
            .filter(|row| test(&row.row))
            .map(|row| row.row.key().to_owned())
            .collect();
        if let Some(below) = &self.below {
            keys.extend(
                below
                    .table
                    .keys(test)
                    .into_iter()
                    .filter(|key| !below.hidden.contains(key)),
            );
        }
        keys
    }

    /// Stores a row in place of the one with its key, if there is one.
    pub(super) fn put(&self, row: R) {
        let generation = self.generation(row.key()).unwrap_or_else(|| {
            let base = self.below.as_ref().map_or(self, |below| &*below.table);
            1 + base.generations.fetch_add(1, Ordering::Relaxed)
        });
        self.put_as(row, generation);
    }

    fn put_as(&self, row: R, generation: u64) {
        self.hide(row.key());
        let old = self.rows.remove(row.key()).map(|old| old.row);
        if let Some(old) = &old {
            self.unindex_unique(old, Some(&row));
        }
        // A transaction may have removed the row and created another one with its key.
        if old.as_ref().map(Row::position) != Some(row.position()) {
            if let Some(old) = &old {
                self.delist(old);
            }
            self.enlist(&row);
        }
        for (index, key) in self.unique.iter().zip(row.unique_keys()) {
            if let Some(key) = key {
                index.insert(key, row.key().to_owned());
            }
        }
        self.rows.insert(ByKey { row, generation });
    }

    pub(super) fn remove(&self, key: &str) -> Option<R> {
        if !self.rows.contains(key) && !self.is_as_seen(key) {
            return None;
        }
        let below = self.below(key).and_then(|below| below.get(key));
        self.hide(key);
        let Some(ByKey { row, .. }) = self.rows.remove(key) else {
            return below;
        };
        self.unindex_unique(&row, None);
        self.delist(&row);
        Some(row)
    }

    fn enlist(&self, row: &R) {
        for (list, list_key) in self.lists.iter().zip(row.list_keys()) {
            list.entry(list_key)
                .or_default()
                .insert(row.position(), row.key().to_owned());
        }
    }

    fn delist(&self, row: &R) {
        for (list, list_key) in self.lists.iter().zip(row.list_keys()) {
            list.remove_if_mut(&list_key, |_, keys| {
                keys.remove(&row.position());
                keys.is_empty()
            });
        }
    }

    /// Takes the old row out of the unique indexes in which the new one stands elsewhere.
    fn unindex_unique(&self, old: &R, new: Option<&R>) {
        let mut kept = new.map(Row::unique_keys);
        for (index, key) in self.unique.iter().zip(old.unique_keys()) {
            let kept = kept.as_mut().and_then(Iterator::next).flatten();
            if let Some(key) = key.filter(|key| kept.as_ref() != Some(key)) {
                // Someone else may have it by now.
                index.remove_if(&key, |_, holder| holder == old.key());
            }
        }
    }

    /// The table below, where the row of this key is still that one's.
    fn below(&self, key: &str) -> Option<&Self> {
        let below = self.below.as_ref()?;
        (!below.hidden.contains(key)).then_some(&*below.table)
    }

    fn generation(&self, key: &str) -> Option<u64> {
        let own = self.rows.get(key).map(|row| row.generation);
        own.or_else(|| self.below(key)?.generation(key))
    }

    /// Whether the table below has the row of this key that was expected, if one was. Remembers it if not.
    fn is_as_seen(&self, key: &str) -> bool {
        let Some(below) = &self.below else {
            return true;
        };
        let Some(table) = self.below(key) else {
            return true;
        };
        let generation = table.generation(key);
        *below.seen().entry(key.to_owned()).or_insert(generation) == generation
    }

    fn hide(&self, key: &str) {
        if let Some(below) = &self.below
            && below.table.contains(key)
        {
            below.hidden.insert(key.to_owned());
        }
    }
}

/// Two texts as one, which equals no other two that are joined so: stored text holds no NUL character.
pub(super) fn joined(first: &str, second: &str) -> String {
    format!("{first}\0{second}")
}

/// A list from one end to the other, beginning behind a position.
fn range<'a>(
    list: Option<&'a BTreeMap<Position, String>>,
    newest_first: bool,
    after: Option<&Position>,
) -> Box<dyn Iterator<Item = (&'a Position, &'a String)> + 'a> {
    let Some(list) = list else {
        return Box::new(iter::empty());
    };
    let after = after.map_or(Bound::Unbounded, Bound::Excluded);
    if newest_first {
        Box::new(list.range((Bound::Unbounded, after)).rev())
    } else {
        Box::new(list.range((after, Bound::Unbounded)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::{Position, Row, Table};

    #[derive(Clone, Debug, PartialEq)]
    struct Named {
        key: &'static str,
        name: Option<&'static str>,
        created_at: i64,
    }

    impl Row for Named {
        const UNIQUE: usize = 1;
        const LISTS: usize = 1;

        fn key(&self) -> &str {
            self.key
        }
        fn position(&self) -> Position {
            let created_at = DateTime::from_timestamp_micros(self.created_at).unwrap();
            (created_at, self.key.to_owned())
        }
        fn unique_keys(&self) -> impl Iterator<Item = Option<String>> {
            std::iter::once(self.name.map(str::to_owned))
        }
        fn list_keys(&self) -> impl Iterator<Item = String> {
            std::iter::once(String::new())
        }
    }

    const fn row(key: &'static str, name: &'static str, created_at: i64) -> Named {
        Named {
            key,
            name: Some(name),
            created_at,
        }
    }

    fn keys(table: &Table<Named>) -> Vec<&'static str> {
        table.list(0, "", |row| Some(row.key))
    }

    #[test]
    fn what_lies_over_a_table_hides_it() {
        let below = Arc::new(Table::default());
        for row in [row("a", "A", 1), row("b", "B", 2), row("c", "C", 3)] {
            below.put(row);
        }
        let over = Table::over(&below);
        over.remove("a");
        over.put(row("b", "A", 2));
        over.put(row("d", "B", 0));
        let look = |table: &Table<Named>| {
            let holders = ["A", "B", "C"].map(|name| table.holder(0, name));
            (keys(table), holders)
        };
        let holders = |keys: [&str; 3]| keys.map(|key| Some(key.to_owned()));
        let expected = (vec!["c", "b", "d"], holders(["b", "d", "c"]));
        assert_eq!(look(&over), expected);
        assert_eq!(
            look(&below),
            (vec!["c", "b", "a"], holders(["a", "b", "c"]))
        );
        over.settle();
        assert_eq!(look(&below), expected);
    }

    #[test]
    fn names_may_be_swapped() {
        let below = Arc::new(Table::default());
        below.put(row("a", "A", 1));
        below.put(row("b", "B", 2));
        let over = Table::over(&below);
        over.put(Named {
            name: None,
            ..row("a", "", 1)
        });
        over.put(row("b", "A", 2));
        over.put(row("a", "B", 1));
        over.settle();
        assert_eq!(below.holder(0, "A").as_deref(), Some("b"));
        assert_eq!(below.holder(0, "B").as_deref(), Some("a"));
    }

    #[test]
    fn a_key_may_be_taken_again() {
        let below = Arc::new(Table::default());
        below.put(row("a", "A", 1));
        below.put(row("b", "B", 2));
        let over = Table::over(&below);
        over.remove("a");
        over.put(row("a", "C", 3));
        for table in [&over, &below] {
            over.settle();
            assert_eq!(keys(table), ["a", "b"]);
            assert_eq!(table.holder(0, "A"), None);
            assert_eq!(table.keys(&|_| true).len(), 2);
        }
    }
}
