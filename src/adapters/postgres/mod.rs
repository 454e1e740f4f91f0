use std::fmt;
use std::sync::Arc;

use sqlx::{Connection as _, PgPool};

use self::database::{Database, Settings};
use self::error::Operation;
use self::lease::Origin;
use crate::AuthResult;
use crate::adapters::delegate::forward_database_adapter;

pub use self::builder::SqlxAdapterBuilder;
pub use self::maintenance::{MIGRATOR, NormalizedNames, SchemaReport, SkippedName};
pub use self::pool::{PoolConfig, PoolStats};

mod account;
mod batch;
mod builder;
pub mod columns;
mod database;
mod error;
mod kept;
mod lease;
mod maintenance;
mod pool;
mod redaction;
mod session;
mod session_token;
mod sqlstate;
mod tls;
mod transaction;
mod user;
mod user_list;
mod verification;
mod violation;

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
/// - One statement, so one round trip, per method; `delete_expired_*` takes one per 1,000 rows, and a conflict may take
///   a second one, to name the right field.
/// - `get_session_with_user`, `get_session` and `get_user_by_id` share statements where many callers are at it: up to
///   eight of each run on their own at once, and whoever comes meanwhile waits for a common statement, of which three at
///   most are under way; one that has no answer after a second no longer counts. An answer is never older than the call,
///   and nobody notices what becomes of the others'. In a transaction each runs on its own, and so does one by a token or id
///   of more than 1,024 bytes.
/// - A statement that the server ends for a deadlock or a serialization failure is sent again, up to ten times
///   ([`max_retries`](SqlxAdapterBuilder::max_retries)) with a growing, random pause; in a transaction, whose statements
///   cannot be sent again alone, [`transaction`](crate::transaction()) runs the whole again. A read whose pooled connection had died is sent again on another one, and so is a write
///   where the server's answer proves that nothing was done. A write whose outcome nobody can know is
///   [`AuthError::OutcomeUnknown`](crate::AuthError::OutcomeUnknown).
/// - A connection is pinged before use only where it was idle for more than a second. It passes from one statement to the
///   next, whoever has waited longest, and goes back to the pool after 20 ms, or once it was idle for 5 to 10: each return
///   costs a round trip. With [`share_between_callers`](SqlxAdapterBuilder::share_between_callers) off, it goes back
///   after each statement, and no statement is shared.
/// - Every wait ends: for a connection, or for a row that someone else has locked, after
///   [`acquire_timeout`](PoolConfig::acquire_timeout) (with [`from_pool`](Self::from_pool), as its pool says), and for a
///   server that has fallen silent, after [`answer_timeout`](SqlxAdapterBuilder::answer_timeout), as
///   [`AuthError::Unavailable`](crate::AuthError::Unavailable) or, where a write was sent,
///   [`AuthError::OutcomeUnknown`](crate::AuthError::OutcomeUnknown). A transaction holds a connection until its end.
///   [`migrate`](Self::migrate) alone waits for as long as an index takes to build.
/// - Isolation is the server's default. What it promises holds under READ COMMITTED, PostgreSQL's own default, as under
///   SERIALIZABLE, that of some compatible engines.
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
    database: Arc<Database>,
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

    /// Uses a pool of the application's as it is. Connects only when the first operation does.
    ///
    /// How long waits may take is the pool's: `acquire_timeout` for a connection, the `lock_timeout` of its connections
    /// (none, unless the application sets one) for a lock.
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        Self::with_settings(pool, Origin::Application, Settings::default())
    }

    fn with_settings(pool: PgPool, origin: Origin, settings: Settings) -> Self {
        Self {
            database: Arc::new(Database::new(pool, origin, settings)),
        }
    }

    /// The pool, for statements of the application's own.
    ///
    /// Drop no future of the pool's `begin()` before its answer: sqlx 0.9 then gives the connection back inside the
    /// transaction, and what is written on it next is never committed. [`begin`] here is safe to drop.
    ///
    /// [`begin`]: crate::adapters::DatabaseAdapter::begin
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.database.connections.pool
    }

    /// Makes one round trip to the server.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable) or
    /// [`AuthError::Database`](crate::AuthError::Database).
    pub async fn ping(&self) -> AuthResult<()> {
        self.database
            .run(Operation::read("ping"), |connection| {
                Box::pin(connection.ping())
            })
            .await
    }

    /// Stores the tokens of all sessions that are stored as they are by their digests, as
    /// [`hash_session_tokens`](SqlxAdapterBuilder::hash_session_tokens) does for new ones, and says how many there were.
    ///
    /// Call it once every instance has the setting; again is harmless. It works in pieces of 1,000, while traffic goes
    /// on: every session stays open, and its client's token the same.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable),
    /// [`AuthError::OutcomeUnknown`](crate::AuthError::OutcomeUnknown) or
    /// [`AuthError::Database`](crate::AuthError::Database). Some may be hashed by then; call again.
    pub async fn hash_stored_session_tokens(&self) -> AuthResult<usize> {
        self.database.hash_stored_session_tokens().await
    }

    /// What the pool holds at the moment.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        PoolStats {
            size: self.pool().size(),
            idle: self.pool().num_idle(),
        }
    }

    /// Closes the pool, for all clones, once the operations under way are done. Later ones answer
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable).
    pub async fn close(&self) {
        self.pool().close().await;
    }
}

impl fmt::Debug for SqlxAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlxAdapter")
            .field("server", &self.database.connections.server.to_string())
            .field("pool", &self.pool_stats())
            .finish()
    }
}

forward_database_adapter!(impl [] for SqlxAdapter, |this| this.database, |call| call().await);
