//! A connection in use: for one statement, for a transaction, or by the application itself.

use std::fmt;
use std::io;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use deadpool::managed::Object;
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, PgTransaction, Postgres};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::super::error::{broke_connection, timed_out};
use super::backend::{Home, Pulse};
use super::depth::{commit, depth, end_transaction, rollback};
use super::manager::{Place, Slot, UPKEEP};
use super::pool::OwnPool;
use crate::adapters::telemetry;

/// How long a statement may go on whose caller has gone, before its connection is closed.
const ABANDONED_PATIENCE: Duration = Duration::from_millis(250);
/// Longest wait for a connection to close.
const MAX_FAREWELL: Duration = Duration::from_secs(5);

pub(in super::super) type StatementFuture<'c, T> =
    Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'c>>;

/// A connection for one statement or for a transaction. It may be dropped at any point, also outside the runtime: then
/// it goes back clean, or is closed.
pub(in super::super) struct Lease {
    connection: Option<Leased>,
    answer_timeout: Duration,
    /// None if the application joined its transaction outside a runtime.
    runtime: Option<Handle>,
    state: State,
    /// Whether it is given up for another one if its runtime stands still.
    is_replaceable: bool,
}

/// What has to happen before the next caller may use the connection.
#[derive(Clone, Copy, Default)]
struct State {
    /// A statement was sent, and its answer has not come.
    is_busy: bool,
    in_transaction: bool,
    fate: Fate,
    /// The application had it, and may have set anything. Only of the adapter's own.
    is_borrowed: bool,
}

/// What becomes of a connection after its lease.
#[derive(Clone, Copy, Default, PartialEq)]
enum Fate {
    #[default]
    Reuse,
    /// It works, and fits no other caller, for this reason.
    Close(&'static str),
    /// No answer comes from it any more.
    Broken,
}

enum Leased {
    Own(Slot),
    Shared(PoolConnection<Postgres>),
    /// In a transaction that the application has begun.
    Joined(PgTransaction<'static>),
}

impl Lease {
    pub(super) fn own(slot: Slot, answer_timeout: Duration) -> Self {
        Self::new(Leased::Own(slot), answer_timeout)
    }

    /// A connection of the application's pool. Unless that resets what it lends, a transaction may be open on it.
    pub(super) async fn shared(
        connection: PoolConnection<Postgres>,
        answer_timeout: Duration,
        is_reset: bool,
    ) -> sqlx::Result<Self> {
        let mut lease = Self::new(Leased::Shared(connection), answer_timeout);
        if !is_reset || depth(lease.get()) > 0 {
            lease
                .run(|connection| Box::pin(end_transaction(connection)))
                .await?;
        }
        Ok(lease)
    }

    /// The connection of a transaction of the application's.
    pub(in super::super) fn joined(
        transaction: PgTransaction<'static>,
        answer_timeout: Duration,
    ) -> Self {
        let mut lease = Self::new(Leased::Joined(transaction), answer_timeout);
        lease.enter_transaction();
        lease
    }

    fn new(connection: Leased, answer_timeout: Duration) -> Self {
        Self {
            connection: Some(connection),
            answer_timeout,
            runtime: Handle::try_current().ok(),
            state: State::default(),
            is_replaceable: false,
        }
    }

    /// Before the statement that begins a transaction.
    pub(in super::super) fn enter_transaction(&mut self) {
        self.state.in_transaction = true;
    }

    /// Before a statement that may be sent again: it need not wait for a runtime that stands still.
    pub(in super::super) fn make_replaceable(&mut self) {
        self.is_replaceable = true;
    }

    /// Closes the connection when it is done with, for a reason that telemetry shows.
    pub(in super::super) fn spoil(&mut self, reason: &'static str) {
        if self.state.fate == Fate::Reuse {
            self.state.fate = Fate::Close(reason);
        }
    }

    /// Before the application has the connection: what it sets on it may reach nobody else.
    pub(in super::super) fn mark_borrowed(&mut self) {
        self.state.is_borrowed = matches!(self.connection, Some(Leased::Own(_)));
    }

    /// The connection, for statements of the application's.
    pub(in super::super) fn get(&mut self) -> &mut PgConnection {
        match &mut self.connection {
            Some(connection) => connection.get(),
            None => not_open(),
        }
    }

    pub(in super::super) fn peek(&self) -> &PgConnection {
        match &self.connection {
            Some(Leased::Own(slot)) => match &**slot {
                Place::Open(backend) => &backend.connection,
                Place::Refused(_) | Place::Closed => not_open(),
            },
            Some(Leased::Shared(connection)) => connection,
            Some(Leased::Joined(transaction)) => transaction,
            None => not_open(),
        }
    }

    /// A statement of the application's was dropped before its answer came.
    pub(in super::super) fn abandon_statement(&mut self) {
        self.state.is_busy = true;
    }

    /// The transaction of the application's that was joined.
    pub(in super::super) fn into_joined(mut self) -> Option<PgTransaction<'static>> {
        match self.connection.take() {
            Some(Leased::Joined(transaction)) => Some(transaction),
            other => {
                self.connection = other;
                None
            }
        }
    }

    /// A connection of the application's pool, for one owner to the end of its life.
    pub(super) fn detach(mut self) -> Option<PgConnection> {
        match self.connection.take() {
            Some(Leased::Shared(connection)) => Some(connection.detach()),
            other => {
                self.connection = other;
                None
            }
        }
    }

    /// Runs a statement. If its answer does not come in time, the connection is closed: the next one read from it would
    /// be this one's.
    pub(in super::super) async fn run<T>(
        &mut self,
        statement: impl for<'c> FnOnce(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> sqlx::Result<T> {
        let connection = match &mut self.connection {
            Some(connection) if self.state.fate != Fate::Broken => connection,
            _ => return Err(io::Error::from(io::ErrorKind::NotConnected).into()),
        };
        self.state.is_busy = true;
        let foreign_home = connection
            .home()
            .filter(|home| {
                self.is_replaceable && Some(home.id) != self.runtime.as_ref().map(Handle::id)
            })
            .cloned();
        let mut statement = statement(connection.get());
        let answer = match foreign_home {
            None => timeout(self.answer_timeout, statement).await,
            Some(home) => {
                let watched = until_stalled(&home, &mut statement);
                timeout(self.answer_timeout, watched).await
            }
        };
        let Ok(answer) = answer else {
            self.state.fate = Fate::Broken;
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        };
        self.state.is_busy = false;
        if answer.as_ref().is_err_and(broke_connection) {
            self.state.fate = Fate::Broken;
        }
        answer
    }

    /// If the server refuses, waits until it has rolled back.
    pub(in super::super) async fn commit(mut self) -> sqlx::Result<()> {
        let committed = self.run(|connection| Box::pin(commit(connection))).await;
        match committed {
            Ok(()) => self.state.in_transaction = false,
            // The answer comes before the locks are gone.
            Err(sqlx::Error::Database(_)) => {
                let _ = self.rollback().await;
            }
            Err(_) => {}
        }
        committed
    }

    /// Waits for the end of the transaction, however it ends.
    pub(in super::super) async fn rollback(mut self) -> sqlx::Result<()> {
        let Some(connection) = self.connection.take() else {
            return Ok(());
        };
        let recovery = connection.recover(self.state, self.answer_timeout);
        let Some(runtime) = &self.runtime else {
            return recovery.await;
        };
        // In a task, so that a caller who goes away leaves nothing undone.
        runtime
            .spawn(recovery)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error).into()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        // Outside a runtime, sqlx panics when it spawns a task.
        let entered = runtime.enter();
        match (self.connection.take(), self.state.is_clean()) {
            (Some(Leased::Own(slot)), true) => give_back(slot),
            (Some(connection), false) => {
                tokio::spawn(connection.recover(self.state, self.answer_timeout));
            }
            (Some(Leased::Shared(_) | Leased::Joined(_)), true) | (None, _) => {}
        }
        drop(entered);
    }
}

impl State {
    fn is_clean(self) -> bool {
        !(self.is_busy || self.in_transaction || self.is_borrowed) && self.fate == Fate::Reuse
    }

    /// Why a connection is closed that could not be recovered, or is not to be used again.
    fn reason_to_close(self) -> &'static str {
        match self.fate {
            Fate::Close(reason) => reason,
            Fate::Broken if self.is_busy => "answer_timeout",
            Fate::Broken => "broken",
            Fate::Reuse if self.is_busy => "abandoned_statement",
            Fate::Reuse => "not_cleaned",
        }
    }
}

/// The answer to a statement, unless the runtime that reads it does not run.
async fn until_stalled<T>(home: &Home, statement: &mut StatementFuture<'_, T>) -> sqlx::Result<T> {
    loop {
        if let Ok(answer) = timeout(UPKEEP, &mut *statement).await {
            return answer;
        }
        if home.pulse() != Pulse::Alive {
            home.stall();
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into());
        }
    }
}

impl Leased {
    /// The runtime of a connection of the adapter's own.
    fn home(&self) -> Option<&Arc<Home>> {
        match self {
            Self::Own(slot) => match &**slot {
                Place::Open(backend) => Some(&backend.home),
                Place::Refused(_) | Place::Closed => None,
            },
            Self::Shared(_) | Self::Joined(_) => None,
        }
    }

    fn get(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(slot) => own_connection(slot),
            Self::Shared(connection) => connection,
            Self::Joined(transaction) => transaction,
        }
    }

    /// Makes the connection what the next caller expects, or closes it. Fails if it was closed.
    async fn recover(mut self, state: State, answer_timeout: Duration) -> sqlx::Result<()> {
        let patience = if state.is_busy {
            ABANDONED_PATIENCE.min(answer_timeout)
        } else {
            answer_timeout
        };
        let recovered = if state.fate == Fate::Broken {
            let answered = if state.is_busy {
                io::ErrorKind::TimedOut
            } else {
                io::ErrorKind::NotConnected
            };
            Err(io::Error::from(answered).into())
        } else {
            let recovery = timeout(patience, self.clean(state)).await;
            recovery.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        };
        let is_closed = recovered.is_err() || state.fate != Fate::Reuse;
        if is_closed && !matches!(self, Self::Joined(_)) {
            telemetry::connection_closed(state.reason_to_close());
        }
        match (self, &recovered) {
            (Self::Own(slot), Ok(())) if state.fate == Fate::Reuse => give_back(slot),
            (Self::Own(slot), Ok(())) => close(slot, LastStatement::Ended).await,
            (Self::Own(slot), Err(error)) => {
                // Any other error is an answer, or the server has closed the connection.
                let last_statement = if timed_out(error) {
                    LastStatement::MayRun
                } else {
                    LastStatement::Ended
                };
                close(slot, last_statement).await;
            }
            (Self::Shared(connection), Ok(())) if state.fate == Fate::Reuse => drop(connection),
            (Self::Shared(connection), _) => {
                let _ = timeout(MAX_FAREWELL, connection.close()).await;
            }
            (Self::Joined(mut transaction), Ok(())) if state.fate != Fate::Reuse => {
                let _ = timeout(MAX_FAREWELL, transaction.clear_cached_statements()).await;
            }
            // Its pool has it back, and closes it if it does not answer.
            (Self::Joined(transaction), _) => drop(transaction),
        }
        recovered
    }

    async fn clean(&mut self, state: State) -> sqlx::Result<()> {
        if state.is_borrowed
            && let Self::Own(slot) = self
            && let Some(pool) = OwnPool::of(slot)
            && let Place::Open(backend) = &mut **slot
        {
            return pool.target().clean(backend, state.in_transaction).await;
        }
        if state.in_transaction {
            rollback(self.get()).await
        } else {
            self.get().ping().await
        }
    }
}

/// Whether everything was sent and answered.
pub(in super::super) fn is_idle(connection: &mut PgConnection) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(
        pin!(connection.flush()).poll(&mut context),
        Poll::Ready(Ok(()))
    )
}

fn own_connection(slot: &mut Slot) -> &mut PgConnection {
    match &mut **slot {
        Place::Open(backend) => &mut backend.connection,
        Place::Refused(_) | Place::Closed => not_open(),
    }
}

fn give_back(mut slot: Slot) {
    if let Place::Open(backend) = &mut *slot {
        backend.is_fit = true;
        backend.idle_since = Instant::now();
    }
}

/// What the server does with the last statement of a connection that is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastStatement {
    Ended,
    MayRun,
}

/// Closes a connection. If a statement may still run on it, its place stays taken until the server's process has ended,
/// so that there are never more of those than places.
async fn close(mut slot: Slot, last_statement: LastStatement) {
    let pool = OwnPool::of(&slot);
    if let (Some(pool), Place::Open(backend)) = (pool, mem::replace(&mut *slot, Place::Closed)) {
        let farewell = pool.target().longest_farewell(&backend.connection);
        let pid = backend.pid;
        let _ = timeout(MAX_FAREWELL, backend.connection.close()).await;
        if last_statement == LastStatement::MayRun {
            pool.until_gone(pid, farewell).await;
        }
    }
    drop(Object::take(slot));
}

/// A connection for statements of the application's own, from [`SqlxAdapter::acquire`]. It counts among the adapter's
/// `max_connections` until it is dropped.
///
/// Whatever the application sets on it ends with it: an open transaction, settings, roles, cursors, channels listened
/// to, advisory locks and temporary tables. That happens in the background, before the connection serves anyone else; a
/// connection on which it fails is closed.
///
/// [`SqlxAdapter::acquire`]: crate::adapters::SqlxAdapter::acquire
pub struct PooledConnection(Lease);

impl PooledConnection {
    pub(in super::super) fn new(mut lease: Lease) -> Self {
        lease.mark_borrowed();
        lease.enter_transaction();
        Self(lease)
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if !is_idle(self.0.get()) {
            self.0.abandon_statement();
        }
    }
}

impl Deref for PooledConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.peek()
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.get()
    }
}

impl fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledConnection").finish_non_exhaustive()
    }
}

fn not_open() -> ! {
    unreachable!("a connection that is leased is open until it is given back")
}

#[cfg(test)]
mod tests {
    use super::{Fate, State};

    #[test]
    fn a_connection_that_is_closed_says_why() {
        for (fate, is_busy, reason) in [
            (Fate::Close("stale_plan"), false, "stale_plan"),
            (Fate::Close("stale_plan"), true, "stale_plan"),
            (Fate::Broken, true, "answer_timeout"),
            (Fate::Broken, false, "broken"),
            (Fate::Reuse, true, "abandoned_statement"),
            (Fate::Reuse, false, "not_cleaned"),
        ] {
            let state = State {
                is_busy,
                fate,
                ..State::default()
            };
            assert_eq!(state.reason_to_close(), reason);
        }
    }

    #[test]
    fn a_connection_goes_back_as_it_is_only_if_nothing_is_left_on_it() {
        assert!(State::default().is_clean());
        for state in [
            State {
                is_busy: true,
                ..State::default()
            },
            State {
                in_transaction: true,
                ..State::default()
            },
            State {
                is_borrowed: true,
                ..State::default()
            },
            State {
                fate: Fate::Broken,
                ..State::default()
            },
        ] {
            assert!(!state.is_clean());
        }
    }
}
