//! The PostgreSQL adapter keeps every promise, each tested on a database of its own, whatever its settings.

use std::{env, fs};

use better_auth::adapters::SqlxAdapter;
use sqlx::{AssertSqlSafe, PgPool};

/// The pool of a test's own database, after the statements of the file that `just engine-check` may name.
async fn prepared(pool: PgPool) -> PgPool {
    let file = env::var("ENGINE_PREPARE").unwrap_or_default();
    if file.is_empty() {
        return pool;
    }
    let statements = fs::read_to_string(file).unwrap();
    let statements = sqlx::raw_sql(AssertSqlSafe(statements));
    statements.execute(&pool).await.unwrap();
    // New connections have the settings that the statements gave the database.
    let options = pool.connect_options().as_ref().clone();
    let pool = PgPool::connect_with(options).await.unwrap();
    let database = SqlxAdapter::from_pool(pool.clone());
    database.migrate().await.unwrap();
    pool
}

better_auth::conformance_tests!(
    #[sqlx::test(migrator = "crate::support::MIGRATED")]
    (pool: PgPool) => SqlxAdapter::from_pool(prepared(pool).await),
    groups: all,
);

/// With session tokens and values of verifications stored as digests.
mod hashed {
    use better_auth::adapters::{SqlxAdapter, SqlxAdapterBuilder, VerificationKeys};
    use sqlx::PgPool;

    async fn hashing(pool: PgPool) -> SqlxAdapter {
        let keys = VerificationKeys::new([1; 32]).with_previous([2; 32]);
        let builder = SqlxAdapterBuilder::from_pool(super::prepared(pool).await)
            .hash_session_tokens(true)
            .verification_keys(keys);
        builder.connect().await.unwrap()
    }

    better_auth::conformance_tests!(
        #[sqlx::test(migrator = "crate::support::MIGRATED")]
        (pool: PgPool) => hashing(pool).await,
        groups: all,
    );
}

/// With digests alone looked up.
mod hashed_only {
    use better_auth::adapters::{SessionTokens, SqlxAdapter, SqlxAdapterBuilder};
    use sqlx::PgPool;

    async fn hashed_only(pool: PgPool) -> SqlxAdapter {
        let builder = SqlxAdapterBuilder::from_pool(super::prepared(pool).await);
        let builder = builder.session_tokens(SessionTokens::HashedOnly);
        builder.connect().await.unwrap()
    }

    better_auth::conformance_tests!(
        #[sqlx::test(migrator = "crate::support::MIGRATED")]
        (pool: PgPool) => hashed_only(pool).await,
        groups: [session_updates, session_refresh, session_ids, bans, transactions],
    );
}

/// Where every transaction is serializable by default, as on some engines that speak PostgreSQL's protocol.
mod serializable {
    use better_auth::adapters::SqlxAdapter;
    use sqlx::PgPool;

    use super::prepared;
    use crate::support::serializable;

    better_auth::conformance_tests!(
        #[sqlx::test(migrator = "crate::support::MIGRATED")]
        (pool: PgPool) => SqlxAdapter::from_pool(serializable(&prepared(pool).await, 5).await),
        groups: all,
    );
}

/// With a session cache, which sees what another program has done as well.
mod cached {
    use better_auth::adapters::{SessionCache, SqlxAdapter};
    use sqlx::PgPool;

    use crate::session_cache::builder;
    use crate::support::url;

    async fn caching(pool: PgPool) -> SqlxAdapter {
        let builder = builder(&url(&super::prepared(pool).await), SessionCache::exact());
        builder.connect().await.unwrap()
    }

    better_auth::conformance_tests!(
        #[sqlx::test(migrator = "crate::support::MIGRATED")]
        (pool: PgPool) => caching(pool).await,
        groups: [
            session_updates, session_refresh, session_ids, bans, account_links, identifier_tokens, codes, reservations,
            transactions,
        ],
    );
}

#[tokio::test]
async fn a_database_is_up() {
    crate::support::require_database().await;
}
