//! What can go wrong in a request, and the page that says so.

use std::error::Error;

use axum::extract::rejection::{FormRejection, JsonRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use better_auth::axum::AuthRejection;
use better_auth::chrono::{DateTime, Utc};
use better_auth::types::RateLimit;
use better_auth::{AuthError, ConflictField};
use maud::html;

use crate::pages;

/// What handlers answer.
pub type AppResult<T> = Result<T, AppError>;

/// Why a request was not served.
#[derive(Debug)]
pub enum AppError {
    /// The library refused or failed.
    Auth(AuthError),
    /// Nobody is signed in. After the sign-in, the user goes on to this path.
    SignIn(String),
    /// The request was refused, for this reason.
    Refused(StatusCode, &'static str),
    /// It was tried too often; again after so many seconds.
    TooMany(u64),
    /// Too many others wait.
    Busy,
    /// Something is broken. The log says what.
    Internal,
}

impl AppError {
    /// The client is not allowed to do this.
    pub const FORBIDDEN: Self = Self::Refused(StatusCode::FORBIDDEN, "You may not do this.");
    /// There is nothing here, or nothing for this user.
    pub const NOT_FOUND: Self = Self::Refused(StatusCode::NOT_FOUND, "There is nothing here.");

    /// A failure that is no fault of the client's.
    pub fn internal(what: &'static str, error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error, "{what} failed");
        Self::Internal
    }

    /// What was sent is not as it should be.
    #[must_use]
    pub const fn unprocessable(reason: &'static str) -> Self {
        Self::Refused(StatusCode::UNPROCESSABLE_ENTITY, reason)
    }

    /// Refused until this time.
    #[must_use]
    pub fn until(time: DateTime<Utc>) -> Self {
        let left = (time - Utc::now()).num_seconds();
        Self::TooMany(u64::try_from(left).unwrap_or_default().max(1))
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Auth(error) => StatusCode::from_u16(error.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Self::SignIn(_) => StatusCode::UNAUTHORIZED,
            Self::Refused(status, _) => *status,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client is told. The text of an [`AuthError`] is for the log: it names the server.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Auth(error) => auth_message(error).to_owned(),
            Self::SignIn(_) => "Sign in first.".to_owned(),
            Self::Refused(_, reason) => (*reason).to_owned(),
            Self::TooMany(seconds) => {
                format!("That was too often. Try again in {seconds} seconds.")
            }
            Self::Busy => "Too many people are here right now. Try again in a moment.".to_owned(),
            Self::Internal => "Something went wrong on our side.".to_owned(),
        }
    }

    /// After how many seconds another try makes sense.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(seconds) => Some(*seconds),
            Self::Busy | Self::Auth(AuthError::Unavailable { .. }) => Some(1),
            _ => None,
        }
    }

    fn log(&self) {
        match self {
            Self::Auth(error) if self.status().is_server_error() => {
                tracing::error!(%error, "a request failed")
            }
            _ => tracing::debug!(status = self.status().as_u16(), "a request was refused"),
        }
    }

    /// Adds what belongs to the error whatever the body is.
    pub(crate) fn finish(&self, mut response: Response) -> Response {
        self.log();
        *response.status_mut() = self.status();
        if let Some(seconds) = self.retry_after() {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn auth_message(error: &AuthError) -> &'static str {
    match error {
        AuthError::Conflict {
            field: ConflictField::LastOwner,
        } => "An organization keeps at least one owner.",
        AuthError::Conflict {
            field: ConflictField::Limit,
        } => "There is no room for more.",
        AuthError::Conflict {
            field: ConflictField::OrganizationSlug,
        } => "This short name is taken.",
        AuthError::Conflict {
            field: ConflictField::Invitation,
        } => "This address is invited already.",
        AuthError::Conflict {
            field: ConflictField::Member,
        } => "You are a member already.",
        AuthError::Conflict {
            field: ConflictField::TwoFactor,
        } => "You have a second factor already.",
        AuthError::Conflict {
            field: ConflictField::Account,
        } => "This account is linked to another user.",
        AuthError::Conflict { .. } => "This is taken.",
        AuthError::Validation { .. } => {
            "This cannot be stored: it is too long, or has characters that are not allowed."
        }
        AuthError::Unavailable { .. } => {
            "The database does not answer. Nothing was changed: try again in a moment."
        }
        AuthError::OutcomeUnknown { .. } => {
            "The connection broke. See whether it was done before you repeat it."
        }
        _ if error.http_status() == 404 => "There is nothing here.",
        _ => "Something went wrong on our side.",
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        if let Self::SignIn(next) = &self {
            return Redirect::to(&pages::link("/sign-in", &[("next", next)])).into_response();
        }
        let title = self.status().canonical_reason().unwrap_or("Error");
        let page = pages::bare(
            title,
            &html! { p { (self.message()) } p { a href="/" { "Go to the first page" } } },
        );
        self.finish(page.into_response())
    }
}

impl From<AuthError> for AppError {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl From<AuthRejection> for AppError {
    fn from(rejection: AuthRejection) -> Self {
        match rejection {
            AuthRejection::Database(error) => Self::Auth(error),
            AuthRejection::Unauthenticated => Self::SignIn("/".to_owned()),
            // Told to who has a session of the user or has proven to be the user, and to nobody else.
            AuthRejection::Banned => {
                Self::Refused(StatusCode::FORBIDDEN, "This account is suspended.")
            }
            AuthRejection::Malformed => {
                Self::Refused(StatusCode::BAD_REQUEST, "This request cannot be read.")
            }
            AuthRejection::NotMember => Self::FORBIDDEN,
            other => Self::internal("an extractor", &other),
        }
    }
}

impl From<RateLimit> for AppError {
    fn from(limit: RateLimit) -> Self {
        Self::TooMany(limit.retry_after_seconds().max(1))
    }
}

/// What was sent does not have the form that the handler needs. It is not repeated to the client.
macro_rules! unreadable {
    ($($rejection:ty),*) => {
        $(impl From<$rejection> for AppError {
            fn from(rejection: $rejection) -> Self {
                Self::Refused(rejection.status(), "This request cannot be read.")
            }
        })*
    };
}
unreadable!(FormRejection, JsonRejection, QueryRejection);
