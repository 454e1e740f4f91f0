//! A transaction: every operation on one connection, between BEGIN and COMMIT.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Executor as _;
use tokio::sync::Mutex;

use super::connection::Lease;
use super::error::{Operation, commit_error, statement_error};
use super::repository::Repository;
use crate::adapters::Transaction;
use crate::adapters::delegate::forward_database_adapter;
use crate::{AuthError, AuthResult};

/// All operations on one connection, between BEGIN and COMMIT.
pub(super) struct SqlxTransaction {
    repository: Repository,
    /// Held during each call.
    aborted: Mutex<bool>,
}

impl SqlxTransaction {
    pub(super) fn new(repository: Repository) -> Self {
        Self {
            repository,
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

    fn into_lease(self) -> AuthResult<Lease> {
        let lease = self.repository.transaction.map(Mutex::into_inner);
        lease.ok_or(AuthError::TransactionAborted)
    }
}

impl Repository {
    pub(super) async fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        const BEGIN: Operation = Operation::write("begin").in_transaction();
        if self.transaction.is_some() {
            let operation = BEGIN.name;
            return Err(AuthError::Unsupported { operation });
        }
        let (_, lease) = self
            .connections
            .run_on_lease(BEGIN, |connection| connection.execute("BEGIN"))
            .await
            .map_err(|failure| failure.into_error(BEGIN, &self.connections.server))?;
        Ok(Box::new(SqlxTransaction::new(Self {
            connections: Arc::clone(&self.connections),
            loaders: Arc::clone(&self.loaders),
            transaction: Some(Mutex::new(lease)),
        })))
    }
}

forward_database_adapter!(impl [] for SqlxTransaction, |this| this.repository, |call| this.call(call()).await);

#[async_trait]
impl Transaction for SqlxTransaction {
    async fn commit(self: Box<Self>) -> AuthResult<()> {
        if *self.aborted.lock().await {
            // Its locks are gone when this answers, also where the connection is dead.
            let _ = self.rollback().await;
            return Err(AuthError::TransactionAborted);
        }
        let server = self.repository.connections.server.clone();
        let committed = self.into_lease()?.commit().await;
        committed.map_err(|error| commit_error(error, &server))
    }

    async fn rollback(self: Box<Self>) -> AuthResult<()> {
        const ROLLBACK: Operation = Operation::write("rollback").in_transaction();
        let server = self.repository.connections.server.clone();
        let undone = self.into_lease()?.rollback().await;
        undone.map_err(|error| statement_error(error, ROLLBACK, &server))
    }
}
