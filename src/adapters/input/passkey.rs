//! New passkeys.

use chrono::{DateTime, Utc};

use super::random::new_id;
use super::text::{MAX_NAME_BYTES, given_key, given_text, is_possible_text, optional_text, text};
use crate::types::{CreatePasskey, Passkey};
use crate::{AuthError, AuthResult};

/// Longest id of a credential, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 1400;

/// The row of a new passkey, with an id.
///
/// # Errors
///
/// [`AuthError::Validation`], which names the field; [`AuthError::Unavailable`] if the operating system gives no random
/// bytes.
pub fn new_passkey(passkey: CreatePasskey, now: DateTime<Utc>) -> AuthResult<Passkey> {
    let CreatePasskey {
        user_id,
        name,
        public_key,
        credential_id,
        counter,
        device_type,
        backed_up,
        transports,
        aaguid,
    } = passkey;
    Ok(Passkey {
        id: new_id()?,
        name: name.map(|name| passkey_name(&name)).transpose()?,
        public_key: given_text("public_key", public_key)?,
        user_id,
        credential_id: given_key("credential_id", credential_id, MAX_CREDENTIAL_BYTES)?,
        counter: passkey_counter(counter)?,
        device_type: text("device_type", device_type)?,
        backed_up,
        transports: optional_text("transports", transports)?,
        aaguid: optional_text("aaguid", aaguid)?,
        created_at: now,
    })
}

/// The name of a passkey.
///
/// # Errors
///
/// [`AuthError::Validation`].
pub fn passkey_name(name: &str) -> AuthResult<String> {
    given_key("name", name.to_owned(), MAX_NAME_BYTES)
}

/// What an authenticator may have counted.
///
/// # Errors
///
/// [`AuthError::Validation`] if it is negative.
pub fn passkey_counter(counter: i64) -> AuthResult<i64> {
    if counter < 0 {
        return Err(AuthError::validation("counter", "is negative"));
    }
    Ok(counter)
}

/// Whether a use with this counter is accepted, if the stored one is `before`.
#[must_use]
pub fn is_counter_accepted(counter: i64, before: i64) -> bool {
    counter > before || (counter == 0 && before == 0)
}

/// Whether this can be the id of a credential.
#[must_use]
pub fn is_possible_credential(id: &str) -> bool {
    id.len() <= MAX_CREDENTIAL_BYTES && is_possible_text(id)
}

#[cfg(test)]
mod tests {
    use super::{MAX_CREDENTIAL_BYTES, is_possible_credential};

    #[test]
    fn ids_of_credentials_have_a_longest() {
        let longest = "x".repeat(MAX_CREDENTIAL_BYTES);
        assert!(is_possible_credential(&longest));
        assert!(!is_possible_credential(&(longest + "x")));
        assert!(!is_possible_credential("a\0b"));
    }
}
