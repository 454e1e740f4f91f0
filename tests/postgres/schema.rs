//! `check_schema` names what is wrong with a database, and nothing that is not.

use crate::support::{adapter, execute, url};
use better_auth::AuthError;
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter, Store};
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

/// An adapter that checks the tables of all stores.
async fn with_stores(pool: &PgPool) -> SqlxAdapter {
    let builder = SqlxAdapter::builder(&url(pool)).stores([
        Store::Organizations,
        Store::RateLimits,
        Store::SigningKeys,
        Store::TwoFactor,
        Store::Passkeys,
        Store::DeviceCodes,
        Store::ApiKeys,
    ]);
    builder.connect().await.unwrap()
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn every_column_is_looked_at(pool: PgPool) {
    let database = with_stores(&pool).await;
    database.check_schema().await.unwrap();
    let columns = rows(
        &pool,
        "SELECT table_name::TEXT, column_name::TEXT, concat_ws(' ', data_type, is_nullable, 'DEFAULT ' || column_default) FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name <> '_better_auth_migrations'",
    )
    .await;
    let expected = include_str!("../../src/adapters/postgres/maintenance/expected_schema.txt");
    let expected = expected.lines().filter(|line| line.starts_with("column "));
    assert_eq!(columns.len(), expected.count());
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
        } else if column != "id" && (&*table, &*column) != ("rate_limit", "key") {
            let (change, back) = (change("DROP NOT NULL"), change("SET NOT NULL"));
            is_told(&pool, &database, &change, &back, &[name, "NOT NULL"]).await;
        }
    }
    database.check_schema().await.unwrap();
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn every_constraint_and_index_is_looked_at(pool: PgPool) {
    let database = with_stores(&pool).await;
    let constraints = rows(
        &pool,
        "SELECT conrelid::regclass::TEXT, conname::TEXT, contype::TEXT FROM pg_constraint \
         WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f') \
         AND conrelid <> '_better_auth_migrations'::regclass",
    )
    .await;
    assert!(constraints.len() >= 10, "{constraints:?}");
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
         JOIN pg_class ON pg_class.oid = indrelid \
         WHERE relnamespace = 'public'::regnamespace AND NOT indisunique",
    )
    .await;
    assert_eq!(indexes.len(), 14 + 13 + 2 + 5);
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
    let index = "users_name_created_at_id_idx";
    is_told(
        &pool,
        &database,
        &format!("ALTER INDEX {index} RENAME TO gone; CREATE INDEX {index} ON users (image)"),
        &format!("DROP INDEX {index}; ALTER INDEX gone RENAME TO {index}"),
        &[index, "users", "(image)", "DROP INDEX CONCURRENTLY"],
    )
    .await;
    database.check_schema().await.unwrap();
}

/// Another constraint of our name goes; a check of the application's may have another name.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_constraint_of_another_kind_is_told(pool: PgPool) {
    let database = adapter(&pool).await;
    let name = "sessions_user_id_fkey";
    for (constraint, is_check) in [
        ("FOREIGN KEY (user_id) REFERENCES users (id)", false),
        ("CHECK (user_id <> '')", true),
    ] {
        let change = format!(
            "ALTER TABLE sessions DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {constraint}"
        );
        execute(&pool, &change).await;
        let told = complaint(&database).await;
        assert!(
            told.contains(&format!("DROP CONSTRAINT {name}, then")),
            "{told}"
        );
        assert_eq!(told.contains("RENAME CONSTRAINT"), is_check, "{told}");
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_table_that_is_gone_is_told(pool: PgPool) {
    let database = with_stores(&pool).await;
    for (table, advice) in [
        ("passkeys", "table passkeys of a store is missing: call"),
        (
            "verifications",
            "table verifications is missing: restore it",
        ),
    ] {
        execute(&pool, &format!("DROP TABLE {table} CASCADE")).await;
        let told = complaint(&database).await;
        assert!(told.contains(advice), "{told}");
    }
}

/// As Prisma makes them.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn unique_indexes_do_for_constraints(pool: PgPool) {
    for (table, name, columns) in [
        ("users", "users_email_key", "email"),
        ("users", "users_username_key", "username"),
        ("sessions", "sessions_token_key", "token"),
        (
            "accounts",
            "accounts_provider_id_account_id_key",
            "provider_id, account_id",
        ),
    ] {
        execute(
            &pool,
            &format!("ALTER TABLE {table} DROP CONSTRAINT {name}"),
        )
        .await;
        execute(
            &pool,
            &format!("CREATE UNIQUE INDEX {name} ON {table} ({columns})"),
        )
        .await;
    }
    execute(
        &pool,
        "ALTER TABLE sessions DROP CONSTRAINT sessions_user_id_fkey, ADD CONSTRAINT sessions_user_id_fkey \
         FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE ON UPDATE CASCADE",
    )
    .await;
    let database = adapter(&pool).await;
    database.check_schema().await.unwrap();
    database.migrate().await.unwrap();
    // Other indexes of these names do not.
    for index in [
        "CREATE INDEX users_email_key ON users (email)",
        "CREATE UNIQUE INDEX users_email_key ON users (lower(email))",
        "CREATE UNIQUE INDEX users_email_key ON users (email) WHERE NOT banned",
        "CREATE UNIQUE INDEX users_email_key ON users (email, id)",
    ] {
        execute(&pool, "DROP INDEX users_email_key").await;
        execute(&pool, index).await;
        let answer = complaint(&database).await;
        let (_, advice) = answer
            .split_once(", not UNIQUE (email): ")
            .unwrap_or_else(|| panic!("{answer}"));
        let (drop, add) = advice.split_once(", then ").unwrap();
        execute(&pool, drop).await;
        execute(&pool, add).await;
        database.check_schema().await.unwrap();
        execute(&pool, "ALTER TABLE users DROP CONSTRAINT users_email_key").await;
        execute(
            &pool,
            "CREATE UNIQUE INDEX users_email_key ON users (email)",
        )
        .await;
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn settings_of_the_session_change_no_answer(pool: PgPool) {
    execute(&pool, "CREATE SCHEMA app; CREATE SCHEMA \"Odd one\"").await;
    let url = url(&pool);
    let base = url.split('?').next().unwrap();
    for options in [
        "-c%20quote_all_identifiers%3Don",
        "-c%20search_path%3Dapp,pg_catalog,public",
        "-c%20DateStyle%3DGerman%20-c%20IntervalStyle%3Diso_8601%20-c%20bytea_output%3Descape",
        "-c%20TimeZone%3DAsia/Kolkata%20-c%20default_transaction_read_only%3Don%20-c%20array_nulls%3Doff",
    ] {
        let database = SqlxAdapter::new(&format!("{base}?options={options}"))
            .await
            .unwrap();
        database
            .check_schema()
            .await
            .unwrap_or_else(|error| panic!("{options}: {error}"));
        database
            .migrate()
            .await
            .unwrap_or_else(|error| panic!("{options}: {error}"));
    }
    execute(
        &pool,
        "DO $$ DECLARE name TEXT; BEGIN \
         FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP \
         EXECUTE format('ALTER TABLE public.%I SET SCHEMA \"Odd one\"', name); END LOOP; END $$",
    )
    .await;
    for options in [
        "-c%20search_path%3D%22Odd\\%20one%22,public",
        "-c%20search_path%3D%22Odd\\%20one%22,app,pg_catalog%20-c%20quote_all_identifiers%3Don",
    ] {
        let database = SqlxAdapter::new(&format!("{base}?options={options}"))
            .await
            .unwrap();
        database
            .check_schema()
            .await
            .unwrap_or_else(|error| panic!("{options}: {error}"));
        database
            .migrate()
            .await
            .unwrap_or_else(|error| panic!("{options}: {error}"));
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn rows_hidden_by_row_level_security_are_told(pool: PgPool) {
    let role = format!("hidden_{}", std::process::id());
    for statement in [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'password'"),
        format!("GRANT USAGE ON SCHEMA public TO {role}"),
        format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"),
    ] {
        execute(&pool, &statement).await;
    }
    let url = url(&pool).replacen("better_auth:", &format!("{role}:"), 1);
    let database = SqlxAdapter::new(&url).await.unwrap();
    database.check_schema().await.unwrap();
    let is_told = async |statement: String| {
        execute(&pool, &statement).await;
        let answer = complaint(&database).await;
        assert!(
            answer.contains("row level security on users") && answer.contains(&role),
            "{answer}"
        );
    };
    let is_fine = async |statement: String| {
        execute(&pool, &statement).await;
        database
            .check_schema()
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    };
    is_told("ALTER TABLE users ENABLE ROW LEVEL SECURITY".to_owned()).await;
    is_fine(format!(
        "CREATE POLICY every ON users TO {role} USING (true)"
    ))
    .await;
    is_told(format!(
        "CREATE POLICY part ON users AS RESTRICTIVE TO {role} USING (NOT banned)"
    ))
    .await;
    is_fine("DROP POLICY part ON users".to_owned()).await;
    is_told(
        "DROP POLICY every ON users; CREATE POLICY every ON users FOR SELECT USING (true)"
            .to_owned(),
    )
    .await;
    is_fine(format!("ALTER ROLE {role} BYPASSRLS")).await;
    is_told(format!("ALTER ROLE {role} NOBYPASSRLS")).await;
    is_fine(format!("ALTER TABLE users OWNER TO {role}")).await;
    is_told("ALTER TABLE users FORCE ROW LEVEL SECURITY".to_owned()).await;
    adapter(&pool).await.check_schema().await.unwrap();
    execute(&pool, "ALTER TABLE users NO FORCE ROW LEVEL SECURITY").await;
    database.check_schema().await.unwrap();
    execute(
        &pool,
        "ALTER TABLE _better_auth_migrations ENABLE ROW LEVEL SECURITY",
    )
    .await;
    let answer = complaint(&database).await;
    assert!(
        answer.contains("row level security on _better_auth_migrations"),
        "{answer}"
    );
    database.close().await;
    execute(
        &pool,
        &format!("ALTER TABLE users OWNER TO better_auth; DROP OWNED BY {role}; DROP ROLE {role}"),
    )
    .await;
}

/// As programs leave them that had these tables before.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn indexes_that_others_make_needless_are_named(pool: PgPool) {
    let removable = [
        (
            "idx_accounts_provider_account",
            "accounts (provider_id, account_id)",
        ),
        ("idx_accounts_user_id", "accounts (user_id)"),
        ("idx_sessions_expires_at", "sessions (expires_at)"),
        ("idx_sessions_token", "sessions (token)"),
        ("idx_sessions_user_id", "sessions (user_id)"),
        ("idx_users_email", "users (email)"),
        ("idx_users_username", "users (username)"),
        ("idx_verifications_identifier", "verifications (identifier)"),
        ("idx_verifications_value", "verifications (value)"),
    ];
    let needed = [
        // Of each other alone.
        "users_image ON users (image)",
        "users_image_too ON users (image)",
        "users_lower ON users (lower(email))",
        "users_some ON users (email) WHERE banned",
        "users_patterns ON users (email text_pattern_ops)",
        "users_collated ON users (username COLLATE \"POSIX\")",
        "sessions_pair ON sessions (user_id, token)",
        "sessions_hash ON sessions USING hash (token)",
    ];
    let database = adapter(&pool).await;
    assert_eq!(
        database.check_schema().await.unwrap().removable_indexes,
        [""; 0]
    );
    for (name, columns) in removable {
        execute(&pool, &format!("CREATE INDEX {name} ON {columns}")).await;
    }
    for index in needed {
        execute(&pool, &format!("CREATE INDEX {index}")).await;
    }
    let url = url(&pool);
    let quoting = format!(
        "{}?options=-c%20quote_all_identifiers%3Don",
        url.split('?').next().unwrap()
    );
    for database in [&database, &SqlxAdapter::new(&quoting).await.unwrap()] {
        let report = database.check_schema().await.unwrap();
        assert_eq!(report.removable_indexes, removable.map(|(name, _)| name));
    }
    for (name, _) in removable {
        execute(&pool, &format!("DROP INDEX {name}")).await;
    }
    assert_eq!(
        database.check_schema().await.unwrap().removable_indexes,
        [""; 0]
    );
}

/// What an interrupted `REINDEX CONCURRENTLY` leaves is nobody's, and while one runs it is needed.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn indexes_that_a_reindex_has_left_are_named(pool: PgPool) {
    let database = adapter(&pool).await;
    let mut long = pool.begin().await.unwrap();
    sqlx::query("INSERT INTO users (id) VALUES ('long')")
        .execute(&mut *long)
        .await
        .unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let reindex = tokio::spawn(async move {
        let reindex = sqlx::raw_sql("REINDEX INDEX CONCURRENTLY users_email_key");
        reindex.execute(&mut *connection).await
    });
    let is_begun = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'users_email_key_ccnew')";
    while !sqlx::query_scalar::<_, bool>(is_begun)
        .fetch_one(&pool)
        .await
        .unwrap()
    {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let running = database.check_schema().await.unwrap();
    assert_eq!(running.removable_indexes, [""; 0]);
    execute(&pool, &format!("SELECT pg_cancel_backend({pid})")).await;
    reindex.await.unwrap().unwrap_err();
    long.rollback().await.unwrap();
    let index = ["users_email_key_ccnew"];
    assert_eq!(
        database.check_schema().await.unwrap().removable_indexes,
        index
    );
    database.migrate().await.unwrap();
    assert_eq!(
        database.check_schema().await.unwrap().removable_indexes,
        index
    );
    execute(&pool, "DROP INDEX CONCURRENTLY users_email_key_ccnew").await;
    assert_eq!(
        database.check_schema().await.unwrap().removable_indexes,
        [""; 0]
    );
}

/// An application's constraint by the name of ours does not do for it, and ours does by any name.
#[sqlx::test(migrations = false)]
async fn a_check_is_known_by_what_it_checks(pool: PgPool) {
    better_auth::MIGRATOR.run_to(19, &pool).await.unwrap();
    execute(
        &pool,
        "ALTER TABLE users ADD CONSTRAINT users_metadata_check CHECK (length(metadata::TEXT) < 100000)",
    )
    .await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    let complaint = complaint(&database).await;
    for words in [
        "users_metadata_check",
        "length(",
        "jsonb_typeof(metadata)",
        "RENAME CONSTRAINT",
    ] {
        assert!(complaint.contains(words), "{complaint}");
    }
    execute(
        &pool,
        "ALTER TABLE users RENAME CONSTRAINT users_metadata_check TO short_metadata",
    )
    .await;
    let (_, advice) = complaint.split_once(", then ").unwrap();
    execute(&pool, advice).await;
    database.check_schema().await.unwrap();
    execute(
        &pool,
        "ALTER TABLE users RENAME CONSTRAINT users_metadata_check TO of_objects",
    )
    .await;
    execute(
        &pool,
        "CREATE SCHEMA app; CREATE FUNCTION app.jsonb_typeof(JSONB) RETURNS TEXT LANGUAGE sql AS $$ SELECT 'object' $$",
    )
    .await;
    let url = url(&pool);
    let base = url.split('?').next().unwrap();
    for options in [
        "quote_all_identifiers%3Don",
        "search_path%3Dapp,pg_catalog,public",
    ] {
        let database = SqlxAdapter::new(&format!("{base}?options=-c%20{options}"))
            .await
            .unwrap();
        database
            .check_schema()
            .await
            .unwrap_or_else(|error| panic!("{options}: {error}"));
    }
    execute(&pool, "ALTER TABLE users DROP CONSTRAINT of_objects").await;
    let complaint = self::complaint(&database).await;
    assert!(
        complaint.contains("users_metadata_check on users is missing"),
        "{complaint}"
    );
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
        "INSERT INTO _better_auth_migrations VALUES (9999, 'breaking the future', now(), true, '', 0)",
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
    let most = SqlxAdapter::builder(&url(&pool)).max_retries(1000);
    most.connect().await.unwrap();
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
