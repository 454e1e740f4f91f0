//! Promises about times, text and futures.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::{
    Adapter, account_of, an_hour_ago, assert_eq, at_once, code, expired_code, in_an_hour,
    new_session, new_user,
};
use crate::AuthError;
use crate::types::{CreateSession, CreateUser, Removed, UpdateUser};

const HOSTILE: &str = "'; DROP TABLE users; -- \" % _ \\ \\0 $1 {} \r\n\t \u{202e}\u{1f600}";

pub(super) async fn times_are_kept_to_the_microsecond(adapter: Adapter) {
    let user = new_user(&adapter).await;
    assert_eq!(user.created_at, user.created_at.trunc_subsecs(6));
    let expires_at = in_an_hour().trunc_subsecs(6);
    let finer = expires_at + TimeDelta::nanoseconds(999);
    let session = adapter
        .create_session(CreateSession::new(&user.id, finer))
        .await
        .unwrap();
    assert_eq!(session.expires_at, expires_at);
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, Some(session));

    let before_1970: DateTime<Utc> = "1901-02-03T04:05:06.123456Z".parse().unwrap();
    let update = UpdateUser {
        ban_expires: Some(Some(before_1970 + TimeDelta::nanoseconds(500))),
        ..UpdateUser::default()
    };
    let user = adapter.update_user(&user.id, update).await.unwrap();
    assert_eq!(user.ban_expires, Some(before_1970));
}

pub(super) async fn times_may_be_the_furthest(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = CreateSession::new(&user.id, DateTime::<Utc>::MAX_UTC);
    let session = adapter.create_session(session).await.unwrap();
    assert_eq!(
        session.expires_at,
        DateTime::<Utc>::MAX_UTC.trunc_subsecs(6)
    );
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, Some(session));
}

pub(super) async fn updated_at_moves_forward(adapter: Adapter) {
    let mut user = new_user(&adapter).await;
    assert_eq!(user.updated_at, user.created_at);
    for _ in 0..20 {
        let update = UpdateUser {
            role: Some(None),
            ..UpdateUser::default()
        };
        let updated = adapter.update_user(&user.id, update).await.unwrap();
        assert!(updated.updated_at > user.updated_at);
        assert_eq!(updated.created_at, user.created_at);
        user = updated;
    }
    let session = new_session(&adapter, &user).await;
    assert_eq!(session.updated_at, session.created_at);
    adapter
        .update_session_expiry(&session.token, in_an_hour())
        .await
        .unwrap();
    let updated = adapter.get_session(&session.token).await.unwrap().unwrap();
    assert!(updated.updated_at > session.updated_at);
}

pub(super) async fn text_is_data(adapter: Adapter) {
    let create = CreateUser::new()
        .with_id(HOSTILE)
        .with_name(HOSTILE)
        .with_email(HOSTILE)
        .with_username(HOSTILE);
    let user = adapter.create_user(create).await.unwrap();
    assert_eq!(user.id, HOSTILE);
    assert_eq!(user.name.as_deref(), Some(HOSTILE));
    assert_eq!(user.display_username.as_deref(), Some(HOSTILE));
    assert_eq!(
        adapter.get_user_by_email(HOSTILE).await.unwrap(),
        Some(user.clone())
    );
    for wildcard in ["%", "_", "%DROP%", ".*", ""] {
        assert_eq!(adapter.get_user_by_email(wildcard).await.unwrap(), None);
        assert_eq!(adapter.get_user_by_id(wildcard).await.unwrap(), None);
    }
    let verification = adapter
        .create_verification(code(HOSTILE, HOSTILE))
        .await
        .unwrap();
    assert_eq!(
        adapter.get_verification(HOSTILE, HOSTILE).await.unwrap(),
        Some(verification)
    );
}

pub(super) async fn text_may_be_megabytes(adapter: Adapter) {
    let long = "Grüße ".repeat(400_000);
    let user = adapter
        .create_user(CreateUser::new().with_name(&long).with_image(&long))
        .await
        .unwrap();
    assert_eq!(user.name.as_deref(), Some(long.as_str()));
    let session = CreateSession::new(&user.id, in_an_hour()).with_user_agent(&long);
    let session = adapter.create_session(session).await.unwrap();
    let found = adapter.get_session_with_user(&session.token).await.unwrap();
    assert_eq!(found, Some((session, user)));
}

pub(super) async fn secrets_do_not_show(adapter: Adapter) {
    const SECRET: &str = "hunter2";
    let mut metadata = crate::types::Metadata::new();
    metadata.insert("pin".to_owned(), SECRET.into());
    let user = adapter
        .create_user(CreateUser::new().with_metadata(metadata))
        .await
        .unwrap();
    let session = new_session(&adapter, &user).await;
    assert!(!format!("{session:?}").contains(&session.token));
    let account = account_of(&user, "1")
        .with_password(SECRET)
        .with_access_token(SECRET)
        .with_refresh_token(SECRET)
        .with_id_token(SECRET);
    let account = adapter.create_account(account).await.unwrap();
    let verification = adapter
        .create_verification(code("a", SECRET))
        .await
        .unwrap();
    let shown = format!("{user:?} {account:?} {verification:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    assert_eq!(shown.matches("[redacted]").count(), 6, "{shown}");
    let written = serde_json::to_string(&account).unwrap();
    assert!(!written.contains(SECRET), "{written}");
    assert!(written.contains("\"providerId\":\"github\""), "{written}");
    let written = serde_json::to_string(&session).unwrap();
    assert!(!written.contains(&session.token), "{written}");
    let written = serde_json::to_string(&verification).unwrap();
    assert!(!written.contains(SECRET), "{written}");
}

pub(super) async fn dropped_futures_leave_nothing_behind(adapter: Adapter) {
    let user = adapter
        .create_user(CreateUser::new().with_email("dropped@example.com"))
        .await
        .unwrap();
    let mut answered = Vec::new();
    for round in 0..100_u64 {
        let update = UpdateUser {
            email: Some(Some(format!("{round}@example.com"))),
            ..UpdateUser::default()
        };
        let patience = std::time::Duration::from_micros(round * 20);
        let _ = tokio::time::timeout(patience, adapter.update_user(&user.id, update)).await;
        let session = CreateSession::new(&user.id, in_an_hour());
        let session = tokio::time::timeout(patience, adapter.create_session(session)).await;
        answered.extend(session.into_iter().map(Result::unwrap));
    }
    let update = UpdateUser {
        email: Some(Some("last@example.com".to_owned())),
        ..UpdateUser::default()
    };
    let user = adapter.update_user(&user.id, update).await.unwrap();
    let found = adapter.get_user_by_email("last@example.com").await.unwrap();
    assert_eq!(found, Some(user.clone()));
    for session in answered {
        let found = adapter.get_session(&session.token).await.unwrap();
        assert_eq!(found, Some(session));
    }
    // Those that nobody heard of can be ended all the same.
    for session in adapter.get_user_sessions(&user.id).await.unwrap() {
        assert_eq!(session.user_id, user.id);
        adapter.delete_session(&session.token).await.unwrap();
    }
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
}

pub(super) async fn clean_up_removes_what_is_dead(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let verification = adapter.create_verification(code("a", "1")).await.unwrap();
    for _ in 0..3 {
        let dead = CreateSession::new(&user.id, an_hour_ago());
        adapter.create_session(dead).await.unwrap();
    }
    for _ in 0..2 {
        let dead = expired_code("a", "1");
        adapter.create_verification(dead).await.unwrap();
    }
    let removed = Removed {
        sessions: 3,
        verifications: 2,
    };
    for expected in [removed, Removed::default()] {
        assert_eq!(adapter.clean_up().await.unwrap(), expected);
    }
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 0);
    assert_eq!(adapter.delete_expired_verifications().await.unwrap(), 0);
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, Some(session));
    let found = adapter.get_verification("a", "1").await.unwrap();
    assert_eq!(found, Some(verification));
}

pub(super) async fn everything_at_once_stays_whole(adapter: Adapter) {
    let callers = at_once(8, |caller| {
        let adapter = adapter.clone();
        async move {
            for round in 0..15 {
                let email = format!("{}@example.com", (caller + round) % 3);
                let created = adapter
                    .create_user(CreateUser::new().with_email(&email))
                    .await;
                if let Err(error) = &created {
                    assert!(matches!(error, AuthError::Conflict { .. }), "{error}");
                }
                if let Some(user) = adapter.get_user_by_email(&email).await.unwrap() {
                    assert_eq!(user.email.as_deref(), Some(email.as_str()));
                    let session = CreateSession::new(&user.id, in_an_hour());
                    match adapter.create_session(session).await {
                        Ok(session) => {
                            let found = adapter.get_session_with_user(&session.token).await;
                            if let Some((_, user)) = found.unwrap() {
                                assert_eq!(user.id, session.user_id);
                            }
                        }
                        Err(error) => assert!(matches!(error, AuthError::UserNotFound), "{error}"),
                    }
                    if round % 3 == 0 {
                        adapter.delete_user(&user.id).await.unwrap();
                        assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
                    }
                }
            }
        }
    });
    tokio::time::timeout(std::time::Duration::from_secs(60), callers)
        .await
        .expect("nothing moves any more");
}
