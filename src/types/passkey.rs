//! Passkeys: the row, what creates one, and what its use answers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{fields, optional_setters};

/// A row of `passkeys`: a credential of WebAuthn.
///
/// ```
/// use better_auth::types::Passkey;
/// use chrono::Utc;
///
/// let passkey = Passkey::new("id", "user-id", "public key", "credential", Utc::now());
/// assert_eq!(passkey.device_type, "singleDevice");
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Passkey {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// What the user calls it.
    pub name: Option<String>,
    /// What verifies a signature, as it was given.
    pub public_key: String,
    /// The user.
    pub user_id: String,
    /// The credential's id, as it was given; unique.
    pub credential_id: String,
    /// How often the authenticator says it has signed; 0 if it does not count.
    pub counter: i64,
    /// `singleDevice` or `multiDevice`.
    pub device_type: String,
    /// Whether the authenticator keeps a copy elsewhere.
    pub backed_up: bool,
    /// How the authenticator is reached, joined by commas.
    pub transports: Option<String>,
    /// The model of the authenticator.
    pub aaguid: Option<String>,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
}

fields!(Passkey {
    id,
    name,
    public_key,
    user_id,
    credential_id,
    counter,
    device_type,
    backed_up,
    transports,
    aaguid,
    created_at,
});

const SINGLE_DEVICE: &str = "singleDevice";

impl Passkey {
    /// A passkey with the columns that every one has.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        user_id: impl Into<String>,
        public_key: impl Into<String>,
        credential_id: impl Into<String>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            name: None,
            public_key: public_key.into(),
            user_id: user_id.into(),
            credential_id: credential_id.into(),
            counter: 0,
            device_type: SINGLE_DEVICE.to_owned(),
            backed_up: false,
            transports: None,
            aaguid: None,
            created_at,
        }
    }
}

/// A passkey to be stored.
///
/// ```
/// use better_auth::types::CreatePasskey;
///
/// let passkey = CreatePasskey::new("user-id", "public key", "credential").with_name("Ada's phone");
/// assert_eq!(passkey.counter, 0);
/// ```
#[derive(Clone, PartialEq)]
pub struct CreatePasskey {
    /// The user.
    pub user_id: String,
    /// What the user calls it: 1 to 255 bytes.
    pub name: Option<String>,
    /// What verifies a signature; not empty.
    pub public_key: String,
    /// The credential's id: 1 to 1,400 bytes, compared as it is.
    pub credential_id: String,
    /// How often the authenticator says it has signed; not negative.
    pub counter: i64,
    /// `singleDevice` or `multiDevice`.
    pub device_type: String,
    /// Whether the authenticator keeps a copy elsewhere.
    pub backed_up: bool,
    /// How the authenticator is reached.
    pub transports: Option<String>,
    /// The model of the authenticator.
    pub aaguid: Option<String>,
}

fields!(CreatePasskey {
    user_id,
    name,
    public_key,
    credential_id,
    counter,
    device_type,
    backed_up,
    transports,
    aaguid,
});

impl CreatePasskey {
    /// A passkey of this user, of a single device that does not count.
    #[must_use]
    pub fn new(
        user_id: impl Into<String>,
        public_key: impl Into<String>,
        credential_id: impl Into<String>,
    ) -> Self {
        Self {
            user_id: user_id.into(),
            name: None,
            public_key: public_key.into(),
            credential_id: credential_id.into(),
            counter: 0,
            device_type: SINGLE_DEVICE.to_owned(),
            backed_up: false,
            transports: None,
            aaguid: None,
        }
    }

    /// Sets `counter`.
    #[must_use]
    pub fn with_counter(mut self, counter: i64) -> Self {
        self.counter = counter;
        self
    }

    /// Sets `device_type`.
    #[must_use]
    pub fn with_device_type(mut self, device_type: impl Into<String>) -> Self {
        self.device_type = device_type.into();
        self
    }

    /// Sets `backed_up`.
    #[must_use]
    pub fn with_backed_up(mut self, backed_up: bool) -> Self {
        self.backed_up = backed_up;
        self
    }

    optional_setters! {
        with_name, maybe_name => name: String,
        with_transports, maybe_transports => transports: String,
        with_aaguid, maybe_aaguid => aaguid: String,
    }
}

/// What [`record_use`](crate::adapters::PasskeyStore::record_use) answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyUse {
    /// The counter is greater than before, or the authenticator does not count.
    Accepted,
    /// The counter is not greater than before: two authenticators have the same key, or the answer was used before.
    ClonedAuthenticator,
    /// There is no such credential.
    NotFound,
}
