//! Sessions: how one is opened, and the page where users see and end theirs.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use better_auth::axum::SessionCookie;
use better_auth::types::{Session, User};
use maud::{Markup, html};
use serde::Deserialize;

use crate::client::Client;
use crate::cookies::Jar;
use crate::error::AppResult;
use crate::input::{Form, Nothing};
use crate::pages;
use crate::state::AppState;
use crate::visitor::SignedIn;

/// The pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/sessions", get(show))
        .route("/sessions/revoke", post(revoke))
        .route("/sessions/revoke-others", post(revoke_others))
}

/// Opens a session with a new token, and ends the one that the browser had: a token from before the sign-in is worth
/// nothing after it.
///
/// # Errors
///
/// 403 if the user is banned; those of the adapter.
pub async fn open(
    state: &AppState,
    client: Client,
    jar: &Jar,
    user: &User,
) -> AppResult<(Session, SessionCookie)> {
    let opened = state.auth.sign_in(user, client.info).await?;
    if let Some(token) = jar.session() {
        state.database.delete_session(token).await?;
    }
    Ok(opened)
}

async fn show(State(state): State<AppState>, signed_in: SignedIn) -> AppResult<Markup> {
    let SignedIn { page, user, .. } = &signed_in;
    let sessions = state.database.get_user_sessions(&user.id).await?;
    Ok(page.render(
        "Your sessions",
        &html! {
            div .card {
                ul .list { @for session in &sessions { (item(&signed_in, session)) } }
            }
            @if sessions.len() > 1 {
                (page.button("/sessions/revoke-others", "Sign out everywhere else", "danger"))
            }
        },
    ))
}

/// The page has the session's id. The token stays in the cookie of its browser.
fn item(signed_in: &SignedIn, session: &Session) -> Markup {
    html! {
        li {
            div .what {
                strong { (session.user_agent.as_deref().map_or("Unknown program", program)) }
                span .faint {
                    (session.ip_address.as_deref().unwrap_or("unknown address"))
                    " · since " (pages::time(session.created_at))
                }
            }
            @if session.id == signed_in.session.id {
                span .tag.good { "This device" }
            } @else {
                (signed_in.page.form("/sessions/revoke", &html! {
                    input type="hidden" name="id" value=(session.id);
                    button .danger aria-label={ "Sign out the session from " (session.created_at.format("%-d %B, %H:%M")) } { "Sign out" }
                }))
            }
        }
    }
}

/// The name of a common browser, or what the program calls itself.
fn program(user_agent: &str) -> &str {
    let known = [
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    known
        .iter()
        .find(|(mark, _)| user_agent.contains(mark))
        .map_or(user_agent, |(_, name)| name)
}

#[derive(Deserialize)]
struct Revoke {
    id: String,
}

async fn revoke(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(form): Form<Revoke>,
) -> AppResult<Redirect> {
    // Ids of other users' sessions do nothing.
    state
        .database
        .delete_session_by_id(&signed_in.user.id, &form.id)
        .await?;
    Ok(Redirect::to("/sessions?notice=revoked"))
}

async fn revoke_others(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(Nothing {}): Form<Nothing>,
) -> AppResult<Response> {
    state
        .database
        .delete_other_sessions(&signed_in.user.id, &signed_in.session.token)
        .await?;
    Ok(Redirect::to("/sessions?notice=others-revoked").into_response())
}
