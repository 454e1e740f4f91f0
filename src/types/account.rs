//! Accounts: the row, and what creates and changes one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{fields, nullable_setters, optional_setters};

/// A row of `accounts`: a way for a user to sign in.
///
/// `Serialize` leaves out the password and the tokens; [`with_secrets`](Self::with_secrets) keeps them. `Deserialize` takes
/// an account with or without them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// The user's id at the provider; unique per provider.
    pub account_id: String,
    /// The provider, such as `github` or `credential`.
    pub provider_id: String,
    /// Whose account it is.
    pub user_id: String,
    /// OAuth access token.
    #[serde(skip_serializing, default)]
    pub access_token: Option<String>,
    /// OAuth refresh token.
    #[serde(skip_serializing, default)]
    pub refresh_token: Option<String>,
    /// OpenID Connect id token.
    #[serde(skip_serializing, default)]
    pub id_token: Option<String>,
    /// When the access token ends.
    pub access_token_expires_at: Option<DateTime<Utc>>,
    /// When the refresh token ends.
    pub refresh_token_expires_at: Option<DateTime<Utc>>,
    /// What the tokens allow.
    pub scope: Option<String>,
    /// Password hash of a `credential` account. The library never hashes: store no plain password.
    #[serde(skip_serializing, default)]
    pub password: Option<String>,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

fields!(Account {
    id,
    account_id,
    provider_id,
    user_id,
    access_token_expires_at,
    refresh_token_expires_at,
    scope,
    created_at,
    updated_at,
} redact { access_token, refresh_token, id_token, password });

/// All of a row, in the form that `Deserialize` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountWithSecrets<'a> {
    #[serde(flatten)]
    row: &'a Account,
    access_token: &'a Option<String>,
    refresh_token: &'a Option<String>,
    id_token: &'a Option<String>,
    password: &'a Option<String>,
}

impl Account {
    /// An account with the columns that every account has.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        user_id: impl Into<String>,
        provider_id: impl Into<String>,
        account_id: impl Into<String>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            account_id: account_id.into(),
            provider_id: provider_id.into(),
            user_id: user_id.into(),
            access_token: None,
            refresh_token: None,
            id_token: None,
            access_token_expires_at: None,
            refresh_token_expires_at: None,
            scope: None,
            password: None,
            created_at,
            updated_at: created_at,
        }
    }

    /// The row to be serialized with its secrets, which `Serialize` of the row itself leaves out.
    #[must_use]
    pub fn with_secrets(&self) -> impl Serialize {
        AccountWithSecrets {
            row: self,
            access_token: &self.access_token,
            refresh_token: &self.refresh_token,
            id_token: &self.id_token,
            password: &self.password,
        }
    }
}

/// An account to be linked to a user.
///
/// ```
/// use better_auth::types::CreateAccount;
///
/// let account = CreateAccount::new("user-id", "github", "583231").with_scope("read:user");
/// assert_eq!(account.provider_id, "github");
/// ```
#[derive(Clone, PartialEq)]
pub struct CreateAccount {
    /// Whose account it is.
    pub user_id: String,
    /// The provider, such as `github` or `credential`. At most 255 bytes.
    pub provider_id: String,
    /// The user's id at the provider; unique per provider. At most 1,024 bytes.
    pub account_id: String,
    /// OAuth access token.
    pub access_token: Option<String>,
    /// OAuth refresh token.
    pub refresh_token: Option<String>,
    /// OpenID Connect id token.
    pub id_token: Option<String>,
    /// When the access token ends.
    pub access_token_expires_at: Option<DateTime<Utc>>,
    /// When the refresh token ends.
    pub refresh_token_expires_at: Option<DateTime<Utc>>,
    /// What the tokens allow.
    pub scope: Option<String>,
    /// Password hash of a `credential` account. The library never hashes: store no plain password.
    pub password: Option<String>,
}

fields!(CreateAccount {
    user_id,
    provider_id,
    account_id,
    access_token_expires_at,
    refresh_token_expires_at,
    scope,
} redact { access_token, refresh_token, id_token, password });

impl CreateAccount {
    /// An account of this user at this provider, without tokens or password.
    #[must_use]
    pub fn new(
        user_id: impl Into<String>,
        provider_id: impl Into<String>,
        account_id: impl Into<String>,
    ) -> Self {
        Self {
            user_id: user_id.into(),
            provider_id: provider_id.into(),
            account_id: account_id.into(),
            access_token: None,
            refresh_token: None,
            id_token: None,
            access_token_expires_at: None,
            refresh_token_expires_at: None,
            scope: None,
            password: None,
        }
    }

    optional_setters! {
        with_access_token, maybe_access_token => access_token: String,
        with_refresh_token, maybe_refresh_token => refresh_token: String,
        with_id_token, maybe_id_token => id_token: String,
        with_scope, maybe_scope => scope: String,
        with_password, maybe_password => password: String,
        with_access_token_expires_at, maybe_access_token_expires_at => access_token_expires_at: DateTime<Utc>,
        with_refresh_token_expires_at, maybe_refresh_token_expires_at => refresh_token_expires_at: DateTime<Utc>,
    }
}

/// A change to an account. `Default` changes nothing.
///
/// `Some(None)` sets a column to NULL, `Some(Some(value))` to the value.
///
/// ```
/// use better_auth::types::UpdateAccount;
///
/// let forget = UpdateAccount::new().without_access_token();
/// assert_eq!(forget, UpdateAccount { access_token: Some(None), ..UpdateAccount::default() });
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct UpdateAccount {
    /// OAuth access token.
    pub access_token: Option<Option<String>>,
    /// OAuth refresh token.
    pub refresh_token: Option<Option<String>>,
    /// OpenID Connect id token.
    pub id_token: Option<Option<String>>,
    /// When the access token ends.
    pub access_token_expires_at: Option<Option<DateTime<Utc>>>,
    /// When the refresh token ends.
    pub refresh_token_expires_at: Option<Option<DateTime<Utc>>>,
    /// What the tokens allow.
    pub scope: Option<Option<String>>,
    /// Password hash of a `credential` account.
    pub password: Option<Option<String>>,
}

fields!(UpdateAccount {
    access_token_expires_at,
    refresh_token_expires_at,
    scope,
} redact { access_token, refresh_token, id_token, password });

impl UpdateAccount {
    /// Changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    nullable_setters! {
        with_access_token, without_access_token => access_token: String,
        with_refresh_token, without_refresh_token => refresh_token: String,
        with_id_token, without_id_token => id_token: String,
        with_access_token_expires_at, without_access_token_expires_at => access_token_expires_at: DateTime<Utc>,
        with_refresh_token_expires_at, without_refresh_token_expires_at => refresh_token_expires_at: DateTime<Utc>,
        with_scope, without_scope => scope: String,
        with_password, without_password => password: String,
    }
}

/// The provider of the accounts that hold a password hash.
pub(crate) const CREDENTIAL: &str = "credential";

/// What [`link_account`](crate::DatabaseAdapter::link_account) has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Linked {
    /// The account was new, and is linked to the user now.
    Created,
    /// The account was the user's already. Its tokens are refreshed.
    Refreshed,
}
