//! What the session cache answers: as new as the database, or as stale as was asked for.

use std::time::{Duration, Instant};

use better_auth::adapters::{DatabaseAdapter as _, SessionCache, SqlxAdapter};
use better_auth::types::{CreateSession, Session, UpdateSession, UpdateUser, User};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

use super::{builder, caching, exact, finds, new_session, new_user, signed_in, stats, warm};
use crate::support::{adapter, execute, url};

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn lookups_are_answered_from_memory(pool: PgPool) {
    let database = exact(&pool).await;
    let (session, user) = signed_in(&database).await;
    for _ in 0..3 {
        let found = database.get_session(&session.token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&session));
    }
    assert_eq!((stats(&database).hits, stats(&database).misses), (2, 1));
    for _ in 0..3 {
        let found = database
            .get_session_with_user(&session.token)
            .await
            .unwrap();
        assert_eq!(found, Some((session.clone(), user.clone())));
    }
    let (week, day) = (Duration::from_secs(7 * 86400), Duration::from_secs(86400));
    let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
    let undue = database.refresh_session(&session.token, hour, minute).await;
    assert_eq!(undue.unwrap(), Some((session.clone(), user.clone())));
    let stats = stats(&database);
    assert_eq!(
        (stats.hits, stats.misses, stats.entries),
        (5, 2, 1),
        "{stats:?}"
    );
    assert!(stats.is_listening && stats.questions >= 4 && stats.bytes_per_entry > 100);
    assert!(
        stats.last_question < Some(Duration::from_secs(10)),
        "{stats:?}"
    );
    let refreshed = database.refresh_session(&session.token, week, day).await;
    let refreshed = refreshed.unwrap().unwrap();
    assert!(refreshed.0.expires_at > session.expires_at);
    let found = database
        .get_session_with_user(&session.token)
        .await
        .unwrap();
    assert_eq!(found, Some(refreshed));
    // Absent tokens are not cached, and a digest is nobody's token.
    assert_eq!(database.get_session("absent").await.unwrap(), None);
    assert_eq!(database.get_session("sha256:abc").await.unwrap(), None);
    assert_eq!(database.session_cache_stats().unwrap().entries, 1);
    assert_eq!(adapter(&pool).await.session_cache_stats(), None);
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn hashed_tokens_are_cached_alike(pool: PgPool) {
    let builder = builder(&url(&pool), SessionCache::exact()).hash_session_tokens(true);
    let database = builder.connect().await.unwrap();
    let (session, user) = signed_in(&database).await;
    let found = warm(&database, &session.token).await;
    assert_eq!(found, Some((session, user)));
}

/// Each way in which a session or its user changes, on one instance, is seen by every other one at once.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn no_instance_answers_what_was_revoked(pool: PgPool) {
    let (one, other) = (exact(&pool).await, exact(&pool).await);
    for round in 0..240 {
        let (session, user) = signed_in(&one).await;
        let token = &*session.token;
        warm(&other, token).await.unwrap();
        warm(&one, token).await.unwrap();
        let update = UpdateSession::default();
        let is_gone = match round % 12 {
            0 => one.delete_session(token).await.map(|()| true),
            1 => one.delete_user_sessions(&user.id).await.map(|()| true),
            2 => one.delete_user(&user.id).await.map(|()| true),
            3 => {
                let active = Some(false);
                let ended = UpdateSession { active, ..update };
                one.update_session(token, ended).await.map(|_| true)
            }
            4 => {
                let past = Utc::now() - TimeDelta::seconds(1);
                one.update_session_expiry(token, past).await.map(|()| true)
            }
            5 => {
                let agent = Some(Some("new".to_owned()));
                let changed = UpdateSession {
                    user_agent: agent,
                    ..update
                };
                one.update_session(token, changed).await.map(|_| false)
            }
            6 => {
                let later = Utc::now() + TimeDelta::days(9);
                one.update_session_expiry(token, later)
                    .await
                    .map(|()| false)
            }
            7 => {
                let ban = UpdateUser {
                    banned: Some(true),
                    ..UpdateUser::default()
                };
                one.update_user(&user.id, ban).await.map(|_| false)
            }
            8 => {
                let by_hand = format!("DELETE FROM sessions WHERE id = '{}'", session.id);
                execute(&pool, &by_hand).await;
                Ok(true)
            }
            9 => {
                let by_hand = format!("UPDATE users SET name = 'x' WHERE id = '{}'", user.id);
                execute(&pool, &by_hand).await;
                Ok(false)
            }
            10 => {
                let transaction = one.begin().await.unwrap();
                transaction.delete_session(token).await.unwrap();
                let open = other.get_session(token).await.unwrap();
                assert!(open.is_some(), "it is not committed");
                transaction.commit().await.map(|()| true)
            }
            _ => {
                let transaction = one.begin().await.unwrap();
                transaction.delete_user(&user.id).await.unwrap();
                transaction.rollback().await.map(|()| false)
            }
        };
        let is_gone = is_gone.unwrap();
        for database in [&other, &one] {
            let found = database.get_session_with_user(token).await.unwrap();
            assert_eq!(found.is_none(), is_gone, "{round}: {found:?}");
            let stored: Option<(Session, User)> = adapter_without_cache(database)
                .await
                .get_session_with_user(token)
                .await
                .unwrap();
            assert_eq!(found, stored, "{round}");
        }
    }
    execute(&pool, "DELETE FROM users").await;
    let (session, _) = signed_in(&one).await;
    warm(&other, &session.token).await.unwrap();
    execute(&pool, "TRUNCATE users CASCADE").await;
    assert_eq!(other.get_session(&session.token).await.unwrap(), None);
}

/// What the database itself says: in a transaction nothing comes from the cache.
async fn adapter_without_cache(database: &SqlxAdapter) -> Box<dyn better_auth::Transaction> {
    database.begin().await.unwrap()
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn many_callers_share_a_question(pool: PgPool) {
    let database = exact(&pool).await;
    let mut tokens = Vec::new();
    for _ in 0..8 {
        let (session, _) = signed_in(&database).await;
        warm(&database, &session.token).await;
        tokens.push(session.token);
    }
    let before = stats(&database);
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let (database, token) = (database.clone(), tokens[caller % 8].clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    let found = database.get_session_with_user(&token).await.unwrap();
                    assert_eq!(found.unwrap().0.token, token);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let after = stats(&database);
    let asked = after.questions - before.questions;
    // All but those that a late notification about the rows above has met.
    assert!(after.hits - before.hits > 64 * 45, "{after:?}");
    assert!(asked < 64 * 50 / 4, "{asked} questions");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn a_bounded_cache_waits_for_nothing_and_is_stale_for_no_longer(pool: PgPool) {
    let bound = Duration::from_millis(400);
    let database = caching(&pool, SessionCache::bounded(bound)).await;
    let other = adapter(&pool).await;
    for _ in 0..5 {
        let (session, _) = signed_in(&database).await;
        warm(&database, &session.token).await;
        let before = stats(&database);
        let begun = Instant::now();
        for _ in 0..100 {
            assert!(finds(&database, &session.token).await);
        }
        let asked = stats(&database).questions - before.questions;
        let most = 3 + begun.elapsed().as_millis() / (bound.as_millis() / 2);
        assert!(u128::from(asked) <= most, "{asked} questions");
        other.delete_session(&session.token).await.unwrap();
        let revoked_at = Instant::now();
        loop {
            let called_at = Instant::now();
            if !finds(&database, &session.token).await {
                break;
            }
            assert!(
                called_at - revoked_at <= bound,
                "{:?}",
                called_at - revoked_at
            );
        }
    }
}

/// The task that listens has no other thread here.
#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn answers_from_memory_leave_other_tasks_their_turn(pool: PgPool) {
    let bound = SessionCache::bounded(Duration::from_secs(60));
    let database = caching(&pool, bound).await;
    let (session, _) = signed_in(&database).await;
    warm(&database, &session.token).await;
    let other = tokio::spawn(async {});
    for _ in 0..10_000 {
        assert!(finds(&database, &session.token).await);
        if other.is_finished() {
            return;
        }
    }
    panic!("10,000 answers, and the other task has not run");
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn sessions_expire_by_the_databases_clock(pool: PgPool) {
    for cache in [
        SessionCache::exact(),
        SessionCache::bounded(Duration::from_secs(60)),
    ] {
        let database = caching(&pool, cache).await;
        let user = new_user(&database).await;
        let session = CreateSession::new(&user.id, Utc::now() + TimeDelta::milliseconds(500));
        let session = database.create_session(session).await.unwrap();
        warm(&database, &session.token).await.unwrap();
        tokio::time::sleep(Duration::from_millis(550)).await;
        assert_eq!(database.get_session(&session.token).await.unwrap(), None);
    }
}

#[sqlx::test(migrator = "crate::support::MIGRATED")]
async fn memory_is_bounded(pool: PgPool) {
    let database = caching(&pool, SessionCache::exact().capacity(100)).await;
    let user = new_user(&database).await;
    for _ in 0..500 {
        let session = new_session(&database, &user.id).await;
        warm(&database, &session.token).await.unwrap();
    }
    assert!(stats(&database).entries <= 100, "{:?}", stats(&database));
    let large = CreateSession::new(&user.id, Utc::now() + TimeDelta::hours(1))
        .with_user_agent("x".repeat(1 << 20));
    let large = database.create_session(large).await.unwrap();
    let hits = stats(&database).hits;
    for _ in 0..2 {
        let found = database.get_session(&large.token).await.unwrap();
        assert_eq!(found.as_ref(), Some(&large));
    }
    assert_eq!(stats(&database).hits, hits, "too large");
}
