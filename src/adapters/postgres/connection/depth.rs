//! Begins and ends transactions by way of sqlx, so that sqlx's count of open transactions is right: a nested `begin()` of
//! the application's is then a savepoint, and its `commit()` does not commit what is around it.

use sqlx::postgres::PgTransactionManager;
use sqlx::{Executor as _, PgConnection};
use sqlx_core::transaction::TransactionManager as _;

/// 0 outside a transaction, 1 in one, more in a nested one.
pub(in super::super) fn depth(connection: &PgConnection) -> usize {
    PgTransactionManager::get_transaction_depth(connection)
}

pub(in super::super) async fn begin(connection: &mut PgConnection) -> sqlx::Result<()> {
    PgTransactionManager::begin(connection, None).await
}

/// Sends nothing if the depth is 0, and releases a savepoint if it is more than 1.
pub(super) async fn commit(connection: &mut PgConnection) -> sqlx::Result<()> {
    PgTransactionManager::commit(connection).await
}

pub(super) async fn rollback(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut answer = send_rollback(connection).await;
    if let Err(sqlx::Error::Database(_)) = answer {
        // The answer to a call that was dropped half-way, which came first.
        answer = send_rollback(connection).await;
    }
    answer
}

async fn send_rollback(connection: &mut PgConnection) -> sqlx::Result<()> {
    if depth(connection) == 0 {
        // sqlx does not count a BEGIN that was dropped while it was on its way.
        return connection.execute("ROLLBACK").await.map(drop);
    }
    while depth(connection) > 0 {
        PgTransactionManager::rollback(connection).await?;
    }
    Ok(())
}

/// Ends a transaction that someone else has left open: a future of sqlx's `begin()` that is dropped while BEGIN is under
/// way leaves its connection in one. A lone ROLLBACK would write a warning into the server's log each time.
pub(super) async fn end_transaction(connection: &mut PgConnection) -> sqlx::Result<()> {
    if depth(connection) > 0 {
        return rollback(connection).await;
    }
    match connection.execute("BEGIN; ROLLBACK").await {
        // An aborted transaction takes nothing but its end.
        Err(sqlx::Error::Database(_)) => connection.execute("ROLLBACK").await.map(drop),
        answer => answer.map(drop),
    }
}
