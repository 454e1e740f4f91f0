//! What operators see of an adapter's work: spans and events with the feature `tracing`.
//!
//! The functions here are called where something happens. Without a feature they are empty, so that no call site asks
//! for features. None of them takes a value of a statement.

#[cfg_attr(not(feature = "tracing"), path = "unobserved.rs")]
mod observed;
#[cfg_attr(not(feature = "tracing"), path = "no_spans.rs")]
mod spans;

use std::time::Duration;

pub(in crate::adapters) use self::observed::{
    answered_by_batch, failed, observe, observe_batch, waited_for_connection,
};
pub(in crate::adapters) use self::spans::{
    connection_closed, migrated, migrating, transaction_retried,
};

/// The database that statements go to, as telemetry names it.
pub(in crate::adapters) struct Database {
    pub(in crate::adapters) name: String,
    /// A host, or the directory of a socket.
    pub(in crate::adapters) address: String,
    pub(in crate::adapters) port: u16,
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
    spans::retried(operation, reason, retry);
}

/// The number of keys that a batch asks for.
pub(in crate::adapters) fn batch_of(keys: usize) {
    observed::note_batch_size(keys);
}

/// A cleanup has removed expired rows.
pub(in crate::adapters) fn rows_removed(operation: &'static str, table: &'static str, rows: usize) {
    if rows > 0 {
        spans::rows_removed(operation, table, rows);
    }
}
