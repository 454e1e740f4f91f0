//! The schema that `check_schema` expects is what the migrations make. A binary of its own: `just sqlx-check` needs this alone.

use std::{env, fs};

use sqlx::{AssertSqlSafe, PgPool, Row as _};

/// From the folder that `cargo test` runs in.
const FOLDER: &str = "../src/adapters/postgres/maintenance";

/// Written by `EXPECTED_SCHEMA=write`, from all tables that the migrations make.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn the_expected_schema_is_what_the_migrations_make(pool: PgPool) {
    let folder = env::var("EXPECTED_SCHEMA_FOLDER").unwrap_or_else(|_| FOLDER.to_owned());
    let file = format!("{folder}/expected_schema.txt");
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_better_auth_migrations'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let query = fs::read_to_string(format!("{folder}/schema.sql")).unwrap();
    let parts = sqlx::query(AssertSqlSafe(query))
        .bind(tables)
        .fetch_all(&pool)
        .await
        .unwrap();
    let lines = parts.iter().filter_map(|part| {
        let kind: &str = part.get(0);
        let of_tables = ["column", "constraint", "function", "index"].contains(&kind);
        let [table, name, definition]: [&str; 3] = [1, 2, 3].map(|column| part.get(column));
        of_tables.then(|| format!("{kind} {table}.{name} {definition}\n"))
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    let schema = lines.concat();
    if env::var("EXPECTED_SCHEMA").is_ok_and(|action| action == "write") {
        fs::write(&file, &schema).unwrap();
    }
    assert_eq!(
        schema,
        fs::read_to_string(file).unwrap(),
        "run `just sqlx-prepare`"
    );
}
