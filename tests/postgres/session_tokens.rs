//! Session tokens that are stored as digests open nothing for who reads the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{adapter, execute, shown, url};
use better_auth::adapters::{DatabaseAdapter, SessionTokens, SqlxAdapter, SqlxAdapterBuilder};
use better_auth::{AuthError, AuthResult, CreateSession, CreateUser, Session, UpdateSession};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

async fn hashing(pool: &PgPool) -> SqlxAdapter {
    let builder = SqlxAdapter::builder(&url(pool)).hash_session_tokens(true);
    builder.connect().await.unwrap()
}

async fn new_session(database: &SqlxAdapter, user_id: &str) -> Session {
    let session = CreateSession::new(user_id, Utc::now() + TimeDelta::hours(1));
    database.create_session(session).await.unwrap()
}

async fn new_user_id(database: &SqlxAdapter) -> String {
    database.create_user(CreateUser::new()).await.unwrap().id
}

/// What whoever reads the table or a backup sees.
async fn leaked(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT token FROM sessions ORDER BY id")
        .fetch_all(pool)
        .await
        .unwrap()
}

fn is_digest(token: &str) -> bool {
    token.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// Tries every method that takes a token to get in or to keep a session open.
async fn assert_opens_nothing(database: &SqlxAdapter, token: &str) {
    assert_eq!(database.get_session(token).await.unwrap(), None);
    assert_eq!(database.get_session_with_user(token).await.unwrap(), None);
    let later = Utc::now() + TimeDelta::days(1);
    let update = UpdateSession {
        user_agent: Some(None),
        ..UpdateSession::default()
    };
    let answers: [AuthResult<()>; 3] = [
        database.update_session_expiry(token, later).await,
        database.update_session(token, update).await.map(drop),
        database
            .update_session(token, UpdateSession::default())
            .await
            .map(drop),
    ];
    for answer in answers {
        assert!(
            matches!(answer, Err(AuthError::SessionNotFound)),
            "{answer:?}"
        );
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_leaked_table_opens_no_session(pool: PgPool) {
    let (hashing, plain) = (hashing(&pool).await, adapter(&pool).await);
    let user = new_user_id(&hashing).await;
    let session = new_session(&hashing, &user).await;
    let [stored] = leaked(&pool).await.try_into().unwrap();
    assert!(is_digest(&stored), "{stored}");
    for database in [&hashing, &plain] {
        assert_opens_nothing(database, &stored).await;
        let transaction = database.begin().await.unwrap();
        assert_eq!(transaction.get_session(&stored).await.unwrap(), None);
        let found = database.get_session(&session.token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&session));
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn either_setting_finds_the_sessions_of_the_other(pool: PgPool) {
    let (hashing, plain) = (hashing(&pool).await, adapter(&pool).await);
    let user = new_user_id(&plain).await;
    for (by, other) in [(&hashing, &plain), (&plain, &hashing)] {
        let session = new_session(by, &user).await;
        assert_eq!(
            other.get_session(&session.token).await.unwrap(),
            Some(session.clone())
        );
        let (found, _) = other
            .get_session_with_user(&session.token)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found, session);
        let update = UpdateSession {
            user_agent: Some(Some("other".to_owned())),
            ..UpdateSession::default()
        };
        let updated = other.update_session(&session.token, update).await.unwrap();
        assert_eq!(updated.token, session.token);
        other.delete_session(&session.token).await.unwrap();
        assert_eq!(by.get_session(&session.token).await.unwrap(), None);
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn lists_show_digests_that_delete_takes(pool: PgPool) {
    let (hashing, plain) = (hashing(&pool).await, adapter(&pool).await);
    let user = new_user_id(&plain).await;
    let (first, second) = (
        new_session(&hashing, &user).await,
        new_session(&hashing, &user).await,
    );
    let listed = plain.get_user_sessions(&user).await.unwrap();
    assert!(
        listed.iter().all(|session| is_digest(&session.token)),
        "{listed:?}"
    );
    assert_eq!(listed[0].id, second.id);
    plain.delete_session(&listed[0].token).await.unwrap();
    assert_eq!(plain.get_session(&second.token).await.unwrap(), None);
    hashing.delete_session(&listed[1].token).await.unwrap();
    assert_eq!(plain.get_session(&first.token).await.unwrap(), None);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn stored_tokens_are_hashed_while_traffic_runs(pool: PgPool) {
    let (hashing, plain) = (hashing(&pool).await, adapter(&pool).await);
    let user = new_user_id(&plain).await;
    sqlx::query(
        "INSERT INTO sessions (id, token, user_id, expires_at) \
         SELECT format('old-%s', i), format('token-%s', i), $1, now() + interval '1 hour' \
         FROM generate_series(1, 4500) AS i",
    )
    .bind(&user)
    .execute(&pool)
    .await
    .unwrap();
    let hashed_before = new_session(&hashing, &user).await;
    let before = plain.get_session("token-1").await.unwrap().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn({
        let (plain, hashing, done) = (plain.clone(), hashing.clone(), Arc::clone(&done));
        async move {
            let mut looked = 0;
            while !done.load(Ordering::Relaxed) {
                let token = format!("token-{}", looked % 4500 + 1);
                for database in [&plain, &hashing] {
                    assert!(
                        database.get_session(&token).await.unwrap().is_some(),
                        "{token}"
                    );
                }
                let later = Utc::now() + TimeDelta::hours(2);
                hashing.update_session_expiry(&token, later).await.unwrap();
                looked += 1;
            }
            looked
        }
    });
    assert_eq!(hashing.hash_stored_session_tokens().await.unwrap(), 4500);
    done.store(true, Ordering::Relaxed);
    assert!(traffic.await.unwrap() > 0);
    assert_eq!(hashing.hash_stored_session_tokens().await.unwrap(), 0);
    assert!(leaked(&pool).await.iter().all(|token| is_digest(token)));
    for number in [1, 999, 1000, 1001, 4500] {
        let token = format!("token-{number}");
        assert_eq!(
            plain.get_session(&token).await.unwrap().unwrap().token,
            token
        );
    }
    let untouched =
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sessions WHERE updated_at < created_at");
    assert_eq!(untouched.fetch_one(&pool).await.unwrap(), 0);
    assert_eq!(before.id, "old-1");
    assert_eq!(
        hashing.get_session(&hashed_before.token).await.unwrap(),
        Some(hashed_before),
        "what was hashed already stays as it is"
    );
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn an_applications_pool_may_hash_too(pool: PgPool) {
    let builder = better_auth::adapters::SqlxAdapterBuilder::from_pool(pool.clone());
    let database = builder.hash_session_tokens(true).connect().await.unwrap();
    let user = new_user_id(&database).await;
    new_session(&database, &user).await;
    assert!(leaked(&pool).await.iter().all(|token| is_digest(token)));
}

fn hashed_only(pool: &PgPool) -> SqlxAdapterBuilder {
    SqlxAdapter::builder(&url(pool)).session_tokens(SessionTokens::HashedOnly)
}

/// Expects to be told that a token is stored as it is, and what to do.
fn is_told<T: std::fmt::Debug>(answer: AuthResult<T>) {
    match answer {
        Err(error @ AuthError::Database { .. }) => {
            for words in ["HashedOnly", "Hashing", "hash_stored_session_tokens()"] {
                assert!(error.to_string().contains(words), "{error}");
            }
            assert!(!shown(&error).contains("token-"), "{error:?}");
        }
        answer => panic!("{answer:?}"),
    }
}

/// Stores a session as a program does that keeps tokens as they are.
async fn store_plain(pool: &PgPool, user_id: &str, token: &str) {
    let insert = "INSERT INTO sessions (id, token, user_id, expires_at) VALUES ($1, $1, $2, now() + interval '1 hour')";
    let insert = sqlx::query(insert).bind(token).bind(user_id);
    insert.execute(pool).await.unwrap();
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_plain_token_is_told_wherever_it_stands(pool: PgPool) {
    let hashing = hashing(&pool).await;
    let user = new_user_id(&hashing).await;
    let only = hashed_only(&pool).connect().await.unwrap();
    for with_digests in [false, true] {
        if with_digests {
            for _ in 0..20 {
                new_session(&only, &user).await;
            }
        }
        let report = only.check_schema().await.unwrap();
        assert!(!report.plain_session_tokens);
        for token in [
            "token-1",
            "",
            "-",
            "0",
            "~",
            "a",
            "zzz",
            "Z",
            "sha255:",
            "sha25",
            "sha257",
            "sha3",
            "\u{10ffff}",
        ] {
            store_plain(&pool, &user, token).await;
            is_told(only.check_schema().await);
            is_told(hashed_only(&pool).connect().await);
            is_told(
                hashed_only(&pool)
                    .check_schema(true)
                    .migrate(true)
                    .connect()
                    .await,
            );
            let builder = SqlxAdapterBuilder::from_pool(pool.clone());
            is_told(
                builder
                    .session_tokens(SessionTokens::HashedOnly)
                    .connect()
                    .await,
            );
            let report = hashing.check_schema().await.unwrap();
            assert!(report.plain_session_tokens, "{token}");
            assert_eq!(hashing.hash_stored_session_tokens().await.unwrap(), 1);
            let report = hashing.check_schema().await.unwrap();
            assert!(!report.plain_session_tokens, "{token}");
            let (found, _) = only.get_session_with_user(token).await.unwrap().unwrap();
            assert_eq!(found.token, token);
            only.delete_session(token).await.unwrap();
        }
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn digests_alone_are_looked_up_once_every_token_is_one(pool: PgPool) {
    let (plain, hashing) = (adapter(&pool).await, hashing(&pool).await);
    let user = new_user_id(&plain).await;
    let before = new_session(&plain, &user).await;
    is_told(hashed_only(&pool).connect().await);
    let meanwhile = new_session(&hashing, &user).await;
    assert_eq!(hashing.hash_stored_session_tokens().await.unwrap(), 1);
    let only = hashed_only(&pool).connect().await.unwrap();
    let after = new_session(&only, &user).await;
    assert!(leaked(&pool).await.iter().all(|token| is_digest(token)));
    let hour = std::time::Duration::from_secs(3600);
    for session in [&before, &meanwhile, &after] {
        for database in [&plain, &hashing, &only] {
            let found = database.get_session(&session.token).await.unwrap();
            assert_eq!(found.map(|found| found.id), Some(session.id.clone()));
            let refreshed = database.refresh_session(&session.token, 9 * hour, hour);
            let (refreshed, _) = refreshed.await.unwrap().unwrap();
            assert_eq!(refreshed.token, session.token);
            let update = UpdateSession::new().with_user_agent("other");
            let updated = database
                .update_session(&session.token, update)
                .await
                .unwrap();
            assert_eq!(updated.token, session.token);
        }
    }
    for token in leaked(&pool).await {
        assert_opens_nothing(&only, &token).await;
    }
    assert_eq!(
        only.delete_other_sessions(&user, &after.token)
            .await
            .unwrap(),
        2
    );
    let [listed] = only
        .get_user_sessions(&user)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    only.delete_session(&listed.token).await.unwrap();
    assert_eq!(only.get_session(&after.token).await.unwrap(), None);
}

/// A sign-out ends the session also where an instance was switched too early.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_plain_token_can_be_signed_out_with_every_setting(pool: PgPool) {
    let (plain, only) = (
        adapter(&pool).await,
        hashed_only(&pool).connect().await.unwrap(),
    );
    let user = new_user_id(&plain).await;
    let (session, kept) = (
        new_session(&plain, &user).await,
        new_session(&plain, &user).await,
    );
    assert_eq!(only.get_session(&session.token).await.unwrap(), None);
    assert_eq!(
        only.delete_other_sessions(&user, &kept.token)
            .await
            .unwrap(),
        1
    );
    assert_eq!(plain.get_session(&session.token).await.unwrap(), None);
    assert_eq!(
        plain.get_session(&kept.token).await.unwrap(),
        Some(kept.clone())
    );
    only.delete_session(&kept.token).await.unwrap();
    assert_eq!(plain.get_session(&kept.token).await.unwrap(), None);
}

#[sqlx::test]
async fn an_empty_database_may_have_digests_alone(pool: PgPool) {
    let database = hashed_only(&pool).connect().await.unwrap();
    database.migrate().await.unwrap();
    let user = new_user_id(&database).await;
    let session = new_session(&database, &user).await;
    assert_eq!(
        database.get_session(&session.token).await.unwrap(),
        Some(session)
    );
    hashed_only(&pool)
        .check_schema(true)
        .connect()
        .await
        .unwrap();
}

/// Sessions with the ids `1` to `3000` and plain tokens.
async fn store_many_plain(pool: &PgPool, user_id: &str) {
    let insert = "INSERT INTO sessions (id, token, user_id, expires_at) \
                  SELECT i, format('token-%s', i), $1, now() + interval '1 hour' FROM generate_series(1, 3000) AS i";
    let insert = sqlx::query(insert).bind(user_id);
    insert.execute(pool).await.unwrap();
}

async fn plain_ids(pool: &PgPool) -> Vec<String> {
    let ids = "SELECT id FROM sessions WHERE token NOT LIKE 'sha256:%' ORDER BY id::int";
    sqlx::query_scalar(ids).fetch_all(pool).await.unwrap()
}

/// Runs the hashing, which has to end whatever stays.
async fn hash_all(database: &SqlxAdapter) -> AuthResult<usize> {
    let run = database.hash_stored_session_tokens();
    let run = tokio::time::timeout(std::time::Duration::from_secs(120), run);
    run.await.expect("it goes on for ever")
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_row_whose_token_cannot_be_hashed_keeps_no_other(pool: PgPool) {
    for database in [hashing(&pool).await, SqlxAdapter::from_pool(pool.clone())] {
        let user = new_user_id(&database).await;
        store_many_plain(&pool, &user).await;
        let mut holder = pool.begin().await.unwrap();
        for (change, undo, kept) in [
            (
                "ALTER TABLE sessions ADD CONSTRAINT no_digest CHECK (id NOT IN ('7', '2999') OR token LIKE 'token%')",
                "ALTER TABLE sessions DROP CONSTRAINT no_digest",
                &["7", "2999"][..],
            ),
            (
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN IF OLD.id = '8' THEN RAISE 'not now'; ELSIF OLD.id = '9' THEN RETURN NULL; END IF; RETURN NEW; END $$; \
                 CREATE TRIGGER refuse BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()",
                "DROP TRIGGER refuse ON sessions; DROP FUNCTION refuse()",
                &["8", "9"][..],
            ),
            ("SELECT", "SELECT", &["10"][..]),
        ] {
            execute(&pool, "UPDATE sessions SET token = format('token-%s', id)").await;
            execute(&pool, change).await;
            if kept == ["10"] {
                let lock = "SELECT FROM sessions WHERE id = '10' FOR UPDATE";
                sqlx::query(lock).execute(&mut *holder).await.unwrap();
            }
            let error = hash_all(&database).await.unwrap_err();
            let message = error.to_string();
            assert_eq!(plain_ids(&pool).await, kept, "{message}");
            assert!(message.contains("hash_stored_session_tokens"), "{message}");
            for id in kept {
                assert!(message.contains(id), "{message}");
            }
            assert!(!shown(&error).contains("token-"), "{error:?}");
            // Nothing is wrong with a row that is only locked.
            assert_eq!(error.is_retryable(), kept == ["10"], "{message}");
            execute(&pool, undo).await;
        }
        holder.rollback().await.unwrap();
        assert_eq!(hash_all(&database).await.unwrap(), 1);
        execute(&pool, "DELETE FROM users").await;
    }
}

/// A row that is locked for a moment is waited for.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_row_that_is_locked_for_a_moment_is_hashed_too(pool: PgPool) {
    let database = hashing(&pool).await;
    let user = new_user_id(&database).await;
    store_many_plain(&pool, &user).await;
    let mut holder = pool.begin().await.unwrap();
    let lock = "SELECT FROM sessions WHERE id IN ('10', '20') FOR UPDATE";
    sqlx::query(lock).execute(&mut *holder).await.unwrap();
    let run = tokio::spawn({
        let database = database.clone();
        async move { hash_all(&database).await }
    });
    while plain_ids(&pool).await.len() > 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    holder.rollback().await.unwrap();
    assert_eq!(run.await.unwrap().unwrap(), 3000);
}

/// More than are remembered: those are found again.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn very_many_locked_rows_are_hashed_too(pool: PgPool) {
    let database = hashing(&pool).await;
    let user = new_user_id(&database).await;
    let insert = "INSERT INTO sessions (id, token, user_id, expires_at) \
                  SELECT i, 'token-' || i, $1, now() + '1 day' FROM generate_series(1, 23000) AS i";
    sqlx::query(insert)
        .bind(&user)
        .execute(&pool)
        .await
        .unwrap();
    let mut holder = pool.begin().await.unwrap();
    let lock = "SELECT FROM sessions WHERE id <> '1' FOR UPDATE";
    sqlx::query(lock).execute(&mut *holder).await.unwrap();
    let run = tokio::spawn({
        let database = database.clone();
        async move { hash_all(&database).await }
    });
    while plain_ids(&pool).await.len() > 22_999 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // Some of them go on to be locked.
    holder.rollback().await.unwrap();
    let mut holder = pool.begin().await.unwrap();
    let lock = "SELECT FROM sessions WHERE id IN ('2', '22999') FOR UPDATE";
    sqlx::query(lock).execute(&mut *holder).await.unwrap();
    while plain_ids(&pool).await.len() > 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    holder.rollback().await.unwrap();
    assert_eq!(run.await.unwrap().unwrap(), 23_000);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_trigger_that_refuses_every_statement_ends_the_hashing(pool: PgPool) {
    let database = hashing(&pool).await;
    let user = new_user_id(&database).await;
    store_many_plain(&pool, &user).await;
    for sql in [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed today'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
    ] {
        execute(&pool, sql).await;
    }
    let error = hash_all(&database).await.unwrap_err();
    assert!(error.to_string().contains("3000 of sessions"), "{error}");
}
