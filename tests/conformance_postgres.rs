//! The PostgreSQL adapter keeps every promise, each tested on a database of its own.

use std::sync::Arc;

use better_auth::adapters::SqlxAdapter;
use sqlx::PgPool;

better_auth::conformance_tests!(
    #[sqlx::test(migrator = "better_auth::MIGRATOR")]
    (pool: PgPool) => SqlxAdapter::from_pool(pool)
);

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn no_provided_method_is_missing(pool: PgPool) {
    let adapter = Arc::new(SqlxAdapter::from_pool(pool));
    better_auth::conformance::supports_every_provided_method(adapter).await;
}

mod support;

#[tokio::test]
async fn a_database_is_up() {
    support::require_database().await;
}
