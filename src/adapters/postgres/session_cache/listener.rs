//! The connection that listens: its questions, and the notifications that come before their answers.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Longest wait for the connection to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often another client asks which process of the server it has.
const WITNESS_QUESTIONS: usize = 16;

/// A connection that listens. It is dropped with the first error: after a reconnection, notifications are missing.
pub(super) struct Listener {
    connection: PgListener,
    /// Holds this one connection only.
    pool: PgPool,
    /// Its process at the server.
    pid: i32,
}

/// What happened first.
pub(super) enum Event {
    /// Somebody wants a question.
    Woken,
    Notification(PgNotification),
}

impl Listener {
    pub(super) async fn open(options: PgConnectOptions, channel: &str) -> sqlx::Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options);
        let mut connection = PgListener::connect_with(&pool).await?;
        connection.eager_reconnect(false);
        connection.ignore_pool_close_event(true);
        connection.listen(channel).await?;
        // Nothing is sent on it while nothing is asked. 13 does not have the setting.
        let pid = sqlx::query!(
            "SELECT pg_backend_pid() AS \"pid!\", \
             (SELECT set_config(name, '0', FALSE) FROM pg_settings WHERE name = 'idle_session_timeout') AS idle_timeout"
        )
        .fetch_one(&mut connection)
        .await?
        .pid;
        Ok(Self {
            connection,
            pool,
            pid,
        })
    }

    /// Sends a question and says what time it is for the database. Every notification of a change that was acknowledged
    /// before the question was sent has arrived by then, and `note` has been told.
    pub(super) async fn ask(&mut self, mut note: impl FnMut(&str)) -> sqlx::Result<DateTime<Utc>> {
        // To the end of the answer, so that nothing that belongs before it is left in the socket.
        let answer = sqlx::query!(
            "SELECT pg_backend_pid() AS \"pid!\", pg_is_in_recovery() AS \"is_standby!\", \
             statement_timestamp() AS \"time!\""
        )
        .fetch_all(&mut self.connection)
        .await?;
        while let Some(notification) = self.connection.next_buffered() {
            note(notification.payload());
        }
        let answer = answer.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
        if answer.pid != self.pid || answer.is_standby {
            return Err(sqlx::Error::Protocol(
                "the listening connection was exchanged for another one".to_owned(),
            ));
        }
        Ok(answer.time)
    }

    /// Waits for a notification or to be woken. It may be dropped at any point.
    pub(super) async fn next_event(&mut self, wake: &Notify) -> sqlx::Result<Event> {
        let mut woken = pin!(wake.notified());
        let mut received = pin!(self.connection.try_recv());
        poll_fn(|context| {
            if woken.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(Event::Woken));
            }
            received
                .as_mut()
                .poll(context)
                .map(|received| match received? {
                    Some(notification) => Ok(Event::Notification(notification)),
                    None => Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
                })
        })
        .await
    }

    /// Whether a pooler gives this connection's process to other clients while it is idle, so that notifications get lost.
    pub(super) async fn is_shared_with(&self, witness: &mut PgConnection) -> sqlx::Result<bool> {
        let mut is_shared = false;
        for _ in 0..WITNESS_QUESTIONS {
            let pid = sqlx::query_scalar!("SELECT pg_backend_pid() AS \"pid!\"");
            is_shared |= pid.fetch_one(&mut *witness).await? == self.pid;
        }
        Ok(is_shared)
    }

    /// Closes the connection. One that does not answer is left to its socket.
    pub(super) async fn close(self) {
        drop(self.connection);
        let _ = timeout(CONNECT_TIMEOUT, self.pool.close()).await;
    }
}
