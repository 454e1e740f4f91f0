//! What depends on the clock, on PostgreSQL: a function of the same name in front of `pg_catalog` is the clock.

use better_auth::adapters::SqlxAdapter;
use better_auth::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::support::execute;
use promises::{Clock, start};

#[path = "../support/clocks.rs"]
mod promises;
#[path = "../support/store_clocks.rs"]
mod stores;

struct PostgresClock(PgPool);

#[async_trait]
impl Clock for PostgresClock {
    async fn set(&self, time: DateTime<Utc>) {
        execute(
            &self.0,
            &format!("UPDATE clock.hands SET time = '{}'", time.to_rfc3339()),
        )
        .await;
    }
}

/// An adapter on a test's own database, whose clock this statement reads.
async fn with_clock(pool: &PgPool, time: &str) -> SqlxAdapter {
    execute(
        pool,
        &format!(
            "CREATE SCHEMA clock; CREATE TABLE clock.hands (time TIMESTAMPTZ NOT NULL); \
             INSERT INTO clock.hands VALUES (now()); \
             CREATE FUNCTION clock.statement_timestamp() RETURNS TIMESTAMPTZ LANGUAGE sql STABLE AS '{time}'"
        ),
    )
    .await;
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("search_path", "clock,pg_catalog,public")]);
    let with_clock = PgPoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await
        .unwrap();
    SqlxAdapter::from_pool(with_clock)
}

/// An adapter whose clock reads `start()` until it is set.
async fn postgres(pool: &PgPool) -> (SqlxAdapter, PostgresClock) {
    let adapter = with_clock(pool, "SELECT time FROM clock.hands").await;
    let clock = PostgresClock(pool.clone());
    clock.set(start()).await;
    (adapter, clock)
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn updated_at_moves_forward(pool: PgPool) {
    let (adapter, clock) = postgres(&pool).await;
    promises::updated_at_moves_forward(&adapter, &clock).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn equal_is_expired(pool: PgPool) {
    let (adapter, clock) = postgres(&pool).await;
    promises::equal_is_expired(&adapter, &clock).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn ties_are_broken_by_id(pool: PgPool) {
    let (adapter, _clock) = postgres(&pool).await;
    promises::ties_are_broken_by_id(&adapter).await;
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn bans_links_and_refreshes_move_forward(pool: PgPool) {
    let (adapter, clock) = postgres(&pool).await;
    promises::bans_links_and_refreshes_move_forward(&adapter, &clock).await;
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn equal_is_expired_for_codes_and_markers(pool: PgPool) {
    let (adapter, clock) = postgres(&pool).await;
    promises::equal_is_expired_for_codes_and_markers(&adapter, &clock).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn ties_of_codes_are_broken_by_id(pool: PgPool) {
    let (adapter, _clock) = postgres(&pool).await;
    promises::ties_of_codes_are_broken_by_id(&adapter).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn equal_is_expired_for_device_codes(pool: PgPool) {
    let (adapter, clock) = postgres(&pool).await;
    stores::equal_is_expired_for_device_codes(&adapter, &clock).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn equal_is_expired_for_signing_keys(pool: PgPool) {
    let (adapter, clock) = postgres(&pool).await;
    stores::equal_is_expired_for_signing_keys(&adapter, &clock).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn equal_is_expired_for_locks(pool: PgPool) {
    let (adapter, clock) = postgres(&pool).await;
    stores::equal_is_expired_for_locks(&adapter, &clock).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn equal_is_expired_for_invitations(pool: PgPool) {
    let (adapter, clock) = postgres(&pool).await;
    stores::equal_is_expired_for_invitations(&adapter, &clock).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn equal_is_expired_for_api_keys(pool: PgPool) {
    let (adapter, clock) = postgres(&pool).await;
    stores::equal_is_expired_for_api_keys(&adapter, &clock).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn ties_in_stores_are_broken_by_id(pool: PgPool) {
    let (adapter, _clock) = postgres(&pool).await;
    stores::ties_in_stores_are_broken_by_id(&adapter).await;
}

/// The conformance suite takes its times from the store, so that it passes where the two clocks differ.
#[cfg(feature = "conformance")]
mod behind {
    use std::sync::Arc;

    use better_auth::conformance::{Adapter, cases};
    use sqlx::PgPool;

    /// An adapter whose clock is 200 milliseconds behind that of the tests.
    async fn behind(pool: &PgPool) -> Adapter {
        let time = "SELECT pg_catalog.statement_timestamp() - INTERVAL ''200 milliseconds''";
        Arc::new(super::with_clock(pool, time).await)
    }

    #[sqlx::test(migrator = "crate::support::MIGRATED")]
    async fn only_live_sessions_are_found(pool: PgPool) {
        cases::session::only_live_sessions_are_found(behind(&pool).await).await;
    }

    #[sqlx::test(migrator = "crate::support::MIGRATED")]
    async fn time_goes_on_inside(pool: PgPool) {
        cases::transaction_views::time_goes_on_inside(behind(&pool).await).await;
    }
}
