//! Promises about sessions that a transaction refreshes while others change them.
//!
//! The others run in tasks of their own, as an adapter may let them wait for the end of the transaction.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::transaction_races::overlap;
use super::{Adapter, assert_eq, in_an_hour, new_user};
use crate::adapters::DatabaseAdapter;
use crate::types::{CreateSession, Session, User};
use crate::{AuthError, AuthResult};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a transaction has refreshed of a user's new session, in which others do `meanwhile` before it commits. `None`
/// where the adapter has no `refresh_session`.
async fn refreshed<T, F>(
    adapter: &Adapter,
    user: &User,
    expires_at: DateTime<Utc>,
    meanwhile: impl FnOnce(Adapter, String) -> F,
) -> Option<(Session, Session, AuthResult<()>)>
where
    T: Send + 'static,
    F: Future<Output = AuthResult<T>> + Send + 'static,
{
    let session = CreateSession::new(&user.id, expires_at);
    let session = adapter.create_session(session).await.unwrap();
    let token = session.token.clone();
    let transaction = adapter.begin().await.unwrap();
    let answer = match transaction.refresh_session(&token, WEEK, DAY).await {
        Err(AuthError::Unsupported { .. }) => return None,
        answer => answer.unwrap(),
    };
    let (inside, _) = answer.unwrap();
    let (ended, other) = overlap(transaction.commit(), meanwhile(adapter.clone(), token)).await;
    assert!(other.is_ok(), "what others do of the session fails");
    if let Err(error) = &ended {
        let gone = matches!(error, AuthError::SessionNotFound);
        assert!(gone || error.is_retryable(), "{error:?}");
    }
    Some((session, inside, ended))
}

pub(super) async fn a_sign_out_ends_what_is_refreshed(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let sign_out =
        |adapter: Adapter, token: String| async move { adapter.delete_session(&token).await };
    let outcome = refreshed(&adapter, &user, in_an_hour(), sign_out).await;
    let Some((session, inside, _)) = outcome else {
        return;
    };
    assert!(inside.expires_at > session.expires_at);
    let found = adapter.get_session(&session.token).await.unwrap();
    assert_eq!(found, None);
    assert_eq!(adapter.get_user_sessions(&user.id).await.unwrap(), []);
}

pub(super) async fn a_shorter_end_outlasts_a_refresh(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let soon = in_an_hour() - TimeDelta::minutes(30);
    let in_ten_days = in_an_hour() + TimeDelta::days(10);
    for (expires_at, is_due) in [(in_an_hour(), true), (in_ten_days, false)] {
        let shorten = move |adapter: Adapter, token: String| async move {
            adapter.update_session_expiry(&token, soon).await
        };
        let outcome = refreshed(&adapter, &user, expires_at, shorten).await;
        let Some((session, inside, ended)) = outcome else {
            return;
        };
        assert_eq!(inside.expires_at > session.expires_at, is_due);
        assert!(
            ended.is_ok() || is_due,
            "{ended:?} though nothing was written"
        );
        let found = adapter.get_session(&session.token).await.unwrap().unwrap();
        let difference = (found.expires_at - soon).abs();
        assert!(
            difference < TimeDelta::milliseconds(1),
            "the session ends at {} instead of {soon}",
            found.expires_at
        );
    }
}
