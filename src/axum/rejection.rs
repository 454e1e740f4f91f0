//! Why an extractor refused a request.

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};

use super::response;
use crate::AuthError;

/// Why an extractor refused a request, or [`AuthState::sign_in`](super::AuthState::sign_in) a user.
///
/// | status | variant | |
/// |---|---|---|
/// | 400 | [`Malformed`](Self::Malformed) | several cookies or bearer tokens |
/// | 401 | [`Unauthenticated`](Self::Unauthenticated) | nobody is signed in |
/// | 403 | [`Banned`](Self::Banned), [`NotMember`](Self::NotMember) | |
/// | 500 | [`MissingLayer`](Self::MissingLayer) | a mistake in the application's router |
/// | [`http_status`](AuthError::http_status) | [`Database`](Self::Database) | 503 with `Retry-After` if the database cannot be reached |
///
/// The body is JSON, as that of an [`AuthError`]. For another answer, such as a redirect to a page, take a
/// `Result<CurrentUser, AuthRejection>` in the handler; or map all responses in a layer, where
/// `response.extensions().get::<AuthRejection>()` says which ones these are.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthRejection {
    /// The request has several session cookies or several bearer tokens.
    #[error("the request has several session tokens")]
    Malformed,
    /// The request has no token, or one that belongs to no live session.
    #[error("not signed in")]
    Unauthenticated,
    /// The user is banned.
    #[error("the user is banned")]
    Banned,
    /// The session has no active organization, or the user is not a member of it.
    #[error("not a member of the active organization")]
    NotMember,
    /// The router lacks the [`SessionCookieLayer`](super::SessionCookieLayer), so that cookies would end while their
    /// sessions go on.
    #[error("the router lacks better_auth::axum::SessionCookieLayer")]
    MissingLayer,
    /// The session could not be looked up, which signs nobody out.
    #[error(transparent)]
    Database(#[from] AuthError),
}

impl AuthRejection {
    /// The name of the variant, for clients and logs. That of an error is its [`kind`](AuthError::kind).
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed => "Malformed",
            Self::Unauthenticated => "Unauthenticated",
            Self::Banned => "Banned",
            Self::NotMember => "NotMember",
            Self::MissingLayer => "MissingLayer",
            Self::Database(error) => error.kind(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Banned | Self::NotMember => StatusCode::FORBIDDEN,
            Self::MissingLayer => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Database(error) => response::status(error),
        }
    }
}

impl IntoResponse for AuthRejection {
    fn into_response(self) -> Response {
        let mut response = match &self {
            Self::Database(error) => error.clone().into_response(),
            _ => response::json(self.status(), self.kind(), &self.to_string()),
        };
        if matches!(self, Self::Unauthenticated) {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(self);
        response
    }
}
