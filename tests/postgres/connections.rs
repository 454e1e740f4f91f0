//! Connections that others have left in a state of their own: no caller meets a wrong, lost or needless answer on them.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::support::{adapter, execute};
use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::{
    AuthError, AuthResult, CreateSession, CreateUser, CreateVerification, UpdateUser, transaction,
};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// A pool of the application's with so many connections.
async fn application_pool(pool: &PgPool, max_connections: u32) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(4))
        .connect_with(options)
        .await
        .unwrap()
}

/// An adapter on connections of its own, and one on a pool of the application's.
async fn both(pool: &PgPool) -> [SqlxAdapter; 2] {
    [
        adapter(pool).await,
        SqlxAdapter::from_pool(application_pool(pool, 2).await),
    ]
}

/// Runs each kind of statement once on as many connections as there are.
async fn use_everything(database: &SqlxAdapter, email: &str) {
    let user = database.get_user_by_email(email).await.unwrap().unwrap();
    let update = || UpdateUser {
        name: Some(Some("Ada".to_owned())),
        ..UpdateUser::default()
    };
    let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1));
    let token = database.create_session(session).await.unwrap().token;
    let calls = (0..8).map(|_| async {
        database.get_user_by_email(email).await.unwrap().unwrap();
        database.get_user_by_id(&user.id).await.unwrap().unwrap();
        database
            .get_session_with_user(&token)
            .await
            .unwrap()
            .unwrap();
        database.update_user(&user.id, update()).await.unwrap();
    });
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    poll_fn(|context| {
        calls.retain_mut(|call| call.as_mut().poll(context).is_pending());
        if calls.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_stale_plan_is_planned_again(pool: PgPool) {
    for (number, database) in both(&pool).await.into_iter().enumerate() {
        let email = format!("ada{number}@example.com");
        let user = CreateUser::new().with_email(&email);
        database.create_user(user).await.unwrap();
        use_everything(&database, &email).await;
        for change in [
            "ALTER TABLE users ALTER COLUMN email TYPE TEXT COLLATE \"C\"",
            "ALTER TABLE users ALTER COLUMN name TYPE VARCHAR(200)",
            "ALTER TABLE users ALTER COLUMN name TYPE TEXT",
            "ALTER TABLE users ALTER COLUMN email TYPE TEXT COLLATE \"default\"",
        ] {
            execute(&pool, change).await;
            use_everything(&database, &email).await;
        }
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_stale_plan_in_a_transaction_is_a_conflict(pool: PgPool) {
    let [own, shared] = both(&pool).await;
    for (number, database) in [own, shared].into_iter().enumerate() {
        let email = format!("ada{number}@example.com");
        let user = CreateUser::new().with_email(&email);
        database.create_user(user).await.unwrap();
        // Every connection has the statement in its cache.
        use_everything(&database, &email).await;
        let tx = database.begin().await.unwrap();
        execute(
            &pool,
            &format!(
                "ALTER TABLE users ALTER COLUMN email TYPE VARCHAR({})",
                300 + number
            ),
        )
        .await;
        let stale = tx.get_user_by_email(&email).await.unwrap_err();
        assert!(
            matches!(
                stale,
                AuthError::Unavailable {
                    contention: true,
                    ..
                }
            ),
            "{stale:?}"
        );
        tx.rollback().await.unwrap();
        let mut runs = 0;
        let found: AuthResult<_> = transaction(&database, |tx| {
            runs += 1;
            let (pool, email, first) = (pool.clone(), email.clone(), runs == 1);
            async move {
                if first {
                    let change = format!(
                        "ALTER TABLE users ALTER COLUMN email TYPE VARCHAR({})",
                        310 + number
                    );
                    execute(&pool, &change).await;
                }
                tx.get_user_by_email(&email).await
            }
        })
        .await;
        assert!(found.unwrap().is_some());
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn statements_that_others_have_dropped_are_prepared_again(pool: PgPool) {
    let shared = application_pool(&pool, 1).await;
    let database = SqlxAdapter::from_pool(shared.clone());
    let email = "ada@example.com";
    let user = CreateUser::new().with_email(email);
    let user = database.create_user(user).await.unwrap();
    for drop in ["DISCARD ALL", "DEALLOCATE ALL"] {
        let found = database.get_user_by_email(email).await.unwrap();
        assert_eq!(found.as_ref(), Some(&user));
        execute(&shared, drop).await;
        let found = database.get_user_by_email(email).await.unwrap();
        assert_eq!(found.as_ref(), Some(&user), "after {drop}");
        execute(&shared, drop).await;
        let next = CreateVerification::new(drop, "1", Utc::now() + TimeDelta::hours(1));
        database.create_verification(next.clone()).await.unwrap();
        execute(&shared, drop).await;
        database.create_verification(next).await.unwrap();
    }
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_connection_to_a_read_only_server_is_replaced(pool: PgPool) {
    let shared = application_pool(&pool, 1).await;
    let database = SqlxAdapter::from_pool(shared.clone());
    // As a connection to a server that was fenced, while the address has moved to another.
    execute(&shared, "SET default_transaction_read_only = on").await;
    let verification = CreateVerification::new("a", "1", Utc::now() + TimeDelta::hours(1));
    database.create_verification(verification).await.unwrap();
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn what_is_acknowledged_is_committed_on_a_shared_pool(pool: PgPool) {
    let shared = application_pool(&pool, 1).await;
    let database = SqlxAdapter::from_pool(shared.clone());
    let mut acknowledged = 0;
    for number in 0..200 {
        // A future of sqlx's that is dropped while BEGIN is under way leaves the connection in the transaction.
        let patience = Duration::from_micros(100 + number % 20 * 40);
        drop(tokio::time::timeout(patience, shared.begin()).await);
        let user = CreateUser::new().with_email(format!("ada{number}@example.com"));
        database.create_user(user).await.unwrap();
        acknowledged += 1;
    }
    // What was never committed goes with its connection.
    shared.close().await;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(stored, acknowledged);
}

#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn the_end_of_an_aborted_transaction_is_awaited(pool: PgPool) {
    let database = adapter(&pool).await;
    let email = "ada@example.com";
    let user = CreateUser::new().with_email(email);
    database.create_user(user).await.unwrap();
    for round in 0..300 {
        // Connections that are there for what follows.
        use_everything(&database, email).await;
        let expired =
            CreateVerification::new("a", round.to_string(), Utc::now() - TimeDelta::hours(1));
        let expired = database.create_verification(expired).await.unwrap();
        let tx = database.begin().await.unwrap();
        tx.delete_verification(&expired.id).await.unwrap();
        let taken = CreateUser::new().with_email("ada@example.com");
        tx.create_user(taken).await.unwrap_err();
        let ended = if round % 2 == 0 {
            let aborted = tx.commit().await.unwrap_err();
            matches!(aborted, AuthError::TransactionAborted)
        } else {
            tx.rollback().await.is_ok()
        };
        assert!(ended);
        let removed = database.delete_expired_verifications().await.unwrap();
        assert_eq!(removed, 1, "round {round}");
    }
}
