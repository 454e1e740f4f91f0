//! Promises about [`transaction`](crate::transaction()) on the adapter.

use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinHandle;

use super::transactions::{Rows, named, to_role};
use super::{Adapter, account_of, assert_eq, at_once, code, in_an_hour, in_time, new_user};
use crate::adapters::DatabaseAdapter;
use crate::types::{CreateSession, CreateUser, Session};
use crate::{AuthError, AuthResult, ConflictField, transaction};

/// An application's own error.
#[derive(Debug)]
enum SignUpError {
    Refused(&'static str),
    Auth(AuthError),
}

impl From<AuthError> for SignUpError {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

pub(super) async fn it_commits_on_ok(adapter: Adapter) {
    let rows: AuthResult<Rows> = transaction(&adapter, |tx| async move {
        let rows = Rows::create(&tx, "a").await?;
        rows.assert_seen(&tx).await;
        Ok(rows)
    })
    .await;
    rows.unwrap().assert_seen(&adapter).await;
}

pub(super) async fn it_rolls_back_on_err(adapter: Adapter) {
    let created = Mutex::new(Vec::new());
    let refused: Result<(), SignUpError> = transaction(&adapter, |tx| async {
        let rows = Rows::create(&tx, "a").await?;
        drop(tx);
        created.lock().unwrap().push(rows);
        Err(SignUpError::Refused("not today"))
    })
    .await;
    assert!(matches!(refused, Err(SignUpError::Refused("not today"))));
    let created = created.into_inner().unwrap();
    assert_eq!(created.len(), 1, "the closure's own error is no collision");
    for rows in &created {
        rows.assert_unseen(&adapter).await;
    }
    Rows::create(&adapter, "a").await.unwrap();
    let taken: Result<(), SignUpError> = transaction(&adapter, |tx| async move {
        tx.create_user(named("b")).await?;
        tx.create_user(named("a")).await?;
        Ok(())
    })
    .await;
    let conflict = AuthError::Conflict {
        field: ConflictField::Email,
    };
    match taken {
        Err(SignUpError::Auth(error)) => assert_eq!(error.to_string(), conflict.to_string()),
        answer => panic!("{answer:?}"),
    }
    let found = adapter.get_user_by_email("b@example.com").await.unwrap();
    assert_eq!(found, None);
}

pub(super) async fn a_swallowed_error_undoes_all(adapter: Adapter) {
    adapter.create_user(named("taken")).await.unwrap();
    let answer: AuthResult<()> = transaction(&adapter, |tx| async move {
        Rows::create(&tx, "a").await?;
        assert!(tx.create_user(named("taken")).await.is_err());
        assert!(tx.create_user(named("b")).await.is_err());
        Ok(())
    })
    .await;
    assert!(
        matches!(answer, Err(AuthError::TransactionAborted)),
        "{answer:?}"
    );
    for name in ["a@example.com", "b@example.com"] {
        assert_eq!(adapter.get_user_by_email(name).await.unwrap(), None);
    }
    assert_eq!(adapter.get_account("github", "a").await.unwrap(), None);
    assert_eq!(adapter.get_verification("a", "a").await.unwrap(), None);
}

pub(super) async fn a_dropped_call_undoes_all(adapter: Adapter) {
    let created = Mutex::new(None);
    let endless = transaction(&adapter, |tx| async {
        let rows = Rows::create(&tx, "a").await?;
        *created.lock().unwrap() = Some(rows);
        std::future::pending::<()>().await;
        drop(tx);
        AuthResult::Ok(())
    });
    let mut endless = Box::pin(endless);
    in_time(async {
        while created.lock().unwrap().is_none() {
            let patience = Duration::from_millis(10);
            let _ = tokio::time::timeout(patience, endless.as_mut()).await;
        }
    })
    .await;
    drop(endless);
    let rows = created.into_inner().unwrap().unwrap();
    rows.assert_unseen(&adapter).await;
    in_time(Rows::create(&adapter, "a")).await.unwrap();
}

/// Creates all three or none, from what others own.
async fn sign_up(
    adapter: &dyn DatabaseAdapter,
    user: &CreateUser,
    account_id: &str,
) -> AuthResult<Session> {
    transaction(adapter, |tx| async move {
        let user = tx.create_user(user.clone()).await?;
        // Others have their turn, also where nothing waits.
        tokio::time::sleep(Duration::from_millis(2)).await;
        tx.create_account(account_of(&user, account_id)).await?;
        let session = CreateSession::new(&user.id, in_an_hour());
        tx.create_session(session).await
    })
    .await
}

pub(super) async fn it_runs_in_a_task_on_what_it_borrows(adapter: Adapter) {
    let database = adapter.clone();
    let task = tokio::spawn(async move {
        let user = named("a");
        sign_up(&*database, &user, "1").await
    });
    let session = task.await.unwrap().unwrap();
    let found = adapter.get_session_with_user(&session.token).await.unwrap();
    let (found, user) = found.unwrap();
    assert_eq!(found, session);
    assert_eq!(user.email.as_deref(), Some("a@example.com"));
    let account = adapter.get_account("github", "1").await.unwrap();
    assert_eq!(account.unwrap().user_id, user.id);
}

pub(super) async fn one_of_many_signs_up(adapter: Adapter) {
    const EMAILS: usize = 4;
    let answers = at_once(16, |index| {
        let adapter = adapter.clone();
        async move {
            let user = named(&(index % EMAILS).to_string());
            sign_up(&*adapter, &user, &index.to_string()).await
        }
    })
    .await;
    let mut winners = [0; EMAILS];
    for (index, answer) in answers.into_iter().enumerate() {
        let account = adapter.get_account("github", &index.to_string()).await;
        let account = account.unwrap();
        match answer {
            Ok(session) => {
                winners[index % EMAILS] += 1;
                let email = format!("{}@example.com", index % EMAILS);
                let user = adapter.get_user_by_email(&email).await.unwrap().unwrap();
                let found = adapter.get_session_with_user(&session.token).await;
                assert_eq!(found.unwrap(), Some((session, user.clone())));
                assert_eq!(
                    account.map(|account| account.user_id),
                    Some(user.id.clone())
                );
                let accounts = adapter.get_user_accounts(&user.id).await.unwrap();
                let sessions = adapter.get_user_sessions(&user.id).await.unwrap();
                assert_eq!((accounts.len(), sessions.len()), (1, 1));
            }
            Err(error) => {
                let taken = matches!(
                    error,
                    AuthError::Conflict {
                        field: ConflictField::Email
                    }
                );
                assert!(taken || error.is_retryable(), "{error:?}");
                assert_eq!(account, None, "of a sign-up that failed");
            }
        }
    }
    assert_eq!(winners, [1; EMAILS]);
}

pub(super) async fn a_lost_commit_runs_it_again(adapter: Adapter) {
    adapter.create_verification(code("a", "1")).await.unwrap();
    let rival: Mutex<Option<JoinHandle<_>>> = Mutex::new(None);
    let (database, rival) = (&adapter, &rival);
    let inside = transaction(&adapter, |tx| async move {
        let consumed = tx.consume_verification("a", "1").await?;
        if rival.lock().unwrap().is_none() {
            // A database may let the rival wait for the end of this transaction.
            let database = database.clone();
            let task = tokio::spawn(async move { database.consume_verification("a", "1").await });
            *rival.lock().unwrap() = Some(task);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        AuthResult::Ok(consumed)
    });
    let inside = in_time(inside).await.unwrap();
    let rival = rival.lock().unwrap().take().unwrap();
    let outside = in_time(rival).await.unwrap().unwrap();
    assert_eq!(
        [inside, outside].iter().flatten().count(),
        1,
        "exactly one gets the token"
    );
}

pub(super) async fn writers_of_one_user_all_get_through(adapter: Adapter) {
    const TASKS: usize = 16;
    const ROUNDS: usize = 5;
    let before = new_user(&adapter).await;
    let answers = at_once(TASKS, |task| {
        let (adapter, user) = (adapter.clone(), before.clone());
        async move {
            let id = &user.id;
            for round in 0..ROUNDS {
                transaction(&adapter, |tx| async move {
                    let user = tx.get_user_by_id(id).await?;
                    let before = user.ok_or(AuthError::UserNotFound)?.updated_at;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    let role = to_role(&format!("{task}.{round}"));
                    let user = tx.update_user(id, role).await?;
                    assert!(user.updated_at > before);
                    Ok(())
                })
                .await?;
            }
            AuthResult::Ok(())
        }
    })
    .await;
    for answer in answers {
        answer.unwrap();
    }
    let after = adapter.get_user_by_id(&before.id).await.unwrap().unwrap();
    let changes = i64::try_from(TASKS * ROUNDS).unwrap();
    let least = TimeDelta::microseconds(changes);
    assert!(after.updated_at - before.updated_at >= least);
    let role = after.role.unwrap();
    assert!(role.ends_with(".4"), "{role} was changed again");
}
