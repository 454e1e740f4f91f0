//! The cleanup around rows that cannot be removed, and beside the cleanups of other schemas.

use std::time::Duration;

use crate::support::{adapter, execute, url};
use better_auth::AuthError;
use better_auth::adapters::{DatabaseAdapter, PoolConfig, SqlxAdapter};
use better_auth::types::Removed;
use sqlx::PgPool;

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

async fn add_expired_rows(pool: &PgPool) {
    for sql in [
        "INSERT INTO users (id) VALUES ('1')",
        "INSERT INTO sessions (id, token, user_id, expires_at, active) \
         SELECT 's' || i, i, '1', CASE WHEN i % 5 = 0 THEN now() + INTERVAL '1 day' ELSE '2020-01-01'::timestamptz + i % 7 * INTERVAL '1 hour' END, \
         i % 5 <> 0 FROM generate_series(1, 5000) AS i",
        "INSERT INTO verifications (id, identifier, value, expires_at) \
         SELECT 'v' || i, 'a', '1', '2020-01-01' FROM generate_series(1, 500) AS i",
    ] {
        execute(pool, sql).await;
    }
}

fn refusal<T: std::fmt::Debug>(answer: better_auth::AuthResult<T>) -> String {
    match answer {
        Err(error @ AuthError::Database { .. }) => error.to_string(),
        answer => panic!("{answer:?}"),
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_row_that_cannot_be_removed_keeps_no_other(pool: PgPool) {
    add_expired_rows(&pool).await;
    for sql in [
        "CREATE TABLE audit (session_id TEXT REFERENCES sessions (id), verification_id TEXT REFERENCES verifications (id))",
        "INSERT INTO audit VALUES ('s1', 'v499'), ('s2501', NULL), ('s5000', NULL)",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    let message = refusal(database.clean_up().await);
    assert!(message.contains("audit_session_id_fkey"), "{message}");
    assert!(
        message.contains("s1") && message.contains("s2501"),
        "{message}"
    );
    assert_eq!(count(&pool, "SELECT count(*) FROM sessions").await, 3);
    assert_eq!(count(&pool, "SELECT count(*) FROM verifications").await, 1);
    let message = refusal(database.delete_expired_sessions().await);
    assert!(message.contains("delete_expired_sessions"), "{message}");
    let message = refusal(database.delete_expired_verifications().await);
    assert!(message.contains("v499"), "{message}");
    execute(&pool, "DROP TABLE audit").await;
    let removed = database.clean_up().await.unwrap();
    let rest = Removed {
        sessions: 3,
        verifications: 1,
    };
    assert_eq!(removed, rest);
}

/// A trigger may keep a row without an error, and then fewer rows are removed than were found.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_row_that_a_trigger_keeps_ends_no_run(pool: PgPool) {
    add_expired_rows(&pool).await;
    for sql in [
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF OLD.id IN ('s1', 's2', 's4999') THEN RETURN NULL; END IF; RETURN OLD; END $$",
        "CREATE TRIGGER keep BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION keep()",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    let message = refusal(database.clean_up().await);
    assert!(message.contains("3 of sessions"), "{message}");
    assert!(message.contains("s4999"), "{message}");
    assert_eq!(count(&pool, "SELECT count(*) FROM sessions").await, 3);
    assert_eq!(count(&pool, "SELECT count(*) FROM verifications").await, 0);
}

/// Many rows at once, none of which can go, end the run too.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn rows_that_all_stay_end_the_run(pool: PgPool) {
    add_expired_rows(&pool).await;
    for sql in [
        "DELETE FROM sessions WHERE expires_at > now() OR length(id) > 3",
        "CREATE TABLE audit AS SELECT id AS session_id FROM sessions",
        "ALTER TABLE audit ADD FOREIGN KEY (session_id) REFERENCES sessions (id)",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    let before = count(&pool, "SELECT count(*) FROM sessions").await;
    let message = refusal(database.delete_expired_sessions().await);
    assert!(
        message.contains(&format!("{before} of sessions")) && message.contains("more"),
        "{message}"
    );
}

/// Without rows to name, there is nothing to go around.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_trigger_that_refuses_every_statement_ends_the_run(pool: PgPool) {
    add_expired_rows(&pool).await;
    for sql in [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed today'; END $$",
        "CREATE TRIGGER refuse BEFORE DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    let run = tokio::time::timeout(Duration::from_secs(60), database.clean_up());
    let message = refusal(run.await.expect("the run goes on for ever"));
    assert!(message.contains("clean_up"), "{message}");
    // The other table's clean-up has run all the same.
    assert_eq!(count(&pool, "SELECT count(*) FROM verifications").await, 0);
}

/// An expression in a trigger's condition has no context.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_condition_that_fails_for_a_row_keeps_no_other(pool: PgPool) {
    add_expired_rows(&pool).await;
    for sql in [
        "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$",
        "CREATE TRIGGER pass BEFORE DELETE ON sessions FOR EACH ROW WHEN (1 / (length(OLD.id) - 2) < 9) \
         EXECUTE FUNCTION pass()",
    ] {
        execute(&pool, sql).await;
    }
    let message = refusal(adapter(&pool).await.clean_up().await);
    assert!(
        message.contains("of sessions cannot be removed"),
        "{message}"
    );
    let left = "SELECT count(*) FROM sessions WHERE length(id) > 2 AND expires_at < now()";
    assert_eq!(count(&pool, left).await, 0);
}

/// So many that to find each of them would take long: a batch with one of them stays, and the rows behind it go.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn very_many_refused_rows_do_not_cost_two_round_trips_each(pool: PgPool) {
    for sql in [
        "INSERT INTO verifications (id, identifier, value, expires_at) \
         SELECT 'v' || i, 'a', '1', '2020-01-01'::timestamptz + i * INTERVAL '1 second' FROM generate_series(1, 6000) AS i",
        "CREATE SEQUENCE statements",
        "CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM nextval('statements'); RETURN NULL; END $$",
        "CREATE TRIGGER count_statement BEFORE DELETE ON verifications FOR EACH STATEMENT EXECUTE FUNCTION count_statement()",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF substr(OLD.id, 2)::INT <= 4500 THEN RAISE 'held'; END IF; RETURN OLD; END $$",
        "CREATE TRIGGER keep BEFORE DELETE ON verifications FOR EACH ROW EXECUTE FUNCTION keep()",
    ] {
        execute(&pool, sql).await;
    }
    let message = refusal(adapter(&pool).await.clean_up().await);
    assert!(
        message.contains("too many to try them one by one"),
        "{message}"
    );
    // The last refused ones are in a batch with others.
    let left = count(&pool, "SELECT count(*) FROM verifications").await;
    assert!((4500..=5500).contains(&left), "{left}");
    assert!(
        message.contains(&format!("{left} of verifications")),
        "{message}"
    );
    let statements = count(&pool, "SELECT last_value FROM statements").await;
    assert!(statements < 2100, "{statements}");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn many_rows_that_stay_keep_no_other(pool: PgPool) {
    for sql in [
        "INSERT INTO verifications (id, identifier, value, expires_at) \
         SELECT 'v' || i, 'a', '1', '2020-01-01'::timestamptz + i * INTERVAL '1 second' FROM generate_series(1, 10100) AS i",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF OLD.id <> 'v10100' THEN RETURN NULL; END IF; RETURN OLD; END $$",
        "CREATE TRIGGER keep BEFORE DELETE ON verifications FOR EACH ROW EXECUTE FUNCTION keep()",
    ] {
        execute(&pool, sql).await;
    }
    let message = refusal(adapter(&pool).await.clean_up().await);
    assert!(message.contains("10099 of verifications"), "{message}");
    let last = "SELECT count(*) FROM verifications WHERE id = 'v10100'";
    assert_eq!(count(&pool, last).await, 0);
}

/// A batch that the server ends for the time it takes, and rows of the application's that someone has locked.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn slow_rows_are_removed_in_smaller_batches(pool: PgPool) {
    for sql in [
        "INSERT INTO verifications (id, identifier, value, expires_at) \
         SELECT 'v' || i, 'a', '1', '2020-01-01' FROM generate_series(1, 400) AS i",
        "CREATE TABLE audit (id TEXT REFERENCES verifications (id) ON DELETE CASCADE)",
        "INSERT INTO audit VALUES ('v200')",
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(0.0025); RETURN OLD; END $$",
        "CREATE TRIGGER slow BEFORE DELETE ON verifications FOR EACH ROW EXECUTE FUNCTION slow()",
    ] {
        execute(&pool, sql).await;
    }
    let config = PoolConfig {
        acquire_timeout: Duration::from_millis(500),
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::builder(&url(&pool))
        .pool_config(config)
        .answer_timeout(Duration::from_millis(750))
        .connect()
        .await
        .unwrap();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM audit FOR UPDATE")
        .execute(&mut *other)
        .await
        .unwrap();
    let message = refusal(database.clean_up().await);
    assert!(
        message.contains("1 of verifications") && message.contains("v200"),
        "{message}"
    );
    other.rollback().await.unwrap();
    assert_eq!(database.clean_up().await.unwrap().verifications, 1);
}

/// Expired verifications: the first ones are so slow that the server gives up on them.
async fn add_slow_rows(pool: &PgPool, slow: i64, others: i64) {
    for sql in [
        "DROP TRIGGER IF EXISTS slow ON verifications".to_owned(),
        "DELETE FROM verifications".to_owned(),
        format!(
            "INSERT INTO verifications (id, identifier, value, expires_at) \
             SELECT 'v' || i, 'a', CASE WHEN i <= {slow} THEN 'slow' ELSE '1' END, \
             '2020-01-01'::timestamptz + i * INTERVAL '1 second' FROM generate_series(1, {slow} + {others}) AS i"
        ),
        "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF OLD.value = 'slow' THEN RAISE USING ERRCODE = 'query_canceled'; END IF; RETURN OLD; END $$"
            .to_owned(),
        "CREATE TRIGGER slow BEFORE DELETE ON verifications FOR EACH ROW EXECUTE FUNCTION slow()".to_owned(),
    ] {
        execute(pool, &sql).await;
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_run_ends_after_many_slow_rows(pool: PgPool) {
    let database = adapter(&pool).await;
    add_slow_rows(&pool, 10, 100).await;
    let message = refusal(database.delete_expired_verifications().await);
    assert!(
        message.contains("10 of verifications cannot be removed, ids v1, v2"),
        "{message}"
    );
    let left = "SELECT count(*) FROM verifications";
    assert_eq!(count(&pool, left).await, 10);

    add_slow_rows(&pool, 11, 100).await;
    let answer = database.delete_expired_verifications().await;
    assert!(
        matches!(answer, Err(AuthError::Unavailable { .. })),
        "{answer:?}"
    );
    assert_eq!(count(&pool, left).await, 111);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn batches_grow_again_behind_a_slow_row(pool: PgPool) {
    add_slow_rows(&pool, 1, 3000).await;
    for sql in [
        "CREATE SEQUENCE statements",
        "CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM nextval('statements'); RETURN NULL; END $$",
        "CREATE TRIGGER count_statement BEFORE DELETE ON verifications FOR EACH STATEMENT EXECUTE FUNCTION count_statement()",
    ] {
        execute(&pool, sql).await;
    }
    let message = refusal(adapter(&pool).await.delete_expired_verifications().await);
    assert!(message.contains("1 of verifications"), "{message}");
    // Ten times half as many, the row alone, and twice as many each time.
    let statements = count(&pool, "SELECT last_value FROM statements").await;
    assert!(statements < 40, "{statements}");
}

#[sqlx::test(migrations = false)]
async fn cleanups_of_other_schemas_do_not_wait(pool: PgPool) {
    let mut tenants = Vec::new();
    for tenant in ["tenant_a", "tenant_b"] {
        execute(&pool, &format!("CREATE SCHEMA {tenant}")).await;
        let options = pool.connect_options().as_ref().clone();
        let options = options.options([("search_path", tenant)]);
        let tenant_pool = PgPool::connect_lazy_with(options);
        SqlxAdapter::from_pool(tenant_pool.clone())
            .migrate()
            .await
            .unwrap();
        add_expired_rows(&tenant_pool).await;
        tenants.push(tenant_pool);
    }
    // As an instance of the first tenant's that is in the middle of a batch.
    let mut other = tenants[0].begin().await.unwrap();
    sqlx::query(
        "SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), $1 + kind)) \
         FROM generate_series(1, 3) AS kind",
    )
    .bind(0x6265_7474_6572_2d61_i64)
    .execute(&mut *other)
    .await
    .unwrap();
    let first = SqlxAdapter::from_pool(tenants[0].clone());
    assert_eq!(first.clean_up().await.unwrap(), Removed::default());
    let second = SqlxAdapter::from_pool(tenants[1].clone());
    let all = Removed {
        sessions: 5000,
        verifications: 500,
    };
    assert_eq!(second.clean_up().await.unwrap(), all);
    other.rollback().await.unwrap();
    assert_eq!(first.clean_up().await.unwrap(), all);
}

/// The lock is that of the tables, whichever path leads to them.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn cleanups_of_the_same_tables_are_one_by_any_path(pool: PgPool) {
    add_expired_rows(&pool).await;
    execute(&pool, "CREATE SCHEMA app").await;
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("search_path", "app,public")]);
    let by_other_path = SqlxAdapter::from_pool(PgPool::connect_lazy_with(options));
    // As an instance whose path begins with the schema of the tables, in the middle of a batch.
    let mut other = pool.begin().await.unwrap();
    sqlx::query(
        "SELECT pg_advisory_xact_lock(hashtextextended('public', $1 + kind)) FROM generate_series(1, 3) AS kind",
    )
    .bind(0x6265_7474_6572_2d61_i64)
    .execute(&mut *other)
    .await
    .unwrap();
    assert_eq!(by_other_path.clean_up().await.unwrap(), Removed::default());
    other.rollback().await.unwrap();
    let all = Removed {
        sessions: 5000,
        verifications: 500,
    };
    assert_eq!(by_other_path.clean_up().await.unwrap(), all);
}

/// Another program may have stored it.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_session_with_an_empty_id_is_removed_too(pool: PgPool) {
    for sql in [
        "INSERT INTO users (id) VALUES ('1')",
        "INSERT INTO sessions (id, token, user_id, expires_at, active) \
         VALUES ('', '1', '1', now() + interval '1 hour', FALSE), ('2', '2', '1', '2020-01-01', TRUE)",
        "UPDATE sessions SET active = FALSE",
    ] {
        execute(&pool, sql).await;
    }
    assert_eq!(
        adapter(&pool)
            .await
            .delete_expired_sessions()
            .await
            .unwrap(),
        2
    );
}
