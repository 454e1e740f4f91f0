use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::error::connection_error;
use super::tls::{self, configuration_mistake};
use crate::{AuthError, AuthResult};

/// A connection idle for longer is pinged before it is used.
pub(super) const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long a connection is waited for, at most, that may be dead.
pub(super) const LONGEST_PATIENCE: Duration = Duration::from_secs(5);
/// The most that PostgreSQL can be configured for; sqlx reserves room for all of a pool's.
const MAX_CONNECTIONS: u32 = 262_143;
/// What PostgreSQL's `lock_timeout` can hold, about 24 days; longer settings mean this.
pub(super) const LONGEST_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// How [`SqlxAdapter`](super::SqlxAdapter) pools its connections.
///
/// ```
/// use std::time::Duration;
///
/// use better_auth::adapters::PoolConfig;
///
/// let config = PoolConfig {
///     max_connections: 20,
///     acquire_timeout: Duration::from_secs(5),
///     ..PoolConfig::default()
/// };
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Most connections at a time, 1 to 262,143. Default: 10.
    pub max_connections: u32,
    /// Connections to keep open while nothing happens. Default: 0.
    pub min_connections: u32,
    /// Longest wait for a connection, and for a lock that someone else holds. Default: 30 s; 24 days at most.
    pub acquire_timeout: Duration,
    /// Closes connections that were idle for so long, more than zero; `None` never does. Default: 600 s.
    pub idle_timeout: Option<Duration>,
    /// Closes connections that are so old, more than zero; `None` never does. Default: 1,800 s.
    pub max_lifetime: Option<Duration>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_connections: 10,
            min_connections: 0,
            acquire_timeout: Duration::from_secs(30),
            idle_timeout: Some(Duration::from_secs(600)),
            max_lifetime: Some(Duration::from_secs(1800)),
        }
    }
}

impl PoolConfig {
    fn check(&self) -> AuthResult<()> {
        let wrong = |field, message: &str| Err(AuthError::validation(field, message));
        if !(1..=MAX_CONNECTIONS).contains(&self.max_connections) {
            return wrong(
                "max_connections",
                "must be from 1 to 262143, PostgreSQL's own limit",
            );
        }
        if self.min_connections > self.max_connections {
            return wrong("min_connections", "must not exceed max_connections");
        }
        if self.acquire_timeout.is_zero() {
            return wrong("acquire_timeout", "must be longer than zero");
        }
        if self.idle_timeout.is_some_and(|time| time.is_zero()) {
            return wrong("idle_timeout", "must be longer than zero");
        }
        if self.max_lifetime.is_some_and(|time| time.is_zero()) {
            return wrong("max_lifetime", "must be longer than zero");
        }
        Ok(())
    }

    fn longest_wait(&self) -> Duration {
        self.acquire_timeout.min(LONGEST_TIMEOUT)
    }

    fn pool_options(&self) -> PgPoolOptions {
        // Zero would mean "wait for ever".
        let lock_timeout = self.longest_wait().as_millis().max(1).to_string();
        let longest_ping = patience(self.longest_wait());
        PgPoolOptions::new()
            .max_connections(self.max_connections)
            .min_connections(self.min_connections)
            .acquire_timeout(self.longest_wait())
            .idle_timeout(self.idle_timeout.map(|time| time.min(LONGEST_TIMEOUT)))
            .max_lifetime(self.max_lifetime.map(|time| time.min(LONGEST_TIMEOUT)))
            .test_before_acquire(false)
            .before_acquire(move |connection, state| {
                Box::pin(async move {
                    if state.idle_for <= TRUSTED_IDLE {
                        return Ok(true);
                    }
                    match tokio::time::timeout(longest_ping, connection.ping()).await {
                        Ok(ponged) => ponged.map(|()| true),
                        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                    }
                })
            })
            .after_connect(move |connection, _| {
                let lock_timeout = lock_timeout.clone();
                Box::pin(async move {
                    sqlx::query_scalar!(
                        "SELECT set_config('lock_timeout', $1, false)",
                        lock_timeout
                    )
                    .fetch_one(connection)
                    .await
                    .map(drop)
                })
            })
    }
}

/// How long one connection is waited for before another is tried, for which there has to be time left.
pub(super) fn patience(acquire_timeout: Duration) -> Duration {
    (acquire_timeout / 4).min(LONGEST_PATIENCE)
}

/// What the pool holds at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Open connections.
    pub size: u32,
    /// Those of them that nobody uses.
    pub idle: usize,
}

/// The database that a pool's connections go to, as messages name it.
#[derive(Clone)]
pub(super) struct Server(Arc<str>);

impl Server {
    pub(super) fn new(options: &PgConnectOptions) -> Self {
        // What PostgreSQL assumes where the URL names no database.
        let database = options.get_database().unwrap_or(options.get_username());
        let place = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => options.get_host().to_owned(),
        };
        let port = options.get_port();
        Self(format!("database \"{database}\" at {place}:{port}").into())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Connects once, so that what is wrong with the URL or the server shows now.
pub(super) async fn connect(url: &str, config: &PoolConfig) -> AuthResult<PgPool> {
    config.check()?;
    // A stock PgBouncer refuses the parameter, and no column of ours is a float.
    let options = parse_url(url)?.extra_float_digits(None);
    let server = Server::new(&options);
    // Unboxed, its 16 kB would be part of every caller's future.
    let probe = Box::pin(PgConnection::connect_with(&options));
    let probe = tokio::time::timeout(config.longest_wait(), probe)
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(|error| match configuration_mistake(&error) {
            Some(advice) if tls::is_missing(&error) => AuthError::validation("url", advice),
            _ => connection_error(error, "connect", &server),
        })?;
    let _ = probe.close().await;
    Ok(config.pool_options().connect_lazy_with(options))
}

fn parse_url(url: &str) -> AuthResult<PgConnectOptions> {
    const EXPECTED: &str = "expected postgresql://user:password@host:5432/database";
    if !url.starts_with("postgresql://") && !url.starts_with("postgres://") {
        return Err(AuthError::validation("url", EXPECTED));
    }
    // The rest of a password with a bare `/`, `?` or `#` would be taken for the database, and shown.
    let (_, address) = url.split_once("://").unwrap_or_default();
    let (_, path) = address.split_once(['/', '?', '#']).unwrap_or_default();
    if path.contains('@') {
        let message = format!("percent-encode the password; {EXPECTED}");
        return Err(AuthError::validation("url", message));
    }
    url.parse()
        .map_err(|error: sqlx::Error| AuthError::validation("url", format!("{error}; {EXPECTED}")))
}
