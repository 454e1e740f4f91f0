//! `sqlx_transaction`: runs a closure in a transaction that lends its connection to the application.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::adapter::SqlxAdapter;
use super::error::conflicts;
use super::lent_connection::LentConnection;
use super::transaction::SqlxTransaction;
use crate::adapters::delegate::forward_database_adapter;
use crate::adapters::transaction::{Attempt, run_until_committed};
use crate::{AuthError, AuthResult};

/// Runs `work` in a transaction whose connection the application may use for its own statements. Apart from that, it is
/// [`transaction`](crate::transaction()): it commits if `work` returns `Ok`, rolls back if `work` returns `Err` or the
/// future is dropped, and runs `work` again after a conflict, whether a method of the adapter or a statement of the
/// application's met it.
///
/// ```no_run
/// use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
/// use better_auth::types::{CreateUser, User};
/// use better_auth::sqlx_transaction;
///
/// type AnyError = Box<dyn std::error::Error + Send + Sync>;
///
/// /// Creates both rows or none.
/// async fn sign_up(database: &SqlxAdapter, user: &CreateUser, plan: &str) -> Result<User, AnyError> {
///     sqlx_transaction(database, |tx| async move {
///         let user = tx.create_user(user.clone()).await?;
///         sqlx::query("INSERT INTO profiles (user_id, plan) VALUES ($1, $2)")
///             .bind(&user.id)
///             .bind(plan)
///             .execute(&mut *tx.connection().await?)
///             .await?;
///         Ok(user)
///     })
///     .await
/// }
/// ```
///
/// The error type is one that implements `From<AuthError>`, and, for `?` on the application's statements,
/// `From<sqlx::Error>`: an enum of the application's, or a boxed error as above. If it is [`AuthError`], turn the
/// application's errors into it by [`from_sqlx`](AuthError::from_sqlx).
///
/// # Errors
///
/// As [`transaction`](crate::transaction()). If a statement of the application's failed and `work` returns `Ok` all the
/// same, the answer is [`AuthError::TransactionAborted`], and nothing was done.
pub async fn sqlx_transaction<T, E, Work, Done>(
    adapter: &SqlxAdapter,
    mut work: Work,
) -> Result<T, E>
where
    E: From<AuthError> + 'static,
    Work: FnMut(OpenSqlxTransaction) -> Done,
    Done: Future<Output = Result<T, E>>,
{
    let begin = || async {
        let repository = &adapter.repository;
        let begin = repository.begin_transaction();
        let transaction = repository.connections.observe("begin", begin).await?;
        Ok(Box::new(transaction))
    };
    run_until_committed(begin, |attempt| {
        let done = work(OpenSqlxTransaction {
            attempt: Arc::clone(&attempt),
        });
        async move {
            let answer = done.await;
            let has_conflicted = attempt.transaction().status().has_conflicted;
            if has_conflicted || answer.as_ref().is_err_and(is_conflict) {
                attempt.note_conflict();
            }
            answer
        }
    })
    .await
}

/// Whether an error tells of a conflict, for statements that were not watched.
fn is_conflict<E: 'static>(error: &E) -> bool {
    let error: &dyn Any = error;
    let boxed = error.downcast_ref::<Box<dyn Error + Send + Sync>>();
    error.downcast_ref().is_some_and(AuthError::is_contention)
        || boxed.is_some_and(|error| {
            error.downcast_ref().is_some_and(AuthError::is_contention)
                || error.downcast_ref().is_some_and(conflicts)
        })
}

/// The transaction that [`sqlx_transaction`] passes to its closure. It is an adapter, lends its
/// [`connection`](Self::connection), and ends when the closure returns.
pub struct OpenSqlxTransaction {
    attempt: Arc<Attempt<SqlxTransaction>>,
}

impl OpenSqlxTransaction {
    /// Lends the connection for statements of the application's, until it is dropped. Give it back before the next method
    /// of the transaction is called.
    ///
    /// # Errors
    ///
    /// [`AuthError::TransactionAborted`] after an operation that failed or was dropped; [`AuthError::Validation`] if the
    /// connection is lent already.
    pub async fn connection(&self) -> AuthResult<LentConnection<'_>> {
        self.attempt.transaction().lend().await
    }
}

impl fmt::Debug for OpenSqlxTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSqlxTransaction")
            .finish_non_exhaustive()
    }
}

forward_database_adapter!(
    impl [] for OpenSqlxTransaction, |this| this.attempt.transaction().as_dyn(), |call| this.attempt.note(call().await)
);
