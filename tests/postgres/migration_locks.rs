//! `migrate` beside other sessions: long transactions, index builds of administrators, time limits, and cuts.

use std::time::Duration;

use crate::stores::with_organizations;
use crate::support::{adapter, execute, url};
use better_auth::adapters::SqlxAdapter;
use better_auth::{AuthResult, MIGRATOR};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::task::JoinHandle;

const LOCK: &str = "SELECT pg_advisory_lock(x'6265747465722d61'::BIGINT)";
const INDEX: &str = "users_name_created_at_id_idx";
const BUILD: &str = "CREATE INDEX CONCURRENTLY users_name_created_at_id_idx \
                     ON users (left(name, 64) COLLATE \"C\", created_at, id COLLATE \"C\")";

async fn connect(pool: &PgPool) -> PgConnection {
    PgConnection::connect_with(&pool.connect_options())
        .await
        .unwrap()
}

async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

fn migrate(database: &SqlxAdapter) -> JoinHandle<AuthResult<()>> {
    let database = database.clone();
    tokio::spawn(async move { database.migrate().await })
}

async fn ends_well(migration: JoinHandle<AuthResult<()>>) {
    let ended = tokio::time::timeout(Duration::from_secs(60), migration).await;
    ended.expect("migrate does not end").unwrap().unwrap();
}

/// Other tests build in their own databases at this moment.
const BUILD_AT_ITS_END: &str = "SELECT count(*) = 1 FROM pg_stat_progress_create_index \
                                WHERE datname = current_database() AND phase LIKE 'waiting%'";

/// Waits until a question has the answer yes.
async fn until(pool: &PgPool, question: &'static str) {
    let asked = async {
        while !sqlx::query_scalar::<_, bool>(question)
            .fetch_one(pool)
            .await
            .unwrap()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked)
        .await
        .expect(question);
}

async fn is_valid(pool: &PgPool, index: &str) -> Option<bool> {
    sqlx::query_scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)")
        .bind(index)
        .fetch_optional(pool)
        .await
        .unwrap()
}

/// The migration has to wait for the transaction, and writers must not wait for the migration.
#[sqlx::test(migrations = false)]
async fn writers_go_on_beside_a_migration_that_waits(pool: PgPool) {
    let page = include_str!("../support/page.sql");
    execute(
        &pool,
        page.split("CREATE TABLE IF NOT EXISTS sessions")
            .next()
            .unwrap(),
    )
    .await;
    let database = adapter(&pool).await;
    let mut long = connect(&pool).await;
    run(&mut long, "BEGIN; INSERT INTO users (id) VALUES ('long')").await;
    let migration = migrate(&database);
    until(
        &pool,
        "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database \
         WHERE datname = current_database() AND relation = 'users'::regclass AND NOT granted)",
    )
    .await;
    let mut writer = connect(&pool).await;
    run(&mut writer, "SET lock_timeout = '5s'").await;
    for id in 0..40 {
        sqlx::query("INSERT INTO users (id) VALUES ($1)")
            .bind(id.to_string())
            .execute(&mut writer)
            .await
            .expect("a writer waits behind the migration");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!migration.is_finished());
    run(&mut long, "COMMIT").await;
    ends_well(migration).await;
    database.check_schema().await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn time_limits_of_the_role_do_not_end_a_migration(pool: PgPool) {
    let page = include_str!("../support/page.sql");
    execute(
        &pool,
        page.split("CREATE TABLE IF NOT EXISTS sessions")
            .next()
            .unwrap(),
    )
    .await;
    let name = pool.connect_options().get_database().unwrap().to_owned();
    for setting in [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
    ] {
        let alter = format!(
            "DO $$ BEGIN IF EXISTS (SELECT FROM pg_settings WHERE name = '{setting}') THEN \
             ALTER DATABASE \"{name}\" SET {setting} = '400ms'; END IF; END $$"
        );
        execute(&pool, &alter).await;
    }
    let mut long = connect(&pool).await;
    run(&mut long, "SELECT set_config(name, '0', false) FROM pg_settings WHERE name ~ '(session|transaction)_timeout$'")
    .await;
    run(&mut long, "BEGIN; INSERT INTO users (id) VALUES ('long')").await;
    let migration = migrate(&adapter(&pool).await);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!migration.is_finished(), "{:?}", migration.await);
    run(&mut long, "COMMIT").await;
    ends_well(migration).await;
}

/// An administrator builds an index of ours at this moment.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_index_under_construction_is_waited_for(pool: PgPool) {
    execute(&pool, "DROP INDEX users_name_created_at_id_idx").await;
    execute(&pool, "CREATE TABLE unrelated (id INT)").await;
    for recorded in [false, true] {
        if !recorded {
            execute(
                &pool,
                "DELETE FROM _better_auth_migrations WHERE version = 19",
            )
            .await;
        }
        // What the build waits for at its end.
        let mut long = connect(&pool).await;
        run(&mut long, "BEGIN; INSERT INTO users (id) VALUES ('long')").await;
        let mut administrator = connect(&pool).await;
        let build = if recorded {
            "REINDEX INDEX CONCURRENTLY users_name_created_at_id_idx"
        } else {
            BUILD
        };
        let build =
            tokio::spawn(async move { sqlx::raw_sql(build).execute(&mut administrator).await });
        until(&pool, BUILD_AT_ITS_END).await;
        let before: i64 = oid(&pool).await;
        if recorded {
            execute(&pool, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_name_created_at_id_idx'::regclass").await;
        }
        let migration = migrate(&adapter(&pool).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!migration.is_finished());
        assert_eq!(
            oid(&pool).await,
            before,
            "the index was dropped under construction"
        );
        run(&mut long, "ROLLBACK").await;
        build
            .await
            .unwrap()
            .expect("the administrator's build was disturbed");
        ends_well(migration).await;
        assert_eq!(is_valid(&pool, INDEX).await, Some(true));
        if !recorded {
            assert_eq!(oid(&pool).await, before);
        }
    }
    adapter(&pool).await.check_schema().await.unwrap();
}

/// `migrate` looks while the build ends.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_index_whose_build_ends_is_not_dropped(pool: PgPool) {
    let database = adapter(&pool).await;
    let mut administrator = connect(&pool).await;
    for round in 0..40 {
        run(
            &mut administrator,
            "DROP INDEX users_name_created_at_id_idx",
        )
        .await;
        let build = async {
            run(&mut administrator, BUILD).await;
            oid(&pool).await
        };
        let migrations = async {
            tokio::time::sleep(Duration::from_micros(round * 100)).await;
            for _ in 0..4 {
                database.migrate().await.unwrap();
            }
        };
        let (built, ()) = tokio::join!(build, migrations);
        assert_eq!(oid(&pool).await, built, "the index was dropped when built");
    }
}

async fn oid(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT to_regclass('users_name_created_at_id_idx')::oid::BIGINT")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Two concurrent builds on one table would wait for each other.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_index_of_the_application_under_construction_is_waited_for(pool: PgPool) {
    execute(
        &pool,
        "DROP INDEX users_name_created_at_id_idx; DELETE FROM _better_auth_migrations WHERE version = 19",
    )
    .await;
    let mut long = connect(&pool).await;
    run(&mut long, "BEGIN; INSERT INTO users (id) VALUES ('long')").await;
    let mut administrator = connect(&pool).await;
    let build = tokio::spawn(async move {
        let build = "CREATE INDEX CONCURRENTLY application ON users (image)";
        sqlx::raw_sql(build).execute(&mut administrator).await
    });
    until(&pool, BUILD_AT_ITS_END).await;
    let migration = migrate(&adapter(&pool).await);
    tokio::time::sleep(Duration::from_secs(3)).await;
    run(&mut long, "ROLLBACK").await;
    build
        .await
        .unwrap()
        .expect("the administrator's build was disturbed");
    ends_well(migration).await;
    assert_eq!(is_valid(&pool, INDEX).await, Some(true));
    assert_eq!(is_valid(&pool, "application").await, Some(true));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn indexes_of_other_tables_and_schemas_stay(pool: PgPool) {
    for statement in [
        "CREATE SCHEMA app",
        "CREATE TABLE app.events (id INT)",
        "CREATE INDEX users_name_created_at_id_idx ON app.events (id)",
        "CREATE TABLE orders (id INT)",
        "CREATE INDEX orders_id_idx ON orders (id)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN \
         ('app.users_name_created_at_id_idx'::regclass, 'orders_id_idx'::regclass)",
        "CREATE SCHEMA before",
        "CREATE TABLE before.sessions_of_others (id INT)",
        "CREATE INDEX sessions_expires_at_idx ON before.sessions_of_others (id)",
    ] {
        execute(&pool, statement).await;
    }
    let url = url(&pool);
    let url = format!(
        "{}?options=-c%20search_path%3Dapp%2Cbefore%2Cpublic",
        url.split('?').next().unwrap()
    );
    let database = SqlxAdapter::new(&url).await.unwrap();
    database.migrate().await.unwrap();
    execute(
        &pool,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_name_created_at_id_idx'::regclass; \
         DELETE FROM _better_auth_migrations WHERE version = 10",
    )
    .await;
    database.migrate().await.unwrap();
    assert_eq!(is_valid(&pool, INDEX).await, Some(true));
    assert_eq!(
        is_valid(&pool, "app.users_name_created_at_id_idx").await,
        Some(false)
    );
    assert_eq!(is_valid(&pool, "orders_id_idx").await, Some(false));
    assert_eq!(
        is_valid(&pool, "before.sessions_expires_at_idx").await,
        Some(true)
    );
}

/// The record is gone before the index, so that a cut between the two loses nothing.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_cut_beside_a_drop_loses_no_index(pool: PgPool) {
    execute(
        &pool,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_name_created_at_id_idx'::regclass",
    )
    .await;
    // The drop has to wait for this transaction.
    let mut long = connect(&pool).await;
    run(&mut long, "BEGIN; SELECT count(*) FROM users").await;
    let migration = migrate(&adapter(&pool).await);
    until(
        &pool,
        "SELECT NOT EXISTS (SELECT FROM _better_auth_migrations WHERE version = 19)",
    )
    .await;
    assert_eq!(is_valid(&pool, INDEX).await, Some(false));
    migration.abort();
    run(&mut long, "ROLLBACK").await;
    let database = adapter(&pool).await;
    ends_well(migrate(&database)).await;
    assert_eq!(is_valid(&pool, INDEX).await, Some(true));
    database.check_schema().await.unwrap();
}

/// The record of a store's index is in a table of its own.
#[sqlx::test(migrations = false)]
async fn a_cut_beside_a_drop_loses_no_index_of_a_store(pool: PgPool) {
    let database = with_organizations(&pool).await;
    database.migrate().await.unwrap();
    execute(
        &pool,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'member_owner_idx'::regclass",
    )
    .await;
    let mut long = connect(&pool).await;
    run(&mut long, "BEGIN; SELECT count(*) FROM member").await;
    let migration = migrate(&database);
    until(
        &pool,
        "SELECT NOT EXISTS (SELECT FROM _better_auth_organizations_migrations WHERE version = 1015)",
    )
    .await;
    migration.abort();
    run(&mut long, "ROLLBACK").await;
    // As if the cut had come behind the drop.
    execute(&pool, "DROP INDEX IF EXISTS member_owner_idx").await;
    ends_well(migrate(&database)).await;
    assert_eq!(is_valid(&pool, "member_owner_idx").await, Some(true));
    database.check_schema().await.unwrap();
}

/// As on an engine that leaves an index INVALID without an error.
const SPOIL: &str = "\
    CREATE TABLE builds (name TEXT); \
    CREATE FUNCTION spoil() RETURNS event_trigger LANGUAGE plpgsql AS $$ \
    DECLARE built OID := (SELECT objid FROM pg_event_trigger_ddl_commands() LIMIT 1); \
    BEGIN \
        IF built::regclass::TEXT = 'users_name_created_at_id_idx' THEN \
            INSERT INTO builds VALUES ('built'); \
            IF (SELECT count(*) FROM builds) <= 2 THEN \
                UPDATE pg_index SET indisvalid = false WHERE indexrelid = built; \
            END IF; \
        END IF; \
    END $$; \
    CREATE EVENT TRIGGER spoil ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION spoil()";

#[sqlx::test(migrations = false)]
async fn an_index_that_comes_out_invalid_is_built_again(pool: PgPool) {
    execute(&pool, SPOIL).await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    assert_eq!(is_valid(&pool, INDEX).await, Some(true));
    // One that never comes out right.
    execute(&pool, "DROP INDEX users_name_created_at_id_idx; DELETE FROM _better_auth_migrations WHERE version = 19").await;
    execute(&pool, "DROP EVENT TRIGGER spoil").await;
    let always = SPOIL
        .replace("<= 2", "> 0")
        .replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION");
    execute(
        &pool,
        always
            .strip_prefix("CREATE TABLE builds (name TEXT); ")
            .unwrap(),
    )
    .await;
    let error = database.migrate().await.unwrap_err().to_string();
    assert!(
        error.contains(INDEX) && error.contains("INVALID"),
        "{error}"
    );
    assert!(database.migrate().await.is_err());
    execute(&pool, "DROP EVENT TRIGGER spoil").await;
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
}

/// A migration that loses against another session runs again.
#[sqlx::test(migrations = false)]
async fn a_deadlock_is_tried_again(pool: PgPool) {
    execute(
        &pool,
        "CREATE SEQUENCE tries; \
         CREATE FUNCTION lose() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('public.tries') IN (1, 4, 5) THEN \
         RAISE 'deadlock detected' USING ERRCODE = 'deadlock_detected'; END IF; END $$; \
         CREATE EVENT TRIGGER lose ON ddl_command_end WHEN TAG IN ('CREATE INDEX', 'ALTER TABLE') \
         EXECUTE FUNCTION lose()",
    )
    .await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    until(
        &pool,
        "SELECT count(*) = 0 FROM pg_index WHERE NOT indisvalid",
    )
    .await;
    database.check_schema().await.unwrap();
}

/// An invalid unique index of ours that no migration can build again.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_invalid_unique_index_is_named(pool: PgPool) {
    execute(
        &pool,
        "ALTER TABLE users DROP CONSTRAINT users_email_key; CREATE UNIQUE INDEX users_email_key ON users (email); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_email_key'::regclass",
    )
    .await;
    let database = adapter(&pool).await;
    for error in [
        database.migrate().await.unwrap_err(),
        database.check_schema().await.unwrap_err(),
    ] {
        let error = error.to_string();
        let (_, advice) = error.split_once("REINDEX").unwrap();
        assert!(error.contains("users_email_key"), "{error}");
        assert_eq!(advice, " INDEX CONCURRENTLY users_email_key");
    }
    execute(&pool, "REINDEX INDEX CONCURRENTLY users_email_key").await;
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
}

/// Indexes that a later migration drops are recorded and never built, with the checksums of the migrations.
#[sqlx::test(migrations = false)]
async fn a_fresh_database_builds_no_index_in_vain(pool: PgPool) {
    execute(
        &pool,
        "CREATE TABLE commands (command TEXT); \
         CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO commands SELECT TG_TAG || ' ' || object_identity FROM pg_event_trigger_ddl_commands(); END $$; \
         CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note()",
    )
    .await;
    adapter(&pool).await.migrate().await.unwrap();
    execute(&pool, "DROP EVENT TRIGGER note").await;
    let in_vain: Vec<String> = sqlx::query_scalar(
        "SELECT command FROM commands WHERE command LIKE 'DROP%' OR command LIKE '%expires_at_idx'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(in_vain, [""; 0]);
    // sqlx compares the checksums and finds nothing to do.
    MIGRATOR.run(&pool).await.unwrap();
    let up = MIGRATOR
        .iter()
        .filter(|migration| migration.migration_type.is_up_migration());
    let recorded: i64 =
        sqlx::query_scalar("SELECT count(*) FROM _better_auth_migrations WHERE success")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(usize::try_from(recorded), Ok(up.count()));
}

/// A database on which only the first of such a pair of migrations has run drops the index.
#[sqlx::test(migrations = false)]
async fn an_index_of_an_older_version_is_dropped(pool: PgPool) {
    MIGRATOR.run_to(9, &pool).await.unwrap();
    assert_eq!(is_valid(&pool, "sessions_expires_at_idx").await, Some(true));
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    assert_eq!(is_valid(&pool, "sessions_expires_at_idx").await, None);
    assert_eq!(is_valid(&pool, "verifications_expires_at_idx").await, None);
    database.check_schema().await.unwrap();
}

/// It waits for whoever reads the table, while others read and write on.
#[sqlx::test(migrations = false)]
async fn an_index_is_dropped_when_a_long_reader_has_ended(pool: PgPool) {
    MIGRATOR.run_to(9, &pool).await.unwrap();
    let mut long = connect(&pool).await;
    run(&mut long, "BEGIN; SELECT count(*) FROM sessions").await;
    let database = adapter(&pool).await;
    let migration = migrate(&database);
    until(
        &pool,
        "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'sessions_expires_at_idx'::regclass",
    )
    .await;
    let mut other = connect(&pool).await;
    run(&mut other, "SET lock_timeout = '5s'").await;
    run(
        &mut other,
        "INSERT INTO users (id) VALUES ('1'); DELETE FROM sessions",
    )
    .await;
    assert!(!migration.is_finished());
    // A call that is given up leaves the rest to the next one.
    migration.abort();
    let migration = migrate(&database);
    run(&mut long, "COMMIT").await;
    ends_well(migration).await;
    assert_eq!(is_valid(&pool, "sessions_expires_at_idx").await, None);
    until(
        &pool,
        "SELECT count(*) = 0 FROM pg_index WHERE NOT indisvalid",
    )
    .await;
    database.check_schema().await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_call_may_be_dropped_outside_a_runtime(pool: PgPool) {
    let mut other = connect(&pool).await;
    run(&mut other, LOCK).await;
    let url = url(&pool);
    let ended = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let database = runtime.block_on(SqlxAdapter::new(&url)).unwrap();
        let mut call = Box::pin(async move { database.migrate().await });
        runtime.block_on(async {
            let waited = tokio::time::timeout(Duration::from_millis(500), &mut call).await;
            assert!(waited.is_err());
        });
        drop(call);
        runtime.shutdown_timeout(Duration::from_secs(5));
    });
    tokio::task::spawn_blocking(|| ended.join().unwrap())
        .await
        .unwrap();
    other.close().await.unwrap();
    ends_well(migrate(&adapter(&pool).await)).await;
}
