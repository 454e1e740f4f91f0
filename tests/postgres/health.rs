//! What `health` says, whatever the server does.

use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter, Health, PoolConfig, PoolerHealth, SqlxAdapter};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::support::{adapter, execute, url};

/// It answers in bounded time, so much earlier than this.
async fn health(database: &SqlxAdapter) -> Health {
    let bounded = tokio::time::timeout(Duration::from_secs(30), database.health());
    bounded.await.unwrap()
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_adapter_at_work_is_ready(pool: PgPool) {
    let database = adapter(&pool).await;
    let found = health(&database).await;
    assert!(found.is_ready, "{found:?}");
    assert!(found.connection.is_up && found.connection.error.is_none());
    let migrations = found.migrations.unwrap();
    assert!(migrations.is_up_to_date && migrations.applied > 0);
    assert_eq!((migrations.pending, migrations.unknown), (0, 0));
    assert_eq!(found.pooler, PoolerHealth::Unchecked);
    assert_eq!((found.pool.max_connections, found.pool.waiting), (4, 0));
    assert_eq!(found.pool.advice, None);
    assert_eq!(found.session_cache, None);

    database.check_pooler().await.unwrap();
    let found = health(&database).await;
    assert_eq!(found.pooler, PoolerHealth::Safe);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["isReady"], true);
    assert_eq!(json["connection"]["isUp"], true);
    assert_eq!(json["migrations"]["isUpToDate"], true);
    assert_eq!(json["pooler"], "safe");
    assert_eq!(json["pool"]["maxConnections"], 4);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_pool_of_the_applications_is_told_of_too(pool: PgPool) {
    let found = health(&SqlxAdapter::from_pool(pool.clone())).await;
    assert!(found.is_ready, "{found:?}");
    let max = pool.options().get_max_connections();
    assert_eq!(found.pool.max_connections, max);
}

#[sqlx::test(migrations = false)]
async fn a_database_that_is_not_migrated_is_up_and_not_ready(pool: PgPool) {
    let database = adapter(&pool).await;
    let found = health(&database).await;
    assert!(found.connection.is_up && !found.is_ready, "{found:?}");
    let all = found.migrations.unwrap();
    assert!(!all.is_up_to_date && all.applied == 0 && all.pending > 0);

    database.migrate().await.unwrap();
    assert!(health(&database).await.is_ready);
    execute(
        &pool,
        "DELETE FROM _better_auth_migrations WHERE version = 1",
    )
    .await;
    let migrations = health(&database).await.migrations.unwrap();
    assert_eq!(
        (migrations.applied, migrations.pending),
        (all.pending - 1, 1)
    );
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_newer_version_at_work_does_not_stop_an_older_one(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO _better_auth_migrations VALUES (999999, 'newer', now(), TRUE, '', 0)",
    )
    .await;
    let found = health(&adapter(&pool).await).await;
    assert!(found.is_ready);
    assert_eq!(found.migrations.unwrap().unknown, 1);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_server_that_does_not_answer_is_told_of_in_time(pool: PgPool) {
    let database = adapter(&pool).await;
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE _better_auth_migrations")
        .execute(&mut *lock)
        .await
        .unwrap();
    let found = health(&database).await;
    assert!(!found.is_ready && !found.connection.is_up);
    let error = found.connection.error.unwrap();
    assert!(error.starts_with("health on database"), "{error}");
    lock.rollback().await.unwrap();
    assert!(health(&database).await.is_ready);

    database.close().await;
    let found = health(&database).await;
    assert!(!found.is_ready && found.migrations.is_none());
}

/// Where nothing listens, or the role may not look.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_cause_is_told(pool: PgPool) {
    let nowhere = PgPoolOptions::new().connect_lazy("postgresql://localhost:1/none");
    let found = health(&SqlxAdapter::from_pool(nowhere.unwrap())).await;
    assert!(!found.connection.is_up && !found.is_ready);
    let error = found.connection.error.unwrap().to_lowercase();
    assert!(error.contains("refused"), "{error}");

    let database = adapter(&pool).await;
    execute(
        &pool,
        "ALTER TABLE _better_auth_migrations RENAME COLUMN version TO number",
    )
    .await;
    let found = health(&database).await;
    assert!(found.connection.is_up && !found.is_ready, "{found:?}");
    assert!(found.connection.error.unwrap().contains("version"));
    assert_eq!(found.migrations, None);
}

/// Whether an idle connection lives is asked each time, which is no wait for one.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_idle_connection_of_the_applications_is_not_waited_for(pool: PgPool) {
    let mut all = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        all.push(pool.acquire().await.unwrap());
    }
    drop(all);
    while pool.num_idle() < pool.size() as usize {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let database = SqlxAdapter::from_pool(pool);
    for _ in 0..1000 {
        database.get_user_by_id("nobody").await.unwrap();
    }
    let found = health(&database).await;
    assert_eq!(found.pool.advice, None, "{found:?}");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn callers_that_wait_lead_to_advice(pool: PgPool) {
    let config = PoolConfig {
        max_connections: 1,
        ..PoolConfig::default()
    };
    let connected = SqlxAdapter::with_config(&url(&pool), config).await;
    let database = connected.unwrap();
    let held = database.acquire().await.unwrap();
    let lookups = (0..3).map(|_| {
        let database = database.clone();
        tokio::spawn(async move { database.get_user_by_email("ada@example.com").await })
    });
    let lookups: Vec<_> = lookups.collect();
    while health(&database).await.pool.seconds_with_waits < 2.0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(health(&database).await.pool.waiting >= 3);
    drop(held);
    for lookup in lookups {
        assert_eq!(lookup.await.unwrap().unwrap(), None);
    }
    let advice = health(&database).await.pool.advice.unwrap();
    assert!(
        advice.contains("of the last 10: raise max_connections to about"),
        "{advice}"
    );
}
