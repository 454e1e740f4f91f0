//! The ground of all operations: each statement on whatever connection is free, or all in one transaction.

use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Map;
use sqlx::{PgConnection, Postgres};
use tokio::sync::Mutex;

use super::batch_loader::{BatchLoader, Keyed, Source};
use super::connection::{Connections, Settings, StatementFuture};
use super::error::{Failure, Operation, connection_error};
use super::inside::Inside;
use super::live_session::LiveSession;
use super::live_session_with_member::LiveSessionWithMember;
use super::session_cache::CachedSessions;
use super::violation::Violated;
use crate::AuthError;
use crate::adapters::{Store, telemetry};
use crate::types::{Session, User};

/// Bytes of a key that may share a statement. A longer one is looked up alone, so that it delays no other caller.
pub(super) const MAX_SHARED_KEY: usize = 1024;

/// A checked statement whose rows become values by `F`.
type Query<F> = Map<'static, Postgres, F, PgArguments>;

/// What an operation makes of a connection, each time that it is sent.
pub(super) trait Statement<T>:
    for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T> + Send + Sync
{
}

impl<T, S> Statement<T> for S where
    S: for<'c> Fn(&'c mut PgConnection) -> StatementFuture<'c, T> + Send + Sync
{
}

/// The answer of a statement. Boxed, because the compiler would look through the whole future of each operation for what
/// cannot be sent to another thread, again for each adapter.
pub(super) type Answer<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Runs statements: each on whatever connection is free, or all in one transaction.
pub(super) struct Repository {
    pub(super) connections: Arc<Connections>,
    pub(super) loaders: Arc<Loaders>,
    /// Not in transactions.
    pub(super) session_cache: Option<CachedSessions>,
    /// Those that are migrated and checked.
    pub(super) stores: Vec<Store>,
    pub(super) transaction: Option<Mutex<Inside>>,
}

impl Repository {
    pub(super) fn new(connections: Connections, session_cache: Option<CachedSessions>) -> Self {
        Self {
            loaders: Arc::new(Loaders::new(connections.max_connections())),
            connections: Arc::new(connections),
            session_cache,
            stores: Vec::new(),
            transaction: None,
        }
    }

    /// Runs a statement, as [`Connections::run`] does, or in the transaction.
    pub(super) fn run<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        statement: impl Statement<T> + 'a,
    ) -> Answer<'a, T, AuthError> {
        Box::pin(async move {
            if let Some(store) = operation.store {
                self.require(store, operation.name).await?;
            }
            let failure = match self.attempt(operation, statement).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let violated = self.violated(&failure, operation).await;
            let answer = violated.and_then(Violated::answer);
            Err(answer.unwrap_or_else(|| self.error(failure, operation)))
        })
    }

    pub(super) fn fetch_optional<'a, T, F>(
        &'a self,
        operation: Operation,
        statement: impl Fn() -> Query<F> + Send + Sync + 'a,
    ) -> Answer<'a, Option<T>, AuthError>
    where
        F: FnMut(PgRow) -> sqlx::Result<T> + Send + 'static,
        T: Send + Unpin + 'static,
    {
        self.run(operation, move |connection| {
            Box::pin(statement().fetch_optional(connection))
        })
    }

    pub(super) fn fetch_all<'a, T, F>(
        &'a self,
        operation: Operation,
        statement: impl Fn() -> Query<F> + Send + Sync + 'a,
    ) -> Answer<'a, Vec<T>, AuthError>
    where
        F: FnMut(PgRow) -> sqlx::Result<T> + Send + 'static,
        T: Send + Unpin + 'static,
    {
        self.run(operation, move |connection| {
            Box::pin(statement().fetch_all(connection))
        })
    }

    pub(super) fn fetch_one<'a, T, F>(
        &'a self,
        operation: Operation,
        statement: impl Fn() -> Query<F> + Send + Sync + 'a,
    ) -> Answer<'a, T, AuthError>
    where
        F: FnMut(PgRow) -> sqlx::Result<T> + Send + 'static,
        T: Send + Unpin + 'static,
    {
        self.run(operation, move |connection| {
            Box::pin(statement().fetch_one(connection))
        })
    }

    /// The number of rows that a statement without an answer changed.
    pub(super) fn execute<'a>(
        &'a self,
        operation: Operation,
        statement: impl Fn() -> sqlx::query::Query<'static, Postgres, PgArguments> + Send + Sync + 'a,
    ) -> Answer<'a, u64, AuthError> {
        self.run(operation, move |connection| {
            let done = statement().execute(connection);
            Box::pin(async { Ok(done.await?.rows_affected()) })
        })
    }

    /// As [`run`](Self::run), for operations that ask what else is taken before they answer.
    pub(super) fn try_run<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        statement: impl Statement<T> + 'a,
    ) -> Answer<'a, T, Failure> {
        Box::pin(self.attempt(operation, statement))
    }

    async fn attempt<T>(
        &self,
        operation: Operation,
        statement: impl Statement<T>,
    ) -> Result<T, Failure> {
        let Some(transaction) = &self.transaction else {
            return self.connections.run(operation, statement).await;
        };
        let mut inside = transaction.lock().await;
        let answer = inside.run(statement).await;
        answer.map_err(|error| {
            let failure = Failure::of_statement(error, operation.in_transaction());
            self.connections
                .note_failure(failure.class, &mut inside.lease);
            failure
        })
    }

    /// Runs a statement on behalf of an operation that has failed. In a transaction, what failed is undone first.
    pub(super) async fn run_after_failure<T: Send>(
        &self,
        operation: Operation,
        statement: impl Statement<T>,
    ) -> Result<T, Failure> {
        if let Some(transaction) = &self.transaction {
            let undone = transaction.lock().await.undo_failed_statement().await;
            undone.map_err(|error| Failure::of_statement(error, operation.in_transaction()))?;
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
    pub(super) fn look_up<'a, R: LookUp + 'a>(
        &'a self,
        key: &'a str,
    ) -> Answer<'a, Option<R>, AuthError> {
        let may_share = key.len() <= MAX_SHARED_KEY && self.transaction.is_none();
        if may_share && self.connections.settings.batch_lookups {
            let loader = R::loader(&self.loaders);
            return Box::pin(loader.get(key, &self.connections));
        }
        Box::pin(async move {
            let keys = [key.to_owned()];
            let settings = &self.connections.settings;
            let rows = self.run(R::OPERATION, |connection| {
                R::find(connection, &keys, settings)
            });
            Ok(rows.await?.into_iter().next())
        })
    }
}

/// Rows that one statement finds for many keys.
pub(super) trait LookUp: Keyed {
    const OPERATION: Operation;

    fn loader(loaders: &Loaders) -> &Arc<BatchLoader<Self>>;

    fn find<'c>(
        connection: &'c mut PgConnection,
        keys: &[String],
        settings: &Settings,
    ) -> StatementFuture<'c, Vec<Self>>;
}

pub(super) struct Loaders {
    pub(super) users: Arc<BatchLoader<User>>,
    pub(super) sessions: Arc<BatchLoader<Session>>,
    pub(super) sessions_with_users: Arc<BatchLoader<LiveSession>>,
    pub(super) sessions_with_members: Arc<BatchLoader<LiveSessionWithMember>>,
}

impl Loaders {
    fn new(connections: u32) -> Self {
        Self {
            users: Arc::new(BatchLoader::new(connections)),
            sessions: Arc::new(BatchLoader::new(connections)),
            sessions_with_users: Arc::new(BatchLoader::new(connections)),
            sessions_with_members: Arc::new(BatchLoader::new(connections)),
        }
    }
}

impl<R: LookUp> Source<R> for Arc<Connections> {
    type Failure = Failure;

    fn longest_wait(&self) -> Duration {
        self.acquire_timeout()
    }

    fn timed_out(&self) -> AuthError {
        connection_error(sqlx::Error::PoolTimedOut, R::OPERATION.name, &self.server)
    }

    fn longest_answer(&self) -> Duration {
        self.answer_timeout()
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
            R::find(connection, &keys, &self.settings)
        });
        found.await
    }

    async fn find_for_batch(
        &self,
        take: impl Fn() -> Vec<String> + Send + Sync,
    ) -> Result<Vec<R>, Failure> {
        let operation = R::OPERATION.name;
        // A retry asks for the keys again.
        let size = AtomicUsize::new(0);
        let find = async {
            let found = self.find(|| {
                let keys = take();
                size.store(keys.len(), Ordering::Relaxed);
                keys
            });
            let found = found.await;
            let size = size.load(Ordering::Relaxed);
            telemetry::batch_of(self.server.database(), operation, size);
            found
        };
        telemetry::observe_batch(self.subject(operation), find).await
    }
}
