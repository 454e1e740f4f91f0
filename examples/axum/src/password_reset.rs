//! A forgotten password: a code by mail, then a new password. All sessions end.
//!
//! Known and unknown addresses get the same page and cost the same, since the work begins after the answer. For an unknown
//! address a code is stored that nobody is told.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use better_auth::types::{CreateAccount, UpdateAccount};
use better_auth::{AuthResult, DatabaseAdapter as _, transaction};
use maud::{Markup, html};
use serde::Deserialize;

use crate::client::Client;
use crate::cookies::Jar;
use crate::error::AppResult;
use crate::input::{self, Form};
use crate::limits::Limit;
use crate::one_time::OneTime;
use crate::pages::{self, Page};
use crate::secrets;
use crate::state::AppState;

const PENDING: OneTime = OneTime::new("reset", 15);
const BY_CLIENT: Limit = Limit::new("reset client", 20, 3600);
const BY_EMAIL: Limit = Limit::new("reset email", 5, 3600);

/// The pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/forgot", get(show).post(submit))
        .route("/forgot/code", get(show_code).post(submit_code))
}

#[derive(Default, Deserialize)]
struct Forgot {
    email: String,
}

async fn show(page: Page) -> Markup {
    form(&page, &Forgot::default(), None)
}

fn form(page: &Page, typed: &Forgot, error: Option<&str>) -> Markup {
    page.render(
        "Forgot the password?",
        &html! {
            (pages::error(error))
            div .card {
                (page.form("/forgot", &html! {
                    (pages::field("email", "Email", "email", "username", &typed.email))
                    button .wide { "Send me a code" }
                }))
            }
            p .below { a href="/sign-in" { "Sign in" } }
        },
    )
}

async fn submit(
    State(state): State<AppState>,
    page: Page,
    client: Client,
    jar: Jar,
    Form(typed): Form<Forgot>,
) -> AppResult<Response> {
    let email = match input::email(&typed.email) {
        Ok(email) => email,
        Err(error) => return Ok(pages::unprocessable(form(&page, &typed, Some(error)))),
    };
    BY_CLIENT.take(&state, &client.address).await?;
    BY_EMAIL.take(&state, &email).await?;
    let token = secrets::random_token();
    let jar = jar.set("reset", &token);
    let background = state.clone();
    state.background.spawn(async move {
        if let Err(error) = begin(&background, &token, &email).await {
            tracing::error!(%error, "a reset could not begin");
        }
    });
    Ok((jar, Redirect::to("/forgot/code")).into_response())
}

async fn begin(state: &AppState, token: &str, email: &str) -> AuthResult<()> {
    let user = state
        .database
        .get_user_by_email(email)
        .await?
        .filter(|user| user.email_verified);
    let code = secrets::random_code();
    let user_id = user.as_ref().map(|user| &user.id);
    PENDING
        .store_with_code(&*state.database, token, &code, &user_id)
        .await?;
    if user.is_some() {
        let text = format!(
            "Your code is {code}. It is good for 15 minutes. If you did not ask for it, do nothing."
        );
        state.mailer.send(email, "Your new password", &text).await;
    }
    Ok(())
}

async fn show_code(page: Page) -> Markup {
    code_form(&page, None)
}

fn code_form(page: &Page, error: Option<&str>) -> Markup {
    page.render("Choose a new password", &html! {
        (pages::error(error))
        div .card {
            p { "If there is an account with this address, we have sent a code to it." }
            (page.form("/forgot/code", &html! {
                (pages::code_field("Code"))
                (pages::password_field("password", "New password, 10 letters or more", "new-password"))
                button .wide { "Change the password" }
            }))
        }
        p .below { a href="/forgot" { "Ask for another code" } }
    })
}

#[derive(Deserialize)]
struct Reset {
    code: String,
    password: String,
}

async fn submit_code(
    State(state): State<AppState>,
    page: Page,
    jar: Jar,
    Form(typed): Form<Reset>,
) -> AppResult<Response> {
    if let Err(error) = input::password(&typed.password) {
        return Ok(pages::unprocessable(code_form(&page, Some(error))));
    }
    // Before the code is looked at, so that all answers take the same time.
    let hash = state.passwords.hash(&typed.password).await?;
    let token = jar.get("reset").unwrap_or_default();
    let user_id = PENDING
        .take_with_code::<Option<String>>(&*state.database, token, &typed.code)
        .await?;
    let Some(Some(user_id)) = user_id else {
        return Ok(pages::unprocessable(code_form(
            &page,
            Some(pages::WRONG_CODE),
        )));
    };
    set_password(&state, &user_id, &hash).await?;
    Ok((jar.forget("reset"), Redirect::to("/sign-in?notice=reset")).into_response())
}

/// Whoever has known the old password is out: the sessions end with it. A sign-in that is under way notices the new hash.
async fn set_password(state: &AppState, user_id: &str, hash: &str) -> AuthResult<()> {
    transaction(&*state.database, |tx| async move {
        match tx.get_credential_account(user_id).await? {
            Some(account) => {
                tx.update_account(&account.id, UpdateAccount::new().with_password(hash))
                    .await?
            }
            None => {
                let account = CreateAccount::new(user_id, "credential", user_id);
                tx.create_account(account.with_password(hash)).await?
            }
        };
        tx.delete_user_sessions(user_id).await
    })
    .await
}
