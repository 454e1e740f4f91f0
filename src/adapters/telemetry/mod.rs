//! What operators see of an adapter's work: spans and events with the feature `tracing`, metrics with `metrics`.
//!
//! The functions here are called where something happens. Without a feature they are empty, so that no call site asks
//! for features. None of them takes a value of a statement.

#[cfg(any(feature = "metrics", feature = "tracing"))]
mod facts;
#[cfg_attr(not(feature = "metrics"), path = "no_meters.rs")]
mod meters;
#[cfg_attr(
    not(any(feature = "metrics", feature = "tracing")),
    path = "unobserved.rs"
)]
mod observed;
#[cfg_attr(not(feature = "tracing"), path = "no_spans.rs")]
mod spans;

use std::time::Duration;

pub(in crate::adapters) use self::meters::{
    batch_removed as count_removed_rows, describe, pool, session_cache, watch_session_cache,
};
pub(in crate::adapters) use self::observed::{answered_by_batch, failed, observe, observe_batch};
pub(in crate::adapters) use self::spans::{
    connection_closed, migrated, migrating, names_left, rows_removed, session_cache_listens,
    session_cache_stopped, transaction_retried,
};

/// The database that statements go to, as telemetry names it.
pub(in crate::adapters) struct Database {
    pub(in crate::adapters) name: String,
    /// A host, or the directory of a socket.
    pub(in crate::adapters) address: String,
    pub(in crate::adapters) port: u16,
    /// The name, and the schema if the connection's options name it.
    #[cfg_attr(not(feature = "tracing"), expect(dead_code))]
    namespace: String,
    #[cfg_attr(not(feature = "metrics"), expect(dead_code))]
    meters: meters::Meters,
}

impl Database {
    pub(in crate::adapters) fn new(
        name: &str,
        schema: Option<&str>,
        address: String,
        port: u16,
    ) -> Self {
        // Address, port and name, as metrics name the pool.
        let pool_name = format!("{address}:{port}/{name}");
        Self {
            namespace: match schema {
                Some(schema) => format!("{name}|{schema}"),
                None => name.to_owned(),
            },
            meters: meters::Meters::new(pool_name.into()),
            name: name.to_owned(),
            address,
            port,
        }
    }
}

/// What a session cache has done, and how it is.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "metrics"), expect(dead_code))]
pub(in crate::adapters) struct CacheState {
    pub(in crate::adapters) hits: u64,
    pub(in crate::adapters) misses: u64,
    pub(in crate::adapters) bypasses: u64,
    pub(in crate::adapters) invalidations: u64,
    pub(in crate::adapters) questions: u64,
    pub(in crate::adapters) entries: usize,
    pub(in crate::adapters) is_listening: bool,
    pub(in crate::adapters) last_question: Option<Duration>,
    pub(in crate::adapters) time_in_fallback: Duration,
}

/// What a pool holds at the moment.
#[derive(Clone, Copy)]
pub(in crate::adapters) struct PoolState {
    pub(in crate::adapters) open: u32,
    pub(in crate::adapters) idle: u32,
    pub(in crate::adapters) max: u32,
    /// How many callers wait.
    pub(in crate::adapters) waiting: u32,
}

/// How a wait for a connection has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters) enum WaitEnd {
    Acquired,
    TimedOut,
    Failed,
}

/// What is observed of a call.
#[derive(Clone, Copy)]
pub(in crate::adapters) struct Subject<'a> {
    /// The method's name.
    pub(in crate::adapters) operation: &'static str,
    pub(in crate::adapters) database: &'a Database,
    /// An operation that takes as long is reported.
    pub(in crate::adapters) slow_threshold: Duration,
}

/// An error whose kind may be shown.
pub(in crate::adapters) trait Kind {
    fn kind(&self) -> &'static str;
}

impl Kind for crate::AuthError {
    fn kind(&self) -> &'static str {
        self.kind()
    }
}

/// A statement is sent again: as which try after the first, and why.
pub(in crate::adapters) fn retried(operation: &'static str, reason: &'static str, retry: u32) {
    observed::count_retry();
    meters::retried(operation, reason);
    spans::retried(operation, reason, retry);
}

/// The number of keys that a batch has asked for.
pub(in crate::adapters) fn batch_of(database: &Database, operation: &'static str, keys: usize) {
    observed::note_batch_size(keys);
    if keys > 0 {
        meters::batch_of(database, operation, keys);
    }
}

/// A connection was waited for, if only for no time.
pub(in crate::adapters) fn waited_for_connection(
    database: &Database,
    wait: Duration,
    end: WaitEnd,
) {
    observed::add_connection_wait(wait);
    match end {
        WaitEnd::Acquired => meters::waited_for_connection(database, wait),
        WaitEnd::TimedOut => meters::connection_timed_out(database),
        WaitEnd::Failed => {}
    }
}
