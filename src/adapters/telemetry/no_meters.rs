//! Without the feature `metrics` there are no metrics.

use std::time::Duration;

use super::{Database, PoolState};

pub(in crate::adapters) fn describe(_database: &Database) {}

#[cfg(feature = "tracing")]
pub(super) fn operation_ended(_operation: &'static str, _outcome: &'static str, _took: Duration) {}

#[cfg(feature = "tracing")]
pub(super) fn outcome_unknown(_operation: &'static str) {}

pub(super) fn retried(_operation: &'static str, _reason: &'static str) {}

pub(super) fn batch_of(_operation: &'static str, _keys: usize) {}

pub(super) fn rows_removed(_table: &'static str, _rows: usize) {}

pub(super) fn waited_for_connection(_database: &Database, _wait: Duration) {}

pub(super) fn connection_timed_out(_database: &Database) {}

pub(in crate::adapters) fn pool(_database: &Database, _state: impl FnOnce() -> PoolState) {}
