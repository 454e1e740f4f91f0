//! The cleanup's deletes: in batches, around rows that cannot be removed.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Map;
use sqlx::{Connection as _, PgConnection, Postgres};

use super::columns::Time;
use super::connection::StatementFuture;
use super::error::{Failure, Operation};
use super::maintenance::AdvisoryLock;
use super::redaction::Cause;
use super::repository::Repository;
use crate::types::Removed;
use crate::{AuthError, AuthResult};

/// The most rows that one statement removes.
const DELETE_BATCH: i64 = 1000;
/// So many statements for one row each may run into a time limit before the run ends.
const MAX_SLOW_ROWS: usize = 10;
/// The most rows that an error names.
const MAX_NAMED_ROWS: usize = 10;

/// How many instances may remove expired rows at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Instances {
    /// One at a time: another instance at work ends the run.
    One,
    Any,
}

/// What the next statement removes.
pub(super) struct BatchQuery {
    /// Only rows behind this time and id.
    pub(super) after_time: Time,
    pub(super) after_id: String,
    pub(super) limit: i64,
    /// `false` only looks at the rows.
    pub(super) deletes: bool,
    /// Whether the lock is needed.
    pub(super) takes_lock: bool,
    pub(super) lock: i64,
}

/// What a statement has found and removed.
pub(super) struct Batch {
    pub(super) selected: i64,
    /// The ids of the rows that are still there.
    pub(super) kept: Vec<String>,
    /// The last row that was found.
    pub(super) last_time: Option<DateTime<Utc>>,
    pub(super) last_id: Option<String>,
}

/// Runs the statement of a batch. A server sends an error before it gives up the locks of the failed statement, so they are
/// waited for: the next batch would skip the rows.
pub(super) fn fetch_batch<'c>(
    statement: Map<'c, Postgres, impl FnMut(PgRow) -> sqlx::Result<Batch> + Send + 'c, PgArguments>,
    connection: &'c mut PgConnection,
) -> StatementFuture<'c, Batch> {
    Box::pin(async move {
        let batch = statement.fetch_one(&mut *connection).await;
        if let Err(sqlx::Error::Database(_)) = &batch {
            // If the connection is dead, so is the statement.
            let _ = connection.ping().await;
        }
        batch
    })
}

impl Repository {
    pub(super) async fn clean_up(&self) -> AuthResult<Removed> {
        // A transaction would keep every other instance waiting for its end.
        let instances = match &self.transaction {
            Some(_) => Instances::Any,
            None => Instances::One,
        };
        let sessions = self.delete_dead_sessions("clean_up", instances).await;
        let verifications = self.delete_dead_verifications("clean_up", instances).await;
        Ok(Removed {
            sessions: sessions?,
            verifications: verifications?,
        })
    }

    /// Removes the rows that a statement finds, batch by batch, and says how many there were. The run ends when a statement
    /// finds fewer rows than it may, whatever it removes. If the server refuses a batch because of a row, or it takes too
    /// long, smaller batches remove the others, and the row is reported at the end.
    pub(super) async fn delete_in_batches(
        &self,
        operation: Operation,
        table: &'static str,
        lock: AdvisoryLock,
        instances: Instances,
        statement: impl for<'c> Fn(&'c mut PgConnection, &BatchQuery) -> StatementFuture<'c, Batch>,
    ) -> AuthResult<usize> {
        let mut query = BatchQuery {
            after_time: Time::from(DateTime::<Utc>::MIN_UTC),
            after_id: String::new(),
            limit: DELETE_BATCH,
            deletes: true,
            takes_lock: instances == Instances::One,
            lock: lock.key(),
        };
        let mut removed = 0;
        let mut slow_rows = 0;
        let mut kept = KeptRows::default();
        loop {
            let batch = self.try_run(operation, |connection| statement(connection, &query));
            let batch = match batch.await {
                Ok(batch) => batch,
                Err(failure) if self.transaction.is_some() || !query.deletes => {
                    return Err(self.error(failure, operation));
                }
                Err(failure) if !failure.refuses_row() && !failure.took_too_long() => {
                    return Err(self.error(failure, operation));
                }
                Err(_) if query.limit > 1 => {
                    query.limit /= 2;
                    continue;
                }
                Err(failure) => {
                    slow_rows += usize::from(failure.took_too_long());
                    if slow_rows > MAX_SLOW_ROWS {
                        return Err(self.error(failure, operation));
                    }
                    // Which row it is, the statement tells if it removes nothing.
                    kept.cause.get_or_insert(failure);
                    query.deletes = false;
                    continue;
                }
            };
            let is_last = batch.selected < query.limit;
            removed += usize::try_from(batch.selected).unwrap_or_default() - batch.kept.len();
            kept.add(batch.kept);
            if let (Some(time), Some(id)) = (batch.last_time, batch.last_id) {
                query.after_time = Time::from(time);
                query.after_id = id;
            }
            if is_last {
                break;
            }
            if query.deletes {
                query.limit = (query.limit * 2).min(DELETE_BATCH);
            }
            query.deletes = true;
        }
        match kept.message(table) {
            None => Ok(removed),
            Some(message) => Err(AuthError::Database {
                message: format!(
                    "{} on {}: {message}",
                    operation.name, self.connections.server
                ),
                source: kept.cause.map(Failure::into_source),
            }),
        }
    }
}

/// The rows that a run could not remove.
#[derive(Default)]
struct KeptRows {
    count: usize,
    first: Vec<String>,
    cause: Option<Failure>,
}

impl KeptRows {
    fn add(&mut self, ids: Vec<String>) {
        self.count += ids.len();
        let more = MAX_NAMED_ROWS.saturating_sub(self.first.len());
        self.first.extend(ids.into_iter().take(more));
    }

    fn message(&self, table: &str) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let ids = self.first.join(", ");
        let more = match self.count - self.first.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let cause = match &self.cause {
            Some(failure) => Cause(&failure.error).to_string(),
            None => " (a trigger, a rule or a policy keeps them)".to_owned(),
        };
        Some(format!(
            "{} of {table} cannot be removed, ids {ids}{more}; all others were{cause}",
            self.count
        ))
    }
}
