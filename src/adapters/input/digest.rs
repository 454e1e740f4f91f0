//! Digests: what stands in for a text that is secret, or too long.

use sha2::{Digest as _, Sha256};

/// What every digest begins with.
pub(in crate::adapters) const DIGEST_PREFIX: &str = "sha256:";

/// The digest of a text.
pub(in crate::adapters) fn digest(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(text);
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex = nibbles.filter_map(|nibble| HEX.get(usize::from(nibble)).copied());
    DIGEST_PREFIX.chars().chain(hex.map(char::from)).collect()
}
