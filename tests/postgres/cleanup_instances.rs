//! The clean-up on PostgreSQL: by one instance at a time, whatever fails.

#[path = "../support/dead_rows.rs"]
mod dead_rows;

use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::types::Removed;
use better_auth::{spawn_cleanup, transaction};
use dead_rows::add_dead_rows;
use sqlx::PgPool;

use crate::support::{adapter, execute};

async fn add_many_dead_rows(pool: &PgPool) {
    execute(pool, "INSERT INTO users (id) VALUES ('1')").await;
    execute(
        pool,
        "INSERT INTO sessions (id, token, user_id, expires_at, active) \
         SELECT i, i, '1', '2020-01-01'::timestamptz + i % 2 * interval '1000 years', i % 2 = 0 \
         FROM generate_series(1, 12000) AS i",
    )
    .await;
    execute(
        pool,
        "INSERT INTO verifications (id, identifier, value, expires_at) \
         SELECT i, 'a', '1', '2020-01-01' FROM generate_series(1, 3000) AS i",
    )
    .await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn another_instance_at_work_is_left_alone(pool: PgPool) {
    let database = adapter(&pool).await;
    add_dead_rows(&database, 2, 2).await;
    // As an instance that is in the middle of a piece.
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), $1 + kind)) FROM generate_series(1, 3) AS kind")
        .bind(0x6265_7474_6572_2d61_i64)
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(database.clean_up().await.unwrap(), Removed::default());
    assert_eq!(database.delete_expired_sessions().await.unwrap(), 2);
    other.rollback().await.unwrap();
    let left = Removed {
        sessions: 0,
        verifications: 2,
    };
    assert_eq!(database.clean_up().await.unwrap(), left);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn many_instances_remove_each_row_once(pool: PgPool) {
    add_many_dead_rows(&pool).await;
    let mut instances = Vec::new();
    for _ in 0..4 {
        let database = adapter(&pool).await;
        instances.push(tokio::spawn(async move { database.clean_up().await }));
    }
    let mut removed = Removed::default();
    for instance in instances {
        removed += instance.await.unwrap().unwrap();
    }
    let all = Removed {
        sessions: 12000,
        verifications: 3000,
    };
    assert_eq!(removed, all);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn in_a_transaction_it_keeps_nobody_waiting(pool: PgPool) {
    let database = adapter(&pool).await;
    add_dead_rows(&database, 2, 1).await;
    let inside = database.begin().await.unwrap();
    let all = Removed {
        sessions: 2,
        verifications: 1,
    };
    assert_eq!(inside.clean_up().await.unwrap(), all);
    assert_eq!(
        database.clean_up().await.unwrap(),
        Removed::default(),
        "the rows are locked"
    );
    inside.rollback().await.unwrap();
    let removed: better_auth::AuthResult<Removed> =
        transaction(&database, |tx| async move { tx.clean_up().await }).await;
    assert_eq!(removed.unwrap(), all);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn it_survives_errors_and_goes_on(pool: PgPool) {
    execute(&pool, "ALTER TABLE sessions RENAME TO sessions_gone").await;
    let database: SqlxAdapter = adapter(&pool).await;
    let cleanup = spawn_cleanup(database.clone(), Duration::from_millis(10)).unwrap();
    let until = async |wanted: &dyn Fn(&better_auth::adapters::CleanupReport) -> bool| {
        let waiting = async {
            while !wanted(&cleanup.report()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap();
    };
    until(&|report| report.failures >= 2).await;
    let error = cleanup.report().last_error.unwrap();
    assert!(error.contains("clean_up"), "{error}");
    execute(&pool, "ALTER TABLE sessions_gone RENAME TO sessions").await;
    add_dead_rows(&database, 2, 0).await;
    until(&|report| report.removed.sessions == 2 && report.last_error.is_none()).await;
}
