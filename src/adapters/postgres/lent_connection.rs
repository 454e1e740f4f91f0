//! The connection of a transaction, lent to the application for its statements.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr};
use tokio::sync::MutexGuard;

use super::connection::{depth, is_idle};
use super::error::{Class, STATEMENT};
use super::inside::{Inside, Status};

type BoxFuture<'e, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'e>>;
type BoxStream<'e> = Pin<Box<dyn Stream<Item = StreamItem> + Send + 'e>>;
type StreamItem = sqlx::Result<Either<PgQueryResult, PgRow>>;

/// The connection of a transaction, lent for statements of the application's, by [`OpenSqlxTransaction::connection`] or
/// [`Joined::connection`].
///
/// Statements run on what it dereferences to: `query.execute(&mut *lent)`. A function that takes `&mut PgConnection` is
/// called with `&mut *lent` as well; one that takes `impl PgExecutor<'_>` has the advantage that its statements are
/// watched.
///
/// While it is lent, every call of the transaction is refused at once, with
/// [`AuthError::Validation`](crate::AuthError::Validation), and aborts the transaction. If a statement is dropped before
/// its answer has come, or a stream of rows before its end, the transaction is aborted.
///
/// [`Joined::connection`]: crate::adapters::Joined::connection
/// [`OpenSqlxTransaction::connection`]: crate::adapters::OpenSqlxTransaction::connection
pub struct LentConnection<'t>(WatchedConnection<'t>);

impl<'t> LentConnection<'t> {
    pub(super) fn new(mut inside: MutexGuard<'t, Inside>, status: &'t Mutex<Status>) -> Self {
        inside.lease.mark_borrowed();
        inside.was_lent = true;
        Self(WatchedConnection {
            inside,
            status,
            watch: Watch::default(),
            is_unwatched: false,
        })
    }
}

impl<'t> Deref for LentConnection<'t> {
    type Target = WatchedConnection<'t>;

    fn deref(&self) -> &WatchedConnection<'t> {
        &self.0
    }
}

impl<'t> DerefMut for LentConnection<'t> {
    fn deref_mut(&mut self) -> &mut WatchedConnection<'t> {
        &mut self.0
    }
}

impl fmt::Debug for LentConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LentConnection").finish_non_exhaustive()
    }
}

/// An [`Executor`] on a connection that is lent. It notes which statements fail, conflict, or are dropped.
///
/// It dereferences to [`PgConnection`] for what is no query: a nested `begin()`, COPY, or a function that takes the
/// connection. Such statements are not watched:
///
/// - If one of them conflicts, the closure of [`sqlx_transaction`](crate::sqlx_transaction()) runs again only if it returns
///   that as an [`AuthError`](crate::AuthError) or as a boxed error.
/// - The commit costs one more round trip, which checks that the transaction is still whole, unless an operation of the
///   transaction follows.
pub struct WatchedConnection<'t> {
    inside: MutexGuard<'t, Inside>,
    status: &'t Mutex<Status>,
    watch: Watch,
    /// The application had the connection itself.
    is_unwatched: bool,
}

/// What became of the statements.
#[derive(Default)]
struct Watch {
    /// The answer to one has not come.
    is_busy: bool,
    has_failed: bool,
    has_conflicted: bool,
    is_unfit: bool,
}

impl Watch {
    fn end<T>(&mut self, answer: &sqlx::Result<T>) {
        self.is_busy = false;
        if let Err(error) = answer {
            let class = Class::of_statement(error, STATEMENT.in_transaction());
            self.has_failed = true;
            self.has_conflicted |= class.is_contention();
            self.is_unfit |= class.is_connection_unfit();
        }
    }

    /// Watches the future of a statement.
    fn over<'e, T: Send + 'e>(&'e mut self, statement: BoxFuture<'e, T>) -> BoxFuture<'e, T> {
        Box::pin(async move {
            self.is_busy = true;
            let answer = statement.await;
            self.end(&answer);
            answer
        })
    }
}

impl WatchedConnection<'_> {
    fn parts(&mut self) -> (&mut PgConnection, &mut Watch) {
        (self.inside.lease.get(), &mut self.watch)
    }

    /// Whether the transaction can go on: no answer is awaited, and no nested transaction is open.
    fn is_settled(&mut self) -> bool {
        if self.watch.is_busy {
            return false;
        }
        let connection = self.inside.lease.get();
        depth(connection) == 1 && (!self.is_unwatched || is_idle(connection))
    }
}

impl Drop for WatchedConnection<'_> {
    fn drop(&mut self) {
        let is_settled = self.is_settled();
        let inside = &mut *self.inside;
        if !is_settled {
            inside.lease.abandon_statement();
        }
        if self.watch.is_unfit {
            inside.lease.spoil("unfit");
        }
        inside.is_doubtful |= self.is_unwatched || self.watch.has_failed;
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.is_lent = false;
        status.is_aborted |= !is_settled;
        status.has_conflicted |= self.watch.has_conflicted;
    }
}

impl Deref for WatchedConnection<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.inside.lease.peek()
    }
}

impl DerefMut for WatchedConnection<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.is_unwatched = true;
        self.inside.lease.get()
    }
}

impl fmt::Debug for WatchedConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedConnection").finish_non_exhaustive()
    }
}

impl<'c> Executor<'c> for &'c mut WatchedConnection<'_> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (connection, watch) = self.parts();
        Box::pin(WatchedStream {
            rows: connection.fetch_many(query),
            watch,
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Option<PgRow>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (connection, watch) = self.parts();
        watch.over(connection.fetch_optional(query))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, PgStatement>
    where
        'c: 'e,
    {
        let (connection, watch) = self.parts();
        watch.over(connection.prepare_with(sql, parameters))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Describe<Postgres>>
    where
        'c: 'e,
    {
        let (connection, watch) = self.parts();
        watch.over(connection.describe(sql))
    }
}

struct WatchedStream<'e> {
    rows: BoxStream<'e>,
    watch: &'e mut Watch,
}

impl Stream for WatchedStream<'_> {
    type Item = StreamItem;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StreamItem>> {
        self.watch.is_busy = true;
        let item = ready!(self.rows.as_mut().poll_next(context));
        match &item {
            None => self.watch.is_busy = false,
            Some(item @ Err(_)) => self.watch.end(item),
            Some(Ok(_)) => {}
        }
        Poll::Ready(item)
    }
}
