//! `migrate` and `check_schema` recognise the tables of other programs before they change anything, and `migrate` adopts
//! those of better-auth-rs.

use crate::support::{adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::{AuthError, UserFilter};
use sqlx::PgPool;

const PAGE: &str = include_str!("../support/page.sql");
const TYPESCRIPT: &str = include_str!("../support/typescript.sql");

/// Everything that is in the database, as `migrate` could change it.
async fn relations(pool: &PgPool) -> Vec<String> {
    let query = "SELECT format('%s.%s %s', relnamespace::regnamespace, relname, relkind) FROM pg_class \
                 WHERE relnamespace::regnamespace::TEXT NOT LIKE ALL ('{pg\\_%,information\\_schema}') ORDER BY 1";
    sqlx::query_scalar(query).fetch_all(pool).await.unwrap()
}

fn message<T: std::fmt::Debug>(answer: Result<T, AuthError>) -> String {
    match answer {
        Err(error @ AuthError::Database { .. }) => error.to_string(),
        answer => panic!("{answer:?}"),
    }
}

/// Both refuse with all of `parts`, and nothing is changed.
async fn refused(pool: &PgPool, parts: &[&str]) {
    let before = relations(pool).await;
    let database = adapter(pool).await;
    for refusal in [
        message(database.migrate().await),
        message(database.check_schema().await),
    ] {
        for part in parts {
            assert!(refusal.contains(part), "{part}: {refusal}");
        }
    }
    assert_eq!(relations(pool).await, before);
}

/// The tables in the plural, as `usePlural` makes them.
fn plural() -> String {
    ["user", "session", "account", "verification"]
        .iter()
        .fold(TYPESCRIPT.to_owned(), |sql, name| {
            sql.replace(&format!("\"{name}\""), &format!("\"{name}s\""))
        })
}

async fn in_schema(pool: &PgPool, schema: &str) -> SqlxAdapter {
    execute(pool, &format!("CREATE SCHEMA {schema}")).await;
    let base = url(pool);
    let base = base.split('?').next().unwrap();
    SqlxAdapter::new(&format!("{base}?options=-c%20search_path%3D{schema}"))
        .await
        .unwrap()
}

#[sqlx::test(migrations = false)]
async fn better_auth_in_typescript_is_recognised(pool: PgPool) {
    execute(&pool, TYPESCRIPT).await;
    let parts = [
        "schema public",
        "TypeScript",
        "account, session, user, verification",
        "import",
        "search_path",
    ];
    refused(&pool, &parts).await;
    // As the advice says.
    let database = in_schema(&pool, "auth").await;
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn so_are_its_tables_in_the_plural(pool: PgPool) {
    execute(&pool, &plural()).await;
    let parts = [
        "schema public",
        "TypeScript",
        "sessions, users",
        "another schema",
        "import",
    ];
    refused(&pool, &parts).await;
    in_schema(&pool, "auth").await.migrate().await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn so_are_its_tables_under_other_names(pool: PgPool) {
    execute(&pool, TYPESCRIPT).await;
    execute(
        &pool,
        "ALTER TABLE \"user\" RENAME TO people; ALTER TABLE session RENAME TO visits",
    )
    .await;
    refused(&pool, &["TypeScript", "people", "visits", "import"]).await;
}

#[sqlx::test(migrations = false)]
async fn so_are_its_tables_in_snake_case(pool: PgPool) {
    let columns = [
        "emailVerified",
        "createdAt",
        "updatedAt",
        "expiresAt",
        "userId",
        "ipAddress",
        "userAgent",
        "accountId",
        "providerId",
    ];
    let sql = columns.iter().fold(TYPESCRIPT.to_owned(), |sql, column| {
        let snake: String = column
            .chars()
            .flat_map(|c| {
                c.is_uppercase()
                    .then_some('_')
                    .into_iter()
                    .chain(c.to_lowercase())
            })
            .collect();
        sql.replace(column, &snake)
    });
    execute(&pool, &sql).await;
    refused(&pool, &["TypeScript", "session, user", "import"]).await;
}

/// As releases of ours left it that did not look first.
#[sqlx::test(migrations = false)]
async fn a_migration_that_stopped_at_foreign_tables_says_so(pool: PgPool) {
    adapter(&pool).await.migrate().await.unwrap();
    execute(
        &pool,
        "DELETE FROM _better_auth_migrations WHERE version > 3; DROP TABLE accounts, sessions, users, verifications",
    )
    .await;
    execute(&pool, &plural()).await;
    refused(&pool, &["schema public", "TypeScript", "users"]).await;
}

#[sqlx::test(migrations = false)]
async fn tables_of_an_application_by_our_names_are_recognised(pool: PgPool) {
    for (table, columns) in [
        (
            "users",
            "id BIGINT PRIMARY KEY, login TEXT, created_at TIMESTAMPTZ",
        ),
        (
            "sessions",
            "sid TEXT PRIMARY KEY, sess JSON NOT NULL, expire TIMESTAMP",
        ),
        ("accounts", "id UUID PRIMARY KEY, balance NUMERIC"),
        ("verifications", "id SERIAL PRIMARY KEY"),
    ] {
        execute(&pool, &format!("CREATE TABLE {table} ({columns})")).await;
        refused(
            &pool,
            &[
                "schema public",
                &format!("table {table} "),
                "not ours",
                "search_path",
            ],
        )
        .await;
        execute(&pool, &format!("DROP TABLE {table}")).await;
    }
    execute(&pool, "CREATE VIEW users AS SELECT '1'::TEXT AS id").await;
    refused(&pool, &["schema public", "view", "users", "search_path"]).await;
}

/// Tables that are nearly ours would stop a later migration.
#[sqlx::test(migrations = false)]
async fn what_nearly_ours_lacks_is_named_before_anything_is_changed(pool: PgPool) {
    for (statement, parts) in [
        (
            "ALTER TABLE users DROP COLUMN metadata",
            ["users", "ADD COLUMN metadata jsonb NOT NULL"],
        ),
        (
            "ALTER TABLE users DROP COLUMN banned, DROP COLUMN metadata",
            ["ADD COLUMN banned boolean", "ADD COLUMN metadata"],
        ),
        (
            "ALTER TABLE sessions DROP COLUMN active",
            ["sessions", "ADD COLUMN active boolean NOT NULL"],
        ),
        (
            "ALTER TABLE verifications ALTER COLUMN id TYPE UUID USING NULL",
            ["verifications", "ALTER COLUMN id TYPE text"],
        ),
        (
            "ALTER TABLE users ALTER COLUMN metadata DROP DEFAULT, ALTER COLUMN metadata TYPE JSON",
            ["users", "ALTER COLUMN metadata TYPE jsonb"],
        ),
        (
            "ALTER TABLE users ALTER COLUMN banned DROP DEFAULT, ALTER COLUMN banned TYPE INT USING banned::INT",
            [
                "users in schema public has banned in another type",
                "ALTER COLUMN banned TYPE boolean USING",
            ],
        ),
        (
            "ALTER TABLE sessions ALTER COLUMN expires_at TYPE TIMESTAMP",
            [
                "sessions",
                "ALTER COLUMN expires_at TYPE timestamp with time zone USING",
            ],
        ),
        (
            "ALTER TABLE users ALTER COLUMN name TYPE TEXT[] USING ARRAY[name], DROP COLUMN image",
            [
                "lacks image, and has name in another type",
                "ADD COLUMN image text, ALTER COLUMN name TYPE text",
            ],
        ),
        (
            "ALTER TABLE accounts ALTER COLUMN scope TYPE JSON USING NULL",
            ["accounts", "ALTER COLUMN scope TYPE text"],
        ),
    ] {
        execute(&pool, PAGE).await;
        execute(&pool, statement).await;
        refused(&pool, &parts).await;
        execute(&pool, "DROP TABLE accounts, sessions, users, verifications").await;
    }
    execute(&pool, PAGE).await;
    execute(
        &pool,
        "ALTER TABLE users ALTER COLUMN email TYPE VARCHAR(300), DROP COLUMN metadata",
    )
    .await;
    let refusal = message(adapter(&pool).await.migrate().await);
    let advice = refusal
        .split("ALTER TABLE")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    execute(&pool, &format!("ALTER TABLE{advice}")).await;
    adapter(&pool).await.migrate().await.unwrap();
}

/// The names of all columns are ours by chance, and the types are not.
#[sqlx::test(migrations = false)]
async fn so_are_those_with_columns_of_the_same_names(pool: PgPool) {
    execute(&pool, PAGE).await;
    execute(&pool, "DROP TABLE accounts, sessions, verifications").await;
    execute(
        &pool,
        "ALTER TABLE users DROP CONSTRAINT users_pkey; \
         DO $$ DECLARE named TEXT; BEGIN FOR named IN SELECT attname FROM pg_attribute \
         WHERE attrelid = 'users'::REGCLASS AND attnum > 0 LOOP \
         EXECUTE format('ALTER TABLE users ALTER COLUMN %1$I DROP DEFAULT, ALTER COLUMN %1$I DROP NOT NULL, \
         ALTER COLUMN %1$I TYPE BIGINT USING NULL', named); END LOOP; END $$",
    )
    .await;
    refused(
        &pool,
        &[
            "schema public",
            "table users that is not ours",
            "has ",
            "email_verified",
            "in another type",
        ],
    )
    .await;
    // Domains and other texts are as good.
    execute(&pool, "DROP TABLE users").await;
    execute(&pool, PAGE).await;
    execute(
        &pool,
        "CREATE DOMAIN label AS TEXT; CREATE DOMAIN moment AS TIMESTAMPTZ; ALTER TABLE users ALTER COLUMN name TYPE label, \
         ALTER COLUMN email TYPE VARCHAR(255), ALTER COLUMN role TYPE label, ALTER COLUMN ban_expires TYPE moment",
    )
    .await;
    adapter(&pool).await.migrate().await.unwrap();
}

/// An application's tables of other names, even where their columns are written alike, are of no interest.
#[sqlx::test(migrations = false)]
async fn other_tables_do_not_matter(pool: PgPool) {
    execute(
        &pool,
        "CREATE TABLE orders (id INT, \"userId\" TEXT, \"expiresAt\" TIMESTAMPTZ, token TEXT); \
         CREATE TABLE \"user\" (id INT PRIMARY KEY, email TEXT); CREATE TABLE session (sid TEXT, sess JSON)",
    )
    .await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
    // Better Auth (TypeScript) that comes later, beside tables that are in use.
    execute(&pool, "DROP TABLE \"user\", session").await;
    execute(&pool, TYPESCRIPT).await;
    execute(
        &pool,
        "DELETE FROM _better_auth_migrations WHERE version = 19",
    )
    .await;
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
}

/// The tables of better-auth-rs up to 0.10: the page's four with indexes of other names, and tables of its plugins.
#[sqlx::test(migrations = false)]
async fn a_database_of_better_auth_rs_is_adopted(pool: PgPool) {
    execute(&pool, PAGE).await;
    for (table, columns) in [
        ("users", "email"),
        ("users", "username"),
        ("sessions", "token"),
        ("sessions", "user_id"),
        ("sessions", "expires_at"),
        ("accounts", "user_id"),
        ("accounts", "provider_id, account_id"),
    ] {
        let name = columns.replace(", ", "_");
        execute(
            &pool,
            &format!("CREATE INDEX idx_{table}_{name} ON {table} ({columns})"),
        )
        .await;
    }
    for statement in [
        "CREATE TABLE organization (id TEXT PRIMARY KEY, name TEXT NOT NULL, slug TEXT NOT NULL UNIQUE, logo TEXT, \
         metadata JSONB NOT NULL DEFAULT '{}', created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), \
         updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW())",
        "CREATE TABLE member (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL REFERENCES organization (id) ON DELETE \
         CASCADE, user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE, role TEXT NOT NULL DEFAULT 'member', \
         created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), UNIQUE (organization_id, user_id))",
        "CREATE TABLE two_factor (id TEXT PRIMARY KEY, secret TEXT NOT NULL, backup_codes TEXT, user_id TEXT NOT NULL \
         UNIQUE REFERENCES users (id) ON DELETE CASCADE, created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), \
         updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW())",
        "INSERT INTO users (id, email, name) VALUES ('1', 'Ada@example.com', 'Ada'), ('2', 'bob@example.com', 'Bob')",
        "INSERT INTO sessions (id, token, user_id, expires_at) VALUES ('s', 'session_token', '2', now() + '1 day')",
        "INSERT INTO accounts (id, account_id, provider_id, user_id) VALUES ('a', '2', 'credential', '2')",
        "INSERT INTO organization (id, name, slug) VALUES ('o', 'Acme', 'acme')",
        "INSERT INTO member (id, organization_id, user_id) VALUES ('m', 'o', '2')",
    ] {
        execute(&pool, statement).await;
    }
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    let report = database.check_schema().await.unwrap();
    assert_eq!(report.removable_indexes.len(), 7, "{report:?}");
    let (_, user) = database
        .get_session_with_user("session_token")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(user.id, "2");
    assert_eq!(database.normalize_names().await.unwrap().changed, 1);
    assert!(
        database
            .get_user_by_email("ada@example.com")
            .await
            .unwrap()
            .is_some()
    );
    database.delete_user("2").await.unwrap();
    let users = database.count_users(UserFilter::default()).await.unwrap();
    let members: i64 = sqlx::query_scalar("SELECT count(*) FROM member")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!((users, members), (1, 0));
}
