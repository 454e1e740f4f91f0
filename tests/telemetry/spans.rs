//! The spans and events of the feature `tracing`.

use std::time::Duration;

use better_auth::adapters::{
    DatabaseAdapter, PoolConfig, SessionCache, SqlxAdapter, SqlxAdapterBuilder,
};
use better_auth::types::{CreateSession, CreateUser};
use better_auth::{AuthError, transaction};
use sqlx::PgPool;
use tracing::Instrument as _;

use crate::look_up_at_once;
use crate::recorder::{self, recorded};
use crate::support::{MIGRATED, execute, url};

/// The name of a test's own database.
fn name(pool: &PgPool) -> String {
    let options = pool.connect_options();
    options.get_database().unwrap().to_owned()
}

fn builder(pool: &PgPool, max_connections: u32) -> SqlxAdapterBuilder {
    recorder::start();
    SqlxAdapter::builder(&url(pool)).pool_config(PoolConfig {
        max_connections,
        acquire_timeout: Duration::from_secs(10),
        ..PoolConfig::default()
    })
}

/// As a server that stops would.
async fn close_connections(pool: &PgPool) {
    execute(
        pool,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
}

/// A trigger that fails on the first so many writes of users, as other transactions at work would.
async fn conflicts_at_first(pool: &PgPool, conflicts: u32) {
    execute(
        pool,
        &format!(
            "CREATE SEQUENCE writes; \
             CREATE FUNCTION conflicts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('writes') <= {conflicts} THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF; \
             RETURN NEW; END $$; \
             CREATE TRIGGER conflicts BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION conflicts()"
        ),
    )
    .await;
}

#[sqlx::test(migrator = "MIGRATED")]
async fn an_operation_is_a_child_of_its_callers_span(pool: PgPool) {
    let database = builder(&pool, 2).connect().await.unwrap();
    let options = pool.connect_options();
    let user = CreateUser::new().with_email("ada@example.com");
    let request = tracing::info_span!(target: "application", "request");
    let created = database.create_user(user.clone()).instrument(request);
    created.await.unwrap();
    let again = database.create_user(user).await;
    assert!(matches!(again, Err(AuthError::Conflict { .. })));

    let recorded = recorded();
    let spans = recorded.spans_of(&name(&pool), "operation");
    let [created, again] = spans.as_slice() else {
        panic!("{} spans", spans.len());
    };
    let parent = created
        .parent
        .map(|parent| recorded.spans[parent].seen.name.as_str());
    assert_eq!(parent, Some("request"));
    for (field, value) in [
        ("otel.kind", "client"),
        ("otel.name", "create_user users"),
        ("db.system.name", "postgresql"),
        ("db.operation.name", "create_user"),
        ("db.collection.name", "users"),
        ("db.query.summary", "create_user users"),
        ("server.address", options.get_host()),
        ("server.port", &options.get_port().to_string()),
        ("better_auth.retries", "0"),
        ("better_auth.batched", "false"),
    ] {
        assert_eq!(created.seen.get(field), Some(value), "{field}");
    }
    let wait = created.seen.get("better_auth.connection_wait").unwrap();
    assert!(wait.parse::<f64>().unwrap() > 0.0, "it opens a connection");
    assert_eq!(created.seen.get("error.type"), None);
    assert_eq!(created.seen.get("db.response.status_code"), None);
    assert_eq!(again.seen.get("error.type"), Some("Conflict"));
    assert_eq!(again.seen.get("db.response.status_code"), Some("23505"));
    assert!(created.is_closed && again.is_closed);
}

#[sqlx::test(migrator = "MIGRATED")]
async fn retries_are_counted_and_told(pool: PgPool) {
    let database = builder(&pool, 2).connect().await.unwrap();
    conflicts_at_first(&pool, 2).await;
    database.create_user(CreateUser::new()).await.unwrap();

    let recorded = recorded();
    let name = name(&pool);
    let span = recorded.spans_of(&name, "operation")[0];
    assert_eq!(span.seen.get("better_auth.retries"), Some("2"));
    assert_eq!(span.seen.get("error.type"), None);
    let retries = recorded.events_of(&name, "a statement is sent again");
    let told: Vec<_> = retries
        .iter()
        .map(|event| {
            (
                event.get("better_auth.reason"),
                event.get("better_auth.retry"),
            )
        })
        .collect();
    let because = Some("contention");
    assert_eq!(told, [(because, Some("1")), (because, Some("2"))]);
}

#[sqlx::test(migrator = "MIGRATED")]
async fn a_batch_has_a_span_with_its_size_and_its_callers_say_so(pool: PgPool) {
    let database = builder(&pool, 1).connect().await.unwrap();
    look_up_at_once(&database).await;

    let recorded = recorded();
    let name = name(&pool);
    let lookups: Vec<_> = recorded
        .spans_of(&name, "operation")
        .into_iter()
        .filter(|span| span.seen.get("db.operation.name") == Some("get_user_by_id"))
        .collect();
    let is_batched = |field: &str| {
        let with = |span: &&&recorder::Span| span.seen.get("better_auth.batched") == Some(field);
        lookups.iter().filter(with).count()
    };
    assert_eq!(lookups.len(), 20);
    let sizes: Vec<usize> = recorded
        .spans_of(&name, "batch")
        .iter()
        .map(|batch| {
            assert_eq!(batch.parent, None);
            let summary = batch.seen.get("otel.name");
            assert_eq!(summary, Some("BATCH get_user_by_id users"));
            assert!(batch.is_closed);
            let size = batch.seen.get("db.operation.batch.size");
            size.unwrap().parse().unwrap()
        })
        .collect();
    assert!(!sizes.is_empty());
    assert_eq!(sizes.iter().sum::<usize>(), is_batched("true"));
    assert_eq!(is_batched("true") + is_batched("false"), 20);
}

#[sqlx::test(migrator = "MIGRATED")]
async fn the_span_of_a_dropped_operation_is_closed(pool: PgPool) {
    let database = builder(&pool, 2).connect().await.unwrap();
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE users")
        .execute(&mut *lock)
        .await
        .unwrap();
    let blocked = database.create_user(CreateUser::new());
    let dropped = tokio::time::timeout(Duration::from_millis(200), blocked).await;
    assert!(dropped.is_err());

    let recorded = recorded();
    let spans = recorded.spans_of(&name(&pool), "operation");
    assert!(spans[0].is_closed);
    assert_eq!(spans[0].seen.get("error.type"), None);
}

/// The schema belongs to the name of the database if the connection's options tell it.
#[sqlx::test(migrator = "MIGRATED")]
async fn the_namespace_names_the_schema(pool: PgPool) {
    recorder::start();
    let base = url(&pool);
    let base = base.split('?').next().unwrap();
    let url = format!("{base}?options=-c%20search_path%3Dpublic,other");
    let database = SqlxAdapter::new(&url).await.unwrap();
    database.get_user_by_id("nobody").await.unwrap();
    let recorded = recorded();
    let namespace = format!("{}|public", name(&pool));
    assert_eq!(recorded.spans_of(&namespace, "operation").len(), 1);
    assert!(recorded.spans_of(&name(&pool), "operation").is_empty());
}

/// What a cleanup has removed before it failed is told too.
#[sqlx::test(migrator = "MIGRATED")]
async fn rows_that_were_removed_before_a_failure_are_told(pool: PgPool) {
    let database = builder(&pool, 1).connect().await.unwrap();
    execute(
        &pool,
        "INSERT INTO verifications (id, identifier, value, expires_at) \
         SELECT i, 'a', '1', '2020-01-01'::TIMESTAMPTZ + i * INTERVAL '1 second' FROM generate_series(1, 1500) AS i; \
         CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF OLD.id = '1400' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN OLD; END $$; \
         CREATE TRIGGER fails BEFORE DELETE ON verifications FOR EACH ROW EXECUTE FUNCTION fails()",
    )
    .await;
    database.delete_expired_verifications().await.unwrap_err();
    let recorded = recorded();
    let removed = recorded.events_of(&name(&pool), "expired rows are removed");
    let rows: Vec<_> = removed
        .iter()
        .map(|event| event.get("better_auth.rows"))
        .collect();
    assert_eq!(rows, [Some("1000")]);
}

/// Compares all names with a file. `names.txt` is what operators build on.
#[sqlx::test(migrations = false)]
async fn the_names_are_those_of_the_list(pool: PgPool) {
    let slow = builder(&pool, 1).slow_operation_threshold(Duration::ZERO);
    let database = slow.migrate(true).connect().await.unwrap();
    conflicts_at_first(&pool, 1).await;
    let user = transaction(&database, |tx| async move {
        tx.create_user(CreateUser::new()).await
    });
    let user = user.await.unwrap();
    execute(&pool, "ALTER SEQUENCE writes RESTART").await;
    database.create_user(CreateUser::new()).await.unwrap();
    let session = CreateSession::new(&user.id, "2001-01-01T00:00:00Z".parse().unwrap());
    database.create_session(session).await.unwrap();
    assert_eq!(database.clean_up().await.unwrap().sessions, 1);
    look_up_at_once(&database).await;
    // An answer that cannot be read.
    execute(
        &pool,
        "CREATE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         NEW.metadata = (repeat('{\"a\":', 200) || '1' || repeat('}', 200))::jsonb; RETURN NEW; END $$; \
         CREATE TRIGGER breaks BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION breaks()",
    )
    .await;
    let unknown = database.ban_user(&user.id, None, None).await;
    assert!(matches!(unknown, Err(AuthError::OutcomeUnknown { .. })));
    // Two slugs that differ by case.
    execute(&pool, include_str!("../support/organizations_0_10.sql")).await;
    execute(
        &pool,
        "INSERT INTO organization (id, name, slug) VALUES ('1', 'One', 'one'), ('2', 'One', 'ONE')",
    )
    .await;
    let caching = builder(&pool, 2).session_cache(SessionCache::exact());
    let caching = caching.migrate(true).connect().await.unwrap();
    caching.close().await;
    close_connections(&pool).await;
    database.get_user_by_id("nobody").await.unwrap();
    while !recorded()
        .events
        .iter()
        .any(|event| event.name == "a connection is closed")
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let names: Vec<_> = recorded().names.iter().cloned().collect();
    let listed: Vec<_> = include_str!("names.txt").lines().collect();
    assert_eq!(names, listed);
}
