//! Users: the row, and what creates and changes one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Metadata, column_setters, fields, nullable_setters, optional_setters};

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
    /// Whether the user may not sign in. A ban is stored, not enforced: no operation looks at it, so the application does,
    /// by [`is_banned_at`](Self::is_banned_at).
    pub banned: bool,
    /// Why the user is banned.
    pub ban_reason: Option<String>,
    /// When the ban ends. `banned` stays as it is then.
    pub ban_expires: Option<DateTime<Utc>>,
    /// Whatever the application keeps about the user.
    pub metadata: Metadata,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

fields!(User {
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

impl User {
    /// A user of whom nothing is known yet.
    #[must_use]
    pub fn new(id: impl Into<String>, created_at: DateTime<Utc>) -> Self {
        Self {
            id: id.into(),
            name: None,
            email: None,
            email_verified: false,
            image: None,
            username: None,
            display_username: None,
            two_factor_enabled: false,
            role: None,
            banned: false,
            ban_reason: None,
            ban_expires: None,
            metadata: Metadata::new(),
            created_at,
            updated_at: created_at,
        }
    }

    /// Whether the user is banned at this time: a ban ends at `ban_expires`, if it has one.
    ///
    /// ```
    /// use better_auth::types::User;
    /// use chrono::{TimeDelta, Utc};
    ///
    /// let now = Utc::now();
    /// let user = User { banned: true, ban_expires: Some(now), ..User::new("id", now) };
    /// assert!(user.is_banned_at(now - TimeDelta::seconds(1)));
    /// assert!(!user.is_banned_at(now));
    /// ```
    #[must_use]
    pub fn is_banned_at(&self, time: DateTime<Utc>) -> bool {
        self.banned && self.ban_expires.is_none_or(|end| end > time)
    }
}

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
    /// Stored lower-cased, where it takes at most 255 bytes; not empty, without white space at its ends; unique.
    pub email: Option<String>,
    /// URL of a picture.
    pub image: Option<String>,
    /// Stored lower-cased, where it takes at most 255 bytes; not empty, without white space at its ends; unique.
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

fields!(CreateUser {
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

    optional_setters! {
        with_id, maybe_id => id: String,
        with_name, maybe_name => name: String,
        with_email, maybe_email => email: String,
        with_image, maybe_image => image: String,
        with_username, maybe_username => username: String,
        with_display_username, maybe_display_username => display_username: String,
        with_role, maybe_role => role: String,
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
/// let update = UpdateUser::new().with_name("Ada L.").without_image();
/// assert_eq!(
///     update,
///     UpdateUser { image: Some(None), name: Some(Some("Ada L.".to_owned())), ..UpdateUser::default() }
/// );
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

fields!(UpdateUser {
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

impl UpdateUser {
    /// Changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    nullable_setters! {
        with_name, without_name => name: String,
        with_email, without_email => email: String,
        with_image, without_image => image: String,
        with_username, without_username => username: String,
        with_display_username, without_display_username => display_username: String,
        with_role, without_role => role: String,
        with_ban_reason, without_ban_reason => ban_reason: String,
        with_ban_expires, without_ban_expires => ban_expires: DateTime<Utc>,
    }

    column_setters! {
        with_email_verified => email_verified: bool,
        with_two_factor_enabled => two_factor_enabled: bool,
        with_banned => banned: bool,
        with_metadata => metadata: Metadata,
    }
}
