//! New signing keys.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::random::new_id;
use super::text::{given_text, optional_text};
use super::time::{age_micros, earlier, normal_time};
use crate::AuthResult;
use crate::types::{CreateSigningKey, SigningKey};

/// The row of a new signing key, with an id. The store sets its generation.
///
/// # Errors
///
/// [`AuthError::Validation`](crate::AuthError::Validation), which names the field;
/// [`AuthError::Unavailable`](crate::AuthError::Unavailable) if the operating system gives no random bytes.
pub fn new_signing_key(key: CreateSigningKey, now: DateTime<Utc>) -> AuthResult<SigningKey> {
    let CreateSigningKey {
        public_key,
        private_key,
        alg,
        crv,
        expires_at,
    } = key;
    let expires_at = expires_at.map(|time| normal_time("expires_at", time));
    Ok(SigningKey {
        id: new_id()?,
        public_key: given_text("public_key", public_key)?,
        private_key: given_text("private_key", private_key)?,
        alg: optional_text("alg", alg)?,
        crv: optional_text("crv", crv)?,
        generation: 0,
        created_at: now,
        expires_at: expires_at.transpose()?,
    })
}

/// Whether a new key is due: the newest one is so old at `now`, or has expired.
#[must_use]
pub fn is_rotation_due(newest: &SigningKey, older_than: Duration, now: DateTime<Utc>) -> bool {
    newest.created_at <= earlier(now, age_micros(older_than))
        || newest.expires_at.is_some_and(|end| end <= now)
}
