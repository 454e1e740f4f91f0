//! `ApiKeyStore`: keys of machines, with quotas and rate limits.

use async_trait::async_trait;

use crate::AuthResult;
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::adapters::DatabaseAdapter;
use crate::types::{
    ApiKey, ApiKeyPage, ApiKeyUse, CreateApiKey, IssuedApiKey, ListApiKeys, UpdateApiKey,
};
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::{AuthError, Transaction};

/// The store of API keys. [`DatabaseAdapter::api_keys`] returns it.
///
/// ```
/// use better_auth::prelude::*;
/// use better_auth::types::{ApiKeyUse, CreateApiKey};
///
/// # #[tokio::main]
/// # async fn main() -> AuthResult<()> {
/// let database = MemoryDatabaseAdapter::new();
/// let ada = database.create_user(CreateUser::new()).await?;
/// let keys = database.api_keys()?;
/// let create = CreateApiKey::for_user(&ada.id).with_prefix("app_").with_quota(1);
/// let issued = keys.create_api_key(create).await?;
/// assert!(issued.key.starts_with("app_"));
/// assert!(matches!(keys.use_key(&issued.key).await?, ApiKeyUse::Accepted(_)));
/// assert_eq!(keys.use_key(&issued.key).await?, ApiKeyUse::UsedUp);
/// # Ok(())
/// # }
/// ```
///
/// # What every store guarantees
///
/// - A key is its prefix and 32 bytes from the operating system's random source. PostgreSQL keeps a digest of it.
/// - **Exact.** With `remaining` at 100, of any number of callers 100 are accepted; in a window, as many as it has room for,
///   under READ COMMITTED, REPEATABLE READ and SERIALIZABLE. A refused use counts for neither.
/// - A key with neither quota nor rate limit is written at most once a minute, and no caller waits for another.
/// - Whatever is wrong with a key, the answer takes the same statement.
/// - A key belongs to a user or to an organization, and goes with it. [`clean_up`](DatabaseAdapter::clean_up) removes the
///   keys that have ended.
/// - **Call [`use_key`](Self::use_key) outside transactions**: in a [`Transaction`], what it counts is undone with it, and
///   other callers of the key wait until it ends (in memory, the transaction conflicts with them instead).
#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// Issues a key.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::UserNotFound`]; [`AuthError::OrganizationNotFound`].
    async fn create_api_key(&self, key: CreateApiKey) -> AuthResult<IssuedApiKey>;

    /// Finds a key by the id of its row.
    async fn get_api_key(&self, id: &str) -> AuthResult<Option<ApiKey>>;

    /// A page of the keys of a user or of an organization, the newest first.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of the owner, a limit or a cursor.
    async fn list_api_keys(&self, query: ListApiKeys) -> AuthResult<ApiKeyPage>;

    /// Changes a key. An empty update returns the row unchanged.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::ApiKeyNotFound`].
    async fn update_api_key(&self, id: &str, update: UpdateApiKey) -> AuthResult<ApiKey>;

    /// Removes a key.
    async fn delete_api_key(&self, id: &str) -> AuthResult<()>;

    /// Checks a key and counts its use. If the last refill is so long ago, `remaining` is refilled first. The first use of a
    /// key, and the first one after the end of a window, begin a window.
    async fn use_key(&self, key: &str) -> AuthResult<ApiKeyUse>;
}
