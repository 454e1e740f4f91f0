//! Without the feature `metrics` there are no metrics.

use std::sync::Arc;
use std::time::Duration;

use super::{CacheState, Database, PoolState};

pub(super) struct Meters;

impl Meters {
    pub(super) fn new(_pool_name: Arc<str>) -> Self {
        Self
    }
}

pub(in crate::adapters) fn describe(_database: &Database) {}

#[cfg(feature = "tracing")]
pub(super) fn operation_ended(
    _database: &Database,
    _operation: &'static str,
    _outcome: &'static str,
    _took: Duration,
) {
}

#[cfg(feature = "tracing")]
pub(super) fn outcome_unknown(_operation: &'static str) {}

pub(super) fn retried(_operation: &'static str, _reason: &'static str) {}

pub(super) fn batch_of(_database: &Database, _operation: &'static str, _keys: usize) {}

pub(in crate::adapters) fn batch_removed(_table: &'static str, _rows: usize) {}

pub(super) fn waited_for_connection(_database: &Database, _wait: Duration) {}

pub(super) fn connection_timed_out(_database: &Database) {}

pub(in crate::adapters) fn pool(_database: &Database, _state: impl FnOnce() -> PoolState) {}

pub(in crate::adapters) fn watch_session_cache(
    _database: &Database,
    _state: impl Fn() -> Option<CacheState> + Send + Sync + 'static,
) {
}

pub(in crate::adapters) fn session_cache(_database: &Database) {}
