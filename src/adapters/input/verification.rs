//! New verifications.

use chrono::{DateTime, Utc};

use super::random::new_id;
use super::text::{MAX_IDENTIFIER_BYTES, key, text};
use super::time::normal_time;
use crate::AuthResult;
use crate::types::{CreateVerification, Verification};

/// The row of a new verification.
pub(in crate::adapters) fn new_verification(
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
