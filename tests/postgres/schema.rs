//! `check_schema` names what is wrong with a database, and nothing that is not.

use crate::support::{adapter, execute, url};
use better_auth::AuthError;
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use sqlx::{PgPool, Row as _};

const PAGE: &str = include_str!("../support/page.sql");

/// What `check_schema` complains of.
async fn complaint(database: &SqlxAdapter) -> String {
    match database.check_schema().await {
        Err(error @ AuthError::Database { .. }) => error.to_string(),
        answer => panic!("{answer:?}"),
    }
}

/// Breaks something, expects to be told so with these words, and mends it again.
async fn is_told(pool: &PgPool, database: &SqlxAdapter, change: &str, back: &str, words: &[&str]) {
    execute(pool, change).await;
    let complaint = complaint(database).await;
    for word in words {
        assert!(complaint.contains(word), "{change}: {complaint}");
    }
    let (_, name) = words[0].split_once('.').unwrap_or(("", words[0]));
    assert!(
        complaint.split("; ").all(|part| part.contains(name)),
        "one change, one complaint: {complaint}"
    );
    execute(pool, back).await;
}

async fn rows(pool: &PgPool, query: &'static str) -> Vec<(String, String, String)> {
    let rows = sqlx::query(query).fetch_all(pool).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

fn default_of(kind: &str) -> Option<&str> {
    Some(kind.split_once(" DEFAULT ")?.1)
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn every_column_is_looked_at(pool: PgPool) {
    let database = adapter(&pool).await;
    database.check_schema().await.unwrap();
    let columns = rows(
        &pool,
        "SELECT table_name::TEXT, column_name::TEXT, concat_ws(' ', data_type, is_nullable, 'DEFAULT ' || column_default) FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name <> '_better_auth_migrations'",
    )
    .await;
    assert_eq!(columns.len(), 45);
    for (table, column, kind) in columns {
        let name = &*format!("{table}.{column}");
        is_told(
            &pool,
            &database,
            &format!("ALTER TABLE {table} RENAME {column} TO gone"),
            &format!("ALTER TABLE {table} RENAME gone TO {column}"),
            &[name, "missing", "ADD COLUMN"],
        )
        .await;
        let change = |with: &str| format!("ALTER TABLE {table} ALTER {column} {with}");
        if let Some(default) = default_of(&kind) {
            let (change, back) = (
                change("DROP DEFAULT"),
                change(&format!("SET DEFAULT {default}")),
            );
            is_told(&pool, &database, &change, &back, &[name, "DEFAULT"]).await;
        }
        if kind.starts_with("text") {
            let (change, back) = (change("TYPE VARCHAR(300)"), change("TYPE TEXT"));
            is_told(
                &pool,
                &database,
                &change,
                &back,
                &[name, "character varying"],
            )
            .await;
        }
        if kind.contains(" YES") {
            let (change, back) = (change("SET NOT NULL"), change("DROP NOT NULL"));
            is_told(&pool, &database, &change, &back, &[name, "NOT NULL"]).await;
        } else if column != "id" {
            let (change, back) = (change("DROP NOT NULL"), change("SET NOT NULL"));
            is_told(&pool, &database, &change, &back, &[name, "NOT NULL"]).await;
        }
    }
    database.check_schema().await.unwrap();
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn every_constraint_and_index_is_looked_at(pool: PgPool) {
    let database = adapter(&pool).await;
    let constraints = rows(
        &pool,
        "SELECT conrelid::regclass::TEXT, conname::TEXT, contype::TEXT FROM pg_constraint \
         WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f') \
         AND conrelid <> '_better_auth_migrations'::regclass",
    )
    .await;
    assert_eq!(constraints.len(), 10);
    for (table, name, _) in constraints {
        is_told(
            &pool,
            &database,
            &format!("ALTER TABLE {table} RENAME CONSTRAINT {name} TO gone"),
            &format!("ALTER TABLE {table} RENAME CONSTRAINT gone TO {name}"),
            &[&name, &table, "ADD CONSTRAINT"],
        )
        .await;
    }
    let indexes = rows(
        &pool,
        "SELECT indrelid::regclass::TEXT, indexrelid::regclass::TEXT, '' FROM pg_index \
         WHERE indrelid::regclass::TEXT IN ('users', 'sessions', 'accounts', 'verifications') AND NOT indisunique",
    )
    .await;
    assert_eq!(indexes.len(), 14);
    for (table, name, _) in indexes {
        is_told(
            &pool,
            &database,
            &format!("ALTER INDEX {name} RENAME TO gone"),
            &format!("ALTER INDEX gone RENAME TO {name}"),
            &[&name, &table, "CREATE INDEX CONCURRENTLY"],
        )
        .await;
        is_told(
            &pool,
            &database,
            &format!(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass"
            ),
            &format!("UPDATE pg_index SET indisvalid = true WHERE indexrelid = '{name}'::regclass"),
            &[&name, &table, "INVALID", "migrate()"],
        )
        .await;
    }
    database.check_schema().await.unwrap();
}

/// What `check_schema` says to do helps.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn the_advice_can_be_followed(pool: PgPool) {
    let database = adapter(&pool).await;
    for change in [
        "DROP INDEX users_name_created_at_id_idx",
        "ALTER TABLE users DROP CONSTRAINT users_email_key",
        "ALTER TABLE sessions DROP CONSTRAINT sessions_user_id_fkey",
        "ALTER TABLE accounts DROP COLUMN scope",
        "ALTER TABLE sessions DROP COLUMN active",
    ] {
        execute(&pool, change).await;
        let complaint = complaint(&database).await;
        for part in complaint.split("; ") {
            let (_, advice) = part.split_once("is missing: ").unwrap();
            execute(&pool, advice).await;
        }
        database.check_schema().await.unwrap();
    }
    execute(
        &pool,
        "ALTER TABLE sessions DROP CONSTRAINT sessions_user_id_fkey, ADD CONSTRAINT sessions_user_id_fkey \
         FOREIGN KEY (user_id) REFERENCES users(id)",
    )
    .await;
    let complaint = complaint(&database).await;
    assert!(
        complaint.contains("sessions_user_id_fkey") && complaint.contains("CASCADE"),
        "{complaint}"
    );
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn what_users_add_is_their_own_business(pool: PgPool) {
    for extra in [
        "ALTER TABLE users ADD COLUMN plan TEXT NOT NULL DEFAULT 'free'",
        "ALTER TABLE sessions ADD CONSTRAINT short CHECK (length(user_agent) < 1000)",
        "CREATE INDEX ON users (image)",
        "CREATE TABLE organizations (id TEXT PRIMARY KEY, owner TEXT REFERENCES users(id))",
    ] {
        execute(&pool, extra).await;
        adapter(&pool).await.check_schema().await.unwrap();
    }
}

#[sqlx::test(migrations = false)]
async fn a_database_that_is_not_migrated_is_told_to_be(pool: PgPool) {
    let connect = async |migrate| {
        let builder = SqlxAdapter::builder(&url(&pool)).check_schema(true);
        builder.migrate(migrate).connect().await
    };
    let empty = connect(false).await.unwrap_err();
    assert!(
        empty.to_string().contains("call SqlxAdapter::migrate()"),
        "{empty}"
    );
    execute(&pool, PAGE).await;
    let by_hand = connect(false).await.unwrap_err();
    assert!(
        by_hand.to_string().contains("call SqlxAdapter::migrate()"),
        "{by_hand}"
    );
    let database = connect(true).await.unwrap();
    database
        .create_user(better_auth::CreateUser::new())
        .await
        .unwrap();
    connect(false).await.unwrap();
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn older_and_newer_databases_are_told_apart(pool: PgPool) {
    let database = adapter(&pool).await;
    execute(
        &pool,
        "DELETE FROM _better_auth_migrations WHERE version = 19",
    )
    .await;
    execute(&pool, "DROP INDEX users_name_created_at_id_idx").await;
    let older = complaint(&database).await;
    assert!(
        older.contains("migration 19 has not run") && older.contains("migrate()"),
        "{older}"
    );
    assert!(
        !older.contains("users_name_created_at_id_idx"),
        "what is to come is not missing: {older}"
    );
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
    execute(
        &pool,
        "INSERT INTO _better_auth_migrations VALUES (9999, 'from the future', now(), true, '', 0)",
    )
    .await;
    let newer = complaint(&database).await;
    assert!(
        newer.contains("9999") && newer.contains("newer version"),
        "{newer}"
    );
}

#[sqlx::test(migrations = false)]
async fn a_schema_of_its_own_will_do(pool: PgPool) {
    execute(&pool, "CREATE SCHEMA app").await;
    let url = format!(
        "{}?options=-c%20search_path%3Dapp",
        url(&pool).split('?').next().unwrap()
    );
    let builder = SqlxAdapter::builder(&url).migrate(true).check_schema(true);
    builder.connect().await.unwrap();
    execute(&pool, "ALTER TABLE app.users DROP COLUMN name").await;
    let builder = SqlxAdapter::builder(&url).check_schema(true);
    let error = builder.connect().await.unwrap_err();
    assert!(
        error.to_string().contains("users.name is missing"),
        "{error}"
    );
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn settings_that_make_no_sense_are_refused(pool: PgPool) {
    let too_many = SqlxAdapter::builder(&url(&pool)).max_retries(1001);
    let answer = too_many.connect().await;
    assert!(
        matches!(
            answer,
            Err(AuthError::Validation {
                field: "max_retries",
                ..
            })
        ),
        "{answer:?}"
    );
    let two_pools = better_auth::adapters::SqlxAdapterBuilder::from_pool(pool)
        .pool_config(better_auth::adapters::PoolConfig::default());
    let answer = two_pools.connect().await;
    assert!(
        matches!(
            answer,
            Err(AuthError::Validation {
                field: "pool_config",
                ..
            })
        ),
        "{answer:?}"
    );
    let builder = SqlxAdapter::builder("postgresql://user:s3cret@localhost/mydb");
    assert!(!format!("{builder:?}").contains("s3cret"));
}
