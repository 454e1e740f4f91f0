//! How operations see a table: the store's own, or that with a transaction's overlay.

use super::key::Key;
use super::ordered::Snapshot;
use super::overlay::Overlay;
use super::stripes::{ReadSet, StripeLocks, Stripes};
use super::table::{ListIndex, Row, Table, UniqueIndex};

/// A table as one operation sees it. Every lookup notes the stripes that guard what it read, or what it did not find.
pub(super) struct TableView<'a, R> {
    pub(super) base: &'a Table<R>,
    pub(super) overlay: Option<&'a mut Overlay<R>>,
    pub(super) locks: &'a StripeLocks,
    pub(super) reads: &'a mut ReadSet,
    /// Whether rows are hidden that have to be removed without the locks.
    pub(super) must_sweep: &'a mut bool,
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

    /// The newest row of a list that has not expired.
    pub(super) fn newest_live(
        &mut self,
        list: &ListIndex<R>,
        key: &str,
        now_micros: i64,
    ) -> Option<R> {
        let overlay = self.overlay.as_deref();
        let base = self.base.scan(list, key, self.reads, |list| {
            let mut live = list.live(now_micros);
            live.find(|(_, key)| overlay.is_none_or(|overlay| !overlay.shadows(key)))
                .cloned()
        });
        let own =
            overlay.and_then(|overlay| overlay.list(list, key)?.live(now_micros).next().cloned());
        let (_, newest) = base.flatten().max(own)?;
        self.get(newest.as_str())
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
            None => self.base.remove(key),
        }
    }

    /// Removes the rows of an owner's list. Returns their keys if it is a transaction that will have to name them.
    pub(super) fn remove_list(&mut self, list: &ListIndex<R>, owner: &str) -> Vec<Key> {
        if self.overlay.is_none() {
            *self.must_sweep |= self.base.remove_list(list, owner);
            return Vec::new();
        }
        let keys = self.keys_of(list, owner);
        for key in &keys {
            self.remove(key.as_str());
        }
        keys
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
