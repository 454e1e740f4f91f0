//! Second factors: the row, and what its operations answer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::fields;

/// A row of `two_factor`: the second factor of a user.
///
/// `Serialize` leaves out the secret and the backup codes; [`with_secrets`](Self::with_secrets) keeps them. `Deserialize`
/// needs the secret.
///
/// ```
/// use better_auth::types::TwoFactor;
/// use chrono::Utc;
///
/// let factor = TwoFactor::new("id", "user-id", "JBSWY3DPEHPK3PXP", Utc::now());
/// assert!(!format!("{factor:?}").contains("JBSWY3DPEHPK3PXP"));
/// assert_eq!(serde_json::to_value(&factor)?.get("secret"), None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TwoFactor {
    /// Primary key: a UUIDv7.
    pub id: String,
    /// The user, who has one at the most.
    pub user_id: String,
    /// What codes are made from, as it was given. Encrypt it before it is stored.
    #[serde(skip_serializing)]
    pub secret: String,
    /// The backup codes that are left, as they were given. Hash or encrypt them before they are stored.
    #[serde(skip_serializing)]
    pub backup_codes: Option<String>,
    /// Whether the user has shown a code of it.
    pub verified: bool,
    /// How many attempts were granted since the last success.
    pub failed_verification_count: i32,
    /// No attempt is granted while this is in the future.
    pub locked_until: Option<DateTime<Utc>>,
    /// The last time step whose code was accepted.
    pub last_used_step: Option<i64>,
    /// When the row was created.
    pub created_at: DateTime<Utc>,
    /// When the row last changed; `created_at` until then.
    pub updated_at: DateTime<Utc>,
}

fields!(TwoFactor {
    id,
    user_id,
    verified,
    failed_verification_count,
    locked_until,
    last_used_step,
    created_at,
    updated_at,
} redact { secret, backup_codes });

/// All of a row, in the form that `Deserialize` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TwoFactorWithSecrets<'a> {
    #[serde(flatten)]
    row: &'a TwoFactor,
    secret: &'a str,
    backup_codes: Option<&'a str>,
}

impl TwoFactor {
    /// A second factor that is not verified, with the columns that every one has.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        user_id: impl Into<String>,
        secret: impl Into<String>,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id.into(),
            user_id: user_id.into(),
            secret: secret.into(),
            backup_codes: None,
            verified: false,
            failed_verification_count: 0,
            locked_until: None,
            last_used_step: None,
            created_at,
            updated_at: created_at,
        }
    }

    /// The row to be serialized with its secrets, which `Serialize` of the row itself leaves out.
    #[must_use]
    pub fn with_secrets(&self) -> impl Serialize {
        TwoFactorWithSecrets {
            row: self,
            secret: &self.secret,
            backup_codes: self.backup_codes.as_deref(),
        }
    }
}

/// What [`begin_attempt`](crate::adapters::TwoFactorStore::begin_attempt) answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    /// Compare the code now. The attempt is counted.
    Granted(TwoFactor),
    /// There were too many attempts.
    Locked {
        /// When the next attempt is granted.
        until: DateTime<Utc>,
    },
    /// The user has no second factor.
    NotEnrolled,
}

/// What [`accept_step`](crate::adapters::TwoFactorStore::accept_step) answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// The time step is used up, by this call.
    Accepted,
    /// This time step or a later one was accepted before.
    Replayed,
    /// There were too many attempts.
    Locked {
        /// When the next attempt is granted.
        until: DateTime<Utc>,
    },
    /// The user has no second factor that is verified.
    NotEnrolled,
}
