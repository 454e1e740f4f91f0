//! Rows by the thousand: what is removed at once is gone at once, and leaves nothing behind.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::{CreateSession, CreateUser, CreateVerification, Session, transaction};
use chrono::{TimeDelta, Utc};

const MANY: usize = 3000;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

async fn open_sessions(
    database: &dyn DatabaseAdapter,
    user_id: &str,
    count: usize,
) -> Vec<Session> {
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        let session = CreateSession::new(user_id, Utc::now() + TimeDelta::hours(1));
        sessions.push(database.create_session(session).await.unwrap());
    }
    sessions
}

async fn create_user(database: &dyn DatabaseAdapter, id: &str) {
    let user = CreateUser::new().with_id(id);
    database.create_user(user).await.unwrap();
}

fn sizes(database: &MemoryDatabaseAdapter) -> String {
    format!("{database:?}")
}

#[test]
fn all_sessions_of_a_user_go_at_once() {
    let database = MemoryDatabaseAdapter::new();
    for by_delete_user in [true, false] {
        let sessions = block_on(async {
            create_user(&database, "1").await;
            open_sessions(&database, "1", MANY).await
        });
        let deleted = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    block_on(async {
                        let mut gone = false;
                        while !deleted.load(Ordering::Acquire) {
                            for session in sessions.iter().step_by(97) {
                                let found = database.get_session(&session.token).await.unwrap();
                                assert!(found.is_none() || !gone, "some went before others");
                                gone |= found.is_none();
                            }
                        }
                    });
                });
            }
            block_on(async {
                if by_delete_user {
                    database.delete_user("1").await.unwrap();
                } else {
                    database.delete_user_sessions("1").await.unwrap();
                }
            });
            deleted.store(true, Ordering::Release);
        });
        block_on(async {
            assert_eq!(database.get_user_sessions("1").await.unwrap(), []);
            assert_eq!(database.delete_expired_sessions().await.unwrap(), 0);
            for session in sessions {
                assert_eq!(database.get_session(&session.token).await.unwrap(), None);
            }
            database.delete_user("1").await.unwrap();
        });
        let empty = sizes(&MemoryDatabaseAdapter::new());
        assert_eq!(sizes(&database), empty);
    }
}

#[test]
fn whoever_has_the_id_next_keeps_the_sessions() {
    let database = MemoryDatabaseAdapter::new();
    block_on(async {
        create_user(&database, "1").await;
        open_sessions(&database, "1", MANY).await;
    });
    thread::scope(|scope| {
        scope.spawn(|| block_on(database.delete_user("1")).unwrap());
        let sessions = block_on(async {
            let user = CreateUser::new().with_id("1");
            // The id is free while the sessions of the user before may still be there.
            while database.create_user(user.clone()).await.is_err() {
                tokio::task::yield_now().await;
            }
            open_sessions(&database, "1", 50).await
        });
        let tokens: HashSet<_> = sessions.iter().map(|session| &session.token).collect();
        for _ in 0..100 {
            let listed = block_on(database.get_user_sessions("1")).unwrap();
            let listed: HashSet<_> = listed.iter().map(|session| &session.token).collect();
            assert_eq!(listed, tokens);
        }
    });
    assert!(sizes(&database).contains("sessions: 50"), "{database:?}");
}

#[test]
fn a_commit_removes_all_sessions_of_a_user() {
    let database = MemoryDatabaseAdapter::new();
    block_on(async {
        create_user(&database, "1").await;
        open_sessions(&database, "1", MANY).await;
        let done: better_auth::AuthResult<()> = transaction(&database, |tx| async move {
            tx.delete_user_sessions("1").await?;
            assert_eq!(tx.get_user_sessions("1").await?, []);
            Ok(())
        })
        .await;
        done.unwrap();
        assert_eq!(database.get_user_sessions("1").await.unwrap(), []);
    });
    assert!(sizes(&database).contains("sessions: 0"), "{database:?}");
}

#[test]
fn a_live_verification_is_found_among_expired_ones() {
    let database = MemoryDatabaseAdapter::new();
    block_on(async {
        let mut live = None;
        for number in 0..MANY {
            let is_live = number == MANY / 3;
            let expires_at = Utc::now() + TimeDelta::hours(if is_live { 1 } else { -1 });
            let create = CreateVerification::new("a", number.to_string(), expires_at);
            let created = database.create_verification(create).await.unwrap();
            live = live.or(is_live.then_some(created));
        }
        let found = database.get_verification_by_identifier("a").await.unwrap();
        assert_eq!(found, live);
        let removed = database.delete_expired_verifications().await.unwrap();
        assert_eq!(removed, MANY - 1);
        let found = database.get_verification_by_identifier("a").await.unwrap();
        assert_eq!(found, live);
        database
            .delete_verification(&live.unwrap().id)
            .await
            .unwrap();
        let found = database.get_verification_by_identifier("a").await.unwrap();
        assert_eq!(found, None);
    });
}
