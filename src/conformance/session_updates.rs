//! Promises about `update_session`.

use super::{
    Adapter, an_hour_ago, assert_eq, assert_error, assert_listed, assert_refused, digests,
    each_with, in_an_hour, new_session, new_user,
};
use crate::AuthError;
use crate::types::{Session, UpdateSession};

fn active(active: bool) -> UpdateSession {
    UpdateSession {
        active: Some(active),
        ..UpdateSession::default()
    }
}

pub(super) async fn update_sets_every_column(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let text = |text: &str| Some(Some(text.to_owned()));
    let update = UpdateSession {
        expires_at: Some(session.expires_at + chrono::TimeDelta::days(1)),
        ip_address: text("192.0.2.1"),
        user_agent: text("agent"),
        impersonated_by: text("admin"),
        active_organization_id: text("organization"),
        active: Some(true),
    };
    let updated = adapter
        .update_session(&session.token, update.clone())
        .await
        .unwrap();
    let expected = Session {
        expires_at: session.expires_at + chrono::TimeDelta::days(1),
        ip_address: update.ip_address.flatten(),
        user_agent: update.user_agent.flatten(),
        impersonated_by: update.impersonated_by.flatten(),
        active_organization_id: update.active_organization_id.flatten(),
        updated_at: updated.updated_at,
        ..session.clone()
    };
    assert_eq!(updated, expected);
    assert!(updated.updated_at > session.updated_at);
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found.as_ref(), Some(&updated));
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, std::slice::from_ref(&updated));
    let same = adapter
        .update_session(&session.token, UpdateSession::default())
        .await
        .unwrap();
    assert_eq!(same, updated);
    let to_null = UpdateSession {
        active_organization_id: Some(None),
        ..UpdateSession::default()
    };
    let updated = adapter
        .update_session(&session.token, to_null)
        .await
        .unwrap();
    assert_eq!(updated.active_organization_id, None);
    assert_eq!(updated.user_agent.as_deref(), Some("agent"));
}

pub(super) async fn update_needs_a_live_session(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let ended = adapter
        .update_session(&session.token, active(false))
        .await
        .unwrap();
    assert!(!ended.active);
    assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
    for update in [active(true), UpdateSession::default()] {
        assert_error!(
            adapter.update_session(&session.token, update).await,
            AuthError::SessionNotFound
        );
    }
    assert_error!(
        adapter
            .update_session_expiry(&session.token, in_an_hour())
            .await,
        AuthError::SessionNotFound
    );
}

pub(super) async fn update_may_end_in_the_past(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let expiry = |time| UpdateSession {
        expires_at: Some(time),
        ..UpdateSession::default()
    };
    adapter
        .update_session(&session.token, expiry(an_hour_ago()))
        .await
        .unwrap();
    assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
    assert_error!(
        adapter
            .update_session(&session.token, expiry(in_an_hour()))
            .await,
        AuthError::SessionNotFound
    );
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 1);
}

pub(super) async fn ended_sessions_are_removed(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let live = new_session(&adapter, &user).await;
    for _ in 0..3 {
        let ended = new_session(&adapter, &user).await;
        adapter
            .update_session(&ended.token, active(false))
            .await
            .unwrap();
    }
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 3);
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 0);
    assert_eq!(adapter.get_session(&live.token).await.unwrap(), Some(live));
}

pub(super) async fn delete_takes_ended_sessions_too(adapter: Adapter) {
    let user = new_user(&adapter).await;
    for _ in 0..2 {
        let ended = new_session(&adapter, &user).await;
        adapter
            .update_session(&ended.token, active(false))
            .await
            .unwrap();
    }
    adapter.delete_user_sessions(&user.id).await.unwrap();
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 0);
}

pub(super) async fn unknown_sessions_cannot_be_updated(adapter: Adapter) {
    for token in ["nothing".to_owned(), "a\0b".to_owned(), "x".repeat(5000)] {
        for update in [UpdateSession::default(), active(true)] {
            assert_error!(
                adapter.update_session(&token, update).await,
                AuthError::SessionNotFound
            );
        }
    }
}

pub(super) async fn impossible_input_is_refused(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    for token in ["nothing", &session.token] {
        let updates = each_with!(
            active(false), Some(Some("a\0b".to_owned())) => UpdateSession {
                ip_address, user_agent, impersonated_by, active_organization_id;
                expires_at, active
            }
        );
        for (field, update) in updates {
            assert_refused(field, adapter.update_session(token, update).await);
        }
        let expiry = UpdateSession {
            expires_at: Some(chrono::DateTime::<chrono::Utc>::MIN_UTC),
            ..active(false)
        };
        assert_error!(
            adapter.update_session(token, expiry).await,
            AuthError::Validation {
                field: "expires_at",
                ..
            }
        );
    }
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, Some(session));
}

pub(super) async fn a_digest_changes_nothing(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    let shown = listed.into_iter().map(|session| session.token);
    for digest in digests().chain(shown.filter(|token| token.starts_with("sha256:"))) {
        for update in [UpdateSession::default(), active(false)] {
            assert_error!(
                adapter.update_session(&digest, update).await,
                AuthError::SessionNotFound
            );
        }
    }
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, Some(session));
}
