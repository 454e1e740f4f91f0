//! Rate limits: what a call that is counted is told.

use std::time::Duration;

/// What [`take`](crate::adapters::RateLimitStore::take) answers.
///
/// ```
/// use std::time::Duration;
///
/// use better_auth::types::RateLimit;
///
/// let refused = RateLimit { allowed: false, remaining: 0, retry_after: Duration::from_millis(1200) };
/// // For the header of a response with the status 429.
/// assert_eq!(refused.retry_after_seconds(), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Whether the call may go on.
    pub allowed: bool,
    /// How many more calls are allowed in this window.
    pub remaining: u32,
    /// How long a refused caller has to wait until the next window begins; zero for an allowed one.
    pub retry_after: Duration,
}

impl RateLimit {
    /// `retry_after` in whole seconds, rounded up, as the header `Retry-After` has it.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        let begun = u64::from(self.retry_after.subsec_nanos() > 0);
        self.retry_after.as_secs().saturating_add(begun)
    }
}
