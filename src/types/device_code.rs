//! Device codes: the row, what creates one, and what polls of it answer.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{fields, optional_setters};

/// What has become of a device code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceCodeStatus {
    /// No user has answered.
    #[default]
    Pending,
    /// A user has approved the device.
    Approved,
    /// A user has denied it.
    Denied,
}

/// A row of `device_code` without the code of the device, of which a digest is stored.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCode {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// What the user types: 8 letters, without a hyphen. Whoever knows it may answer for the device.
    pub user_code: String,
    /// The user who has approved the device.
    pub user_id: Option<String>,
    /// The code is live while this is in the future.
    pub expires_at: DateTime<Utc>,
    /// What has become of it.
    pub status: DeviceCodeStatus,
    /// When the device has asked last.
    pub last_polled_at: Option<DateTime<Utc>>,
    /// How long the device has to wait between two polls, in milliseconds.
    pub polling_interval: i32,
    /// The client that the device belongs to.
    pub client_id: Option<String>,
    /// What the client asks for.
    pub scope: Option<String>,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

fields!(DeviceCode {
    id,
    user_id,
    expires_at,
    status,
    last_polled_at,
    polling_interval,
    client_id,
    scope,
    created_at,
    updated_at,
} redact { user_code });

/// What [`create_device_code`](crate::adapters::DeviceCodeStore::create_device_code) answers.
#[derive(Clone, PartialEq)]
pub struct IssuedDeviceCode {
    /// What the device polls with. It is shown this once.
    pub device_code: String,
    /// The row.
    pub row: DeviceCode,
}

impl fmt::Debug for IssuedDeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedDeviceCode")
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}

/// A device code to be issued.
///
/// ```
/// use better_auth::types::CreateDeviceCode;
/// use chrono::{TimeDelta, Utc};
///
/// let code = CreateDeviceCode::new(Utc::now() + TimeDelta::minutes(30)).with_client_id("television");
/// assert_eq!(code.polling_interval.as_secs(), 5);
/// ```
#[derive(Clone, PartialEq)]
pub struct CreateDeviceCode {
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// How long the device has to wait between two polls. Default: 5 seconds.
    pub polling_interval: Duration,
    /// The client that the device belongs to; a poll has to name the same.
    pub client_id: Option<String>,
    /// What the client asks for.
    pub scope: Option<String>,
}

fields!(CreateDeviceCode {
    expires_at,
    polling_interval,
    client_id,
    scope,
});

impl CreateDeviceCode {
    /// A code that ends then.
    #[must_use]
    pub fn new(expires_at: DateTime<Utc>) -> Self {
        Self {
            expires_at,
            polling_interval: Duration::from_secs(5),
            client_id: None,
            scope: None,
        }
    }

    /// Sets `polling_interval`.
    #[must_use]
    pub fn with_polling_interval(mut self, polling_interval: Duration) -> Self {
        self.polling_interval = polling_interval;
        self
    }

    optional_setters! {
        with_client_id, maybe_client_id => client_id: String,
        with_scope, maybe_scope => scope: String,
    }
}

/// What [`poll`](crate::adapters::DeviceCodeStore::poll) answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DevicePoll {
    /// No user has answered.
    Pending,
    /// The device polls too often. It has to wait five seconds longer from now on.
    SlowDown,
    /// A user has approved the device. The code is used up.
    Approved {
        /// The user.
        user_id: String,
        /// What the client has asked for.
        scope: Option<String>,
    },
    /// A user has denied the device.
    Denied,
    /// The code has ended.
    Expired,
    /// There is no such code of this client, or it is used up.
    NotFound,
}
