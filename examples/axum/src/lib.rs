//! A web application on better-auth. The README says what is where.

pub mod account;
pub mod admin;
pub mod api;
pub mod api_keys;
pub mod client;
pub mod config;
pub mod cookies;
pub mod csrf;
pub mod error;
pub mod headers;
pub mod input;
pub mod limits;
pub mod mail;
pub mod oauth;
pub mod one_time;
pub mod organizations;
pub mod pages;
pub mod password_reset;
pub mod passwords;
pub mod provider;
pub mod second_factor;
pub mod secrets;
pub mod sessions;
pub mod sign_in;
pub mod sign_up;
pub mod state;
pub mod telemetry;
pub mod totp;
pub mod visitor;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::get;
use better_auth::axum::SessionCookieLayer;
use tower_http::timeout::TimeoutLayer;

use crate::error::{AppError, AppResult};
use crate::pages::Page;
use crate::state::AppState;

/// How long a request may take.
const MAX_DURATION: Duration = Duration::from_secs(30);

/// The whole application.
pub fn router(state: AppState) -> Router {
    let mut routes = Router::new()
        .route("/", get(first_page))
        .merge(sign_up::routes())
        .merge(sign_in::routes())
        .merge(second_factor::routes())
        .merge(password_reset::routes())
        .merge(oauth::routes())
        .merge(account::routes())
        .merge(sessions::routes())
        .merge(organizations::routes())
        .merge(api_keys::routes())
        .merge(admin::routes())
        .merge(api::routes());
    if state.config.is_development() {
        routes = routes.merge(provider::routes());
    }
    with_layers(routes, state)
}

/// What all routes need. Layers work from the last to the first.
pub fn with_layers(routes: Router<AppState>, state: AppState) -> Router {
    routes
        .fallback(|| async { AppError::NOT_FOUND })
        .layer(SessionCookieLayer)
        .layer(from_fn_with_state(state.clone(), csrf::protect))
        .route("/style.css", get(pages::style))
        .route("/health", get(health))
        .layer(from_fn_with_state(state.clone(), headers::secure))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            MAX_DURATION,
        ))
        .layer(from_fn(telemetry::measure))
        .layer(telemetry::spans())
        .with_state(state)
}

async fn first_page(page: Page) -> Redirect {
    Redirect::to(if page.user.is_some() {
        "/account"
    } else {
        "/sign-in"
    })
}

/// Whether requests can be served: the database answers.
async fn health(State(state): State<AppState>) -> AppResult<&'static str> {
    state.database.get_user_by_id("health").await?;
    Ok("ok")
}
