//! Without the features that observe, an operation is its future.

use std::time::Duration;

use super::Subject;

pub(in crate::adapters) fn observe<F>(_subject: Subject<'_>, call: F) -> F {
    call
}

pub(in crate::adapters) fn observe_batch<F>(_subject: Subject<'_>, call: F) -> F {
    call
}

pub(in crate::adapters) fn answered_by_batch() {}

pub(in crate::adapters) fn failed(_sqlstate: Option<&str>) {}

pub(super) fn add_connection_wait(_wait: Duration) {}

pub(super) fn count_retry() {}

pub(super) fn note_batch_size(_keys: usize) {}
