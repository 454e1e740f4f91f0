//! The session cache: it answers from memory, sees every write that was acknowledged before the call, whoever made it, and
//! steps aside when it cannot know.

mod answers;
mod listening;
mod setup;

use std::time::{Duration, Instant};

use better_auth::adapters::{
    DatabaseAdapter as _, PoolConfig, SessionCache, SessionCacheStats, SqlxAdapter,
    SqlxAdapterBuilder,
};
use better_auth::types::{CreateSession, CreateUser, Session, User};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

use crate::support::url;

fn small_pool() -> PoolConfig {
    PoolConfig {
        max_connections: 4,
        acquire_timeout: Duration::from_secs(10),
        ..PoolConfig::default()
    }
}

pub(crate) fn builder(url: &str, cache: SessionCache) -> SqlxAdapterBuilder {
    SqlxAdapter::builder(url)
        .pool_config(small_pool())
        .session_cache(cache)
        .migrate(true)
}

async fn caching(pool: &PgPool, cache: SessionCache) -> SqlxAdapter {
    builder(&url(pool), cache).connect().await.unwrap()
}

async fn exact(pool: &PgPool) -> SqlxAdapter {
    caching(pool, SessionCache::exact()).await
}

fn stats(database: &SqlxAdapter) -> SessionCacheStats {
    database.session_cache_stats().unwrap()
}

async fn new_user(database: &SqlxAdapter) -> User {
    database.create_user(CreateUser::new()).await.unwrap()
}

async fn new_session(database: &SqlxAdapter, user_id: &str) -> Session {
    let session = CreateSession::new(user_id, Utc::now() + TimeDelta::hours(1));
    database.create_session(session).await.unwrap()
}

async fn signed_in(database: &SqlxAdapter) -> (Session, User) {
    let user = new_user(database).await;
    (new_session(database, &user.id).await, user)
}

/// Looks a session up until it comes from memory. A notification about another row may have concerned this one too, but
/// seldom does. The cache may also have stopped to listen, as on a busy machine; then it does so again.
async fn warm(database: &SqlxAdapter, token: &str) -> Option<(Session, User)> {
    let first = database.get_session_with_user(token).await.unwrap();
    let mut misses = 0;
    loop {
        let before = stats(database);
        let again = database.get_session_with_user(token).await.unwrap();
        assert_eq!(first, again);
        let after = stats(database);
        if after.hits == before.hits + u64::from(first.is_some()) {
            return first;
        }
        misses += u32::from(after.time_in_fallback == before.time_in_fallback);
        assert!(misses < 3, "{after:?}");
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a lookup came from memory.
async fn warm_if_possible(database: &SqlxAdapter, token: &str) -> bool {
    let hits = stats(database).hits;
    for _ in 0..2 {
        assert!(
            database
                .get_session_with_user(token)
                .await
                .unwrap()
                .is_some()
        );
    }
    stats(database).hits > hits
}

async fn until_it_listens(database: &SqlxAdapter, token: &str) {
    until("it listens", async || {
        warm_if_possible(database, token).await
    })
    .await;
}

async fn finds(database: &SqlxAdapter, token: &str) -> bool {
    database.get_session(token).await.unwrap().is_some()
}
