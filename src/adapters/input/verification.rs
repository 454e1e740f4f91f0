//! New verifications.

use chrono::{DateTime, Utc};

use super::random::new_id;
use super::text::{MAX_IDENTIFIER_BYTES, key, text};
use super::time::normal_time;
use crate::adapters::VerificationKeys;
use crate::adapters::verification_keys::is_digest;
use crate::types::{CreateVerification, Verification};
use crate::{AuthError, AuthResult};

/// The row of a new verification, in normal form, with an id.
///
/// # Errors
///
/// [`AuthError::Validation`], which names the field; [`AuthError::Unsupported`] if its value is to be
/// [`hashed`](CreateVerification::hashed()); [`AuthError::Unavailable`] if the operating system gives no random bytes.
pub fn new_verification(
    verification: CreateVerification,
    now: DateTime<Utc>,
) -> AuthResult<Verification> {
    new_keyed_verification(verification, None, now).map(|(row, _)| row)
}

/// The row of a new verification, and the key by which the store hashes its value, if it does.
pub(in crate::adapters) fn new_keyed_verification(
    verification: CreateVerification,
    keys: Option<&VerificationKeys>,
    now: DateTime<Utc>,
) -> AuthResult<(Verification, Option<&[u8]>)> {
    let CreateVerification {
        identifier,
        value,
        expires_at,
        hashed,
    } = verification;
    let row = Verification {
        id: new_id()?,
        identifier: key("identifier", identifier, MAX_IDENTIFIER_BYTES)?,
        value: new_value(value)?,
        expires_at: normal_time("expires_at", expires_at)?,
        created_at: now,
        updated_at: now,
    };
    match keys {
        _ if !hashed => Ok((row, None)),
        Some(keys) => Ok((row, Some(keys.current()))),
        None => Err(AuthError::Unsupported {
            operation: "CreateVerification::hashed without VerificationKeys",
        }),
    }
}

/// A value that is found again.
fn new_value(value: String) -> AuthResult<String> {
    if is_digest(&value) {
        let message = "has the form of a stored digest, which is never accepted as a value";
        return Err(AuthError::validation("value", message));
    }
    text("value", value)
}

/// The row that reserves a pair, for a store whose primary key decides: `id_of` makes the id of a text that stands for the
/// pair, by a digest, so that there is one such row at the most.
///
/// # Errors
///
/// As [`new_verification`].
pub fn reserved_verification(
    id_of: impl FnOnce(&str) -> String,
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

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::reserved_verification;

    #[test]
    fn a_marker_has_the_id_of_its_pair() {
        let id_of = |identifier, value| {
            let now = Utc::now();
            let marker = reserved_verification(str::to_owned, identifier, value, now, now);
            marker.unwrap().id
        };
        assert_eq!(id_of("a", "b"), "a\0b");
        assert_ne!(id_of("ab", ""), id_of("a", "b"));
    }
}
