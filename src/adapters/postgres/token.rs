//! How a session's token stands in the table: as it is, or as a digest that opens nothing.

use sha2::{Digest as _, Sha256};

use crate::adapters::rules;

const PREFIX: &str = "sha256:";

/// What `sessions.token` holds for a token where tokens are hashed; the statement of
/// `SqlxAdapter::hash_stored_session_tokens` makes the same.
pub(super) fn digest(token: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(token);
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex = nibbles.filter_map(|nibble| HEX.get(usize::from(nibble)).copied());
    PREFIX.chars().chain(hex.map(char::from)).collect()
}

/// A session's token as a client presents it, in the two forms in which the table may hold it.
pub(super) struct Presented<'a> {
    pub(super) plain: &'a str,
    pub(super) digest: String,
}

impl<'a> Presented<'a> {
    /// `None` where it cannot be anyone's token: a digest, above all, is what a leaked table shows.
    pub(super) fn new(token: &'a str) -> Option<Self> {
        (!token.starts_with(PREFIX) && rules::is_possible_text(token)).then(|| Self {
            plain: token,
            digest: digest(token),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Presented, digest};

    #[test]
    fn digests_are_those_of_sha_256() {
        assert_eq!(
            digest("abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_digest_cannot_be_presented() {
        assert!(Presented::new(&digest("abc")).is_none());
        assert!(Presented::new("sha256:").is_none());
        assert!(Presented::new("a\0b").is_none());
        assert!(Presented::new("abc").is_some());
    }
}
