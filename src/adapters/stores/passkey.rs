//! `PasskeyStore`: the credentials of WebAuthn.

use async_trait::async_trait;

use crate::AuthResult;
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::adapters::DatabaseAdapter;
use crate::types::{CreatePasskey, Passkey, PasskeyUse, User};
#[allow(unused_imports, reason = "the documentation links to them")]
use crate::{AuthError, ConflictField};

/// The store of passkeys. [`DatabaseAdapter::passkeys`] returns it.
///
/// ```
/// use better_auth::prelude::*;
/// use better_auth::types::{CreatePasskey, PasskeyUse};
///
/// # #[tokio::main]
/// # async fn main() -> AuthResult<()> {
/// let database = MemoryDatabaseAdapter::new();
/// let ada = database.create_user(CreateUser::new()).await?;
/// let passkeys = database.passkeys()?;
/// let passkey = CreatePasskey::new(&ada.id, "public key", "credential").with_name("phone");
/// let passkey = passkeys.create_passkey(passkey).await?;
///
/// // At the next sign-in:
/// let found = passkeys.get_passkey_with_user("credential").await?;
/// assert_eq!(found, Some((passkey, ada)));
/// // The signature is right, and the authenticator has counted to 7.
/// assert_eq!(passkeys.record_use("credential", 7, true).await?, PasskeyUse::Accepted);
/// assert_eq!(passkeys.record_use("credential", 7, true).await?, PasskeyUse::ClonedAuthenticator);
/// # Ok(())
/// # }
/// ```
///
/// # What every store guarantees
///
/// - No two passkeys have the same credential, also of different users.
/// - **One winner.** Of any number of callers with one counter above 0, one is accepted, under READ COMMITTED, REPEATABLE
///   READ and SERIALIZABLE.
/// - A user renames and deletes the user's own passkeys only.
/// - Challenges are no part of it: let [`create_verification`](DatabaseAdapter::create_verification) store them, and
///   [`consume_verification`](DatabaseAdapter::consume_verification) use them up.
#[async_trait]
pub trait PasskeyStore: Send + Sync {
    /// Stores a passkey.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] of [`Passkey`](ConflictField::Passkey) if the credential is known;
    /// [`AuthError::UserNotFound`].
    async fn create_passkey(&self, passkey: CreatePasskey) -> AuthResult<Passkey>;

    /// Finds a passkey by the credential's id, with its user.
    async fn get_passkey_with_user(
        &self,
        credential_id: &str,
    ) -> AuthResult<Option<(Passkey, User)>>;

    /// The passkeys of a user, the newest first.
    async fn list_passkeys(&self, user_id: &str) -> AuthResult<Vec<Passkey>>;

    /// Renames a passkey of the user.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::PasskeyNotFound`] if the user has no passkey of this id.
    async fn rename_passkey(&self, user_id: &str, id: &str, name: &str) -> AuthResult<Passkey>;

    /// Removes a passkey of the user.
    async fn delete_passkey(&self, user_id: &str, id: &str) -> AuthResult<()>;

    /// Stores the counter of a signature that was verified, and whether the authenticator keeps a copy elsewhere, if the
    /// counter is greater than before, or both are 0.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] of `counter` if it is negative.
    async fn record_use(
        &self,
        credential_id: &str,
        counter: i64,
        backed_up: bool,
    ) -> AuthResult<PasskeyUse>;
}
