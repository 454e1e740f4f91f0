use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Metadata, impl_redacted_debug, text_setters};

/// A row of `users`.
///
/// ```
/// # fn show(user: &better_auth::types::User) -> serde_json::Result<String> {
/// serde_json::to_string(user) // {"id":"…","emailVerified":false,…}, the names of Better Auth's HTTP API
/// # }
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Primary key: a UUIDv7, or what [`CreateUser::id`] said.
    pub id: String,
    /// Name to show.
    pub name: Option<String>,
    /// Lower-cased, unique.
    pub email: Option<String>,
    /// Whether the email address was proven to be the user's.
    pub email_verified: bool,
    /// URL of a picture.
    pub image: Option<String>,
    /// Lower-cased, unique.
    pub username: Option<String>,
    /// The username as the user spelled it.
    pub display_username: Option<String>,
    /// Whether signing in takes a second factor.
    pub two_factor_enabled: bool,
    /// Role, such as `admin`.
    pub role: Option<String>,
    /// Whether the user may not sign in.
    pub banned: bool,
    /// Why the user is banned.
    pub ban_reason: Option<String>,
    /// When the ban ends.
    pub ban_expires: Option<DateTime<Utc>>,
    /// Whatever the application keeps about the user.
    pub metadata: Metadata,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

impl_redacted_debug!(User {
    id,
    name,
    email,
    email_verified,
    image,
    username,
    display_username,
    two_factor_enabled,
    role,
    banned,
    ban_reason,
    ban_expires,
    created_at,
    updated_at,
} redact { metadata });

/// A user to be created.
///
/// ```
/// use better_auth::types::CreateUser;
///
/// let user = CreateUser::new().with_email("ada@example.com").with_name("Ada").with_email_verified(true);
/// assert_eq!(user.email.as_deref(), Some("ada@example.com"));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct CreateUser {
    /// Primary key; `None` makes a UUIDv7. At most 255 bytes.
    pub id: Option<String>,
    /// Name to show.
    pub name: Option<String>,
    /// Stored lower-cased, where it takes at most 255 bytes; unique.
    pub email: Option<String>,
    /// URL of a picture.
    pub image: Option<String>,
    /// Stored lower-cased, where it takes at most 255 bytes; unique.
    pub username: Option<String>,
    /// `None` keeps the spelling of `username`, if there is one.
    pub display_username: Option<String>,
    /// Role, such as `admin`.
    pub role: Option<String>,
    /// Whether the email address was proven to be the user's.
    pub email_verified: bool,
    /// Whatever the application keeps about the user.
    pub metadata: Metadata,
}

impl_redacted_debug!(CreateUser {
    id,
    name,
    email,
    image,
    username,
    display_username,
    role,
    email_verified,
} redact { metadata });

impl CreateUser {
    /// A user of whom nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    text_setters! {
        with_id => id,
        with_name => name,
        with_email => email,
        with_image => image,
        with_username => username,
        with_display_username => display_username,
        with_role => role,
    }

    /// Sets `email_verified`.
    #[must_use]
    pub fn with_email_verified(mut self, email_verified: bool) -> Self {
        self.email_verified = email_verified;
        self
    }

    /// Sets `metadata`.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// A change to a user. `Default` changes nothing.
///
/// A nullable column takes `Some(None)` to become NULL and `Some(Some(value))` to be set.
///
/// ```
/// use better_auth::types::UpdateUser;
///
/// let update = UpdateUser { image: Some(None), name: Some(Some("Ada L.".to_owned())), ..UpdateUser::default() };
/// # let _ = update;
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct UpdateUser {
    /// Name to show.
    pub name: Option<Option<String>>,
    /// Stored lower-cased; unique.
    pub email: Option<Option<String>>,
    /// Whether the email address was proven to be the user's.
    pub email_verified: Option<bool>,
    /// URL of a picture.
    pub image: Option<Option<String>>,
    /// Stored lower-cased; unique. Its spelling goes to `display_username`, unless that is given too.
    pub username: Option<Option<String>>,
    /// The username as the user spelled it.
    pub display_username: Option<Option<String>>,
    /// Whether signing in takes a second factor.
    pub two_factor_enabled: Option<bool>,
    /// Role, such as `admin`.
    pub role: Option<Option<String>>,
    /// Whether the user may not sign in. `Some(false)` clears `ban_reason` and `ban_expires` too.
    pub banned: Option<bool>,
    /// Why the user is banned.
    pub ban_reason: Option<Option<String>>,
    /// When the ban ends.
    pub ban_expires: Option<Option<DateTime<Utc>>>,
    /// Replaces the metadata whole.
    pub metadata: Option<Metadata>,
}

impl_redacted_debug!(UpdateUser {
    name,
    email,
    email_verified,
    image,
    username,
    display_username,
    two_factor_enabled,
    role,
    banned,
    ban_reason,
    ban_expires,
} redact { metadata });
