//! Changes of many rows, in batches and around the rows that the server refuses to change: the cleanup's deletes, and the
//! hashing of stored tokens.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Map;
use sqlx::{Connection as _, PgConnection, Postgres};

use super::columns::Time;
use super::connection::StatementFuture;
use super::error::{Failure, Operation};
use super::estimates::Rows;
use super::maintenance::AdvisoryLock;
use super::progress::Observer;
use super::redaction::Cause;
use super::repository::Repository;
use crate::adapters::{Store, telemetry};
use crate::types::Removed;
use crate::{AuthError, AuthResult};

/// The most rows that one statement changes.
const MAX_BATCH: i64 = 1000;
/// So many statements for one row each may run into a time limit before the run ends.
pub(super) const MAX_SLOW_ROWS: usize = 10;
/// So many rows that the server refuses are found one by one. After that, a batch with such a row is left as a whole.
const MAX_REFUSED_ROWS: usize = 1000;
/// So many rows that another transaction has locked are remembered.
pub(super) const MAX_LOCKED_ROWS: usize = 10_000;
/// The most rows that an error names.
const MAX_NAMED_ROWS: usize = 10;

/// How many instances may remove expired rows at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Instances {
    /// One at a time: another instance at work ends the run.
    One,
    Any,
}

/// The rows that a cleanup removes.
#[derive(Clone, Copy)]
pub(super) enum DeadRows {
    ExpiredSessions,
    InactiveSessions,
    ExpiredVerifications,
    EndedRateLimits,
    ExpiredDeviceCodes,
    ExpiredApiKeys,
}

impl DeadRows {
    fn table(self) -> &'static str {
        match self {
            Self::ExpiredSessions | Self::InactiveSessions => "sessions",
            Self::ExpiredVerifications => "verifications",
            Self::EndedRateLimits => "rate_limit",
            Self::ExpiredDeviceCodes => "device_code",
            Self::ExpiredApiKeys => "api_keys",
        }
    }

    fn lock(self) -> AdvisoryLock {
        match self {
            Self::ExpiredSessions => AdvisoryLock::ExpiredSessions,
            Self::InactiveSessions => AdvisoryLock::InactiveSessions,
            Self::ExpiredVerifications => AdvisoryLock::ExpiredVerifications,
            Self::EndedRateLimits => AdvisoryLock::EndedRateLimits,
            Self::ExpiredDeviceCodes => AdvisoryLock::ExpiredDeviceCodes,
            Self::ExpiredApiKeys => AdvisoryLock::ExpiredApiKeys,
        }
    }

    fn step(self) -> &'static str {
        match self {
            Self::ExpiredSessions => "removing expired sessions",
            Self::InactiveSessions => "removing inactive sessions",
            Self::ExpiredVerifications => "removing expired verifications",
            Self::EndedRateLimits => "removing ended rate limits",
            Self::ExpiredDeviceCodes => "removing expired device codes",
            Self::ExpiredApiKeys => "removing expired API keys",
        }
    }

    fn rows(self) -> Rows {
        match self {
            Self::ExpiredSessions => Rows::ExpiredSessions,
            Self::InactiveSessions => Rows::InactiveSessions,
            Self::ExpiredVerifications => Rows::ExpiredVerifications,
            Self::EndedRateLimits => Rows::EndedRateLimits,
            Self::ExpiredDeviceCodes => Rows::ExpiredDeviceCodes,
            Self::ExpiredApiKeys => Rows::ExpiredApiKeys,
        }
    }
}

/// Which rows the next statement changes.
pub(super) struct BatchQuery {
    /// Only rows behind this time and id. The first may have an empty id.
    pub(super) after_time: Time,
    pub(super) after_id: Option<String>,
    pub(super) limit: i64,
    /// `false` only looks at the rows.
    pub(super) changes: bool,
    /// Whether the lock is needed.
    pub(super) takes_lock: bool,
    pub(super) lock: i64,
}

impl Default for BatchQuery {
    fn default() -> Self {
        Self {
            after_time: Time::from(DateTime::<Utc>::MIN_UTC),
            after_id: None,
            limit: MAX_BATCH,
            changes: true,
            takes_lock: false,
            lock: 0,
        }
    }
}

/// What a statement has found and changed.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) found: usize,
    pub(super) changed: usize,
    /// The ids of the rows that are as they were.
    pub(super) kept: Vec<String>,
    /// The ids of the rows that another transaction has locked, if they are to be waited for.
    pub(super) locked: Vec<String>,
    /// The last row that was found.
    pub(super) last_time: Option<DateTime<Utc>>,
    pub(super) last_id: Option<String>,
}

/// The answer of a statement that removes rows.
pub(super) struct DeletedBatch {
    pub(super) selected: i64,
    pub(super) kept: Vec<String>,
    pub(super) last_time: Option<DateTime<Utc>>,
    pub(super) last_id: Option<String>,
}

/// Runs a statement that removes rows.
pub(super) fn fetch_batch<'c>(
    statement: Map<
        'c,
        Postgres,
        impl FnMut(PgRow) -> sqlx::Result<DeletedBatch> + Send + 'c,
        PgArguments,
    >,
    connection: &'c mut PgConnection,
) -> StatementFuture<'c, Batch> {
    Box::pin(async move {
        let deleted = statement.fetch_one(&mut *connection).await;
        let deleted = with_locks_gone(deleted, connection).await?;
        let found = usize::try_from(deleted.selected).unwrap_or_default();
        Ok(Batch {
            found,
            changed: found.saturating_sub(deleted.kept.len()),
            kept: deleted.kept,
            locked: Vec::new(),
            last_time: deleted.last_time,
            last_id: deleted.last_id,
        })
    })
}

/// The answer of a statement, when the locks of a failed one are gone: the server sends an error before it gives them up,
/// and the next batch would skip the rows.
pub(super) async fn with_locks_gone<T>(
    answer: sqlx::Result<T>,
    connection: &mut PgConnection,
) -> sqlx::Result<T> {
    if let Err(sqlx::Error::Database(_)) = &answer {
        // If the connection is dead, so is the statement.
        let _ = connection.ping().await;
    }
    answer
}

impl Repository {
    pub(super) async fn clean_up(&self) -> AuthResult<Removed> {
        self.clean_up_with(&mut Observer::silent()).await
    }

    pub(super) async fn clean_up_with(&self, observer: &mut Observer<'_>) -> AuthResult<Removed> {
        // A transaction would keep every other instance waiting for its end.
        let instances = match &self.transaction {
            Some(_) => Instances::Any,
            None => Instances::One,
        };
        let sessions = self
            .delete_dead_sessions("clean_up", instances, observer)
            .await;
        let verifications = self
            .delete_dead_verifications("clean_up", instances, observer)
            .await;
        let stores = self.clean_up_stores(instances, observer).await;
        let removed = Removed {
            sessions: sessions?,
            verifications: verifications?,
        };
        stores.map(|()| removed)
    }

    /// Removes what has ended in the stores that are migrated. One that fails keeps no other from it.
    async fn clean_up_stores(
        &self,
        instances: Instances,
        observer: &mut Observer<'_>,
    ) -> AuthResult<()> {
        const NAME: &str = "clean_up";
        let mut outcome = Ok(());
        for store in [Store::RateLimits, Store::DeviceCodes, Store::ApiKeys] {
            if !self.is_migrated(store, NAME).await? {
                continue;
            }
            let deleted = match store {
                Store::RateLimits => {
                    self.delete_ended_rate_limits(NAME, instances, observer)
                        .await
                }
                Store::DeviceCodes => {
                    self.delete_expired_device_codes(NAME, instances, observer)
                        .await
                }
                _ => {
                    self.delete_expired_api_keys(NAME, instances, observer)
                        .await
                }
            };
            outcome = outcome.and(deleted.map(drop));
        }
        outcome
    }

    /// Removes the rows that a statement finds, and says how many there were.
    pub(super) async fn delete_in_batches(
        &self,
        operation: Operation,
        dead: DeadRows,
        instances: Instances,
        observer: &mut Observer<'_>,
        statement: impl for<'c> Fn(&'c mut PgConnection, &BatchQuery) -> StatementFuture<'c, Batch>,
    ) -> AuthResult<usize> {
        let query = match instances {
            Instances::Any => BatchQuery::default(),
            Instances::One => BatchQuery {
                takes_lock: true,
                lock: self
                    .cleanup_lock(operation, dead.table(), dead.lock())
                    .await?,
                ..BatchQuery::default()
            },
        };
        self.begin_step(observer, dead.step(), dead.rows()).await;
        let mut run = Run::default();
        let progress = |batch: &Batch| {
            telemetry::count_removed_rows(dead.table(), batch.changed);
            batch.changed
        };
        let ended = self.run_in_batches(operation, query, observer, &mut run, progress, statement);
        let ended = ended.await;
        telemetry::rows_removed(operation.name, dead.table(), run.changed);
        ended?;
        self.end_run(operation, run, dead.table(), "removed")
    }

    /// The key of a lock for one table, whichever `search_path` leads to it.
    async fn cleanup_lock(
        &self,
        operation: Operation,
        table: &str,
        lock: AdvisoryLock,
    ) -> AuthResult<i64> {
        let key = self.run(Operation::read(operation.name), |connection| {
            let key = sqlx::query_scalar!(
                "SELECT hashtextextended(nspname::TEXT, $2) AS \"key!\" FROM pg_class \
                 JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass($1)",
                table,
                lock.key(),
            );
            Box::pin(key.fetch_optional(connection))
        });
        // Without the table, the statement itself says what is wrong.
        Ok(key.await?.unwrap_or_default())
    }

    /// Changes the rows that a statement finds, batch by batch, notes in `run` what became of them, and tells the observer of
    /// each batch's `progress`. The run ends when a statement finds fewer rows than it may, whatever it changes. If the
    /// server refuses a batch because of a row, or it takes too long, smaller batches change the others.
    pub(super) async fn run_in_batches(
        &self,
        operation: Operation,
        mut query: BatchQuery,
        observer: &mut Observer<'_>,
        run: &mut Run,
        progress: impl Fn(&Batch) -> usize,
        statement: impl for<'c> Fn(&'c mut PgConnection, &BatchQuery) -> StatementFuture<'c, Batch>,
    ) -> AuthResult<()> {
        let mut slow_rows = 0;
        let mut refusals = 0;
        loop {
            let batch = self.try_run(operation, |connection| statement(connection, &query));
            let batch = match batch.await {
                Ok(batch) => batch,
                Err(failure) if self.transaction.is_some() || !query.changes => {
                    return Err(self.error(failure, operation));
                }
                Err(failure) if !failure.refuses_row() && !failure.took_too_long() => {
                    return Err(self.error(failure, operation));
                }
                Err(failure)
                    if query.limit > 1
                        && (failure.took_too_long() || refusals < MAX_REFUSED_ROWS) =>
                {
                    query.limit /= 2;
                    continue;
                }
                Err(failure) => {
                    slow_rows += usize::from(failure.took_too_long());
                    if slow_rows > MAX_SLOW_ROWS {
                        return Err(self.error(failure, operation));
                    }
                    refusals += 1;
                    // Which rows they are, the statement tells if it changes nothing.
                    run.kept.cause.get_or_insert(failure);
                    run.kept.has_others |= query.limit > 1;
                    query.changes = false;
                    continue;
                }
            };
            let is_last = i64::try_from(batch.found).is_ok_and(|found| found < query.limit);
            let progress = progress(&batch);
            run.changed += batch.changed;
            run.kept.add(batch.kept);
            run.add_locked(batch.locked);
            if let Some(time) = batch.last_time {
                query.after_time = Time::from(time);
            }
            query.after_id = batch.last_id.or(query.after_id);
            if progress > 0 {
                observer.advance(progress).await;
            }
            if is_last {
                return Ok(());
            }
            if query.changes {
                query.limit = (query.limit * 2).min(MAX_BATCH);
            } else if refusals >= MAX_REFUSED_ROWS {
                query.limit = MAX_BATCH;
            }
            query.changes = true;
        }
    }

    /// How many rows were changed, or which were not and why.
    pub(super) fn end_run(
        &self,
        operation: Operation,
        run: Run,
        table: &str,
        done: &str,
    ) -> AuthResult<usize> {
        let server = &self.connections.server;
        let begin = format!("{} on {server}:", operation.name);
        let locked = ids(run.locked_count, &run.locked);
        match (run.kept.count, run.locked_count) {
            (0, 0) => Ok(run.changed),
            (0, count) => Err(AuthError::Unavailable {
                message: format!(
                    "{begin} {count} of {table} are locked by another transaction, {locked}; all others were {done}: \
                     call again"
                ),
                contention: false,
                source: None,
            }),
            (count, count_locked) => {
                let kept = ids(count, &run.kept.first);
                let others = match count_locked {
                    0 => String::new(),
                    count => format!(" but {count} that another transaction has locked, {locked}"),
                };
                let cause = match &run.kept.cause {
                    Some(failure) => Cause(&failure.error).to_string(),
                    None => " (a trigger, a rule or a policy keeps them)".to_owned(),
                };
                let neighbours = if run.kept.has_others {
                    " or were with such rows in one batch, as there are too many to try them one by one"
                } else {
                    ""
                };
                Err(AuthError::Database {
                    message: format!(
                        "{begin} {count} of {table} cannot be {done}{neighbours}, {kept}; all others were{others}{cause}"
                    ),
                    source: run.kept.cause.map(Failure::into_source),
                })
            }
        }
    }
}

/// The first ids of so many rows.
fn ids(count: usize, first: &[String]) -> String {
    let first: Vec<&str> = first
        .iter()
        .map(String::as_str)
        .take(MAX_NAMED_ROWS)
        .collect();
    let more = match count - first.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("ids {}{more}", first.join(", "))
}

/// What became of the rows.
#[derive(Default)]
pub(super) struct Run {
    pub(super) changed: usize,
    kept: KeptRows,
    /// The ids of the rows that another transaction had locked, as far as they are remembered.
    pub(super) locked: Vec<String>,
    pub(super) locked_count: usize,
}

impl Run {
    fn add_locked(&mut self, ids: Vec<String>) {
        self.locked_count += ids.len();
        let room = MAX_LOCKED_ROWS.saturating_sub(self.locked.len());
        self.locked.extend(ids.into_iter().take(room));
    }

    /// Whether more rows were locked than are remembered.
    pub(super) fn forgot_locked(&self) -> bool {
        self.locked_count > self.locked.len()
    }

    /// With what became of the rows that were locked.
    pub(super) fn then(&mut self, again: Self) {
        self.changed += again.changed;
        self.kept.count += again.kept.count;
        self.kept.has_others |= again.kept.has_others;
        self.kept.first.extend(again.kept.first);
        self.kept.cause = self.kept.cause.take().or(again.kept.cause);
        self.locked = again.locked;
        self.locked_count = again.locked_count;
    }
}

/// The rows that a run could not change.
#[derive(Default)]
struct KeptRows {
    count: usize,
    /// Whether rows are among them that could be changed.
    has_others: bool,
    first: Vec<String>,
    cause: Option<Failure>,
}

impl KeptRows {
    fn add(&mut self, ids: Vec<String>) {
        self.count += ids.len();
        let more = MAX_NAMED_ROWS.saturating_sub(self.first.len());
        self.first.extend(ids.into_iter().take(more));
    }
}
