//! `spawn_cleanup`: a task that removes expired sessions and verifications at an interval.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::DatabaseAdapter;
use super::backoff::random_fraction;
use crate::types::Removed;
use crate::{AuthError, AuthResult};

/// The longest pause; longer ones are cut to it.
const MAX_PAUSE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Calls [`clean_up`](DatabaseAdapter::clean_up) about once per `every`, until the returned [`CleanupTask`] is dropped.
///
/// The pauses are random, from half to one and a half times `every`, so that several instances of an application do not
/// run at the same moment. After an error the task goes on; the next run removes what is left.
///
/// ```
/// use std::time::Duration;
///
/// use better_auth::adapters::MemoryDatabaseAdapter;
/// use better_auth::spawn_cleanup;
///
/// #[tokio::main]
/// async fn main() -> better_auth::AuthResult<()> {
///     let database = MemoryDatabaseAdapter::new();
///     let cleanup = spawn_cleanup(database.clone(), Duration::from_secs(600))?; // dropping it ends the task
///     println!("{:?}", cleanup.report());
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// [`AuthError::Validation`] if `every` is zero; [`AuthError::Unavailable`] outside a tokio runtime.
pub fn spawn_cleanup(
    adapter: impl DatabaseAdapter + 'static,
    every: Duration,
) -> AuthResult<CleanupTask> {
    if every.is_zero() {
        return Err(AuthError::validation("every", "must be longer than zero"));
    }
    let runtime = Handle::try_current().map_err(|error| AuthError::Unavailable {
        message: "spawn_cleanup needs a tokio runtime: call it from inside one".to_owned(),
        contention: false,
        source: Some(error.into()),
    })?;
    let every = every.min(MAX_PAUSE);
    let report = Arc::new(Mutex::new(CleanupReport::default()));
    let task = runtime.spawn({
        let report = Arc::clone(&report);
        async move {
            loop {
                tokio::time::sleep(every.mul_f64(0.5 + random_fraction())).await;
                let outcome = adapter.clean_up().await;
                lock(&report).add(outcome);
            }
        }
    });
    Ok(CleanupTask {
        report,
        task: task.abort_handle(),
    })
}

/// The task of [`spawn_cleanup`]. Dropping it ends the task. If it is removing a batch at that moment, that batch is rolled
/// back.
#[derive(Debug)]
#[must_use = "dropping it ends the cleanup"]
pub struct CleanupTask {
    report: Arc<Mutex<CleanupReport>>,
    task: AbortHandle,
}

impl CleanupTask {
    /// Whether the task has ended, because its runtime was shut down or the adapter panicked.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// What the task has done so far.
    #[must_use]
    pub fn report(&self) -> CleanupReport {
        lock(&self.report).clone()
    }
}

impl Drop for CleanupTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a [`CleanupTask`] has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CleanupReport {
    /// How many times it has run.
    pub runs: u64,
    /// How many of these runs failed. Rows that a failed run had already removed are not counted in `removed`.
    pub failures: u64,
    /// The rows removed in all runs together.
    pub removed: Removed,
    /// The error of the last run; `None` if it succeeded.
    pub last_error: Option<String>,
}

impl CleanupReport {
    fn add(&mut self, outcome: AuthResult<Removed>) {
        self.runs += 1;
        match outcome {
            Ok(removed) => {
                self.removed += removed;
                self.last_error = None;
            }
            Err(error) => {
                self.failures += 1;
                self.last_error = Some(error.to_string());
            }
        }
    }
}

fn lock(report: &Mutex<CleanupReport>) -> std::sync::MutexGuard<'_, CleanupReport> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
