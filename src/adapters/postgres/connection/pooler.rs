//! What is known of a pooler in front of the server.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// What is known of a pooler in front of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum PoolerHealth {
    /// [`SqlxAdapter::check_pooler`](crate::adapters::SqlxAdapter::check_pooler) has not run on this adapter.
    Unchecked,
    /// [`SqlxAdapter::check_pooler`](crate::adapters::SqlxAdapter::check_pooler) has passed: there is none, or it
    /// keeps prepared statements apart.
    Safe,
    /// [`SqlxAdapter::check_pooler`](crate::adapters::SqlxAdapter::check_pooler) has found a pooler that mixes up
    /// the statements of its clients.
    Unsafe,
}

/// What was found last.
pub(in super::super) struct Pooler(Mutex<PoolerHealth>);

impl Pooler {
    pub(super) fn new() -> Self {
        Self(Mutex::new(PoolerHealth::Unchecked))
    }

    pub(in super::super) fn get(&self) -> PoolerHealth {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in super::super) fn set(&self, found: PoolerHealth) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}
