//! The schema is the page's, and `migrate` brings any database there.

use std::time::Duration;

use crate::support::{adapter, execute, require_database, url};
use better_auth::MIGRATOR;
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::{AuthError, CreateSession, CreateUser};
use chrono::{TimeDelta, Utc};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{PgPool, Row as _, SqlSafeStr as _};

const PAGE: &str = include_str!("../support/page.sql");

#[tokio::test]
async fn a_database_is_up() {
    require_database().await;
}

/// What `query` answers, one line per row.
async fn lines(pool: &PgPool, query: &'static str) -> Vec<String> {
    let rows = sqlx::query(query).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The columns of the page's tables. Those of all tables are compared with the expected schema, in `schema.rs`.
async fn columns(pool: &PgPool) -> Vec<String> {
    lines(
        pool,
        "SELECT format('%s.%s %s nullable:%s default:%s', table_name, column_name, data_type, is_nullable, \
         column_default) FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN \
         ('users', 'sessions', 'accounts', 'verifications') ORDER BY table_name, ordinal_position",
    )
    .await
}

/// Those that PostgreSQL 18 makes of NOT NULL apart, which the columns tell.
async fn constraints(pool: &PgPool) -> Vec<String> {
    lines(
        pool,
        "SELECT format('%s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint \
         WHERE contype <> 'n' AND connamespace = 'public'::regnamespace \
         AND conrelid::regclass::TEXT IN ('users', 'sessions', 'accounts', 'verifications') \
         ORDER BY 1",
    )
    .await
}

async fn indexes(pool: &PgPool) -> Vec<String> {
    lines(
        pool,
        "SELECT format('%s%s', indexdef, CASE WHEN indisvalid THEN '' ELSE ' INVALID' END) FROM pg_indexes \
         JOIN pg_index ON indexrelid = format('%I.%I', schemaname, indexname)::regclass \
         WHERE schemaname = 'public' AND tablename IN ('users', 'sessions', 'accounts', 'verifications') ORDER BY indexname",
    )
    .await
}

#[sqlx::test(migrations = false)]
async fn the_schema_is_the_pages(pool: PgPool) {
    execute(&pool, PAGE).await;
    let (page_columns, page_constraints) = (columns(&pool).await, constraints(&pool).await);
    assert_eq!(page_columns.len(), 45);
    assert_eq!(page_constraints.len(), 10);
    execute(&pool, "DROP TABLE verifications, accounts, sessions, users").await;
    adapter(&pool).await.migrate().await.unwrap();
    let mut columns = columns(&pool).await;
    columns.retain(|column| column != "verifications.attempts integer nullable:NO default:0");
    assert_eq!(columns, page_columns);
    let mut constraints = constraints(&pool).await;
    constraints.retain(|constraint| !constraint.starts_with("users_metadata_check "));
    assert_eq!(constraints, page_constraints);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_indexes_are_what_the_statements_need(pool: PgPool) {
    let expected = [
        "CREATE UNIQUE INDEX accounts_pkey ON public.accounts USING btree (id)",
        "CREATE UNIQUE INDEX accounts_provider_id_account_id_key ON public.accounts USING btree (provider_id, account_id)",
        "CREATE INDEX accounts_user_id_created_at_id_idx ON public.accounts USING btree (user_id, created_at, id COLLATE \"C\")",
        "CREATE INDEX sessions_expires_at_id_idx ON public.sessions USING btree (expires_at, id)",
        "CREATE INDEX sessions_inactive_idx ON public.sessions USING btree (id) WHERE (NOT active)",
        "CREATE UNIQUE INDEX sessions_pkey ON public.sessions USING btree (id)",
        "CREATE UNIQUE INDEX sessions_token_key ON public.sessions USING btree (token)",
        "CREATE INDEX sessions_user_id_created_at_id_idx ON public.sessions USING btree (user_id, created_at, id COLLATE \"C\")",
        "CREATE INDEX users_banned_created_at_id_idx ON public.users USING btree (banned, created_at, id COLLATE \"C\")",
        "CREATE INDEX users_created_at_id_idx ON public.users USING btree (created_at, id COLLATE \"C\")",
        "CREATE UNIQUE INDEX users_email_key ON public.users USING btree (email)",
        "CREATE INDEX users_email_prefix_idx ON public.users USING btree (email COLLATE \"C\")",
        "CREATE INDEX users_email_verified_created_at_id_idx ON public.users USING btree (email_verified, created_at, id COLLATE \"C\")",
        "CREATE INDEX users_name_created_at_id_idx ON public.users USING btree (\"left\"(name, 64) COLLATE \"C\", created_at, id COLLATE \"C\")",
        "CREATE UNIQUE INDEX users_pkey ON public.users USING btree (id)",
        "CREATE INDEX users_role_created_at_id_idx ON public.users USING btree (\"left\"(role, 64), created_at, id COLLATE \"C\")",
        "CREATE UNIQUE INDEX users_username_key ON public.users USING btree (username)",
        "CREATE INDEX users_username_prefix_idx ON public.users USING btree (username COLLATE \"C\")",
        "CREATE INDEX verifications_expires_at_id_idx ON public.verifications USING btree (expires_at, id)",
        "CREATE INDEX verifications_identifier_created_at_id_idx ON public.verifications USING btree (identifier, created_at, id COLLATE \"C\")",
        "CREATE UNIQUE INDEX verifications_pkey ON public.verifications USING btree (id)",
        "CREATE INDEX verifications_value_hash_idx ON public.verifications USING btree (hashtextextended(value, (0)::bigint), created_at, id COLLATE \"C\")",
    ];
    assert_eq!(indexes(&pool).await, expected);
}

#[sqlx::test(migrations = false)]
async fn a_database_made_from_the_page_is_adopted(pool: PgPool) {
    execute(&pool, PAGE).await;
    execute(
        &pool,
        "INSERT INTO users (id, email) VALUES ('1', 'ada@example.com')",
    )
    .await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    let user = database
        .get_user_by_email("ada@example.com")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(user.id, "1");
    assert_eq!(indexes(&pool).await.len(), 22);
}

#[sqlx::test(migrations = false)]
async fn many_processes_may_migrate_at_once_beside_traffic(pool: PgPool) {
    execute(&pool, PAGE).await;
    let traffic = SqlxAdapter::from_pool(pool.clone());
    let user = traffic.create_user(CreateUser::new()).await.unwrap();
    let writer = tokio::spawn(async move {
        loop {
            let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1));
            traffic.create_session(session).await.unwrap();
        }
    });
    let mut migrations = Vec::new();
    for _ in 0..16 {
        let database = adapter(&pool).await;
        migrations.push(tokio::spawn(async move { database.migrate().await }));
    }
    for migration in migrations {
        tokio::time::timeout(Duration::from_secs(60), migration)
            .await
            .expect("the migrations block each other")
            .unwrap()
            .unwrap();
    }
    assert!(!writer.is_finished());
    writer.abort();
    assert_eq!(indexes(&pool).await.len(), 22);
    adapter(&pool).await.migrate().await.unwrap();
    assert_eq!(
        lines(
            &pool,
            "SELECT to_regclass('_sqlx_migrations')::text WHERE false"
        )
        .await
        .len(),
        0
    );
    let own_table = "SELECT 'mixed' WHERE to_regclass('_sqlx_migrations') IS NOT NULL";
    assert_eq!(lines(&pool, own_table).await, [""; 0]);
}

/// As a build leaves it that was cut off, whether or not someone recorded it as done.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_invalid_index_is_built_again(pool: PgPool) {
    execute(
        &pool,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN \
         ('sessions_expires_at_id_idx'::regclass, 'verifications_value_hash_idx'::regclass)",
    )
    .await;
    execute(
        &pool,
        "DELETE FROM _better_auth_migrations WHERE description = 'verifications value hash idx'",
    )
    .await;
    assert_eq!(
        indexes(&pool)
            .await
            .iter()
            .filter(|index| index.ends_with("INVALID"))
            .count(),
        2
    );
    adapter(&pool).await.migrate().await.unwrap();
    let indexes = indexes(&pool).await;
    assert_eq!(indexes.len(), 22);
    assert!(
        indexes.iter().all(|index| !index.ends_with("INVALID")),
        "{indexes:?}"
    );
}

#[sqlx::test(migrations = false)]
async fn an_interrupted_migration_is_completed(pool: PgPool) {
    let database = adapter(&pool).await;
    for millis in 1..20 {
        let _ = tokio::time::timeout(Duration::from_millis(millis), database.migrate()).await;
    }
    tokio::time::timeout(Duration::from_secs(30), database.migrate())
        .await
        .expect("an interrupted call left its lock behind")
        .unwrap();
    assert_eq!(indexes(&pool).await.len(), 22);
}

const TERMINATE_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// The server kills whoever migrates, again and again; in the end it is done, with no lock left.
#[sqlx::test(migrations = false)]
async fn a_killed_migration_is_completed(pool: PgPool) {
    execute(&pool, PAGE).await;
    execute(
        &pool,
        "INSERT INTO users (id) SELECT i FROM generate_series(1, 20000) AS i",
    )
    .await;
    let database = adapter(&pool).await;
    let mut killed = 0;
    for round in 0..30 {
        let migration = tokio::spawn({
            let database = database.clone();
            async move { database.migrate().await }
        });
        tokio::time::sleep(Duration::from_millis(5 + round % 6 * 10)).await;
        // Once might meet another session, or the migration before it has one.
        while !migration.is_finished() {
            execute(&pool, TERMINATE_OTHERS).await;
        }
        killed += usize::from(migration.await.unwrap().is_err());
    }
    assert!(killed > 0);
    tokio::time::timeout(Duration::from_secs(30), database.migrate())
        .await
        .expect("a killed call left its lock behind")
        .unwrap();
    assert_eq!(indexes(&pool).await.len(), 22);
    assert!(
        indexes(&pool)
            .await
            .iter()
            .all(|index| !index.ends_with("INVALID"))
    );
    database.check_schema().await.unwrap();
}

/// Migrations of an application, which keep their books where sqlx does by default.
fn of_the_application() -> Migrator {
    let migration = |version: i64, sql: &'static str| {
        Migration::new(
            version,
            format!("application {version}").into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(vec![
        migration(
            1,
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, customer TEXT)",
        ),
        migration(2, "CREATE INDEX orders_customer_idx ON orders (customer)"),
    ])
}

/// Ours and the application's, in both orders and again, in one schema and in two, on a fresh database and on one with
/// users in it.
#[sqlx::test(migrations = false)]
async fn an_applications_own_migrations_go_beside(pool: PgPool) {
    let theirs = of_the_application();
    let mut databases = 0;
    for (schema, by_hand, ours_first) in [
        ("public", false, true),
        ("public", false, false),
        ("public", true, true),
        ("public", true, false),
        ("auth", false, true),
        ("auth", true, false),
    ] {
        databases += 1;
        let database = format!("{}_{databases}", name(&pool));
        // A run that was ended leaves it.
        for sql in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
            execute(&pool, &format!("{sql} \"{database}\"")).await;
        }
        let options = pool.connect_options().as_ref().clone();
        let options = options.database(&database);
        let app = PgPool::connect_with(options.clone()).await.unwrap();
        execute(&app, "CREATE SCHEMA IF NOT EXISTS auth").await;
        let ours = PgPool::connect_with(options.options([("search_path", schema)]))
            .await
            .unwrap();
        if by_hand {
            execute(&ours, PAGE).await;
            execute(
                &ours,
                "INSERT INTO users (id, email) VALUES ('1', 'ada@example.com')",
            )
            .await;
        }
        let database = SqlxAdapter::from_pool(ours.clone());
        for round in 0..4 {
            if (round % 2 == 0) == ours_first {
                database.migrate().await.unwrap();
            } else {
                theirs.run(&app).await.unwrap();
            }
        }
        database.check_schema().await.unwrap();
        if by_hand {
            let user = database.get_user_by_email("ada@example.com").await.unwrap();
            assert_eq!(user.unwrap().id, "1");
        }
        let books: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM public._sqlx_migrations ORDER BY version")
                .fetch_all(&app)
                .await
                .unwrap();
        assert_eq!(books, [1, 2]);
        ours.close().await;
        app.close().await;
        execute(
            &pool,
            &format!("DROP DATABASE \"{}_{databases}\"", name(&pool)),
        )
        .await;
    }
}

fn name(pool: &PgPool) -> String {
    pool.connect_options()
        .get_database()
        .unwrap()
        .chars()
        .take(50)
        .collect()
}

#[sqlx::test(migrations = false)]
async fn an_applications_own_migrations_may_run_at_the_same_time(pool: PgPool) {
    all_migrate_at_once(pool).await;
}

#[sqlx::test(migrations = false)]
async fn so_they_may_on_a_database_made_from_the_page(pool: PgPool) {
    execute(&pool, PAGE).await;
    execute(&pool, "INSERT INTO users (id) VALUES ('1')").await;
    all_migrate_at_once(pool).await;
}

async fn all_migrate_at_once(pool: PgPool) {
    let mut all = Vec::new();
    for instance in 0..16 {
        let (database, pool) = (adapter(&pool).await, pool.clone());
        all.push(tokio::spawn(async move {
            if instance % 2 == 0 {
                database.migrate().await.unwrap();
            }
            of_the_application().run(&pool).await.unwrap();
            database.migrate().await.unwrap();
        }));
    }
    for instance in all {
        tokio::time::timeout(Duration::from_secs(60), instance)
            .await
            .expect("the migrations block each other")
            .unwrap();
    }
    adapter(&pool).await.check_schema().await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_failed_migration_leaves_no_lock(pool: PgPool) {
    execute(&pool, "CREATE TABLE users (id TEXT)").await;
    let database = adapter(&pool).await;
    let error = database.migrate().await.unwrap_err();
    assert!(matches!(error, AuthError::Database { .. }), "{error}");
    execute(&pool, "DROP TABLE users").await;
    tokio::time::timeout(Duration::from_secs(30), database.migrate())
        .await
        .expect("the failed call left its lock behind")
        .unwrap();
}

/// An instance of an older version starts during a rolling deploy, unless a migration says that it cannot.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_newer_database_is_served_unless_it_says_otherwise(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO _better_auth_migrations VALUES (9998, 'from the future', now(), true, '', 0), \
         (9999, 'drop users email prefix idx', now(), true, '', 0); DROP INDEX users_email_prefix_idx",
    )
    .await;
    let older = SqlxAdapter::builder(&url(&pool))
        .migrate(true)
        .check_schema(true);
    let database = older.connect().await.unwrap();
    database.create_user(CreateUser::new()).await.unwrap();
    assert!(database.pending_migrations().await.unwrap().is_empty());
    // What no newer version has dropped is missing.
    for [from, to] in [
        ["users_name_created_at_id_idx", "hidden"],
        ["hidden", "users_name_created_at_id_idx"],
    ] {
        execute(&pool, &format!("ALTER INDEX {from} RENAME TO {to}")).await;
        let checked = database.check_schema().await;
        assert_eq!(checked.is_err(), to == "hidden", "{checked:?}");
    }
    // What an older version still needs, it may build.
    execute(
        &pool,
        "DELETE FROM _better_auth_migrations WHERE version = 19",
    )
    .await;
    database.migrate().await.unwrap();
    execute(&pool, "UPDATE _better_auth_migrations SET description = 'breaking the future' WHERE version = 9999").await;
    let migrated = database.migrate().await.unwrap_err();
    let checked = database.check_schema().await.unwrap_err();
    let pending = database.pending_migrations().await.unwrap_err();
    for error in [migrated, checked, pending] {
        let error = error.to_string();
        assert!(
            error.contains("9999") && !error.contains("9998") && error.contains("newer version"),
            "{error}"
        );
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn every_migration_has_a_way_back(pool: PgPool) {
    MIGRATOR.undo(&pool, 1).await.unwrap();
    assert_eq!(
        indexes(&pool).await.len(),
        8,
        "only those of the constraints are left"
    );
    MIGRATOR.undo(&pool, 0).await.unwrap();
    assert_eq!(columns(&pool).await, [""; 0]);
    adapter(&pool).await.migrate().await.unwrap();
    assert_eq!(indexes(&pool).await.len(), 22);
}
