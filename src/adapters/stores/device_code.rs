//! `DeviceCodeStore`: sign-in of devices without a keyboard, as RFC 8628 has it.

use async_trait::async_trait;

use crate::AuthResult;
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::adapters::DatabaseAdapter;
use crate::types::{CreateDeviceCode, DeviceCode, DevicePoll, IssuedDeviceCode};
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::{AuthError, Transaction};

/// The store of device codes. [`DatabaseAdapter::device_codes`] returns it.
///
/// ```
/// use better_auth::chrono::{TimeDelta, Utc};
/// use better_auth::prelude::*;
/// use better_auth::types::{CreateDeviceCode, DevicePoll};
///
/// # #[tokio::main]
/// # async fn main() -> AuthResult<()> {
/// let database = MemoryDatabaseAdapter::new();
/// let ada = database.create_user(CreateUser::new()).await?;
/// let codes = database.device_codes()?;
/// let create = CreateDeviceCode::new(Utc::now() + TimeDelta::minutes(30)).with_client_id("television");
/// let issued = codes.create_device_code(create).await?;
/// // The device shows `issued.row.user_code`, and polls:
/// let poll = codes.poll(&issued.device_code, Some("television")).await?;
/// assert_eq!(poll, DevicePoll::Pending);
/// // The user types it, in any case:
/// assert!(codes.approve(&issued.row.user_code.to_lowercase(), &ada.id).await?);
/// let poll = codes.poll(&issued.device_code, Some("television")).await?;
/// assert_eq!(poll, DevicePoll::Approved { user_id: ada.id, scope: None });
/// assert_eq!(codes.poll(&issued.device_code, Some("television")).await?, DevicePoll::NotFound);
/// # Ok(())
/// # }
/// ```
///
/// # What every store guarantees
///
/// - **One winner.** Of any number of callers who approve or deny a code, one is told that it has. Of any number of polls of
///   an approved code, one is [`Approved`](DevicePoll::Approved), under READ COMMITTED, REPEATABLE READ and SERIALIZABLE.
/// - The code of the device is 32 bytes from the operating system's random source. PostgreSQL keeps a digest of it.
/// - The user's code is 8 letters of RFC 8628, compared without case and hyphens. That is 34 bits: limit how often a user
///   may try ([`rate_limits`](DatabaseAdapter::rate_limits)).
/// - Whatever is wrong with a code, the answer takes the same statement.
/// - [`clean_up`](DatabaseAdapter::clean_up) removes the codes that have ended.
/// - **Call [`poll`](Self::poll) outside transactions**: in a [`Transaction`], what it counts is undone with it.
#[async_trait]
pub trait DeviceCodeStore: Send + Sync {
    /// Issues a pair of codes.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`].
    async fn create_device_code(&self, code: CreateDeviceCode) -> AuthResult<IssuedDeviceCode>;

    /// Finds a live code by what the user has typed.
    async fn get_device_code(&self, user_code: &str) -> AuthResult<Option<DeviceCode>>;

    /// Approves a live code that is pending, and answers whether this call has done so.
    ///
    /// # Errors
    ///
    /// [`AuthError::UserNotFound`] if there is such a code, and no such user.
    async fn approve(&self, user_code: &str, user_id: &str) -> AuthResult<bool>;

    /// Denies a live code that is pending, and answers whether this call has done so.
    async fn deny(&self, user_code: &str) -> AuthResult<bool>;

    /// What has become of a code. A poll that comes sooner than the interval allows raises the interval by five seconds. An
    /// approved code is used up by the answer.
    async fn poll(&self, device_code: &str, client_id: Option<&str>) -> AuthResult<DevicePoll>;
}
