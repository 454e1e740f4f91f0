//! Session tokens that are stored as digests open nothing for who reads the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{adapter, url};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
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

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn an_applications_pool_may_hash_too(pool: PgPool) {
    let builder = better_auth::adapters::SqlxAdapterBuilder::from_pool(pool.clone());
    let database = builder.hash_session_tokens(true).connect().await.unwrap();
    let user = new_user_id(&database).await;
    new_session(&database, &user).await;
    assert!(leaked(&pool).await.iter().all(|token| is_digest(token)));
}
