//! Verifications: the row, and what creates one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::fields;

/// A row of `verifications`: a one-time token, such as the code in an email.
///
/// `Serialize` leaves out the value; [`with_secrets`](Self::with_secrets) keeps it. `Deserialize` needs it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// What is verified, such as an email address.
    pub identifier: String,
    /// The secret that proves it. If the store holds a digest of it, lookups by an identifier show that digest, and all other
    /// methods the secret itself.
    #[serde(skip_serializing)]
    pub value: String,
    /// The verification is live while this is in the future.
    pub expires_at: DateTime<Utc>,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

fields!(Verification {
    id,
    identifier,
    expires_at,
    created_at,
    updated_at,
} redact { value });

/// All of a row, in the form that `Deserialize` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationWithSecrets<'a> {
    #[serde(flatten)]
    row: &'a Verification,
    value: &'a str,
}

impl Verification {
    /// A verification with all of its columns.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        identifier: impl Into<String>,
        value: impl Into<String>,
        expires_at: DateTime<Utc>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            identifier: identifier.into(),
            value: value.into(),
            expires_at,
            created_at,
            updated_at: created_at,
        }
    }

    /// The row to be serialized with its secrets, which `Serialize` of the row itself leaves out.
    #[must_use]
    pub fn with_secrets(&self) -> impl Serialize {
        VerificationWithSecrets {
            row: self,
            value: &self.value,
        }
    }
}

/// A verification to be issued.
///
/// ```
/// use better_auth::types::CreateVerification;
/// use chrono::{TimeDelta, Utc};
///
/// let code = CreateVerification::new("ada@example.com", "493027", Utc::now() + TimeDelta::minutes(10));
/// assert_eq!(code.identifier, "ada@example.com");
/// ```
#[derive(Clone, PartialEq)]
pub struct CreateVerification {
    /// What is to be verified, such as an email address; kept as it is. At most 1,024 bytes.
    pub identifier: String,
    /// The secret that will prove it; of any length.
    pub value: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// Whether the store holds a digest in place of the value; see [`hashed`](Self::hashed()).
    pub hashed: bool,
}

fields!(CreateVerification { identifier, expires_at, hashed } redact { value });

impl CreateVerification {
    /// A value that proves the identifier until this time.
    #[must_use]
    pub fn new(
        identifier: impl Into<String>,
        value: impl Into<String>,
        expires_at: DateTime<Utc>,
    ) -> Self {
        Self {
            identifier: identifier.into(),
            value: value.into(),
            expires_at,
            hashed: false,
        }
    }

    /// The same, of which the store holds a digest in place of the value: who reads the table or a backup, but has not the
    /// key, cannot try which of a million codes it is.
    ///
    /// It takes an adapter with [`VerificationKeys`](crate::adapters::VerificationKeys), which explains the rest. Any other
    /// adapter answers [`AuthError::Unsupported`](crate::AuthError::Unsupported) and stores nothing.
    ///
    /// ```
    /// use better_auth::types::CreateVerification;
    /// use chrono::{TimeDelta, Utc};
    ///
    /// let code = CreateVerification::new("ada@example.com", "493027", Utc::now() + TimeDelta::minutes(10)).hashed();
    /// assert!(code.hashed);
    /// ```
    #[must_use]
    pub fn hashed(mut self) -> Self {
        self.hashed = true;
        self
    }
}

/// What [`check_code`](crate::DatabaseAdapter::check_code) has found.
#[derive(Clone, Debug, PartialEq)]
pub enum CodeCheck {
    /// The code is right. It is used up now, and so are all others of the identifier.
    Accepted(Verification),
    /// The code is wrong.
    Wrong {
        /// How many more guesses may be made, one or more.
        attempts_left: u32,
    },
    /// No attempt is left, so even the right code is refused, until a new code is made.
    TooManyAttempts,
    /// There is no code for the identifier, or it has expired or was used.
    NotFound,
}
