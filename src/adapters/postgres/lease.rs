use std::io;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::database::StatementFuture;
use super::kept::{Loan, Place};
use super::pool::LONGEST_PATIENCE;

/// Whose pool a connection is from.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Origin {
    Adapter,
    Application,
}

/// A connection on loan from the pool, for one statement or for a transaction. Dropped at any point, also outside the
/// runtime, it goes back clean or is closed, and a server that falls silent cannot keep its place in the pool.
pub(super) struct Lease {
    connection: Option<Placed>,
    answer_timeout: Duration,
    in_transaction: bool,
    is_spoiled: bool,
    runtime: Handle,
    acquired_at: Instant,
}

/// With the place that is free once it is in the pool again, or closed.
struct Placed(PoolConnection<Postgres>, Place<Lease>);

impl Lease {
    pub(super) async fn acquire(
        pool: &PgPool,
        place: Place<Self>,
        answer_timeout: Duration,
        origin: Origin,
    ) -> sqlx::Result<Self> {
        let mut lease = Self {
            connection: Some(Placed(pool.acquire().await?, place)),
            answer_timeout,
            in_transaction: false,
            // Until it is known to be clean.
            is_spoiled: true,
            runtime: Handle::current(),
            acquired_at: Instant::now(),
        };
        if origin == Origin::Application {
            lease
                .run(|connection| Box::pin(leave_transaction(connection)))
                .await?;
        }
        lease.is_spoiled = false;
        Ok(lease)
    }

    /// Closes the connection when it is done with.
    pub(super) fn spoil(&mut self) {
        self.is_spoiled = true;
    }

    /// Before the statement that begins a transaction.
    pub(super) fn enter_transaction(&mut self) {
        self.in_transaction = true;
    }

    /// Runs a statement. Where its answer does not come in time, closes the connection: the next one read from it would
    /// be this one's.
    pub(super) async fn run<T>(
        &mut self,
        statement: impl for<'c> FnOnce(&'c mut PgConnection) -> StatementFuture<'c, T>,
    ) -> sqlx::Result<T> {
        let Some(Placed(connection, _)) = &mut self.connection else {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        };
        if let Ok(answer) = timeout(self.answer_timeout, statement(connection)).await {
            return answer;
        }
        if let Some(connection) = self.connection.take() {
            tokio::spawn(connection.close());
        }
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        self.run(|connection| connection.execute("COMMIT")).await?;
        self.in_transaction = false;
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> sqlx::Result<()> {
        self.run(|connection| Box::pin(rollback(connection)))
            .await?;
        self.in_transaction = false;
        Ok(())
    }
}

impl Loan for Lease {
    fn age(&self) -> Duration {
        self.acquired_at.elapsed()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let (answer_timeout, in_transaction) = (self.answer_timeout, self.in_transaction);
        let is_spoiled = self.is_spoiled;
        // Outside a runtime, sqlx panics where it spawns a task.
        let _runtime = self.runtime.enter();
        tokio::spawn(async move {
            if is_spoiled {
                return connection.close().await;
            }
            if in_transaction {
                let rolled_back = timeout(answer_timeout, rollback(&mut connection.0)).await;
                if !matches!(rolled_back, Ok(Ok(()))) {
                    return connection.close().await;
                }
            }
            connection.give_back().await;
        });
    }
}

impl Placed {
    /// As sqlx does when a connection is dropped, but not for ever where the server is silent.
    async fn give_back(self) {
        let Self(mut connection, _place) = self;
        let _ = timeout(LONGEST_PATIENCE, connection.return_to_pool()).await;
    }

    async fn close(self) {
        let Self(connection, _place) = self;
        let _ = timeout(LONGEST_PATIENCE, connection.close()).await;
    }
}

/// Ends a transaction that someone else has left open: a future of sqlx's `begin()` that is dropped while BEGIN is under
/// way leaves its connection in one. A lone ROLLBACK would write a warning into the server's log each time.
async fn leave_transaction(connection: &mut PgConnection) -> sqlx::Result<()> {
    match connection.execute("BEGIN; ROLLBACK").await {
        // An aborted transaction takes nothing but its end.
        Err(sqlx::Error::Database(_)) => connection.execute("ROLLBACK").await.map(drop),
        answer => answer.map(drop),
    }
}

async fn rollback(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut answer = connection.execute("ROLLBACK").await;
    if let Err(sqlx::Error::Database(_)) = answer {
        // The answer to a call that was dropped half-way, which came first.
        answer = connection.execute("ROLLBACK").await;
    }
    answer.map(drop)
}
