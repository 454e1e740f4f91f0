//! API keys: the row, what creates and changes one, pages of them, and what the use of one answers.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{column_setters, fields, nullable_setters, optional_setters};

/// A row of `api_keys` without the key, of which a digest is stored. Its times are kept to the millisecond.
///
/// ```
/// use better_auth::types::ApiKey;
/// use chrono::Utc;
///
/// let key = ApiKey { user_id: Some("user-id".to_owned()), ..ApiKey::new("id", Utc::now()) };
/// assert!(key.enabled && key.remaining.is_none());
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// What its owner calls it.
    pub name: Option<String>,
    /// The first letters of the random part, by which its owner knows it again.
    pub start: Option<String>,
    /// What the key begins with.
    pub prefix: Option<String>,
    /// The user who owns it. Either this or `organization_id` is there.
    pub user_id: Option<String>,
    /// The organization that owns it.
    pub organization_id: Option<String>,
    /// The application's name for keys of a kind.
    pub config_id: String,
    /// How long after the last refill `remaining` is refilled, in milliseconds.
    pub refill_interval: Option<i64>,
    /// What `remaining` becomes then.
    pub refill_amount: Option<i32>,
    /// When `remaining` was refilled last.
    pub last_refill_at: Option<DateTime<Utc>>,
    /// Whether the key is accepted.
    pub enabled: bool,
    /// Whether the two columns below limit the rate.
    pub rate_limit_enabled: bool,
    /// How long a window is, in milliseconds.
    pub rate_limit_time_window: Option<i64>,
    /// How many uses a window has room for.
    pub rate_limit_max: Option<i32>,
    /// When the window has begun.
    pub rate_limit_window_started_at: Option<DateTime<Utc>>,
    /// How many uses the window has seen.
    pub request_count: i32,
    /// How many uses are left. `None`: any number.
    pub remaining: Option<i32>,
    /// When the key was used last; to the minute, if nothing is counted.
    pub last_request: Option<DateTime<Utc>>,
    /// The key is accepted while this is in the future. `None`: for ever.
    pub expires_at: Option<DateTime<Utc>>,
    /// What the key may do, as the application writes it.
    pub permissions: Option<String>,
    /// Data of the application's own.
    pub metadata: Option<String>,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When its owner last changed the row; `created_at` until then. A use changes nothing.
    pub updated_at: DateTime<Utc>,
}

fields!(ApiKey {
    id,
    name,
    start,
    prefix,
    user_id,
    organization_id,
    config_id,
    refill_interval,
    refill_amount,
    last_refill_at,
    enabled,
    rate_limit_enabled,
    rate_limit_time_window,
    rate_limit_max,
    rate_limit_window_started_at,
    request_count,
    remaining,
    last_request,
    expires_at,
    permissions,
    created_at,
    updated_at,
} redact { metadata });

const DEFAULT_CONFIG: &str = "default";

impl ApiKey {
    /// An enabled key without an owner, with the columns that every key has.
    #[must_use]
    pub fn new(id: impl Into<String>, created_at: DateTime<Utc>) -> Self {
        Self {
            id: id.into(),
            name: None,
            start: None,
            prefix: None,
            user_id: None,
            organization_id: None,
            config_id: DEFAULT_CONFIG.to_owned(),
            refill_interval: None,
            refill_amount: None,
            last_refill_at: None,
            enabled: true,
            rate_limit_enabled: false,
            rate_limit_time_window: None,
            rate_limit_max: None,
            rate_limit_window_started_at: None,
            request_count: 0,
            remaining: None,
            last_request: None,
            expires_at: None,
            permissions: None,
            metadata: None,
            created_at,
            updated_at: created_at,
        }
    }
}

/// What [`create_api_key`](crate::adapters::ApiKeyStore::create_api_key) answers.
#[derive(Clone, PartialEq)]
pub struct IssuedApiKey {
    /// The key. It is shown this once.
    pub key: String,
    /// The row.
    pub row: ApiKey,
}

impl fmt::Debug for IssuedApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedApiKey")
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}

/// An API key to be issued.
///
/// ```
/// use std::time::Duration;
///
/// use better_auth::types::CreateApiKey;
///
/// let key = CreateApiKey::for_user("user-id")
///     .with_prefix("app_")
///     .with_rate_limit(100, Duration::from_secs(60))
///     .with_quota(10_000);
/// assert_eq!((key.rate_limit_time_window, key.remaining), (Some(60_000), Some(10_000)));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct CreateApiKey {
    /// The user who owns it. Either this or `organization_id`.
    pub user_id: Option<String>,
    /// The organization that owns it.
    pub organization_id: Option<String>,
    /// What its owner calls it: 1 to 255 bytes.
    pub name: Option<String>,
    /// What the key begins with: 1 to 255 bytes.
    pub prefix: Option<String>,
    /// The application's name for keys of a kind. Default: `default`.
    pub config_id: Option<String>,
    /// How long after the last refill `remaining` is refilled, in milliseconds; with `refill_amount`.
    pub refill_interval: Option<i64>,
    /// What `remaining` becomes then.
    pub refill_amount: Option<i32>,
    /// How long a window of the rate limit is, in milliseconds; with `rate_limit_max`.
    pub rate_limit_time_window: Option<i64>,
    /// How many uses a window has room for.
    pub rate_limit_max: Option<i32>,
    /// How many uses are left. Default: any number.
    pub remaining: Option<i32>,
    /// When it ends. Default: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// What the key may do, as the application writes it.
    pub permissions: Option<String>,
    /// Data of the application's own.
    pub metadata: Option<String>,
}

fields!(CreateApiKey {
    user_id,
    organization_id,
    name,
    prefix,
    config_id,
    refill_interval,
    refill_amount,
    rate_limit_time_window,
    rate_limit_max,
    remaining,
    expires_at,
    permissions,
} redact { metadata });

impl CreateApiKey {
    /// A key of this user.
    #[must_use]
    pub fn for_user(user_id: impl Into<String>) -> Self {
        Self {
            user_id: Some(user_id.into()),
            ..Self::default()
        }
    }

    /// A key of this organization.
    #[must_use]
    pub fn for_organization(organization_id: impl Into<String>) -> Self {
        Self {
            organization_id: Some(organization_id.into()),
            ..Self::default()
        }
    }

    /// At most so many uses in each window.
    #[must_use]
    pub fn with_rate_limit(mut self, max: i32, window: Duration) -> Self {
        self.rate_limit_max = Some(max);
        self.rate_limit_time_window = Some(millis(window));
        self
    }

    /// At most so many uses.
    #[must_use]
    pub fn with_quota(mut self, remaining: i32) -> Self {
        self.remaining = Some(remaining);
        self
    }

    /// At most so many uses, and again as many after each interval.
    #[must_use]
    pub fn with_refill(mut self, amount: i32, interval: Duration) -> Self {
        self.refill_amount = Some(amount);
        self.refill_interval = Some(millis(interval));
        self.with_quota(amount)
    }

    optional_setters! {
        with_name, maybe_name => name: String,
        with_prefix, maybe_prefix => prefix: String,
        with_config_id, maybe_config_id => config_id: String,
        with_permissions, maybe_permissions => permissions: String,
        with_metadata, maybe_metadata => metadata: String,
    }

    column_setters! {
        with_expires_at => expires_at: DateTime<Utc>,
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A change to an API key. `Default` changes nothing.
///
/// ```
/// use better_auth::types::UpdateApiKey;
///
/// let disable = UpdateApiKey::new().with_enabled(false).without_expires_at();
/// assert_eq!(disable.expires_at, Some(None));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct UpdateApiKey {
    /// What its owner calls it.
    pub name: Option<Option<String>>,
    /// Whether the key is accepted.
    pub enabled: Option<bool>,
    /// How long after the last refill `remaining` is refilled, in milliseconds.
    pub refill_interval: Option<Option<i64>>,
    /// What `remaining` becomes then.
    pub refill_amount: Option<Option<i32>>,
    /// Whether the two columns below limit the rate.
    pub rate_limit_enabled: Option<bool>,
    /// How long a window is, in milliseconds.
    pub rate_limit_time_window: Option<Option<i64>>,
    /// How many uses a window has room for.
    pub rate_limit_max: Option<Option<i32>>,
    /// How many uses are left. `Some(None)`: any number.
    pub remaining: Option<Option<i32>>,
    /// When it ends. `Some(None)`: never.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// What the key may do.
    pub permissions: Option<Option<String>>,
    /// Data of the application's own.
    pub metadata: Option<Option<String>>,
}

fields!(UpdateApiKey {
    name,
    enabled,
    refill_interval,
    refill_amount,
    rate_limit_enabled,
    rate_limit_time_window,
    rate_limit_max,
    remaining,
    expires_at,
    permissions,
} redact { metadata });

impl UpdateApiKey {
    /// Changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    column_setters! {
        with_enabled => enabled: bool,
        with_rate_limit_enabled => rate_limit_enabled: bool,
    }

    nullable_setters! {
        with_name, without_name => name: String,
        with_refill_interval, without_refill_interval => refill_interval: i64,
        with_refill_amount, without_refill_amount => refill_amount: i32,
        with_rate_limit_time_window, without_rate_limit_time_window => rate_limit_time_window: i64,
        with_rate_limit_max, without_rate_limit_max => rate_limit_max: i32,
        with_remaining, without_remaining => remaining: i32,
        with_expires_at, without_expires_at => expires_at: DateTime<Utc>,
        with_permissions, without_permissions => permissions: String,
        with_metadata, without_metadata => metadata: String,
    }
}

/// Which page of the keys of a user or an organization to list.
#[derive(Clone, PartialEq)]
pub struct ListApiKeys {
    /// The keys of this user. Either this or `organization_id`.
    pub user_id: Option<String>,
    /// The keys of this organization.
    pub organization_id: Option<String>,
    /// How many keys a page holds at most, 1 to 1,000. Default: 100.
    pub limit: u32,
    /// [`ApiKeyPage::next_cursor`] of the page before; `None` asks for the first page.
    pub cursor: Option<String>,
}

fields!(ListApiKeys {
    user_id,
    organization_id,
    limit,
    cursor,
});

impl ListApiKeys {
    /// The first page of the keys of a user, the newest first.
    #[must_use]
    pub fn of_user(user_id: impl Into<String>) -> Self {
        Self {
            user_id: Some(user_id.into()),
            organization_id: None,
            limit: 100,
            cursor: None,
        }
    }

    /// The first page of the keys of an organization, the newest first.
    #[must_use]
    pub fn of_organization(organization_id: impl Into<String>) -> Self {
        Self {
            user_id: None,
            organization_id: Some(organization_id.into()),
            limit: 100,
            cursor: None,
        }
    }

    /// Sets `limit`.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    optional_setters! {
        with_cursor, maybe_cursor => cursor: String,
    }
}

/// A page of API keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyPage {
    /// The keys, the newest first.
    pub keys: Vec<ApiKey>,
    /// Where the next page begins: opaque, safe in a URL as it is. `None` if there is no further key.
    pub next_cursor: Option<String>,
}

/// What [`use_key`](crate::adapters::ApiKeyStore::use_key) answers.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "most answers are the largest one"
)]
pub enum ApiKeyUse {
    /// The key is right, and the use is counted.
    Accepted(ApiKey),
    /// There is no such key.
    NotFound,
    /// The key is not enabled.
    Disabled,
    /// The key has ended.
    Expired,
    /// The window has no room.
    RateLimited {
        /// How long until the next window begins.
        retry_after: Duration,
    },
    /// No uses are left.
    UsedUp,
}
