//! The statements about rate limits.

use std::time::Duration;

use super::columns::Time;
use super::error::Operation;
use super::repository::Repository;
use super::session::microseconds;
use crate::AuthResult;
use crate::adapters::Store;
use crate::adapters::input::Take;
use crate::types::RateLimit;

impl Repository {
    /// The store. Whether its table is there is asked before its first statement.
    #[allow(clippy::unnecessary_wraps, reason = "the method of all adapters")]
    pub(super) fn rate_limits(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    /// A full window stays full until it ends, so a caller that sees one is refused without a lock. Any other one waits for
    /// the row, and counts in the window that there is by then. A caller for whom that has no room saw another window or
    /// none: the full one has just begun.
    pub(super) async fn take(
        &self,
        key: &str,
        max: u32,
        window: Duration,
    ) -> AuthResult<RateLimit> {
        let take = Take::new(key, max, window)?;
        let operation = Operation::write("take").of_store(Store::RateLimits);
        let taken = self.run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH seen AS MATERIALIZED (SELECT rate_limit.count, rate_limit.window_started_at FROM rate_limit \
                     WHERE rate_limit.key = $1 AND rate_limit.window_started_at > statement_timestamp() - $3::INTERVAL), \
                     taken AS (INSERT INTO rate_limit AS held (key, count, window_started_at, expires_at) \
                     SELECT $1, 1, statement_timestamp(), statement_timestamp() + $3 \
                     WHERE NOT EXISTS (SELECT FROM seen WHERE seen.count >= $2) \
                     ON CONFLICT (key) DO UPDATE SET \
                     count = CASE WHEN held.window_started_at > statement_timestamp() - $3 THEN held.count + 1 ELSE 1 END, \
                     window_started_at = CASE WHEN held.window_started_at > statement_timestamp() - $3 \
                     THEN held.window_started_at ELSE statement_timestamp() END, \
                     expires_at = CASE WHEN held.window_started_at > statement_timestamp() - $3 \
                     THEN held.expires_at ELSE statement_timestamp() + $3 END \
                     WHERE held.count < $2 OR held.window_started_at <= statement_timestamp() - $3 \
                     RETURNING held.count) \
                     SELECT taken.count AS \"count?\", statement_timestamp() AS \"now!: Time\", \
                     COALESCE(seen.window_started_at, statement_timestamp()) AS \"started_at!: Time\" \
                     FROM (VALUES (1)) AS answer LEFT JOIN taken ON TRUE LEFT JOIN seen ON TRUE",
                    take.key,
                    take.max,
                    microseconds(take.window) as _,
                )
                .fetch_one(connection),
            )
        });
        let taken = taken.await?;
        Ok(match taken.count {
            Some(count) => take.allowed(count),
            None => take.refused(taken.started_at.into(), taken.now.into()),
        })
    }
}
