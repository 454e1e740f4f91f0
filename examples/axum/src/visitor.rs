//! Who asks for a page: anyone, a user, an administrator. The session is looked up once for a request.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::Method;
use axum::http::request::Parts;
use better_auth::axum::{AuthRejection, CurrentSession};
use better_auth::types::{Session, User};

use crate::csrf::CsrfToken;
use crate::error::AppError;
use crate::pages::{self, Page};
use crate::state::AppState;

/// A page for anyone, which knows who is signed in.
impl FromRequestParts<AppState> for Page {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        let current =
            <CurrentSession as OptionalFromRequestParts<_>>::from_request_parts(parts, state)
                .await?;
        Ok(page(parts, current.map(|current| current.user)))
    }
}

fn page(parts: &Parts, user: Option<User>) -> Page {
    Page {
        csrf: parts
            .extensions
            .get::<CsrfToken>()
            .map(|CsrfToken(token)| token.clone())
            .unwrap_or_default(),
        path: parts.uri.path().to_owned(),
        notice: parts.uri.query().and_then(pages::notice),
        user,
    }
}

/// A page for a user. Others are sent to the sign-in, and come back after it.
pub struct SignedIn {
    /// The page.
    pub page: Page,
    /// The session of the request.
    pub session: Session,
    /// Its user.
    pub user: User,
}

impl FromRequestParts<AppState> for SignedIn {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        let current =
            <CurrentSession as FromRequestParts<_>>::from_request_parts(parts, state).await;
        match current {
            Ok(CurrentSession { session, user }) => Ok(Self {
                page: page(parts, Some(user.clone())),
                session,
                user,
            }),
            Err(AuthRejection::Unauthenticated) => Err(AppError::SignIn(came_for(parts))),
            Err(rejection) => Err(rejection.into()),
        }
    }
}

/// A form cannot be sent again, so its sender comes back to the first page.
fn came_for(parts: &Parts) -> String {
    let path = parts
        .uri
        .path_and_query()
        .filter(|_| parts.method == Method::GET);
    path.map_or_else(|| "/".to_owned(), ToString::to_string)
}

/// A page for an administrator. For others it does not exist.
pub struct Administrator(pub SignedIn);

impl FromRequestParts<AppState> for Administrator {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AppError> {
        let signed_in = SignedIn::from_request_parts(parts, state).await?;
        if pages::is_administrator(&signed_in.user) {
            Ok(Self(signed_in))
        } else {
            Err(AppError::NOT_FOUND)
        }
    }
}
