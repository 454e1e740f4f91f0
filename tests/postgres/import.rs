//! `import` copies a database of Better Auth (TypeScript): whole, once, and around what cannot be stored.

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{adapter, execute, shown, url};
use better_auth::adapters::{DatabaseAdapter, Import, ImportReport, ImportedRows, SqlxAdapter};
use better_auth::{AuthError, CreateUser, UserFilter};
use chrono::{DateTime, Utc};
use sqlx::PgPool;

pub(crate) const TYPESCRIPT: &str = include_str!("../support/typescript.sql");

pub(crate) async fn number(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

/// A second database, which has the tables of Better Auth (TypeScript).
pub(crate) async fn source(pool: &PgPool, tables: &str) -> PgPool {
    let name: String = pool
        .connect_options()
        .get_database()
        .unwrap()
        .chars()
        .take(50)
        .collect();
    let name = format!("{name}_source");
    execute(pool, &format!("DROP DATABASE IF EXISTS \"{name}\"")).await;
    execute(pool, &format!("CREATE DATABASE \"{name}\"")).await;
    let options = pool.connect_options().as_ref().clone().database(&name);
    let source = PgPool::connect_with(options).await.unwrap();
    execute(&source, tables).await;
    source
}

/// As `#[sqlx::test]` does with the test's own.
pub(crate) async fn remove(pool: &PgPool, source: PgPool) {
    let name = source.connect_options().get_database().unwrap().to_owned();
    source.close().await;
    execute(pool, &format!("DROP DATABASE \"{name}\" WITH (FORCE)")).await;
}

/// Users with an account and two sessions each, one of which has expired, and verifications.
pub(crate) async fn fill(source: &PgPool, users: u32) {
    for statement in [
        "INSERT INTO \"user\" (id, name, email, \"emailVerified\") \
         SELECT 'u' || i, 'User ' || i, 'user' || i || '@example.com', i % 2 = 0 FROM generate_series(1, $1) AS i",
        "INSERT INTO account (id, \"accountId\", \"providerId\", \"userId\", password, \"updatedAt\") \
         SELECT 'a' || i, 'u' || i, 'credential', 'u' || i, 'salt:key', now() FROM generate_series(1, $1) AS i",
        "INSERT INTO session (id, \"expiresAt\", token, \"updatedAt\", \"userId\") \
         SELECT 's' || i, now() + '7 days', 'token' || i, now(), 'u' || i FROM generate_series(1, $1) AS i",
        "INSERT INTO session (id, \"expiresAt\", token, \"updatedAt\", \"userId\") \
         SELECT 'e' || i, now() - INTERVAL '1 day', 'expired' || i, now(), 'u' || i FROM generate_series(1, $1) AS i",
        "INSERT INTO verification (id, identifier, value, \"expiresAt\") \
         SELECT 'v' || i, 'id' || i, 'value' || i, now() + '1 hour' FROM generate_series(1, $1) AS i",
    ] {
        let statement = statement.replace("$1", &users.to_string());
        execute(source, &statement).await;
    }
}

pub(crate) fn rows(read: u64, imported: u64, present: u64, expired: u64, left: u64) -> [u64; 6] {
    [read, imported, present, 0, expired, left]
}

pub(crate) fn numbers(rows: ImportedRows) -> [u64; 6] {
    [
        rows.read,
        rows.imported,
        rows.present,
        rows.changed,
        rows.expired,
        rows.left,
    ]
}

fn all(report: &ImportReport) -> [[u64; 6]; 4] {
    [
        report.users,
        report.accounts,
        report.sessions,
        report.verifications,
    ]
    .map(numbers)
}

/// What was left, as `table id reason`, in order.
pub(crate) fn left(report: &ImportReport) -> Vec<String> {
    let left = report.left.iter();
    let left = left.map(|row| format!("{} {} {}", row.table, row.id, row.reason));
    let mut left: Vec<String> = left.collect();
    left.sort();
    left
}

#[sqlx::test(migrations = false)]
async fn another_database_is_copied_once(pool: PgPool) {
    let source = source(&pool, TYPESCRIPT).await;
    fill(&source, 2500).await;
    execute(&source, "ANALYZE").await;
    let database = adapter(&pool).await;
    let import = Import::from_url(url(&source));

    let fresh = [rows(2500, 2500, 0, 0, 0); 2];
    let dry = database.import(import.clone().dry_run()).await.unwrap();
    assert_eq!(all(&dry)[..2], fresh);
    assert_eq!(numbers(dry.sessions), rows(5000, 2500, 0, 2500, 0));
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(number(&pool, tables).await, 0, "a dry run changes nothing");

    let mut steps: Vec<(String, Option<u64>)> = Vec::new();
    let report = database
        .import_with(import.clone(), |progress| {
            if steps.last().is_none_or(|(step, _)| *step != progress.step) {
                steps.push((progress.step.clone(), progress.estimated_total));
            }
        })
        .await
        .unwrap();
    assert_eq!(all(&report), all(&dry));
    let tables = [
        ("users", 2500),
        ("accounts", 2500),
        ("sessions", 5000),
        ("verifications", 2500),
    ];
    let expected = tables.map(|(table, rows)| (format!("importing {table}"), Some(rows)));
    assert_eq!(steps[steps.len() - 4..], expected);
    let (session, user) = database
        .get_session_with_user("token7")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&*session.id, &*user.id), ("s7", "u7"));
    assert!(!user.email_verified);
    let account = database
        .get_credential_account("u8")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(account.password.as_deref(), Some("salt:key"));
    let verification = database
        .consume_verification("id9", "value9")
        .await
        .unwrap();
    assert_eq!(verification.unwrap().id, "v9");

    let verified = database.import(import.clone().verify()).await.unwrap();
    assert_eq!(numbers(verified.users), rows(2500, 0, 2500, 0, 0));
    assert_eq!(numbers(verified.sessions), rows(5000, 0, 2500, 2500, 0));
    assert_eq!(
        left(&verified),
        ["verifications v9 id: there is no such verification"]
    );
    let again = database.import(import.clone()).await.unwrap();
    assert_eq!(numbers(again.users), rows(2500, 0, 2500, 0, 0));
    assert_eq!(numbers(again.verifications), rows(2500, 1, 2499, 0, 0));

    // What changed here since is told from what differs.
    execute(
        &pool,
        "UPDATE users SET name = 'Ada', updated_at = now() WHERE id = 'u1'",
    )
    .await;
    execute(
        &pool,
        "UPDATE users SET name = 'Bob' WHERE id = 'u2'; DELETE FROM users WHERE id = 'u3'",
    )
    .await;
    let verified = database.import(import.verify()).await.unwrap();
    assert_eq!(
        (
            verified.users.changed,
            verified.users.left,
            verified.users.present
        ),
        (1, 2, 2497)
    );
    let left = left(&verified);
    assert!(
        left.contains(&"users u2 row: differs from the source in name".to_owned()),
        "{left:?}"
    );
    assert!(
        left.contains(&"users u3 there is no such user".to_owned()),
        "{left:?}"
    );
    remove(&pool, source).await;
}

/// In the schema of its tables, and in another one.
#[sqlx::test(migrations = false)]
async fn the_same_database_is_copied(pool: PgPool) {
    execute(&pool, TYPESCRIPT).await;
    fill(&pool, 10).await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap_err();
    let report = database.import(Import::from_same_database()).await.unwrap();
    assert_eq!(numbers(report.users), rows(10, 10, 0, 0, 0));
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
    assert_eq!(number(&pool, "SELECT count(*) FROM \"user\"").await, 10);

    // The plural's names are ours, so it needs another schema.
    execute(&pool, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    let plural = ["user", "session", "account", "verification"]
        .iter()
        .fold(TYPESCRIPT.to_owned(), |sql, name| {
            sql.replace(&format!("\"{name}\""), &format!("\"{name}s\""))
        });
    execute(&pool, &plural).await;
    execute(
        &pool,
        "CREATE SCHEMA auth; INSERT INTO users (id, name, email, \"emailVerified\") VALUES ('1', 'Ada', 'ada@example.com', true)",
    )
    .await;
    for import in [
        Import::from_same_database(),
        Import::from_same_database().dry_run(),
    ] {
        let refusal = database.import(import).await.unwrap_err().to_string();
        assert!(
            refusal.contains("TypeScript") && refusal.contains("another schema"),
            "{refusal}"
        );
    }
    let base = url(&pool);
    let base = base.split('?').next().unwrap();
    let database = SqlxAdapter::new(&format!("{base}?options=-c%20search_path%3Dauth"))
        .await
        .unwrap();
    let refusal = database
        .import(Import::from_same_database())
        .await
        .unwrap_err()
        .to_string();
    assert!(refusal.contains("no table user or users"), "{refusal}");
    let report = database
        .import(Import::from_same_database().schema("public"))
        .await
        .unwrap();
    assert_eq!(numbers(report.users), rows(1, 1, 0, 0, 0));
    assert!(
        database
            .get_user_by_email("ada@example.com")
            .await
            .unwrap()
            .is_some()
    );
}

/// The columns of plugins, other spellings, and ids of other types.
#[sqlx::test(migrations = false)]
async fn columns_find_their_place(pool: PgPool) {
    /// When a row was created and changed.
    const TIMES: &str = "'2024-01-02 03:04:05.678901+00', '2024-02-03 04:05:06+00'";
    let times = |created_at: DateTime<Utc>, updated_at: DateTime<Utc>| {
        let times = [created_at, updated_at].map(|time| time.to_rfc3339());
        let expected = [
            "2024-01-02T03:04:05.678901+00:00",
            "2024-02-03T04:05:06+00:00",
        ];
        assert_eq!(times, expected);
    };
    for (id, first) in [
        ("UUID", "0193a5f0-0000-7000-8000-000000000001"),
        ("BIGINT", "1"),
        ("TEXT", "1"),
    ] {
        let tables = TYPESCRIPT
            .replace("\"id\" text", &format!("\"id\" {id}"))
            .replace("\"userId\" text", &format!("\"userId\" {id}"));
        let source = source(&pool, &tables).await;
        let statements = format!(
            "ALTER TABLE \"user\" ADD username TEXT, ADD \"displayUsername\" TEXT, ADD role TEXT, ADD banned BOOLEAN, \
             ADD \"banReason\" TEXT, ADD \"banExpires\" TIMESTAMP, ADD \"twoFactorEnabled\" BOOLEAN, ADD \"phoneNumber\" TEXT, \
             ADD \"twoFactorSecret\" TEXT, ADD settings JSONB, ADD age INT, ADD source TEXT; \
             ALTER TABLE session ADD \"impersonatedBy\" TEXT, ADD \"activeOrganizationId\" TEXT, ADD \"activeTeamId\" TEXT; \
             ALTER TABLE account RENAME \"accountId\" TO account_id; \
             INSERT INTO \"user\" VALUES ('{first}', 'Ada', 'Ada@Example.com', true, NULL, '2024-01-02 03:04:05.678901+00', \
             '2024-02-03 04:05:06+00', 'ada', 'Ada', 'admin', true, 'spam', '2030-01-01 00:00:00', true, '+491', 'hidden', \
             '{{\"theme\": {{\"dark\": true}}}}', 36, 'friend'); \
             INSERT INTO session VALUES ('{first}', 'infinity', 'the token', {TIMES}, '::1', 'agent', '{first}', 'root', \
             'org', 'team'); \
             INSERT INTO account VALUES ('{first}', '{first}', 'credential', '{first}', 'a', 'r', 'i', NULL, NULL, 's', 'p', \
             {TIMES}); \
             INSERT INTO verification VALUES ('{first}', 'ada@example.com', '493027', 'infinity', {TIMES})"
        );
        execute(&source, &statements).await;
        execute(&pool, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
        let database = SqlxAdapter::builder(&url(&pool))
            .hash_session_tokens(true)
            .connect()
            .await
            .unwrap();
        let report = database
            .import(Import::from_url(url(&source)))
            .await
            .unwrap();
        assert_eq!(report.left_count(), 0, "{report:?}");
        let dropped: Vec<&str> = report.dropped_columns.iter().map(String::as_str).collect();
        assert_eq!(dropped, ["session.activeTeamId", "user.twoFactorSecret"]);
        let user = database
            .get_user_by_email("ada@example.com")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(user.id, first);
        times(user.created_at, user.updated_at);
        assert_eq!(
            (user.username.as_deref(), user.display_username.as_deref()),
            (Some("ada"), Some("Ada"))
        );
        assert_eq!(user.ban_reason.as_deref(), Some("spam"));
        assert!(user.banned && user.two_factor_enabled && user.email_verified);
        assert_eq!(
            user.ban_expires.unwrap().to_rfc3339(),
            "2030-01-01T00:00:00+00:00"
        );
        let metadata = serde_json::json!({"age": 36, "phoneNumber": "+491", "settings": {"theme": {"dark": true}}, "source": "friend"});
        assert_eq!(serde_json::Value::from(user.metadata), metadata);
        let session = database.get_session("the token").await.unwrap().unwrap();
        assert_eq!((&*session.id, &*session.user_id), (first, first));
        times(session.created_at, session.updated_at);
        assert_eq!(session.active_organization_id.as_deref(), Some("org"));
        let plain = number(
            &pool,
            "SELECT count(*) FROM sessions WHERE token NOT LIKE 'sha256:%'",
        )
        .await;
        assert_eq!(plain, 0);
        let account = database
            .get_account("credential", first)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (account.user_id.as_str(), account.refresh_token.as_deref()),
            (first, Some("r"))
        );
        times(account.created_at, account.updated_at);
        let verification = database.get_verification("ada@example.com", "493027");
        let verification = verification.await.unwrap().unwrap();
        assert_eq!(verification.id, first);
        times(verification.created_at, verification.updated_at);
        let verified = database
            .import(Import::from_url(url(&source)).verify())
            .await
            .unwrap();
        assert_eq!(left(&verified), [""; 0]);
        remove(&pool, source).await;
    }
}

#[sqlx::test(migrations = false)]
async fn what_cannot_be_stored_is_listed_and_left(pool: PgPool) {
    let source = source(&pool, TYPESCRIPT).await;
    execute(
        &source,
        "ALTER TABLE \"user\" ADD username TEXT, ADD extra JSON, ADD metadata TEXT; \
         ALTER TABLE session DROP CONSTRAINT \"session_userId_fkey\"",
    )
    .await;
    let user = |id: &str, email: &str| {
        format!(
            "INSERT INTO \"user\" (id, name, email, \"emailVerified\") VALUES ('{id}', 'secret name', '{email}', true);"
        )
    };
    let session = |id: &str, user: &str, token: &str| {
        format!(
            "INSERT INTO session (id, \"expiresAt\", token, \"updatedAt\", \"userId\") \
             VALUES ('{id}', now() + '1 day', '{token}', now(), '{user}');"
        )
    };
    let account = |id: &str, user: &str, account: &str| {
        format!(
            "INSERT INTO account (id, \"accountId\", \"providerId\", \"userId\", \"updatedAt\") \
             VALUES ('{id}', '{account}', 'github', '{user}', now());"
        )
    };
    let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let long = "x".repeat(300);
    let sql = [
        user("1", "secret@example.com"),
        user("2", "Secret@Example.COM"),
        user("3", ""),
        user("4", " secret4@example.com"),
        user("5", &format!("{long}@example.com")),
        user("6", "secret6@example.com"),
        user("7", "secret7@example.com"),
        user("8", "secret8@example.com"),
        user("9", "secret9@example.com"),
        user(&long, "secret10@example.com"),
        user("taken", "secret11@example.com"),
        user("by-email", "here@example.com"),
        user("no-rows", "refused@example.com"),
        user("kept-out", "kept-out@example.com"),
        "UPDATE \"user\" SET username = 'SECRET' WHERE id IN ('1', '6');".to_owned(),
        format!("UPDATE \"user\" SET extra = '{deep}' WHERE id = '7';"),
        "UPDATE \"user\" SET extra = '\"a\\u0000b\"' WHERE id = '8';".to_owned(),
        "UPDATE \"user\" SET metadata = '{\"extra\": 1}', extra = '2' WHERE id = '9';".to_owned(),
        session("1", "1", "token1"),
        session("2", "2", "token2"),
        session("3", "1", ""),
        session("4", "1", &"t".repeat(2000)),
        session("5", "1", "token-here"),
        session("6", "nobody", "token6"),
        account("1", "1", "same"),
        account("2", "2", "two"),
        account("3", "1", "same"),
        account("4", "1", &"a".repeat(1100)),
        "INSERT INTO verification (id, identifier, value, \"expiresAt\") VALUES ('1', 'i', 'v', now() + '1 day'), \
         ('2', repeat('i', 2000), 'v', now() + '1 day'), ('3', 'i', 'v', '0044-01-01 BC'), ('4', 'i', 'v', '-infinity');"
            .to_owned(),
    ]
    .concat();
    // Better Auth does not store an empty token twice, nor the same account.
    execute(&source, &sql).await;
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    for statement in [
        "INSERT INTO users (id, email) VALUES ('taken', 'other@example.com'), ('other', 'here@example.com')",
        "INSERT INTO sessions (id, token, user_id, expires_at) VALUES ('x', 'token-here', 'other', now() + '1 day')",
        "ALTER TABLE users ADD CHECK (email <> 'refused@example.com')",
        "CREATE FUNCTION keep_out() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER keep_out BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.id = 'kept-out') EXECUTE FUNCTION keep_out()",
    ] {
        execute(&pool, statement).await;
    }
    let import = Import::from_url(url(&source));
    let dry = database.import(import.clone().dry_run()).await.unwrap();
    let report = database.import(import.clone()).await.unwrap();
    // What the application's own constraints and triggers do shows only when it is done.
    let mut expected = left(&report);
    expected.retain(|left| {
        !left.contains("refused") && !left.contains("users no-rows") && !left.contains("kept-out")
    });
    assert_eq!(left(&dry), expected);
    let left = left(&report);
    for (begin, part) in [
        ("users 2 ", "email is taken"),
        ("users 3 ", "email: is empty"),
        ("users 4 ", "email: begins or ends with white space"),
        ("users 5 ", "email: takes"),
        ("users 6 ", "username is taken"),
        ("users 7 ", "metadata: is nested deeper"),
        ("users 8 ", "metadata: holds a NUL"),
        ("users 9 ", "metadata: has a key"),
        ("users xxx", "id: takes"),
        ("users taken ", "user id is taken"),
        ("users by-email ", "email is taken"),
        ("users no-rows ", "users_email_check"),
        ("users kept-out ", "not stored"),
        ("accounts 2 ", "no such user"),
        ("accounts 3 ", "account of the provider is taken"),
        ("accounts 4 ", "account_id: takes"),
        ("sessions 2 ", "no such user"),
        ("sessions 3 ", "token: is empty"),
        ("sessions 4 ", "token: "),
        ("sessions 5 ", "session token is taken"),
        ("sessions 6 ", "no such user"),
        ("verifications 2 ", "identifier: takes"),
        ("verifications 3 ", "expiresAt: is not a time"),
        ("verifications 4 ", "expiresAt: is not a time"),
    ] {
        let found = left.iter().find(|left| left.starts_with(begin));
        assert!(
            found.is_some_and(|left| left.contains(part)),
            "{begin}{part}: {left:?}"
        );
    }
    assert_eq!(left.len(), 24, "{left:?}");
    assert_eq!(report.left_count(), 24);
    assert_eq!(numbers(report.users), rows(14, 1, 0, 0, 13));
    assert_eq!(
        (
            report.accounts.imported,
            report.sessions.imported,
            report.verifications.imported
        ),
        (1, 1, 1)
    );
    // No value is shown, and nothing of what was left is here.
    for row in &report.left {
        let shown = shown(&row.reason);
        assert!(
            !shown.contains("secret") && !shown.contains("token-here"),
            "{shown}"
        );
    }
    assert_eq!(
        database.count_users(UserFilter::default()).await.unwrap(),
        3
    );
    assert_eq!(number(&pool, "SELECT count(*) FROM accounts").await, 1);
    remove(&pool, source).await;
}

#[sqlx::test(migrations = false)]
async fn a_source_that_cannot_be_read_changes_nothing(pool: PgPool) {
    let database = adapter(&pool).await;
    let base = url(&pool);
    let nowhere = base.replace(pool.connect_options().get_database().unwrap(), "nowhere");
    let nobody = base.replacen(":password@", ":wrong-secret@", 1);
    for (import, part) in [
        (Import::from_url("mysql://localhost/app"), "url"),
        (
            Import::from_url("postgresql://localhost:1/app"),
            "no connection",
        ),
        (Import::from_url(nowhere), "no such database"),
        (Import::from_url(nobody), "password"),
        (Import::from_url(url(&pool)), "no table user or users"),
        (
            Import::from_same_database().schema("nowhere"),
            "schema nowhere",
        ),
        (
            Import::from_same_database().schema("a\"; DROP SCHEMA public; --"),
            "no table user or users",
        ),
    ] {
        for import in [import.clone(), import.clone().dry_run(), import.verify()] {
            assert!(!format!("{import:?}").contains("secret"), "{import:?}");
            let error = database.import(import).await.unwrap_err();
            let shown = shown(&error);
            assert!(shown.contains(part), "{part}: {shown}");
            assert!(!shown.contains("wrong-secret"), "{shown}");
        }
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(number(&pool, tables).await, 0);
}

/// Lost connections end a run with an error; the next one goes on.
#[sqlx::test(migrations = false)]
async fn a_cut_import_is_completed(pool: PgPool) {
    let source = source(&pool, TYPESCRIPT).await;
    fill(&source, 3000).await;
    let database = adapter(&pool).await;
    let import = Import::from_url(url(&source));
    let mut cut = 0;
    for round in 0..12_u64 {
        let run = tokio::spawn({
            let (database, import) = (database.clone(), import.clone());
            async move { database.import(import).await }
        });
        tokio::time::sleep(Duration::from_millis(20 + round * 17)).await;
        match round % 3 {
            0 => run.abort(),
            1 => execute(&source, TERMINATE_OTHERS).await,
            _ => execute(&pool, TERMINATE_OTHERS).await,
        }
        cut += usize::from(!matches!(run.await, Ok(Ok(_))));
    }
    assert!(cut > 0);
    whole(&pool, &database, import).await;
    remove(&pool, source).await;
}

const TERMINATE_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// After a last run, nothing is missing and nothing is there twice.
async fn whole(pool: &PgPool, database: &SqlxAdapter, import: Import) {
    let report = database.import(import.clone()).await.unwrap();
    assert_eq!(report.left_count(), 0, "{report:?}");
    let verified = database.import(import.verify()).await.unwrap();
    assert_eq!(verified.left_count(), 0, "{verified:?}");
    assert_eq!(numbers(verified.users), rows(3000, 0, 3000, 0, 0));
    assert_eq!(numbers(verified.sessions), rows(6000, 0, 3000, 3000, 0));
    for table in [
        "SELECT count(*) FROM users",
        "SELECT count(*) FROM accounts",
        "SELECT count(*) FROM sessions",
        "SELECT count(*) FROM verifications",
    ] {
        assert_eq!(number(pool, table).await, 3000);
    }
}

/// The process that the next test kills.
#[tokio::test]
#[ignore = "another test runs it"]
async fn importing_process() {
    let (Ok(from), Ok(into)) = (env::var("IMPORT_FROM"), env::var("IMPORT_INTO")) else {
        return;
    };
    let database = SqlxAdapter::new(&into).await.unwrap();
    database.import(Import::from_url(from)).await.unwrap();
}

/// By `kill -9`.
#[sqlx::test(migrations = false)]
async fn a_killed_import_is_completed(pool: PgPool) {
    let source = source(&pool, TYPESCRIPT).await;
    fill(&source, 3000).await;
    let database = adapter(&pool).await;
    let mut killed = 0;
    for round in 0..6_u64 {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "import::importing_process", "--ignored"])
            .env("IMPORT_FROM", url(&source))
            .env("IMPORT_INTO", url(&pool))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100 + round * 60)).await;
        killed += usize::from(process.try_wait().unwrap().is_none());
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(killed > 0);
    whole(&pool, &database, Import::from_url(url(&source))).await;
    remove(&pool, source).await;
}

/// A user that a rerun finds changed is still the same one; another one with its id is not.
#[sqlx::test(migrations = false)]
async fn a_changed_user_is_still_there(pool: PgPool) {
    execute(&pool, TYPESCRIPT).await;
    fill(&pool, 2).await;
    let database = adapter(&pool).await;
    database.import(Import::from_same_database()).await.unwrap();
    execute(
        &pool,
        "UPDATE users SET email = 'new@example.com' WHERE id = 'u1'",
    )
    .await;
    execute(
        &pool,
        "UPDATE users SET email = 'new2@example.com', created_at = now() WHERE id = 'u2'",
    )
    .await;
    let report = database.import(Import::from_same_database()).await.unwrap();
    assert_eq!(numbers(report.users), rows(2, 0, 1, 0, 1));
    // The rows of someone who may be another user are not this user's.
    let of_u2 = report.left.iter().map(|left| (left.table, &*left.id));
    let of_u2: Vec<(&str, &str)> = of_u2.collect();
    assert_eq!(
        of_u2,
        [("users", "u2"), ("accounts", "a2"), ("sessions", "s2")]
    );
    assert!(
        matches!(report.left[0].reason, AuthError::Conflict { .. }),
        "{report:?}"
    );
}

/// Numbers as ids are the same in every database.
#[sqlx::test(migrations = false)]
async fn nobody_gets_the_rows_of_another_with_the_same_id(pool: PgPool) {
    execute(&pool, TYPESCRIPT).await;
    fill(&pool, 3).await;
    execute(
        &pool,
        "ALTER TABLE \"user\" ALTER COLUMN email DROP NOT NULL; UPDATE \"user\" SET email = NULL WHERE id = 'u3'",
    )
    .await;
    let strangers = adapter(&pool).await;
    // Makes our tables, with nobody in them.
    let nobody = Import::from_same_database().schema("empty");
    execute(
        &pool,
        "CREATE SCHEMA empty; CREATE TABLE empty.\"user\" (LIKE public.\"user\" INCLUDING ALL)",
    )
    .await;
    strangers.import(nobody).await.unwrap();
    for (id, email) in [("u1", Some("stranger@example.com")), ("u3", None)] {
        let mut stranger = CreateUser::new().with_id(id);
        stranger.email = email.map(str::to_owned);
        strangers.create_user(stranger).await.unwrap();
    }
    for import in [
        Import::from_same_database().dry_run(),
        Import::from_same_database(),
        Import::from_same_database(),
    ] {
        let report = strangers.import(import).await.unwrap();
        assert_eq!(report.users.left, 2, "{report:?}");
        assert_eq!((report.accounts.left, report.sessions.left), (2, 2));
    }
    for id in ["u1", "u3"] {
        assert!(strangers.get_user_accounts(id).await.unwrap().is_empty());
        assert!(strangers.get_user_sessions(id).await.unwrap().is_empty());
    }
    assert_eq!(strangers.get_user_accounts("u2").await.unwrap().len(), 1);
}

/// A session that was hashed after the import is still the same.
#[sqlx::test(migrations = false)]
async fn hashed_tokens_are_verified(pool: PgPool) {
    execute(&pool, TYPESCRIPT).await;
    fill(&pool, 2).await;
    let database = adapter(&pool).await;
    database.import(Import::from_same_database()).await.unwrap();
    let hashing = SqlxAdapter::builder(&url(&pool)).hash_session_tokens(true);
    let hashing = hashing.connect().await.unwrap();
    assert_eq!(hashing.hash_stored_session_tokens().await.unwrap(), 2);
    let report = database.import(Import::from_same_database().verify()).await;
    assert_eq!(numbers(report.unwrap().sessions), rows(4, 0, 2, 2, 0));
}

/// The plural of the tables' names is that of ours.
#[sqlx::test(migrations = false)]
async fn our_own_tables_are_no_source(pool: PgPool) {
    let database = adapter(&pool).await;
    database.migrate().await.unwrap();
    for import in [
        Import::from_same_database(),
        Import::from_same_database().schema("public").dry_run(),
        Import::from_url(url(&pool)).verify(),
    ] {
        let error = database.import(import).await.unwrap_err().to_string();
        assert!(error.contains("this crate's own"), "{error}");
    }
}
