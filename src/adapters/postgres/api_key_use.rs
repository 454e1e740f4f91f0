//! The statement that checks an API key and counts its use.

use std::time::Duration;

use super::api_key::{with_api_key_columns, write};
use super::columns::{NullableTime, Time};
use super::digest::token_digest;
use super::repository::Repository;
use crate::AuthResult;
use crate::types::{ApiKey, ApiKeyUse};

/// The statement's answer: [`ApiKey`] with the outcome.
macro_rules! query_used_key {
    (@columns [$before:literal COLUMNS $after:literal, $digest:expr $(,)?] $columns:literal) => {
        sqlx::query!(
            $before + $columns + ", verdict.outcome AS \"outcome!\", verdict.left_micros AS \"left_micros!\"" + $after,
            $digest
        )
    };
    ($($statement:tt)*) => {
        with_api_key_columns! { query_used_key { @columns [$($statement)*] } }
    };
}

impl Repository {
    /// Does what [`use_api_key`](crate::adapters::input::use_api_key) says.
    ///
    /// A key that counts is locked, and judged by what it is then. One that counts nothing is judged as it is seen, and its
    /// last use is written down if that is due, nobody else is doing so, and nobody has changed the key since.
    pub(super) async fn use_key(&self, key: &str) -> AuthResult<ApiKeyUse> {
        let digest = token_digest(key);
        let used = self.run(write("use_key"), |connection| {
            Box::pin(
                query_used_key!(
                    "WITH seen AS MATERIALIZED (SELECT api_keys.* FROM api_keys WHERE api_keys.key = $1), \
                     looked AS MATERIALIZED (SELECT seen.id, CASE \
                     WHEN NOT seen.enabled THEN 'disabled' \
                     WHEN seen.expires_at <= statement_timestamp() THEN 'expired' \
                     WHEN seen.remaining IS NOT NULL OR (seen.rate_limit_enabled \
                     AND seen.rate_limit_time_window IS NOT NULL AND seen.rate_limit_max IS NOT NULL) THEN 'counts' \
                     WHEN seen.last_request > statement_timestamp() - INTERVAL '1 minute' THEN 'accepted' \
                     ELSE 'due' END AS state FROM seen), \
                     held AS MATERIALIZED (SELECT api_keys.* FROM api_keys WHERE api_keys.key = $1 \
                     AND EXISTS (SELECT FROM looked WHERE looked.state = 'counts') FOR UPDATE), \
                     measured AS MATERIALIZED (SELECT held.enabled, held.expires_at, held.request_count, held.rate_limit_max, \
                     held.rate_limit_enabled AND held.rate_limit_time_window IS NOT NULL \
                     AND held.rate_limit_max IS NOT NULL AS is_limited, \
                     (held.rate_limit_window_started_at AT TIME ZONE 'UTC' \
                     + held.rate_limit_time_window * INTERVAL '1 millisecond') AT TIME ZONE 'UTC' AS window_end, \
                     held.remaining IS NOT NULL AND held.refill_interval IS NOT NULL AND held.refill_amount IS NOT NULL \
                     AND (COALESCE(held.last_refill_at, held.created_at) AT TIME ZONE 'UTC' \
                     + held.refill_interval * INTERVAL '1 millisecond') AT TIME ZONE 'UTC' \
                     <= statement_timestamp() AS is_refilled, held.refill_amount, held.remaining FROM held), \
                     judged AS MATERIALIZED (SELECT measured.is_limited, measured.is_refilled, \
                     COALESCE(measured.window_end > statement_timestamp(), FALSE) AS is_running, measured.window_end, \
                     CASE WHEN measured.window_end > statement_timestamp() THEN measured.request_count ELSE 0 END AS used, \
                     CASE WHEN measured.is_refilled THEN measured.refill_amount ELSE measured.remaining END AS uses_left, \
                     CASE WHEN NOT measured.enabled THEN 'disabled' \
                     WHEN measured.expires_at <= statement_timestamp() THEN 'expired' \
                     WHEN measured.is_limited AND measured.window_end > statement_timestamp() \
                     AND measured.request_count >= measured.rate_limit_max THEN 'limited' \
                     WHEN CASE WHEN measured.is_refilled THEN measured.refill_amount ELSE measured.remaining END <= 0 \
                     THEN 'used up' ELSE 'accepted' END AS outcome FROM measured), \
                     counted AS (UPDATE api_keys SET remaining = judged.uses_left - 1, \
                     last_refill_at = CASE WHEN judged.is_refilled \
                     THEN date_trunc('milliseconds', statement_timestamp()) ELSE api_keys.last_refill_at END, \
                     request_count = CASE WHEN judged.is_limited THEN LEAST(judged.used::BIGINT + 1, 2147483647)::INTEGER \
                     ELSE api_keys.request_count END, \
                     rate_limit_window_started_at = CASE WHEN judged.is_limited AND NOT judged.is_running \
                     THEN date_trunc('milliseconds', statement_timestamp()) ELSE api_keys.rate_limit_window_started_at END, \
                     last_request = date_trunc('milliseconds', statement_timestamp()) \
                     FROM judged WHERE api_keys.key = $1 AND judged.outcome = 'accepted' RETURNING api_keys.*), \
                     touched AS (UPDATE api_keys SET last_request = date_trunc('milliseconds', statement_timestamp()) \
                     WHERE api_keys.id = (SELECT api_keys.id FROM api_keys WHERE api_keys.key = $1 \
                     AND EXISTS (SELECT FROM looked WHERE looked.state = 'due') AND (api_keys.last_request IS NULL \
                     OR api_keys.last_request <= statement_timestamp() - INTERVAL '1 minute') \
                     AND api_keys.updated_at = (SELECT seen.updated_at FROM seen) FOR NO KEY UPDATE SKIP LOCKED) \
                     RETURNING api_keys.*), \
                     verdict AS (SELECT CASE WHEN looked.state = 'due' THEN 'accepted' \
                     WHEN looked.state <> 'counts' THEN looked.state \
                     ELSE COALESCE((SELECT judged.outcome FROM judged), 'gone') END AS outcome, \
                     COALESCE((SELECT (EXTRACT(EPOCH FROM judged.window_end - statement_timestamp()) * 1000000)::BIGINT \
                     FROM judged), 0) AS left_micros FROM looked) \
                     SELECT " COLUMNS " FROM verdict, (SELECT * FROM counted UNION ALL SELECT * FROM touched \
                     UNION ALL SELECT * FROM seen WHERE NOT EXISTS (SELECT FROM counted) \
                     AND NOT EXISTS (SELECT FROM touched)) AS answer",
                    digest,
                )
                .fetch_optional(connection),
            )
        });
        let Some(row) = used.await? else {
            return Ok(ApiKeyUse::NotFound);
        };
        Ok(match row.outcome.as_str() {
            "accepted" => ApiKeyUse::Accepted(ApiKey {
                id: row.id,
                name: row.name,
                start: row.start,
                prefix: row.prefix,
                user_id: row.user_id,
                organization_id: row.organization_id,
                config_id: row.config_id,
                refill_interval: row.refill_interval,
                refill_amount: row.refill_amount,
                last_refill_at: row.last_refill_at.into(),
                enabled: row.enabled,
                rate_limit_enabled: row.rate_limit_enabled,
                rate_limit_time_window: row.rate_limit_time_window,
                rate_limit_max: row.rate_limit_max,
                rate_limit_window_started_at: row.rate_limit_window_started_at.into(),
                request_count: row.request_count,
                remaining: row.remaining,
                last_request: row.last_request.into(),
                expires_at: row.expires_at.into(),
                permissions: row.permissions,
                metadata: row.metadata,
                created_at: row.created_at.into(),
                updated_at: row.updated_at.into(),
            }),
            "disabled" => ApiKeyUse::Disabled,
            "expired" => ApiKeyUse::Expired,
            "limited" => ApiKeyUse::RateLimited {
                retry_after: Duration::from_micros(row.left_micros.max(0).unsigned_abs()),
            },
            "used up" => ApiKeyUse::UsedUp,
            // Deleted since it was seen.
            _ => ApiKeyUse::NotFound,
        })
    }
}
