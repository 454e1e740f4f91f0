//! The adapter's clock.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::adapters::input;

/// Tells the time to the adapter: the system's, or a test's.
#[derive(Clone, Default)]
pub(super) struct Clock(Option<Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>>);

impl Clock {
    pub(super) fn new(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(now)))
    }

    /// Now, to the microsecond.
    pub(super) fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Some(now) => input::truncate(now()),
            None => input::now(),
        }
    }

    /// Now, in microseconds since 1970. Cheaper than the date.
    pub(super) fn now_micros(&self) -> i64 {
        match &self.0 {
            Some(now) => now().timestamp_micros(),
            None => input::now_micros(),
        }
    }
}
