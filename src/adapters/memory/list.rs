//! Lists of rows: what an index keeps under a key that several rows share.

use super::key::Key;

/// How many rows a chunk holds at most.
const CHUNK: usize = 256;

/// Where a row stands among others: by its creation in microseconds since 1970, then by its key.
pub(super) type Place = (i64, Key);

/// Until when a row counts, in microseconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) live_until: i64,
    /// The same, unless the row was used up before.
    pub(super) expires_at: i64,
}

impl Ends {
    pub(super) const NEVER: Self = Self {
        live_until: i64::MAX,
        expires_at: i64::MAX,
    };

    fn max(self, other: Self) -> Self {
        Self {
            live_until: self.live_until.max(other.live_until),
            expires_at: self.expires_at.max(other.expires_at),
        }
    }
}

/// The rows of a list, in the order of their places.
///
/// They lie in chunks. A chunk knows when the last one of its rows ends, so that the search for a live row passes over the
/// others a chunk at a time.
#[derive(Default)]
pub(super) struct List {
    /// The oldest first. No chunk is empty.
    chunks: Vec<Chunk>,
}

/// What removals have left empty. To be dropped without locks: the allocator may use the opportunity to clear up, which
/// takes it tens of milliseconds after much was freed.
pub(super) type Emptied = Vec<List>;

struct Chunk {
    /// The oldest first.
    entries: Vec<Entry>,
    /// No row of the chunk ends later.
    latest: Ends,
}

struct Entry {
    place: Place,
    ends: Ends,
}

impl List {
    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.entries.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn insert(&mut self, place: Place, ends: Ends) {
        let entry = Entry { place, ends };
        let at = self.chunk_of(&entry.place);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(Chunk::of(vec![entry]));
            return;
        };
        chunk.latest = chunk.latest.max(ends);
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

    /// Removes a row, and says whether it was there.
    pub(super) fn remove(&mut self, place: &Place, emptied: &mut Emptied) -> bool {
        let at = self.chunk_of(place);
        let Some(chunk) = self.chunks.get_mut(at) else {
            return false;
        };
        let Ok(index) = chunk.index_of(place) else {
            return false;
        };
        chunk.entries.remove(index);
        if chunk.entries.is_empty() {
            let chunks = vec![self.chunks.remove(at)];
            emptied.push(Self { chunks });
        }
        true
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Place> {
        let chunks = self.chunks.iter().rev();
        let entries = chunks.flat_map(|chunk| chunk.entries.iter().rev());
        entries.map(|entry| &entry.place)
    }

    /// The rows behind a place, the newest first; all of them without one.
    pub(super) fn older_than(&self, place: Option<&Place>) -> impl Iterator<Item = &Place> {
        let last = place.map_or(self.chunks.len(), |place| self.chunk_of(place) + 1);
        let chunks = self.chunks.iter().take(last).rev();
        let entries = chunks.flat_map(|chunk| chunk.entries.iter().rev());
        let places = entries.map(|entry| &entry.place);
        places.filter(move |other| place.is_none_or(|place| *other < place))
    }

    /// The live rows, the newest first.
    pub(super) fn live(&self, now_micros: i64) -> impl Iterator<Item = &Place> {
        self.until(now_micros, |ends| ends.live_until)
    }

    /// The rows that have not expired, also those that are used up, the newest first.
    pub(super) fn unexpired(&self, now_micros: i64) -> impl Iterator<Item = &Place> {
        self.until(now_micros, |ends| ends.expires_at)
    }

    fn until(&self, now_micros: i64, end: fn(Ends) -> i64) -> impl Iterator<Item = &Place> {
        let chunks = self.chunks.iter().rev();
        chunks
            .filter(move |chunk| end(chunk.latest) > now_micros)
            .flat_map(|chunk| chunk.entries.iter().rev())
            .filter(move |entry| end(entry.ends) > now_micros)
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
        let none = Ends {
            live_until: i64::MIN,
            expires_at: i64::MIN,
        };
        let latest = entries
            .iter()
            .fold(none, |latest, entry| latest.max(entry.ends));
        Self { entries, latest }
    }

    fn index_of(&self, place: &Place) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| entry.place.cmp(place))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{CHUNK, Ends, Key, List, Place};

    fn place(number: i64) -> Place {
        (number / 3, Key::new(&format!("{number:09}")))
    }

    /// Every third row is used up.
    fn ends(number: i64) -> Ends {
        let expires_at = number % 100;
        let live_until = if number % 3 == 0 {
            i64::MIN
        } else {
            expires_at
        };
        Ends {
            live_until,
            expires_at,
        }
    }

    #[test]
    fn rows_that_come_in_order_fill_their_chunks() {
        let mut list = List::default();
        for number in 0..i64::try_from(4 * CHUNK).unwrap() {
            list.insert(place(number), ends(number));
        }
        assert_eq!(list.chunks.len(), 4);
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
                list.insert(place(number), ends(number));
                model.insert(place(number), ends(number));
                assert_eq!(list.len(), model.len());
            }
            for number in numbers() {
                if number % 64 == 0 {
                    assert!(list.newest_first().eq(model.keys().rev()));
                    let after = |end: fn(&Ends) -> i64| {
                        let rows = model.iter().rev();
                        rows.filter(move |(_, ends)| end(ends) > 90)
                            .map(|(place, _)| place)
                    };
                    assert!(list.live(90).eq(after(|ends| ends.live_until)));
                    assert!(list.unexpired(90).eq(after(|ends| ends.expires_at)));
                    let middle = place(number * 31 % count);
                    let older = model.range(..&middle).map(|(place, _)| place);
                    assert!(list.older_than(Some(&middle)).eq(older.rev()));
                    assert!(list.older_than(None).eq(model.keys().rev()));
                }
                assert!(list.remove(&place(number), &mut Vec::new()));
                assert!(!list.remove(&place(number), &mut Vec::new()));
                model.remove(&place(number));
                assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }
}
