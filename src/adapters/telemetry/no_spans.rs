//! Without the feature `tracing` there are no spans and no events.

use std::time::Duration;

#[cfg(feature = "metrics")]
pub(super) use self::of_operations::{Span, outcome_unknown, slow};

#[cfg(feature = "metrics")]
mod of_operations {
    use std::time::Duration;

    use crate::adapters::telemetry::Subject;
    use crate::adapters::telemetry::facts::Facts;

    pub(in crate::adapters::telemetry) struct Span;

    impl Span {
        pub(in crate::adapters::telemetry) fn of_operation(_subject: Subject<'_>) -> Self {
            Self
        }

        pub(in crate::adapters::telemetry) fn of_batch(_subject: Subject<'_>) -> Self {
            Self
        }

        #[allow(clippy::unused_self, reason = "as a span")]
        pub(in crate::adapters::telemetry) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
            work()
        }

        #[allow(clippy::unused_self, reason = "as a span")]
        pub(in crate::adapters::telemetry) fn record(&self, _facts: &Facts, _error: Option<&str>) {}
    }

    pub(in crate::adapters::telemetry) fn outcome_unknown(_operation: &'static str) {}

    pub(in crate::adapters::telemetry) fn slow(
        _operation: &'static str,
        _duration: Duration,
        _facts: &Facts,
    ) {
    }
}

pub(super) fn retried(_operation: &'static str, _reason: &'static str, _retry: u32) {}

pub(in crate::adapters) fn transaction_retried(_retry: u32) {}

pub(in crate::adapters) fn connection_closed(_reason: &'static str) {}

pub(in crate::adapters) fn migrating(_version: i64, _description: &str) {}

pub(in crate::adapters) fn migrated(_version: i64, _duration: Duration) {}

pub(in crate::adapters) fn names_left(_organizations: u64, _invitations: u64) {}

pub(in crate::adapters) fn rows_removed(
    _operation: &'static str,
    _table: &'static str,
    _rows: usize,
) {
}

pub(in crate::adapters) fn session_cache_listens() {}

pub(in crate::adapters) fn session_cache_stopped() {}
