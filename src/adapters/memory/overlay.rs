//! What a transaction has changed of a table, before it commits.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::key::Key;
use super::list::{Emptied, List};
use super::stripes::{ReadSet, Stripes};
use super::table::{Generation, ListIndex, Row, Table, UniqueIndex};

/// The rows that a write found by these keys, to rely on them or to remove them, and `None` where it found none.
pub(super) type Relied = HashMap<Key, Option<Generation>>;

/// The rows that a transaction has created or changed, and which rows of the base table it shadows. It allocates by what
/// the transaction changes.
pub(super) struct Overlay<R> {
    rows: HashMap<Key, Own<R>>,
    /// The rows of the base table that are changed or removed here.
    shadowed: HashSet<Key>,
    unique: HashMap<(usize, Key), Key>,
    lists: HashMap<(usize, Key), List>,
    relied: Relied,
    /// Whether a commit makes the changes again.
    is_redo: bool,
}

struct Own<R> {
    row: R,
    /// That of the base table's row of which this one is a change.
    generation: Option<Generation>,
}

impl<R> Default for Overlay<R> {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            shadowed: HashSet::new(),
            unique: HashMap::new(),
            lists: HashMap::new(),
            relied: HashMap::new(),
            is_redo: false,
        }
    }
}

impl<R: Row> Overlay<R> {
    pub(super) fn get(&self, key: &str) -> Option<&R> {
        self.rows.get(key.as_bytes()).map(|own| &own.row)
    }

    pub(super) fn shadows(&self, key: &Key) -> bool {
        self.shadowed.contains(key)
    }

    pub(super) fn hides(&self, key: &str) -> bool {
        self.shadowed.contains(key.as_bytes())
    }

    pub(super) fn find_unique(&self, index: &UniqueIndex<R>, key: &str) -> Option<&Key> {
        self.unique.get(&(index.0, Key::new(key)))
    }

    pub(super) fn list(&self, list: &ListIndex<R>, key: &str) -> Option<&List> {
        self.lists.get(&(list.0, Key::new(key)))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &R> {
        self.rows.values().map(|own| &own.row)
    }

    /// Whether the base table has the row of this key that was expected, if one was. Remembers it if not.
    pub(super) fn is_as_relied(&mut self, base: &Table<R>, key: &str, reads: &mut ReadSet) -> bool {
        let generation = base.with(key, reads, |slot| slot.generation);
        *self.relied.entry(Key::new(key)).or_insert(generation) == generation
    }

    /// Whether a commit finds a row of the base table that the same write did not find before.
    pub(super) fn is_new_to_write(&self, key: &Key) -> bool {
        self.is_redo && !self.rows.contains_key(key) && !self.relied.contains_key(key)
    }

    /// Takes what the last write relied on.
    pub(super) fn take_relied(&mut self) -> Relied {
        std::mem::take(&mut self.relied)
    }

    /// Lets the next write find in the base table only what one found before.
    pub(super) fn expect(&mut self, relied: &Relied) {
        self.relied.clone_from(relied);
        self.is_redo = true;
    }

    pub(super) fn insert(&mut self, row: R) {
        self.put(row, None);
    }

    pub(super) fn replace(&mut self, base: &Table<R>, row: R, reads: &mut ReadSet) {
        let generation = match self.rows.get(row.key().as_bytes()) {
            Some(own) => own.generation,
            None => base.with(row.key(), reads, |slot| slot.generation),
        };
        if generation.is_some() {
            self.shadowed.insert(Key::new(row.key()));
        }
        self.put(row, generation);
    }

    /// Removes a row. The caller has seen to it that it is the expected one.
    pub(super) fn remove(&mut self, base: &Table<R>, key: &str, reads: &mut ReadSet) -> Option<R> {
        if let Some(own) = self.take(key) {
            return Some(own);
        }
        let row = base.with(key, reads, |slot| slot.row.clone())?;
        self.shadowed.insert(Key::new(key));
        Some(row)
    }

    /// The stripes that a merge writes to.
    pub(super) fn changed(&self, base: &Table<R>) -> Stripes {
        let mut stripes = Stripes::NONE;
        for row in self.rows() {
            stripes |= row.stripes() | Stripes::of(row.key());
        }
        for key in &self.shadowed {
            let key = key.as_str();
            let old = base.with(key, &mut ReadSet::default(), |slot| slot.row.stripes());
            stripes |= old.unwrap_or_default() | Stripes::of(key);
        }
        stripes
    }

    /// Makes the base table what the overlay shows.
    pub(super) fn merge_into_base(self, base: &Table<R>, emptied: &mut Emptied) {
        for key in &self.shadowed {
            if !self.rows.contains_key(key) {
                base.remove(key.as_str(), emptied);
            }
        }
        for (key, Own { row, generation }) in self.rows {
            let key = key.as_str();
            let current = base.with(key, &mut ReadSet::default(), |slot| slot.generation);
            if current.is_some() && current == generation {
                base.replace(row);
            } else {
                base.remove(key, emptied);
                base.insert(row);
            }
        }
    }

    fn put(&mut self, row: R, generation: Option<Generation>) {
        self.take(row.key());
        for (index, key) in row.unique_keys().enumerate() {
            if let Some(key) = key {
                let entry = (index, Key::new(&key));
                self.unique.insert(entry, Key::new(row.key()));
            }
        }
        for (list, key) in row.list_keys().enumerate() {
            let list = self.lists.entry((list, Key::new(&key))).or_default();
            list.insert(row.place(), row.ends());
        }
        let key = Key::new(row.key());
        self.rows.insert(key, Own { row, generation });
    }

    fn take(&mut self, key: &str) -> Option<R> {
        let Own { row, .. } = self.rows.remove(key.as_bytes())?;
        for (index, unique) in row.unique_keys().enumerate() {
            let Some(unique) = unique else { continue };
            let entry = (index, Key::new(&unique));
            // Another row may have it by now.
            let is_own = |holder: &Key| holder.as_bytes() == key.as_bytes();
            if self.unique.get(&entry).is_some_and(is_own) {
                self.unique.remove(&entry);
            }
        }
        for (list, list_key) in row.list_keys().enumerate() {
            let entry = (list, Key::new(&list_key));
            if let Some(list) = self.lists.get_mut(&entry) {
                list.remove(&row.place(), &mut Vec::new());
                if list.is_empty() {
                    self.lists.remove(&entry);
                }
            }
        }
        Some(row)
    }

    /// The rows by their places, and which rows of the base table they shadow.
    pub(super) fn shown(&self) -> (BTreeMap<super::list::Place, R>, HashSet<Key>) {
        let rows = self.rows().map(|row| (row.place(), row.clone()));
        let own = self.rows.keys().cloned();
        (
            rows.collect(),
            self.shadowed.iter().cloned().chain(own).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use chrono::{DateTime, Utc};

    use super::super::stripes::{COUNT, ReadSet, StripeLocks};
    use super::super::table::{ListIndex, Row, Table, UniqueIndex};
    use super::super::view::TableView;
    use super::Overlay;

    const BY_NAME: UniqueIndex<Named> = UniqueIndex::nth(0);
    const ALL: ListIndex<Named> = ListIndex::nth(0);

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
        fn created_at(&self) -> DateTime<Utc> {
            DateTime::from_timestamp_micros(self.created_at).unwrap()
        }
        fn owner(&self) -> &str {
            self.key
        }
        fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
            std::iter::once(self.name.map(Cow::Borrowed))
        }
        fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
            std::iter::once(Cow::Borrowed(""))
        }
    }

    const fn row(key: &'static str, name: &'static str, created_at: i64) -> Named {
        Named {
            key,
            name: Some(name),
            created_at,
        }
    }

    struct Fixture {
        locks: Arc<StripeLocks>,
        base: Table<Named>,
        overlay: Overlay<Named>,
        reads: ReadSet,
    }

    impl Fixture {
        fn new(rows: impl IntoIterator<Item = Named>) -> Self {
            let locks = Arc::new(StripeLocks::new(COUNT));
            let base = Table::new(&locks);
            locks.lock(locks.all(), |locked| {
                locked.write(|| rows.into_iter().for_each(|row| base.insert(row)));
            });
            Self {
                locks,
                base,
                overlay: Overlay::default(),
                reads: ReadSet::default(),
            }
        }

        fn over<T>(&mut self, work: impl FnOnce(&mut TableView<'_, Named>) -> T) -> T {
            work(&mut TableView {
                base: &self.base,
                overlay: Some(&mut self.overlay),
                locks: &self.locks,
                reads: &mut self.reads,
                emptied: &mut Vec::new(),
            })
        }

        fn shown_inside(&mut self) -> Shown {
            self.over(shown)
        }

        fn shown_outside(&mut self) -> Shown {
            shown(&mut TableView {
                base: &self.base,
                overlay: None,
                locks: &self.locks,
                reads: &mut self.reads,
                emptied: &mut Vec::new(),
            })
        }

        fn merge(&mut self) {
            let overlay = std::mem::take(&mut self.overlay);
            self.locks.lock(self.locks.all(), |locked| {
                locked.write(|| overlay.merge_into_base(&self.base, &mut Vec::new()));
            });
        }
    }

    /// The keys, the newest first, and who has each of the names.
    type Shown = (Vec<&'static str>, Vec<Option<String>>);

    fn shown(table: &mut TableView<'_, Named>) -> Shown {
        let keys = table.list(&ALL, "", |_| true);
        let holders = ["A", "B", "C"].map(|name| {
            let holder = table.find_unique(&BY_NAME, name)?;
            Some(holder.as_str().to_owned())
        });
        let keys = keys.iter().map(|row| row.key);
        (keys.collect(), holders.to_vec())
    }

    fn holders(keys: [&str; 3]) -> Vec<Option<String>> {
        let held = |key: &&str| (!key.is_empty()).then(|| (*key).to_owned());
        keys.iter().map(held).collect()
    }

    #[test]
    fn an_overlay_shadows_its_base() {
        let mut fixture = Fixture::new([row("a", "A", 1), row("b", "B", 2), row("c", "C", 3)]);
        fixture.over(|table| {
            assert!(table.remove("a").is_some() && table.remove("a").is_none());
            table.replace(row("b", "A", 2));
            table.insert(row("d", "B", 0));
        });
        let expected = (vec!["c", "b", "d"], holders(["b", "d", "c"]));
        assert_eq!(fixture.shown_inside(), expected);
        let before = (vec!["c", "b", "a"], holders(["a", "b", "c"]));
        assert_eq!(fixture.shown_outside(), before);
        fixture.merge();
        assert_eq!(fixture.shown_outside(), expected);
    }

    #[test]
    fn names_may_be_swapped() {
        let mut fixture = Fixture::new([row("a", "A", 1), row("b", "B", 2)]);
        fixture.over(|table| {
            table.replace(Named {
                name: None,
                ..row("a", "", 1)
            });
            table.replace(row("b", "A", 2));
            table.replace(row("a", "B", 1));
        });
        fixture.merge();
        assert_eq!(fixture.shown_outside().1, holders(["b", "a", ""]));
    }

    #[test]
    fn a_key_may_be_taken_again() {
        let mut fixture = Fixture::new([row("a", "A", 1), row("b", "B", 2)]);
        fixture.over(|table| {
            table.remove("a");
            table.insert(row("a", "C", 3));
        });
        let expected = (vec!["a", "b"], holders(["", "b", "a"]));
        assert_eq!(fixture.shown_inside(), expected);
        fixture.merge();
        assert_eq!(fixture.shown_outside(), expected);
        assert_eq!(fixture.base.len(), 2);
        assert_eq!(fixture.base.keys(|_| true).len(), 2);
    }
}
