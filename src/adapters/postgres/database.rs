use std::pin::Pin;
use std::time::Duration;

use sqlx::postgres::PgQueryResult;
use sqlx::{Executor as _, PgConnection, PgPool};
use tokio::sync::Mutex;

use super::error::{Failure, Operation, connection_error, failure, statement_error};
use super::lease::Lease;
use super::pool::{LONGEST_TIMEOUT, Server};
use super::transaction::SqlxTransaction;
use crate::adapters::Transaction;
use crate::adapters::back_off::{MAX_RETRIES, back_off};
use crate::types::CleanUp;
use crate::{AuthError, AuthResult};

/// How long an answer may take where `acquire_timeout` is short, so that a statement with much to do gets through.
const SHORTEST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The `LIMIT` of the statements that work in pieces.
const PIECE: u64 = 1000;

/// The advisory locks of the instances that clean up, one for each kind of rows: whoever takes it from another goes on with
/// the same. Arbitrary, the same in every process, and the database's own.
pub(super) const EXPIRED_SESSIONS_LOCK: i64 = 0x6265_7474_6572_2d62;
pub(super) const ENDED_SESSIONS_LOCK: i64 = EXPIRED_SESSIONS_LOCK + 1;
pub(super) const EXPIRED_VERIFICATIONS_LOCK: i64 = EXPIRED_SESSIONS_LOCK + 2;

pub(super) type StatementFuture<'c, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'c>>;

/// What an adapter may be told beside its pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) max_retries: u32,
    pub(super) hash_session_tokens: bool,
    pub(super) answer_timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_retries: MAX_RETRIES,
            hash_session_tokens: false,
            answer_timeout: None,
        }
    }
}

/// Runs statements: each on whatever connection of the pool is free, or all in one transaction.
pub(super) struct Database {
    pub(super) pool: PgPool,
    pub(super) server: Server,
    pub(super) settings: Settings,
    answer_timeout: Duration,
    pub(super) transaction: Option<Mutex<Lease>>,
}

impl Database {
    pub(super) fn new(pool: PgPool, settings: Settings) -> Self {
        let twice = pool.options().get_acquire_timeout().saturating_mul(2);
        Self {
            server: Server::new(&pool.connect_options()),
            answer_timeout: settings
                .answer_timeout
                .unwrap_or(twice.max(SHORTEST_ANSWER_TIMEOUT))
                .min(LONGEST_TIMEOUT),
            pool,
            settings,
            transaction: None,
        }
    }

    pub(super) async fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        const BEGIN: Operation = Operation::write("begin").in_transaction();
        if self.transaction.is_some() {
            let operation = BEGIN.name;
            return Err(AuthError::Unsupported { operation });
        }
        let (_, lease) = self
            .run_on_lease(BEGIN, |connection| connection.execute("BEGIN"))
            .await?;
        Ok(Box::new(SqlxTransaction::new(Self {
            pool: self.pool.clone(),
            server: self.server.clone(),
            settings: self.settings,
            answer_timeout: self.answer_timeout,
            transaction: Some(Mutex::new(lease)),
        })))
    }

    pub(super) async fn clean_up(&self) -> AuthResult<CleanUp> {
        // A transaction would keep everyone else waiting for its end.
        let alone = self.transaction.is_none();
        Ok(CleanUp {
            sessions: self.delete_dead_sessions("clean_up", alone).await?,
            verifications: self.delete_dead_verifications("clean_up", alone).await?,
        })
    }

    /// Runs a statement. Outside a transaction, runs it again where that is safe: after a collision with others, and on
    /// another connection where the pooled one turns out to be dead before anything was done.
    pub(super) async fn run<T>(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> AuthResult<T> {
        let Some(transaction) = &self.transaction else {
            let (answer, _) = self.run_on_lease(operation, statement).await?;
            return Ok(answer);
        };
        let answer = transaction.lock().await.run(statement).await;
        answer.map_err(|error| statement_error(error, operation.in_transaction(), &self.server))
    }

    async fn run_on_lease<T>(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> AuthResult<(T, Lease)> {
        let mut collisions = 0;
        // Each dead connection leaves the pool when it is found.
        let mut dead_connections = 0;
        loop {
            let mut lease =
                Lease::acquire(&self.pool, self.answer_timeout, operation.in_transaction)
                    .await
                    .map_err(|error| connection_error(error, operation.name, &self.server))?;
            let error = match lease.run(&statement).await {
                Ok(answer) => return Ok((answer, lease)),
                Err(error) => error,
            };
            drop(lease);
            match failure(&error, operation) {
                Failure::Collision if collisions < self.settings.max_retries => {
                    tokio::time::sleep(back_off(collisions)).await;
                    collisions += 1;
                }
                Failure::DeadConnection
                    if dead_connections < self.pool.options().get_max_connections() =>
                {
                    dead_connections += 1;
                }
                _ => return Err(statement_error(error, operation, &self.server)),
            }
        }
    }

    /// Runs a statement that removes at most [`PIECE`] rows until there are no more, and says how many there were.
    pub(super) async fn in_pieces(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, PgQueryResult>,
    ) -> AuthResult<usize> {
        let mut removed = 0;
        loop {
            let piece = self.run(operation, &statement).await?.rows_affected();
            removed += usize::try_from(piece).unwrap_or(usize::MAX);
            if piece < PIECE {
                return Ok(removed);
            }
        }
    }
}
