//! `RateLimitStore`: how often something may happen.

use std::time::Duration;

use async_trait::async_trait;

use crate::AuthResult;
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::adapters::DatabaseAdapter;
use crate::types::RateLimit;
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::{AuthError, Transaction};

/// The store of rate limits. [`DatabaseAdapter::rate_limits`] returns it.
///
/// ```
/// use std::time::Duration;
///
/// use better_auth::prelude::*;
///
/// # #[tokio::main]
/// # async fn main() -> AuthResult<()> {
/// let database = MemoryDatabaseAdapter::new();
/// let limits = database.rate_limits()?;
/// let minute = Duration::from_secs(60);
/// assert!(limits.take("sign-in 192.0.2.1", 1, minute).await?.allowed);
/// let refused = limits.take("sign-in 192.0.2.1", 1, minute).await?;
/// assert!(!refused.allowed && refused.retry_after <= minute);
/// # Ok(())
/// # }
/// ```
///
/// # What every store guarantees
///
/// - **Exact.** Of any number of callers and instances, exactly `max` are allowed in a window, under READ COMMITTED,
///   REPEATABLE READ and SERIALIZABLE.
/// - Windows are fixed: the first call of a key begins one, and the first call after its end the next. The clock is the
///   database's, if there is one.
/// - A refused call is one statement that changes nothing.
/// - It is soft state: PostgreSQL keeps it in an UNLOGGED table, so that limits start anew after a crash of the server or a
///   failover to another one. [`clean_up`](DatabaseAdapter::clean_up) removes the keys whose window has ended.
/// - **Call it outside transactions.** A call in a [`Transaction`] is undone with it, and keeps all other callers of the key
///   waiting until the transaction ends (in memory, the transaction conflicts with them instead).
#[async_trait]
pub trait RateLimitStore: Send + Sync {
    /// Counts a call of this key, if there is room in the window: at most `max` calls in each `window`. Every caller of a
    /// key passes the same `max` and `window`.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of `key` if it is empty, takes more than 1,024 bytes or has a NUL character; of `max` if it
    /// is zero; of `window` if it is zero or longer than 100 years.
    async fn take(&self, key: &str, max: u32, window: Duration) -> AuthResult<RateLimit>;
}
