//! Promises about sessions.

use super::{
    Adapter, an_hour_ago, assert_eq, assert_error, assert_listed, at_once, digests, in_an_hour,
    new_session, new_user,
};
use crate::AuthError;
use crate::types::{CreateSession, Session};

pub(super) async fn create_returns_what_every_get_returns(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, Some(session.clone()));
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, &[session]);
    assert_eq!(adapter.get_session("nothing").await.unwrap(), None);
}

pub(super) async fn create_needs_the_user(adapter: Adapter) {
    assert_error!(
        adapter
            .create_session(CreateSession::new("nobody", in_an_hour()))
            .await,
        AuthError::UserNotFound
    );
}

pub(super) async fn create_keeps_every_field(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let create = CreateSession::new(&user.id, user.created_at + chrono::TimeDelta::days(1))
        .with_ip_address("2001:db8::1")
        .with_user_agent("Mozilla/5.0")
        .with_impersonated_by("admin")
        .with_active_organization_id("organization");
    let session = adapter.create_session(create.clone()).await.unwrap();
    let expected = Session {
        id: session.id.clone(),
        expires_at: create.expires_at,
        token: session.token.clone(),
        ip_address: create.ip_address,
        user_agent: create.user_agent,
        user_id: user.id,
        impersonated_by: create.impersonated_by,
        active_organization_id: create.active_organization_id,
        active: true,
        created_at: session.created_at,
        updated_at: session.created_at,
    };
    assert_eq!(session, expected);
}

pub(super) async fn only_live_sessions_are_found(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let dead = CreateSession::new(&user.id, an_hour_ago());
    let dead = adapter.create_session(dead).await.unwrap();
    assert_eq!(adapter.get_session(&dead.token).await.unwrap(), None);
    assert_eq!(
        adapter.get_session_with_user(&dead.token).await.unwrap(),
        None
    );
    // By the clock of the store, which need not be this machine's.
    let ending = dead.created_at + chrono::TimeDelta::milliseconds(300);
    let ending = CreateSession::new(&user.id, ending);
    let ending = adapter.create_session(ending).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    assert_eq!(adapter.get_session(&ending.token).await.unwrap(), None);
}

pub(super) async fn list_is_newest_first_and_complete(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let mut sessions = Vec::new();
    for _ in 0..120 {
        sessions.push(new_session(&adapter, &user).await);
    }
    sessions.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, &sessions);
    let other = new_user(&adapter).await;
    assert_eq!(adapter.get_user_sessions(&other.id).await.unwrap(), []);
    assert_eq!(adapter.get_user_sessions("nobody").await.unwrap(), []);
}

pub(super) async fn list_leaves_out_dead_sessions(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let live = new_session(&adapter, &user).await;
    let dead = CreateSession::new(&user.id, an_hour_ago());
    adapter.create_session(dead).await.unwrap();
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, &[live]);
}

pub(super) async fn expiry_moves(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let later = session.expires_at + chrono::TimeDelta::days(1);
    adapter
        .update_session_expiry(&session.token, later)
        .await
        .unwrap();
    let extended = adapter.get_session(&session.token).await.unwrap().unwrap();
    let expected = Session {
        expires_at: later,
        updated_at: extended.updated_at,
        ..session.clone()
    };
    assert_eq!(extended, expected);
    adapter
        .update_session_expiry(&session.token, an_hour_ago())
        .await
        .unwrap();
    assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
}

pub(super) async fn a_dead_session_is_never_revived(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    adapter
        .update_session_expiry(&session.token, an_hour_ago())
        .await
        .unwrap();
    assert_error!(
        adapter
            .update_session_expiry(&session.token, in_an_hour())
            .await,
        AuthError::SessionNotFound
    );
    assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
}

pub(super) async fn unknown_sessions_cannot_be_extended(adapter: Adapter) {
    assert_error!(
        adapter.update_session_expiry("nothing", in_an_hour()).await,
        AuthError::SessionNotFound
    );
}

pub(super) async fn delete_ends_one_session(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let kept = new_session(&adapter, &user).await;
    adapter.delete_session(&session.token).await.unwrap();
    adapter.delete_session(&session.token).await.unwrap();
    assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, &[kept]);
}

pub(super) async fn delete_ends_all_sessions_of_one_user(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let other = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    new_session(&adapter, &user).await;
    let kept = new_session(&adapter, &other).await;
    adapter.delete_user_sessions(&user.id).await.unwrap();
    adapter.delete_user_sessions("nobody").await.unwrap();
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
    assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
    assert_eq!(adapter.get_session(&kept.token).await.unwrap(), Some(kept));
    new_session(&adapter, &user).await;
}

pub(super) async fn delete_takes_expired_sessions_too(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    for owner in [&user, &user, &other] {
        let dead = CreateSession::new(&owner.id, an_hour_ago());
        adapter.create_session(dead).await.unwrap();
    }
    let moved = new_session(&adapter, &user).await;
    adapter
        .update_session_expiry(&moved.token, an_hour_ago())
        .await
        .unwrap();
    adapter.delete_user_sessions(&user.id).await.unwrap();
    let left = adapter.delete_expired_sessions().await.unwrap();
    assert_eq!(left, 1, "only the other user's session is left");
}

pub(super) async fn expired_sessions_are_removed(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let live = new_session(&adapter, &user).await;
    let dead = at_once(4, |_| {
        let adapter = adapter.clone();
        let dead = CreateSession::new(&user.id, an_hour_ago());
        async move {
            for _ in 0..260 {
                adapter.create_session(dead.clone()).await.unwrap();
            }
        }
    });
    dead.await;
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 1040);
    assert_eq!(adapter.delete_expired_sessions().await.unwrap(), 0);
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, &[live]);
}

pub(super) async fn no_session_survives_its_user(adapter: Adapter) {
    for _ in 0..10 {
        let user = new_user(&adapter).await;
        let answers = at_once(6, |index| {
            let adapter = adapter.clone();
            let user = user.clone();
            async move {
                if index == 3 {
                    adapter.delete_user(&user.id).await.unwrap();
                    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
                    return None;
                }
                let session = CreateSession::new(&user.id, in_an_hour());
                match adapter.create_session(session).await {
                    Ok(session) => Some(session),
                    Err(AuthError::UserNotFound) => None,
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await;
        for session in answers.into_iter().flatten() {
            assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
        }
    }
}

pub(super) async fn session_with_user(adapter: Adapter) {
    let create = crate::types::CreateUser::new()
        .with_email("a@example.com")
        .with_username("A")
        .with_name("Ada")
        .with_metadata(crate::types::Metadata::from_iter([(
            "a".to_owned(),
            1.into(),
        )]));
    let user = adapter.create_user(create).await.unwrap();
    new_user(&adapter).await;
    let session = CreateSession::new(&user.id, in_an_hour()).with_ip_address("192.0.2.1");
    let session = adapter.create_session(session).await.unwrap();
    let found = adapter.get_session_with_user(&session.token).await.unwrap();
    assert_eq!(found, Some((session, user)));
    assert_eq!(
        adapter.get_session_with_user("nothing").await.unwrap(),
        None
    );
}

pub(super) async fn what_a_list_shows_can_be_deleted(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(new_session(&adapter, &user).await);
    }
    while let [shown, ..] = adapter
        .get_user_sessions(&user.id)
        .await
        .unwrap()
        .as_slice()
    {
        adapter.delete_session(&shown.token).await.unwrap();
        sessions.retain(|session| session.id != shown.id);
        let listed = adapter.get_user_sessions(&user.id).await.unwrap();
        assert_eq!(listed.len(), sessions.len());
        for session in &sessions {
            let found = adapter.get_session(&session.token).await.unwrap();
            assert_eq!(found.as_ref(), Some(session));
        }
    }
    assert!(sessions.is_empty(), "a session was listed no more");
}

pub(super) async fn a_digest_opens_nothing(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_listed(&listed, std::slice::from_ref(&session));
    let shown = listed.into_iter().map(|session| session.token);
    for digest in digests().chain(shown.filter(|token| token.starts_with("sha256:"))) {
        assert_eq!(adapter.get_session(&digest).await.unwrap(), None);
        assert_eq!(adapter.get_session_with_user(&digest).await.unwrap(), None);
        assert_error!(
            adapter.update_session_expiry(&digest, in_an_hour()).await,
            AuthError::SessionNotFound
        );
    }
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, Some(session));
}

pub(super) async fn delete_keeps_one_session(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let kept = new_session(&adapter, &user).await;
    for _ in 0..3 {
        new_session(&adapter, &user).await;
    }
    let expired = CreateSession::new(&user.id, an_hour_ago());
    adapter.create_session(expired).await.unwrap();
    let others = new_session(&adapter, &other).await;
    for live in [3, 0] {
        let deleted = adapter.delete_other_sessions(&user.id, &kept.token).await;
        assert_eq!(deleted.unwrap(), live);
        let listed = adapter.get_user_sessions(&user.id).await.unwrap();
        assert_listed(&listed, std::slice::from_ref(&kept));
    }
    let found = adapter.get_session(&others.token).await.unwrap();
    assert_eq!(found, Some(others));
    // A token that is nobody's, or another user's, keeps nothing.
    for token in ["unknown", "a\0b", &kept.token] {
        new_session(&adapter, &other).await;
        let live = adapter.get_user_sessions(&other.id).await.unwrap().len();
        let deleted = adapter.delete_other_sessions(&other.id, token).await;
        assert_eq!(deleted.unwrap(), live);
    }
    for user_id in ["unknown", "a\0b"] {
        let deleted = adapter.delete_other_sessions(user_id, &kept.token).await;
        assert_eq!(deleted.unwrap(), 0);
    }
    let found = adapter.get_session(&kept.token).await.unwrap();
    assert_eq!(found, Some(kept));
}
