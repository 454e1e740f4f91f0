//! How operations see a table: the store's own, or that with a transaction's overlay.

use super::key::Key;
use super::list::{Emptied, List, Place};
use super::ordered::Snapshot;
use super::overlay::Overlay;
use super::stripes::{ReadSet, StripeLocks, Stripes};
use super::table::{ListIndex, RemovedList, Row, Table, UniqueIndex};

/// A table as one operation sees it. Every lookup notes the stripes that guard what it read, or what it did not find.
pub(super) struct TableView<'a, R> {
    pub(super) base: &'a Table<R>,
    pub(super) overlay: Option<&'a mut Overlay<R>>,
    pub(super) locks: &'a StripeLocks,
    pub(super) reads: &'a mut ReadSet,
    pub(super) emptied: &'a mut Emptied,
}

impl<R: Row> TableView<'_, R> {
    /// What `read` tells of the row. It must not call back into the table.
    pub(super) fn with<T>(&mut self, key: &str, read: impl FnOnce(&R) -> T) -> Option<T> {
        if let Some(overlay) = &self.overlay {
            if let Some(row) = overlay.get(key) {
                return Some(read(row));
            }
            if overlay.hides(key) {
                return None;
            }
        }
        self.base.with(key, self.reads, |slot| read(&slot.row))
    }

    pub(super) fn get(&mut self, key: &str) -> Option<R> {
        self.with(key, R::clone)
    }

    pub(super) fn contains(&mut self, key: &str) -> bool {
        self.with(key, |_| ()).is_some()
    }

    /// As [`with`](Self::with), for a row that a write changes or refers to: a commit finds this very row again, or none.
    pub(super) fn rely<T>(&mut self, key: &str, read: impl FnOnce(&R) -> T) -> Option<T> {
        if self.is_expected(key) {
            self.with(key, read)
        } else {
            None
        }
    }

    /// The key of the row that has this key in a unique index.
    pub(super) fn find_unique(&mut self, index: &UniqueIndex<R>, key: &str) -> Option<Key> {
        if let Some(own) = self
            .overlay
            .as_ref()
            .and_then(|o| o.find_unique(index, key))
        {
            return Some(own.clone());
        }
        let found = self.base.find_unique(index, key, self.reads)?;
        (!self.is_shadowed(&found)).then_some(found)
    }

    /// As [`rely`](Self::rely), for the row that has this key in a unique index. A row that took its place meanwhile has the
    /// same key there.
    pub(super) fn rely_unique(&mut self, index: &UniqueIndex<R>, key: &str) -> Option<R> {
        let key = self.find_unique(index, key)?;
        let overlay = self.overlay.as_deref();
        if overlay.is_some_and(|overlay| overlay.is_new_to_write(&key)) {
            return None;
        }
        self.rely(key.as_str(), R::clone)
    }

    /// The rows of a list that pass the test, the newest first.
    pub(super) fn list(
        &mut self,
        list: &ListIndex<R>,
        key: &str,
        test: impl Fn(&R) -> bool,
    ) -> Vec<R> {
        let mut rows = Vec::new();
        for key in self.keys_of(list, key) {
            let row = self.with(key.as_str(), |row| test(row).then(|| row.clone()));
            rows.extend(row.flatten());
        }
        rows.sort_by(|one, other| {
            let (one, other) = (
                (one.created_at(), one.id()),
                (other.created_at(), other.id()),
            );
            other.cmp(&one)
        });
        rows
    }

    /// How many rows a list has.
    pub(super) fn count(&mut self, list: &ListIndex<R>, key: &str) -> usize {
        if self.overlay.is_some() {
            return self.keys_of(list, key).len();
        }
        let count = self.base.scan(list, key, self.reads, List::len);
        count.unwrap_or_default()
    }

    /// The first rows of a list behind a place that pass the test, the newest first.
    pub(super) fn page(
        &mut self,
        list: &ListIndex<R>,
        key: &str,
        after: &Place,
        count: usize,
        test: impl Fn(&R) -> bool,
    ) -> Vec<R> {
        const PART: usize = 256;
        let overlay = self.overlay.as_deref();
        let own = overlay.and_then(|overlay| {
            let places = overlay.list(list, key)?.older_than(Some(after));
            let rows = places.filter_map(|(_, key)| overlay.get(key.as_str()));
            Some(rows.filter(|row| test(row)).take(count).cloned().collect())
        });
        let own: Vec<R> = own.unwrap_or_default();
        let (mut rows, mut behind) = (Vec::new(), after.clone());
        while rows.len() < count {
            let part = self.base.scan(list, key, self.reads, |list| {
                let part = list.older_than(Some(&behind)).take(PART);
                part.cloned().collect::<Vec<_>>()
            });
            let part = part.unwrap_or_default();
            for (_, key) in &part {
                if overlay.is_none_or(|overlay| !overlay.shadows(key)) {
                    let row = self.base.with(key.as_str(), self.reads, |slot| {
                        test(&slot.row).then(|| slot.row.clone())
                    });
                    rows.extend(row.flatten());
                }
            }
            match part.into_iter().next_back() {
                Some(place) => behind = place,
                None => break,
            }
        }
        rows.extend(own);
        rows.sort_by_key(|row| std::cmp::Reverse(row.place()));
        rows.truncate(count);
        rows
    }

    /// Removes the rows of a list that pass the test.
    pub(super) fn remove_each(
        &mut self,
        list: &ListIndex<R>,
        key: &str,
        test: impl Fn(&R) -> bool,
    ) {
        for row in self.list(list, key, test) {
            self.remove(row.key());
        }
    }

    /// The newest live row of a list.
    pub(super) fn newest_live(
        &mut self,
        list: &ListIndex<R>,
        key: &str,
        now_micros: i64,
    ) -> Option<R> {
        self.newest(list, key, |list, is_shown| {
            list.live(now_micros).find(is_shown).cloned()
        })
    }

    /// The newest row of a list that has not expired, used up or not.
    pub(super) fn newest_unexpired(
        &mut self,
        list: &ListIndex<R>,
        key: &str,
        now_micros: i64,
    ) -> Option<R> {
        self.newest(list, key, |list, is_shown| {
            list.unexpired(now_micros).find(is_shown).cloned()
        })
    }

    fn newest(
        &mut self,
        list: &ListIndex<R>,
        key: &str,
        find: impl Fn(&List, &dyn Fn(&&Place) -> bool) -> Option<Place>,
    ) -> Option<R> {
        let overlay = self.overlay.as_deref();
        let is_shown = |(_, key): &&Place| overlay.is_none_or(|overlay| !overlay.shadows(key));
        let base = self
            .base
            .scan(list, key, self.reads, |list| find(list, &is_shown));
        let own = overlay.and_then(|overlay| find(overlay.list(list, key)?, &|_| true));
        let (_, newest) = base.flatten().max(own)?;
        self.get(newest.as_str())
    }

    /// The key of a row of a list that passes the test. It looks at a part of the list at a time, and not at one moment.
    pub(super) fn find_in_list(
        &mut self,
        list: &ListIndex<R>,
        key: &str,
        test: impl Fn(&R) -> bool,
    ) -> Option<Key> {
        const PART: usize = 256;
        let overlay = self.overlay.as_deref();
        let own = overlay.and_then(|overlay| {
            let mut own = overlay.list(list, key)?.newest_first().map(|(_, key)| key);
            own.find(|key| overlay.get(key.as_str()).is_some_and(&test))
        });
        if let Some(own) = own {
            return Some(own.clone());
        }
        let (base, reads) = (self.base, &mut ReadSet::default());
        let mut behind: Option<Place> = None;
        loop {
            let part = base.scan(list, key, reads, |list| {
                let part = list.older_than(behind.as_ref()).take(PART);
                part.cloned().collect::<Vec<_>>()
            })?;
            let mut keys = part.iter().map(|(_, key)| key);
            let found = keys.find(|key| {
                overlay.is_none_or(|overlay| !overlay.shadows(key))
                    && base.with(key.as_str(), reads, |slot| test(&slot.row)) == Some(true)
            });
            if let Some(found) = found {
                return Some(found.clone());
            }
            behind = Some(part.into_iter().next_back()?);
        }
    }

    /// The keys of all rows that pass the test, in no order, and not of one moment.
    pub(super) fn keys(&mut self, test: impl Fn(&R) -> bool) -> Vec<Key> {
        let mut keys = self.base.keys(&test);
        if let Some(overlay) = &self.overlay {
            keys.retain(|key| !overlay.shadows(key));
            let own = overlay.rows().filter(|row| test(row));
            keys.extend(own.map(|row| Key::new(row.key())));
        }
        keys
    }

    /// All rows, as they are now.
    pub(super) fn snapshot(&mut self) -> Option<Snapshot<R>> {
        self.reads.note(self.locks, self.locks.all());
        let mut snapshot = self.base.ordered()?.snapshot();
        if let Some(overlay) = &self.overlay {
            (snapshot.own, snapshot.shadowed) = overlay.shown();
        }
        Some(snapshot)
    }

    /// Stores a row whose key is free.
    pub(super) fn insert(&mut self, row: R) {
        match &mut self.overlay {
            Some(overlay) => overlay.insert(row),
            None => self.base.insert(row),
        }
    }

    /// Stores a row in place of the one with its key.
    pub(super) fn replace(&mut self, row: R) {
        match &mut self.overlay {
            Some(overlay) => overlay.replace(self.base, row, self.reads),
            None => self.base.replace(row),
        }
    }

    /// Changes a row, but none of its keys.
    pub(super) fn update<T>(&mut self, key: &str, change: impl FnOnce(&mut R) -> T) -> Option<T> {
        if self.overlay.is_none() {
            return self.base.update(key, change);
        }
        let mut row = self.rely(key, R::clone)?;
        let answer = change(&mut row);
        self.replace(row);
        Some(answer)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<R> {
        if !self.is_expected(key) {
            return None;
        }
        match &mut self.overlay {
            Some(overlay) if overlay.get(key).is_none() && overlay.hides(key) => None,
            Some(overlay) => overlay.remove(self.base, key, self.reads),
            None => self.base.remove(key, self.emptied),
        }
    }

    /// As [`remove`](Self::remove), if the row passes the test.
    pub(super) fn remove_if(&mut self, key: &str, test: impl FnOnce(&R) -> bool) -> Option<R> {
        if self.with(key, test)? {
            self.remove(key)
        } else {
            None
        }
    }

    /// Removes the rows of an owner's list but one. What it returns has to be [swept](Table::sweep).
    pub(super) fn remove_list(
        &mut self,
        list: &ListIndex<R>,
        owner: &str,
        spared: Option<&str>,
    ) -> RemovedList<R> {
        if self.overlay.is_none() {
            return self.base.remove_list(list, owner, spared, self.emptied);
        }
        let mut keys = self.keys_of(list, owner);
        keys.retain(|key| spared.is_none_or(|spared| spared.as_bytes() != key.as_bytes()));
        let rows = keys.iter().filter_map(|key| self.remove(key.as_str()));
        RemovedList::of(rows.collect())
    }

    /// The stripe that guards a row; if there is none, the one that guards its coming.
    pub(super) fn stripe_of(&mut self, key: &str) -> Stripes {
        let owner = self.with(key, |row| Stripes::of(row.owner()));
        owner.unwrap_or_else(|| Stripes::of(key))
    }

    /// The stripes that guard a row and what indexes have of it.
    pub(super) fn stripes_of(&mut self, key: &str) -> Stripes {
        let row = self.with(key, Row::stripes);
        row.unwrap_or_else(|| Stripes::of(key))
    }

    /// The stripes of all rows of a list.
    pub(super) fn stripes_of_list(&mut self, list: &ListIndex<R>, key: &str) -> Stripes {
        let keys = self.keys_of(list, key);
        let each = keys.iter().map(|key| self.stripes_of(key.as_str()));
        each.fold(Stripes::of(key), |all, one| all | one)
    }

    fn keys_of(&mut self, list: &ListIndex<R>, key: &str) -> Vec<Key> {
        let overlay = self.overlay.as_deref();
        let shown = |(_, key): &_| {
            let key: &Key = key;
            (!overlay.is_some_and(|overlay| overlay.shadows(key))).then(|| key.clone())
        };
        let base = self.base.scan(list, key, self.reads, |list| {
            list.newest_first().filter_map(shown).collect()
        });
        let mut keys: Vec<Key> = base.unwrap_or_default();
        if let Some(own) = overlay.and_then(|overlay| overlay.list(list, key)) {
            keys.extend(own.newest_first().map(|(_, key)| key.clone()));
        }
        keys
    }

    /// Whether the row is the one that the same write found before the commit.
    fn is_expected(&mut self, key: &str) -> bool {
        match &mut self.overlay {
            Some(overlay) if overlay.get(key).is_none() && !overlay.hides(key) => {
                overlay.is_as_relied(self.base, key, self.reads)
            }
            _ => true,
        }
    }

    fn is_shadowed(&self, key: &Key) -> bool {
        let overlay = self.overlay.as_ref();
        overlay.is_some_and(|overlay| overlay.shadows(key))
    }
}
