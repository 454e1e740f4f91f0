//! Connections that others have left in a state of their own: no caller meets a wrong, lost or needless answer on them.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::support::proxy::Proxy;
use crate::support::{self, adapter, execute};
use better_auth::adapters::{DatabaseAdapter, PoolConfig, SqlxAdapter};
use better_auth::{
    AuthError, AuthResult, CreateSession, CreateUser, CreateVerification, UpdateUser,
    sqlx_transaction, transaction,
};
use chrono::{TimeDelta, Utc};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgPool};

/// A pool of the application's with so many connections.
async fn application_pool(pool: &PgPool, max_connections: u32) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(4))
        .connect_with(options)
        .await
        .unwrap()
}

/// An adapter on connections of its own, and one on a pool of the application's.
async fn both(pool: &PgPool) -> [SqlxAdapter; 2] {
    [
        adapter(pool).await,
        SqlxAdapter::from_pool(application_pool(pool, 2).await),
    ]
}

/// Runs each kind of statement once on as many connections as there are.
async fn use_everything(database: &SqlxAdapter, email: &str) {
    let user = database.get_user_by_email(email).await.unwrap().unwrap();
    let update = || UpdateUser {
        name: Some(Some("Ada".to_owned())),
        ..UpdateUser::default()
    };
    let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1));
    let token = database.create_session(session).await.unwrap().token;
    let calls = (0..8).map(|_| async {
        database.get_user_by_email(email).await.unwrap().unwrap();
        database.get_user_by_id(&user.id).await.unwrap().unwrap();
        database
            .get_session_with_user(&token)
            .await
            .unwrap()
            .unwrap();
        database.update_user(&user.id, update()).await.unwrap();
    });
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    poll_fn(|context| {
        calls.retain_mut(|call| call.as_mut().poll(context).is_pending());
        if calls.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_stale_plan_is_planned_again(pool: PgPool) {
    for (number, database) in both(&pool).await.into_iter().enumerate() {
        let email = format!("ada{number}@example.com");
        let user = CreateUser::new().with_email(&email);
        database.create_user(user).await.unwrap();
        use_everything(&database, &email).await;
        for change in [
            "ALTER TABLE users ALTER COLUMN email TYPE TEXT COLLATE \"C\"",
            "ALTER TABLE users ALTER COLUMN name TYPE VARCHAR(200)",
            "ALTER TABLE users ALTER COLUMN name TYPE TEXT",
            "ALTER TABLE users ALTER COLUMN email TYPE TEXT COLLATE \"default\"",
        ] {
            execute(&pool, change).await;
            use_everything(&database, &email).await;
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_stale_plan_in_a_transaction_is_a_conflict(pool: PgPool) {
    let [own, shared] = both(&pool).await;
    for (number, database) in [own, shared].into_iter().enumerate() {
        let email = format!("ada{number}@example.com");
        let user = CreateUser::new().with_email(&email);
        database.create_user(user).await.unwrap();
        // Every connection has the statement in its cache.
        use_everything(&database, &email).await;
        let tx = database.begin().await.unwrap();
        execute(
            &pool,
            &format!(
                "ALTER TABLE users ALTER COLUMN email TYPE VARCHAR({})",
                300 + number
            ),
        )
        .await;
        let stale = tx.get_user_by_email(&email).await.unwrap_err();
        assert!(
            matches!(
                stale,
                AuthError::Unavailable {
                    contention: true,
                    ..
                }
            ),
            "{stale:?}"
        );
        tx.rollback().await.unwrap();
        let mut runs = 0;
        let found: AuthResult<_> = transaction(&database, |tx| {
            runs += 1;
            let (pool, email, first) = (pool.clone(), email.clone(), runs == 1);
            async move {
                if first {
                    let change = format!(
                        "ALTER TABLE users ALTER COLUMN email TYPE VARCHAR({})",
                        310 + number
                    );
                    execute(&pool, &change).await;
                }
                tx.get_user_by_email(&email).await
            }
        })
        .await;
        assert!(found.unwrap().is_some());
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn statements_that_others_have_dropped_are_prepared_again(pool: PgPool) {
    let shared = application_pool(&pool, 1).await;
    let database = SqlxAdapter::from_pool(shared.clone());
    let email = "ada@example.com";
    let user = CreateUser::new().with_email(email);
    let user = database.create_user(user).await.unwrap();
    for drop in ["DISCARD ALL", "DEALLOCATE ALL"] {
        let found = database.get_user_by_email(email).await.unwrap();
        assert_eq!(found.as_ref(), Some(&user));
        execute(&shared, drop).await;
        let found = database.get_user_by_email(email).await.unwrap();
        assert_eq!(found.as_ref(), Some(&user), "after {drop}");
        execute(&shared, drop).await;
        let next = CreateVerification::new(drop, "1", Utc::now() + TimeDelta::hours(1));
        database.create_verification(next.clone()).await.unwrap();
        execute(&shared, drop).await;
        database.create_verification(next).await.unwrap();
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_connection_to_a_read_only_server_is_replaced(pool: PgPool) {
    let shared = application_pool(&pool, 1).await;
    let database = SqlxAdapter::from_pool(shared.clone());
    // As a connection to a server that was fenced, while the address has moved to another.
    execute(&shared, "SET default_transaction_read_only = on").await;
    let verification = CreateVerification::new("a", "1", Utc::now() + TimeDelta::hours(1));
    database.create_verification(verification).await.unwrap();
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn what_is_acknowledged_is_committed_on_a_shared_pool(pool: PgPool) {
    let shared = application_pool(&pool, 1).await;
    let database = SqlxAdapter::from_pool(shared.clone());
    let mut acknowledged = 0;
    for number in 0..200 {
        // A future of sqlx's that is dropped while BEGIN is under way leaves the connection in the transaction.
        let patience = Duration::from_micros(100 + number % 20 * 40);
        drop(tokio::time::timeout(patience, shared.begin()).await);
        let user = CreateUser::new().with_email(format!("ada{number}@example.com"));
        database.create_user(user).await.unwrap();
        acknowledged += 1;
    }
    // What was never committed goes with its connection.
    shared.close().await;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(stored, acknowledged);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_end_of_an_aborted_transaction_is_awaited(pool: PgPool) {
    let database = adapter(&pool).await;
    let email = "ada@example.com";
    let user = CreateUser::new().with_email(email);
    database.create_user(user).await.unwrap();
    for round in 0..300 {
        // Connections that are there for what follows.
        use_everything(&database, email).await;
        let expired =
            CreateVerification::new("a", round.to_string(), Utc::now() - TimeDelta::hours(1));
        let expired = database.create_verification(expired).await.unwrap();
        let tx = database.begin().await.unwrap();
        tx.delete_verification(&expired.id).await.unwrap();
        let taken = CreateUser::new().with_email("ada@example.com");
        tx.create_user(taken).await.unwrap_err();
        let ended = if round % 2 == 0 {
            let aborted = tx.commit().await.unwrap_err();
            matches!(aborted, AuthError::TransactionAborted)
        } else {
            tx.rollback().await.is_ok()
        };
        assert!(ended);
        let removed = database.delete_expired_verifications().await.unwrap();
        assert_eq!(removed, 1, "round {round}");
    }
}

/// The server says that it refuses a COMMIT before it has rolled back.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_end_of_a_refused_commit_is_awaited(pool: PgPool) {
    for sql in [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$",
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW WHEN (NEW.id LIKE 'refused%') EXECUTE FUNCTION refuse()",
    ] {
        execute(&pool, sql).await;
    }
    for database in both(&pool).await {
        for round in 0..150 {
            let expired = CreateVerification::new("a", "1", Utc::now() - TimeDelta::hours(1));
            let expired = database.create_verification(expired).await.unwrap();
            let tx = database.begin().await.unwrap();
            tx.delete_verification(&expired.id).await.unwrap();
            let refused = CreateUser::new().with_id(format!("refused {round}"));
            tx.create_user(refused).await.unwrap();
            let error = tx.commit().await.unwrap_err();
            assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
            let removed = database.delete_expired_verifications().await.unwrap();
            assert_eq!(removed, 1, "round {round}");
        }
    }
}

/// A shared pool that tests nothing before it lends: the reset finds that the connections are dead.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_dead_connection_of_a_shared_pool_is_left_for_another(pool: PgPool) {
    let shared = PgPoolOptions::new()
        .max_connections(3)
        .test_before_acquire(false)
        .connect_with(pool.connect_options().as_ref().clone())
        .await
        .unwrap();
    let database = SqlxAdapter::from_pool(shared);
    let user = database.create_user(CreateUser::new()).await.unwrap();
    for _ in 0..5 {
        let tx = [
            database.begin().await.unwrap(),
            database.begin().await.unwrap(),
            database.begin().await.unwrap(),
        ];
        for tx in tx {
            tx.rollback().await.unwrap();
        }
        execute(
            &pool,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        let found = database.get_user_by_id(&user.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&user));
    }
}

/// The server admits the role no more, as after a rotation of its password.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn open_connections_serve_on_when_no_more_are_admitted(pool: PgPool) {
    let url = limited_role(&pool, "not_admitted", -1).await;
    let config = PoolConfig {
        max_connections: 6,
        acquire_timeout: Duration::from_secs(8),
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::with_config(&url, config).await.unwrap();
    let held = [
        database.begin().await.unwrap(),
        database.begin().await.unwrap(),
    ];
    execute(&pool, "ALTER ROLE not_admitted NOLOGIN").await;
    let callers = (0..12).map(|caller| {
        let database = database.clone();
        tokio::spawn(async move { database.get_user_by_id(&caller.to_string()).await })
    });
    let callers: Vec<_> = callers.collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    for tx in held {
        tx.rollback().await.unwrap();
    }
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), None);
    }
    database.close().await;
    let config = PoolConfig::default();
    let refused = SqlxAdapter::with_config(&url, config).await.map(drop);
    assert!(
        matches!(refused, Err(AuthError::Database { .. })),
        "{refused:?}"
    );
    drop_role(&pool, "not_admitted").await;
}

/// The connection that has tried the URL is still counted when the next one is opened.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_role_with_one_connection_migrates(pool: PgPool) {
    let url = limited_role(&pool, "limited_to_one", 1).await;
    execute(
        &pool,
        "GRANT SELECT ON _better_auth_migrations TO limited_to_one",
    )
    .await;
    for _ in 0..20 {
        let database = SqlxAdapter::builder(&url).migrate(true).connect().await;
        let database = database.unwrap();
        database.get_user_by_id("1").await.unwrap();
        database.close().await;
    }
    drop_role(&pool, "limited_to_one").await;
}

/// How many backends of a user there are.
async fn backends(pool: &PgPool, user: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE usename = $1")
        .bind(user)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// A role that owns this test's tables, with a limit of connections, and the URL with which it connects.
async fn limited_role(pool: &PgPool, name: &str, limit: i32) -> String {
    execute(pool, &format!("DROP ROLE IF EXISTS {name}")).await;
    execute(
        pool,
        &format!("CREATE ROLE {name} LOGIN PASSWORD 'limited' CONNECTION LIMIT {limit}"),
    )
    .await;
    let all = "GRANT ALL ON users, sessions, accounts, verifications TO";
    execute(pool, &format!("{all} {name}")).await;
    let options = pool.connect_options();
    let (host, port) = (options.get_host(), options.get_port());
    let database = options.get_database().unwrap();
    format!("postgresql://{name}:limited@{host}:{port}/{database}")
}

async fn drop_role(pool: &PgPool, name: &str) {
    execute(pool, &format!("DROP OWNED BY {name}")).await;
    execute(pool, &format!("DROP ROLE {name}")).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_server_that_refuses_more_connections_is_a_pool_of_what_it_gave(pool: PgPool) {
    let url = limited_role(&pool, "limited_to_two", 2).await;
    let config = PoolConfig {
        acquire_timeout: Duration::from_secs(6),
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::with_config(&url, config).await.unwrap();
    let callers = (0..10).map(|caller| {
        let database = database.clone();
        tokio::spawn(async move {
            for lookup in 0..20 {
                let name = format!("{caller}-{lookup}");
                database.get_user_by_username(&name).await?;
            }
            AuthResult::Ok(())
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(database.pool_stats().size, 2);
    // It grows again later.
    execute(&pool, "ALTER ROLE limited_to_two CONNECTION LIMIT 4").await;
    until("it has grown", async || {
        let held = [database.begin().await, database.begin().await];
        let third = tokio::time::timeout(Duration::from_millis(200), database.begin()).await;
        drop(held);
        third.is_ok_and(|third| third.is_ok())
    })
    .await;
    database.close().await;
    drop_role(&pool, "limited_to_two").await;
}

/// Fails if something has not come about after a long time.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn calls_dropped_while_they_wait_for_a_lock_leave_nothing(pool: PgPool) {
    let url = limited_role(&pool, "impatient", -1).await;
    let config = PoolConfig {
        max_connections: 4,
        acquire_timeout: Duration::from_secs(30),
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::with_config(&url, config).await.unwrap();
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM users FOR UPDATE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut most = 0;
    for _ in 0..20 {
        let update = UpdateUser {
            name: Some(None),
            ..UpdateUser::default()
        };
        let waiting = database.update_user(&user.id, update);
        drop(tokio::time::timeout(Duration::from_millis(50), waiting).await);
        most = most.max(backends(&pool, "impatient").await);
    }
    assert!(most <= 4, "{most} backends");
    // Others go on, and the locks are gone, long before `acquire_timeout`.
    database.get_user_by_id(&user.id).await.unwrap().unwrap();
    until("nobody waits for the lock", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE usename = 'impatient' AND wait_event_type = 'Lock'";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&pool).await.unwrap();
        waiting == 0
    })
    .await;
    lock.rollback().await.unwrap();
    until("all places are free", async || {
        let begun = (0..4).map(|_| {
            let database = database.clone();
            tokio::spawn(async move { database.begin().await.map(drop) })
        });
        let mut all = true;
        for begun in begun.collect::<Vec<_>>() {
            all &= begun.await.unwrap().is_ok();
        }
        all
    })
    .await;
    database.close().await;
    drop_role(&pool, "impatient").await;
}

/// How an application comes to one of the adapter's own connections.
#[derive(Clone, Copy, Debug)]
enum Way {
    Acquired,
    Committed,
    RolledBack,
}

const WAYS: [Way; 3] = [Way::Acquired, Way::Committed, Way::RolledBack];

/// Runs a statement of the application's, which may fail.
async fn leave(database: &SqlxAdapter, way: Way, left: &'static str) {
    if let Way::Acquired = way {
        let mut connection = database.acquire().await.unwrap();
        let _ = sqlx::Executor::execute(&mut *connection, left).await;
        return;
    }
    let _ = sqlx_transaction(database, |tx| async move {
        let mut connection = tx.connection().await?;
        let _ = sqlx::Executor::execute(&mut *connection, left).await;
        match way {
            Way::RolledBack => Err(AuthError::UserNotFound),
            _ => Ok(()),
        }
    })
    .await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn what_the_application_leaves_on_a_connection_reaches_nobody(pool: PgPool) {
    execute(&pool, "DROP ROLE IF EXISTS somebody_else").await;
    execute(&pool, "CREATE ROLE somebody_else").await;
    let config = PoolConfig {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(4),
        ..PoolConfig::default()
    };
    let url = support::url(&pool);
    let database = SqlxAdapter::with_config(&url, config).await.unwrap();
    let settings = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings \
                    WHERE name NOT IN ('transaction_isolation', 'transaction_read_only', 'is_superuser', 'in_hot_standby')";
    let before: String = {
        let mut connection = database.acquire().await.unwrap();
        sqlx::query_scalar(settings)
            .fetch_one(&mut *connection)
            .await
            .unwrap()
    };
    for left in [
        "BEGIN",
        "BEGIN; INSERT INTO users (id) VALUES ('lost')",
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT 1",
        "BEGIN; SAVEPOINT a; SELECT 1 / 0",
        "SET default_transaction_read_only = on",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
        "SET search_path = pg_temp",
        "SET lock_timeout = 0",
        "SET statement_timeout = 1",
        "SET ROLE somebody_else",
        "SET SESSION AUTHORIZATION somebody_else",
        "SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET client_encoding = 'LATIN1'",
        "SET session_replication_role = replica",
        "SET row_security = off; SET standard_conforming_strings = off",
        "DECLARE a CURSOR WITH HOLD FOR SELECT 1",
        "LISTEN a",
        "SELECT pg_advisory_lock(1), pg_advisory_lock_shared(2)",
        "CREATE TEMPORARY TABLE users (id TEXT)",
        "CREATE TEMPORARY VIEW sessions AS SELECT 1 AS id",
        "DEALLOCATE ALL",
        "DISCARD ALL",
        "PREPARE sqlx_s_1 AS SELECT 1",
        "SELECT set_config('better_auth.tenant', 'a', false)",
    ] {
        for way in WAYS {
            leave(&database, way, left).await;
            if let Way::Committed = way {
                execute(&pool, "DELETE FROM users WHERE id = 'lost'").await;
            }
            let name = format!("after {left}, {way:?}");
            let user = CreateUser::new().with_id(&name);
            database.create_user(user).await.unwrap();
            let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM users WHERE id = $1")
                .bind(&name)
                .fetch_one(&pool)
                .await
                .unwrap();
            assert_eq!(stored, 1, "{name}");
            let mut connection = database.acquire().await.unwrap();
            let after: String = sqlx::query_scalar(settings)
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            assert_eq!(after, before, "{name}");
            let remains = "SELECT (SELECT count(*) FROM pg_cursors WHERE is_holdable) + \
                           (SELECT count(*) FROM pg_listening_channels()) + \
                           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) + \
                           (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'v')) + \
                           (current_user <> session_user)::INT";
            let remains: i64 = sqlx::query_scalar(remains)
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            assert_eq!(remains, 0, "{name}");
        }
    }
    let lost: i64 = sqlx::query_scalar("SELECT count(*) FROM users WHERE id = 'lost'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(lost, 0);
    database.close().await;
    execute(&pool, "DROP ROLE somebody_else").await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_connection_that_the_application_exchanges_is_closed(pool: PgPool) {
    let database = adapter(&pool).await;
    let other = pool
        .connect_options()
        .as_ref()
        .clone()
        .application_name("exchanged");
    let mut other = sqlx::PgConnection::connect_with(&other).await.unwrap();
    let mut connection = database.acquire().await.unwrap();
    std::mem::swap(&mut *connection, &mut other);
    drop(connection);
    until("it is closed", async || {
        let exchanged =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'exchanged'";
        let exchanged: i64 = sqlx::query_scalar(exchanged)
            .fetch_one(&pool)
            .await
            .unwrap();
        exchanged == 0
    })
    .await;
    database.ping().await.unwrap();
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn several_waits_for_locks_end_as_unavailable(pool: PgPool) {
    let config = PoolConfig {
        acquire_timeout: Duration::from_secs(1),
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::builder(&support::url(&pool))
        .pool_config(config)
        .answer_timeout(Duration::from_millis(1500))
        .connect()
        .await
        .unwrap();
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let expires_at = Utc::now() + TimeDelta::hours(1);
    for _ in 0..4 {
        let session = CreateSession::new(&user.id, expires_at);
        database.create_session(session).await.unwrap();
    }
    // Each row is locked by someone else, who gives it up after three quarters of a second.
    let mut locks = Vec::new();
    for number in 0..4 {
        let mut lock = pool.begin().await.unwrap();
        let row = format!("SELECT FROM sessions ORDER BY id OFFSET {number} LIMIT 1 FOR UPDATE");
        execute_on(&mut lock, &row).await;
        locks.push(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(750) * (number + 1)).await;
            lock.rollback().await.unwrap();
        }));
    }
    let error = database.delete_user_sessions(&user.id).await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
    for lock in locks {
        lock.await.unwrap();
    }
    assert_eq!(database.get_user_sessions(&user.id).await.unwrap().len(), 4);
}

async fn execute_on(transaction: &mut sqlx::PgTransaction<'_>, sql: &str) {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    sqlx::Executor::execute(&mut **transaction, sql)
        .await
        .unwrap();
}

#[sqlx::test]
async fn a_url_that_asks_for_what_is_not_built_in_is_told(pool: PgPool) {
    let url = support::url(&pool);
    let url = url.split('?').next().unwrap_or_default();
    for (parameter, expected) in [
        ("statement-cache-capacity=0", "statement-cache-capacity"),
        ("statement%2Dcache%2Dcapacity=0", "statement-cache-capacity"),
        ("statement-cache-capacity=%30", "statement-cache-capacity"),
        ("statement-cache-capacity=00", "statement-cache-capacity"),
        (
            "statement-cache-capacity=9&a=b&statement-cache-capacity=0",
            "statement-cache-capacity",
        ),
        #[cfg(not(any(feature = "tls-native-tls", feature = "tls-rustls-ring-webpki")))]
        ("sslmode=require", "tls-"),
        #[cfg(not(any(feature = "tls-native-tls", feature = "tls-rustls-ring-webpki")))]
        ("sslmode=verify-full", "tls-"),
    ] {
        let error = SqlxAdapter::new(&format!("{url}?{parameter}"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, AuthError::Validation { field: "url", .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(expected), "{error}");
    }
    // The last one counts.
    let parameters = "statement-cache-capacity=0&statement-cache-capacity=9";
    let database = SqlxAdapter::new(&format!("{url}?{parameters}")).await;
    database.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_ping_tells_the_cause() {
    // Nothing listens there once it is dropped.
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("postgresql://app@{}/app", free.local_addr().unwrap());
    drop(free);
    let shared = SqlxAdapter::from_pool(PgPoolOptions::new().connect_lazy(&url).unwrap());
    let begun = std::time::Instant::now();
    let error = shared.ping().await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "not within the pool's 30 s"
    );
}

/// On connections of its own, of which one was in use before the server died.
#[sqlx::test]
async fn a_ping_tells_the_cause_also_where_the_server_has_died(pool: PgPool) {
    let options = pool.connect_options();
    let (host, port) = (options.get_host().to_owned(), options.get_port());
    let network = tokio::runtime::Runtime::new().unwrap();
    let proxy = network.spawn(async move { Proxy::start((&host, port)).await });
    let port = proxy.await.unwrap().port();
    let options = options.as_ref().clone().host("127.0.0.1").port(port);
    let url = sqlx::ConnectOptions::to_url_lossy(&options);
    let config = PoolConfig {
        max_connections: 2,
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::with_config(url.as_str(), config)
        .await
        .unwrap();
    drop((
        database.acquire().await.unwrap(),
        database.acquire().await.unwrap(),
    ));
    database.ping().await.unwrap();
    network.shutdown_background();
    until("nothing listens", async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
    })
    .await;
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        let error = database.ping().await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains("refused"), "{error}");
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "not within a second, but {:?}",
            begun.elapsed()
        );
    }
}

/// A runtime that nobody drives.
struct Undriven {
    end: std::sync::mpsc::Sender<()>,
    has_ended: tokio::sync::oneshot::Receiver<()>,
}

impl Undriven {
    async fn end(self) {
        drop(self.end);
        self.has_ended.await.unwrap();
    }
}

/// Lets another runtime begin this work, on a thread of its own, and then drives it no more.
async fn on_another_runtime<F: Future<Output = ()> + Send>(
    work: impl FnOnce() -> F + Send + 'static,
) -> Undriven {
    let (end, receiver) = std::sync::mpsc::channel();
    let (ended, has_ended) = tokio::sync::oneshot::channel();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work());
        begun.send(()).unwrap();
        let _ = receiver.recv();
        drop(runtime);
        ended.send(()).unwrap();
    });
    has_begun.await.unwrap();
    Undriven { end, has_ended }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn callers_outlive_a_runtime_that_ends(pool: PgPool) {
    let database = adapter(&pool).await;
    for round in 0..5 {
        let others = database.clone();
        let other = on_another_runtime(move || async move {
            let mut all = Vec::new();
            for _ in 0..4 {
                all.push(others.begin().await.unwrap());
            }
            for transaction in all {
                transaction.rollback().await.unwrap();
            }
        })
        .await;
        other.end().await;
        // Its connections are not written to, or nobody could tell what became of it.
        for number in 0..8 {
            let user = CreateUser::new().with_id(format!("{round} {number}"));
            database.create_user(user).await.unwrap();
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_runtime_that_nobody_drives_holds_up_nobody(pool: PgPool) {
    let config = PoolConfig {
        max_connections: 24,
        acquire_timeout: Duration::from_secs(10),
        ..PoolConfig::default()
    };
    let builder = SqlxAdapter::builder(&support::url(&pool)).pool_config(config);
    let builder = builder.answer_timeout(Duration::from_secs(120));
    let database = builder.connect().await.unwrap();
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1));
    let token = database.create_session(session).await.unwrap().token;
    let (others, others_token) = (database.clone(), token.clone());
    let other = on_another_runtime(move || async move {
        let mut all = Vec::new();
        for _ in 0..13 {
            all.push(others.begin().await.unwrap());
        }
        drop(all);
        for _ in 0..64 {
            let (others, token) = (others.clone(), others_token.clone());
            tokio::spawn(async move { others.get_session_with_user(&token).await.map(drop) });
        }
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let callers = (0..32).map(|_| {
        let (database, token) = (database.clone(), token.clone());
        tokio::spawn(async move { database.get_session_with_user(&token).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        // Long before `answer_timeout`, also where the statement was under way already.
        let answer = tokio::time::timeout(Duration::from_secs(30), caller).await;
        assert!(answer.unwrap().unwrap().unwrap().is_some());
    }
    // A runtime that ran within the last second is trusted, and a write is not taken over.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for number in 0..8 {
        let user = CreateUser::new().with_id(number.to_string());
        database.create_user(user).await.unwrap();
    }
    other.end().await;
}
