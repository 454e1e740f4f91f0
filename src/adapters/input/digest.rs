//! Digests: what stands in for a text that is secret, or too long.

use sha2::{Digest as _, Sha256};

use super::text::hex;

/// What every digest begins with.
pub(in crate::adapters) const DIGEST_PREFIX: &str = "sha256:";

/// The digest of a text.
pub(in crate::adapters) fn digest(text: &str) -> String {
    format!("{DIGEST_PREFIX}{}", hex(&Sha256::digest(text)))
}
