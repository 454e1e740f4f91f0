//! A transaction: every operation on one connection, between BEGIN and COMMIT.

use std::sync::{Arc, Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError};

use async_trait::async_trait;
use sqlx::PgTransaction;
use tokio::sync::{Mutex, MutexGuard};

use super::connection::{Lease, begin, depth};
use super::error::{Operation, commit_error, statement_error};
use super::inside::{Inside, Status};
use super::lent_connection::LentConnection;
use super::repository::Repository;
use crate::adapters::delegate::forward_database_adapter;
use crate::adapters::{DatabaseAdapter, Transaction};
use crate::{AuthError, AuthResult};

/// All operations on one connection, between BEGIN and COMMIT.
pub(super) struct SqlxTransaction {
    repository: Repository,
    /// Held during each call.
    turn: Mutex<()>,
    status: StdMutex<Status>,
}

impl SqlxTransaction {
    fn new(repository: Repository) -> Self {
        Self {
            repository,
            turn: Mutex::new(()),
            status: StdMutex::default(),
        }
    }

    /// A failed call leaves the transaction usable.
    pub(super) fn with_savepoints(mut self) -> Self {
        if let Some(inside) = &mut self.repository.transaction {
            inside.get_mut().set_savepoints();
        }
        self
    }

    /// Where every call is handed on, the compiler would otherwise prove for each method anew that all that the transaction
    /// holds may be sent to another thread.
    pub(super) fn as_dyn(&self) -> &dyn DatabaseAdapter {
        self
    }

    pub(super) fn status(&self) -> StdMutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn call<T>(&self, call: impl Future<Output = AuthResult<T>>) -> AuthResult<T> {
        let _turn = self.turn.lock().await;
        self.enter()?;
        let answer = call.await;
        let mut inside = self.inside().await?;
        let is_usable = match &answer {
            Ok(_) => {
                inside.end_call();
                true
            }
            // That of a store whose tables went meanwhile has aborted the transaction at the server.
            Err(AuthError::Unsupported { .. }) if !inside.has_failed() => {
                inside.end_call();
                true
            }
            Err(_) => inside.undo_call().await,
        };
        self.status().is_aborted = !is_usable;
        answer
    }

    /// Begins a call. If it is dropped, the transaction stays aborted.
    fn enter(&self) -> AuthResult<()> {
        let mut status = self.status();
        if status.is_aborted {
            return Err(AuthError::TransactionAborted);
        }
        status.is_aborted = true;
        if status.is_lent {
            let message = "the connection of the transaction is lent out: drop it before the next call; the transaction \
                           is rolled back";
            return Err(AuthError::validation("connection", message));
        }
        Ok(())
    }

    async fn inside(&self) -> AuthResult<MutexGuard<'_, Inside>> {
        match &self.repository.transaction {
            Some(inside) => Ok(inside.lock().await),
            None => Err(AuthError::TransactionAborted),
        }
    }

    /// Lends the connection for statements of the application's.
    pub(super) async fn lend(&self) -> AuthResult<LentConnection<'_>> {
        const LEND: Operation = Operation::write("connection").in_transaction();
        let _turn = self.turn.lock().await;
        self.enter()?;
        let mut inside = self.inside().await?;
        if let Err(error) = inside.release_savepoint().await {
            return Err(statement_error(
                error,
                LEND,
                &self.repository.connections.server,
            ));
        }
        let mut status = self.status();
        status.is_aborted = false;
        status.is_lent = true;
        drop(status);
        Ok(LentConnection::new(inside, &self.status))
    }

    fn into_inside(self) -> AuthResult<Inside> {
        let inside = self.repository.transaction.map(Mutex::into_inner);
        inside.ok_or(AuthError::TransactionAborted)
    }

    /// The connection of a transaction that can be committed. Any other is rolled back.
    async fn into_whole(self) -> AuthResult<Inside> {
        let status = *self.status();
        let mut inside = self.into_inside()?;
        // A lent connection that was forgotten stays lent.
        if status.is_aborted || status.is_lent || !inside.can_commit().await {
            // Its locks are gone when this answers, also where the connection is dead.
            let _ = inside.lease.rollback().await;
            return Err(AuthError::TransactionAborted);
        }
        Ok(inside)
    }

    /// The transaction of the application's that was joined.
    pub(super) async fn into_joined(self) -> AuthResult<PgTransaction<'static>> {
        let mut inside = self.into_whole().await?;
        if inside.release_savepoint().await.is_err() {
            let _ = inside.lease.rollback().await;
            return Err(AuthError::TransactionAborted);
        }
        let joined = inside.lease.into_joined();
        joined.ok_or(AuthError::TransactionAborted)
    }

    pub(super) async fn commit(self) -> AuthResult<()> {
        let connections = Arc::clone(&self.repository.connections);
        let commit = async {
            let committed = self.into_whole().await?.lease.commit().await;
            committed.map_err(|error| commit_error(error, &connections.server))
        };
        connections.observe("commit", commit).await
    }

    pub(super) async fn rollback(self) -> AuthResult<()> {
        const ROLLBACK: Operation = Operation::write("rollback").in_transaction();
        let connections = Arc::clone(&self.repository.connections);
        let rollback = async {
            let undone = self.into_inside()?.lease.rollback().await;
            undone.map_err(|error| statement_error(error, ROLLBACK, &connections.server))
        };
        connections.observe(ROLLBACK.name, rollback).await
    }
}

impl Repository {
    pub(super) async fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        Ok(Box::new(self.begin_transaction().await?))
    }

    pub(super) async fn begin_transaction(&self) -> AuthResult<SqlxTransaction> {
        const BEGIN: Operation = Operation::write("begin").in_transaction();
        if self.transaction.is_some() {
            let operation = BEGIN.name;
            return Err(AuthError::Unsupported { operation });
        }
        let ((), lease) = self
            .connections
            .run_on_lease(BEGIN, |connection| Box::pin(begin(connection)))
            .await
            .map_err(|failure| failure.into_error(BEGIN, &self.connections.server))?;
        Ok(self.within(Inside::own(lease)))
    }

    /// All operations in a transaction of the application's.
    pub(super) fn join(&self, transaction: PgTransaction<'static>) -> SqlxTransaction {
        let lease = Lease::joined(transaction, self.connections.answer_timeout());
        // A nested `begin()` that is dropped while it is under way rolls back what is around it.
        let is_open = depth(lease.peek()) == 1;
        let joined = self.within(Inside::joined(lease));
        joined.status().is_aborted = !is_open;
        joined
    }

    fn within(&self, inside: Inside) -> SqlxTransaction {
        SqlxTransaction::new(Self {
            connections: Arc::clone(&self.connections),
            loaders: Arc::clone(&self.loaders),
            session_cache: None,
            stores: Vec::new(),
            transaction: Some(Mutex::new(inside)),
        })
    }
}

forward_database_adapter!(
    impl [] for SqlxTransaction, |this| this.repository,
    |call, method| this.repository.connections.observe(method, this.call(call())).await
);

#[async_trait]
impl Transaction for SqlxTransaction {
    async fn commit(self: Box<Self>) -> AuthResult<()> {
        (*self).commit().await
    }

    async fn rollback(self: Box<Self>) -> AuthResult<()> {
        (*self).rollback().await
    }
}
