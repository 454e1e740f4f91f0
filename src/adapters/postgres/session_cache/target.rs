//! Where the cache listens, and why it may not work there.

use sqlx::postgres::PgConnectOptions;

use super::super::connection::{Connections, parse_url};
use super::super::error::{Failure, Operation, connection_error};
use super::super::redaction::Cause;
use super::super::server::Server;
use super::super::server_error::sqlstate;
use super::super::sqlstate;
use super::config::SessionCache;
use super::listener::Listener;
use crate::{AuthError, AuthResult};

const OPERATION: Operation = Operation::read("session_cache");
/// Where nothing is migrated yet, the channel that shows whether notifications arrive.
pub(super) const PROBE_CHANNEL: &str = "better_auth";

/// Where the cache listens.
pub(super) struct ListenTarget {
    pub(super) options: PgConnectOptions,
}

/// Why the cache cannot listen.
pub(super) enum Refusal {
    Failed(Failure),
    Connection(sqlx::Error),
    /// The triggers are not installed, or switched off.
    NoTriggers,
    /// Other clients of a pooler use the same process of the server.
    SharedProcess,
    /// A notification from the pool's connections does not arrive.
    NothingArrives,
}

impl ListenTarget {
    pub(super) fn new(config: &SessionCache, connections: &Connections) -> AuthResult<Self> {
        let options = match &config.listen_url {
            Some(url) => parse_url(url).map_err(|error| match error {
                AuthError::Validation { message, .. } => {
                    AuthError::validation("listen_url", message)
                }
                other => other,
            })?,
            None => connections.options(),
        };
        Ok(Self { options })
    }

    /// Opens the listening connection and checks that it hears what the pool's connections notify.
    pub(super) async fn open(
        &self,
        channel: &str,
        connections: &Connections,
    ) -> Result<Listener, Refusal> {
        let listener = Listener::open(self.options.clone(), channel);
        let mut listener = listener.await.map_err(Refusal::Connection)?;
        match listener.hears(channel, connections).await {
            Ok(true) => Ok(listener),
            Ok(false) => Err(Refusal::NothingArrives),
            Err(refusal) => Err(refusal),
        }
    }
}

impl Listener {
    /// Whether a notification that another connection sends arrives before the answer to a question.
    async fn hears(&mut self, channel: &str, connections: &Connections) -> Result<bool, Refusal> {
        let payload = format!("p{}", getrandom::u64().unwrap_or_default());
        connections
            .run(OPERATION, |connection| {
                Box::pin(
                    sqlx::query!("SELECT pg_notify($1, $2) AS notified", channel, payload)
                        .fetch_all(connection),
                )
            })
            .await
            .map_err(Refusal::Failed)?;
        let mut has_arrived = false;
        let asked = self.ask(|heard| has_arrived |= heard == payload).await;
        asked.map_err(Refusal::Connection)?;
        Ok(has_arrived)
    }
}

impl ListenTarget {
    pub(super) fn error(&self, refusal: Refusal, server: &Server) -> AuthError {
        match refusal {
            Refusal::Failed(failure) => failure.into_error(OPERATION, server),
            Refusal::Connection(error) => {
                let server = Server::new(&self.options);
                let refused = sqlstate(&error).is_some_and(|state| {
                    matches!(
                        state,
                        sqlstate::FEATURE_NOT_SUPPORTED
                            | sqlstate::SYNTAX_ERROR
                            | sqlstate::READ_ONLY_SQL_TRANSACTION
                    )
                });
                if refused {
                    let message = format!(
                        "session_cache on {server}: the server refused LISTEN{}: the session cache needs a PostgreSQL \
                         server that is not a standby; leave session_cache out",
                        Cause(&error)
                    );
                    return AuthError::Database {
                        message,
                        source: None,
                    };
                }
                connection_error(error, OPERATION.name, &server)
            }
            Refusal::NoTriggers => AuthError::Database {
                message: format!(
                    "session_cache on {server}: its triggers are missing: call SqlxAdapter::migrate()"
                ),
                source: None,
            },
            Refusal::SharedProcess => AuthError::validation(
                "listen_url",
                "a pooler in transaction mode stands before the server and loses notifications: set listen_url to a URL \
                 that leads to the server directly, or to a pooler in session mode",
            ),
            Refusal::NothingArrives => AuthError::validation(
                "listen_url",
                "notifications from the adapter's own connections do not arrive: set listen_url to a URL that leads to \
                 the same server and database, without a pooler in transaction mode",
            ),
        }
    }
}
