//! Promises about `refresh_session`.

use std::time::Duration;

use chrono::TimeDelta;

use super::{
    Adapter, an_hour_ago, assert_eq, assert_refused, at_once, digests, in_an_hour, new_session,
    new_user,
};
use crate::types::CreateSession;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(super) async fn a_due_session_is_extended(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let other = new_session(&adapter, &user).await;
    let refreshed = adapter.refresh_session(&session.token, WEEK, DAY).await;
    let (extended, found) = refreshed.unwrap().unwrap();
    assert_eq!(found, user);
    let lifetime = extended.expires_at - extended.updated_at;
    assert!(
        (lifetime - TimeDelta::days(7)).abs() < TimeDelta::minutes(1),
        "the session now lives for {lifetime}"
    );
    assert!(extended.updated_at > session.updated_at);
    let mut expected = session;
    expected.expires_at = extended.expires_at;
    expected.updated_at = extended.updated_at;
    assert_eq!(extended, expected);
    let found = adapter.get_session(&extended.token).await.unwrap();
    assert_eq!(found, Some(extended));
    let found = adapter.get_session(&other.token).await.unwrap();
    assert_eq!(found, Some(other));
}

pub(super) async fn a_session_that_is_not_due_stays(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for days in [7, 30] {
        let end = in_an_hour() + TimeDelta::days(days);
        let session = CreateSession::new(&user.id, end);
        let session = adapter.create_session(session).await.unwrap();
        let expected = Some((session.clone(), user.clone()));
        for update_age in [DAY, WEEK] {
            let refreshed = adapter
                .refresh_session(&session.token, WEEK, update_age)
                .await;
            assert_eq!(refreshed.unwrap(), expected);
        }
        let found = adapter.get_session(&session.token).await.unwrap();
        assert_eq!(found, Some(session));
    }
    // An age of zero extends whatever it can, and shortens nothing.
    let session = new_session(&adapter, &user).await;
    let short = Duration::from_secs(60);
    for lifetime in [short, WEEK, short] {
        let before = adapter.get_session(&session.token).await.unwrap().unwrap();
        let refreshed = adapter
            .refresh_session(&session.token, lifetime, Duration::ZERO)
            .await;
        let (refreshed, _) = refreshed.unwrap().unwrap();
        assert_eq!(refreshed.expires_at > before.expires_at, lifetime == WEEK);
        assert!(refreshed.expires_at >= before.expires_at);
    }
}

pub(super) async fn a_dead_session_is_never_revived(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let expired = CreateSession::new(&user.id, an_hour_ago());
    let expired = adapter.create_session(expired).await.unwrap();
    let deleted = new_session(&adapter, &user).await;
    adapter.delete_session(&deleted.token).await.unwrap();
    let unknown = ["", "unknown", "a\0b"].map(str::to_owned);
    let dead = [expired.token, deleted.token];
    for token in dead.into_iter().chain(unknown).chain(digests()) {
        let refreshed = adapter.refresh_session(&token, WEEK, DAY).await.unwrap();
        assert_eq!(refreshed, None);
    }
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
}

pub(super) async fn impossible_ages_are_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let nanosecond = Duration::from_nanos(1);
    for (field, lifetime, update_age) in [
        ("lifetime", Duration::ZERO, Duration::ZERO),
        ("lifetime", nanosecond, Duration::ZERO),
        ("lifetime", Duration::MAX, DAY),
        ("update_age", DAY, WEEK),
        ("update_age", DAY, Duration::MAX),
    ] {
        for token in [session.token.as_str(), "unknown"] {
            let refreshed = adapter.refresh_session(token, lifetime, update_age).await;
            assert_refused(field, refreshed);
        }
    }
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, Some(session));
}

pub(super) async fn one_of_many_extends(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for _ in 0..5 {
        let session = new_session(&adapter, &user).await;
        let answers = at_once(12, |_| {
            let (adapter, token) = (adapter.clone(), session.token.clone());
            async move { adapter.refresh_session(&token, WEEK, DAY).await }
        })
        .await;
        let found = adapter.get_session(&session.token).await.unwrap().unwrap();
        assert!(found.expires_at > session.expires_at);
        for answer in answers {
            let (read, _) = answer.unwrap().unwrap();
            assert!(
                read == session || read == found,
                "the session was extended twice"
            );
        }
    }
}

pub(super) async fn a_sign_out_wins(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for _ in 0..5 {
        let session = new_session(&adapter, &user).await;
        at_once(9, |index| {
            let (adapter, token) = (adapter.clone(), session.token.clone());
            async move {
                if index == 4 {
                    adapter.delete_session(&token).await.unwrap();
                } else {
                    adapter.refresh_session(&token, WEEK, DAY).await.unwrap();
                }
            }
        })
        .await;
        let found = adapter.get_session(&session.token).await.unwrap();
        assert_eq!(found, None);
        let found = adapter.refresh_session(&session.token, WEEK, DAY).await;
        assert_eq!(found.unwrap(), None);
    }
    let end = CreateSession::new(&user.id, in_an_hour());
    assert!(adapter.create_session(end).await.is_ok());
}
