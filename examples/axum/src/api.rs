//! JSON, for scripts of our pages and for programs: by a session, in its cookie or as a bearer token, or by an API key.

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use better_auth::axum::CurrentSession;
use better_auth::chrono::Utc;
use better_auth::types::{ApiKeyUse, User};
use serde_json::{Value, json};

use crate::error::{AppError, AppResult};
use crate::input::Json;
use crate::organizations::New;
use crate::state::AppState;

/// The endpoints.
pub fn routes() -> Router<AppState> {
    Router::new().route("/api/session", get(session)).route(
        "/api/organizations",
        get(list_organizations).post(create_organization),
    )
}

/// An error as JSON.
struct ApiError(AppError);

impl<E: Into<AppError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = axum::Json(json!({ "message": self.0.message() }));
        self.0.finish(body.into_response())
    }
}

/// The user of a session or of an API key.
struct Caller(User);

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let Some(key) = parts.headers.get("x-api-key") else {
            let current =
                <CurrentSession as FromRequestParts<_>>::from_request_parts(parts, state).await?;
            return Ok(Self(current.user));
        };
        Ok(Self(by_key(state, key.to_str().unwrap_or_default()).await?))
    }
}

async fn by_key(state: &AppState, key: &str) -> AppResult<User> {
    let row = match state.database.api_keys()?.use_key(key).await? {
        ApiKeyUse::Accepted(row) => row,
        ApiKeyUse::RateLimited { retry_after } => {
            return Err(AppError::TooMany(retry_after.as_secs() + 1));
        }
        _ => {
            return Err(AppError::Refused(
                StatusCode::UNAUTHORIZED,
                "This key is not valid.",
            ));
        }
    };
    let user = state
        .database
        .get_user_by_id(row.user_id.as_deref().unwrap_or_default())
        .await?;
    let user = user.filter(|user| !user.is_banned_at(Utc::now()));
    user.ok_or(AppError::Refused(
        StatusCode::UNAUTHORIZED,
        "This key is not valid.",
    ))
}

/// The rows leave their secrets out.
async fn session(current: CurrentSession) -> axum::Json<Value> {
    axum::Json(json!({ "session": current.session, "user": current.user }))
}

async fn list_organizations(
    State(state): State<AppState>,
    Caller(user): Caller,
) -> Result<axum::Json<Value>, ApiError> {
    let organizations = state
        .database
        .organizations()?
        .list_user_organizations(&user.id)
        .await?;
    let entries = organizations
        .into_iter()
        .map(|(organization, member)| json!({ "organization": organization, "role": member.role }));
    Ok(axum::Json(entries.collect()))
}

async fn create_organization(
    State(state): State<AppState>,
    Caller(user): Caller,
    body: Result<Json<New>, AppError>,
) -> Result<Response, ApiError> {
    let create = body?.0.check(&user.id).map_err(AppError::unprocessable)?;
    let (organization, _) = state
        .database
        .organizations()?
        .create_organization(create)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(organization)).into_response())
}
