//! [`Joined`]: all operations in a transaction of the application's.

use std::fmt;

use async_trait::async_trait;
use sqlx::PgTransaction;

use super::adapter::SqlxAdapter;
use super::lent_connection::LentConnection;
use super::transaction::SqlxTransaction;
use crate::AuthResult;
use crate::adapters::Transaction;
use crate::adapters::delegate::forward_database_adapter;

/// A transaction of the application's that has been joined by [`SqlxAdapter::join`]: an adapter whose every operation runs
/// in it.
///
/// - Each operation takes one round trip. Nothing is batched or sent again. `begin` is
///   [`Unsupported`](crate::AuthError::Unsupported).
/// - If an operation fails or is dropped half-way, the transaction can no longer be committed:
///   [`commit`](Self::commit), [`connection`](Self::connection) and [`into_inner`](Self::into_inner) answer
///   [`AuthError::TransactionAborted`](crate::AuthError::TransactionAborted).
///   [`with_savepoints`](Self::with_savepoints) changes that for operations that fail.
/// - If it is dropped, the transaction is rolled back.
/// - If an answer does not come within [`answer_timeout`](crate::adapters::SqlxAdapterBuilder::answer_timeout), the
///   operation fails, and the transaction cannot be committed. How long a statement waits for a lock is set by the
///   application's connection.
///
/// There is no automatic retry after a conflict, because the transaction is the application's. For that, use
/// [`sqlx_transaction`](crate::sqlx_transaction()).
pub struct Joined(SqlxTransaction);

impl SqlxAdapter {
    /// Joins a transaction of the application's: every operation of the answer runs in it, so that it is committed with the
    /// application's own rows or not at all.
    ///
    /// The transaction is that of any pool on the adapter's database. Its `search_path` has to lead to the same tables.
    ///
    /// ```no_run
    /// use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
    /// use better_auth::types::CreateUser;
    /// use sqlx::PgPool;
    ///
    /// # async fn example(pool: PgPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let database = SqlxAdapter::from_pool(pool.clone());
    /// let joined = database.join(pool.begin().await?);
    /// let user = joined.create_user(CreateUser::new().with_email("ada@example.com")).await?;
    /// sqlx::query("INSERT INTO profiles (user_id) VALUES ($1)")
    ///     .bind(&user.id)
    ///     .execute(&mut *joined.connection().await?)
    ///     .await?;
    /// joined.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn join(&self, transaction: PgTransaction<'static>) -> Joined {
        Joined(self.repository.join(transaction))
    }
}

impl Joined {
    /// Lets the transaction go on after an operation that failed, with nothing of the operation done: a
    /// [`Conflict`](crate::AuthError::Conflict) can be answered by another try.
    ///
    /// Each operation then sets a savepoint before its statement, which takes a second round trip. A dropped operation, a
    /// dead connection and an answer that does not come still end the transaction. So does a failed statement of the
    /// application's, unless it sets a savepoint itself.
    ///
    /// ```no_run
    /// use better_auth::AuthError;
    /// use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
    /// use better_auth::types::CreateUser;
    /// use sqlx::PgPool;
    ///
    /// # async fn example(database: SqlxAdapter, pool: PgPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let joined = database.join(pool.begin().await?).with_savepoints();
    /// let ada = CreateUser::new().with_email("ada@example.com").with_username("ada");
    /// let user = match joined.create_user(ada).await {
    ///     Err(AuthError::Conflict { .. }) => joined.create_user(CreateUser::new()).await?,
    ///     created => created?,
    /// };
    /// # let _ = user;
    /// joined.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_savepoints(self) -> Self {
        Self(self.0.with_savepoints())
    }

    /// Lends the connection for statements of the application's.
    ///
    /// # Errors
    ///
    /// [`AuthError::TransactionAborted`](crate::AuthError::TransactionAborted) after an operation that failed or was
    /// dropped; [`AuthError::Validation`](crate::AuthError::Validation) if the connection is lent already.
    pub async fn connection(&self) -> AuthResult<LentConnection<'_>> {
        self.0.lend().await
    }

    /// Commits the transaction. If a statement of the application's was the last that ran and may have failed, one more
    /// round trip checks that the transaction is whole, because PostgreSQL answers a COMMIT of an aborted transaction
    /// without an error.
    ///
    /// # Errors
    ///
    /// [`AuthError::TransactionAborted`](crate::AuthError::TransactionAborted) after an operation that failed or was
    /// dropped, or a failed statement of the application's: the transaction is rolled back.
    /// [`AuthError::OutcomeUnknown`](crate::AuthError::OutcomeUnknown) if the connection dies before the answer comes.
    pub async fn commit(self) -> AuthResult<()> {
        self.0.commit().await
    }

    /// Rolls the transaction back, and waits until that is done.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable) if the connection has died. Nothing was done all the same.
    pub async fn rollback(self) -> AuthResult<()> {
        self.0.rollback().await
    }

    /// Gives the transaction back, to go on without the adapter.
    ///
    /// # Errors
    ///
    /// [`AuthError::TransactionAborted`](crate::AuthError::TransactionAborted) as [`commit`](Self::commit): the transaction
    /// is rolled back.
    pub async fn into_inner(self) -> AuthResult<PgTransaction<'static>> {
        self.0.into_joined().await
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").finish_non_exhaustive()
    }
}

forward_database_adapter!(impl [] for Joined, |this| this.0.as_dyn(), |call| call().await);

#[async_trait]
impl Transaction for Joined {
    async fn commit(self: Box<Self>) -> AuthResult<()> {
        self.0.commit().await
    }

    async fn rollback(self: Box<Self>) -> AuthResult<()> {
        self.0.rollback().await
    }
}
