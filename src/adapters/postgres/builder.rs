//! What can be set of the adapter before it connects.

use std::fmt;
use std::time::Duration;

use sqlx::PgPool;

use super::connection::{PoolConfig, Settings};
use super::session_cache::SessionCache;
use super::session_token::SessionTokens;
use crate::adapters::{Store, VerificationKeys};

pub(super) const MAX_RETRIES: u32 = 1000;

/// Everything that can be set of a [`SqlxAdapter`](crate::adapters::SqlxAdapter) before it connects.
///
/// ```no_run
/// use better_auth::adapters::SqlxAdapter;
///
/// # async fn example() -> better_auth::AuthResult<()> {
/// let database = SqlxAdapter::builder("postgresql://user:pass@localhost:5432/mydb")
///     .migrate(true)
///     .check_schema(true)
///     .hash_session_tokens(true)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `connect`"]
pub struct SqlxAdapterBuilder {
    pub(super) source: Source,
    pub(super) pool_config: Option<PoolConfig>,
    pub(super) check_pooler: bool,
    pub(super) migrate: bool,
    pub(super) check_schema: bool,
    pub(super) session_cache: Option<SessionCache>,
    pub(super) stores: Vec<Store>,
    pub(super) settings: Settings,
}

pub(super) enum Source {
    Url(String),
    Pool(PgPool),
}

impl SqlxAdapterBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self::with_source(Source::Url(url.to_owned()))
    }

    /// Sets up an adapter on a pool of the application's, used as it is.
    pub fn from_pool(pool: PgPool) -> Self {
        Self::with_source(Source::Pool(pool))
    }

    fn with_source(source: Source) -> Self {
        Self {
            source,
            pool_config: None,
            check_pooler: false,
            migrate: false,
            check_schema: false,
            session_cache: None,
            stores: Vec::new(),
            settings: Settings::default(),
        }
    }

    /// How connections are pooled. Default: [`PoolConfig::default`]. A pool of the application's has its own.
    pub fn pool_config(mut self, config: PoolConfig) -> Self {
        self.pool_config = Some(config);
        self
    }

    /// Whether [`connect`](Self::connect) calls [`SqlxAdapter::check_pooler`](crate::adapters::SqlxAdapter::check_pooler), before anything else. Default: no;
    /// recommended where a pooler stands before the server.
    pub fn check_pooler(mut self, check_pooler: bool) -> Self {
        self.check_pooler = check_pooler;
        self
    }

    /// Whether [`connect`](Self::connect) calls [`SqlxAdapter::migrate`](crate::adapters::SqlxAdapter::migrate). Default: no.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Whether [`connect`](Self::connect) calls [`SqlxAdapter::check_schema`](crate::adapters::SqlxAdapter::check_schema), after the migration if there is one.
    /// Default: no.
    pub fn check_schema(mut self, check_schema: bool) -> Self {
        self.check_schema = check_schema;
        self
    }

    /// The stores whose tables [`migrate`](crate::adapters::SqlxAdapter::migrate) creates and
    /// [`check_schema`](crate::adapters::SqlxAdapter::check_schema) checks. Default: none.
    ///
    /// ```no_run
    /// use better_auth::adapters::{SqlxAdapter, Store};
    ///
    /// # async fn example(url: &str) -> better_auth::AuthResult<()> {
    /// let builder = SqlxAdapter::builder(url).stores([Store::Organizations]);
    /// let database = builder.migrate(true).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn stores(mut self, stores: impl IntoIterator<Item = Store>) -> Self {
        self.stores = stores.into_iter().collect();
        if self.stores.contains(&Store::ApiKeys) {
            // They own keys.
            self.stores.push(Store::Organizations);
        }
        self.stores.sort_unstable();
        self.stores.dedup();
        self
    }

    /// Longest wait for the answer to a statement, more than zero. Default: twice the pool's `acquire_timeout`, 30 s at
    /// least; 24 days at most.
    ///
    /// A server that falls silent, or the network before it, would keep callers waiting for ever otherwise. Longer than
    /// `acquire_timeout`, within which the server itself ends the wait for a lock. After it the connection is closed, and
    /// a write is [`AuthError::OutcomeUnknown`](crate::AuthError::OutcomeUnknown), as the server may be at work on it still.
    pub fn answer_timeout(mut self, answer_timeout: Duration) -> Self {
        self.settings.answer_timeout = Some(answer_timeout);
        self
    }

    /// How many more times a statement is sent that the server has ended for a deadlock or a serialization failure, 0 to
    /// 1,000. Default: 10.
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.settings.max_retries = max_retries;
        self
    }

    /// Whether lookups that wait for the server at the same time are answered by batch statements. Default: yes.
    ///
    /// Switch it off if hooks of the application's pool depend on the caller, as a hook that sets a tenant before each use
    /// of a connection.
    pub fn batch_lookups(mut self, batch_lookups: bool) -> Self {
        self.settings.batch_lookups = batch_lookups;
        self
    }

    /// Whether the application's pool ends open transactions before it lends a connection. Default: no.
    ///
    /// A future of sqlx's `begin()` that is dropped while BEGIN is under way leaves its connection inside the transaction,
    /// and what is written on it next is never committed. The adapter therefore ends whatever is open on a connection of
    /// the application's pool before its own statement, which takes a round trip. A pool that does so itself saves that:
    ///
    /// ```
    /// use sqlx::Executor as _;
    /// use sqlx::postgres::PgPoolOptions;
    ///
    /// let options = PgPoolOptions::new().after_release(|connection, _| {
    ///     Box::pin(async move {
    ///         connection.execute("BEGIN; ROLLBACK").await?;
    ///         Ok(true)
    ///     })
    /// });
    /// # let _ = options;
    /// ```
    ///
    /// It makes no difference to connections of the adapter's own.
    pub fn pool_resets_connections(mut self, pool_resets_connections: bool) -> Self {
        self.settings.pool_resets_connections = pool_resets_connections;
        self
    }

    /// Whether new sessions' tokens are stored as their SHA-256 digest, so that who reads the table or a backup can open
    /// no session with it. Default: no; recommended.
    ///
    /// The short form of [`session_tokens`](Self::session_tokens): [`SessionTokens::Hashing`] or [`SessionTokens::Plain`].
    pub fn hash_session_tokens(self, hash_session_tokens: bool) -> Self {
        self.session_tokens(if hash_session_tokens {
            SessionTokens::Hashing
        } else {
            SessionTokens::Plain
        })
    }

    /// In which form session tokens are stored and looked up. Default: [`SessionTokens::Plain`]; recommended:
    /// [`SessionTokens::Hashing`]. [`SessionTokens`] says how to switch.
    pub fn session_tokens(mut self, session_tokens: SessionTokens) -> Self {
        self.settings.session_tokens = session_tokens;
        self
    }

    /// The keys by which values of verifications that are created
    /// [`hashed`](crate::types::CreateVerification::hashed()) are stored as digests. Default: none, so that such a
    /// create is [`AuthError::Unsupported`](crate::AuthError::Unsupported).
    ///
    /// [`VerificationKeys`] says what callers see, and how to change keys. [`connect`](Self::connect) fails if a key has
    /// less than 32 bytes.
    ///
    /// ```no_run
    /// use better_auth::adapters::{SqlxAdapter, VerificationKeys};
    /// use better_auth::{AuthError, AuthResult};
    ///
    /// # async fn example(url: &str) -> AuthResult<()> {
    /// let key = std::env::var("VERIFICATION_KEY")
    ///     .map_err(|_| AuthError::validation("VERIFICATION_KEY", "is not set"))?;
    /// let mut keys = VerificationKeys::new(key);
    /// if let Ok(old) = std::env::var("OLD_VERIFICATION_KEY") {
    ///     keys = keys.with_previous(old);
    /// }
    /// let database = SqlxAdapter::builder(url).verification_keys(keys).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn verification_keys(mut self, keys: VerificationKeys) -> Self {
        self.settings.verification_keys = Some(keys);
        self
    }

    /// How long an operation may take before it is reported as slow, by an event of the level WARN. Default: one second.
    ///
    /// The time counts from the call to the answer, with the wait for a connection. Operations that are meant to take
    /// long are never reported: `clean_up`, `delete_expired_*`, `migrate`, `normalize_names`,
    /// `hash_stored_session_tokens`. It has no effect without the feature `tracing`.
    pub fn slow_operation_threshold(mut self, slow_operation_threshold: Duration) -> Self {
        self.settings.slow_operation_threshold = slow_operation_threshold;
        self
    }

    /// Answers `get_session`, `get_session_with_user` and `refresh_session` of what is not due from memory. Default: no cache.
    ///
    /// [`SessionCache`] says what it needs and what it costs. [`connect`](Self::connect) fails if the listening connection
    /// cannot be opened, does not hear notifications, or is shared with others by a pooler.
    pub fn session_cache(mut self, session_cache: SessionCache) -> Self {
        self.session_cache = Some(session_cache);
        self
    }
}

impl fmt::Debug for SqlxAdapterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlxAdapterBuilder")
            .field("pool_config", &self.pool_config)
            .field("check_pooler", &self.check_pooler)
            .field("migrate", &self.migrate)
            .field("check_schema", &self.check_schema)
            .field("session_cache", &self.session_cache)
            .field("stores", &self.stores)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
