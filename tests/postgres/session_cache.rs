//! The session cache: it answers from memory, sees every write that was acknowledged before the call, whoever made it, and
//! steps aside when it cannot know.

use std::time::{Duration, Instant};

use better_auth::adapters::{
    DatabaseAdapter, PoolConfig, SessionCache, SessionCacheStats, SqlxAdapter, SqlxAdapterBuilder,
};
use better_auth::types::{CreateSession, CreateUser, Session, UpdateSession, UpdateUser, User};
use better_auth::{AuthError, AuthResult};
use chrono::{TimeDelta, Utc};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, PgPool, Row as _};

use crate::support::proxy::Proxy;
use crate::support::{adapter, execute, url};

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
/// seldom does.
async fn warm(database: &SqlxAdapter, token: &str) -> Option<(Session, User)> {
    let first = database.get_session_with_user(token).await.unwrap();
    for _ in 0..3 {
        let hits = stats(database).hits;
        let again = database.get_session_with_user(token).await.unwrap();
        assert_eq!(first, again);
        if stats(database).hits == hits + u64::from(first.is_some()) {
            return first;
        }
    }
    panic!("{:?}", stats(database));
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn lookups_are_answered_from_memory(pool: PgPool) {
    let database = exact(&pool).await;
    let (session, user) = signed_in(&database).await;
    for _ in 0..3 {
        let found = database.get_session(&session.token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&session));
    }
    assert_eq!((stats(&database).hits, stats(&database).misses), (2, 1));
    for _ in 0..3 {
        let found = database
            .get_session_with_user(&session.token)
            .await
            .unwrap();
        assert_eq!(found, Some((session.clone(), user.clone())));
    }
    let (week, day) = (Duration::from_secs(7 * 86400), Duration::from_secs(86400));
    let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
    let undue = database.refresh_session(&session.token, hour, minute).await;
    assert_eq!(undue.unwrap(), Some((session.clone(), user.clone())));
    let stats = stats(&database);
    assert_eq!(
        (stats.hits, stats.misses, stats.entries),
        (5, 2, 1),
        "{stats:?}"
    );
    assert!(stats.is_listening && stats.questions >= 4 && stats.bytes_per_entry > 100);
    assert!(
        stats.last_question < Some(Duration::from_secs(10)),
        "{stats:?}"
    );
    let refreshed = database.refresh_session(&session.token, week, day).await;
    let refreshed = refreshed.unwrap().unwrap();
    assert!(refreshed.0.expires_at > session.expires_at);
    let found = database
        .get_session_with_user(&session.token)
        .await
        .unwrap();
    assert_eq!(found, Some(refreshed));
    // Absent tokens are not cached, and a digest is nobody's token.
    assert_eq!(database.get_session("absent").await.unwrap(), None);
    assert_eq!(database.get_session("sha256:abc").await.unwrap(), None);
    assert_eq!(database.session_cache_stats().unwrap().entries, 1);
    assert_eq!(adapter(&pool).await.session_cache_stats(), None);
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn hashed_tokens_are_cached_alike(pool: PgPool) {
    let builder = builder(&url(&pool), SessionCache::exact()).hash_session_tokens(true);
    let database = builder.connect().await.unwrap();
    let (session, user) = signed_in(&database).await;
    let found = warm(&database, &session.token).await;
    assert_eq!(found, Some((session, user)));
}

/// Each way in which a session or its user changes, on one instance, is seen by every other one at once.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn no_instance_answers_what_was_revoked(pool: PgPool) {
    let (one, other) = (exact(&pool).await, exact(&pool).await);
    for round in 0..240 {
        let (session, user) = signed_in(&one).await;
        let token = &*session.token;
        warm(&other, token).await.unwrap();
        warm(&one, token).await.unwrap();
        let update = UpdateSession::default();
        let is_gone = match round % 12 {
            0 => one.delete_session(token).await.map(|()| true),
            1 => one.delete_user_sessions(&user.id).await.map(|()| true),
            2 => one.delete_user(&user.id).await.map(|()| true),
            3 => {
                let active = Some(false);
                let ended = UpdateSession { active, ..update };
                one.update_session(token, ended).await.map(|_| true)
            }
            4 => {
                let past = Utc::now() - TimeDelta::seconds(1);
                one.update_session_expiry(token, past).await.map(|()| true)
            }
            5 => {
                let agent = Some(Some("new".to_owned()));
                let changed = UpdateSession {
                    user_agent: agent,
                    ..update
                };
                one.update_session(token, changed).await.map(|_| false)
            }
            6 => {
                let later = Utc::now() + TimeDelta::days(9);
                one.update_session_expiry(token, later)
                    .await
                    .map(|()| false)
            }
            7 => {
                let ban = UpdateUser {
                    banned: Some(true),
                    ..UpdateUser::default()
                };
                one.update_user(&user.id, ban).await.map(|_| false)
            }
            8 => {
                let by_hand = format!("DELETE FROM sessions WHERE id = '{}'", session.id);
                execute(&pool, &by_hand).await;
                Ok(true)
            }
            9 => {
                let by_hand = format!("UPDATE users SET name = 'x' WHERE id = '{}'", user.id);
                execute(&pool, &by_hand).await;
                Ok(false)
            }
            10 => {
                let transaction = one.begin().await.unwrap();
                transaction.delete_session(token).await.unwrap();
                let open = other.get_session(token).await.unwrap();
                assert!(open.is_some(), "it is not committed");
                transaction.commit().await.map(|()| true)
            }
            _ => {
                let transaction = one.begin().await.unwrap();
                transaction.delete_user(&user.id).await.unwrap();
                transaction.rollback().await.map(|()| false)
            }
        };
        let is_gone = is_gone.unwrap();
        for database in [&other, &one] {
            let found = database.get_session_with_user(token).await.unwrap();
            assert_eq!(found.is_none(), is_gone, "{round}: {found:?}");
            let stored: Option<(Session, User)> = adapter_without_cache(database)
                .await
                .get_session_with_user(token)
                .await
                .unwrap();
            assert_eq!(found, stored, "{round}");
        }
    }
    execute(&pool, "DELETE FROM users").await;
    let (session, _) = signed_in(&one).await;
    warm(&other, &session.token).await.unwrap();
    execute(&pool, "TRUNCATE users CASCADE").await;
    assert_eq!(other.get_session(&session.token).await.unwrap(), None);
}

/// What the database itself says: in a transaction nothing comes from the cache.
async fn adapter_without_cache(database: &SqlxAdapter) -> Box<dyn better_auth::Transaction> {
    database.begin().await.unwrap()
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn many_callers_share_a_question(pool: PgPool) {
    let database = exact(&pool).await;
    let mut tokens = Vec::new();
    for _ in 0..8 {
        let (session, _) = signed_in(&database).await;
        warm(&database, &session.token).await;
        tokens.push(session.token);
    }
    let before = stats(&database);
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let (database, token) = (database.clone(), tokens[caller % 8].clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    let found = database.get_session_with_user(&token).await.unwrap();
                    assert_eq!(found.unwrap().0.token, token);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let after = stats(&database);
    let asked = after.questions - before.questions;
    // All but those that a late notification about the rows above has met.
    assert!(after.hits - before.hits > 64 * 45, "{after:?}");
    assert!(asked < 64 * 50 / 4, "{asked} questions");
}

/// The notifications of everything that `work` does.
async fn notified(pool: &PgPool, work: impl AsyncFnOnce()) -> Vec<String> {
    let channel: String =
        sqlx::query("SELECT 'better_auth_' || to_hex(hashtextextended('public', 0))")
            .fetch_one(pool)
            .await
            .unwrap()
            .get(0);
    let mut listener = PgListener::connect_with(pool).await.unwrap();
    listener.listen(&channel).await.unwrap();
    work().await;
    sqlx::query("SELECT 1")
        .fetch_all(&mut listener)
        .await
        .unwrap();
    std::iter::from_fn(|| listener.next_buffered())
        .map(|notification| notification.payload().to_owned())
        .collect()
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn only_what_matters_is_notified_and_without_tokens(pool: PgPool) {
    let database = exact(&pool).await;
    let (session, user) = signed_in(&database).await;
    let sent = notified(&pool, async || {
        signed_in(&database).await;
        database.delete_session("absent").await.unwrap();
        database.delete_user("absent").await.unwrap();
    });
    assert_eq!(sent.await, [""; 0], "sign-up and sign-in");
    let dead = format!(
        "INSERT INTO sessions (id, user_id, token, expires_at, active) \
         SELECT n, '{}', 'dead ' || n, now() - interval '1 s' * (n % 2), n % 2 = 1 FROM generate_series(0, 2999) AS n",
        user.id
    );
    execute(&pool, &dead).await;
    let sent = notified(&pool, async || {
        assert_eq!(database.delete_expired_sessions().await.unwrap(), 3000);
    });
    assert_eq!(sent.await, [""; 0], "rows that were not live");
    let sent = notified(&pool, async || {
        database.delete_session(&session.token).await.unwrap();
    })
    .await;
    assert_eq!(sent, [format!("s{}", session.id)]);
    let many = format!(
        "INSERT INTO sessions (id, user_id, token, expires_at) \
         SELECT n, '{}', 'live ' || n, now() + interval '1 h' FROM generate_series(1, 100000) AS n",
        user.id
    );
    execute(&pool, &many).await;
    let sent = notified(&pool, async || {
        database.delete_user(&user.id).await.unwrap();
    })
    .await;
    assert_eq!(sent.len(), 1, "{} for 100,000 sessions", sent.len());
    assert_eq!(sent, [format!("u{}", user.id)]);
    let users = "INSERT INTO users (id) SELECT n FROM generate_series(1, 1000) AS n";
    execute(&pool, users).await;
    let sent = notified(&pool, async || {
        execute(&pool, "UPDATE users SET name = 'x'").await;
    });
    assert_eq!(sent.await, ["*"]);
    let long = "é".repeat(5000);
    execute(&pool, &format!("INSERT INTO users (id) VALUES ('{long}')")).await;
    let by_hand = "UPDATE users SET name = 'x' WHERE octet_length(id) > 5000";
    assert_eq!(
        notified(&pool, async || execute(&pool, by_hand).await).await,
        ["*"]
    );
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_lost_connection_costs_no_answer_and_it_listens_again(pool: PgPool) {
    let database = exact(&pool).await;
    let (session, _) = signed_in(&database).await;
    for round in 0..5 {
        until("it listens", async || {
            warm_if_possible(&database, &session.token).await
        })
        .await;
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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
            database
                .get_session(&session.token)
                .await
                .unwrap()
                .is_none()
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
            assert!(
                database
                    .get_session(&session.token)
                    .await
                    .unwrap()
                    .is_some()
            );
        }
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
        proxy.change(|network| network.black_hole = false);
        until("it listens again", async || {
            warm_if_possible(&database, &session.token).await
        })
        .await;
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_bounded_cache_waits_for_nothing_and_is_stale_for_no_longer(pool: PgPool) {
    let bound = Duration::from_millis(400);
    let database = caching(&pool, SessionCache::bounded(bound)).await;
    let other = adapter(&pool).await;
    for _ in 0..5 {
        let (session, _) = signed_in(&database).await;
        warm(&database, &session.token).await;
        let before = stats(&database);
        let begun = Instant::now();
        for _ in 0..100 {
            assert!(
                database
                    .get_session(&session.token)
                    .await
                    .unwrap()
                    .is_some()
            );
        }
        let asked = stats(&database).questions - before.questions;
        let most = 3 + begun.elapsed().as_millis() / (bound.as_millis() / 2);
        assert!(u128::from(asked) <= most, "{asked} questions");
        other.delete_session(&session.token).await.unwrap();
        let revoked_at = Instant::now();
        loop {
            let called_at = Instant::now();
            if database
                .get_session(&session.token)
                .await
                .unwrap()
                .is_none()
            {
                break;
            }
            assert!(
                called_at - revoked_at <= bound,
                "{:?}",
                called_at - revoked_at
            );
        }
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn sessions_expire_by_the_databases_clock(pool: PgPool) {
    for cache in [
        SessionCache::exact(),
        SessionCache::bounded(Duration::from_secs(60)),
    ] {
        let database = caching(&pool, cache).await;
        let user = new_user(&database).await;
        let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::milliseconds(500));
        let session = database.create_session(session).await.unwrap();
        warm(&database, &session.token).await.unwrap();
        tokio::time::sleep(Duration::from_millis(550)).await;
        assert_eq!(database.get_session(&session.token).await.unwrap(), None);
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn without_its_triggers_the_cache_is_off(pool: PgPool) {
    let plain = adapter(&pool).await;
    plain.migrate().await.unwrap();
    let count = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'better_auth_session_cache%'";
    let triggers = async || {
        sqlx::query(count)
            .fetch_one(&pool)
            .await
            .unwrap()
            .get::<i64, _>(0)
    };
    assert_eq!(triggers().await, 0, "they are wanted by nobody");
    plain.check_schema().await.unwrap();

    let builder = SqlxAdapter::builder(&url(&pool)).session_cache(SessionCache::exact());
    let database = builder.connect().await.unwrap();
    let (session, _) = signed_in(&database).await;
    for _ in 0..3 {
        assert!(
            database
                .get_session(&session.token)
                .await
                .unwrap()
                .is_some()
        );
    }
    assert!(!stats(&database).is_listening && stats(&database).hits == 0);
    let missing = database.check_schema().await.unwrap_err().to_string();
    assert!(
        missing.contains("sessions.better_auth_session_cache_update"),
        "{missing}"
    );
    assert!(missing.contains("migrate()"), "{missing}");

    // In any order of changes by hand, `migrate` puts it right.
    for by_hand in [
        "SELECT 1",
        "DROP TRIGGER better_auth_session_cache_delete ON sessions",
        "ALTER TABLE users DISABLE TRIGGER better_auth_session_cache_update",
        "DROP FUNCTION better_auth_session_cache_users CASCADE",
        "DROP TABLE _better_auth_session_cache_migrations",
    ] {
        execute(&pool, by_hand).await;
        for _ in 0..2 {
            database.migrate().await.unwrap();
        }
        database.check_schema().await.unwrap();
        assert_eq!(triggers().await, 6, "{by_hand}");
    }
    until("it listens", async || {
        warm_if_possible(&database, &session.token).await
    })
    .await;
    plain.migrate().await.unwrap();
    plain.check_schema().await.unwrap();
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn schemas_do_not_hear_each_other(pool: PgPool) {
    execute(&pool, "CREATE SCHEMA tenant").await;
    let tenant_url = format!(
        "{}?options=-csearch_path%3Dtenant",
        url(&pool).split('?').next().unwrap()
    );
    let tenant = builder(&tenant_url, SessionCache::exact())
        .connect()
        .await
        .unwrap();
    let public = exact(&pool).await;
    let (in_tenant, _) = signed_in(&tenant).await;
    let (in_public, user) = signed_in(&public).await;
    warm(&tenant, &in_tenant.token).await.unwrap();
    warm(&public, &in_public.token).await.unwrap();
    let before = stats(&tenant).invalidations;
    public.delete_user(&user.id).await.unwrap();
    assert_eq!(public.get_session(&in_public.token).await.unwrap(), None);
    warm(&tenant, &in_tenant.token).await.unwrap();
    assert_eq!(stats(&tenant).invalidations, before);
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn what_cannot_work_is_refused(pool: PgPool) {
    let refused = async |cache: SessionCache| {
        let refused: AuthResult<SqlxAdapter> = builder(&url(&pool), cache).connect().await;
        refused.unwrap_err()
    };
    let field_of = |error: &AuthError| match error {
        AuthError::Validation { field, .. } => *field,
        other => panic!("{other}"),
    };
    assert_eq!(
        field_of(&refused(SessionCache::exact().capacity(0)).await),
        "capacity"
    );
    let bound = SessionCache::bounded(Duration::ZERO);
    assert_eq!(field_of(&refused(bound).await), "max_staleness");
    let no_url = SessionCache::exact().listen_url("localhost");
    assert_eq!(field_of(&refused(no_url).await), "listen_url");
    // Another database of the same server, in which nothing is notified.
    let elsewhere = std::env::var("DATABASE_URL").unwrap();
    let elsewhere = refused(SessionCache::exact().listen_url(elsewhere)).await;
    assert_eq!(field_of(&elsewhere), "listen_url");
    let nobody = SessionCache::exact().listen_url("postgresql://better_auth:hunter2@127.0.0.1:1/x");
    let nobody = refused(nobody).await;
    assert!(matches!(nobody, AuthError::Unavailable { .. }), "{nobody}");
    assert!(nobody.to_string().contains("127.0.0.1:1") && !nobody.to_string().contains("hunter2"));
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn memory_is_bounded(pool: PgPool) {
    let database = caching(&pool, SessionCache::exact().capacity(100)).await;
    let user = new_user(&database).await;
    for _ in 0..500 {
        let session = new_session(&database, &user.id).await;
        warm(&database, &session.token).await.unwrap();
    }
    assert!(stats(&database).entries <= 100, "{:?}", stats(&database));
    let large = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1))
        .with_user_agent("x".repeat(1 << 20));
    let large = database.create_session(large).await.unwrap();
    let hits = stats(&database).hits;
    for _ in 0..2 {
        let found = database.get_session(&large.token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&large));
    }
    assert_eq!(stats(&database).hits, hits, "too large");
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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

/// An adapter on a pool of the application's listens on a connection of its own.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_pool_of_the_application_has_a_cache_too(pool: PgPool) {
    let builder = SqlxAdapterBuilder::from_pool(pool.clone())
        .session_cache(SessionCache::exact())
        .migrate(true);
    let database = builder.connect().await.unwrap();
    let (session, _) = signed_in(&database).await;
    warm(&database, &session.token).await.unwrap();
    execute(&pool, "DELETE FROM sessions").await;
    assert_eq!(database.get_session(&session.token).await.unwrap(), None);
}

/// The runtime on which the cache listens has ended, or stands still: others take over.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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
    assert!(
        database
            .get_session(&session.token)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    until("it listens", async || {
        warm_if_possible(&database, &session.token).await
    })
    .await;
    tokio::task::spawn_blocking(move || drop(ending))
        .await
        .unwrap();
    until("it listens", async || {
        warm_if_possible(&database, &session.token).await
    })
    .await;
    execute(&pool, "DELETE FROM sessions").await;
    assert_eq!(database.get_session(&session.token).await.unwrap(), None);
}
