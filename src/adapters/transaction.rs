//! `transaction`: runs a closure in a transaction, commits or rolls back, and retries on conflicts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::backoff::{DEFAULT_MAX_RETRIES, backoff};
use super::delegate::forward_database_adapter;
use super::{DatabaseAdapter, Transaction};
use crate::{AuthError, AuthResult};

/// Runs `work` in a [`Transaction`]: commits it on `Ok`, rolls it back on `Err` or where the future is dropped.
///
/// Where the transaction loses against others that are at work at the same time (a deadlock, a serialization failure, a
/// one-time token that someone else has used), all of it runs again, up to ten times with a growing, random pause; so
/// `work` may be called several times and should do nothing else that lasts. The error may be your own, if it is made
/// from an [`AuthError`].
///
/// ```
/// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
/// use better_auth::types::{CreateAccount, CreateSession, CreateUser, Session};
/// use better_auth::{AuthResult, transaction};
/// use chrono::{TimeDelta, Utc};
///
/// /// Creates all three or none.
/// async fn sign_up(database: &dyn DatabaseAdapter, user: &CreateUser, github_id: &str) -> AuthResult<Session> {
///     let next_week = Utc::now() + TimeDelta::days(7);
///     transaction(database, |tx| async move {
///         let user = tx.create_user(user.clone()).await?;
///         tx.create_account(CreateAccount::new(&user.id, "github", github_id)).await?;
///         tx.create_session(CreateSession::new(&user.id, next_week)).await
///     })
///     .await
/// }
///
/// # #[tokio::main]
/// # async fn main() -> AuthResult<()> {
/// let database = MemoryDatabaseAdapter::new();
/// let in_a_task = database.clone();
/// let task = tokio::spawn(async move {
///     let ada = CreateUser::new().with_email("ada@example.com");
///     sign_up(&in_a_task, &ada, "42").await
/// });
/// let session = task.await.expect("the task ends")?;
/// assert_eq!(database.get_session(&session.token).await?, Some(session));
/// # Ok(())
/// # }
/// ```
///
/// It needs a tokio runtime with its timer, for the pauses.
///
/// A closure that is called again cannot give away what it captures: hand it references, as `user` is above.
///
/// # Errors
///
/// What `work` returns; what [`begin`](DatabaseAdapter::begin) and [`commit`](Transaction::commit) return;
/// [`AuthError::Unavailable`] where it still collides after ten more tries; [`AuthError::Validation`] where `work` keeps
/// the [`OpenTransaction`] beyond its end. Nothing was done then, [`AuthError::OutcomeUnknown`] apart.
pub async fn transaction<A, T, E, Work, Done>(adapter: &A, mut work: Work) -> Result<T, E>
where
    A: DatabaseAdapter + ?Sized,
    E: From<AuthError>,
    Work: FnMut(OpenTransaction) -> Done,
    Done: Future<Output = Result<T, E>>,
{
    let mut collisions = 0;
    loop {
        let shared = Arc::new(Shared {
            transaction: adapter.begin().await?,
            collided: AtomicBool::new(false),
        });
        let outcome = work(OpenTransaction {
            shared: Arc::clone(&shared),
        })
        .await;
        let collided = shared.collided.load(Ordering::Relaxed);
        let Some(Shared { transaction, .. }) = Arc::into_inner(shared) else {
            let message = "kept its transaction, which cannot be ended so";
            return Err(AuthError::validation("work", message).into());
        };
        let (error, collided) = match outcome {
            Err(error) => {
                // Whatever becomes of it, nothing of the transaction lasts.
                let _ = transaction.rollback().await;
                (error, collided)
            }
            Ok(value) => match transaction.commit().await {
                Ok(()) => return Ok(value),
                Err(error @ AuthError::TransactionAborted) => (error.into(), collided),
                Err(error) => {
                    let collided = error.is_contention();
                    (error.into(), collided)
                }
            },
        };
        if !collided || collisions == DEFAULT_MAX_RETRIES {
            return Err(error);
        }
        tokio::time::sleep(backoff(collisions)).await;
        collisions += 1;
    }
}

/// The transaction that [`transaction`] has opened, an adapter like any other. Its end is that of the closure.
pub struct OpenTransaction {
    shared: Arc<Shared>,
}

struct Shared {
    transaction: Box<dyn Transaction>,
    /// An operation has lost against others. The closure's own error need not tell.
    collided: AtomicBool,
}

impl OpenTransaction {
    fn note<T>(&self, answer: AuthResult<T>) -> AuthResult<T> {
        if answer.as_ref().is_err_and(AuthError::is_contention) {
            self.shared.collided.store(true, Ordering::Relaxed);
        }
        answer
    }
}

impl std::fmt::Debug for OpenTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenTransaction").finish_non_exhaustive()
    }
}

forward_database_adapter!(
    impl [] for OpenTransaction, |this| this.shared.transaction, |call| this.note(call().await)
);
