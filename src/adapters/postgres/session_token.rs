//! How a session's token stands in the table: as it is, or as a digest that opens nothing.

use std::collections::HashMap;

use crate::adapters::input;
/// What `sessions.token` holds for a token where tokens are hashed.
pub(super) use crate::adapters::input::digest;

pub(super) fn is_digest(stored: &str) -> bool {
    stored.starts_with(input::DIGEST_PREFIX)
}

/// Whether it can be anyone's token: a digest, above all, is what a leaked table shows.
pub(super) fn is_presentable(token: &str) -> bool {
    !is_digest(token) && input::is_possible_text(token)
}

/// Tokens as clients present them, to be found in either form in which the table may hold them.
pub(super) struct TokenLookup {
    stored: Vec<String>,
    by_digest: HashMap<String, String>,
}

impl TokenLookup {
    pub(super) fn new(tokens: &[String]) -> Self {
        let by_digest: HashMap<_, _> = tokens
            .iter()
            .map(|token| (digest(token), token.clone()))
            .collect();
        Self {
            stored: tokens.iter().chain(by_digest.keys()).cloned().collect(),
            by_digest,
        }
    }

    /// All that the table may hold for them.
    pub(super) fn stored(&self) -> &[String] {
        &self.stored
    }

    /// Makes a token that the table holds the presented one.
    pub(super) fn restore(&self, stored: &mut String) {
        if let Some(presented) = self.by_digest.get(stored) {
            presented.clone_into(stored);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TokenLookup, digest, is_presentable};

    #[test]
    fn digests_are_those_of_sha_256() {
        assert_eq!(
            digest("abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_digest_cannot_be_presented() {
        assert!(!is_presentable(&digest("abc")));
        assert!(!is_presentable("sha256:"));
        assert!(!is_presentable("a\0b"));
        assert!(is_presentable("abc"));
    }

    #[test]
    fn tokens_are_found_in_both_forms() {
        let tokens = ["abc".to_owned(), "def".to_owned()];
        let presented = TokenLookup::new(&tokens);
        assert_eq!(presented.stored().len(), 4);
        for token in &tokens {
            for mut stored in [token.clone(), digest(token)] {
                assert!(presented.stored().contains(&stored));
                presented.restore(&mut stored);
                assert_eq!(stored, *token);
            }
        }
    }
}
