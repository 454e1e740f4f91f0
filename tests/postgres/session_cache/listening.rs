//! The listening connection: it is lost, falls silent, ends, and moves to another runtime.

use std::time::{Duration, Instant};

use better_auth::AuthError;
use better_auth::adapters::{DatabaseAdapter as _, SessionCache};
use better_auth::types::UpdateSession;
use sqlx::{AssertSqlSafe, PgPool, Row as _};

use super::{builder, caching, exact, finds, signed_in, stats, until, until_it_listens, warm};
use crate::support::proxy::Proxy;
use crate::support::{execute, url};

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_lost_connection_costs_no_answer_and_it_listens_again(pool: PgPool) {
    let database = exact(&pool).await;
    let (session, _) = signed_in(&database).await;
    for round in 0..5 {
        until_it_listens(&database, &session.token).await;
        let ended = "SELECT count(pg_terminate_backend(pid))";
        assert_eq!(listening(&pool, ended).await, 1, "one listening connection");
        // The cache may not have noticed yet.
        let agent = Some(Some(round.to_string()));
        let change = UpdateSession {
            user_agent: agent.clone(),
            ..UpdateSession::default()
        };
        database
            .update_session(&session.token, change)
            .await
            .unwrap();
        let found = database.get_session(&session.token).await.unwrap().unwrap();
        assert_eq!(Some(found.user_agent), agent);
    }
    assert!(stats(&database).bypasses > 0 && stats(&database).time_in_fallback > Duration::ZERO);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_silent_connection_costs_no_answer(pool: PgPool) {
    let options = pool.connect_options();
    let proxy = Proxy::start((options.get_host(), options.get_port())).await;
    let through_proxy = options
        .as_ref()
        .clone()
        .host("127.0.0.1")
        .port(proxy.port());
    let listen_url = sqlx::ConnectOptions::to_url_lossy(&through_proxy);
    for cache in [
        SessionCache::exact(),
        SessionCache::bounded(Duration::from_millis(300)),
    ] {
        let database = caching(&pool, cache.listen_url(listen_url.as_str())).await;
        let (session, _) = signed_in(&database).await;
        warm(&database, &session.token).await;
        proxy.change(|network| network.black_hole = true);
        database.delete_session(&session.token).await.unwrap();
        let revoked_at = Instant::now();
        until("the revocation is honoured", async || {
            !finds(&database, &session.token).await
        })
        .await;
        assert!(
            revoked_at.elapsed() < Duration::from_secs(2),
            "{:?}",
            revoked_at.elapsed()
        );
        assert!(!stats(&database).is_listening);
        let asked = Instant::now();
        let (session, _) = signed_in(&database).await;
        for _ in 0..20 {
            assert!(finds(&database, &session.token).await);
        }
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
        proxy.change(|network| network.black_hole = false);
        until_it_listens(&database, &session.token).await;
    }
}

/// What `select` says of the connections that listen to the database.
async fn listening(pool: &PgPool, select: &str) -> i64 {
    // The pattern is bound, so that no statement of this test fits it.
    let of_those = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE $1";
    sqlx::query(AssertSqlSafe(format!("{select} {of_those}")))
        .bind("%pg_is_in_recovery%")
        .fetch_one(pool)
        .await
        .unwrap()
        .get(0)
}

/// A server that refuses writes may be one that another has taken over from, while the connection to it lives on.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn it_listens_anew_once_the_server_refuses_writes(pool: PgPool) {
    let database = exact(&pool).await;
    let (session, _) = signed_in(&database).await;
    until_it_listens(&database, &session.token).await;
    let earlier = listening(&pool, "SELECT max(pid)::bigint").await;
    execute(
        &pool,
        "DO $$ BEGIN \
           EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); \
         END $$",
    )
    .await;
    until("another connection listens", async || {
        // Those that were open before may still write.
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), $1)";
        sqlx::query(others)
            .bind(i32::try_from(earlier).unwrap())
            .execute(&pool)
            .await
            .unwrap();
        let refused = database.delete_session("another").await;
        assert!(finds(&database, &session.token).await);
        let now = listening(&pool, "SELECT coalesce(min(pid), 0)::bigint").await;
        refused.is_err() && ![0, earlier].contains(&now)
    })
    .await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_connection_ends_with_the_adapter(pool: PgPool) {
    let database = exact(&pool).await;
    let (session, _) = signed_in(&database).await;
    warm(&database, &session.token).await;
    assert_eq!(listening(&pool, "SELECT count(*)").await, 1);
    drop(database);
    until("the connection ends", async || {
        listening(&pool, "SELECT count(*)").await == 0
    })
    .await;

    let database = exact(&pool).await;
    assert_eq!(listening(&pool, "SELECT count(*)").await, 1);
    database.close().await;
    let closed = database.get_session(&session.token).await;
    assert!(
        matches!(closed, Err(AuthError::Unavailable { .. })),
        "{closed:?}"
    );
    until("the connection ends", async || {
        listening(&pool, "SELECT count(*)").await == 0
    })
    .await;
}

/// The runtime on which the cache listens has ended, or stands still: others take over.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn any_runtime_may_listen(pool: PgPool) {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let url = url(&pool);
    let (ending, (database, session)) = tokio::task::spawn_blocking(move || {
        let ending = runtime();
        let made = ending.block_on(async {
            let builder = builder(&url, SessionCache::exact());
            let database = builder.connect().await.unwrap();
            let (session, _) = signed_in(&database).await;
            warm(&database, &session.token).await.unwrap();
            (database, session)
        });
        (ending, made)
    })
    .await
    .unwrap();
    // Nobody drives it.
    let asked = Instant::now();
    assert!(finds(&database, &session.token).await);
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    until_it_listens(&database, &session.token).await;
    tokio::task::spawn_blocking(move || drop(ending))
        .await
        .unwrap();
    until_it_listens(&database, &session.token).await;
    execute(&pool, "DELETE FROM sessions").await;
    assert_eq!(database.get_session(&session.token).await.unwrap(), None);
}

/// The server would end it, as nothing is sent on it while nothing is asked. 13 has no such limit.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_limit_for_idle_sessions_does_not_end_the_connection(pool: PgPool) {
    let limit = "SELECT count(*) FROM pg_settings WHERE name = 'idle_session_timeout'";
    let has_limit: i64 = sqlx::query_scalar(limit).fetch_one(&pool).await.unwrap();
    if has_limit == 0 {
        return;
    }
    let base = url(&pool);
    let base = base.split('?').next().unwrap();
    let cache =
        SessionCache::exact().listen_url(format!("{base}?options=-c%20idle_session_timeout%3D200"));
    let database = caching(&pool, cache).await;
    let (session, _) = signed_in(&database).await;
    warm(&database, &session.token).await;
    let process = listening(&pool, "SELECT max(pid)::BIGINT").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(listening(&pool, "SELECT max(pid)::BIGINT").await, process);
    assert!(finds(&database, &session.token).await);
}
