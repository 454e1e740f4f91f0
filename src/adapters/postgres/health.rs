//! `health`: what a monitoring system asks for, in bounded time.

use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::timeout;

use super::SqlxAdapter;
use super::connection::{PRESSURE_WINDOW, PoolerHealth, Waits};
use super::error::{Class, Operation, connection_error};
use super::maintenance::{MigrationCounts, read_migration_counts};
use crate::adapters::telemetry::PoolState;
use crate::{AuthError, AuthResult};

const NAME: &str = "health";
/// Longest wait for the server.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Shorter waits of callers need no advice.
const NOTABLE_WAIT: Duration = Duration::from_millis(500);

/// The answer of [`SqlxAdapter::health`].
///
/// Serialized, its names are in camel case, as in Better Auth's HTTP API, and its times are in seconds. It names host and
/// database in an error, so do not show it to everybody.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Health {
    /// Whether the server answers and the schema is migrated, so that an instance may get traffic. What the pool and the
    /// session cache say does not count.
    pub is_ready: bool,
    /// Whether the server answers.
    pub connection: ConnectionHealth,
    /// Whether the schema is migrated. `None` if the server did not answer, or with an error.
    pub migrations: Option<MigrationHealth>,
    /// What is known of a pooler in front of the server.
    pub pooler: PoolerHealth,
    /// How the connections suffice.
    pub pool: PoolHealth,
    /// Whether the session cache is at work. `None` if the adapter has none.
    pub session_cache: Option<SessionCacheHealth>,
}

/// Whether the server answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectionHealth {
    /// Whether it has answered.
    pub is_up: bool,
    /// How long that took, in seconds, with the wait for a connection.
    pub seconds: f64,
    /// Why it has not answered, or the error that it has answered with.
    pub error: Option<String>,
}

/// Whether the schema is migrated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MigrationHealth {
    /// Whether all migrations of this version of the crate are applied.
    pub is_up_to_date: bool,
    /// How many of them are applied.
    pub applied: usize,
    /// How many are not. [`SqlxAdapter::migrate`] applies them.
    pub pending: usize,
    /// How many are applied that only a newer version of this crate knows.
    pub unknown: usize,
}

/// How the connections suffice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PoolHealth {
    /// Open connections.
    pub open: u32,
    /// Those of them that are idle.
    pub idle: u32,
    /// The most connections that there may be.
    pub max_connections: u32,
    /// How many callers and batches wait for a connection now.
    pub waiting: u32,
    /// For how many of the last ten seconds at least one of them waited.
    pub seconds_with_waits: f64,
    /// What to do about that, if it is much.
    pub advice: Option<String>,
}

/// Whether the session cache is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SessionCacheHealth {
    /// Whether lookups are answered from memory. If not, they go the ordinary way.
    pub is_listening: bool,
    /// Sessions in memory.
    pub entries: usize,
    /// The most sessions that it holds.
    pub capacity: usize,
}

impl SqlxAdapter {
    /// Says how the adapter is, for monitoring: whether the server answers, whether the schema is migrated, and whether
    /// there are enough connections.
    ///
    /// It makes one round trip, and one for each store that the adapter was
    /// [built with](crate::adapters::SqlxAdapterBuilder::stores), and answers within a second, or within `acquire_timeout` if that is shorter, whatever the
    /// server does. It never fails: what is wrong stands in the answer.
    ///
    /// It needs no privilege beyond those of [`migrate`](Self::migrate) on an up-to-date database. If all connections stay in
    /// use for that second, the server counts as not answering, and the advice says what to do.
    ///
    /// - **Readiness**: send an instance no traffic while [`is_ready`](Health::is_ready) is `false`.
    /// - **Liveness**: answer without asking the database. An instance that is restarted because the database is away is
    ///   of no use when that comes back; the adapter reconnects by itself.
    ///
    /// ```no_run
    /// use better_auth::adapters::SqlxAdapter;
    ///
    /// /// The status and the body of an answer to `GET /ready`.
    /// async fn ready(database: &SqlxAdapter) -> serde_json::Result<(u16, String)> {
    ///     let health = database.health().await;
    ///     let status = if health.is_ready { 200 } else { 503 };
    ///     Ok((status, serde_json::to_string(&health)?))
    /// }
    /// # let _ = ready;
    /// ```
    pub async fn health(&self) -> Health {
        let connections = &self.repository.connections;
        let begun = Instant::now();
        let counts = connections.observe(NAME, self.ask_for_migrations()).await;
        let connection = ConnectionHealth {
            // An error of the server's is an answer.
            is_up: !matches!(counts, Err(AuthError::Unavailable { .. })),
            seconds: begun.elapsed().as_secs_f64(),
            error: counts.as_ref().err().map(ToString::to_string),
        };
        let migrations = counts.ok().map(MigrationHealth::new);
        let is_migrated = migrations.as_ref().is_some_and(|it| it.is_up_to_date);
        Health {
            is_ready: connection.is_up && is_migrated,
            connection,
            migrations,
            pooler: connections.pooler.get(),
            pool: PoolHealth::new(connections.pool_state(), connections.waits()),
            session_cache: self.session_cache_stats().map(|stats| SessionCacheHealth {
                is_listening: stats.is_listening,
                entries: stats.entries,
                capacity: stats.capacity,
            }),
        }
    }

    async fn ask_for_migrations(&self) -> AuthResult<MigrationCounts> {
        let connections = &self.repository.connections;
        let limit = MAX_WAIT.min(connections.acquire_timeout());
        let operation = Operation::read(NAME);
        let begun = Instant::now();
        // The pool is left time to say why there is no connection.
        let stores = &self.repository.stores;
        let asked = connections.run_within(limit / 2, operation, |connection| {
            read_migration_counts(connection, stores)
        });
        match timeout(limit, asked).await {
            Ok(Ok((counts, _lease))) => Ok(counts),
            Ok(Err(failure)) if failure.class == Class::NoConnection => {
                let left = limit.saturating_sub(begun.elapsed());
                let cause = connections.cause(failure.error, left).await;
                Err(connection_error(cause, NAME, &connections.server))
            }
            Ok(Err(failure)) => Err(self.repository.error(failure, operation)),
            Err(_) => {
                let no_answer = io::Error::from(io::ErrorKind::TimedOut);
                Err(connection_error(
                    no_answer.into(),
                    NAME,
                    &connections.server,
                ))
            }
        }
    }
}

impl MigrationHealth {
    fn new(counts: MigrationCounts) -> Self {
        Self {
            is_up_to_date: counts.pending == 0,
            applied: counts.applied,
            pending: counts.pending,
            unknown: counts.unknown,
        }
    }
}

impl PoolHealth {
    fn new(state: PoolState, waits: Waits) -> Self {
        Self {
            open: state.open,
            idle: state.idle,
            max_connections: state.max,
            waiting: state.waiting,
            seconds_with_waits: waits.any.as_secs_f64(),
            advice: advice(state, waits),
        }
    }
}

/// What to do about the waits of callers, if they were long.
fn advice(state: PoolState, waits: Waits) -> Option<String> {
    if waits.any < NOTABLE_WAIT {
        return None;
    }
    let waited = waits.any.as_secs_f64();
    let begin = format!("callers waited {waited:.1} s of the last {PRESSURE_WINDOW}");
    if state.open < state.max {
        return Some(format!(
            "{begin}, with {} of {} connections open: the server is slow to open connections, or refuses more; compare \
             its max_connections and the role's CONNECTION LIMIT with the sum of all pools",
            state.open, state.max
        ));
    }
    // As many as have waited, on average, while any did.
    let missing = waits.total.as_secs_f64() / waited;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 1, and as many as there are callers"
    )]
    let missing = missing.ceil() as u32;
    let enough = state.max.saturating_add(missing);
    Some(format!(
        "{begin}: raise max_connections to about {enough}, if the server has as many to spare"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{NOTABLE_WAIT, PoolState, Waits, advice};

    fn advice_after(open: u32, any: Duration, total: Duration) -> Option<String> {
        let state = PoolState {
            open,
            idle: 0,
            max: 10,
            waiting: 0,
        };
        advice(state, Waits { any, total })
    }

    #[test]
    fn a_notable_wait_is_told() {
        let advice = |wait| advice_after(10, wait, wait).is_some();
        let shorter = NOTABLE_WAIT.saturating_sub(Duration::from_nanos(1));
        assert!(advice(NOTABLE_WAIT) && !advice(shorter));
    }

    #[test]
    fn callers_that_wait_long_need_as_many_connections_more() {
        let [none, any, total] = [0, 3, 18].map(Duration::from_secs);
        assert_eq!(advice_after(10, none, none), None);
        let raise = advice_after(10, any, total).unwrap();
        let expected = "callers waited 3.0 s of the last 10: raise max_connections to about 16";
        assert!(raise.starts_with(expected), "{raise}");
        let slow = advice_after(4, any, total).unwrap();
        assert!(slow.contains("with 4 of 10 connections open"), "{slow}");
    }
}
