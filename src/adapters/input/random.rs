//! Ids of rows and tokens of sessions.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;

use crate::{AuthError, AuthResult};

const TOKEN_BYTES: usize = 32;

/// A new id: a UUIDv7, hyphenated and in lower case.
///
/// # Errors
///
/// [`AuthError::Unavailable`](crate::AuthError::Unavailable) if the operating system gives no random bytes.
pub fn new_id() -> AuthResult<String> {
    let mut random = [0; 10];
    fill_random(&mut random)?;
    let millis = u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default();
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .to_string())
}

/// A new session token: 32 random bytes, as base64url without padding.
///
/// # Errors
///
/// [`AuthError::Unavailable`](crate::AuthError::Unavailable) if the operating system gives no random bytes.
pub fn new_token() -> AuthResult<String> {
    let mut random = [0; TOKEN_BYTES];
    fill_random(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// Fills a buffer from the operating system's random source.
pub(in crate::adapters) fn fill_random(bytes: &mut [u8]) -> AuthResult<()> {
    getrandom::fill(bytes).map_err(|error| AuthError::Unavailable {
        message: "the operating system gave no random bytes for an id or token".to_owned(),
        contention: false,
        source: Some(error.into()),
    })
}
