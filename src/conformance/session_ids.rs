//! Promises about `delete_session_by_id`.

use super::{Adapter, assert_eq, assert_listed, new_session, new_user};

pub(super) async fn delete_ends_one_session_of_the_user(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let session = new_session(&adapter, &user).await;
    let kept = new_session(&adapter, &user).await;
    let others = new_session(&adapter, &other).await;
    for _ in 0..2 {
        let deleted = adapter.delete_session_by_id(&user.id, &session.id).await;
        deleted.unwrap();
        assert_eq!(adapter.get_session(&session.token).await.unwrap(), None);
        let listed = adapter.get_user_sessions(&user.id).await.unwrap();
        assert_listed(&listed, std::slice::from_ref(&kept));
        let listed = adapter.get_user_sessions(&other.id).await.unwrap();
        assert_listed(&listed, std::slice::from_ref(&others));
    }
}

pub(super) async fn a_session_of_another_user_stays(adapter: Adapter) {
    let (user, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let session = new_session(&adapter, &user).await;
    for (user_id, id) in [
        (other.id.as_str(), session.id.as_str()),
        ("unknown", &session.id),
        (&user.id, &session.token),
        (&user.id, "unknown"),
        (&user.id, "a\0b"),
        ("a\0b", &session.id),
    ] {
        adapter.delete_session_by_id(user_id, id).await.unwrap();
    }
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, Some(session));
}
