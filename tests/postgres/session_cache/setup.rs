//! What the session cache needs of the database: its triggers, what they notify, and where it listens.

use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter as _, SessionCache, SqlxAdapter, SqlxAdapterBuilder};
use better_auth::{AuthError, AuthResult};
use sqlx::postgres::PgListener;
use sqlx::{PgPool, Row as _};

use super::{builder, exact, finds, signed_in, stats, until_it_listens, warm};
use crate::support::{adapter, execute, url};

#[sqlx::test(migrator = "crate::support::MIGRATED")]
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
        assert!(finds(&database, &session.token).await);
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
    until_it_listens(&database, &session.token).await;
    plain.migrate().await.unwrap();
    plain.check_schema().await.unwrap();
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
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

#[sqlx::test(migrator = "crate::support::MIGRATED")]
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
    assert!(nobody.to_string().contains("refused"), "{nobody}");
}

/// Once the triggers are there, the cache asks for no more than reading their record, and for nothing where it listens.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn few_privileges_are_enough(pool: PgPool) {
    exact(&pool).await.close().await;
    let role = format!("cached_{}", std::process::id());
    let listener = format!("listening_{}", std::process::id());
    for statement in [
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'password'"),
        &format!("CREATE ROLE {listener} LOGIN PASSWORD 'password'"),
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        &format!("GRANT USAGE ON SCHEMA public TO {role}"),
        &format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON users, sessions, accounts, verifications TO {role}"
        ),
        &format!(
            "GRANT SELECT ON _better_auth_migrations, _better_auth_session_cache_migrations TO {role}"
        ),
    ] {
        execute(&pool, statement).await;
    }
    let options = pool.connect_options();
    let place = format!(
        "{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap()
    );
    let cache =
        SessionCache::exact().listen_url(format!("postgresql://{listener}:password@{place}"));
    let builder = builder(&format!("postgresql://{role}:password@{place}"), cache);
    let database = builder.check_schema(true).connect().await.unwrap();
    let (session, _) = signed_in(&database).await;
    warm(&database, &session.token).await.unwrap();
    let sessions = database.get_user_sessions(&session.user_id).await.unwrap();
    assert_eq!(sessions, std::slice::from_ref(&session));
    database.delete_session(&session.token).await.unwrap();
    assert!(!finds(&database, &session.token).await);
    database.close().await;
    for role in [role, listener] {
        execute(&pool, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    }
}

/// An adapter on a pool of the application's listens on a connection of its own.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
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

#[sqlx::test(migrator = "crate::support::MIGRATED")]
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
