//! Changes of many rows, in batches and around the rows that the server refuses to change: what the cleanup and the hashing
//! of stored tokens have in common.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};

use super::columns::Time;
use super::connection::StatementFuture;
use super::error::{Failure, Operation};
use super::progress::Observer;
use super::redaction::Cause;
use super::repository::Repository;
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
        statement: impl for<'c> Fn(&'c mut PgConnection, &BatchQuery) -> StatementFuture<'c, Batch>
        + Send
        + Sync,
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

#[cfg(test)]
mod tests {
    use super::Run;

    #[test]
    fn what_became_of_locked_rows_is_added() {
        let changed = || Run {
            changed: 1,
            ..Run::default()
        };
        let mut run = changed();
        run.kept.add(vec!["a".to_owned()]);
        run.add_locked(vec!["b".to_owned(), "c".to_owned()]);
        let mut again = changed();
        again.kept.add(vec!["b".to_owned(), "d".to_owned()]);
        run.then(again);
        assert_eq!((run.changed, run.kept.count, run.locked_count), (2, 3, 0));
        assert_eq!(run.kept.first, ["a", "b", "d"]);
        assert!(run.locked.is_empty() && !run.forgot_locked());
    }
}
