//! The cleanup: the statements that remove what has expired, of all tables.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Map;
use sqlx::{PgConnection, Postgres};

use super::columns::NullableTime;
use super::connection::StatementFuture;
use super::error::Operation;
use super::estimates::Rows;
use super::maintenance::AdvisoryLock;
use super::progress::Observer;
use super::repository::Repository;
use super::row_batches::{Batch, BatchQuery, Run, with_locks_gone};
use crate::AuthResult;
use crate::adapters::{Store, telemetry};
use crate::types::Removed;

/// Removes the rows of a batch whose time has come, from a table and with its key, in the form in which errors show keys:
/// `delete_expired!("sessions", "id", shown as "id", query, connection)`.
///
/// The time is a subquery's, so that a plan made while few rows are expired does not sort a backlog for each batch.
macro_rules! delete_expired {
    ($table:literal, $key:literal, shown as $shown:literal, $query:ident, $connection:ident) => {
        fetch_batch(
            sqlx::query_as!(
                DeletedBatch,
                "WITH batch AS MATERIALIZED ( \
                 SELECT "
                    + $key
                    + ", expires_at FROM "
                    + $table
                    + " WHERE expires_at <= (SELECT statement_timestamp()) \
                       AND (expires_at, "
                    + $key
                    + ") > ($1, $2) \
                       AND (SELECT CASE WHEN $5 THEN pg_try_advisory_xact_lock($6) ELSE TRUE END) \
                       ORDER BY expires_at, "
                    + $key
                    + " LIMIT $3 FOR UPDATE SKIP LOCKED), \
                       deleted AS (DELETE FROM "
                    + $table
                    + " WHERE $4 AND "
                    + $key
                    + " = ANY (ARRAY(SELECT "
                    + $key
                    + " FROM batch)) RETURNING "
                    + $key
                    + ") \
                       SELECT (SELECT count(*) FROM batch) AS \"selected!\", \
                       ARRAY(SELECT "
                    + $shown
                    + " FROM batch WHERE "
                    + $key
                    + " NOT IN (SELECT "
                    + $key
                    + " FROM deleted)) AS \"kept!\", \
                       (SELECT max(expires_at) FROM batch) AS \"last_time!: NullableTime\", \
                       (SELECT max("
                    + $key
                    + ") FROM batch WHERE expires_at = (SELECT max(expires_at) FROM batch)) AS last_id",
                $query.after_time as _,
                $query.after_id.as_deref().unwrap_or_default(),
                $query.limit,
                $query.changes,
                $query.takes_lock,
                $query.lock,
            ),
            $connection,
        )
    };
}

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

/// The table of dead rows, and how its cleanup is told from others.
struct DeadRowsTable {
    table: &'static str,
    store: Option<Store>,
    lock: AdvisoryLock,
    step: &'static str,
}

impl DeadRows {
    const fn table(self) -> DeadRowsTable {
        let (table, store, lock, step) = match self {
            Self::ExpiredSessions => (
                "sessions",
                None,
                AdvisoryLock::ExpiredSessions,
                "removing expired sessions",
            ),
            Self::InactiveSessions => (
                "sessions",
                None,
                AdvisoryLock::InactiveSessions,
                "removing inactive sessions",
            ),
            Self::ExpiredVerifications => (
                "verifications",
                None,
                AdvisoryLock::ExpiredVerifications,
                "removing expired verifications",
            ),
            Self::EndedRateLimits => (
                "rate_limit",
                Some(Store::RateLimits),
                AdvisoryLock::EndedRateLimits,
                "removing ended rate limits",
            ),
            Self::ExpiredDeviceCodes => (
                "device_code",
                Some(Store::DeviceCodes),
                AdvisoryLock::ExpiredDeviceCodes,
                "removing expired device codes",
            ),
            Self::ExpiredApiKeys => (
                "api_keys",
                Some(Store::ApiKeys),
                AdvisoryLock::ExpiredApiKeys,
                "removing expired API keys",
            ),
        };
        DeadRowsTable {
            table,
            store,
            lock,
            step,
        }
    }

    /// Removes the rows of a batch.
    ///
    /// Sessions take two kinds of statements, as `NOT active OR expires_at <= …` would scan the table. Keys of rate limits
    /// may be addresses, so that a digest stands for them in errors.
    fn delete<'c>(
        self,
        connection: &'c mut PgConnection,
        query: &BatchQuery,
    ) -> StatementFuture<'c, Batch> {
        match self {
            Self::ExpiredSessions => {
                delete_expired!("sessions", "id", shown as "id", query, connection)
            }
            Self::ExpiredVerifications => {
                delete_expired!("verifications", "id", shown as "id", query, connection)
            }
            Self::ExpiredDeviceCodes => {
                delete_expired!("device_code", "id", shown as "id", query, connection)
            }
            Self::ExpiredApiKeys => {
                delete_expired!("api_keys", "id", shown as "id", query, connection)
            }
            Self::EndedRateLimits => {
                delete_expired!("rate_limit", "key", shown as "hashtextextended(key, 0)::TEXT", query, connection)
            }
            Self::InactiveSessions => fetch_batch(
                sqlx::query_as!(
                    DeletedBatch,
                    "WITH batch AS MATERIALIZED ( \
                     SELECT id, expires_at FROM sessions WHERE NOT active AND id >= COALESCE($1, '') AND id IS DISTINCT FROM $1 \
                     AND (SELECT CASE WHEN $4 THEN pg_try_advisory_xact_lock($5) ELSE TRUE END) \
                     ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED), \
                     deleted AS (DELETE FROM sessions WHERE $3 AND id = ANY (ARRAY(SELECT id FROM batch)) RETURNING id) \
                     SELECT (SELECT count(*) FROM batch) AS \"selected!\", \
                     ARRAY(SELECT id FROM batch WHERE id NOT IN (SELECT id FROM deleted)) AS \"kept!\", \
                     (SELECT max(expires_at) FROM batch) AS \"last_time!: NullableTime\", \
                     (SELECT max(id) FROM batch) AS last_id",
                    query.after_id,
                    query.limit,
                    query.changes,
                    query.takes_lock,
                    query.lock,
                ),
                connection,
            ),
        }
    }
}

/// The answer of a statement that removes rows.
struct DeletedBatch {
    selected: i64,
    kept: Vec<String>,
    last_time: Option<DateTime<Utc>>,
    last_id: Option<String>,
}

/// Runs a statement that removes rows.
fn fetch_batch<'c>(
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

impl Repository {
    pub(super) async fn clean_up(&self) -> AuthResult<Removed> {
        self.clean_up_with(&mut Observer::silent()).await
    }

    pub(super) async fn clean_up_with(&self, observer: &mut Observer<'_>) -> AuthResult<Removed> {
        const NAME: &str = "clean_up";
        // A transaction would keep every other instance waiting for its end.
        let instances = match &self.transaction {
            Some(_) => Instances::Any,
            None => Instances::One,
        };
        let sessions = self.delete_dead_sessions(NAME, instances, observer).await;
        let verifications = self
            .delete_dead_rows(NAME, DeadRows::ExpiredVerifications, instances, observer)
            .await;
        let stores = self.clean_up_stores(NAME, instances, observer).await;
        let removed = Removed {
            sessions: sessions?,
            verifications: verifications?,
        };
        stores.map(|()| removed)
    }

    /// Removes what has ended in the stores that are migrated. One that fails keeps no other from it.
    async fn clean_up_stores(
        &self,
        name: &'static str,
        instances: Instances,
        observer: &mut Observer<'_>,
    ) -> AuthResult<()> {
        let mut outcome = Ok(());
        for (store, dead) in [
            (Store::RateLimits, DeadRows::EndedRateLimits),
            (Store::DeviceCodes, DeadRows::ExpiredDeviceCodes),
            (Store::ApiKeys, DeadRows::ExpiredApiKeys),
        ] {
            if self.is_migrated(store, name).await? {
                let deleted = self.delete_dead_rows(name, dead, instances, observer).await;
                outcome = outcome.and(deleted.map(drop));
            }
        }
        outcome
    }

    pub(super) async fn delete_expired_sessions(&self) -> AuthResult<usize> {
        let observer = &mut Observer::silent();
        self.delete_dead_sessions("delete_expired_sessions", Instances::Any, observer)
            .await
    }

    pub(super) async fn delete_expired_verifications(&self) -> AuthResult<usize> {
        let (dead, observer) = (DeadRows::ExpiredVerifications, &mut Observer::silent());
        self.delete_dead_rows(
            "delete_expired_verifications",
            dead,
            Instances::Any,
            observer,
        )
        .await
    }

    async fn delete_dead_sessions(
        &self,
        name: &'static str,
        instances: Instances,
        observer: &mut Observer<'_>,
    ) -> AuthResult<usize> {
        let expired = self
            .delete_dead_rows(name, DeadRows::ExpiredSessions, instances, observer)
            .await;
        let inactive = self
            .delete_dead_rows(name, DeadRows::InactiveSessions, instances, observer)
            .await;
        Ok(expired? + inactive?)
    }

    /// Removes these rows batch by batch, and says how many there were.
    async fn delete_dead_rows(
        &self,
        name: &'static str,
        dead: DeadRows,
        instances: Instances,
        observer: &mut Observer<'_>,
    ) -> AuthResult<usize> {
        let DeadRowsTable {
            table,
            store,
            lock,
            step,
        } = dead.table();
        let operation = match store {
            Some(store) => Operation::write(name).of_store(store),
            None => Operation::write(name),
        };
        let query = match instances {
            Instances::Any => BatchQuery::default(),
            Instances::One => BatchQuery {
                takes_lock: true,
                lock: self.cleanup_lock(operation, table, lock).await?,
                ..BatchQuery::default()
            },
        };
        self.begin_step(observer, step, Rows::Dead(dead)).await;
        let mut run = Run::default();
        let progress = |batch: &Batch| {
            telemetry::count_removed_rows(table, batch.changed);
            batch.changed
        };
        let ended = self
            .run_in_batches(
                operation,
                query,
                observer,
                &mut run,
                progress,
                |connection, query| dead.delete(connection, query),
            )
            .await;
        telemetry::rows_removed(name, table, run.changed);
        ended?;
        self.end_run(operation, run, table, "removed")
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
}
