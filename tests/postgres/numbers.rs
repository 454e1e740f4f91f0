//! Numbers of any precision, on PostgreSQL.

use better_auth::adapters::SqlxAdapter;
use sqlx::PgPool;

#[path = "../support/numbers.rs"]
mod promises;

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn numbers_come_back_as_jsonb_writes_them(pool: PgPool) {
    promises::numbers_come_back_as_jsonb_writes_them(&SqlxAdapter::from_pool(pool)).await;
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn numbers_beyond_jsonb_are_refused(pool: PgPool) {
    promises::numbers_beyond_jsonb_are_refused(&SqlxAdapter::from_pool(pool)).await;
}
