//! Promises about transactions that meet others.
//!
//! Where two write the same, an adapter may let the second wait for the end of the first, so that the second always
//! runs in a task of its own. Losing retryably is always allowed: a database may be stricter than READ COMMITTED.

use std::time::Duration;

use super::transactions::{named, to_role};
use super::{Adapter, account_of, assert_eq, at_once, code, in_an_hour, in_time, new_user};
use crate::adapters::{DatabaseAdapter, Transaction};
use crate::types::{CreateSession, CreateUser, UpdateUser, User};
use crate::{AuthError, AuthResult, ConflictField};

/// Starts the second while the first is open, then ends the first. Answers how both ended.
pub(super) async fn overlap<T: Send + 'static>(
    first: impl Future<Output = AuthResult<()>>,
    second: impl Future<Output = AuthResult<T>> + Send + 'static,
) -> (AuthResult<()>, AuthResult<T>) {
    let second = tokio::spawn(second);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let first = in_time(first).await;
    (first, in_time(second).await.unwrap())
}

/// Fails unless one has won, and the other has lost as a conflict on this field or retryably.
fn assert_one_wins<A, B>(first: &AuthResult<A>, second: &AuthResult<B>, on: ConflictField) {
    let error = match (first, second) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        (Ok(_), Ok(_)) => panic!("both have won, on the {on}"),
        (Err(first), Err(second)) => panic!("none has won, on the {on}: {first}, {second}"),
    };
    let lost = match error {
        AuthError::Conflict { field } => *field == on,
        error => error.is_retryable(),
    };
    assert!(lost, "{error:?} on the {on}");
}

pub(super) async fn one_of_two_gets_the_name(adapter: Adapter) {
    for (field, create) in [
        (ConflictField::UserId, CreateUser::new().with_id("a")),
        (ConflictField::Email, named("b")),
        (
            ConflictField::Username,
            CreateUser::new().with_username("c"),
        ),
    ] {
        let transaction = adapter.begin().await.unwrap();
        let one = transaction.create_user(create.clone()).await.unwrap();
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            let transaction = database.begin().await?;
            let user = transaction.create_user(create).await?;
            transaction.commit().await?;
            Ok(user)
        })
        .await;
        assert_one_wins(&first, &second, field);
        let winner = second.unwrap_or(one);
        let found = match field {
            ConflictField::UserId => adapter.get_user_by_id("a").await,
            ConflictField::Email => adapter.get_user_by_email("b@example.com").await,
            _ => adapter.get_user_by_username("c").await,
        };
        assert_eq!(found.unwrap(), Some(winner));
    }
}

pub(super) async fn one_of_inside_and_outside_gets_the_email(adapter: Adapter) {
    let transaction = adapter.begin().await.unwrap();
    let one = transaction.create_user(named("a")).await.unwrap();
    let database = adapter.clone();
    let (first, second) = overlap(transaction.commit(), async move {
        database.create_user(named("a")).await
    })
    .await;
    assert_one_wins(&first, &second, ConflictField::Email);
    let found = adapter.get_user_by_email("a@example.com").await.unwrap();
    assert_eq!(found, Some(second.unwrap_or(one)));
}

pub(super) async fn one_of_two_changes_to_the_email(adapter: Adapter) {
    let (one, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let to_email = || UpdateUser {
        email: Some(Some("a@example.com".to_owned())),
        ..UpdateUser::default()
    };
    let transaction = adapter.begin().await.unwrap();
    transaction.update_user(&one.id, to_email()).await.unwrap();
    let (database, id, update) = (adapter.clone(), other.id.clone(), to_email());
    let (first, second) = overlap(transaction.commit(), async move {
        let transaction = database.begin().await?;
        transaction.update_user(&id, update).await?;
        transaction.commit().await
    })
    .await;
    assert_one_wins(&first, &second, ConflictField::Email);
    let (winner, loser) = if first.is_ok() {
        (one, other)
    } else {
        (other, one)
    };
    let found = adapter.get_user_by_email("a@example.com").await.unwrap();
    assert_eq!(found.unwrap().id, winner.id);
    let found = adapter.get_user_by_id(&loser.id).await.unwrap();
    assert_eq!(found, Some(loser));
}

pub(super) async fn one_of_two_gets_the_account(adapter: Adapter) {
    let (one, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let transaction = adapter.begin().await.unwrap();
    let account = account_of(&one, "1");
    let account = transaction.create_account(account).await.unwrap();
    let (database, user) = (adapter.clone(), other.clone());
    let (first, second) = overlap(transaction.commit(), async move {
        let transaction = database.begin().await?;
        let account = transaction.create_account(account_of(&user, "1")).await?;
        transaction.commit().await?;
        Ok(account)
    })
    .await;
    assert_one_wins(&first, &second, ConflictField::Account);
    let account = second.unwrap_or(account);
    let found = adapter.get_account("github", "1").await.unwrap();
    assert_eq!(found.as_ref(), Some(&account));
    for user in [one, other] {
        let listed = adapter.get_user_accounts(&user.id).await.unwrap();
        assert_eq!(listed.contains(&account), account.user_id == user.id);
        assert!(listed.len() <= 1);
    }
}

pub(super) async fn an_undone_transaction_gives_its_names_back(adapter: Adapter) {
    for (name, roll_back) in [("a", true), ("b", false)] {
        let transaction = adapter.begin().await.unwrap();
        transaction.create_user(named(name)).await.unwrap();
        let database = adapter.clone();
        let end = async {
            if roll_back {
                transaction.rollback().await
            } else {
                drop(transaction);
                Ok(())
            }
        };
        let (first, second) = overlap(end, async move {
            crate::transaction(
                &database,
                |tx| async move { tx.create_user(named(name)).await },
            )
            .await
        })
        .await;
        first.unwrap();
        let user: User = second.unwrap();
        let email = format!("{name}@example.com");
        let found = adapter.get_user_by_email(&email).await.unwrap();
        assert_eq!(found, Some(user));
    }
}

pub(super) async fn a_name_given_up_is_free_at_commit(adapter: Adapter) {
    let user = adapter.create_user(named("a")).await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    let update = UpdateUser {
        email: Some(Some("b@example.com".to_owned())),
        ..UpdateUser::default()
    };
    transaction.update_user(&user.id, update).await.unwrap();
    let database = adapter.clone();
    let (first, second) = overlap(transaction.commit(), async move {
        database.create_user(named("a")).await
    })
    .await;
    first.unwrap();
    if let Err(error) = &second {
        let taken = matches!(
            error,
            AuthError::Conflict {
                field: ConflictField::Email
            }
        );
        assert!(taken || error.is_retryable(), "{error:?}");
    }
    let found = adapter.get_user_by_email("a@example.com").await.unwrap();
    assert_eq!(found, second.ok());
    let found = adapter.get_user_by_email("b@example.com").await.unwrap();
    assert_eq!(found.unwrap().id, user.id);
}

/// Consumes the one-time token and commits, after others had their turn.
async fn consume(transaction: Box<dyn Transaction>) -> AuthResult<bool> {
    let consumed = transaction.consume_verification("a", "1").await?;
    tokio::time::sleep(Duration::from_millis(2)).await;
    transaction.commit().await?;
    Ok(consumed.is_some())
}

pub(super) async fn one_of_many_uses_the_token(adapter: Adapter) {
    for round in 0..5 {
        for _ in 0..=round % 2 {
            adapter.create_verification(code("a", "1")).await.unwrap();
        }
        let answers = at_once(8, |_| {
            let adapter = adapter.clone();
            async move { consume(adapter.begin().await?).await }
        });
        let mut winners = 0;
        for answer in in_time(answers).await {
            match answer {
                Ok(won) => winners += usize::from(won),
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
        assert_eq!(winners, 1);
        assert_eq!(adapter.get_verification("a", "1").await.unwrap(), None);
    }
}

pub(super) async fn one_of_two_uses_the_token(adapter: Adapter) {
    for inside in [true, false] {
        adapter.create_verification(code("a", "1")).await.unwrap();
        let transaction = adapter.begin().await.unwrap();
        let consumed = transaction.consume_verification("a", "1").await.unwrap();
        assert!(consumed.is_some());
        let database = adapter.clone();
        let (first, second) = overlap(transaction.commit(), async move {
            if inside {
                return consume(database.begin().await?).await;
            }
            let consumed = database.consume_verification("a", "1").await?;
            Ok(consumed.is_some())
        })
        .await;
        for error in first.as_ref().err().iter().chain(&second.as_ref().err()) {
            assert!(error.is_retryable(), "{error:?}");
        }
        assert_ne!(first.is_ok(), second.unwrap_or(false));
        assert_eq!(adapter.consume_verification("a", "1").await.unwrap(), None);
    }
}

/// Creates a session and an account for the user.
async fn create_for(transaction: &dyn Transaction, user: &User) -> AuthResult<String> {
    let session = CreateSession::new(&user.id, in_an_hour());
    let session = transaction.create_session(session).await?;
    transaction
        .create_account(account_of(user, &user.id))
        .await?;
    Ok(session.token)
}

pub(super) async fn nothing_outlives_its_user(adapter: Adapter) {
    for delete_first in [true, false] {
        let user = new_user(&adapter).await;
        let transaction = adapter.begin().await.unwrap();
        let mut token = None;
        if delete_first {
            transaction.delete_user(&user.id).await.unwrap();
        } else {
            token = Some(create_for(&*transaction, &user).await.unwrap());
        }
        let (database, owner) = (adapter.clone(), user.clone());
        let (first, second) = overlap(transaction.commit(), async move {
            let transaction = database.begin().await?;
            let token = if delete_first {
                Some(create_for(&*transaction, &owner).await?)
            } else {
                transaction.delete_user(&owner.id).await?;
                None
            };
            transaction.commit().await?;
            Ok(token)
        })
        .await;
        for error in first.as_ref().err().iter().chain(&second.as_ref().err()) {
            let lost = matches!(error, AuthError::UserNotFound) || error.is_retryable();
            assert!(lost, "{error:?}");
        }
        let (deleted, created) = if delete_first {
            (first.is_ok(), second.is_ok())
        } else {
            (second.is_ok(), first.is_ok())
        };
        let found = adapter.get_user_by_id(&user.id).await.unwrap();
        assert_eq!(found.is_none(), deleted);
        let stays = created && !deleted;
        let accounts = adapter.get_user_accounts(&user.id).await.unwrap();
        assert_eq!(accounts.len(), usize::from(stays));
        let account = adapter.get_account("github", &user.id).await.unwrap();
        assert_eq!(account.is_some(), stays);
        let sessions = adapter.get_user_sessions(&user.id).await.unwrap();
        assert_eq!(sessions.len(), usize::from(stays));
        if let Some(token) = token.or(second.ok().flatten()) {
            let found = adapter.get_session(&token).await.unwrap();
            assert_eq!(found.is_some(), stays);
            let found = adapter.get_session_with_user(&token).await.unwrap();
            assert_eq!(found.is_some(), stays);
        }
    }
}

pub(super) async fn changes_of_different_columns_are_both_kept(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let to_name = UpdateUser {
        name: Some(Some("Ada".to_owned())),
        ..UpdateUser::default()
    };
    let transaction = adapter.begin().await.unwrap();
    transaction.update_user(&user.id, to_name).await.unwrap();
    let (database, id) = (adapter.clone(), user.id.clone());
    let (first, second) = overlap(transaction.commit(), async move {
        let transaction = database.begin().await?;
        transaction.update_user(&id, to_role("admin")).await?;
        transaction.commit().await
    })
    .await;
    assert!(first.is_ok() || second.is_ok(), "{first:?}, {second:?}");
    for error in first.as_ref().err().iter().chain(&second.as_ref().err()) {
        assert!(error.is_retryable(), "{error:?}");
    }
    let changed = adapter.get_user_by_id(&user.id).await.unwrap().unwrap();
    let expected = User {
        name: first.is_ok().then(|| "Ada".to_owned()),
        role: second.is_ok().then(|| "admin".to_owned()),
        updated_at: changed.updated_at,
        ..user.clone()
    };
    assert_eq!(changed, expected);
    assert!(changed.updated_at > user.updated_at);
}

pub(super) async fn opposite_orders_come_to_an_end(adapter: Adapter) {
    let (one, other) = (new_user(&adapter).await, new_user(&adapter).await);
    let mut tasks = Vec::new();
    for (role, ids) in [
        ("first", [one.id.clone(), other.id.clone()]),
        ("second", [other.id.clone(), one.id.clone()]),
    ] {
        let adapter = adapter.clone();
        tasks.push(tokio::spawn(async move {
            let transaction = adapter.begin().await?;
            transaction.update_user(&ids[0], to_role(role)).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            transaction.update_user(&ids[1], to_role(role)).await?;
            transaction.commit().await?;
            AuthResult::Ok(role)
        }));
    }
    let mut committed = Vec::new();
    for task in tasks {
        // A database may look for such a circle only after a while.
        let ended = tokio::time::timeout(Duration::from_secs(60), task).await;
        match ended.expect("the two wait for each other").unwrap() {
            Ok(role) => committed.push(role),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
    for id in [&one.id, &other.id] {
        let user = adapter.get_user_by_id(id).await.unwrap().unwrap();
        match user.role.as_deref() {
            Some(role) => assert!(committed.contains(&role), "{role} was never committed"),
            None => assert!(committed.is_empty(), "a committed change is missing"),
        }
    }
}

pub(super) async fn a_commit_takes_only_what_was_seen(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let session = || CreateSession::new(&user.id, in_an_hour());
    let before = adapter.create_session(session()).await.unwrap();
    let transaction = adapter.begin().await.unwrap();
    transaction.delete_user_sessions(&user.id).await.unwrap();
    let since = adapter.create_session(session()).await.unwrap();
    let ended = in_time(transaction.commit()).await;
    let found = adapter.get_session(&since.token).await.unwrap();
    assert_eq!(found, Some(since));
    let found = adapter.get_session(&before.token).await.unwrap();
    assert_eq!(found.is_none(), ended.is_ok());

    let transaction = adapter.begin().await.unwrap();
    transaction.delete_user("late").await.unwrap();
    let create = CreateUser::new().with_id("late");
    let late = adapter.create_user(create).await.unwrap();
    let _ = in_time(transaction.commit()).await;
    let found = adapter.get_user_by_id("late").await.unwrap();
    assert_eq!(found, Some(late));
}

pub(super) async fn an_empty_update_holds_nothing(adapter: Adapter) {
    let user = new_user(&adapter).await;
    let transaction = adapter.begin().await.unwrap();
    let seen = transaction.update_user(&user.id, UpdateUser::default());
    assert_eq!(seen.await.unwrap(), user);
    in_time(adapter.delete_user(&user.id)).await.unwrap();
    in_time(transaction.commit()).await.unwrap();
    assert_eq!(adapter.get_user_by_id(&user.id).await.unwrap(), None);
}
