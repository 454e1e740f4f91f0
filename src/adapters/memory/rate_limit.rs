//! Rate limits.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::store::{Access, Repository, View, lost_to_another};
use super::stripes::Stripes;
use super::table::Row;
use crate::AuthResult;
use crate::adapters::input::Take;
use crate::types::RateLimit;

/// How many calls of a key were counted in its window. No list has the row, so all of it but the key may change.
#[derive(Clone)]
pub(super) struct StoredRateLimit {
    key: String,
    count: i32,
    window_started_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl Row for StoredRateLimit {
    fn key(&self) -> &str {
        &self.key
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.window_started_at
    }

    fn owner(&self) -> &str {
        &self.key
    }
}

impl<A: Access> Repository<A> {
    /// The store, which has its table from the start.
    pub(super) fn rate_limits(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) fn take(&self, key: &str, max: u32, window: Duration) -> AuthResult<RateLimit> {
        let take = Take::new(key, max, window)?;
        let now = self.0.clock().now();
        self.0.write_with_redo(
            |_| Stripes::of(key),
            |view| Ok(count(view, &take, now)),
            // Others may have filled the window until the commit.
            |limit| {
                let (take, was_allowed) = (take.clone(), limit.allowed);
                Box::new(move |view| {
                    if was_allowed && !count(view, &take, now).allowed {
                        return Err(lost_to_another("rate limit"));
                    }
                    Ok(())
                })
            },
        )
    }

    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method takes one lifetime of views"
    )]
    pub(super) fn delete_ended_rate_limits(&self) -> AuthResult<usize> {
        self.delete_dead(
            |view| view.rate_limits(),
            |row, now_micros| row.expires_at.timestamp_micros() <= now_micros,
        )
    }
}

fn count(view: &mut View<'_>, take: &Take, now: DateTime<Utc>) -> RateLimit {
    let mut rate_limits = view.rate_limits();
    let Some(mut row) = rate_limits.get(&take.key) else {
        rate_limits.insert(StoredRateLimit {
            key: take.key.clone(),
            count: 1,
            window_started_at: now,
            expires_at: take.end(now),
        });
        return take.allowed(1);
    };
    if take.end(row.window_started_at) <= now {
        row.window_started_at = now;
        row.count = 0;
    }
    if row.count >= take.max {
        return take.refused(row.window_started_at, now);
    }
    row.count += 1;
    row.expires_at = row.expires_at.max(take.end(row.window_started_at));
    let allowed = take.allowed(row.count);
    rate_limits.replace(row);
    allowed
}
