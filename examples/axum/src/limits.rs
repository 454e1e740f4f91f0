//! How often something may be tried.

use std::time::Duration;

use crate::error::{AppError, AppResult};
use crate::secrets;
use crate::state::AppState;

/// So many tries in so many seconds.
#[derive(Clone, Copy)]
pub struct Limit {
    name: &'static str,
    max: u32,
    window: Duration,
}

impl Limit {
    /// So many tries in so many seconds.
    #[must_use]
    pub const fn new(name: &'static str, max: u32, seconds: u64) -> Self {
        Self {
            name,
            max,
            window: Duration::from_secs(seconds),
        }
    }

    /// Counts a try of this client, account or address.
    ///
    /// # Errors
    ///
    /// 429 if there were too many.
    pub async fn take(self, state: &AppState, whose: &str) -> AppResult<()> {
        // A digest, because keys are short and what people type is not.
        let key = format!("{} {}", self.name, secrets::digest(whose));
        let limit = state
            .database
            .rate_limits()?
            .take(&key, self.max, self.window)
            .await?;
        if limit.allowed {
            Ok(())
        } else {
            Err(AppError::from(limit))
        }
    }
}
