//! Promises about transactions whose user someone else deletes meanwhile, and creates another one with the same id.
//!
//! The replacement runs in a task of its own, as an adapter may let it wait for the end of the transaction.

use std::time::Duration;

use super::transaction_races::overlap;
use super::transactions::{named, to_role};
use super::{Adapter, account_of, assert_eq, in_an_hour, new_session};
use crate::adapters::{DatabaseAdapter, Transaction};
use crate::types::{
    Account, CreateSession, CreateUser, Session, UpdateAccount, UpdateSession, UpdateUser, User,
};
use crate::{AuthError, AuthResult, ConflictField};

/// A user with a session and an account.
struct Member {
    user: User,
    session: Session,
    account: Account,
}

impl Member {
    async fn create(adapter: &Adapter, name: &str) -> AuthResult<Self> {
        let user = adapter.create_user(named(name).with_id("1")).await?;
        let session = CreateSession::new(&user.id, in_an_hour());
        Ok(Self {
            session: adapter.create_session(session).await?,
            account: adapter.create_account(account_of(&user, name)).await?,
            user,
        })
    }

    /// Deletes who has the id, and creates someone else with it.
    async fn replace(adapter: Adapter) -> AuthResult<Self> {
        adapter.delete_user("1").await?;
        Self::create(&adapter, "newcomer").await
    }
}

/// Fails where what a transaction wrote for a user reaches the one who has the id by the commit.
async fn assert_writes_stay_with_their_user(
    adapter: &Adapter,
    write: impl AsyncFnOnce(&dyn Transaction, &Member) -> AuthResult<Option<String>>,
) {
    let before = Member::create(adapter, "first").await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let token = match write(&*transaction, &before).await {
        // What an adapter cannot do reaches nobody.
        Err(AuthError::Unsupported { .. }) => None,
        answer => answer.unwrap(),
    };
    let (ended, newcomer) = overlap(transaction.commit(), Member::replace(adapter.clone())).await;
    if let Err(error) = ended {
        let gone = matches!(
            error,
            AuthError::UserNotFound | AuthError::SessionNotFound | AuthError::AccountNotFound
        );
        assert!(gone || error.is_retryable(), "{error:?}");
    }
    let newcomer = newcomer.unwrap();
    let found = adapter.get_user_by_id("1").await.unwrap();
    assert_eq!(found.as_ref(), Some(&newcomer.user));
    let found = adapter.get_user_by_email("first@example.com").await;
    assert_eq!(found.unwrap(), None);
    let sessions = adapter.get_user_sessions("1").await.unwrap();
    let ids: Vec<_> = sessions.iter().map(|session| &session.id).collect();
    assert_eq!(ids, [&newcomer.session.id]);
    let accounts = adapter.get_user_accounts("1").await.unwrap();
    assert_eq!(accounts, [newcomer.account]);
    for token in [Some(before.session.token), token].into_iter().flatten() {
        assert_eq!(adapter.get_session(&token).await.unwrap(), None);
        let found = adapter.get_session_with_user(&token).await.unwrap();
        assert_eq!(found, None);
    }
    for id in ["first", "second"] {
        let found = adapter.get_account("github", id).await.unwrap();
        assert_eq!(found, None);
    }
    adapter.delete_user("1").await.unwrap();
}

pub(super) async fn what_is_created_stays_with_its_user(adapter: Adapter) {
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        Ok(Some(new_session(tx, &member.user).await.token))
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        tx.create_account(account_of(&member.user, "second"))
            .await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        let user = tx.get_user_by_id("1").await?;
        assert_eq!(user.as_ref(), Some(&member.user));
        let token = new_session(tx, &member.user).await.token;
        tx.create_account(account_of(&member.user, "second"))
            .await?;
        tx.update_user("1", to_role("admin")).await?;
        Ok(Some(token))
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        tx.link_account(account_of(&member.user, "second")).await?;
        Ok(None)
    })
    .await;
}

pub(super) async fn what_is_changed_stays_with_its_user(adapter: Adapter) {
    assert_writes_stay_with_their_user(&adapter, async |tx, _| {
        tx.update_user("1", to_role("admin")).await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, _| {
        let update = UpdateUser {
            email: Some(Some("second@example.com".to_owned())),
            ..UpdateUser::default()
        };
        tx.update_user("1", update).await?;
        tx.update_user("1", to_role("admin")).await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        let update = UpdateSession {
            impersonated_by: Some(Some("2".to_owned())),
            ..UpdateSession::default()
        };
        tx.update_session(&member.session.token, update).await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        tx.update_session_expiry(&member.session.token, in_an_hour())
            .await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        let update = UpdateAccount {
            scope: Some(Some("all".to_owned())),
            ..UpdateAccount::default()
        };
        tx.update_account(&member.account.id, update).await?;
        Ok(None)
    })
    .await;
}

pub(super) async fn what_is_banned_or_refreshed_stays_with_its_user(adapter: Adapter) {
    assert_writes_stay_with_their_user(&adapter, async |tx, _| {
        tx.ban_user("1", Some("spam".to_owned()), None).await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, _| {
        tx.ban_user("1", None, None).await?;
        tx.unban_user("1").await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, _| {
        tx.unban_user("1").await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        let account = account_of(&member.user, "first").with_access_token("new");
        tx.link_account(account).await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        let (week, day) = (
            Duration::from_secs(7 * 24 * 60 * 60),
            Duration::from_secs(24 * 60 * 60),
        );
        let refreshed = tx.refresh_session(&member.session.token, week, day).await?;
        assert!(refreshed.is_some_and(|(session, _)| session != member.session));
        Ok(None)
    })
    .await;
}

pub(super) async fn what_is_deleted_was_its_users(adapter: Adapter) {
    for keep_token in [true, false] {
        assert_writes_stay_with_their_user(&adapter, async |tx, member| {
            let kept = if keep_token {
                &member.session.token
            } else {
                "unknown"
            };
            tx.delete_other_sessions("1", kept).await?;
            Ok(None)
        })
        .await;
    }
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        tx.delete_session_by_id("1", &member.session.id).await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, _| {
        tx.delete_user("1").await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, _| {
        tx.update_user("1", to_role("admin")).await?;
        tx.delete_user("1").await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, _| {
        tx.delete_user_sessions("1").await?;
        Ok(None)
    })
    .await;
    assert_writes_stay_with_their_user(&adapter, async |tx, member| {
        tx.delete_session(&member.session.token).await?;
        tx.delete_account(&member.account.id).await?;
        Ok(None)
    })
    .await;
}

pub(super) async fn one_of_two_has_the_place(adapter: Adapter) {
    Member::create(&adapter, "first").await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    transaction.delete_user("1").await.unwrap();
    let second = named("second").with_id("1");
    let second = transaction.create_user(second).await.unwrap();
    let session = new_session(&*transaction, &second).await;
    let database = adapter.clone();
    let (first, newcomer) = overlap(transaction.commit(), async move {
        database.delete_user("1").await?;
        let newcomer: CreateUser = named("newcomer").with_id("1");
        database.create_user(newcomer).await
    })
    .await;
    for error in first.as_ref().err().iter().chain(&newcomer.as_ref().err()) {
        let taken = matches!(
            error,
            AuthError::Conflict {
                field: ConflictField::UserId
            }
        );
        assert!(taken || error.is_retryable(), "{error:?}");
    }
    let expected = if let Ok(newcomer) = newcomer {
        (newcomer, None)
    } else {
        assert!(first.is_ok(), "none has the place");
        (second.clone(), Some((session.clone(), second)))
    };
    let found = adapter.get_user_by_id("1").await.unwrap();
    assert_eq!(found, Some(expected.0));
    let opened = adapter.get_session_with_user(&session.token).await;
    assert_eq!(opened.unwrap(), expected.1);
}
