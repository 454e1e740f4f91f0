//! What a rate limit counts, and what it answers.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::text::{MAX_IDENTIFIER_BYTES, given_key};
use super::time::{later, window_micros};
use crate::types::RateLimit;
use crate::{AuthError, AuthResult};

/// A call that is counted, for [`take`](crate::adapters::RateLimitStore::take). The store keeps with each key how many
/// calls it has counted, and since when.
#[derive(Clone, Debug)]
pub struct Take {
    pub(in crate::adapters) key: String,
    pub(in crate::adapters) max: i32,
    /// In microseconds.
    pub(in crate::adapters) window: i64,
}

impl Take {
    /// Checks all three.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of `key` if it is empty, longer than [`MAX_IDENTIFIER_BYTES`] or has a NUL character; of
    /// `max` if it is zero; of `window` if it is shorter than a microsecond or longer than 100 years.
    pub fn new(of: &str, max: u32, window: Duration) -> AuthResult<Self> {
        let key = given_key("key", of.to_owned(), MAX_IDENTIFIER_BYTES)?;
        if max == 0 {
            return Err(AuthError::validation("max", "is zero"));
        }
        Ok(Self {
            key,
            max: i32::try_from(max).unwrap_or(i32::MAX),
            window: window_micros("window", window)?,
        })
    }

    /// When a window ends that began then.
    #[must_use]
    pub fn end(&self, started_at: DateTime<Utc>) -> DateTime<Utc> {
        later(started_at, self.window)
    }

    /// The answer to a call that is the last one of so many in its window.
    #[must_use]
    pub fn allowed(&self, count: i32) -> RateLimit {
        RateLimit {
            allowed: true,
            remaining: self.max.saturating_sub(count).max(0).unsigned_abs(),
            retry_after: Duration::ZERO,
        }
    }

    /// The answer to a call at `now` for which there is no room in a window that began then.
    #[must_use]
    pub fn refused(&self, started_at: DateTime<Utc>, now: DateTime<Utc>) -> RateLimit {
        let left = self.end(started_at).signed_duration_since(now);
        RateLimit {
            allowed: false,
            remaining: 0,
            retry_after: left.to_std().unwrap_or_default(),
        }
    }
}
