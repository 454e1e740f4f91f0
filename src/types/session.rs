//! Sessions: the row, and what creates and changes one.

use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{column_setters, fields, nullable_setters, optional_setters};

/// A row of `sessions`.
///
/// `Serialize` leaves out the token; [`with_secrets`](Self::with_secrets) keeps it. `Deserialize` needs it.
///
/// ```
/// use better_auth::types::Session;
/// use chrono::{TimeDelta, Utc};
///
/// let now = Utc::now();
/// let session = Session::new("id", "token", "user-id", now + TimeDelta::days(7), now);
/// assert!(!serde_json::to_string(&session)?.contains("token"));
/// let stored = serde_json::to_string(&session.with_secrets())?;
/// assert_eq!(serde_json::from_str::<Session>(&stored)?, session);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// The session is live while this is in the future.
    pub expires_at: DateTime<Utc>,
    /// The secret that the client holds: 32 random bytes, base64url without padding; unique.
    #[serde(skip_serializing, deserialize_with = "token")]
    pub token: String,
    /// Address that the session was opened from.
    pub ip_address: Option<String>,
    /// User agent that the session was opened with.
    pub user_agent: Option<String>,
    /// Whose session it is.
    pub user_id: String,
    /// The administrator who acts as the user in this session.
    pub impersonated_by: Option<String>,
    /// Organization that the session works in.
    pub active_organization_id: Option<String>,
    /// `false` ends the session before it expires.
    pub active: bool,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

fields!(Session {
    id,
    expires_at,
    ip_address,
    user_agent,
    user_id,
    impersonated_by,
    active_organization_id,
    active,
    created_at,
    updated_at,
} redact { token });

/// All of a row, in the form that `Deserialize` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionWithSecrets<'a> {
    #[serde(flatten)]
    row: &'a Session,
    token: &'a str,
}

impl Session {
    /// A live session with the columns that every session has.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        token: impl Into<String>,
        user_id: impl Into<String>,
        expires_at: DateTime<Utc>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            expires_at,
            token: token.into(),
            ip_address: None,
            user_agent: None,
            user_id: user_id.into(),
            impersonated_by: None,
            active_organization_id: None,
            active: true,
            created_at,
            updated_at: created_at,
        }
    }

    /// The row to be serialized with its secrets, which `Serialize` of the row itself leaves out.
    #[must_use]
    pub fn with_secrets(&self) -> impl Serialize {
        SessionWithSecrets {
            row: self,
            token: &self.token,
        }
    }
}

/// A token that is not empty, as an empty one would be no secret.
fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let token = String::deserialize(deserializer)?;
    if token.is_empty() {
        return Err(D::Error::custom("the token of a session is empty"));
    }
    Ok(token)
}

/// A session to be opened.
///
/// A ban is stored, not enforced: a banned user can be given a session. Look at
/// [`User::is_banned_at`](super::User::is_banned_at) first.
///
/// ```
/// use better_auth::types::CreateSession;
/// use chrono::{TimeDelta, Utc};
///
/// let user_agent: Option<&str> = None; // of the request, which may have none
/// let session = CreateSession::new("user-id", Utc::now() + TimeDelta::days(7))
///     .with_ip_address("192.0.2.1")
///     .maybe_user_agent(user_agent);
/// assert_eq!(session.ip_address.as_deref(), Some("192.0.2.1"));
/// ```
#[derive(Clone, PartialEq)]
pub struct CreateSession {
    /// Whose session it is.
    pub user_id: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// Address that the session is opened from.
    pub ip_address: Option<String>,
    /// User agent that the session is opened with.
    pub user_agent: Option<String>,
    /// The administrator who acts as the user in this session.
    pub impersonated_by: Option<String>,
    /// Organization that the session works in.
    pub active_organization_id: Option<String>,
}

fields!(CreateSession {
    user_id,
    expires_at,
    ip_address,
    user_agent,
    impersonated_by,
    active_organization_id
});

impl CreateSession {
    /// A session of this user until this time.
    #[must_use]
    pub fn new(user_id: impl Into<String>, expires_at: DateTime<Utc>) -> Self {
        Self {
            user_id: user_id.into(),
            expires_at,
            ip_address: None,
            user_agent: None,
            impersonated_by: None,
            active_organization_id: None,
        }
    }

    optional_setters! {
        with_ip_address, maybe_ip_address => ip_address: String,
        with_user_agent, maybe_user_agent => user_agent: String,
        with_impersonated_by, maybe_impersonated_by => impersonated_by: String,
        with_active_organization_id, maybe_active_organization_id => active_organization_id: String,
    }
}

/// A change to a live session. `Default` changes nothing.
///
/// A nullable column takes `Some(None)` to become NULL and `Some(Some(value))` to be set.
///
/// ```
/// use better_auth::types::UpdateSession;
///
/// let end_early = UpdateSession::new().with_active(false);
/// assert_eq!(end_early, UpdateSession { active: Some(false), ..UpdateSession::default() });
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct UpdateSession {
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Address that the session is used from.
    pub ip_address: Option<Option<String>>,
    /// User agent that the session is used with.
    pub user_agent: Option<Option<String>>,
    /// The administrator who acts as the user in this session.
    pub impersonated_by: Option<Option<String>>,
    /// Organization that the session works in.
    pub active_organization_id: Option<Option<String>>,
    /// `Some(false)` ends the session.
    pub active: Option<bool>,
}

fields!(UpdateSession {
    expires_at,
    ip_address,
    user_agent,
    impersonated_by,
    active_organization_id,
    active
});

impl UpdateSession {
    /// Changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    column_setters! {
        with_expires_at => expires_at: DateTime<Utc>,
        with_active => active: bool,
    }

    nullable_setters! {
        with_ip_address, without_ip_address => ip_address: String,
        with_user_agent, without_user_agent => user_agent: String,
        with_impersonated_by, without_impersonated_by => impersonated_by: String,
        with_active_organization_id, without_active_organization_id => active_organization_id: String,
    }
}
