//! What `import` makes of unusual sources: writers at work, ids that are NULL or repeated, other types, large rows, and users
//! whose accounts cannot be stored.

use std::thread;

use crate::import::{TYPESCRIPT, fill, left, number, numbers, remove, rows, source};
use crate::support::{adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, Import};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};

/// Runs a statement at once, although an import is at work on this thread.
fn execute_meanwhile(url: &str, sql: &'static str) {
    let url = url.to_owned();
    let work = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            let sql = sqlx::raw_sql(AssertSqlSafe(sql));
            connection.execute(sql).await.unwrap();
        });
    });
    work.join().unwrap();
}

/// A run sees the source as it was when it began, so every account has its user; the next run has the rest.
#[sqlx::test(migrations = false)]
async fn a_run_reads_one_moment(pool: PgPool) {
    let source = source(&pool, TYPESCRIPT).await;
    fill(&source, 10).await;
    let database = adapter(&pool).await;
    let import = Import::from_url(url(&source));
    let of_source = url(&source);
    let mut is_written = false;
    let report = database
        .import_with(import.clone(), |progress| {
            if progress.step == "importing users" && !is_written {
                is_written = true;
                execute_meanwhile(
                    &of_source,
                    "DELETE FROM account WHERE id = 'a1'; \
                     INSERT INTO \"user\" (id, name, email, \"emailVerified\") VALUES ('new', 'New', 'new@example.com', true); \
                     INSERT INTO account (id, \"accountId\", \"providerId\", \"userId\", \"updatedAt\") \
                     VALUES ('new', 'new', 'credential', 'new', now()); \
                     INSERT INTO session (id, \"expiresAt\", token, \"updatedAt\", \"userId\") \
                     VALUES ('new', now() + '1 day', 'new token', now(), 'new')",
                );
            }
        })
        .await
        .unwrap();
    assert!(is_written);
    assert_eq!(left(&report), [""; 0]);
    assert_eq!(numbers(report.users), rows(10, 10, 0, 0, 0));
    assert_eq!(numbers(report.accounts), rows(10, 10, 0, 0, 0));
    assert_eq!(numbers(report.sessions), rows(20, 10, 0, 10, 0));
    let report = database.import(import).await.unwrap();
    assert_eq!(left(&report), [""; 0]);
    assert_eq!(numbers(report.users), rows(11, 1, 10, 0, 0));
    assert_eq!(numbers(report.accounts), rows(10, 1, 9, 0, 0));
    assert_eq!(numbers(report.sessions), rows(21, 1, 10, 10, 0));
    remove(&pool, source).await;
}

/// Without a primary key. Of rows with one id, no one knows which a session means.
#[sqlx::test(migrations = false)]
async fn ids_that_are_null_or_repeated_are_left(pool: PgPool) {
    let source = source(
        &pool,
        &TYPESCRIPT
            .replace("NOT NULL PRIMARY KEY", "")
            .replace("REFERENCES \"user\" (\"id\") ON DELETE CASCADE", ""),
    )
    .await;
    fill(&source, 2500).await;
    execute(
        &source,
        "INSERT INTO \"user\" (id, name, email, \"emailVerified\") VALUES (NULL, 'A', 'null1@example.com', true), \
         (NULL, 'B', 'null2@example.com', true), ('u7', 'C', 'again@example.com', true), \
         ('u7', 'D', 'once-more@example.com', true); \
         INSERT INTO session (id, \"expiresAt\", token, \"updatedAt\", \"userId\") \
         VALUES ('s9', now() + '1 day', 'another', now(), 'u9'), (NULL, now() + '1 day', 'no id', now(), 'u9')",
    )
    .await;
    let database = adapter(&pool).await;
    let import = Import::from_url(url(&source));
    for is_dry in [true, false] {
        let import = if is_dry {
            import.clone().dry_run()
        } else {
            import.clone()
        };
        let report = database.import(import).await.unwrap();
        assert_eq!(numbers(report.users), rows(2504, 2499, 0, 0, 5));
        assert_eq!(numbers(report.accounts), rows(2500, 2499, 0, 0, 1));
        assert_eq!(numbers(report.sessions), rows(5002, 2498, 0, 2500, 4));
        assert_eq!(
            left(&report),
            [
                "accounts a7 there is no such user",
                "sessions  id: is missing",
                "sessions s7 there is no such user",
                "sessions s9 id: several rows of the source have this id",
                "sessions s9 id: several rows of the source have this id",
                "users  id: is missing",
                "users  id: is missing",
                "users u7 id: several rows of the source have this id",
                "users u7 id: several rows of the source have this id",
                "users u7 id: several rows of the source have this id",
            ]
        );
    }
    assert_eq!(number(&pool, "SELECT count(*) FROM users").await, 2499);
    let verified = database.import(import.verify()).await.unwrap();
    assert_eq!(verified.users.present, 2499);
    remove(&pool, source).await;
}

/// Domains, texts that are padded with blanks, and columns that hold text where others hold times and numbers.
#[sqlx::test(migrations = false)]
async fn types_of_columns_do_not_matter(pool: PgPool) {
    let domains = "CREATE DOMAIN name AS TEXT NOT NULL CHECK (VALUE <> ''); CREATE DOMAIN moment AS TIMESTAMPTZ; \
                   CREATE DOMAIN key AS CHAR(20) NOT NULL; CREATE DOMAIN truth AS BOOLEAN NOT NULL;";
    let id = "u2                  ";
    for (types, user_id) in [
        (
            [
                ("text", "name"),
                ("timestamptz", "moment"),
                ("boolean", "truth"),
            ],
            "u2",
        ),
        (
            [
                ("text", "varchar(200)"),
                ("timestamptz", "timestamp(3)"),
                ("boolean", "smallint"),
            ],
            "u2",
        ),
        (
            [
                ("text", "char(200)"),
                ("timestamptz", "text"),
                ("boolean", "text"),
            ],
            id,
        ),
        (
            [
                ("\"id\" text", "\"id\" key"),
                ("\"userId\" text", "\"userId\" key"),
                ("\"name\" text", "\"name\" name"),
            ],
            id,
        ),
    ] {
        let user_id = user_id.trim_end();
        let tables = types
            .iter()
            .fold(TYPESCRIPT.to_owned(), |tables, (from, to)| {
                // Columns that may be NULL stay so.
                if *to == "name" && *from == "text" {
                    tables.replace("text NOT NULL", "name")
                } else if *to == "truth" {
                    tables.replace("boolean NOT NULL", "truth")
                } else {
                    tables.replace(from, to)
                }
            });
        let tables = tables.replace(
            "DEFAULT CURRENT_TIMESTAMP ",
            "DEFAULT '2024-02-29 12:00:00+00' ",
        );
        let source = source(&pool, &format!("{domains} {tables}")).await;
        execute(
            &source,
            "INSERT INTO \"user\" (id, name, email, \"emailVerified\") VALUES ('u1', 'Ada', 'ada@example.com', '1'), \
             ('u2', 'Bob', 'bob@example.com', '0'); \
             INSERT INTO account (id, \"accountId\", \"providerId\", \"userId\", \"updatedAt\") \
             VALUES ('a', 'u2', 'credential', 'u2', '2024-02-29 12:00:00'); \
             INSERT INTO session (id, \"expiresAt\", token, \"updatedAt\", \"userId\") \
             VALUES ('s', '2999-01-01 00:00:00', 'token', '2024-02-29 12:00:00', 'u2')",
        )
        .await;
        execute(&pool, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
        let database = adapter(&pool).await;
        let import = Import::from_url(url(&source));
        let report = database.import(import.clone()).await.unwrap();
        assert_eq!(left(&report), [""; 0], "{types:?}");
        let (session, user) = database
            .get_session_with_user("token")
            .await
            .unwrap()
            .unwrap();
        assert_eq!((&*session.id, &*user.id), ("s", user_id));
        assert_eq!(user.created_at.to_rfc3339(), "2024-02-29T12:00:00+00:00");
        assert!(!user.email_verified);
        let ada = database
            .get_user_by_email("ada@example.com")
            .await
            .unwrap()
            .unwrap();
        assert!(ada.email_verified);
        assert!(
            database
                .get_credential_account("u2")
                .await
                .unwrap()
                .is_some()
        );
        let verified = database.import(import.verify()).await.unwrap();
        assert_eq!(left(&verified), [""; 0], "{types:?}");
        remove(&pool, source).await;
    }
}

/// A user who could not sign in here is left as a whole; one who has another account is not.
#[sqlx::test(migrations = false)]
async fn no_user_comes_without_accounts(pool: PgPool) {
    let source = source(&pool, TYPESCRIPT).await;
    fill(&source, 8).await;
    execute(
        &source,
        "UPDATE account SET \"accountId\" = repeat('a', 1100) WHERE id IN ('a1', 'a2'); \
         UPDATE account SET \"accountId\" = 'here' WHERE id = 'a3'; \
         UPDATE account SET \"accountId\" = 'u5' WHERE id = 'a6'; \
         INSERT INTO account (id, \"accountId\", \"providerId\", \"userId\", \"updatedAt\") \
         VALUES ('b2', 'u2', 'github', 'u2', now()), ('b4', 'u4', 'credential', 'u4', now()); \
         DELETE FROM account WHERE id = 'a8'",
    )
    .await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    for statement in [
        "INSERT INTO users (id, email) VALUES ('other', 'other@example.com')",
        "INSERT INTO accounts (id, provider_id, account_id, user_id) VALUES ('other', 'credential', 'here', 'other')",
    ] {
        execute(&pool, statement).await;
    }
    let import = Import::from_url(url(&source));
    let expected = [
        "accounts a1 account_id: takes 1100 bytes, at most 1024 can be stored",
        "accounts a2 account_id: takes 1100 bytes, at most 1024 can be stored",
        "accounts a3 this account of the provider is taken",
        "accounts a6 this account of the provider is taken",
        "accounts b4 this account of the provider is taken",
        "sessions s1 there is no such user",
        "sessions s3 there is no such user",
        "sessions s6 there is no such user",
        "users u1 accounts: none of the user's accounts can be stored",
        "users u3 accounts: none of the user's accounts can be stored",
        "users u6 accounts: none of the user's accounts can be stored",
    ];
    let dry = database.import(import.clone().dry_run()).await.unwrap();
    assert_eq!(left(&dry), expected);
    for _ in 0..2 {
        let report = database.import(import.clone()).await.unwrap();
        assert_eq!(left(&report), expected);
        let of_a3 = report.left.iter().find(|row| row.id == "a3").unwrap();
        assert_eq!(of_a3.user_id.as_deref(), Some("u3"));
    }
    // An account that comes later is left alone, as its user is here.
    execute(
        &source,
        "UPDATE account SET \"accountId\" = repeat('a', 1100) WHERE id = 'a7'",
    )
    .await;
    let report = database.import(import.clone()).await.unwrap();
    assert_eq!(report.users.present, 5);
    assert!(left(&report).contains(&expected[0].replace("a1", "a7")));
    // Mended in the source, all of it comes.
    execute(
        &source,
        "UPDATE account SET \"accountId\" = 'mended' || id WHERE id IN ('a1', 'a3', 'a6')",
    )
    .await;
    let report = database.import(import).await.unwrap();
    assert_eq!((report.users.imported, report.accounts.imported), (3, 3));
    assert_eq!(report.sessions.imported, 3);
    remove(&pool, source).await;
}

/// However large the rows are, the process holds two batches of them.
#[sqlx::test(migrations = false)]
async fn large_rows_come_in_small_batches(pool: PgPool) {
    let source = source(&pool, TYPESCRIPT).await;
    fill(&source, 16).await;
    execute(
        &source,
        "UPDATE \"user\" SET image = repeat('x', 3000000) WHERE id <> 'u1'; \
         UPDATE \"user\" SET image = repeat('x', 40000000) WHERE id = 'u1'",
    )
    .await;
    let database = adapter(&pool).await;
    let import = Import::from_url(url(&source));
    let mut batches = 0;
    let report = database
        .import_with(import.clone(), |progress| {
            batches += usize::from(progress.step == "importing users" && progress.done > 0);
        })
        .await
        .unwrap();
    assert!((5..=8).contains(&batches), "{batches}");
    assert_eq!(numbers(report.users), rows(16, 15, 0, 0, 1));
    assert_eq!(
        left(&report).last().unwrap(),
        "users u1 row: takes more than 33554432 bytes as JSON"
    );
    let verified = database.import(import.verify()).await.unwrap();
    assert_eq!(verified.users.present, 15);
    remove(&pool, source).await;
}

/// Rows that a policy hides would be missing without a word.
#[sqlx::test(migrations = false)]
async fn row_level_security_is_an_error(pool: PgPool) {
    let source = source(&pool, TYPESCRIPT).await;
    fill(&source, 3).await;
    let role = format!("import_{}", std::process::id());
    execute(
        &source,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; \
             ALTER TABLE session ENABLE ROW LEVEL SECURITY"
        ),
    )
    .await;
    let base = url(&source);
    let (scheme, rest) = base.split_once("://").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    let as_role = format!("{scheme}://{role}:secret@{host}");
    let database = adapter(&pool).await;
    let error = database.import(Import::from_url(as_role).dry_run()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("row-level security"), "{error}");
    execute(&source, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    remove(&pool, source).await;
}
