//! The PostgreSQL adapter keeps every promise, each tested on a database of its own, whatever its settings.

use better_auth::adapters::SqlxAdapter;
use sqlx::PgPool;

better_auth::conformance_tests!(
    #[sqlx::test(migrator = "better_auth::MIGRATOR")]
    (pool: PgPool) => SqlxAdapter::from_pool(pool),
    groups: all,
);

/// With session tokens stored as digests.
mod hashed {
    use better_auth::adapters::{SqlxAdapter, SqlxAdapterBuilder};
    use sqlx::PgPool;

    async fn hashing(pool: PgPool) -> SqlxAdapter {
        let builder = SqlxAdapterBuilder::from_pool(pool).hash_session_tokens(true);
        builder.connect().await.unwrap()
    }

    better_auth::conformance_tests!(
        #[sqlx::test(migrator = "better_auth::MIGRATOR")]
        (pool: PgPool) => hashing(pool).await,
        groups: all,
    );
}

/// Where every transaction is serializable by default, as on some engines that speak PostgreSQL's protocol.
mod serializable {
    use better_auth::adapters::SqlxAdapter;
    use sqlx::PgPool;

    use crate::support::serializable;

    better_auth::conformance_tests!(
        #[sqlx::test(migrator = "better_auth::MIGRATOR")]
        (pool: PgPool) => SqlxAdapter::from_pool(serializable(&pool, 5).await),
        groups: all,
    );
}

#[tokio::test]
async fn a_database_is_up() {
    crate::support::require_database().await;
}
