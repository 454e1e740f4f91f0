//! Lists of rows: what an index keeps under a key that several rows share.

use super::key::Key;

/// How many rows a chunk holds at most.
const CHUNK: usize = 256;

/// Where a row stands among others: by its creation in microseconds since 1970, then by its key.
pub(super) type Place = (i64, Key);

/// The rows of a list, in the order of their places.
///
/// They lie in chunks. A chunk knows the last time at which one of its rows expires, so that the search for a live row
/// passes over expired rows a chunk at a time.
#[derive(Default)]
pub(super) struct List {
    /// The oldest first. No chunk is empty.
    chunks: Vec<Chunk>,
}

struct Chunk {
    /// The oldest first.
    entries: Vec<Entry>,
    /// No row of the chunk expires later.
    latest_expiry: i64,
}

struct Entry {
    place: Place,
    expires_at: i64,
}

impl List {
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.entries.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Adds a row that expires at this time, in microseconds since 1970.
    pub(super) fn insert(&mut self, place: Place, expires_at: i64) {
        let entry = Entry { place, expires_at };
        let at = self.chunk_of(&entry.place);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(Chunk::of(vec![entry]));
            return;
        };
        chunk.latest_expiry = chunk.latest_expiry.max(expires_at);
        let index = chunk.index_of(&entry.place).unwrap_or_else(|index| index);
        chunk.entries.insert(index, entry);
        if chunk.entries.len() > CHUNK {
            // New rows come at the end, so a split there leaves a full chunk behind.
            let is_last = index + 1 == chunk.entries.len();
            let split = if is_last { CHUNK } else { CHUNK / 2 };
            let newer = Chunk::of(chunk.entries.split_off(split));
            self.chunks.insert(at + 1, newer);
        }
    }

    pub(super) fn remove(&mut self, place: &Place) {
        let at = self.chunk_of(place);
        let Some(chunk) = self.chunks.get_mut(at) else {
            return;
        };
        if let Ok(index) = chunk.index_of(place) {
            chunk.entries.remove(index);
        }
        if chunk.entries.is_empty() {
            self.chunks.remove(at);
        }
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Place> {
        let chunks = self.chunks.iter().rev();
        let entries = chunks.flat_map(|chunk| chunk.entries.iter().rev());
        entries.map(|entry| &entry.place)
    }

    /// The rows that expire later, the newest first.
    pub(super) fn live(&self, now_micros: i64) -> impl Iterator<Item = &Place> {
        let chunks = self.chunks.iter().rev();
        chunks
            .filter(move |chunk| chunk.latest_expiry > now_micros)
            .flat_map(|chunk| chunk.entries.iter().rev())
            .filter(move |entry| entry.expires_at > now_micros)
            .map(|entry| &entry.place)
    }

    /// The chunk that has the place, or gets it.
    fn chunk_of(&self, place: &Place) -> usize {
        let newer = |chunk: &Chunk| {
            chunk
                .entries
                .first()
                .is_none_or(|entry| entry.place <= *place)
        };
        self.chunks.partition_point(newer).saturating_sub(1)
    }
}

impl Chunk {
    fn of(entries: Vec<Entry>) -> Self {
        let expiries = entries.iter().map(|entry| entry.expires_at);
        Self {
            latest_expiry: expiries.max().unwrap_or(i64::MIN),
            entries,
        }
    }

    fn index_of(&self, place: &Place) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| entry.place.cmp(place))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{CHUNK, Key, List, Place};

    fn place(number: i64) -> Place {
        (number / 3, Key::new(&format!("{number:09}")))
    }

    #[test]
    fn lists_behave_as_ordered_maps() {
        let count = i64::try_from(4 * CHUNK).unwrap();
        // Coprime to the count: every number comes once, in no order.
        let numbers = || (0..count).map(|number| number * 7919 % count);
        for ascending in [true, false] {
            let (mut list, mut model) = (List::default(), BTreeMap::new());
            for (step, number) in numbers().enumerate() {
                let number = if ascending {
                    i64::try_from(step).unwrap()
                } else {
                    number
                };
                list.insert(place(number), number % 100);
                model.insert(place(number), number % 100);
                assert_eq!(list.len(), model.len());
            }
            for number in numbers() {
                if number % 64 == 0 {
                    assert!(list.newest_first().eq(model.keys().rev()));
                    let live = model
                        .iter()
                        .rev()
                        .filter(|(_, expires_at)| **expires_at > 90);
                    assert!(list.live(90).eq(live.map(|(place, _)| place)));
                }
                list.remove(&place(number));
                list.remove(&place(number));
                model.remove(&place(number));
                assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }
}
