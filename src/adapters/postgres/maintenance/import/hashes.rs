//! Sets of values that may have millions of members.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// Values, by their hashes, as there may be millions.
#[derive(Default)]
pub(super) struct Hashes(HashSet<u64>);

impl Hashes {
    pub(super) fn has(&self, value: &impl Hash) -> bool {
        self.0.contains(&Self::hash(value))
    }

    pub(super) fn add(&mut self, value: &impl Hash) {
        self.0.insert(Self::hash(value));
    }

    fn hash(value: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }
}
