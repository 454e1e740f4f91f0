//! What the adapter does through PgBouncer. `just pgbouncer-check` runs this; `just test` does not, as it would need
//! one.

use better_auth::AuthError;
use better_auth::adapters::{PoolConfig, SessionCache, SqlxAdapter};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::support::pgbouncer::PgBouncer;

const TRIES: u32 = 100;

/// The pool mode of the conformance suite.
fn pool_mode() -> String {
    std::env::var("POOL_MODE").unwrap_or_else(|_| "session".to_owned())
}

async fn through(pgbouncer: &PgBouncer, pool: &PgPool) -> SqlxAdapter {
    SqlxAdapter::new(&pgbouncer.url(pool)).await.unwrap()
}

/// Every promise holds through PgBouncer.
mod conformance {
    use better_auth::adapters::SqlxAdapter;

    use super::{PgBouncer, pool_mode, through};
    use crate::support::shared_database;

    /// The caller keeps the PgBouncer until the end of the test.
    async fn through_own(kept: &mut Option<PgBouncer>) -> SqlxAdapter {
        let pool = shared_database::take("conformance").await;
        let pool_mode = format!("pool_mode = {}", pool_mode());
        let pgbouncer = kept.insert(PgBouncer::start(&pool, &[&pool_mode]));
        through(pgbouncer, &pool).await
    }

    better_auth::conformance_tests!(
        through_own(&mut None).await,
        groups: all,
    );
}

/// Whether the check finds something wrong, each time, with all the advice.
async fn is_found(database: &SqlxAdapter) -> u32 {
    let mut found = 0;
    for _ in 0..TRIES {
        match database.check_pooler().await {
            Ok(()) => {}
            Err(AuthError::Database { message, .. }) => {
                assert!(
                    message.starts_with("check_pooler on database \"_sqlx_test_"),
                    "{message}"
                );
                assert!(message.contains("at 127.0.0.1:"), "{message}");
                assert!(
                    message.contains("max_prepared_statements above 0"),
                    "{message}"
                );
                found += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    found
}

/// Starts a PgBouncer with the settings in transaction mode and says how often the check finds it.
async fn found_in_transaction_mode(pool: &PgPool, settings: &[&str]) -> u32 {
    let settings = [&["pool_mode = transaction"], settings].concat();
    let pgbouncer = PgBouncer::start(pool, &settings);
    is_found(&through(&pgbouncer, pool).await).await
}

/// Settings under which one server connection serves all, each client gets the next one, or none was used before.
const DANGEROUS: [&[&str]; 5] = [
    &[],
    &["default_pool_size = 1"],
    &["default_pool_size = 2", "server_round_robin = 1"],
    &["min_pool_size = 20", "server_round_robin = 1"],
    &["server_lifetime = 0"],
];

#[sqlx::test(migrations = false)]
async fn a_pooler_that_mixes_up_statements_is_found(pool: PgPool) {
    for settings in DANGEROUS {
        let found = found_in_transaction_mode(&pool, settings).await;
        assert!(
            found >= TRIES - 1,
            "{settings:?}: found in {found} of {TRIES} tries"
        );
    }
}

#[sqlx::test(migrations = false)]
async fn a_pooler_under_load_is_found_too(pool: PgPool) {
    let pgbouncer = PgBouncer::start(&pool, &["pool_mode = transaction"]);
    let url = pgbouncer.url(&pool);
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let options = url.parse::<sqlx::postgres::PgConnectOptions>().unwrap();
        let mut client = PgConnection::connect_with(&options.extra_float_digits(None))
            .await
            .unwrap();
        load.spawn(async move {
            loop {
                // The simple protocol, so without a prepared statement that the check could fall over.
                sqlx::raw_sql("SELECT pg_sleep(0.0001)")
                    .execute(&mut client)
                    .await
                    .unwrap();
            }
        });
    }
    let found = is_found(&through(&pgbouncer, &pool).await).await;
    load.shutdown().await;
    assert!(found >= TRIES - 1, "found in {found} of {TRIES} tries");
}

#[sqlx::test(migrations = false)]
async fn session_mode_raises_no_alarm(pool: PgPool) {
    let pgbouncer = PgBouncer::start(&pool, &[]);
    assert_eq!(is_found(&through(&pgbouncer, &pool).await).await, 0);
}

#[sqlx::test(migrations = false)]
async fn a_server_raises_no_alarm(pool: PgPool) {
    let database = SqlxAdapter::new(&crate::support::url(&pool)).await.unwrap();
    assert_eq!(is_found(&database).await, 0);
}

#[sqlx::test(migrations = false)]
#[ignore = "needs PgBouncer 1.21 or later, by PGBOUNCER"]
async fn prepared_statements_in_transaction_mode_raise_no_alarm(pool: PgPool) {
    // The last would take a new connection to the server for every question.
    for settings in &DANGEROUS[..DANGEROUS.len() - 1] {
        let settings = [*settings, &["max_prepared_statements = 200"]].concat();
        let found = found_in_transaction_mode(&pool, &settings).await;
        assert_eq!(found, 0, "{settings:?}");
    }
}

#[sqlx::test(migrations = false)]
#[ignore = "needs PgBouncer 1.21 or later, by PGBOUNCER"]
async fn transaction_mode_without_prepared_statements_is_found(pool: PgPool) {
    for settings in DANGEROUS {
        let settings = [settings, &["max_prepared_statements = 0"]].concat();
        let found = found_in_transaction_mode(&pool, &settings).await;
        assert!(
            found >= TRIES - 1,
            "{settings:?}: found in {found} of {TRIES} tries"
        );
    }
}

/// What notifies the listening connection would reach whichever client has its process by then, or nobody.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
#[ignore = "needs PgBouncer 1.21 or later, by PGBOUNCER"]
async fn a_session_cache_refuses_a_pooler_that_shares_its_connection(pool: PgPool) {
    let listening_through = async |settings: &[&str]| {
        let pgbouncer = PgBouncer::start(&pool, settings);
        let cache = SessionCache::exact().listen_url(pgbouncer.url(&pool));
        let builder = SqlxAdapter::builder(&crate::support::url(&pool)).session_cache(cache);
        builder.connect().await.map(drop)
    };
    let transaction_mode = "pool_mode = transaction";
    for also in &DANGEROUS[..3] {
        let settings = [&[transaction_mode], *also].concat();
        let refused = listening_through(&settings).await.unwrap_err();
        let message = refused.to_string();
        assert!(
            message.contains("listen_url") && message.contains("pooler in transaction mode"),
            "{also:?}: {message}"
        );
    }
    listening_through(&["pool_mode = session"]).await.unwrap();
}

/// The check does not take the pool's connections, and comes before the migration.
#[sqlx::test(migrations = false)]
async fn the_builder_refuses_a_dangerous_pooler(pool: PgPool) {
    let pgbouncer = PgBouncer::start(&pool, &["pool_mode = transaction"]);
    let config = PoolConfig {
        max_connections: 1,
        ..PoolConfig::default()
    };
    let builder = || SqlxAdapter::builder(&pgbouncer.url(&pool)).pool_config(config.clone());
    builder().connect().await.unwrap();
    let refused = builder().check_pooler(true).migrate(true).connect().await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("check_pooler on"), "{message}");
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT relname::TEXT FROM pg_class WHERE relname = 'users'")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert!(tables.is_empty(), "{tables:?}");
}

/// Someone who holds all of the pooler's connections keeps the check from its answers, but not for ever.
#[sqlx::test(migrations = false)]
async fn the_check_waits_no_longer_than_acquire_timeout(pool: PgPool) {
    let pgbouncer = PgBouncer::start(&pool, &["default_pool_size = 1"]);
    let database = through(&pgbouncer, &pool).await;
    let config = PoolConfig {
        acquire_timeout: std::time::Duration::from_millis(300),
        ..PoolConfig::default()
    };
    let impatient = SqlxAdapter::with_config(&pgbouncer.url(&pool), config)
        .await
        .unwrap();
    let held = database.acquire().await.unwrap();
    let error = impatient.check_pooler().await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable { .. }), "{error}");
    drop(held);
}
