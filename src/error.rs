//! The errors that every operation may answer.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// What every operation of the library answers.
pub type AuthResult<T> = Result<T, AuthError>;

/// Why an operation failed.
///
/// No message, `Debug` output or [`source`](Error::source) holds a password, a token or a value of the operation.
///
/// After any error but [`OutcomeUnknown`](Self::OutcomeUnknown), nothing was changed, except that `delete_expired_*`, which
/// work in batches, may have removed some rows.
///
/// ```
/// use better_auth::{AuthError, ConflictField};
///
/// let error = AuthError::Conflict { field: ConflictField::Email };
/// assert_eq!(error.to_string(), "this email is taken");
/// assert!(!error.is_retryable());
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// There is no such session, or it is not live.
    #[error("there is no such live session")]
    SessionNotFound,
    /// There is no such account.
    #[error("there is no such account")]
    AccountNotFound,
    /// There is no such organization.
    #[error("there is no such organization")]
    OrganizationNotFound,
    /// There is no such member of the organization.
    #[error("there is no such member")]
    MemberNotFound,
    /// There is no such invitation that can be answered so: none of this id, or it is answered, expired, or sent to
    /// another address.
    #[error("there is no such invitation")]
    InvitationNotFound,
    /// There is no such team in the organization.
    #[error("there is no such team")]
    TeamNotFound,
    /// There is no such role in the organization.
    #[error("there is no such role")]
    RoleNotFound,
    /// There is no such API key.
    #[error("there is no such API key")]
    ApiKeyNotFound,
    /// The user has no such passkey.
    #[error("there is no such passkey")]
    PasskeyNotFound,
    /// The user has no second factor that can be confirmed.
    #[error("there is no such second factor")]
    TwoFactorNotFound,
    /// Something that has to be unique is taken, the last owner would go, or a limit is reached.
    #[error("{}", conflict_message(*field))]
    Conflict {
        /// What is taken, or what stands against it.
        field: ConflictField,
    },
    /// The input cannot be stored.
    #[error("{field}: {message}")]
    Validation {
        /// The field of the input that is wrong.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// Nothing was done, and a later try may succeed: no connection in time, the server gone, a lock held by
    /// another transaction, or a conflict with concurrent transactions that remained after all retries.
    #[error("{message}")]
    Unavailable {
        /// What failed, on what, and what to do.
        message: String,
        /// Whether it conflicted with concurrent transactions, so that a retry may succeed at once. In a transaction, the
        /// whole transaction has to run again, as [`transaction`](crate::transaction()) does.
        contention: bool,
        /// What the layer below said.
        source: Option<SharedError>,
    },
    /// The connection died after a write or a commit was sent: it may or may not have happened. Look before you try
    /// again. The same answer is given if a write was done, but its row holds a value of another program that cannot be
    /// read, and if the server fails during a commit. What a trigger of the application's raises, also at a commit, is
    /// [`Database`](Self::Database) whatever its SQLSTATE: it comes before the server commits.
    #[error("{message}")]
    OutcomeUnknown {
        /// What failed, on what, and what to do.
        message: String,
        /// What the layer below said.
        source: Option<SharedError>,
    },
    /// An earlier operation in this transaction failed or was dropped half-way, so nothing of the transaction was or
    /// will be done; only dropping it or rolling back is left.
    #[error("an earlier operation in this transaction failed or was dropped: roll it back")]
    TransactionAborted,
    /// The adapter does not have this operation.
    #[error("this adapter does not support {operation}")]
    Unsupported {
        /// The method that was called.
        operation: &'static str,
    },
    /// The database refused, for a reason that trying again does not cure.
    #[error("{message}")]
    Database {
        /// What failed, on what, and what to do.
        message: String,
        /// What the layer below said, without the values that PostgreSQL quotes.
        source: Option<SharedError>,
    },
}

impl AuthError {
    /// Whether the same call may succeed later, with nothing to clean up before.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// The name of the variant, for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UserNotFound => "UserNotFound",
            Self::SessionNotFound => "SessionNotFound",
            Self::AccountNotFound => "AccountNotFound",
            Self::OrganizationNotFound => "OrganizationNotFound",
            Self::MemberNotFound => "MemberNotFound",
            Self::InvitationNotFound => "InvitationNotFound",
            Self::TeamNotFound => "TeamNotFound",
            Self::RoleNotFound => "RoleNotFound",
            Self::ApiKeyNotFound => "ApiKeyNotFound",
            Self::PasskeyNotFound => "PasskeyNotFound",
            Self::TwoFactorNotFound => "TwoFactorNotFound",
            Self::Conflict { .. } => "Conflict",
            Self::Validation { .. } => "Validation",
            Self::Unavailable { .. } => "Unavailable",
            Self::OutcomeUnknown { .. } => "OutcomeUnknown",
            Self::TransactionAborted => "TransactionAborted",
            Self::Unsupported { .. } => "Unsupported",
            Self::Database { .. } => "Database",
        }
    }

    /// The status of an HTTP response that reports the error. The text of the error is for logs: it names the server and the
    /// statement, so send the client no more than this and the [`kind`](Self::kind).
    ///
    /// | status | error | what the client can do |
    /// |---|---|---|
    /// | 404 | [`UserNotFound`](Self::UserNotFound) and every other `…NotFound` | nothing: the row is gone |
    /// | 409 | [`Conflict`](Self::Conflict) | choose another email, username, account or slug |
    /// | 422 | [`Validation`](Self::Validation) | correct the field |
    /// | 500 | [`OutcomeUnknown`](Self::OutcomeUnknown), [`TransactionAborted`](Self::TransactionAborted), [`Database`](Self::Database) | see whether it happened |
    /// | 501 | [`Unsupported`](Self::Unsupported) | nothing: the adapter lacks the operation |
    /// | 503 | [`Unavailable`](Self::Unavailable) | try again later: nothing was done |
    ///
    /// No error is a 401. "Not signed in" is the application's own answer when a lookup of a session returns `Ok(None)`; a
    /// session that could not be looked up is a 503, and signs nobody out.
    ///
    /// ```
    /// use better_auth::{AuthError, ConflictField};
    ///
    /// let error = AuthError::Conflict { field: ConflictField::Email };
    /// assert_eq!((error.http_status(), error.kind()), (409, "Conflict"));
    /// ```
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Validation { .. } => 422,
            Self::UserNotFound
            | Self::SessionNotFound
            | Self::AccountNotFound
            | Self::OrganizationNotFound
            | Self::MemberNotFound
            | Self::InvitationNotFound
            | Self::TeamNotFound
            | Self::RoleNotFound
            | Self::ApiKeyNotFound
            | Self::PasskeyNotFound
            | Self::TwoFactorNotFound => 404,
            Self::Conflict { .. } => 409,
            Self::Unavailable { .. } => 503,
            Self::Unsupported { .. } => 501,
            Self::OutcomeUnknown { .. } | Self::TransactionAborted | Self::Database { .. } => 500,
        }
    }

    /// Whether it conflicted with concurrent transactions.
    pub(crate) fn is_contention(&self) -> bool {
        matches!(
            self,
            Self::Unavailable {
                contention: true,
                ..
            }
        )
    }

    /// An [`Unavailable`](Self::Unavailable) error that is no conflict with concurrent transactions: the store cannot be
    /// reached.
    ///
    /// ```
    /// use std::error::Error as _;
    ///
    /// use better_auth::AuthError;
    ///
    /// // What the store's own library says, boxed or not.
    /// let cause: Box<dyn std::error::Error + Send + Sync> = "connection refused".into();
    /// let error = AuthError::unavailable("create_user on my store: not reachable").with_source(cause);
    /// assert!(error.is_retryable());
    /// assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("connection refused"));
    /// ```
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
            contention: false,
            source: None,
        }
    }

    /// An [`Unavailable`](Self::Unavailable) error that is a conflict with concurrent transactions, so that a retry may
    /// succeed at once. [`transaction`](crate::transaction()) retries it.
    pub fn contention(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
            contention: true,
            source: None,
        }
    }

    /// An [`OutcomeUnknown`](Self::OutcomeUnknown) error.
    pub fn outcome_unknown(message: impl Into<String>) -> Self {
        Self::OutcomeUnknown {
            message: message.into(),
            source: None,
        }
    }

    /// A [`Database`](Self::Database) error.
    pub fn database(message: impl Into<String>) -> Self {
        Self::Database {
            message: message.into(),
            source: None,
        }
    }

    /// The error with what the layer below said as its [`source`](Error::source). It must not hold a password, a token or
    /// a value of the operation. Errors that have no source stay as they are.
    #[must_use]
    pub fn with_source(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        if let Self::Unavailable { source, .. }
        | Self::OutcomeUnknown { source, .. }
        | Self::Database { source, .. } = &mut self
        {
            *source = Some(SharedError(Arc::from(cause.into())));
        }
        self
    }

    /// A [`Validation`](Self::Validation) error.
    pub fn validation(field: &'static str, message: impl Into<String>) -> Self {
        Self::Validation {
            field,
            message: message.into(),
        }
    }
}

/// What the layer below an adapter said, shared by the copies of an [`AuthError`], whose [`source`](Error::source) it is.
///
/// ```
/// use std::error::Error as _;
/// use std::io;
///
/// use better_auth::AuthError;
///
/// let error = AuthError::Database {
///     message: "create_user on my file: the disk is full".to_owned(),
///     source: Some(io::Error::from(io::ErrorKind::StorageFull).into()),
/// };
/// assert!(error.clone().source().is_some_and(|source| source.is::<io::Error>()));
/// ```
#[derive(Clone)]
pub struct SharedError(Arc<dyn Error + Send + Sync>);

// No `Error` of its own: `source` would answer with this and not with what it shares.
impl Deref for SharedError {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for SharedError {
    fn from(error: E) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Debug for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What an [`AuthError::Conflict`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictField {
    /// `users.id`.
    UserId,
    /// `users.email`.
    Email,
    /// `users.username`.
    Username,
    /// The pair of `accounts.provider_id` and `accounts.account_id`.
    Account,
    /// `sessions.token`.
    SessionToken,
    /// `organization.slug`.
    OrganizationSlug,
    /// The user is a member of the organization already.
    Member,
    /// The address has a live pending invitation to the organization.
    Invitation,
    /// The user is in the team already.
    TeamMember,
    /// The organization has a role of this name.
    OrganizationRole,
    /// The organization would have no owner left.
    LastOwner,
    /// The limit that the caller gave is reached.
    Limit,
    /// The user has a verified second factor.
    TwoFactor,
    /// `passkeys.credential_id`.
    Passkey,
}

impl fmt::Display for ConflictField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserId => "user id",
            Self::Email => "email",
            Self::Username => "username",
            Self::Account => "account of the provider",
            Self::SessionToken => "session token",
            Self::OrganizationSlug => "slug of an organization",
            Self::Member => "membership",
            Self::Invitation => "invitation",
            Self::TeamMember => "membership of a team",
            Self::OrganizationRole => "role of the organization",
            Self::LastOwner => "last owner",
            Self::Limit => "limit",
            Self::TwoFactor => "second factor",
            Self::Passkey => "credential of a passkey",
        })
    }
}

fn conflict_message(field: ConflictField) -> String {
    match field {
        ConflictField::LastOwner => "the organization would have no owner left".to_owned(),
        ConflictField::Limit => "the limit is reached".to_owned(),
        ConflictField::TwoFactor => "the user has a second factor".to_owned(),
        _ => format!("this {field} is taken"),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::{AuthError, ConflictField};

    #[test]
    fn conflicts_say_what_is_taken() {
        for (field, message) in [
            (ConflictField::UserId, "this user id is taken"),
            (
                ConflictField::Passkey,
                "this credential of a passkey is taken",
            ),
            (
                ConflictField::LastOwner,
                "the organization would have no owner left",
            ),
            (ConflictField::Limit, "the limit is reached"),
            (ConflictField::TwoFactor, "the user has a second factor"),
        ] {
            assert_eq!(AuthError::Conflict { field }.to_string(), message);
        }
        assert_eq!(ConflictField::LastOwner.to_string(), "last owner");
    }

    #[test]
    fn errors_are_made_with_a_source() {
        for (error, kind) in [
            (AuthError::unavailable("a"), "Unavailable"),
            (AuthError::contention("a"), "Unavailable"),
            (AuthError::outcome_unknown("a"), "OutcomeUnknown"),
            (AuthError::database("a"), "Database"),
        ] {
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, "a"));
            assert!(error.source().is_none());
            let error = error.with_source(std::io::Error::other("cause"));
            let source = error.source().map(ToString::to_string);
            assert_eq!(source.as_deref(), Some("cause"));
        }
        assert!(AuthError::contention("a").is_contention());
        assert!(!AuthError::unavailable("a").is_contention());
        let without = AuthError::UserNotFound.with_source("cause");
        assert!(without.source().is_none());
    }

    #[test]
    fn each_error_has_its_kind_status_and_retry() {
        let unavailable = |contention| AuthError::Unavailable {
            message: String::new(),
            contention,
            source: None,
        };
        let outcome_unknown = AuthError::OutcomeUnknown {
            message: String::new(),
            source: None,
        };
        let database = AuthError::Database {
            message: String::new(),
            source: None,
        };
        let conflict = AuthError::Conflict {
            field: ConflictField::Email,
        };
        let unsupported = AuthError::Unsupported { operation: "begin" };
        for (error, kind, status, is_retryable) in [
            (AuthError::UserNotFound, "UserNotFound", 404, false),
            (AuthError::SessionNotFound, "SessionNotFound", 404, false),
            (AuthError::AccountNotFound, "AccountNotFound", 404, false),
            (
                AuthError::OrganizationNotFound,
                "OrganizationNotFound",
                404,
                false,
            ),
            (AuthError::MemberNotFound, "MemberNotFound", 404, false),
            (
                AuthError::InvitationNotFound,
                "InvitationNotFound",
                404,
                false,
            ),
            (AuthError::TeamNotFound, "TeamNotFound", 404, false),
            (AuthError::RoleNotFound, "RoleNotFound", 404, false),
            (AuthError::ApiKeyNotFound, "ApiKeyNotFound", 404, false),
            (AuthError::PasskeyNotFound, "PasskeyNotFound", 404, false),
            (
                AuthError::TwoFactorNotFound,
                "TwoFactorNotFound",
                404,
                false,
            ),
            (conflict, "Conflict", 409, false),
            (AuthError::validation("name", ""), "Validation", 422, false),
            (unavailable(false), "Unavailable", 503, true),
            (unavailable(true), "Unavailable", 503, true),
            (outcome_unknown, "OutcomeUnknown", 500, false),
            (
                AuthError::TransactionAborted,
                "TransactionAborted",
                500,
                false,
            ),
            (unsupported, "Unsupported", 501, false),
            (database, "Database", 500, false),
        ] {
            assert_eq!(error.kind(), kind);
            assert_eq!(error.http_status(), status, "{kind}");
            assert_eq!(error.is_retryable(), is_retryable, "{kind}");
        }
    }
}
