//! New verifications.

use chrono::{DateTime, Utc};

use super::random::new_id;
use super::text::{MAX_IDENTIFIER_BYTES, key, text};
use super::time::normal_time;
use crate::AuthResult;
use crate::types::{CreateVerification, Verification};

/// The row of a new verification, in normal form, with an id.
///
/// # Errors
///
/// [`AuthError::Validation`](crate::AuthError::Validation), which names the field; [`AuthError::Unavailable`](crate::AuthError::Unavailable) if the operating system gives no random bytes.
pub fn new_verification(
    verification: CreateVerification,
    now: DateTime<Utc>,
) -> AuthResult<Verification> {
    let CreateVerification {
        identifier,
        value,
        expires_at,
    } = verification;
    Ok(Verification {
        id: new_id()?,
        identifier: key("identifier", identifier, MAX_IDENTIFIER_BYTES)?,
        value: text("value", value)?,
        expires_at: normal_time("expires_at", expires_at)?,
        created_at: now,
        updated_at: now,
    })
}

/// The row that reserves a pair. Its id stands for the pair, so that there is one at the most.
pub(in crate::adapters) fn reserved_verification(
    id_of: fn(&str) -> String,
    identifier: &str,
    value: &str,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> AuthResult<Verification> {
    let verification = CreateVerification::new(identifier, value, expires_at);
    Ok(Verification {
        // Stored text holds no NUL character.
        id: id_of(&format!("{identifier}\0{value}")),
        ..new_verification(verification, now)?
    })
}
