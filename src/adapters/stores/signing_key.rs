//! `SigningKeyStore`: keys that sign tokens, and their rotation.

use std::time::Duration;

use async_trait::async_trait;

#[allow(unused_imports, reason = "the documentation links to them")]
use crate::AuthError;
use crate::AuthResult;
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::adapters::DatabaseAdapter;
use crate::types::{CreateSigningKey, SigningKey};

/// The store of signing keys. [`DatabaseAdapter::signing_keys`] returns it.
///
/// ```
/// use std::time::Duration;
///
/// use better_auth::prelude::*;
/// use better_auth::types::CreateSigningKey;
///
/// # #[tokio::main]
/// # async fn main() -> AuthResult<()> {
/// let database = MemoryDatabaseAdapter::new();
/// let keys = database.signing_keys()?;
/// let month = Duration::from_secs(30 * 24 * 60 * 60);
/// let first = keys.rotate(CreateSigningKey::new("public", "private"), month).await?;
/// // It is not a month old.
/// let same = keys.rotate(CreateSigningKey::new("other", "other"), month).await?;
/// assert_eq!(same, first);
/// assert_eq!(keys.current().await?, Some(first));
/// # Ok(())
/// # }
/// ```
///
/// # What every store guarantees
///
/// - **One winner.** If any number of callers and instances rotate at once, one new key is stored, and all get that key.
/// - The newest key is the one of the greatest [`generation`](SigningKey::generation). Generations count up by one.
/// - Keys are stored as they are given: encrypt the private one before. `Debug` and `Serialize` never show it.
/// - A key stays when it has expired. It is no longer listed.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// The key to sign with: the newest one, if it has not expired.
    async fn current(&self) -> AuthResult<Option<SigningKey>>;

    /// The keys that verify: all that have not expired, the newest first.
    async fn list_signing_keys(&self) -> AuthResult<Vec<SigningKey>>;

    /// Stores a new key if the newest one is so old or has expired, or if there is none. Returns the newest key: the new
    /// one, that of another caller who was first, or the one that is not old enough. With `older_than` zero, a new key is
    /// always due.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of `public_key` or `private_key` if it is empty, or of any text with a NUL character.
    async fn rotate(&self, new: CreateSigningKey, older_than: Duration) -> AuthResult<SigningKey>;
}
