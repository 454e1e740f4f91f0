//! Promises about `check_session`.

use std::time::Duration;

use super::{Adapter, an_hour_ago, assert_eq, assert_refused, digests, new_session, new_user};
use crate::types::{CheckSession, CheckedSession, CreateSession, Member, Session, User};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A check of a session that it does not extend.
pub(super) fn found(session: &Session, user: &User, member: Option<&Member>) -> CheckedSession {
    CheckedSession {
        session: session.clone(),
        user: user.clone(),
        member: member.cloned(),
        extended: false,
    }
}

pub(super) async fn a_check_finds_what_is_live(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let checked = adapter.check_session(&session.token, CheckSession::new());
    assert_eq!(checked.await.unwrap(), Some(found(&session, &user, None)));
    let expired = CreateSession::new(&user.id, an_hour_ago());
    let expired = adapter.create_session(expired).await.unwrap();
    let deleted = new_session(&adapter, &user).await;
    adapter.delete_session(&deleted.token).await.unwrap();
    let unknown = ["", "unknown", "a\0b"].map(str::to_owned);
    let dead = [expired.token, deleted.token].into_iter();
    for token in dead.chain(unknown).chain(digests()) {
        for check in [
            CheckSession::new(),
            CheckSession::new().with_refresh(WEEK, DAY),
        ] {
            let checked = adapter.check_session(&token, check).await.unwrap();
            assert_eq!(checked, None);
        }
    }
    let listed = adapter.get_user_sessions(&user.id).await.unwrap();
    assert_eq!(listed.len(), 1);
}

pub(super) async fn a_check_says_whether_it_extends(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = new_session(&adapter, &user).await;
    let check = CheckSession::new().with_refresh(WEEK, DAY);
    let checked = adapter.check_session(&session.token, check).await;
    let extended = checked.unwrap().unwrap();
    assert!(extended.extended && extended.session.expires_at > session.expires_at);
    let stored = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(stored, Some(extended.session.clone()));
    for check in [check, CheckSession::new()] {
        let checked = adapter.check_session(&session.token, check).await;
        assert_eq!(
            checked.unwrap(),
            Some(found(&extended.session, &user, None))
        );
    }
    for (field, lifetime, update_age) in [
        ("lifetime", Duration::ZERO, Duration::ZERO),
        ("update_age", DAY, WEEK),
    ] {
        for token in [session.token.as_str(), "unknown"] {
            let check = CheckSession::new().with_refresh(lifetime, update_age);
            assert_refused(field, adapter.check_session(token, check).await);
        }
    }
}
