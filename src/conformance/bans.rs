//! Promises about `ban_user`.

use chrono::Utc;

use super::{
    Adapter, an_hour_ago, assert_eq, assert_error, assert_refused, at_once, in_an_hour,
    new_session, new_user,
};
use crate::AuthError;
use crate::types::{CreateSession, User};

pub(super) async fn a_ban_ends_all_sessions(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    for _ in 0..3 {
        new_session(&adapter, &user).await;
    }
    let expired = CreateSession::new(&user.id, an_hour_ago());
    adapter.create_session(expired).await.unwrap();
    let kept = new_session(&adapter, &other).await;

    let until = in_an_hour();
    let reason = Some("spam".to_owned());
    let banned = adapter.ban_user(&user.id, reason.clone(), Some(until));
    let banned = banned.await.unwrap();
    assert!(banned.updated_at > user.updated_at);
    let expected = User {
        banned: true,
        ban_reason: reason,
        ban_expires: banned.ban_expires,
        updated_at: banned.updated_at,
        ..user.clone()
    };
    assert_eq!(banned, expected);
    assert!(banned.is_banned_at(Utc::now()) && !banned.is_banned_at(until));
    let found = adapter.get_user_by_id(&user.id).await.unwrap();
    assert_eq!(found, Some(banned));
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 0);
    let found = adapter.get_session_with_user(&kept.token).await.unwrap();
    assert_eq!(found, Some((kept, other)));

    let later = new_session(&adapter, &user).await;
    let found = adapter.get_session_with_user(&later.token).await.unwrap();
    assert!(found.is_some_and(|(_, user)| user.is_banned_at(Utc::now())));
}

pub(super) async fn a_ban_replaces_the_one_before(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let reason = Some("spam".to_owned());
    let ban = adapter.ban_user(&user.id, reason, Some(in_an_hour()));
    ban.await.unwrap();
    let banned = adapter.ban_user(&user.id, None, None).await.unwrap();
    let state = (banned.banned, banned.ban_reason, banned.ban_expires);
    assert_eq!(state, (true, None, None));
    let unbanned = adapter.unban_user(&user.id).await.unwrap();
    assert_eq!(unbanned.banned, false);
}

pub(super) async fn impossible_bans_are_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let nul = Some("a\0b".to_owned());
    let too_early = "-5000-01-01T00:00:00Z".parse().unwrap();
    for id in [user.id.as_str(), "unknown"] {
        let banned = adapter.ban_user(id, nul.clone(), None).await;
        assert_refused("ban_reason", banned);
        let banned = adapter.ban_user(id, None, Some(too_early)).await;
        assert_refused("ban_expires", banned);
    }
    for id in ["unknown", "a\0b", &"x".repeat(5000)] {
        assert_error!(
            adapter.ban_user(id, None, None).await,
            AuthError::UserNotFound
        );
    }
    let found = adapter.get_session_with_user(&session.token).await.unwrap();
    assert_eq!(found, Some((session, user)));
}

pub(super) async fn a_check_sees_the_ban(adapter: Adapter) {
    for _ in 0..5 {
        let user = new_user(&adapter).await;
        let tokens = at_once(9, |index| {
            let (adapter, user) = (adapter.clone(), user.clone());
            async move {
                if index == 4 {
                    adapter.ban_user(&user.id, None, None).await.unwrap();
                    return None;
                }
                let session = CreateSession::new(&user.id, in_an_hour());
                Some(adapter.create_session(session).await.unwrap().token)
            }
        })
        .await;
        for token in tokens.into_iter().flatten() {
            let found = adapter.get_session_with_user(&token).await.unwrap();
            assert!(found.is_none_or(|(_, user)| user.is_banned_at(Utc::now())));
        }
        adapter.ban_user(&user.id, None, None).await.unwrap();
        assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
    }
}
