//! The PostgreSQL adapter keeps every promise, each tested on an empty database, whatever its settings.

use better_auth::adapters::SqlxAdapter;

use crate::support::shared_database;

better_auth::conformance_tests!(
    SqlxAdapter::from_pool(shared_database::take("conformance").await),
    groups: all,
);

/// With session tokens and values of verifications stored as digests.
mod hashed {
    use better_auth::adapters::{SqlxAdapter, SqlxAdapterBuilder, VerificationKeys};

    use crate::support::shared_database;

    async fn hashing() -> SqlxAdapter {
        let keys = VerificationKeys::new([1; 32]).with_previous([2; 32]);
        let builder = SqlxAdapterBuilder::from_pool(shared_database::take("conformance").await)
            .hash_session_tokens(true)
            .verification_keys(keys);
        builder.connect().await.unwrap()
    }

    better_auth::conformance_tests!(
        hashing().await,
        groups: all,
    );
}

/// With digests alone looked up.
mod hashed_only {
    use better_auth::adapters::{SessionTokens, SqlxAdapter, SqlxAdapterBuilder};

    use crate::support::shared_database;

    async fn hashed_only() -> SqlxAdapter {
        let builder = SqlxAdapterBuilder::from_pool(shared_database::take("conformance").await);
        let builder = builder.session_tokens(SessionTokens::HashedOnly);
        builder.connect().await.unwrap()
    }

    better_auth::conformance_tests!(
        hashed_only().await,
        groups: [session_updates, session_refresh, session_ids, bans, transactions],
    );
}

/// Where every transaction is serializable by default, as on some engines that speak PostgreSQL's protocol.
mod serializable {
    use better_auth::adapters::SqlxAdapter;

    use crate::support::{serializable, shared_database};

    better_auth::conformance_tests!(
        SqlxAdapter::from_pool(serializable(&shared_database::take("conformance").await, 5).await),
        groups: all,
    );
}

/// Where a statement that meets another one's change fails instead of looking again.
mod repeatable_read {
    use better_auth::adapters::SqlxAdapter;

    use crate::support::{isolated, shared_database};

    async fn repeatable_read() -> SqlxAdapter {
        let pool = shared_database::take("conformance").await;
        SqlxAdapter::from_pool(isolated(&pool, "repeatable read", 5).await)
    }

    better_auth::conformance_tests!(repeatable_read().await, groups: [
        organizations, rate_limits, signing_keys, two_factor, passkeys, device_codes, api_keys,
    ]);
}

/// With a session cache, which sees what another program has done as well.
mod cached {
    use better_auth::adapters::{SessionCache, SqlxAdapter};

    use crate::session_cache::builder;
    use crate::support::{shared_database, url};

    async fn caching() -> SqlxAdapter {
        let pool = shared_database::take("session cache").await;
        let builder = builder(&url(&pool), SessionCache::exact());
        builder.connect().await.unwrap()
    }

    better_auth::conformance_tests!(
        caching().await,
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
