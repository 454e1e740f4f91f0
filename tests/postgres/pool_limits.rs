//! The pool's numbers hold, as the server counts its backends.

use std::time::{Duration, Instant};

use better_auth::adapters::{DatabaseAdapter as _, PoolConfig, SqlxAdapter};
use sqlx::PgPool;

use crate::support::url;

/// An adapter whose backends the server knows by their application's name.
async fn named(pool: &PgPool, config: PoolConfig) -> SqlxAdapter {
    let url = url(pool);
    let base = url.split('?').next().unwrap();
    let url = format!("{base}?application_name=of_the_pool");
    SqlxAdapter::with_config(&url, config).await.unwrap()
}

async fn pids(pool: &PgPool) -> Vec<i32> {
    let pids = "SELECT pid FROM pg_stat_activity \
                WHERE datname = current_database() AND application_name = 'of_the_pool' ORDER BY pid";
    sqlx::query_scalar(pids).fetch_all(pool).await.unwrap()
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Holds so many connections at once.
async fn hold(database: &SqlxAdapter, count: usize) {
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(database.acquire().await.unwrap());
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn idle_connections_are_closed_down_to_the_minimum(pool: PgPool) {
    for min_connections in [0, 2] {
        let config = PoolConfig {
            max_connections: 5,
            min_connections,
            idle_timeout: Some(Duration::from_millis(300)),
            ..PoolConfig::default()
        };
        let database = named(&pool, config).await;
        hold(&database, 5).await;
        let left = usize::try_from(min_connections).unwrap();
        until("the others are closed", async || {
            let open = pids(&pool).await.len();
            assert!(open >= left, "no more than those");
            open == left
        })
        .await;
        // These stay, however idle they are.
        let kept = pids(&pool).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(pids(&pool).await, kept);
        // It serves on.
        hold(&database, 5).await;
        database.get_user_by_id("nobody").await.unwrap();
        database.close().await;
        until("all are closed", async || pids(&pool).await.is_empty()).await;
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_minimum_is_open_while_nothing_happens(pool: PgPool) {
    let config = PoolConfig {
        max_connections: 5,
        min_connections: 3,
        ..PoolConfig::default()
    };
    let database = named(&pool, config).await;
    until("three are open", async || pids(&pool).await.len() == 3).await;
    // More than one round of upkeep.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pids(&pool).await.len(), 3, "no more than that");
    for _ in 0..2 {
        let before = pids(&pool).await;
        for pid in &before {
            let end = sqlx::query("SELECT pg_terminate_backend($1)").bind(pid);
            end.execute(&pool).await.unwrap();
        }
        // A dead connection shows when it is used, and leaves the pool then.
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(database.acquire().await.unwrap());
        }
        for connection in &mut held {
            let _ = sqlx::query("SELECT 1").execute(&mut **connection).await;
        }
        drop(held);
        until("three others are open", async || {
            let pids = pids(&pool).await;
            // Callers may have opened one more meanwhile.
            pids.len() >= 3 && pids.iter().all(|pid| !before.contains(pid))
        })
        .await;
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn old_connections_are_replaced(pool: PgPool) {
    let config = PoolConfig {
        max_connections: 2,
        min_connections: 1,
        max_lifetime: Some(Duration::from_millis(500)),
        ..PoolConfig::default()
    };
    let database = named(&pool, config).await;
    hold(&database, 2).await;
    let before = pids(&pool).await;
    let mut most = 0;
    until("they are replaced, busy or idle", async || {
        database.get_user_by_id("nobody").await.unwrap();
        let pids = pids(&pool).await;
        most = most.max(pids.len());
        !pids.is_empty() && pids.iter().all(|pid| !before.contains(pid))
    })
    .await;
    // One that was closed may be seen until its backend has ended.
    assert!(most <= 4, "{most}");
}
