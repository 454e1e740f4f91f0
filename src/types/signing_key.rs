//! Signing keys: the row, and what creates one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{column_setters, fields, optional_setters};

/// A row of `jwks`: a key that signs tokens.
///
/// `Serialize` leaves out the private key; [`with_secrets`](Self::with_secrets) keeps it. `Deserialize` needs it.
///
/// ```
/// use better_auth::types::SigningKey;
/// use chrono::Utc;
///
/// let key = SigningKey::new("id", "public", "private", 1, Utc::now());
/// assert!(!format!("{key:?}").contains("private\""));
/// assert_eq!(serde_json::to_value(&key)?.get("privateKey"), None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningKey {
    /// Primary key: a UUIDv7. Tokens name it as `kid`.
    pub id: String,
    /// What verifies a signature, as it was given: a JWK, for example.
    pub public_key: String,
    /// What signs, as it was given. Encrypt it before it is stored.
    #[serde(skip_serializing)]
    pub private_key: String,
    /// The algorithm, such as `EdDSA`.
    pub alg: Option<String>,
    /// The curve, such as `Ed25519`.
    pub crv: Option<String>,
    /// How many keys there have been, with this one.
    pub generation: i64,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// The key verifies while this is in the future. `None`: for ever.
    pub expires_at: Option<DateTime<Utc>>,
}

fields!(SigningKey {
    id,
    public_key,
    alg,
    crv,
    generation,
    created_at,
    expires_at,
} redact { private_key });

/// All of a row, in the form that `Deserialize` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SigningKeyWithSecrets<'a> {
    #[serde(flatten)]
    row: &'a SigningKey,
    private_key: &'a str,
}

impl SigningKey {
    /// A key with the columns that every key has.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        public_key: impl Into<String>,
        private_key: impl Into<String>,
        generation: i64,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            public_key: public_key.into(),
            private_key: private_key.into(),
            alg: None,
            crv: None,
            generation,
            created_at,
            expires_at: None,
        }
    }

    /// The row to be serialized with its secret, which `Serialize` of the row itself leaves out.
    #[must_use]
    pub fn with_secrets(&self) -> impl Serialize {
        SigningKeyWithSecrets {
            row: self,
            private_key: &self.private_key,
        }
    }
}

/// A signing key to be stored, if one is due.
///
/// ```
/// use better_auth::types::CreateSigningKey;
///
/// let key = CreateSigningKey::new("public", "encrypted private").with_alg("EdDSA").with_crv("Ed25519");
/// assert_eq!(key.expires_at, None);
/// ```
#[derive(Clone, PartialEq)]
pub struct CreateSigningKey {
    /// What verifies a signature; not empty.
    pub public_key: String,
    /// What signs; not empty. Encrypt it before it is stored.
    pub private_key: String,
    /// The algorithm.
    pub alg: Option<String>,
    /// The curve.
    pub crv: Option<String>,
    /// When the key stops to verify: later than the end of the last token that it signs. Default: never.
    pub expires_at: Option<DateTime<Utc>>,
}

fields!(CreateSigningKey { public_key, alg, crv, expires_at } redact { private_key });

impl CreateSigningKey {
    /// A pair of keys.
    #[must_use]
    pub fn new(public_key: impl Into<String>, private_key: impl Into<String>) -> Self {
        Self {
            public_key: public_key.into(),
            private_key: private_key.into(),
            alg: None,
            crv: None,
            expires_at: None,
        }
    }

    optional_setters! {
        with_alg, maybe_alg => alg: String,
        with_crv, maybe_crv => crv: String,
    }

    column_setters! {
        with_expires_at => expires_at: DateTime<Utc>,
    }
}
