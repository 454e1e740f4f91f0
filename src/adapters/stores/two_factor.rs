//! `TwoFactorStore`: second factors, their lock-out and their backup codes.

use std::time::Duration;

use async_trait::async_trait;

use crate::AuthResult;
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::adapters::DatabaseAdapter;
use crate::types::{Attempt, StepOutcome, TwoFactor};
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::{AuthError, ConflictField, Transaction};

/// The store of second factors. [`DatabaseAdapter::two_factor`] returns it.
///
/// ```
/// use std::time::Duration;
///
/// use better_auth::prelude::*;
/// use better_auth::types::{Attempt, StepOutcome};
///
/// # #[tokio::main]
/// # async fn main() -> AuthResult<()> {
/// let database = MemoryDatabaseAdapter::new();
/// let ada = database.create_user(CreateUser::new()).await?;
/// let factors = database.two_factor()?;
/// factors.enroll(&ada.id, "encrypted secret", Some("hashed codes")).await?;
/// // The user has shown the code of this time step.
/// factors.confirm(&ada.id, 100).await?;
///
/// // At the next sign-in:
/// let quarter = Duration::from_secs(15 * 60);
/// if let Attempt::Granted(_factor) = factors.begin_attempt(&ada.id, 5, quarter).await? {
///     // The code that the user has typed is that of time step 101.
///     assert_eq!(factors.accept_step(&ada.id, 101).await?, StepOutcome::Accepted);
/// }
/// assert_eq!(factors.accept_step(&ada.id, 101).await?, StepOutcome::Replayed);
/// # Ok(())
/// # }
/// ```
///
/// # What every store guarantees
///
/// - **Attempts are counted before anything is compared.** Of any number of guesses at once, at most `max_failures` are
///   granted until one succeeds or the lock has ended.
/// - **One winner.** A time step is accepted once, and never an older one; backup codes are replaced by one of any number
///   of callers.
/// - All this holds under READ COMMITTED, REPEATABLE READ and SERIALIZABLE, and the clock is the database's, if there is one.
/// - The secret and the backup codes are stored as they are given: encrypt or hash them before. `Debug` and `Serialize` never
///   show them.
/// - **Call [`begin_attempt`](Self::begin_attempt) and [`accept_step`](Self::accept_step) outside transactions.** In a
///   [`Transaction`], what they count is undone with it, and other callers of the user wait until it ends (in memory, the
///   transaction conflicts with them instead).
#[async_trait]
pub trait TwoFactorStore: Send + Sync {
    /// Stores a second factor that is not verified, in place of one that is not.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of `secret` if it is empty, or of either text with a NUL character;
    /// [`AuthError::Conflict`] of [`TwoFactor`](ConflictField::TwoFactor) if the user has a verified one;
    /// [`AuthError::UserNotFound`].
    async fn enroll(
        &self,
        user_id: &str,
        secret: &str,
        backup_codes: Option<&str>,
    ) -> AuthResult<TwoFactor>;

    /// Marks the second factor as verified, sets `two_factor_enabled` of the user, and uses the time step up. Call it when
    /// [`begin_attempt`](Self::begin_attempt) has granted an attempt and the code is that of this step.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of `step` if it is negative; [`AuthError::TwoFactorNotFound`] if there is none to confirm:
    /// the user has none, a verified one, or one that is locked.
    async fn confirm(&self, user_id: &str, step: i64) -> AuthResult<TwoFactor>;

    /// Removes the second factor, and clears `two_factor_enabled` of the user.
    async fn disable(&self, user_id: &str) -> AuthResult<()>;

    /// Counts an attempt, and returns the second factor, verified or not, so that the caller compares a code. If so many
    /// attempts were granted without a success, locks it for a time; attempts then do not prolong the lock.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of `max_failures` or `lock_for` if it is zero.
    async fn begin_attempt(
        &self,
        user_id: &str,
        max_failures: u32,
        lock_for: Duration,
    ) -> AuthResult<Attempt>;

    /// Uses up the time step of a code that was right, and forgets the attempts that were counted.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of `step` if it is negative.
    async fn accept_step(&self, user_id: &str, step: i64) -> AuthResult<StepOutcome>;

    /// Replaces the backup codes if they are as `expected`, forgets the attempts that were counted, and answers whether this
    /// call has done so. `false` also while the second factor is locked.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of `new` if it has a NUL character.
    async fn replace_backup_codes(
        &self,
        user_id: &str,
        expected: Option<&str>,
        new: Option<&str>,
    ) -> AuthResult<bool>;
}
