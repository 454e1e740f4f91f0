//! What `pending_migrations` prints, an administrator runs with psql, and `migrate` finds nothing left to do.

use std::process::{Command, Stdio};

use crate::stores::with_organizations;
use crate::support::{adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, MigrationAction, SqlxAdapter};
use better_auth::{AuthError, MIGRATOR};
use sqlx::PgPool;

const PAGE: &str = include_str!("../support/page.sql");

/// Runs a script by psql, which connects as an administrator does: with no `search_path` of its own.
async fn psql(pool: &PgPool, script: &str) {
    let url = url(pool).split('?').next().unwrap().to_owned();
    let (path, script) = (script_file(pool), script.to_owned());
    std::fs::write(&path, script).unwrap();
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--file"]).arg(&path);
    psql.arg(url).stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || psql.output());
    let ran = ran.await.unwrap().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{out}{err}");
    assert_eq!((&*out, &*err), ("", ""));
    std::fs::remove_file(path).unwrap();
}

fn script_file(pool: &PgPool) -> std::path::PathBuf {
    let options = pool.connect_options();
    let name = options.get_database().unwrap().replace('/', "_");
    std::env::temp_dir().join(format!("{name}.sql"))
}

/// Every record but when it was made and how long it took.
async fn records(pool: &PgPool, schema: &str) -> Vec<(i64, String, bool, Vec<u8>)> {
    let query = format!(
        "SELECT version, description, success, checksum FROM {schema}._better_auth_migrations ORDER BY version"
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(query));
    query.fetch_all(pool).await.unwrap()
}

async fn run_what_is_pending(pool: &PgPool, database: &SqlxAdapter, schema: &str) {
    let pending = database.pending_migrations().await.unwrap();
    assert_eq!(pending.schema, schema);
    assert!(!pending.is_empty());
    psql(pool, &pending.to_sql()).await;
    let records_of_psql = records(pool, schema).await;
    assert_eq!(records_of_psql.len(), 23);
    database.migrate().await.unwrap();
    assert_eq!(records(pool, schema).await, records_of_psql);
    database.check_schema().await.unwrap();
    let health = database.health().await;
    assert!(health.is_ready, "{health:?}");
    let pending = database.pending_migrations().await.unwrap();
    assert!(pending.is_empty());
    psql(pool, &pending.to_sql()).await;
    // As `migrate` records them.
    let checksums = MIGRATOR
        .iter()
        // Those of stores have greater numbers.
        .filter(|it| it.migration_type.is_up_migration() && it.version < 1000);
    let checksums: Vec<_> = checksums.map(|it| it.checksum.to_vec()).collect();
    let recorded = records_of_psql.into_iter().map(|record| record.3);
    assert_eq!(recorded.collect::<Vec<_>>(), checksums);
}

#[sqlx::test(migrations = false)]
async fn a_fresh_database(pool: PgPool) {
    let database = adapter(&pool).await;
    let pending = database.pending_migrations().await.unwrap();
    assert_eq!(pending.migrations.len(), 23);
    assert_eq!(pending.migrations[0].action, MigrationAction::Apply);
    assert_eq!(pending.migrations[2].action, MigrationAction::Record);
    let unchanged: Option<String> = sqlx::query_scalar("SELECT to_regclass('users')::TEXT")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(unchanged, None);
    run_what_is_pending(&pool, &database, "public").await;
}

/// Those of a store that is asked for come behind, and are recorded apart.
#[sqlx::test(migrations = false)]
async fn a_store(pool: PgPool) {
    let database = with_organizations(&pool).await;
    let tables = 23;
    let all = MIGRATOR
        .iter()
        .filter(|it| it.migration_type.is_up_migration() && it.version < 1100);
    let all = all.count();
    let pending = database.pending_migrations().await.unwrap();
    assert_eq!(pending.migrations.len(), all);
    adapter(&pool).await.migrate().await.unwrap();
    let health = database.health().await;
    let migrations = health.migrations.as_ref().unwrap();
    assert!(!health.is_ready, "{health:?}");
    assert_eq!(
        (migrations.applied, migrations.pending),
        (tables, all - tables)
    );
    let pending = database.pending_migrations().await.unwrap();
    assert_eq!(pending.migrations.len(), all - tables);
    psql(&pool, &pending.to_sql()).await;
    assert!(database.pending_migrations().await.unwrap().is_empty());
    assert_eq!(records(&pool, "public").await.len(), tables);
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
    let health = database.health().await;
    let migrations = health.migrations.as_ref().unwrap();
    assert!(health.is_ready && migrations.is_up_to_date, "{health:?}");
    assert_eq!(
        (migrations.applied, migrations.pending, migrations.unknown),
        (all, 0, 0)
    );
    let store = database.organizations().unwrap();
    assert_eq!(store.count_members("a").await.unwrap(), 0);

    execute(
        &pool,
        "UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'member_owner_idx'::regclass",
    )
    .await;
    let pending = database.pending_migrations().await.unwrap();
    assert_eq!(pending.migrations[0].action, MigrationAction::Rebuild);
    psql(&pool, &pending.to_sql()).await;
    assert!(database.pending_migrations().await.unwrap().is_empty());
    database.check_schema().await.unwrap();
}

/// What `migrate` refuses for a store, `pending_migrations` refuses.
#[sqlx::test(migrations = false)]
async fn a_store_whose_tables_are_the_applications(pool: PgPool) {
    execute(&pool, "CREATE TABLE team (id TEXT PRIMARY KEY, city TEXT)").await;
    let database = with_organizations(&pool).await;
    let error = database.pending_migrations().await.unwrap_err().to_string();
    assert_eq!(error, database.migrate().await.unwrap_err().to_string());
    assert!(error.contains("team"), "{error}");
    assert_eq!(
        adapter(&pool)
            .await
            .pending_migrations()
            .await
            .unwrap()
            .migrations
            .len(),
        23
    );
}

#[sqlx::test(migrations = false)]
async fn a_database_with_the_first_migrations(pool: PgPool) {
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    MIGRATOR.undo(&pool, 9).await.unwrap();
    execute(
        &pool,
        "INSERT INTO users (id) VALUES ('1'); \
         UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'sessions_inactive_idx'::regclass",
    )
    .await;
    let pending = database.pending_migrations().await.unwrap();
    assert_eq!(pending.migrations[0].version, 4);
    assert_eq!(pending.migrations[0].action, MigrationAction::Rebuild);
    assert_eq!(pending.migrations[1].version, 10);
    run_what_is_pending(&pool, &database, "public").await;
}

#[sqlx::test(migrations = false)]
async fn a_database_made_by_hand(pool: PgPool) {
    execute(&pool, PAGE).await;
    execute(&pool, "INSERT INTO users (id) VALUES ('1')").await;
    run_what_is_pending(&pool, &adapter(&pool).await, "public").await;
}

#[sqlx::test(migrations = false)]
async fn a_schema_of_its_own(pool: PgPool) {
    for schema in ["auth", "\"My\"\"Auth\""] {
        execute(&pool, &format!("CREATE SCHEMA {schema}")).await;
        let options = pool.connect_options().as_ref().clone();
        let options = options.options([("search_path", schema)]);
        let database = SqlxAdapter::from_pool(PgPool::connect_with(options).await.unwrap());
        let pending = database.pending_migrations().await.unwrap();
        psql(&pool, &pending.to_sql()).await;
        database.check_schema().await.unwrap();
        assert!(database.pending_migrations().await.unwrap().is_empty());
        assert_eq!(records(&pool, schema).await.len(), 23);
    }
    let in_public: Option<String> = sqlx::query_scalar("SELECT to_regclass('public.users')::TEXT")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(in_public, None);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_migrate_refuses_is_refused(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO _better_auth_migrations VALUES (9999, 'breaking the future', now(), true, '', 0)",
    )
    .await;
    let error = adapter(&pool).await.pending_migrations().await.unwrap_err();
    assert!(matches!(error, AuthError::Database { .. }), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[sqlx::test(migrations = false)]
async fn tables_of_another_program_are_refused(pool: PgPool) {
    execute(&pool, "CREATE TABLE users (id INT PRIMARY KEY, login TEXT)").await;
    let database = adapter(&pool).await;
    let error = database.pending_migrations().await.unwrap_err().to_string();
    assert_eq!(error, database.migrate().await.unwrap_err().to_string());
}
