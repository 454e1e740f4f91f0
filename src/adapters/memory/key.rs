//! Keys of rows and of index entries.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// The longest text that needs no allocation: a session token takes 43 bytes, an id 36.
const INLINE: usize = 46;

/// A text that a map is keyed by. A short text lies in the map itself, so that a lookup compares it without another
/// access to memory, and a copy allocates nothing. Keys are ordered by their bytes.
#[derive(Clone)]
pub(super) enum Key {
    Inline { length: u8, bytes: [u8; INLINE] },
    Heap(Box<str>),
}

impl Key {
    pub(super) fn new(text: &str) -> Self {
        let mut bytes = [0; INLINE];
        let room = bytes.get_mut(..text.len());
        match (room, u8::try_from(text.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Inline { length, bytes }
            }
            _ => Self::Heap(text.into()),
        }
    }

    /// Two texts as one, which equals no other two: stored text holds no NUL character.
    pub(super) fn composite(first: &str, second: &str) -> String {
        format!("{first}\0{second}")
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Self::Heap(text) => text.as_bytes(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Heap(text) => text,
            // It was made of a text.
            Self::Inline { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{INLINE, Key};

    #[test]
    fn keys_are_their_texts() {
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 300] {
            let text = "é".repeat(length / 2) + &"a".repeat(length % 2);
            let key = Key::new(&text);
            assert_eq!(key.as_str(), text);
            assert!(key == key.clone() && key < Key::new(&(text + "b")));
        }
        assert_eq!(size_of::<Key>(), 48);
    }
}
