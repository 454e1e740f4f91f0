//! Without the feature `tracing` there are no spans and no events.

use std::time::Duration;

pub(super) fn retried(_operation: &'static str, _reason: &'static str, _retry: u32) {}

pub(in crate::adapters) fn transaction_retried(_retry: u32) {}

pub(in crate::adapters) fn connection_closed(_reason: &'static str) {}

pub(in crate::adapters) fn migrating(_version: i64, _description: &str) {}

pub(in crate::adapters) fn migrated(_version: i64, _duration: Duration) {}

pub(super) fn rows_removed(_operation: &'static str, _table: &'static str, _rows: usize) {}
