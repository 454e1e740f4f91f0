//! Digests: what stands in for a text that is secret, or too long.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::adapters::input::hex;

/// What every digest begins with.
pub(super) const DIGEST_PREFIX: &str = "sha256:";

/// The digest of a text.
pub(super) fn digest(text: &str) -> String {
    format!("{DIGEST_PREFIX}{}", hex(&Sha256::digest(text)))
}

/// The digest of an API key or a device code, in the form of better-auth-rs 0.10: base64url without padding.
pub(super) fn token_digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}
