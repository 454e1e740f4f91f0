//! What a caller says of the connections: the pool's configuration and the URL.

use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

use super::super::session_token::SessionTokens;
use crate::adapters::VerificationKeys;
use crate::adapters::backoff::DEFAULT_MAX_RETRIES;
use crate::{AuthError, AuthResult};

/// The most that PostgreSQL can be configured for.
const MAX_CONNECTIONS: u32 = 262_143;
/// What PostgreSQL's `lock_timeout` can hold, about 24 days. A longer setting means this.
pub(in super::super) const MAX_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// How [`SqlxAdapter`](crate::adapters::SqlxAdapter) pools its connections.
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
    /// Maximum number of connections, 1 to 262,143. Default: 10.
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
    pub(in super::super) fn check(&self) -> AuthResult<()> {
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
}

/// What the pool holds at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Open connections.
    pub size: u32,
    /// Those of them that are idle.
    pub idle: usize,
}

/// What an adapter may be told beside its pool.
#[derive(Clone, Debug)]
pub(in super::super) struct Settings {
    pub(in super::super) max_retries: u32,
    pub(in super::super) session_tokens: SessionTokens,
    pub(in super::super) verification_keys: Option<VerificationKeys>,
    pub(in super::super) answer_timeout: Option<Duration>,
    pub(in super::super) batch_lookups: bool,
    pub(in super::super) pool_resets_connections: bool,
    pub(in super::super) slow_operation_threshold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_retries: DEFAULT_MAX_RETRIES,
            session_tokens: SessionTokens::default(),
            verification_keys: None,
            answer_timeout: None,
            batch_lookups: true,
            pool_resets_connections: false,
            slow_operation_threshold: Duration::from_secs(1),
        }
    }
}

/// What the server is reached by, for connections of the adapter's own.
pub(in super::super) fn parse_url(url: &str) -> AuthResult<PgConnectOptions> {
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
    let parsed = url.parse();
    let options = match &parsed {
        Ok(url) => PgConnectOptions::from_url(url),
        Err(error) => {
            return Err(AuthError::validation("url", format!("{error}; {EXPECTED}")));
        }
    };
    let options =
        options.map_err(|error| AuthError::validation("url", format!("{error}; {EXPECTED}")))?;
    // As sqlx reads it: decoded, and the last one counts.
    let capacity = parsed.iter().flat_map(|url| url.query_pairs());
    let capacity = capacity.filter(|(parameter, _)| parameter == "statement-cache-capacity");
    if capacity
        .last()
        .is_some_and(|(_, capacity)| capacity.parse() == Ok(0_usize))
    {
        let message = "statement-cache-capacity=0 leaves every statement that was prepared on the server: leave it out";
        return Err(AuthError::validation("url", message));
    }
    // A stock PgBouncer refuses the parameter, and no column of ours is a float.
    Ok(options.extra_float_digits(None))
}
