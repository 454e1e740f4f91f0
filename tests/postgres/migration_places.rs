//! `migrate` finds the schema of our tables, asks for no more than it needs, and refuses what it cannot serve.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{STORE_TABLES, adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::{AuthError, CreateUser, MIGRATOR, UserFilter};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Row as _};

const PAGE: &str = include_str!("../support/page.sql");
/// The advisory lock of `migrate`.
const LOCK: &str = "SELECT pg_advisory_lock(x'6265747465722d61'::BIGINT)";

/// An adapter whose connections have this `search_path`.
async fn with_path(pool: &PgPool, path: &str) -> SqlxAdapter {
    let base = url(pool);
    let base = base.split('?').next().unwrap();
    let path = path
        .replace(',', "%2C")
        .replace('"', "%22")
        .replace('$', "%24");
    let url = format!("{base}?options=-c%20search_path%3D{path}");
    SqlxAdapter::new(&url).await.unwrap()
}

const EXPECTED_SCHEMA: &str =
    include_str!("../../src/adapters/postgres/maintenance/expected_schema.txt");

/// Our tables, as `schema.table`.
async fn tables(pool: &PgPool) -> Vec<String> {
    let query = "SELECT format('%s.%s', schemaname, tablename) FROM pg_tables \
                 WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1";
    let rows = sqlx::query(query).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn all_in(schema: &str) -> Vec<String> {
    let mut tables = BTreeSet::from(["_better_auth_migrations"]);
    let parts = EXPECTED_SCHEMA.lines();
    let parts = parts.map(|part| part.split([' ', '.']).nth(1).unwrap());
    tables.extend(parts.filter(|table| !STORE_TABLES.contains(table)));
    tables
        .iter()
        .map(|table| format!("{schema}.{table}"))
        .collect()
}

async fn refusal(database: &SqlxAdapter) -> String {
    match database.migrate().await {
        Err(error @ AuthError::Database { .. }) => error.to_string(),
        answer => panic!("{answer:?}"),
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_up_to_date_database_asks_for_no_privilege_and_no_lock(pool: PgPool) {
    let options = pool.connect_options();
    let role = format!("least_{}", options.get_database().unwrap().len());
    let role = format!("{role}_{}", std::process::id());
    for statement in [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'password'"),
        "REVOKE ALL ON SCHEMA public FROM PUBLIC".to_owned(),
        format!("GRANT USAGE ON SCHEMA public TO {role}"),
        format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON users, sessions, accounts, verifications TO {role}"
        ),
        format!("GRANT SELECT ON _better_auth_migrations TO {role}"),
    ] {
        execute(&pool, &statement).await;
    }
    let mut other = pool.acquire().await.unwrap();
    sqlx::query(LOCK).execute(&mut *other).await.unwrap();
    let url = url(&pool).replacen("better_auth:", &format!("{role}:"), 1);
    let builder = SqlxAdapter::builder(&url).migrate(true).check_schema(true);
    let database = tokio::time::timeout(Duration::from_secs(30), builder.connect())
        .await
        .expect("an up-to-date database waits for the lock")
        .unwrap();
    database.create_user(CreateUser::new()).await.unwrap();
    execute(
        &pool,
        "DELETE FROM _better_auth_migrations WHERE version = 19",
    )
    .await;
    drop(other);
    let answer = refusal(&database).await;
    assert!(answer.contains("privilege"), "{answer}");
    database.close().await;
    execute(&pool, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[sqlx::test(migrations = false)]
async fn a_schema_that_comes_before_ours_stays_empty(pool: PgPool) {
    execute(&pool, PAGE).await;
    execute(
        &pool,
        "INSERT INTO users (id) VALUES ('1'); CREATE SCHEMA better_auth",
    )
    .await;
    // By hand, then recorded; `"$user"` is better_auth.
    for path in ["\"$user\",public", "better_auth,public"] {
        let database = with_path(&pool, path).await;
        database.migrate().await.unwrap();
        database.check_schema().await.unwrap();
        assert!(database.get_user_by_id("1").await.unwrap().is_some());
        assert_eq!(tables(&pool).await, all_in("public"));
        execute(
            &pool,
            "DELETE FROM _better_auth_migrations WHERE version IN (18, 19)",
        )
        .await;
    }
    with_path(&pool, "better_auth,public")
        .await
        .migrate()
        .await
        .unwrap();
    assert_eq!(tables(&pool).await, all_in("public"));
}

#[sqlx::test(migrations = false)]
async fn an_applications_own_users_are_not_ours(pool: PgPool) {
    execute(
        &pool,
        "CREATE TABLE users (id BIGINT PRIMARY KEY, name TEXT, email TEXT, created_at TIMESTAMPTZ)",
    )
    .await;
    execute(&pool, "CREATE SCHEMA auth").await;
    let database = with_path(&pool, "auth,public").await;
    database.migrate().await.unwrap();
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
    let mut expected = all_in("auth");
    expected.push("public.users".to_owned());
    assert_eq!(tables(&pool).await, expected);
    let hidden = with_path(&pool, "public,auth").await;
    let answer = refusal(&hidden).await;
    assert!(
        answer.contains("public") && answer.contains("auth"),
        "{answer}"
    );
    let answer = hidden.check_schema().await.unwrap_err().to_string();
    assert!(
        answer.contains("schema public") && answer.contains("schema auth"),
        "{answer}"
    );
}

#[sqlx::test(migrations = false)]
async fn tables_in_several_schemas_are_refused(pool: PgPool) {
    execute(&pool, PAGE).await;
    execute(
        &pool,
        "CREATE SCHEMA app; ALTER TABLE verifications SET SCHEMA app",
    )
    .await;
    let before = tables(&pool).await;
    for path in ["app,public", "public,app"] {
        let answer = refusal(&with_path(&pool, path).await).await;
        assert!(
            answer.contains("app") && answer.contains("public"),
            "{answer}"
        );
        assert_eq!(tables(&pool).await, before);
    }
    let answer = refusal(&with_path(&pool, "nowhere").await).await;
    assert!(answer.contains("search_path"), "{answer}");
}

#[sqlx::test(migrations = false)]
async fn every_tenant_has_tables_of_its_own(pool: PgPool) {
    adapter(&pool).await.migrate().await.unwrap();
    let mut expected = all_in("public");
    for tenant in ["tenant-1", "tenant2"] {
        execute(&pool, &format!("CREATE SCHEMA \"{tenant}\"")).await;
        let database = with_path(&pool, &format!("\"{tenant}\"")).await;
        database.migrate().await.unwrap();
        database.check_schema().await.unwrap();
        expected.extend(all_in(tenant));
        // One that finds public, too, stays with the tenant's.
        let database = with_path(&pool, &format!("\"{tenant}\",public")).await;
        database.migrate().await.unwrap();
        database.create_user(CreateUser::new()).await.unwrap();
    }
    expected.sort();
    let mut found = tables(&pool).await;
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(
        adapter(&pool)
            .await
            .count_users(UserFilter::default())
            .await
            .unwrap(),
        0
    );
}

#[sqlx::test(migrations = false)]
async fn a_database_in_another_encoding_is_refused_unchanged(pool: PgPool) {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::INT")
        .fetch_one(&pool)
        .await
        .unwrap();
    // ICU knows no SQL_ASCII, and may be the provider of the whole server.
    let provider = if version >= 150_000 {
        "LOCALE_PROVIDER libc"
    } else {
        ""
    };
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!(
            "{}_{encoding}",
            &pool.connect_options().get_database().unwrap()[..40]
        );
        // A run that was ended leaves it.
        execute(&pool, &format!("DROP DATABASE IF EXISTS \"{name}\"")).await;
        execute(
            &pool,
            &format!("CREATE DATABASE \"{name}\" ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' {provider}"),
        )
        .await;
        let options = pool.connect_options().as_ref().clone().database(&name);
        let latin = PgPool::connect_with(options).await.unwrap();
        let database = SqlxAdapter::from_pool(latin.clone());
        let answer = refusal(&database).await;
        assert!(
            answer.contains(encoding) && answer.contains("UTF8"),
            "{answer}"
        );
        assert_eq!(tables(&latin).await, [""; 0]);
        MIGRATOR.run(&latin).await.unwrap();
        let answer = database.check_schema().await.unwrap_err().to_string();
        assert!(answer.contains(encoding), "{answer}");
        refusal(&database).await;
        latin.close().await;
        execute(&pool, &format!("DROP DATABASE \"{name}\"")).await;
    }
}

/// As a dump of our tables alone restores them.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_database_that_lost_its_record_is_recorded_again(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO users (id) VALUES ('1'); DROP TABLE _better_auth_migrations",
    )
    .await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
    assert!(database.get_user_by_id("1").await.unwrap().is_some());
}

/// As a dropped `begin()` of sqlx's leaves one behind.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_transaction_that_was_left_open_on_a_pool_is_no_place_to_migrate_in(pool: PgPool) {
    let shared = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(pool.connect_options().as_ref().clone())
        .await
        .unwrap();
    execute(
        &pool,
        "DELETE FROM _better_auth_migrations WHERE version = 19",
    )
    .await;
    execute(&shared, "BEGIN").await;
    SqlxAdapter::from_pool(shared).migrate().await.unwrap();
    let recorded = "SELECT count(*) FROM _better_auth_migrations WHERE version = 19";
    let recorded: i64 = sqlx::query_scalar(recorded).fetch_one(&pool).await.unwrap();
    assert_eq!(recorded, 1);
}
