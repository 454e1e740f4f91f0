//! What the PostgreSQL adapter does where the server, the network or the table's contents are not as they should be.

use std::error::Error as _;
use std::time::{Duration, Instant};

use crate::support::{adapter, execute, require_database, url};
use better_auth::adapters::{DatabaseAdapter, PoolConfig, SqlxAdapter, SqlxAdapterBuilder};
use better_auth::{AuthError, AuthResult, ConflictField, CreateSession, CreateUser, UpdateUser};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

const PASSWORD: &str = "s3cret-in-the-url";

#[tokio::test]
async fn a_database_is_up() {
    require_database().await;
}

/// The server's address, as a URL has it.
fn place(pool: &PgPool) -> String {
    let options = pool.connect_options();
    format!("{}:{}", options.get_host(), options.get_port())
}

async fn failure(url: &str) -> AuthError {
    let config = PoolConfig {
        acquire_timeout: Duration::from_secs(5),
        ..PoolConfig::default()
    };
    let begun = Instant::now();
    let error = SqlxAdapter::with_config(url, config).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
    assert_no_secret(&error);
    error
}

fn assert_no_secret(error: &AuthError) {
    let source = error.source().map(|source| format!("{source} {source:?}"));
    let shown = format!("{error} {error:?} {source:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}

#[sqlx::test(migrations = false)]
async fn a_wrong_password_is_named(pool: PgPool) {
    let place = place(&pool);
    let error = failure(&format!(
        "postgresql://better_auth:{PASSWORD}@{place}/better_auth"
    ))
    .await;
    let message = error.to_string();
    assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
    assert!(
        message.contains("password") && message.contains(&place),
        "{message}"
    );
    assert!(message.contains("\"better_auth\""), "{message}");
}

#[sqlx::test(migrations = false)]
async fn a_missing_database_is_named(pool: PgPool) {
    let url = url(&pool).replace("/_sqlx_test", "/no_such_database_sqlx_test");
    let error = failure(&url).await;
    let message = error.to_string();
    assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
    assert!(
        message.contains("no such database") && message.contains("no_such_database"),
        "{message}"
    );
}

#[tokio::test]
async fn a_missing_server_is_named() {
    let error = failure(&format!("postgresql://user:{PASSWORD}@localhost:1/mydb")).await;
    let message = error.to_string();
    assert!(error.is_retryable(), "{error:?}");
    assert!(message.contains("\"mydb\" at localhost:1"), "{message}");
    assert!(message.contains("is the server running"), "{message}");
    let error = failure(&format!("postgresql://user:{PASSWORD}@host.invalid/mydb")).await;
    assert!(error.to_string().contains("host.invalid"), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let error = failure(&format!(
        "postgresql://user:{PASSWORD}@127.0.0.1:{port}/mydb"
    ))
    .await;
    assert!(error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("acquire_timeout"), "{error}");
}

#[tokio::test]
async fn a_url_that_is_none_is_refused() {
    for url in [
        "",
        "nonsense",
        &format!("mysql://user:{PASSWORD}@localhost/mydb"),
        &format!("postgresql://user:{PASSWORD}@localhost:port/mydb"),
        &format!("postgresql://user:{PASSWORD}@localhost/mydb?sslmode=nonsense"),
        &format!("postgresql://user:12/{PASSWORD}@localhost/mydb"),
    ] {
        let error = failure(url).await;
        assert!(
            matches!(error, AuthError::Validation { field: "url", .. }),
            "{error:?}"
        );
    }
}

/// The build of these tests has no TLS feature.
#[sqlx::test(migrations = false)]
async fn encryption_without_a_tls_feature_is_a_mistake_of_the_configuration(pool: PgPool) {
    for mode in ["require", "verify-ca", "verify-full"] {
        let base = url(&pool);
        let base = base.split('?').next().unwrap();
        let error = failure(&format!("{base}?sslmode={mode}")).await;
        assert!(
            matches!(error, AuthError::Validation { field: "url", .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("tls-rustls"), "{error}");
        let options = pool.connect_options().as_ref().clone();
        let shared = PgPool::connect_lazy_with(options.ssl_mode(mode.parse().unwrap()));
        let error = SqlxAdapter::from_pool(shared).ping().await.unwrap_err();
        assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
        assert!(error.to_string().contains("tls-rustls"), "{error}");
    }
}

#[tokio::test]
async fn a_pool_that_cannot_work_is_refused() {
    let refused = async |config: PoolConfig| -> &'static str {
        match SqlxAdapter::with_config("postgresql://localhost", config).await {
            Err(AuthError::Validation { field, .. }) => field,
            answer => panic!("{answer:?}"),
        }
    };
    let default = PoolConfig::default;
    assert_eq!(
        refused(PoolConfig {
            max_connections: 0,
            ..default()
        })
        .await,
        "max_connections"
    );
    assert_eq!(
        refused(PoolConfig {
            min_connections: 11,
            ..default()
        })
        .await,
        "min_connections"
    );
    let zero = PoolConfig {
        acquire_timeout: Duration::ZERO,
        ..default()
    };
    assert_eq!(refused(zero).await, "acquire_timeout");
    let endless = PoolConfig {
        max_connections: u32::MAX,
        ..default()
    };
    assert_eq!(refused(endless).await, "max_connections");
    let zero = PoolConfig {
        idle_timeout: Some(Duration::ZERO),
        ..default()
    };
    assert_eq!(refused(zero).await, "idle_timeout");
    let zero = PoolConfig {
        max_lifetime: Some(Duration::ZERO),
        ..default()
    };
    assert_eq!(refused(zero).await, "max_lifetime");
    let builder = SqlxAdapter::builder("postgresql://localhost").answer_timeout(Duration::ZERO);
    let refused = builder.connect().await.unwrap_err();
    assert!(
        matches!(
            refused,
            AuthError::Validation {
                field: "answer_timeout",
                ..
            }
        ),
        "{refused:?}"
    );
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn endless_timeouts_work(pool: PgPool) {
    let config = PoolConfig {
        acquire_timeout: Duration::MAX,
        idle_timeout: Some(Duration::MAX),
        max_lifetime: Some(Duration::MAX),
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::with_config(&url(&pool), config).await.unwrap();
    database.create_user(CreateUser::new()).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_database_that_is_not_migrated_says_so(pool: PgPool) {
    let database = adapter(&pool).await;
    let errors = [
        database.get_user_by_id("1").await.err(),
        database.create_user(CreateUser::new()).await.err(),
        database.delete_expired_sessions().await.err(),
    ];
    for error in errors {
        let error = error.unwrap();
        assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
        assert!(
            error.to_string().contains("call SqlxAdapter::migrate()"),
            "{error}"
        );
    }
    database.migrate().await.unwrap();
    database.create_user(CreateUser::new()).await.unwrap();
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_lock_of_someone_else_ends_the_wait(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM users FOR UPDATE")
        .execute(&mut *other)
        .await
        .unwrap();
    let update = UpdateUser {
        banned: Some(true),
        ..UpdateUser::default()
    };
    let begun = Instant::now();
    let error = database.update_user(&user.id, update).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(
        error.is_retryable() && error.to_string().contains("held a lock"),
        "{error:?}"
    );
    other.rollback().await.unwrap();
    assert_eq!(database.get_user_by_id(&user.id).await.unwrap(), Some(user));
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_server_that_does_not_answer_ends_the_wait(pool: PgPool) {
    // On connections of the adapter's own, `statement_timeout` would end the wait at the server.
    let shared = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(pool.connect_options().as_ref().clone());
    let database = SqlxAdapterBuilder::from_pool(shared)
        .answer_timeout(Duration::from_millis(200))
        .connect()
        .await
        .unwrap();
    let transaction = database.begin().await.unwrap();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE users")
        .execute(&mut *other)
        .await
        .unwrap();

    let error = transaction
        .create_user(CreateUser::new())
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(
        error.to_string().contains("nothing of it was done"),
        "{error}"
    );
    drop(transaction);
    let error = database.get_user_by_id("1").await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("answer_timeout"), "{error}");
    let error = database.create_user(CreateUser::new()).await.unwrap_err();
    assert!(
        matches!(error, AuthError::OutcomeUnknown { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("answer_timeout"), "{error}");
    let mut dropped = database.create_user(CreateUser::new());
    let _ = tokio::time::timeout(Duration::from_millis(100), dropped.as_mut()).await;
    drop(dropped);
    database.ping().await.unwrap();

    other.rollback().await.unwrap();
    assert_eq!(database.get_user_by_id("1").await.unwrap(), None);
    assert_eq!(database.pool_stats().size, 1);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_exhausted_pool_ends_the_wait(pool: PgPool) {
    let database = adapter(&pool).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(database.acquire().await.unwrap());
    }
    let error = database.get_user_by_id("1").await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("acquire_timeout"),
        "{error:?}"
    );
    drop(held);
    assert_eq!(database.get_user_by_id("1").await.unwrap(), None);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn dead_connections_are_replaced(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    for _ in 0..5 {
        let reads = (0..4).map(|_| {
            let (database, id) = (database.clone(), user.id.clone());
            tokio::spawn(async move { database.get_user_by_id(&id).await })
        });
        for read in reads.collect::<Vec<_>>() {
            assert_eq!(read.await.unwrap().unwrap().as_ref(), Some(&user));
        }
        execute(
            &pool,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        assert_eq!(
            database.get_user_by_id(&user.id).await.unwrap().as_ref(),
            Some(&user)
        );
    }
    assert!(database.pool_stats().size <= 4);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn writes_go_on_after_dead_connections(pool: PgPool) {
    let database = adapter(&pool).await;
    for _ in 0..5 {
        database.create_user(CreateUser::new()).await.unwrap();
        execute(
            &pool,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        match database.create_user(CreateUser::new()).await {
            Ok(_) | Err(AuthError::OutcomeUnknown { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_closed_adapter_says_so(pool: PgPool) {
    let database = adapter(&pool).await;
    database.ping().await.unwrap();
    assert_eq!(database.pool_stats().size, 1);
    database.clone().close().await;
    let error = database.get_user_by_id("1").await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("closed"), "{error}");
    assert!(database.ping().await.is_err());
    assert_eq!(database.pool_stats().size, 0);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn infinity_reads_as_the_furthest_time(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO users (id, ban_expires, created_at, updated_at) VALUES ('1', 'infinity', '-infinity', 'infinity')",
    )
    .await;
    execute(
        &pool,
        "INSERT INTO sessions (id, token, user_id, expires_at) VALUES ('1', 'token', '1', 'infinity'), \
         ('2', 'far', '1', '294276-12-31 23:59:59.999999Z')",
    )
    .await;
    let database = adapter(&pool).await;
    let (session, user) = database
        .get_session_with_user("token")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.expires_at, DateTime::<Utc>::MAX_UTC);
    assert_eq!(user.ban_expires, Some(DateTime::<Utc>::MAX_UTC));
    assert_eq!(user.created_at, DateTime::<Utc>::MIN_UTC);
    assert_eq!(database.get_user_by_id("1").await.unwrap(), Some(user));
    assert_eq!(database.get_user_sessions("1").await.unwrap().len(), 2);
    let update = UpdateUser {
        role: Some(None),
        ..UpdateUser::default()
    };
    database.update_user("1", update).await.unwrap();
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_unreadable_value_is_an_error_that_does_not_quote_it(pool: PgPool) {
    // A row of another program's that was stored before the constraint was there.
    execute(
        &pool,
        "ALTER TABLE users DROP CONSTRAINT users_metadata_check",
    )
    .await;
    execute(
        &pool,
        &format!("INSERT INTO users (id, metadata) VALUES ('1', '\"{PASSWORD}\"')"),
    )
    .await;
    execute(
        &pool,
        "INSERT INTO users (id, metadata) VALUES ('2', (repeat('{\"a\":', 200) || '1' || repeat('}', 200))::jsonb)",
    )
    .await;
    let database = adapter(&pool).await;
    for id in ["1", "2"] {
        let error = database.get_user_by_id(id).await.unwrap_err();
        assert!(matches!(error, AuthError::Database { .. }), "{error:?}");
        assert!(error.to_string().contains("metadata"), "{error}");
        assert_no_secret(&error);
        let update = UpdateUser {
            banned: Some(true),
            ..UpdateUser::default()
        };
        let error = database.update_user(id, update).await.unwrap_err();
        assert!(
            matches!(error, AuthError::OutcomeUnknown { .. }),
            "{error:?}"
        );
        assert_no_secret(&error);
    }
}

/// PostgreSQL quotes values in the detail of many errors, and triggers of the application's may in the message.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn errors_of_the_server_are_scrubbed(pool: PgPool) {
    execute(
        &pool,
        "ALTER TABLE users ADD CONSTRAINT no_ada CHECK (name <> 'Ada')",
    )
    .await;
    execute(
        &pool,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE 'refused: %', NEW.token USING ERRCODE = '45000'; END $$",
    )
    .await;
    execute(
        &pool,
        "CREATE TRIGGER refuse BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let create = CreateUser::new().with_name("Ada").with_role(PASSWORD);
    let error = database.create_user(create).await.unwrap_err();
    assert!(error.to_string().contains("no_ada"), "{error}");
    assert_no_secret(&error);
    let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1));
    let error = database.create_session(session).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("45000") && !shown.contains("refused: "),
        "{shown}"
    );
}

/// Sharding engines append the shard's number to a constraint's name.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn constraints_are_known_by_their_shards_too(pool: PgPool) {
    execute(
        &pool,
        "ALTER TABLE users RENAME CONSTRAINT users_email_key TO users_email_key_102008",
    )
    .await;
    let database = adapter(&pool).await;
    let create = CreateUser::new().with_email("a@example.com");
    database.create_user(create.clone()).await.unwrap();
    let answer = database.create_user(create).await;
    assert!(
        matches!(
            answer,
            Err(AuthError::Conflict {
                field: ConflictField::Email
            })
        ),
        "{answer:?}"
    );
}

/// A restored dump creates the constraints by their names' order, and the server looks at the oldest first.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn the_first_conflict_is_named_whatever_the_age_of_the_indexes(pool: PgPool) {
    execute(
        &pool,
        "ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE, DROP CONSTRAINT users_email_key",
    )
    .await;
    execute(
        &pool,
        "ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email)",
    )
    .await;
    execute(&pool, "ALTER TABLE users ADD PRIMARY KEY (id)").await;
    let database = adapter(&pool).await;
    let create = CreateUser::new()
        .with_id("1")
        .with_email("a")
        .with_username("a");
    database.create_user(create.clone()).await.unwrap();
    let other = database.create_user(CreateUser::new()).await.unwrap();
    let conflict = |answer: AuthResult<_>| match answer {
        Err(AuthError::Conflict { field }) => field,
        answer => panic!("{answer:?}"),
    };
    let answer = database.create_user(create.clone()).await;
    assert_eq!(conflict(answer), ConflictField::UserId);
    let without_email = CreateUser {
        email: None,
        ..create.clone()
    };
    let answer = database.create_user(without_email).await;
    assert_eq!(conflict(answer), ConflictField::UserId);
    let answer = database.create_user(create.clone().with_id("2")).await;
    assert_eq!(conflict(answer), ConflictField::Email);
    let answer = database
        .create_user(CreateUser {
            email: None,
            ..create.with_id("2")
        })
        .await;
    assert_eq!(conflict(answer), ConflictField::Username);
    let update = UpdateUser {
        email: Some(Some("a".to_owned())),
        username: Some(Some("a".to_owned())),
        ..UpdateUser::default()
    };
    let answer = database.update_user(&other.id, update).await;
    assert_eq!(conflict(answer), ConflictField::Email);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_taken_session_token_is_a_conflict(pool: PgPool) {
    execute(
        &pool,
        "CREATE FUNCTION same_token() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN NEW.token := 'token'; RETURN NEW; END $$",
    )
    .await;
    execute(
        &pool,
        "CREATE TRIGGER same_token BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION same_token()",
    )
    .await;
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1));
    database.create_session(session.clone()).await.unwrap();
    let answer = database.create_session(session).await;
    assert!(
        matches!(
            answer,
            Err(AuthError::Conflict {
                field: ConflictField::SessionToken
            })
        ),
        "{answer:?}"
    );
}

/// Collisions are retried inside, also where the server finds far more of them.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_serializable_database_works(pool: PgPool) -> AuthResult<()> {
    let serializable = PgConnectOptions::clone(&pool.connect_options())
        .options([("default_transaction_isolation", "serializable")]);
    let pool = sqlx::PgPool::connect_lazy_with(serializable);
    let database = SqlxAdapter::from_pool(pool);
    let user = database.create_user(CreateUser::new()).await?;
    let callers = (0..6).map(|caller| {
        let (database, id) = (database.clone(), user.id.clone());
        tokio::spawn(async move {
            for round in 0..10 {
                let update = UpdateUser {
                    email: Some(Some(format!("{caller}-{round}@example.com"))),
                    ..UpdateUser::default()
                };
                database.update_user(&id, update).await?;
                let session = CreateSession::new(&id, Utc::now() + TimeDelta::hours(1));
                database.create_session(session).await?;
            }
            AuthResult::Ok(())
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap()?;
    }
    assert_eq!(database.get_user_sessions(&user.id).await?.len(), 60);
    database.close().await;
    Ok(())
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn debug_shows_no_password(pool: PgPool) {
    let shown = format!("{:?}", adapter(&pool).await);
    assert!(
        shown.contains("server") && !shown.contains("password"),
        "{shown}"
    );
}

/// Every call allocates its future. What waits for the network is in a box of its own, so that an answer from memory or
/// from a batch does not pay for it.
#[tokio::test]
async fn futures_of_lookups_are_small() {
    let pool = PgPoolOptions::new().connect_lazy("postgresql://localhost/none");
    let database = SqlxAdapter::from_pool(pool.unwrap());
    let sizes = [
        size_of_val(&*database.get_user_by_id("1")),
        size_of_val(&*database.get_session("token")),
        size_of_val(&*database.get_session_with_user("token")),
        size_of_val(&*database.refresh_session("token", Duration::ZERO, Duration::ZERO)),
    ];
    assert!(sizes.iter().all(|size| *size <= 2048), "{sizes:?}");
}
