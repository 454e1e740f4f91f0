//! A session that is due for an extension while another transaction has locked it.

use std::time::Duration;

use better_auth::adapters::DatabaseAdapter;
use better_auth::{CreateSession, CreateUser};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

use crate::support::adapter;

/// The row is locked until all have answered.
#[sqlx::test(migrator = "better_auth::MIGRATOR")]
async fn a_due_refresh_waits_for_nobody(pool: PgPool) {
    let database = adapter(&pool).await;
    let user = database.create_user(CreateUser::new()).await.unwrap();
    let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1));
    let session = database.create_session(session).await.unwrap();
    let (week, day) = (
        Duration::from_secs(7 * 24 * 60 * 60),
        Duration::from_secs(24 * 60 * 60),
    );
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM sessions FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    for _ in 0..3 {
        let refreshed = database.refresh_session(&session.token, week, day).await;
        assert_eq!(refreshed.unwrap(), Some((session.clone(), user.clone())));
    }
    let transaction = database.begin().await.unwrap();
    let refreshed = transaction.refresh_session(&session.token, week, day).await;
    assert_eq!(refreshed.unwrap(), Some((session.clone(), user.clone())));
    transaction.commit().await.unwrap();
    holder.rollback().await.unwrap();
    let transaction = database.begin().await.unwrap();
    let refreshed = transaction.refresh_session(&session.token, week, day).await;
    let (refreshed, _) = refreshed.unwrap().unwrap();
    assert!(refreshed.expires_at > session.expires_at);
    let outside = database.get_session(&session.token).await.unwrap();
    assert_eq!(outside, Some(session));
    transaction.commit().await.unwrap();
    let outside = database.get_session(&refreshed.token).await.unwrap();
    assert_eq!(outside, Some(refreshed));
}
