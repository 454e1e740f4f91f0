use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgQueryResult;
use sqlx::{Executor as _, PgConnection, PgPool};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::batch::{Batcher, Keyed, Source};
use super::error::{Class, Failure, Operation, connection_error};
use super::kept::Kept;
use super::lease::{Lease, Origin};
use super::pool::{LONGEST_TIMEOUT, Server, patience};
use super::transaction::SqlxTransaction;
use super::violation::{OurTables, Violated};
use crate::adapters::Transaction;
use crate::adapters::backoff::{DEFAULT_MAX_RETRIES, backoff};
use crate::types::{Removed, Session, User};
use crate::{AuthError, AuthResult};

/// How long an answer may take where `acquire_timeout` is short, so that a statement with much to do gets through.
const SHORTEST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a key that may share a statement: whoever presents more keeps nobody waiting.
const LONGEST_SHARED_KEY: usize = 1024;

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
    pub(super) share_between_callers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_retries: DEFAULT_MAX_RETRIES,
            hash_session_tokens: false,
            answer_timeout: None,
            share_between_callers: true,
        }
    }
}

/// The connections to a server, each on loan for one statement or for a transaction.
pub(super) struct Connections {
    pub(super) pool: PgPool,
    pub(super) server: Server,
    pub(super) settings: Settings,
    origin: Origin,
    answer_timeout: Duration,
    batchers: Batchers,
    kept: Arc<Kept<Lease>>,
    pub(super) our_tables: OurTables,
}

/// Runs statements: each on whatever connection is free, or all in one transaction.
pub(super) struct Database {
    pub(super) connections: Arc<Connections>,
    pub(super) transaction: Option<Mutex<Lease>>,
}

impl Database {
    pub(super) fn new(pool: PgPool, origin: Origin, settings: Settings) -> Self {
        Self {
            connections: Arc::new(Connections::new(pool, origin, settings)),
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
            .connections
            .run_on_lease(BEGIN, |connection| connection.execute("BEGIN"))
            .await
            .map_err(|failure| failure.into_error(BEGIN, &self.connections.server))?;
        Ok(Box::new(SqlxTransaction::new(Self {
            connections: Arc::clone(&self.connections),
            transaction: Some(Mutex::new(lease)),
        })))
    }

    pub(super) async fn clean_up(&self) -> AuthResult<Removed> {
        // A transaction would keep everyone else waiting for its end.
        let alone = self.transaction.is_none();
        Ok(Removed {
            sessions: self.delete_dead_sessions("clean_up", alone).await?,
            verifications: self.delete_dead_verifications("clean_up", alone).await?,
        })
    }

    /// Runs a statement, as [`Connections::run`] does, or in the transaction.
    pub(super) async fn run<T>(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> AuthResult<T> {
        let failure = match self.try_run(operation, statement).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let violated = self.violated(&failure, operation).await;
        let answer = violated.and_then(Violated::answer);
        Err(answer.unwrap_or_else(|| self.error(failure, operation)))
    }

    /// As [`run`](Self::run), for operations that ask what else is taken before they answer.
    pub(super) async fn try_run<T>(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> Result<T, Failure> {
        let Some(transaction) = &self.transaction else {
            return self.connections.run(operation, statement).await;
        };
        let mut lease = transaction.lock().await;
        let answer = lease.run(statement).await;
        answer.map_err(|error| {
            let failure = Failure::of_statement(error, operation.in_transaction());
            if failure.class.is_connection_unfit() {
                lease.spoil();
            }
            failure
        })
    }

    /// Runs a statement on behalf of an operation that has failed. A transaction is aborted by then, so it begins anew,
    /// for this statement only: nothing of it will be done.
    pub(super) async fn run_after_failure<T>(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> Result<T, Failure> {
        if self.transaction.is_some() {
            self.try_run(operation, |connection| {
                connection.execute("ROLLBACK AND CHAIN")
            })
            .await?;
        }
        self.try_run(operation, statement).await
    }

    pub(super) fn error(&self, failure: Failure, operation: Operation) -> AuthError {
        let operation = match &self.transaction {
            Some(_) => operation.in_transaction(),
            None => operation,
        };
        failure.into_error(operation, &self.connections.server)
    }

    /// The row of a key. Lookups that wait at the same time share a statement, outside transactions.
    pub(super) async fn look_up<R: LookUp>(&self, key: &str) -> AuthResult<Option<R>> {
        let may_share = key.len() <= LONGEST_SHARED_KEY && self.transaction.is_none();
        if may_share && self.connections.settings.share_between_callers {
            let batcher = R::batcher(&self.connections.batchers);
            return batcher.get(key, &self.connections).await;
        }
        let keys = [key.to_owned()];
        let rows = self.run(R::OPERATION, |connection| R::find(connection, &keys));
        Ok(rows.await?.into_iter().next())
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

impl Connections {
    fn new(pool: PgPool, origin: Origin, settings: Settings) -> Self {
        let twice = pool.options().get_acquire_timeout().saturating_mul(2);
        Self {
            server: Server::new(&pool.connect_options()),
            origin,
            answer_timeout: settings
                .answer_timeout
                .unwrap_or(twice.max(SHORTEST_ANSWER_TIMEOUT))
                .min(LONGEST_TIMEOUT),
            batchers: Batchers::new(pool.options().get_max_connections()),
            kept: Arc::new(Kept::new(pool.options().get_max_connections())),
            our_tables: OurTables::default(),
            pool,
            settings,
        }
    }

    /// Runs a statement, and runs it again where that is safe: after a conflict with others, and on another connection
    /// where the pooled one turns out to be dead before anything was done.
    async fn run<T>(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> Result<T, Failure> {
        let (answer, lease) = self.run_on_lease(operation, statement).await?;
        if self.settings.share_between_callers && !self.pool.is_closed() {
            self.kept.keep(lease);
        }
        Ok(answer)
    }

    async fn acquire(&self) -> sqlx::Result<Lease> {
        if self.pool.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        let acquire_timeout = self.pool.options().get_acquire_timeout();
        let lease = self.kept.acquire(patience(acquire_timeout), |place| {
            Lease::acquire(&self.pool, place, self.answer_timeout, self.origin)
        });
        match timeout(acquire_timeout, lease).await {
            Ok(lease) => lease,
            Err(_) if self.pool.is_closed() => Err(sqlx::Error::PoolClosed),
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// As [`run`](Self::run), with the connection for what comes next.
    async fn run_on_lease<T>(
        &self,
        operation: Operation,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> Result<(T, Lease), Failure> {
        let mut contentions = 0;
        // Each of them leaves the pool when it is found.
        let mut lost_connections = 0;
        loop {
            let mut lease = self.acquire().await.map_err(Failure::of_connection)?;
            if operation.in_transaction {
                lease.enter_transaction();
            }
            let failure = match lease.run(&statement).await {
                Ok(answer) => return Ok((answer, lease)),
                Err(error) => Failure::of_statement(error, operation),
            };
            if failure.class.is_connection_unfit() {
                lease.spoil();
            }
            drop(lease);
            match failure.class {
                Class::Contention if contentions < self.settings.max_retries => {
                    tokio::time::sleep(backoff(contentions)).await;
                    contentions += 1;
                }
                Class::DeadConnection | Class::StalePlan | Class::ReadOnly
                    if lost_connections < self.pool.options().get_max_connections() =>
                {
                    lost_connections += 1;
                }
                _ => return Err(failure),
            }
        }
    }
}

/// Rows that one statement finds for many keys.
pub(super) trait LookUp: Keyed {
    const OPERATION: Operation;

    fn batcher(batchers: &Batchers) -> &Arc<Batcher<Self>>;

    fn find<'c>(
        connection: &'c mut PgConnection,
        keys: &[String],
    ) -> StatementFuture<'c, Vec<Self>>;
}

pub(super) struct Batchers {
    pub(super) users: Arc<Batcher<User>>,
    pub(super) sessions: Arc<Batcher<Session>>,
    pub(super) sessions_with_users: Arc<Batcher<(Session, User)>>,
}

impl Batchers {
    fn new(connections: u32) -> Self {
        Self {
            users: Arc::new(Batcher::new(connections)),
            sessions: Arc::new(Batcher::new(connections)),
            sessions_with_users: Arc::new(Batcher::new(connections)),
        }
    }
}

impl<R: LookUp> Source<R> for Arc<Connections> {
    type Failure = Failure;

    fn longest_wait(&self) -> Duration {
        self.pool.options().get_acquire_timeout()
    }

    fn timed_out(&self) -> AuthError {
        connection_error(sqlx::Error::PoolTimedOut, R::OPERATION.name, &self.server)
    }

    fn longest_answer(&self) -> Duration {
        self.answer_timeout
    }

    fn concerns_all(failure: &Failure) -> bool {
        failure.class.concerns_all()
    }

    fn error(&self, failure: Failure) -> AuthError {
        failure.into_error(R::OPERATION, &self.server)
    }

    async fn find(&self, take: impl Fn() -> Vec<String> + Send + Sync) -> Result<Vec<R>, Failure> {
        let found = self.run(R::OPERATION, |connection| {
            let keys = take();
            if keys.is_empty() {
                return Box::pin(future::ready(Ok(Vec::new())));
            }
            R::find(connection, &keys)
        });
        found.await
    }
}
