//! A constraint that is violated has a typed answer only if it is one of ours, on our table, and our statement violated it.

use crate::support::{adapter, execute, url};
use better_auth::adapters::{DatabaseAdapter, PoolConfig, SqlxAdapter};
use better_auth::types::{CreateAccount, UpdateSession};
use better_auth::{
    AuthError, AuthResult, ConflictField, CreateSession, CreateUser, CreateVerification,
    UpdateUser, sqlx_transaction, transaction,
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

fn next_hour() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

/// The message of an error that is no typed answer.
#[track_caller]
fn refusal<T: std::fmt::Debug>(answer: AuthResult<T>) -> String {
    match answer {
        Err(error @ AuthError::Database { .. }) => error.to_string(),
        answer => panic!("{answer:?}"),
    }
}

/// An application's table that refers to a table of ours. PostgreSQL gives its constraint the name of one of ours.
async fn bill(pool: &PgPool) {
    execute(pool, "CREATE SCHEMA billing").await;
    execute(
        pool,
        "CREATE TABLE billing.accounts (user_id TEXT REFERENCES public.users (id))",
    )
    .await;
    execute(
        pool,
        "CREATE TABLE billing.sessions (user_id TEXT REFERENCES public.users (id) DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_user_whom_another_table_needs_stays_and_the_table_is_named(pool: PgPool) {
    bill(&pool).await;
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let session = CreateSession::new(&user.id, next_hour());
    let session = database.create_session(session).await.unwrap();
    for table in ["accounts", "sessions"] {
        execute(
            &pool,
            &format!("INSERT INTO billing.{table} SELECT id FROM users"),
        )
        .await;
        let message = refusal(database.delete_user(&user.id).await);
        assert!(message.contains(&format!("billing.{table}")), "{message}");
        assert!(
            message.contains(&format!("{table}_user_id_fkey")),
            "{message}"
        );
        let transaction = database.begin().await.unwrap();
        let deleted = transaction.delete_user(&user.id).await;
        let ended = match deleted {
            Ok(()) => transaction.commit().await,
            Err(error) => Err(error),
        };
        let message = refusal(ended);
        assert!(message.contains(&format!("billing.{table}")), "{message}");
        let found = database
            .get_session_with_user(&session.token)
            .await
            .unwrap();
        assert_eq!(found, Some((session.clone(), user.clone())));
        execute(&pool, &format!("DELETE FROM billing.{table}")).await;
    }
    database.delete_user(&user.id).await.unwrap();
    assert_eq!(database.get_user_by_id(&user.id).await.unwrap(), None);
}

/// What each operation answers where a trigger of the application's refuses it in the words of a constraint of ours.
async fn answers_to(database: &SqlxAdapter, id: &str, token: &str) -> Vec<(&'static str, String)> {
    let update = UpdateUser {
        name: Some(Some("Ada".to_owned())),
        ..UpdateUser::default()
    };
    let session_update = UpdateSession {
        ip_address: Some(None),
        ..UpdateSession::default()
    };
    let account = CreateAccount::new(id, "github", "1");
    let verification = CreateVerification::new("a", "1", next_hour());
    vec![
        (
            "create_user",
            refusal(database.create_user(CreateUser::new()).await),
        ),
        (
            "update_user",
            refusal(database.update_user(id, update).await),
        ),
        (
            "create_session",
            refusal(
                database
                    .create_session(CreateSession::new(id, next_hour()))
                    .await,
            ),
        ),
        (
            "update_session",
            refusal(database.update_session(token, session_update).await),
        ),
        (
            "create_account",
            refusal(database.create_account(account).await),
        ),
        (
            "create_verification",
            refusal(database.create_verification(verification).await),
        ),
        (
            "delete_session",
            refusal(database.delete_session(token).await),
        ),
        ("delete_user", refusal(database.delete_user(id).await)),
    ]
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_trigger_does_not_speak_for_our_constraints(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let session = CreateSession::new(&user.id, next_hour());
    let session = database.create_session(session).await.unwrap();
    let forgeries = [
        (
            "unique_violation",
            "CONSTRAINT = 'users_email_key', TABLE = 'users', SCHEMA = 'public'",
        ),
        (
            "unique_violation",
            "CONSTRAINT = 'sessions_token_key', TABLE = 'sessions', SCHEMA = 'public'",
        ),
        (
            "unique_violation",
            "CONSTRAINT = 'accounts_provider_id_account_id_key', TABLE = 'accounts', SCHEMA = 'public'",
        ),
        (
            "foreign_key_violation",
            "CONSTRAINT = 'sessions_user_id_fkey', TABLE = 'sessions', SCHEMA = 'public'",
        ),
        (
            "foreign_key_violation",
            "CONSTRAINT = 'accounts_user_id_fkey'",
        ),
        (
            "unique_violation",
            "MESSAGE = 'duplicate key value violates unique constraint \"users_email_key\"'",
        ),
        (
            "foreign_key_violation",
            "MESSAGE = 'violates foreign key constraint \"sessions_user_id_fkey\"'",
        ),
    ];
    for (code, what) in forgeries {
        execute(
            &pool,
            &format!(
                "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE USING ERRCODE = '{code}', {what}; END $$"
            ),
        )
        .await;
        for table in ["users", "sessions", "accounts", "verifications"] {
            execute(&pool, &format!("DROP TRIGGER IF EXISTS refuse ON {table}")).await;
            execute(
                &pool,
                &format!(
                    "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON {table} \
                     FOR EACH ROW EXECUTE FUNCTION refuse()"
                ),
            )
            .await;
        }
        for (operation, message) in answers_to(&database, &user.id, &session.token).await {
            assert!(
                message.contains(operation) && message.contains("SQLSTATE 23"),
                "{what}: {message}"
            );
        }
    }
}

/// The tables of an application's own that a trigger or rule fills may be called like ours, in another schema or not.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_copy_of_our_table_does_not_speak_for_ours(pool: PgPool) {
    for sql in [
        "CREATE SCHEMA copy",
        "CREATE TABLE copy.users (id TEXT, email TEXT UNIQUE)",
        "INSERT INTO copy.users VALUES ('1', 'copied@example.com')",
        "CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO copy.users VALUES (NEW.id, NEW.email); RETURN NEW; END $$",
        "CREATE TRIGGER copy AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION copy()",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    let create = CreateUser::new().with_email("copied@example.com");
    let message = refusal(database.create_user(create.clone()).await);
    assert!(message.contains("copy.users"), "{message}");
    assert!(message.contains("users_email_key"), "{message}");
    let found = database.get_user_by_email("copied@example.com").await;
    assert_eq!(found.unwrap(), None);
    execute(&pool, "DROP TRIGGER copy ON users").await;
    // A trigger that writes to our own table fails by itself, too.
    execute(
        &pool,
        "CREATE OR REPLACE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO users (id, email) VALUES ('copy', 'taken@example.com'); RETURN NEW; END $$",
    )
    .await;
    let taken = CreateUser::new().with_email("taken@example.com");
    let user = database.create_user(taken).await.unwrap();
    execute(
        &pool,
        "CREATE TRIGGER copy BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION copy()",
    )
    .await;
    let session = CreateSession::new(&user.id, next_hour());
    let message = refusal(database.create_session(session).await);
    assert!(message.contains("users_email_key"), "{message}");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn constraints_that_an_application_adds_to_our_tables_are_named(pool: PgPool) {
    for sql in [
        "CREATE TABLE organizations (id TEXT PRIMARY KEY)",
        "ALTER TABLE sessions ADD CONSTRAINT in_organization FOREIGN KEY (active_organization_id) REFERENCES organizations",
        "ALTER TABLE users ADD CONSTRAINT adults CHECK (name <> 'Bob')",
        "ALTER TABLE users ALTER COLUMN role SET NOT NULL",
        "ALTER TABLE users ADD CONSTRAINT one_of_a_name UNIQUE (name)",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    let create = CreateUser::new().with_role("user").with_name("Ada");
    let user = database.create_user(create.clone()).await.unwrap();
    let session = CreateSession::new(&user.id, next_hour()).with_active_organization_id("gone");
    for (message, what) in [
        (
            refusal(database.create_session(session).await),
            "in_organization",
        ),
        (
            refusal(database.create_user(create.clone()).await),
            "one_of_a_name",
        ),
        (
            refusal(database.create_user(create.with_name("Bob")).await),
            "adults",
        ),
        (
            refusal(database.create_user(CreateUser::new()).await),
            "column role",
        ),
    ] {
        assert!(message.contains(what), "{message}");
        assert!(message.contains("table public."), "{message}");
    }
}

/// A foreign key of ours that someone made keep users, instead of deleting what is theirs.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_altered_reference_of_ours_does_not_say_that_the_user_is_gone(pool: PgPool) {
    execute(
        &pool,
        "ALTER TABLE sessions DROP CONSTRAINT sessions_user_id_fkey, \
         ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)",
    )
    .await;
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let session = CreateSession::new(&user.id, next_hour());
    database.create_session(session.clone()).await.unwrap();
    let message = refusal(database.delete_user(&user.id).await);
    assert!(message.contains("public.sessions"), "{message}");
    let orphan = CreateSession {
        user_id: "nobody".to_owned(),
        ..session
    };
    let answer = database.create_session(orphan).await;
    assert!(matches!(answer, Err(AuthError::UserNotFound)), "{answer:?}");
}

/// A role may show the parameters of a failed statement in the context of its error.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn parameters_in_the_context_change_no_answer(pool: PgPool) {
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("log_parameter_max_length_on_error", "-1")]);
    let database = SqlxAdapter::from_pool(PgPool::connect_lazy_with(options));
    let create = CreateUser::new().with_email("ada@example.com");
    database.create_user(create.clone()).await.unwrap();
    let answer = database.create_user(create).await;
    let conflict = AuthError::Conflict {
        field: ConflictField::Email,
    };
    assert_eq!(answer.unwrap_err().to_string(), conflict.to_string());
    let orphan = CreateSession::new("nobody", next_hour());
    let answer = database.create_session(orphan).await;
    assert!(matches!(answer, Err(AuthError::UserNotFound)), "{answer:?}");
    database.close().await;
}

#[track_caller]
fn conflict<T: std::fmt::Debug>(answer: AuthResult<T>) -> ConflictField {
    match answer {
        Err(AuthError::Conflict { field }) => field,
        answer => panic!("{answer:?}"),
    }
}

/// What a taken email is called by every operation that writes one, inside transactions and outside.
async fn email_is_taken(database: &SqlxAdapter, email: &str) {
    let create = CreateUser::new().with_email(email);
    assert_eq!(
        conflict(database.create_user(create.clone()).await),
        ConflictField::Email
    );
    let other = database.create_user(CreateUser::new()).await.unwrap();
    let update = UpdateUser {
        email: Some(Some(email.to_owned())),
        ..UpdateUser::default()
    };
    let updated = database.update_user(&other.id, update.clone()).await;
    assert_eq!(conflict(updated), ConflictField::Email);
    let transaction = database.begin().await.unwrap();
    let created = transaction.create_user(create).await;
    assert_eq!(conflict(created), ConflictField::Email);
    let ended = transaction.commit().await;
    assert!(
        matches!(ended, Err(AuthError::TransactionAborted)),
        "{ended:?}"
    );
    let transaction = database.begin().await.unwrap();
    let lost = transaction.create_user(CreateUser::new()).await.unwrap();
    let updated = transaction.update_user(&other.id, update).await;
    assert_eq!(conflict(updated), ConflictField::Email);
    transaction.rollback().await.unwrap();
    assert_eq!(database.get_user_by_id(&lost.id).await.unwrap(), None);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_key_is_taken_whatever_the_name_of_the_index_that_notices(pool: PgPool) {
    for sql in [
        "CREATE UNIQUE INDEX users_lower_email ON users (lower(email))",
        "REINDEX INDEX CONCURRENTLY users_email_key",
        "CREATE UNIQUE INDEX one_account ON accounts (account_id, provider_id)",
        "REINDEX INDEX CONCURRENTLY accounts_provider_id_account_id_key",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    let create = CreateUser::new().with_email("ada@example.com");
    let user = database.create_user(create).await.unwrap();
    email_is_taken(&database, "ada@example.com").await;
    let account = CreateAccount::new(&user.id, "github", "1");
    database.create_account(account.clone()).await.unwrap();
    let taken = database.create_account(account.clone()).await;
    assert_eq!(conflict(taken), ConflictField::Account);
    let transaction = database.begin().await.unwrap();
    let taken = transaction.create_account(account).await;
    assert_eq!(conflict(taken), ConflictField::Account);
}

/// The server keeps the detail of an error to itself where row level security is on.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_key_is_taken_also_where_the_server_does_not_say_on_which_columns(pool: PgPool) {
    for sql in [
        "CREATE UNIQUE INDEX one_email ON users (email)",
        "REINDEX INDEX CONCURRENTLY users_email_key",
        "CREATE UNIQUE INDEX one_account ON accounts (account_id, provider_id)",
        "REINDEX INDEX CONCURRENTLY accounts_provider_id_account_id_key",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "ALTER TABLE accounts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY everything ON users USING (TRUE)",
        "CREATE POLICY everything ON accounts USING (TRUE)",
    ] {
        execute(&pool, sql).await;
    }
    let role = format!("app_{}", std::process::id());
    execute(&pool, &format!("CREATE ROLE {role}")).await;
    for table in ["users", "sessions", "accounts"] {
        execute(&pool, &format!("GRANT ALL ON {table} TO {role}")).await;
    }
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("role", role.as_str())]);
    let database = SqlxAdapter::from_pool(PgPool::connect_lazy_with(options));
    let create = CreateUser::new().with_email("ada@example.com");
    let user = database.create_user(create).await.unwrap();
    email_is_taken(&database, "ada@example.com").await;
    let account = CreateAccount::new(&user.id, "github", "1");
    database.create_account(account.clone()).await.unwrap();
    let taken = database.create_account(account).await;
    assert_eq!(conflict(taken), ConflictField::Account);
    execute(&pool, "CREATE UNIQUE INDEX one_scope ON accounts (scope)").await;
    for (account, is_taken) in [("2", false), ("3", true)] {
        let mut account = CreateAccount::new(&user.id, "github", account);
        account.scope = Some("mail".to_owned());
        let created = database.create_account(account).await;
        if is_taken {
            let message = refusal(created);
            assert!(message.contains("one_scope"), "{message}");
        } else {
            created.unwrap();
        }
    }
    database.close().await;
    execute(&pool, &format!("DROP OWNED BY {role}")).await;
    execute(&pool, &format!("DROP ROLE {role}")).await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_index_for_a_rule_of_the_applications_is_named(pool: PgPool) {
    execute(
        &pool,
        "CREATE UNIQUE INDEX one_of_a_domain ON users (split_part(email, '@', 2))",
    )
    .await;
    execute(&pool, "REINDEX INDEX CONCURRENTLY users_email_key").await;
    let database = adapter(&pool).await;
    let create = CreateUser::new().with_email("ada@example.com");
    database.create_user(create.clone()).await.unwrap();
    let other = create.clone().with_email("bob@example.com");
    let message = refusal(database.create_user(other).await);
    assert!(message.contains("one_of_a_domain"), "{message}");
    // It notices a taken email first.
    assert_eq!(
        conflict(database.create_user(create).await),
        ConflictField::Email
    );
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn names_are_skipped_whatever_the_index_that_notices(pool: PgPool) {
    for sql in [
        "CREATE UNIQUE INDEX one_email ON users (email)",
        "REINDEX INDEX CONCURRENTLY users_email_key",
        "INSERT INTO users (id, email) VALUES ('1', 'ada@example.com'), ('2', 'Ada@example.com'), ('3', 'Bob@example.com')",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    let done = database.normalize_names().await.unwrap();
    assert_eq!(done.changed, 1);
    assert_eq!(done.skipped.len(), 1);
    assert_eq!(done.skipped[0].user_id, "2");
    let error = &done.skipped[0].error;
    assert!(matches!(error, AuthError::Conflict { .. }), "{error:?}");
}

/// A user whom another transaction has locked keeps no other name from being changed, and many such users end the run.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn names_of_locked_users_are_skipped(pool: PgPool) {
    execute(
        &pool,
        "INSERT INTO users (id, email) SELECT format('%s', i), format('Ada-%s@example.com', i) FROM generate_series(10, 40) AS i",
    )
    .await;
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("lock_timeout", "200")]);
    let database = SqlxAdapter::from_pool(PgPool::connect_lazy_with(options));
    let mut holder = pool.begin().await.unwrap();
    let lock = "SELECT FROM users WHERE id = ANY ($1) FOR UPDATE";
    let mut lock_users = async |ids: &[&str]| {
        sqlx::query(lock)
            .bind(ids)
            .execute(&mut *holder)
            .await
            .unwrap();
    };
    lock_users(&["11"]).await;
    let done = database.normalize_names().await.unwrap();
    assert_eq!((done.changed, done.skipped.len()), (30, 1));
    assert_eq!(done.skipped[0].user_id, "11");
    assert!(done.skipped[0].error.is_retryable(), "{:?}", done.skipped);
    execute(
        &pool,
        "UPDATE users SET email = upper(email) WHERE id <> '11'",
    )
    .await;
    let ids: Vec<String> = (12..40).map(|id| id.to_string()).collect();
    lock_users(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let error = database.normalize_names().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    holder.rollback().await.unwrap();
    assert_eq!(database.normalize_names().await.unwrap().skipped.len(), 0);
}

/// The tables may be in any schema, and of several by the same names, the first one of the path is ours. A rule leaves no
/// trace in the error of what it does.
#[sqlx::test(migrations = false)]
async fn our_tables_are_those_that_the_statements_find(pool: PgPool) {
    for sql in ["CREATE SCHEMA auth", "CREATE SCHEMA copy"] {
        execute(&pool, sql).await;
    }
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("search_path", "auth")]);
    let database = SqlxAdapter::from_pool(PgPool::connect_lazy_with(options));
    database.migrate().await.unwrap();
    let create = CreateUser::new().with_email("ada@example.com");
    database.create_user(create.clone()).await.unwrap();
    email_is_taken(&database, "ada@example.com").await;
    let orphan = CreateSession::new("nobody", next_hour());
    let answer = database.create_session(orphan.clone()).await;
    assert!(matches!(answer, Err(AuthError::UserNotFound)), "{answer:?}");
    for sql in [
        "CREATE TABLE copy.users (id TEXT, email TEXT UNIQUE)",
        "CREATE RULE copy AS ON INSERT TO auth.users DO ALSO INSERT INTO copy.users VALUES (NEW.id, 'one for all')",
    ] {
        execute(&pool, sql).await;
    }
    let user = database.create_user(CreateUser::new()).await;
    user.unwrap_or_else(|error| panic!("{error}"));
    let message = refusal(database.create_user(CreateUser::new()).await);
    assert!(message.contains("copy.users"), "{message}");
    let transaction = database.begin().await.unwrap();
    let message = refusal(transaction.create_user(CreateUser::new()).await);
    assert!(message.contains("copy.users"), "{message}");
    transaction.rollback().await.unwrap();
    database.close().await;
}

/// A partition of our table is ours.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_partition_speaks_for_its_table(pool: PgPool) {
    for sql in [
        "ALTER TABLE sessions RENAME TO whole_sessions",
        "CREATE TABLE sessions (LIKE whole_sessions INCLUDING DEFAULTS, UNIQUE (token), \
         CONSTRAINT sessions_user_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE) \
         PARTITION BY HASH (token)",
        "ALTER TABLE whole_sessions DROP CONSTRAINT sessions_user_id_fkey",
        "ALTER TABLE sessions RENAME CONSTRAINT sessions_user_fkey TO sessions_user_id_fkey",
        "CREATE TABLE sessions_0 PARTITION OF sessions FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE odd_sessions PARTITION OF sessions FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    ] {
        execute(&pool, sql).await;
    }
    let database = adapter(&pool).await;
    for _ in 0..10 {
        let orphan = CreateSession::new("nobody", next_hour());
        let answer = database.create_session(orphan.clone()).await;
        assert!(matches!(answer, Err(AuthError::UserNotFound)), "{answer:?}");
        let transaction = database.begin().await.unwrap();
        let answer = transaction.create_session(orphan).await;
        assert!(matches!(answer, Err(AuthError::UserNotFound)), "{answer:?}");
    }
}

/// As another program's migrations name it, beside ours or in its place.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_user_is_missing_whatever_the_name_of_the_reference(pool: PgPool) {
    for table in ["sessions", "accounts"] {
        execute(
            &pool,
            &format!(
                "ALTER TABLE {table} DROP CONSTRAINT {table}_user_id_fkey, \
                 ADD CONSTRAINT {table}_user_id_users_id_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE"
            ),
        )
        .await;
    }
    let database = adapter(&pool).await;
    for round in ["in place of ours", "before ours"] {
        for tx in [false, true] {
            let session = CreateSession::new("nobody (1) \"users\"", next_hour());
            let account = CreateAccount::new("nobody", "github", round);
            let answers = if tx {
                let tx = database.begin().await.unwrap();
                let session = tx.create_session(session).await.map(drop);
                tx.rollback().await.unwrap();
                let tx = database.begin().await.unwrap();
                [session, tx.create_account(account).await.map(drop)]
            } else {
                [
                    database.create_session(session).await.map(drop),
                    database.link_account(account).await.map(drop),
                ]
            };
            for answer in answers {
                assert!(
                    matches!(answer, Err(AuthError::UserNotFound)),
                    "{round}: {answer:?}"
                );
            }
        }
        for table in ["sessions", "accounts"] {
            execute(
                &pool,
                &format!("ALTER TABLE {table} ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE"),
            )
            .await;
        }
    }
}

/// A reference of the application's on our table says nothing of our users.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_reference_to_another_table_is_named(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    for sql in [
        "CREATE TABLE customers (id TEXT PRIMARY KEY)",
        "ALTER TABLE sessions ADD CONSTRAINT of_a_customer FOREIGN KEY (user_id) REFERENCES customers (id)",
        "ALTER TABLE accounts ADD CONSTRAINT of_a_provider FOREIGN KEY (provider_id) REFERENCES customers (id)",
    ] {
        execute(&pool, sql).await;
    }
    let session = CreateSession::new(&user.id, next_hour());
    let message = refusal(database.create_session(session).await);
    assert!(message.contains("of_a_customer"), "{message}");
    let account = CreateAccount::new(&user.id, "github", "1");
    let message = refusal(database.create_account(account).await);
    assert!(message.contains("of_a_provider"), "{message}");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_index_on_an_expression_of_two_columns_takes_no_key(pool: PgPool) {
    execute(
        &pool,
        "CREATE UNIQUE INDEX one_login ON users (COALESCE(username, email))",
    )
    .await;
    let database = adapter(&pool).await;
    let ada = CreateUser::new().with_username("ada@x.example");
    database.create_user(ada).await.unwrap();
    let other = CreateUser::new().with_email("ada@x.example");
    let message = refusal(database.create_user(other).await);
    assert!(message.contains("one_login"), "{message}");
}

/// What the code of an application reports of another server is not the fate of this connection.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn what_a_trigger_reports_closes_no_connection(pool: PgPool) {
    let config = PoolConfig {
        max_connections: 1,
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::with_config(&url(&pool), config).await.unwrap();
    let process = async || -> i32 {
        let mut connection = database.acquire().await.unwrap();
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
        pid.fetch_one(&mut *connection).await.unwrap()
    };
    let before = process().await;
    for code in [
        "08001", "08006", "0A000", "25006", "26000", "40003", "57P01", "57P03", "XX000",
    ] {
        raise(&pool, code).await;
        let message = refusal(database.create_user(CreateUser::new()).await);
        assert!(message.contains(code), "{message}");
        let tx = database.begin().await.unwrap();
        refusal(tx.create_user(CreateUser::new()).await);
        tx.rollback().await.unwrap();
        assert_eq!(process().await, before, "{code}");
    }
}

/// Raises an error of this code at each new user.
async fn raise(pool: &PgPool, code: &str) {
    execute(
        pool,
        &format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE 'the audit server is away' USING ERRCODE = '{code}'; END $$; \
             DROP TRIGGER IF EXISTS refuse ON users; \
             CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()"
        ),
    )
    .await;
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn each_code_of_the_server_says_what_to_do(pool: PgPool) {
    let builder = SqlxAdapter::builder(&url(&pool)).max_retries(0);
    let database = builder.connect().await.unwrap();
    for (code, advice) in [
        ("25P03", "the server ended a transaction"),
        ("42501", "lacks a privilege"),
        ("42703", "is not migrated"),
        ("42P01", "is not migrated"),
        ("53100", "out of a resource"),
        ("53300", "no connection left"),
        ("55P03", "held a lock"),
        ("57014", "is statement_timeout too short?"),
    ] {
        raise(&pool, code).await;
        let error = database.create_user(CreateUser::new()).await.unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(advice) && message.contains(code),
            "{message}"
        );
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_error_of_the_applications_own_says_what_became_of_the_statement(pool: PgPool) {
    for (code, kind, said) in [
        ("40001", "Unavailable", "conflicts with a concurrent"),
        ("57014", "Unavailable", "was given up by the server"),
        ("22012", "Database", "a statement of the application failed"),
    ] {
        raise(&pool, code).await;
        let insert = sqlx::query("INSERT INTO users (id) VALUES ('1')");
        let error = AuthError::from_sqlx(insert.execute(&pool).await.unwrap_err());
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

/// What a trigger of the application's raises at the commit comes before the server commits, whatever its code.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn what_a_trigger_raises_at_the_commit_says_that_nothing_was_done(pool: PgPool) {
    execute(
        &pool,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE 'the books do not balance' USING ERRCODE = 'XX000'; END $$; \
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    for database in [adapter(&pool).await, SqlxAdapter::from_pool(pool.clone())] {
        let message = refusal(database.create_user(CreateUser::new()).await);
        assert!(message.contains("XX000"), "{message}");
        let tx = database.begin().await.unwrap();
        tx.create_user(CreateUser::new()).await.unwrap();
        let message = refusal(tx.commit().await);
        assert!(message.contains("XX000"), "{message}");
        let runs = std::sync::atomic::AtomicU32::new(0);
        let runs = &runs;
        let answer = transaction(&database, |tx| async move {
            runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tx.create_user(CreateUser::new()).await.map(drop)
        });
        refusal::<()>(answer.await);
        assert_eq!(runs.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(stored, 0);
}

/// An error inside the server says nothing of what became of a commit. Here it misses the constraint of a trigger.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_server_that_fails_at_the_commit_leaves_the_outcome_unknown(pool: PgPool) {
    for sql in [
        "ALTER TABLE sessions ADD CONSTRAINT late FOREIGN KEY (user_id) REFERENCES users (id) \
         DEFERRABLE INITIALLY DEFERRED",
        "DELETE FROM pg_constraint WHERE conname = 'late'",
    ] {
        execute(&pool, sql).await;
    }
    let unknown = |answer: AuthResult<()>| match answer {
        Err(error @ AuthError::OutcomeUnknown { .. }) => {
            let message = error.to_string();
            assert!(message.contains("XX000"), "{message}");
            assert!(message.contains("cache lookup failed"), "{message}");
        }
        answer => panic!("{answer:?}"),
    };
    for database in [adapter(&pool).await, SqlxAdapter::from_pool(pool.clone())] {
        let user = database.create_user(CreateUser::new()).await.unwrap();
        let create = CreateSession::new(&user.id, next_hour());
        unknown(database.create_session(create.clone()).await.map(drop));
        let tx = database.begin().await.unwrap();
        tx.create_session(create).await.unwrap();
        unknown(tx.commit().await);
    }
}

/// A feature that the server does not have is no stale plan, though the code is the same.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_feature_that_is_not_supported_closes_no_connection(pool: PgPool) {
    let config = PoolConfig {
        max_connections: 1,
        ..PoolConfig::default()
    };
    let database = SqlxAdapter::with_config(&url(&pool), config).await.unwrap();
    let process = async || -> i32 {
        let mut connection = database.acquire().await.unwrap();
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
        pid.fetch_one(&mut *connection).await.unwrap()
    };
    database.create_user(CreateUser::new()).await.unwrap();
    let before = process().await;
    execute(
        &pool,
        "CREATE RULE refuse AS ON INSERT TO users DO INSTEAD NOTHING",
    )
    .await;
    let message = refusal(database.create_user(CreateUser::new()).await);
    assert!(message.contains("0A000"), "{message}");
    // The server's own words hold no value.
    assert!(message.contains("RETURNING"), "{message}");
    let tx = database.begin().await.unwrap();
    refusal(tx.create_user(CreateUser::new()).await);
    tx.rollback().await.unwrap();
    assert_eq!(process().await, before);
    execute(&pool, "DROP RULE refuse ON users").await;
    database.create_user(CreateUser::new()).await.unwrap();
}

/// A transaction in which the application has set what holds until its end: the tenant's schema, and a role to which the
/// server does not show an error's detail.
async fn in_tenant(pool: &PgPool, role: &str) -> sqlx::PgTransaction<'static> {
    let mut transaction = pool.begin().await.unwrap();
    for sql in [
        "SET LOCAL search_path TO tenant",
        &format!("SET LOCAL ROLE {role}"),
    ] {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::query(sql).execute(&mut *transaction).await.unwrap();
    }
    transaction
}

/// The tables that a transaction finds are ours, also if the application has set another path for it, which is gone when
/// the failed transaction is rolled back.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn our_tables_are_those_that_a_transaction_of_the_applications_finds(pool: PgPool) {
    execute(&pool, "CREATE SCHEMA tenant").await;
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("search_path", "tenant")]);
    let tenant = SqlxAdapter::from_pool(PgPool::connect_lazy_with(options));
    tenant.migrate().await.unwrap();
    let ada = CreateUser::new()
        .with_email("ada@example.com")
        .with_username("ada");
    let user = tenant.create_user(ada.clone()).await.unwrap();
    let account = CreateAccount::new(&user.id, "github", "1");
    tenant.create_account(account.clone()).await.unwrap();
    let role = format!("tenant_{}", std::process::id());
    for sql in [
        &format!("CREATE ROLE {role}"),
        &format!("GRANT USAGE ON SCHEMA tenant TO {role}"),
        &format!("GRANT ALL ON ALL TABLES IN SCHEMA tenant TO {role}"),
        "ALTER TABLE tenant.users ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everything ON tenant.users USING (TRUE)",
        "CREATE UNIQUE INDEX one_name ON tenant.users (username)",
        "REINDEX INDEX CONCURRENTLY tenant.users_email_key",
        "REINDEX INDEX CONCURRENTLY tenant.users_username_key",
    ] {
        execute(&pool, sql).await;
    }
    let database = SqlxAdapter::from_pool(pool.clone());
    for has_namesakes in [true, false] {
        for with_savepoints in [false, true] {
            let join = async || {
                let joined = database.join(in_tenant(&pool, &role).await);
                if with_savepoints {
                    joined.with_savepoints()
                } else {
                    joined
                }
            };
            for (create, field) in [
                (ada.clone().with_id(&user.id), ConflictField::UserId),
                (ada.clone(), ConflictField::Email),
                (
                    ada.clone().with_email("other@example.com"),
                    ConflictField::Username,
                ),
            ] {
                let created = join().await.create_user(create).await;
                assert_eq!(
                    conflict(created),
                    field,
                    "{has_namesakes} {with_savepoints}"
                );
            }
            let created = join().await.create_account(account.clone()).await;
            assert_eq!(conflict(created), ConflictField::Account);
            let orphan = CreateSession::new("nobody", next_hour());
            let created = join().await.create_session(orphan).await;
            assert!(
                matches!(created, Err(AuthError::UserNotFound)),
                "{created:?}"
            );
        }
        let create = &CreateUser::new().with_email("ada@example.com");
        let created = sqlx_transaction(&database, |tx| async move {
            let mut lent = tx.connection().await?;
            let set = sqlx::query("SET LOCAL search_path TO tenant");
            set.execute(&mut *lent)
                .await
                .map_err(AuthError::from_sqlx)?;
            drop(lent);
            tx.create_user(create.clone()).await
        });
        assert_eq!(conflict(created.await), ConflictField::Email);
        if has_namesakes {
            // What a rule writes to is not what the statement has found, whatever its name.
            execute(
                &pool,
                "CREATE RULE copy AS ON INSERT TO public.users DO ALSO INSERT INTO tenant.users (id, email) \
                 VALUES ('copy', 'ada@example.com')",
            )
            .await;
            let joined = database.join(pool.begin().await.unwrap());
            let message = refusal(joined.create_user(CreateUser::new()).await);
            assert!(message.contains("tenant.users"), "{message}");
            joined.rollback().await.unwrap();
            execute(&pool, "DROP RULE copy ON public.users").await;
            execute(
                &pool,
                "DROP TABLE public.users, public.sessions, public.accounts CASCADE",
            )
            .await;
        }
    }
    tenant.close().await;
    execute(&pool, &format!("DROP OWNED BY {role}")).await;
    execute(&pool, &format!("DROP ROLE {role}")).await;
}
