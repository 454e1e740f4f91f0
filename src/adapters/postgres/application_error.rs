//! Errors of the application's own statements, as [`AuthError`]s.

use super::error::{Class, Failure, STATEMENT};
use super::redaction::Cause;
use crate::AuthError;

impl AuthError {
    /// The error of a statement of the application's, with the variant that one of the adapter's own statements would get:
    ///
    /// | what sqlx says | the answer |
    /// |---|---|
    /// | a deadlock or serialization failure | [`Unavailable`](Self::Unavailable), with `contention` |
    /// | a wait that ended, a server that is starting or stopping, no connection | [`Unavailable`](Self::Unavailable) |
    /// | the connection died before the answer came | [`OutcomeUnknown`](Self::OutcomeUnknown); nothing was done if it was in a transaction |
    /// | anything else: a constraint, a missing table, `RowNotFound`, a value that cannot be decoded | [`Database`](Self::Database), which names table and constraint |
    ///
    /// Values are left out, as in every `AuthError`. To tell one constraint from another, look at the [`sqlx::Error`].
    ///
    /// ```
    /// use better_auth::{AuthError, sqlx};
    ///
    /// let error = AuthError::from_sqlx(sqlx::Error::RowNotFound);
    /// assert_eq!(error.kind(), "Database");
    /// ```
    ///
    /// There is no `From`, because with a second `From` for `AuthError`, the compiler could no longer infer the error type of
    /// a [`transaction`](crate::transaction()) that ends in `.await?`.
    #[must_use]
    pub fn from_sqlx(error: sqlx::Error) -> Self {
        let error = without_values(error);
        let failure = match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Failure::of_connection(error),
            _ => Failure::of_statement(error, STATEMENT),
        };
        let what = match failure.class {
            Class::Contention => "conflicts with a concurrent transaction",
            Class::OutcomeUnknown => {
                "has no answer, as the connection died or the server failed: outside a transaction, it may have been done"
            }
            Class::NoConnection => {
                "was not sent, as no connection of the pool was free in time or the pool is closed"
            }
            _ if failure.class.is_retryable() => {
                "was given up by the server, so that nothing was done"
            }
            _ => "failed",
        };
        let message = format!(
            "a statement of the application {what}{}",
            Cause(&failure.error)
        );
        failure.with_message(message)
    }
}

/// Codecs of the application's quote values in their errors.
fn without_values(error: sqlx::Error) -> sqlx::Error {
    let hidden = || "the reason is not shown, as it may quote the value".into();
    match error {
        sqlx::Error::ColumnDecode { index, .. } => {
            // Not as a column of a change that was made: what was done is the application's to know.
            sqlx::Error::Decode(format!("column {index} cannot be decoded").into())
        }
        sqlx::Error::Decode(_) => sqlx::Error::Decode(hidden()),
        sqlx::Error::Encode(_) => sqlx::Error::Encode(hidden()),
        sqlx::Error::Configuration(_) => sqlx::Error::Configuration(hidden()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use crate::AuthError;

    #[test]
    fn a_codec_that_quotes_a_value_is_not_shown() {
        let quoting = || "invalid digit in hunter2".into();
        for error in [
            sqlx::Error::Decode(quoting()),
            sqlx::Error::Encode(quoting()),
            sqlx::Error::Configuration(quoting()),
            sqlx::Error::ColumnDecode {
                index: "3".to_owned(),
                source: quoting(),
            },
        ] {
            let error = AuthError::from_sqlx(error);
            let source = error.source().map(|source| format!("{source} {source:?}"));
            let shown = format!("{error} {error:?} {}", source.unwrap_or_default());
            assert!(!shown.contains("hunter2"), "{shown}");
            assert_eq!(error.kind(), "Database", "{shown}");
        }
    }

    #[test]
    fn a_statement_without_an_answer_may_have_been_done() {
        let error = io::Error::from(io::ErrorKind::ConnectionReset);
        let error = AuthError::from_sqlx(sqlx::Error::from(error));
        assert_eq!(error.kind(), "OutcomeUnknown");
        assert!(error.to_string().contains("has no answer"), "{error}");
        let error = AuthError::from_sqlx(sqlx::Error::PoolTimedOut);
        assert!(error.is_retryable(), "{error}");
    }
}
