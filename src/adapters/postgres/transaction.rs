use async_trait::async_trait;
use sqlx::{PgConnection, PgPool, PgTransaction};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::database::Database;
use super::error::{Failure, Operation, commit_error, connection_error, failure, statement_error};
use super::pool::Server;
use crate::adapters::Transaction;
use crate::adapters::forward::forward_database_adapter;
use crate::{AuthError, AuthResult};

/// A transaction of sqlx's, which rolls back when it is dropped, also outside the runtime while no call is under way.
pub(super) struct Begun {
    transaction: Option<PgTransaction<'static>>,
    runtime: Handle,
}

impl Begun {
    pub(super) fn connection(&mut self) -> AuthResult<&mut PgConnection> {
        let transaction = self.transaction.as_mut();
        Ok(&mut *transaction.ok_or(AuthError::TransactionAborted)?)
    }

    fn take(&mut self) -> AuthResult<PgTransaction<'static>> {
        self.transaction.take().ok_or(AuthError::TransactionAborted)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Outside a runtime, sqlx panics when it gives the connection back.
        let _runtime = self.runtime.enter();
        self.transaction = None;
    }
}

/// Begins a transaction on a connection of the pool, on another one where that turns out to be dead.
pub(super) async fn begin(pool: &PgPool, server: &Server) -> AuthResult<Begun> {
    const BEGIN: Operation = Operation::read("begin");
    let mut dead_connections = 0;
    loop {
        let acquired = pool.acquire().await;
        let connection = acquired.map_err(|error| connection_error(error, BEGIN.name, server))?;
        // sqlx does not roll back a BEGIN whose future is dropped on the way, and would give the connection back inside
        // the transaction. In a task of its own the BEGIN is always seen through.
        let begun = tokio::spawn(async move {
            PgTransaction::begin(connection, None)
                .await
                .map(|transaction| Begun {
                    transaction: Some(transaction),
                    runtime: Handle::current(),
                })
        });
        match begun.await {
            Ok(Ok(begun)) => return Ok(begun),
            Ok(Err(error))
                if failure(&error, BEGIN) == Failure::DeadConnection
                    && dead_connections < pool.options().get_max_connections() =>
            {
                dead_connections += 1;
            }
            Ok(Err(error)) => return Err(statement_error(error, BEGIN, server)),
            Err(error) => {
                return Err(AuthError::Unavailable {
                    message: format!("begin on {server}: the runtime is shutting down"),
                    collision: false,
                    source: Some(Box::new(error)),
                });
            }
        }
    }
}

/// All operations on one connection, between BEGIN and COMMIT.
pub(super) struct SqlxTransaction {
    database: Database,
    /// Held during each call.
    aborted: Mutex<bool>,
}

impl SqlxTransaction {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            aborted: Mutex::new(false),
        }
    }

    async fn call<T>(&self, call: impl Future<Output = AuthResult<T>>) -> AuthResult<T> {
        let mut aborted = self.aborted.lock().await;
        if *aborted {
            return Err(AuthError::TransactionAborted);
        }
        // Stays so where the call is dropped.
        *aborted = true;
        let answer = call.await;
        *aborted = !matches!(answer, Ok(_) | Err(AuthError::Unsupported { .. }));
        answer
    }

    async fn take(&self) -> AuthResult<PgTransaction<'static>> {
        match &self.database.transaction {
            Some(transaction) => transaction.lock().await.take(),
            None => Err(AuthError::TransactionAborted),
        }
    }
}

forward_database_adapter!(impl [] for SqlxTransaction, |this| this.database, |call| this.call(call()).await);

#[async_trait]
impl Transaction for SqlxTransaction {
    async fn commit(self: Box<Self>) -> AuthResult<()> {
        self.call(async {
            let transaction = self.take().await?;
            let committed = transaction.commit().await;
            committed.map_err(|error| commit_error(error, &self.database.server))
        })
        .await
    }

    async fn rollback(self: Box<Self>) -> AuthResult<()> {
        let undone = self.take().await?.rollback().await;
        let operation = Operation::write("rollback").in_transaction();
        undone.map_err(|error| statement_error(error, operation, &self.database.server))
    }
}
