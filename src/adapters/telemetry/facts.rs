//! What is noted while an operation or a batch is observed.

use std::time::Duration;

/// What the layers below tell of an operation.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) retries: u32,
    pub(super) connection_wait: Duration,
    /// Whether another caller's statement brought the answer.
    pub(super) is_batched: bool,
    /// The number of keys, of a batch.
    pub(super) batch_size: usize,
    /// Of the last failure.
    pub(super) sqlstate: Option<[u8; 5]>,
}

impl Facts {
    pub(super) const NONE: Self = Self {
        retries: 0,
        connection_wait: Duration::ZERO,
        is_batched: false,
        batch_size: 0,
        sqlstate: None,
    };

    pub(super) fn sqlstate(&self) -> Option<&str> {
        let code = self.sqlstate.as_ref()?;
        std::str::from_utf8(code).ok()
    }
}
