//! What can be set of the session cache, and what it says of itself.

use std::fmt;
use std::time::Duration;

use crate::{AuthError, AuthResult};

const DEFAULT_CAPACITY: usize = 100_000;
const MAX_CAPACITY: usize = 10_000_000;
const MIN_STALENESS: Duration = Duration::from_millis(1);
const MAX_STALENESS: Duration = Duration::from_secs(3600);

/// How session checks are answered from memory: [`SqlxAdapterBuilder::session_cache`](crate::adapters::SqlxAdapterBuilder::session_cache).
///
/// If the session was looked up before, `get_session` and `get_session_with_user` are answered from memory, and so is
/// `refresh_session` if it has nothing to extend. Triggers on `sessions` and `users` notify every instance of each changed
/// row, whether an instance, another program or an administrator changed it. The payloads hold ids, never tokens.
///
/// | mode | an answer is as new as | costs |
/// |---|---|---|
/// | [`exact`](Self::exact) | the call: it sees every write that was acknowledged before | one small question to the server, shared by all callers who wait at that moment |
/// | [`bounded`](Self::bounded) | the call, minus the bound: a revocation is honoured by every instance within the bound, and within about a millisecond while nothing fails | no wait |
///
/// Tokens that do not exist are not cached, and nothing is cached in transactions.
///
/// If the listening connection fails or is silent for a quarter of a second, the cache is emptied, and lookups go the
/// ordinary way until it listens again. The same happens if the adapter notices that it talks to another server.
///
/// # What it needs
///
/// - The triggers. [`SqlxAdapter::migrate`](crate::adapters::SqlxAdapter::migrate) installs them if it is called on an adapter with a session cache; until then
///   the cache is off. [`SqlxAdapter::check_schema`](crate::adapters::SqlxAdapter::check_schema) checks them.
/// - One connection per instance beside the pool's, on which it listens. If a pooler in transaction mode sits in front of
///   the server, this connection needs a direct URL: [`listen_url`](Self::listen_url).
/// - No privilege that other calls do not need, once the triggers are there: they run for every writer, who needs nothing
///   for them. `migrate` on an adapter with a session cache also reads `_better_auth_session_cache_migrations` (`SELECT`). To
///   install the triggers, the role has to own our tables, or be a member of the role that does, and needs `CREATE` on the
///   schema. The role of [`listen_url`](Self::listen_url) needs `CONNECT` on the database alone.
/// - PostgreSQL itself: engines without `LISTEN`, `NOTIFY` and triggers are refused by
///   [`connect`](crate::adapters::SqlxAdapterBuilder::connect).
///
/// # What it costs writers
///
/// Each statement that changes or removes a live session or any user sends a notification, and PostgreSQL commits
/// transactions with notifications one after the other. New sessions, and the removal of expired ones, send none.
///
/// ```no_run
/// use better_auth::adapters::{SessionCache, SqlxAdapter};
///
/// # async fn example() -> better_auth::AuthResult<()> {
/// let database = SqlxAdapter::builder("postgresql://user:pass@localhost:5432/mydb")
///     .session_cache(SessionCache::exact())
///     .migrate(true)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// [`SqlxAdapterBuilder::session_cache`]: crate::adapters::SqlxAdapterBuilder::session_cache
/// [`SqlxAdapter::migrate`]: crate::adapters::SqlxAdapter::migrate
/// [`SqlxAdapter::check_schema`]: crate::adapters::SqlxAdapter::check_schema
/// [`connect`]: crate::adapters::SqlxAdapterBuilder::connect
#[derive(Clone)]
#[must_use = "pass it to `SqlxAdapterBuilder::session_cache`"]
pub struct SessionCache {
    pub(super) mode: Mode,
    pub(super) capacity: usize,
    pub(super) listen_url: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Exact,
    Bounded(Duration),
}

impl SessionCache {
    /// Answers see every write that was acknowledged before the call, as without a cache.
    pub fn exact() -> Self {
        Self::new(Mode::Exact)
    }

    /// Answers may be older than the call by at most `max_staleness`, 1 ms to 1 hour.
    ///
    /// Within that time after a sign-out, a session may still be accepted, also by the instance that ended it.
    pub fn bounded(max_staleness: Duration) -> Self {
        Self::new(Mode::Bounded(max_staleness))
    }

    fn new(mode: Mode) -> Self {
        Self {
            mode,
            capacity: DEFAULT_CAPACITY,
            listen_url: None,
        }
    }

    /// How many sessions are cached at most, 1 to 10,000,000. Default: 100,000.
    ///
    /// A session with its user takes about 1 to 2 kB; [`SessionCacheStats::bytes_per_entry`] says how much. One with more
    /// than 16 kB of text is not cached.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// The URL of the listening connection, if it is not to be the adapter's own: one that leads to the same database
    /// without a pooler in transaction mode in between.
    pub fn listen_url(mut self, listen_url: impl Into<String>) -> Self {
        self.listen_url = Some(listen_url.into());
        self
    }

    pub(in super::super) fn check(&self) -> AuthResult<()> {
        if !(1..=MAX_CAPACITY).contains(&self.capacity) {
            let message = format!("must be from 1 to {MAX_CAPACITY} sessions");
            return Err(AuthError::validation("capacity", message));
        }
        match self.mode {
            Mode::Bounded(bound) if !(MIN_STALENESS..=MAX_STALENESS).contains(&bound) => {
                let message = "must be from 1 ms to 1 hour; use SessionCache::exact() for answers that are never stale";
                Err(AuthError::validation("max_staleness", message))
            }
            Mode::Exact | Mode::Bounded(_) => Ok(()),
        }
    }
}

impl fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL holds a password.
        f.debug_struct("SessionCache")
            .field("mode", &self.mode)
            .field("capacity", &self.capacity)
            .field("has_listen_url", &self.listen_url.is_some())
            .finish()
    }
}

/// What the session cache has done since the adapter was made, and what it holds: [`SqlxAdapter::session_cache_stats`](crate::adapters::SqlxAdapter::session_cache_stats).
///
/// [`SqlxAdapter::session_cache_stats`]: crate::adapters::SqlxAdapter::session_cache_stats
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionCacheStats {
    /// Whether lookups are answered from memory now. If not, they go the ordinary way.
    pub is_listening: bool,
    /// Sessions in memory, including those that have changed and were not asked for since.
    pub entries: usize,
    /// The most sessions that it holds.
    pub capacity: usize,
    /// About how many bytes a session takes, on average over those that were cached so far.
    pub bytes_per_entry: u64,
    /// Lookups that were answered from memory.
    pub hits: u64,
    /// Lookups that found nothing current in memory, and asked the server.
    pub misses: u64,
    /// Lookups that went the ordinary way because the cache did not listen.
    pub bypasses: u64,
    /// Notifications of changes that have arrived, and times that the cache was emptied.
    pub invalidations: u64,
    /// Questions that the server has answered.
    pub questions: u64,
    /// How long ago the last question was sent. `None` if there was none since the cache listens.
    pub last_question: Option<Duration>,
    /// How long the cache has not listened, all in all.
    pub time_in_fallback: Duration,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::SessionCache;

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for right in [
            SessionCache::exact(),
            SessionCache::exact().capacity(1),
            SessionCache::bounded(Duration::from_millis(1)),
            SessionCache::bounded(Duration::from_secs(3600)),
        ] {
            right.check().unwrap();
        }
        for (wrong, field) in [
            (SessionCache::exact().capacity(0), "capacity"),
            (SessionCache::exact().capacity(usize::MAX), "capacity"),
            (SessionCache::bounded(Duration::ZERO), "max_staleness"),
            (SessionCache::bounded(Duration::MAX), "max_staleness"),
        ] {
            let refused = wrong.check().unwrap_err().to_string();
            assert!(refused.contains(field), "{refused}");
        }
    }

    #[test]
    fn the_password_of_the_url_is_not_shown() {
        let cache = SessionCache::exact().listen_url("postgresql://user:secret@localhost/mydb");
        assert!(!format!("{cache:?}").contains("secret"));
    }
}
