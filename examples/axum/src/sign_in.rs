//! Sign-in with a password.
//!
//! Unknown addresses, users without a password and wrong passwords take the same time and get the same answer. A user with a
//! second factor gets no session here, only a pending sign-in that the second factor completes.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use better_auth::types::User;
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::cookies::Jar;
use crate::error::{AppError, AppResult};
use crate::input::{self, Form, Query};
use crate::limits::Limit;
use crate::one_time::OneTime;
use crate::pages::{self, Page};
use crate::state::AppState;
use crate::visitor::SignedIn;
use crate::{secrets, sessions};

/// A sign-in that waits for its second factor.
pub(crate) const PENDING: OneTime = OneTime::new("sign-in", 10);
/// The cookie with its token.
pub(crate) const PENDING_COOKIE: &str = "sign-in";

const BY_CLIENT: Limit = Limit::new("sign-in client", 50, 60);
const BY_EMAIL: Limit = Limit::new("sign-in email", 10, 60);

/// An id that no user has: those who are unknown cost a lookup too.
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// The pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/sign-in", get(show).post(submit))
        .route("/sign-out", post(sign_out))
}

#[derive(Default, Deserialize)]
struct SignIn {
    email: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Who has shown a first factor.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) user_id: String,
    /// A digest of the hash that the password had. A reset that comes meanwhile makes it void.
    pub(crate) shown: String,
    pub(crate) next: String,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn show(page: Page, Query(query): Query<Next>) -> Markup {
    form(
        &page,
        &SignIn {
            next: query.next,
            ..SignIn::default()
        },
        None,
    )
}

fn form(page: &Page, typed: &SignIn, error: Option<&str>) -> Markup {
    page.render("Sign in", &html! {
        (pages::error(error))
        div .card {
            (page.form("/sign-in", &html! {
                input type="hidden" name="next" value=(typed.next);
                (pages::field("email", "Email", "email", "username", &typed.email))
                (pages::password_field("password", "Password", "current-password"))
                button .wide { "Sign in" }
            }))
            div .or { "or" }
            (page.form("/oauth/start", &html! {
                input type="hidden" name="next" value=(typed.next);
                button .quiet.wide { "Go on with Pretend" }
            }))
        }
        p .below { a href="/sign-up" { "Create an account" } " · " a href="/forgot" { "Forgot the password?" } }
    })
}

async fn submit(
    State(state): State<AppState>,
    page: Page,
    client: Client,
    jar: Jar,
    Form(typed): Form<SignIn>,
) -> AppResult<Response> {
    BY_CLIENT.take(&state, &client.address).await?;
    BY_EMAIL
        .take(&state, &typed.email.trim().to_lowercase())
        .await?;
    let user = state.database.get_user_by_email(typed.email.trim()).await?;
    let id = user.as_ref().map_or(NOBODY, |user| &user.id);
    let hash = state
        .database
        .get_credential_account(id)
        .await?
        .and_then(|account| account.password);
    let is_right = state
        .passwords
        .verify(&typed.password, hash.as_deref())
        .await?;
    let (Some(user), Some(hash), true) = (user, hash, is_right) else {
        let page = form(&page, &typed, Some("The address or the password is wrong."));
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    };
    proceed(
        &state,
        client,
        jar,
        &user,
        &hash,
        input::local_path(&typed.next),
    )
    .await
}

/// Goes on with a user who has shown a first factor: to the session, or to the second factor. `hash` is the user's at that
/// moment, or empty.
pub(crate) async fn proceed(
    state: &AppState,
    client: Client,
    jar: Jar,
    user: &User,
    hash: &str,
    next: &str,
) -> AppResult<Response> {
    let next = if next == "/" { "/account" } else { next };
    let pending = Pending {
        user_id: user.id.clone(),
        shown: secrets::digest(hash),
        next: next.to_owned(),
    };
    if !user.two_factor_enabled {
        return complete(state, client, jar, user, &pending).await;
    }
    let token = secrets::random_token();
    PENDING.store(&*state.database, &token, &pending).await?;
    Ok((
        jar.set(PENDING_COOKIE, &token),
        Redirect::to("/sign-in/second-factor"),
    )
        .into_response())
}

/// Opens the session of a user who has shown all factors.
pub(crate) async fn complete(
    state: &AppState,
    client: Client,
    jar: Jar,
    user: &User,
    pending: &Pending,
) -> AppResult<Response> {
    let (session, cookie) = sessions::open(state, client, &jar, user).await?;
    // A reset ends all sessions that it finds. This one may have come after it, by a password from before it.
    let account = state.database.get_credential_account(&user.id).await?;
    let hash = account
        .and_then(|account| account.password)
        .unwrap_or_default();
    if secrets::digest(&hash) != pending.shown {
        state.database.delete_session(&session.token).await?;
        return Err(AppError::SignIn(pending.next.clone()));
    }
    Ok((cookie, jar, Redirect::to(&pending.next)).into_response())
}

async fn sign_out(State(state): State<AppState>, signed_in: SignedIn) -> AppResult<Response> {
    let cookie = state.auth.sign_out(&signed_in.session).await?;
    Ok((cookie, Redirect::to("/sign-in?notice=signed-out")).into_response())
}
