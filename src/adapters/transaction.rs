//! `transaction`: runs a closure in a transaction, commits or rolls back, and retries on conflicts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::backoff::{DEFAULT_MAX_RETRIES, backoff};
use super::delegate::forward_database_adapter;
use super::telemetry::transaction_retried;
use super::{DatabaseAdapter, Transaction};
use crate::{AuthError, AuthResult};

/// Runs `work` in a [`Transaction`]. Commits it if `work` returns `Ok`; rolls it back if `work` returns `Err` or the future
/// is dropped.
///
/// If the transaction conflicts with another one (a deadlock, a serialization failure, a one-time token that another caller
/// has used), `work` runs again in a new transaction, up to ten times, after a random pause that grows. `work` may
/// therefore be called several times and should have no other lasting effects. Its error type may be your own, if that
/// implements `From<AuthError>`.
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
/// The pauses need a tokio runtime with its timer.
///
/// Because the closure may be called again, it cannot move its captures out: let it capture references, as `user` is above.
/// The methods of the trait need [`DatabaseAdapter`] in scope; `use better_auth::prelude::*` imports it.
///
/// # Errors
///
/// The error of `work`; the errors of [`begin`](DatabaseAdapter::begin) and [`commit`](Transaction::commit);
/// [`AuthError::Unavailable`] if the conflict remains after all retries; [`AuthError::Validation`] if `work` keeps the
/// [`OpenTransaction`] after it has returned. In all cases but [`AuthError::OutcomeUnknown`], nothing was done.
pub async fn transaction<A, T, E, Work, Done>(adapter: &A, mut work: Work) -> Result<T, E>
where
    A: DatabaseAdapter + ?Sized,
    E: From<AuthError>,
    Work: FnMut(OpenTransaction) -> Done,
    Done: Future<Output = Result<T, E>>,
{
    run_until_committed(
        || adapter.begin(),
        |attempt| work(OpenTransaction { attempt }),
    )
    .await
}

/// Runs `work` in one transaction after the other, until one does not conflict.
pub(super) async fn run_until_committed<X, T, E, Begun, Done>(
    begin: impl Fn() -> Begun,
    mut work: impl FnMut(Arc<Attempt<X>>) -> Done,
) -> Result<T, E>
where
    X: Transaction + ?Sized,
    E: From<AuthError>,
    Begun: Future<Output = AuthResult<Box<X>>>,
    Done: Future<Output = Result<T, E>>,
{
    let mut retries = 0;
    loop {
        let attempt = Arc::new(Attempt {
            transaction: begin().await?,
            has_conflicted: AtomicBool::new(false),
        });
        let outcome = work(Arc::clone(&attempt)).await;
        let has_conflicted = attempt.has_conflicted.load(Ordering::Relaxed);
        let Some(Attempt { transaction, .. }) = Arc::into_inner(attempt) else {
            let message = "the closure kept its transaction after it returned; the transaction is rolled back";
            return Err(AuthError::validation("work", message).into());
        };
        let (error, has_conflicted) = match outcome {
            Err(error) => {
                // Even if the rollback fails, nothing of the transaction is committed.
                let _ = transaction.rollback().await;
                (error, has_conflicted)
            }
            Ok(value) => match transaction.commit().await {
                Ok(()) => return Ok(value),
                Err(error @ AuthError::TransactionAborted) => (error.into(), has_conflicted),
                Err(error) => {
                    let has_conflicted = error.is_contention();
                    (error.into(), has_conflicted)
                }
            },
        };
        if !has_conflicted || retries == DEFAULT_MAX_RETRIES {
            return Err(error);
        }
        tokio::time::sleep(backoff(retries)).await;
        retries += 1;
        transaction_retried(retries);
    }
}

/// The transaction that [`transaction`] passes to its closure. It is an adapter, and ends when the closure returns.
pub struct OpenTransaction {
    attempt: Arc<Attempt<dyn Transaction>>,
}

/// A transaction in which a closure runs.
pub(super) struct Attempt<X: ?Sized> {
    transaction: Box<X>,
    /// Whether an operation conflicted with another transaction. The error that the closure returns may not tell.
    has_conflicted: AtomicBool,
}

impl<X: ?Sized> Attempt<X> {
    #[cfg(feature = "sqlx-postgres")]
    pub(super) fn transaction(&self) -> &X {
        &self.transaction
    }

    pub(super) fn note_conflict(&self) {
        self.has_conflicted.store(true, Ordering::Relaxed);
    }

    /// Notes a conflict in the answer of an operation.
    pub(super) fn note<T>(&self, answer: AuthResult<T>) -> AuthResult<T> {
        if answer.as_ref().is_err_and(AuthError::is_contention) {
            self.note_conflict();
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
    impl [] for OpenTransaction, |this| this.attempt.transaction, |call| this.attempt.note(call().await)
);
