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

use std::sync::Arc;
use std::time::Duration;

pub(in crate::adapters) use self::meters::{describe, pool};
pub(in crate::adapters) use self::observed::{answered_by_batch, failed, observe, observe_batch};
pub(in crate::adapters) use self::spans::{
    connection_closed, migrated, migrating, transaction_retried,
};

/// The database that statements go to, as telemetry names it.
pub(in crate::adapters) struct Database {
    pub(in crate::adapters) name: String,
    /// A host, or the directory of a socket.
    pub(in crate::adapters) address: String,
    pub(in crate::adapters) port: u16,
    /// Address, port and name, as metrics name the pool.
    pub(in crate::adapters) pool_name: Arc<str>,
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

/// The number of keys that a batch asks for.
pub(in crate::adapters) fn batch_of(operation: &'static str, keys: usize) {
    observed::note_batch_size(keys);
    meters::batch_of(operation, keys);
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

/// A cleanup has removed expired rows.
pub(in crate::adapters) fn rows_removed(operation: &'static str, table: &'static str, rows: usize) {
    if rows > 0 {
        meters::rows_removed(table, rows);
        spans::rows_removed(operation, table, rows);
    }
}
