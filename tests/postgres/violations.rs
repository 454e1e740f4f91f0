//! A constraint that is violated has a typed answer only if it is one of ours, on our table, and our statement violated it.

use crate::support::{adapter, execute};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::types::{CreateAccount, UpdateSession};
use better_auth::{
    AuthError, AuthResult, ConflictField, CreateSession, CreateUser, CreateVerification, UpdateUser,
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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
            execute(
                &pool,
                &format!(
                    "CREATE OR REPLACE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON {table} \
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
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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
