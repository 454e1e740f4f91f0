//! One connection of the adapter's own, and the runtime that drives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgSeverity};
use sqlx::{Connection as _, Executor as _, PgConnection};

use tokio::runtime;

use super::super::server::Server;
use super::depth::end_transaction;

/// A runtime that has not run for so long may not run again.
const STALLED: Duration = Duration::from_secs(1);
/// How often the server looks whether the client of a running statement is still there.
pub(super) const CLIENT_CHECK: Duration = Duration::from_millis(500);
/// The first release with `client_connection_check_interval`.
const FIRST_WITH_CLIENT_CHECK: u32 = 140_000;

/// How connections are opened, and what is set on each.
pub(in super::super) struct Target {
    pub(in super::super) options: PgConnectOptions,
    pub(in super::super) server: Server,
    pub(in super::super) lock_timeout: Duration,
    pub(in super::super) statement_timeout: Duration,
}

/// An open connection.
pub(super) struct Backend {
    pub(super) connection: PgConnection,
    /// Its process at the server.
    pub(super) pid: i32,
    pub(super) home: Arc<Home>,
    pub(super) opened_at: Instant,
    pub(super) idle_since: Instant,
    /// Which one of the pool's epochs it was opened in.
    pub(super) epoch: u64,
    /// Whether the next caller may have it. Not while it is leased, so that what is dropped half-way is closed.
    pub(super) is_fit: bool,
}

impl Target {
    pub(super) async fn connect(&self) -> sqlx::Result<(PgConnection, i32)> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let pid = self.set_up(&mut connection).await?;
        Ok((connection, pid))
    }

    /// Sets the adapter's settings and says which process of the server it is.
    async fn set_up(&self, connection: &mut PgConnection) -> sqlx::Result<i32> {
        let pid = sqlx::query!(
            "SELECT pg_backend_pid() AS \"pid!\", set_config('lock_timeout', $1, false) AS lock_timeout, \
             set_config('statement_timeout', $2, false) AS statement_timeout",
            milliseconds(self.lock_timeout),
            milliseconds(self.statement_timeout),
        )
        .fetch_one(&mut *connection)
        .await?
        .pid;
        if connection.server_version_num() >= Some(FIRST_WITH_CLIENT_CHECK) {
            let client_check = sqlx::query!(
                "SELECT set_config('client_connection_check_interval', $1, false) AS client_check",
                milliseconds(CLIENT_CHECK),
            )
            .fetch_one(&mut *connection)
            .await;
            // Some operating systems cannot look, and engines beside PostgreSQL do not know the setting.
            if let Err(error) = client_check
                && !is_refusal(&error)
            {
                return Err(error);
            }
        }
        Ok(pid)
    }

    /// Undoes whatever an application has set or left on a connection.
    pub(super) async fn clean(
        &self,
        backend: &mut Backend,
        in_transaction: bool,
    ) -> sqlx::Result<()> {
        let connection = &mut backend.connection;
        if in_transaction {
            end_transaction(connection).await?;
        }
        connection
            .execute(
                "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; \
                 SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES",
            )
            .await?;
        let pid = self.set_up(connection).await?;
        if pid == backend.pid {
            Ok(())
        } else {
            Err(sqlx::Error::Protocol(
                "the connection was exchanged for another one".to_owned(),
            ))
        }
    }

    /// How long a backend may live on whose client has gone in the middle of a statement.
    pub(super) fn longest_farewell(&self, connection: &PgConnection) -> Duration {
        if connection.server_version_num() >= Some(FIRST_WITH_CLIENT_CHECK) {
            CLIENT_CHECK * 4
        } else {
            self.lock_timeout.min(self.statement_timeout) + CLIENT_CHECK
        }
    }
}

/// Zero would mean "for ever".
fn milliseconds(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

fn is_refusal(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        Some(error) => !error
            .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
            .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        None => false,
    }
}

/// A runtime that has opened connections, so that reading from them needs it. Connections outlive it: callers on other
/// runtimes find them in the pool.
pub(super) struct Home {
    pub(super) id: runtime::Id,
    begun: Instant,
    /// When it last ran, in milliseconds since it began.
    beat: AtomicU64,
    /// Its connections do not answer. Until it runs again.
    is_stalled: AtomicBool,
    has_ended: AtomicBool,
}

/// Whether a connection can be read from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pulse {
    Alive,
    /// It has not run for a while: it is busy or stands still.
    Doubtful,
    Dead,
}

impl Home {
    pub(super) fn new(id: runtime::Id) -> Self {
        Self {
            id,
            begun: Instant::now(),
            beat: AtomicU64::new(0),
            is_stalled: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    pub(super) fn beat(&self) {
        self.beat.store(self.age(), Ordering::Relaxed);
        self.is_stalled.store(false, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// One of its connections has not answered while it did not run.
    pub(super) fn stall(&self) {
        self.is_stalled.store(true, Ordering::Relaxed);
    }

    pub(super) fn pulse(&self) -> Pulse {
        let silent = self.age().saturating_sub(self.beat.load(Ordering::Relaxed));
        if self.has_ended() || self.is_stalled.load(Ordering::Relaxed) {
            Pulse::Dead
        } else if u128::from(silent) > STALLED.as_millis() {
            Pulse::Doubtful
        } else {
            Pulse::Alive
        }
    }

    fn age(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
