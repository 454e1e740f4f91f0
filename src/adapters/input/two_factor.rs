//! What second factors consist of, and when attempts are granted.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::random::new_id;
use super::text::{given_text, optional_text};
use super::time::{later, positive_micros};
use crate::types::TwoFactor;
use crate::{AuthError, AuthResult};

/// The row of a new second factor, with an id.
///
/// # Errors
///
/// [`AuthError::Validation`] of `secret` if it is empty, or of either text with a NUL character;
/// [`AuthError::Unavailable`] if the operating system gives no random bytes.
pub fn new_two_factor(
    user_id: &str,
    secret: &str,
    backup_codes: Option<&str>,
    now: DateTime<Utc>,
) -> AuthResult<TwoFactor> {
    let secret = given_text("secret", secret.to_owned())?;
    Ok(TwoFactor {
        backup_codes: backup_codes_text("backup_codes", backup_codes)?,
        ..TwoFactor::new(new_id()?, user_id, secret, now)
    })
}

/// Backup codes as they are stored.
///
/// # Errors
///
/// [`AuthError::Validation`] if they have a NUL character.
pub fn backup_codes_text(field: &'static str, codes: Option<&str>) -> AuthResult<Option<String>> {
    optional_text(field, codes.map(str::to_owned))
}

/// A time step that may be accepted.
///
/// # Errors
///
/// [`AuthError::Validation`] if it is negative.
pub fn time_step(step: i64) -> AuthResult<i64> {
    if step < 0 {
        return Err(AuthError::validation("step", "is negative"));
    }
    Ok(step)
}

/// How many attempts a second factor takes before it is locked, and for how long, for
/// [`begin_attempt`](crate::adapters::TwoFactorStore::begin_attempt).
#[derive(Clone, Copy, Debug)]
pub struct LockOut {
    pub(in crate::adapters) max_failures: i32,
    /// In microseconds.
    pub(in crate::adapters) lock_for: i64,
}

impl LockOut {
    /// Checks both.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if one of them is zero, or `lock_for` is longer than 100,000 years.
    pub fn new(max_failures: u32, lock_for: Duration) -> AuthResult<Self> {
        if max_failures == 0 {
            return Err(AuthError::validation("max_failures", "is zero"));
        }
        Ok(Self {
            max_failures: i32::try_from(max_failures).unwrap_or(i32::MAX),
            lock_for: positive_micros("lock_for", lock_for)?,
        })
    }

    /// When a lock ends that begins now.
    #[must_use]
    pub fn end(self, now: DateTime<Utc>) -> DateTime<Utc> {
        later(now, self.lock_for)
    }
}
