//! Keys by which programs of a user call the JSON endpoints.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use better_auth::types::{ApiKey, CreateApiKey, ListApiKeys};
use maud::{Markup, html};
use serde::Deserialize;

use crate::error::{AppError, AppResult};
use crate::input::{self, Form};
use crate::pages;
use crate::state::AppState;
use crate::visitor::SignedIn;

/// What keys begin with, so that people and scanners know one when they see it.
const PREFIX: &str = "example_";
const USES: (i32, Duration) = (100, Duration::from_secs(60));
const MAX_KEYS: usize = 20;

/// The pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/api-keys", get(show).post(create))
        .route("/api-keys/delete", post(delete))
}

async fn keys(state: &AppState, signed_in: &SignedIn) -> AppResult<Vec<ApiKey>> {
    let query = ListApiKeys::of_user(&signed_in.user.id);
    Ok(state.database.api_keys()?.list_api_keys(query).await?.keys)
}

async fn show(State(state): State<AppState>, signed_in: SignedIn) -> AppResult<Markup> {
    Ok(keys_page(
        &signed_in,
        &keys(&state, &signed_in).await?,
        None,
        None,
    ))
}

fn keys_page(
    signed_in: &SignedIn,
    keys: &[ApiKey],
    issued: Option<&str>,
    error: Option<&str>,
) -> Markup {
    let page = &signed_in.page;
    page.render("API keys", &html! {
        (pages::error(error))
        @if let Some(key) = issued {
            section .card {
                h2 { "Your new key" }
                p { code { (key) } }
                p .faint { "It is shown this once. Send it in the header " code { "x-api-key" } "." }
            }
        }
        div .card {
            @if keys.is_empty() { p .faint { "You have none." } }
            ul .list { @for key in keys { li {
                div .what {
                    strong { (key.name.as_deref().unwrap_or("Without a name")) }
                    span .faint {
                        code { (key.prefix.as_deref().unwrap_or_default()) (key.start.as_deref().unwrap_or_default()) "…" }
                        @match key.last_request {
                            Some(time) => { " · last used " (pages::time(time)) },
                            None => " · never used",
                        }
                    }
                }
                (page.form("/api-keys/delete", &html! {
                    input type="hidden" name="id" value=(key.id);
                    button .danger aria-label={ "Delete the key " (key.name.as_deref().unwrap_or_default()) } { "Delete" }
                }))
            } } }
        }
        section .card {
            h2 { "Create one" }
            (page.form("/api-keys", &html! {
                div .row { (pages::field("name", "Name", "text", "off", "")) button { "Create" } }
            }))
        }
    })
}

#[derive(Deserialize)]
struct New {
    name: String,
}

/// The page is the answer itself, because a redirect would have to carry the key.
async fn create(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(form): Form<New>,
) -> AppResult<Response> {
    let existing = keys(&state, &signed_in).await?;
    let name = match input::name(&form.name) {
        Ok(name) if existing.len() < MAX_KEYS => name,
        Ok(_) => {
            return Ok(pages::unprocessable(keys_page(
                &signed_in,
                &existing,
                None,
                Some("Delete a key first."),
            )));
        }
        Err(error) => {
            return Ok(pages::unprocessable(keys_page(
                &signed_in,
                &existing,
                None,
                Some(error),
            )));
        }
    };
    let (max, window) = USES;
    let create = CreateApiKey::for_user(&signed_in.user.id)
        .with_name(name)
        .with_prefix(PREFIX)
        .with_rate_limit(max, window);
    let issued = state.database.api_keys()?.create_api_key(create).await?;
    let keys: Vec<_> = std::iter::once(issued.row).chain(existing).collect();
    Ok(keys_page(&signed_in, &keys, Some(&issued.key), None).into_response())
}

#[derive(Deserialize)]
struct Chosen {
    id: String,
}

async fn delete(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(form): Form<Chosen>,
) -> AppResult<Redirect> {
    let store = state.database.api_keys()?;
    let key = store.get_api_key(&form.id).await?;
    let own = key
        .filter(|key| key.user_id.as_ref() == Some(&signed_in.user.id))
        .ok_or(AppError::NOT_FOUND)?;
    store.delete_api_key(&own.id).await?;
    Ok(Redirect::to("/api-keys?notice=saved"))
}
