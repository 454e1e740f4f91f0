//! Rows by the thousand: what is removed at once is gone at once, and leaves nothing behind.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::types::CodeCheck;
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
fn other_sessions_of_a_user_go_at_once() {
    let database = MemoryDatabaseAdapter::new();
    for kept_is_oldest in [true, false] {
        let sessions = block_on(async {
            create_user(&database, "1").await;
            let sessions = open_sessions(&database, "1", MANY).await;
            let expired = CreateSession::new("1", Utc::now() - TimeDelta::hours(1));
            database.create_session(expired).await.unwrap();
            sessions
        });
        let kept = if kept_is_oldest {
            sessions.first()
        } else {
            sessions.get(MANY / 2)
        };
        let kept = kept.unwrap();
        let counts = thread::scope(|scope| {
            let delete = || block_on(database.delete_other_sessions("1", &kept.token)).unwrap();
            let all = [(); 3].map(|()| scope.spawn(delete));
            all.map(|thread| thread.join().unwrap())
        });
        assert_eq!(counts.iter().sum::<usize>(), MANY - 1, "{counts:?}");
        block_on(async {
            let listed = database.get_user_sessions("1").await.unwrap();
            assert_eq!(listed, std::slice::from_ref(kept));
            let found = database.get_session(&kept.token).await.unwrap();
            assert_eq!(found.as_ref(), Some(kept));
        });
        assert!(sizes(&database).contains("sessions: 1"), "{database:?}");
        block_on(async {
            let more = open_sessions(&database, "1", MANY).await;
            // A token of nobody's spares none.
            let ended = database.delete_other_sessions("1", "unknown").await;
            assert_eq!(ended.unwrap(), more.len() + 1);
            database.delete_user("1").await.unwrap();
        });
        assert_eq!(sizes(&database), sizes(&MemoryDatabaseAdapter::new()));
    }
}

#[test]
fn one_session_of_many_is_deleted_by_its_id() {
    let database = MemoryDatabaseAdapter::new();
    block_on(async {
        create_user(&database, "1").await;
        create_user(&database, "2").await;
        let mut sessions = open_sessions(&database, "1", MANY).await;
        let transaction = database.begin().await.unwrap();
        for index in [MANY - 1, MANY - 257, MANY / 2, 0] {
            let ended = sessions.remove(index);
            let found = |token: String| {
                let database = database.clone();
                async move { database.get_session(&token).await.unwrap().is_some() }
            };
            database.delete_session_by_id("2", &ended.id).await.unwrap();
            assert!(found(ended.token.clone()).await, "of another user");
            transaction
                .delete_session_by_id("1", &ended.id)
                .await
                .unwrap();
            let inside = transaction.get_session(&ended.token).await.unwrap();
            assert!(inside.is_none() && found(ended.token.clone()).await);
            database.delete_session_by_id("1", &ended.id).await.unwrap();
            assert!(!found(ended.token).await);
        }
        transaction.commit().await.unwrap();
        let listed = database.get_user_sessions("1").await.unwrap();
        assert_eq!(listed.len(), sessions.len());
    });
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

#[test]
fn an_expired_marker_is_set_once_while_it_goes() {
    let database = MemoryDatabaseAdapter::new();
    let reserve = |number: usize, hours| {
        let (value, end) = (number.to_string(), Utc::now() + TimeDelta::hours(hours));
        block_on(database.reserve_verification("a", &value, end)).unwrap()
    };
    for _ in 0..3 {
        for number in 0..MANY {
            assert!(reserve(number, -1));
        }
        let ended = AtomicBool::new(false);
        let set = thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Acquire) {
                    block_on(database.delete_expired_verifications()).unwrap();
                }
            });
            let reserving = [(); 2].map(|()| {
                scope.spawn(|| {
                    let twice =
                        |number| usize::from(reserve(number, 1)) + usize::from(reserve(number, 1));
                    (0..MANY).rev().map(twice).collect::<Vec<usize>>()
                })
            });
            let set = reserving.map(|thread| thread.join().unwrap());
            ended.store(true, Ordering::Release);
            set
        });
        let [one, other] = set;
        for (number, (one, other)) in one.into_iter().zip(other).enumerate() {
            assert_eq!(one + other, 1, "callers who set marker {number}");
        }
        block_on(database.delete_verifications_by_identifier("a")).unwrap();
    }
    assert_eq!(sizes(&database), sizes(&MemoryDatabaseAdapter::new()));
}

#[test]
fn the_newest_code_is_checked_among_many() {
    let database = MemoryDatabaseAdapter::new();
    let create = |value: &str, hours| {
        let end = Utc::now() + TimeDelta::hours(hours);
        let create = CreateVerification::new("a", value, end);
        block_on(database.create_verification(create)).unwrap()
    };
    let check = |value: &str| block_on(database.check_code("a", value, 2)).unwrap();
    for number in 0..MANY {
        create(&number.to_string(), if number % 2 == 0 { 1 } else { -1 });
    }
    // The newest one has expired, the one before has not.
    let newest = (MANY - 2).to_string();
    assert_eq!(check("0"), CodeCheck::Wrong { attempts_left: 1 });
    assert_eq!(check("0"), CodeCheck::TooManyAttempts);
    assert_eq!(check(&newest), CodeCheck::TooManyAttempts);
    let older = block_on(database.get_verification_by_identifier("a")).unwrap();
    assert_eq!(older.unwrap().value, (MANY - 4).to_string());
    let right = create("right", 1);
    create("expired", -1);
    assert_eq!(check("right"), CodeCheck::Accepted(right));
    assert_eq!(check("0"), CodeCheck::NotFound);
    assert_eq!(sizes(&database), sizes(&MemoryDatabaseAdapter::new()));
}
