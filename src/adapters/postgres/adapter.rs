//! [`SqlxAdapter`]: construction, use, maintenance.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;

use super::builder::{MAX_RETRIES, Source, SqlxAdapterBuilder};
use super::connection::{Connections, PoolConfig, PoolStats, PooledConnection, Settings};
use super::error::{Operation, connection_error};
use super::progress::{Observer, Progress};
use super::repository::Repository;
use super::session_cache::{CachedSessions, SessionCacheStats};
use crate::adapters::Store;
use crate::adapters::delegate::forward_database_adapter;
use crate::types::Removed;
use crate::{AuthError, AuthResult};

/// Longest wait of [`SqlxAdapter::ping`].
const MAX_PING: Duration = Duration::from_secs(1);

/// Keeps everything in PostgreSQL (13 or later), with every statement checked against the schema at compile time.
///
/// Clones share the pool.
///
/// ```no_run
/// use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
/// use better_auth::types::CreateUser;
///
/// # async fn example() -> better_auth::AuthResult<()> {
/// let database = SqlxAdapter::new("postgresql://user:pass@localhost:5432/mydb").await?;
/// database.migrate().await?;
/// let user = database.create_user(CreateUser::new().with_email("ada@example.com")).await?;
/// # Ok(())
/// # }
/// ```
///
/// # What it does on its own
///
/// - **Round trips.** One statement, so one round trip, per method. `delete_expired_*` takes one per batch of rows, and a
///   conflict may take a second one, to name the right field.
/// - **Connections.** If it is made from a URL, the adapter opens connections that only it uses, never more than
///   [`max_connections`](PoolConfig::max_connections). The application's own statements borrow one by
///   [`acquire`](Self::acquire). If it is made [`from_pool`](Self::from_pool), it takes a connection of the
///   application's pool for each statement or batch, and returns it at once.
/// - **Batches.** `get_session_with_user`, `get_session` and `get_user_by_id` run directly while few callers wait. Further
///   callers are queued and answered by at most three batch statements. An answer is never older than the call, and no
///   caller notices the failure of another caller's row. In a transaction each lookup runs alone, and so does one by a
///   token or id of more than 1,024 bytes. [`batch_lookups`](SqlxAdapterBuilder::batch_lookups) switches it off.
/// - **Session cache.** Off by default: [`session_cache`](SqlxAdapterBuilder::session_cache).
/// - **Retries.** A statement that the server ends for a deadlock or a serialization failure is sent again, up to ten
///   times ([`max_retries`](SqlxAdapterBuilder::max_retries)) with a growing, random pause. In a transaction,
///   [`transaction`](crate::transaction()) runs the whole transaction again. A read whose connection has died is sent
///   again on another one. So is a write if the server's answer proves that nothing was done: the server ended the
///   connection before, a column's type has changed since the statement was prepared, or the server is read-only,
///   because another one was promoted. A write whose outcome is unknown is
///   [`AuthError::OutcomeUnknown`](crate::AuthError::OutcomeUnknown).
/// - **Limits.** Every wait ends: for a connection, or for a row that another transaction has locked, after
///   [`acquire_timeout`](PoolConfig::acquire_timeout), and for a statement after
///   [`answer_timeout`](SqlxAdapterBuilder::answer_timeout). Shortly before that the server itself ends the statement
///   (`statement_timeout`), so that nothing was done: [`AuthError::Unavailable`](crate::AuthError::Unavailable). With
///   [`from_pool`](Self::from_pool), the settings of the pool's connections decide about locks and statements.
///   [`migrate`](Self::migrate) alone waits for as long as an index takes to build.
/// - **Isolation** is the server's default. The adapter keeps its promises under READ COMMITTED, PostgreSQL's default, and
///   under SERIALIZABLE, the default of some compatible engines.
///
/// A future may be dropped at any point. A connection whose statement still runs then is closed, and its place in the pool
/// is free once the server's process has ended: within about two seconds from PostgreSQL 14 on
/// (`client_connection_check_interval`), and on 13 when the wait for the lock ends.
///
/// Several runtimes may share an adapter. The runtime that opened a connection reads from it. If that runtime has ended or
/// stands still, callers on other runtimes replace its connections and take its batches over. Tokio's paused clock
/// (`start_paused`) cannot be used with it: the clock leaps over the time in which an answer comes, so that waits end at
/// once.
///
/// # Connecting
///
/// The URL takes the parameters of sqlx's `PgConnectOptions`, such as `sslmode`, `sslrootcert`, `application_name` and
/// `options=-c search_path=…`; what it leaves out comes from `PGHOST`, `PGPASSWORD` and so on. A Unix socket is named by
/// its directory: `postgresql://user@localhost/mydb?host=/run/postgresql`.
///
/// Encryption needs one of the `tls-…` features; without one, a URL with `sslmode=require` or stricter is refused. Only
/// `sslmode=verify-full` makes sure that the server is the one of the URL; `sslrootcert` names a file with the certificate
/// of an authority that is not among the trusted ones.
///
/// Through PgBouncer, session mode works with a stock configuration. Transaction mode is right from 1.21 on, with
/// `max_prepared_statements` above 0. Before, or without it, **lookups answer with the rows of other clients'
/// statements**, whatever the program: [`check_pooler`](Self::check_pooler) finds that out, and
/// [the builder](SqlxAdapterBuilder::check_pooler) refuses to start there. In transaction mode the server's connections,
/// and with them their settings, pass from one client to the next, so `lock_timeout`, which the adapter sets on its
/// connections, may not hold for its own statements and may for those of others: set it on the role
/// (`ALTER ROLE … SET lock_timeout`). [`migrate`](Self::migrate) needs a direct URL there, as its lock is the session's.
#[derive(Clone)]
pub struct SqlxAdapter {
    pub(super) repository: Arc<Repository>,
}

impl SqlxAdapter {
    /// Connects with the default [`PoolConfig`].
    ///
    /// # Errors
    ///
    /// As [`with_config`](Self::with_config).
    pub async fn new(url: &str) -> AuthResult<Self> {
        Self::builder(url).connect().await
    }

    /// Connects once, to see that it works, and leaves the rest to the pool. Does not migrate.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`](crate::AuthError::Validation) where the URL or a number of the configuration makes no
    /// sense; [`AuthError::Database`](crate::AuthError::Database) where user, password or database are wrong;
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable) where no server answers within `acquire_timeout`. They
    /// name host and database, never the password.
    pub async fn with_config(url: &str, config: PoolConfig) -> AuthResult<Self> {
        Self::builder(url).pool_config(config).connect().await
    }

    /// Everything that can be set, before it connects.
    pub fn builder(url: &str) -> SqlxAdapterBuilder {
        SqlxAdapterBuilder::new(url)
    }

    /// Uses a pool of the application's, as it is. Connects only when the first operation does.
    ///
    /// Each statement or batch takes a connection and returns it at once. Before the statement, the adapter ends any
    /// transaction that is open on the connection, which takes a round trip;
    /// [`pool_resets_connections`](SqlxAdapterBuilder::pool_resets_connections) saves it.
    ///
    /// The pool decides how long waits may take: its `acquire_timeout` for a connection, and `lock_timeout` and
    /// `statement_timeout` of its connections for a lock and a statement (none, unless the application sets them). A
    /// statement whose caller has gone waits for a lock until then, unless `client_connection_check_interval` is set.
    /// With `statement_cache_capacity(0)`, every statement stays on the server; leave that out.
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        let connections = Connections::shared(pool, Settings::default());
        Self::with_connections(connections, None, Vec::new())
    }

    pub(super) fn with_connections(
        connections: Connections,
        session_cache: Option<CachedSessions>,
        stores: Vec<Store>,
    ) -> Self {
        let mut repository = Repository::new(connections, session_cache);
        repository.stores = stores;
        Self {
            repository: Arc::new(repository),
        }
    }

    /// A connection for statements of the application's own. It counts among `max_connections` until it is dropped.
    ///
    /// ```no_run
    /// use better_auth::adapters::SqlxAdapter;
    ///
    /// # async fn example(database: SqlxAdapter) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut connection = database.acquire().await?;
    /// sqlx::query("NOTIFY sign_up").execute(&mut *connection).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable) if there is no connection within `acquire_timeout`.
    pub async fn acquire(&self) -> AuthResult<PooledConnection> {
        let connections = &self.repository.connections;
        let acquired = connections.acquire().await;
        acquired
            .map(PooledConnection::new)
            .map_err(|error| connection_error(error, "acquire", &connections.server))
    }

    /// Makes one round trip to the server, within a second, or within `acquire_timeout` if that is shorter.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable) or
    /// [`AuthError::Database`](crate::AuthError::Database), with what the server or the network said.
    pub async fn ping(&self) -> AuthResult<()> {
        const PING: Operation = Operation::read("ping");
        let connections = &self.repository.connections;
        let limit = MAX_PING.min(connections.acquire_timeout());
        let ping = async {
            let answer = connections.ping(limit).await;
            answer.map_err(|error| connection_error(error, PING.name, &connections.server))
        };
        connections.observe(PING.name, ping).await
    }

    /// Stores the tokens of all sessions that are stored as they are by their digests, as
    /// [`hash_session_tokens`](SqlxAdapterBuilder::hash_session_tokens) does for new ones, and says how many there were.
    ///
    /// Call it once every instance has the setting; again is harmless. It works in pieces of 1,000, while traffic goes
    /// on: every session stays open, and its client's token the same.
    ///
    /// # Errors
    ///
    /// [`AuthError::Database`](crate::AuthError::Database) if the server, a constraint or a trigger refuses some rows: it names
    /// them, and all others are hashed. [`AuthError::Unavailable`](crate::AuthError::Unavailable) if another transaction has
    /// locked some for longer than two seconds; all others are hashed.
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable) or
    /// [`AuthError::OutcomeUnknown`](crate::AuthError::OutcomeUnknown) also if the run ended early. Call again.
    pub async fn hash_stored_session_tokens(&self) -> AuthResult<usize> {
        self.observe_hashing(&mut Observer::silent()).await
    }

    /// As [`hash_stored_session_tokens`](Self::hash_stored_session_tokens), with an observer that hears how many sessions
    /// were looked at, after each piece.
    ///
    /// # Errors
    ///
    /// As [`hash_stored_session_tokens`](Self::hash_stored_session_tokens).
    pub async fn hash_stored_session_tokens_with(
        &self,
        mut observe: impl FnMut(&Progress) + Send,
    ) -> AuthResult<usize> {
        self.observe_hashing(&mut Observer::new(&mut observe)).await
    }

    async fn observe_hashing(&self, observer: &mut Observer<'_>) -> AuthResult<usize> {
        let hash = self.repository.hash_stored_session_tokens(observer);
        let connections = &self.repository.connections;
        connections
            .observe("hash_stored_session_tokens", hash)
            .await
    }

    /// As [`clean_up`](crate::DatabaseAdapter::clean_up), with an observer that hears how many rows were removed, after
    /// each batch.
    ///
    /// ```no_run
    /// use better_auth::adapters::SqlxAdapter;
    ///
    /// # async fn example(database: SqlxAdapter) -> better_auth::AuthResult<()> {
    /// let removed = database
    ///     .clean_up_with(|progress| eprintln!("{}: {}", progress.step, progress.done))
    ///     .await?;
    /// println!("{} sessions are gone", removed.sessions);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`clean_up`](crate::DatabaseAdapter::clean_up).
    pub async fn clean_up_with(
        &self,
        mut observe: impl FnMut(&Progress) + Send,
    ) -> AuthResult<Removed> {
        let mut observer = Observer::new(&mut observe);
        let connections = &self.repository.connections;
        let clean_up = self.repository.clean_up_with(&mut observer);
        connections.observe("clean_up", clean_up).await
    }

    /// What the pool holds at the moment.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        self.repository.connections.stats()
    }

    /// What the session cache has done and holds. `None` if the adapter has
    /// [none](SqlxAdapterBuilder::session_cache).
    #[must_use]
    pub fn session_cache_stats(&self) -> Option<SessionCacheStats> {
        let cache = self.repository.session_cache.as_ref();
        cache.map(|cache| cache.store.stats())
    }

    /// Closes the pool and the session cache's connection, for all clones, once the operations under way are done. Later ones answer
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable).
    pub async fn close(&self) {
        if let Some(cache) = &self.repository.session_cache {
            cache.store.close().await;
        }
        self.repository.connections.close().await;
    }
}

impl fmt::Debug for SqlxAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlxAdapter")
            .field("server", &self.repository.connections.server.to_string())
            .field("pool", &self.pool_stats())
            .finish()
    }
}

impl SqlxAdapterBuilder {
    /// Connects once, to see that it works, then does what was asked for.
    ///
    /// # Errors
    ///
    /// As [`SqlxAdapter::with_config`], [`SqlxAdapter::check_pooler`], [`SqlxAdapter::migrate`] and
    /// [`SqlxAdapter::check_schema`].
    /// [`AuthError::Validation`] where a number makes no sense.
    pub async fn connect(self) -> AuthResult<SqlxAdapter> {
        if self.settings.max_retries > MAX_RETRIES {
            let message = format!("must be from 0 to {MAX_RETRIES}");
            return Err(AuthError::validation("max_retries", message));
        }
        if self
            .settings
            .answer_timeout
            .is_some_and(|time| time.is_zero())
        {
            let message = "must be longer than zero";
            return Err(AuthError::validation("answer_timeout", message));
        }
        if let Some(keys) = &self.settings.verification_keys {
            keys.check()?;
        }
        if let Some(cache) = &self.session_cache {
            cache.check()?;
        }
        let is_shared = matches!(self.source, Source::Pool(_));
        let connections = match (self.source, self.pool_config) {
            (Source::Url(url), config) => {
                let config = config.unwrap_or_default();
                Connections::open(&url, &config, self.settings).await?
            }
            (Source::Pool(pool), None) => Connections::shared(pool, self.settings),
            (Source::Pool(_), Some(_)) => {
                let message = "cannot be set for a pool of the application's: configure that pool";
                return Err(AuthError::validation("pool_config", message));
            }
        };
        let cache = match &self.session_cache {
            Some(config) => Some(CachedSessions::new(config, &connections)?),
            None => None,
        };
        let database = SqlxAdapter::with_connections(connections, cache, self.stores);
        if is_shared {
            drop(database.acquire().await?);
        }
        if self.check_pooler {
            database.check_pooler().await?;
        }
        if self.migrate {
            database.migrate().await?;
        }
        if self.check_schema {
            database.check_schema().await?;
        }
        database.repository.check_session_tokens().await?;
        database.repository.start_session_cache().await?;
        Ok(database)
    }
}

forward_database_adapter!(
    impl [] for SqlxAdapter, |this| this.repository,
    |call, method| this.repository.connections.observe(method, call()).await
);
