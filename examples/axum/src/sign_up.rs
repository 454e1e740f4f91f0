//! Sign-up with a password. The user is created when the code of the mail proves the address, so nobody takes an address
//! that is someone else's, and every address in the store is verified.
//!
//! A stranger does not learn whether an address is known: both cases compute a hash, answer with the same page and store
//! the same rows, after the answer.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use better_auth::types::{CreateAccount, CreateUser};
use better_auth::{AuthError, AuthResult, ConflictField, DatabaseAdapter as _, transaction};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::cookies::Jar;
use crate::error::{AppError, AppResult};
use crate::input::{self, Form};
use crate::limits::Limit;
use crate::one_time::OneTime;
use crate::pages::{self, Page};
use crate::state::AppState;
use crate::{secrets, sessions};

const PENDING: OneTime = OneTime::new("sign-up", 30);
const BY_CLIENT: Limit = Limit::new("sign-up client", 20, 3600);
const BY_EMAIL: Limit = Limit::new("sign-up email", 5, 3600);

/// The pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/sign-up", get(show).post(submit))
        .route("/sign-up/code", get(show_code).post(submit_code))
}

#[derive(Default, Deserialize)]
struct SignUp {
    name: String,
    email: String,
    password: String,
}

/// Who waits for the code.
#[derive(Serialize, Deserialize)]
struct Pending {
    name: String,
    email: String,
    hash: String,
}

async fn show(page: Page) -> Markup {
    form(&page, &SignUp::default(), None)
}

fn form(page: &Page, typed: &SignUp, error: Option<&str>) -> Markup {
    page.render("Create an account", &html! {
        (pages::error(error))
        div .card {
            (page.form("/sign-up", &html! {
                (pages::field("name", "Name", "text", "name", &typed.name))
                (pages::field("email", "Email", "email", "username", &typed.email))
                (pages::password_field("password", "Password, 10 letters or more", "new-password"))
                button .wide { "Create the account" }
            }))
        }
        p .below { "You have one? " a href="/sign-in" { "Sign in" } }
    })
}

async fn submit(
    State(state): State<AppState>,
    page: Page,
    client: Client,
    jar: Jar,
    Form(typed): Form<SignUp>,
) -> AppResult<Response> {
    let (name, email) = match check(&typed) {
        Ok(checked) => checked,
        Err(error) => return Ok(pages::unprocessable(form(&page, &typed, Some(error)))),
    };
    BY_CLIENT.take(&state, &client.address).await?;
    BY_EMAIL.take(&state, &email).await?;
    let hash = state.passwords.hash(&typed.password).await?;
    let token = secrets::random_token();
    let jar = jar.set("sign-up", &token);
    let background = state.clone();
    state.background.spawn(async move {
        if let Err(error) = begin(&background, &token, Pending { name, email, hash }).await {
            tracing::error!(%error, "a sign-up could not begin");
        }
    });
    Ok((jar, Redirect::to("/sign-up/code")).into_response())
}

fn check(typed: &SignUp) -> Result<(String, String), &'static str> {
    input::password(&typed.password)?;
    Ok((input::name(&typed.name)?, input::email(&typed.email)?))
}

/// Sends the code, or says that there is an account. The rows are alike, but nobody is told the code that an account's
/// owner did not ask for.
async fn begin(state: &AppState, token: &str, pending: Pending) -> AuthResult<()> {
    let code = secrets::random_code();
    let email = pending.email.clone();
    let is_known = state.database.get_user_by_email(&email).await?.is_some();
    PENDING
        .store_with_code(
            &*state.database,
            token,
            &code,
            &(!is_known).then_some(pending),
        )
        .await?;
    let text = if is_known {
        format!(
            "You have an account already. If you forgot the password: {}/forgot",
            state.config.base_url
        )
    } else {
        format!("Your code is {code}. It is good for 30 minutes.")
    };
    state.mailer.send(&email, "Your sign-up", &text).await;
    Ok(())
}

async fn show_code(page: Page) -> Markup {
    code_form(&page, None)
}

fn code_form(page: &Page, error: Option<&str>) -> Markup {
    page.render("Look into your mail", &html! {
        (pages::error(error))
        div .card {
            p { "We have sent you a mail. If it has a code, type it here." }
            (page.form("/sign-up/code", &html! { (pages::code_field("Code")) button .wide { "Go on" } }))
        }
        p .below { a href="/sign-up" { "Begin again" } }
    })
}

async fn submit_code(
    State(state): State<AppState>,
    page: Page,
    client: Client,
    jar: Jar,
    Form(typed): Form<pages::Code>,
) -> AppResult<Response> {
    let token = jar.get("sign-up").unwrap_or_default();
    let pending = PENDING
        .take_with_code::<Option<Pending>>(&*state.database, token, &typed.code)
        .await?;
    let Some(Some(pending)) = pending else {
        return Ok(pages::unprocessable(code_form(
            &page,
            Some(pages::WRONG_CODE),
        )));
    };
    let user = match create(&state, &pending).await {
        // Someone else has proven the same address meanwhile.
        Err(AuthError::Conflict {
            field: ConflictField::Email,
        }) => return Err(AppError::NOT_FOUND),
        created => created?,
    };
    let (_, cookie) = sessions::open(&state, client, &jar, &user).await?;
    Ok((cookie, jar.forget("sign-up"), Redirect::to("/account")).into_response())
}

/// The user and the account with the password, or neither.
async fn create(state: &AppState, pending: &Pending) -> AuthResult<better_auth::types::User> {
    let is_administrator = state.config.administrator.as_deref() == Some(&*pending.email);
    let user = CreateUser::new()
        .with_name(&pending.name)
        .with_email(&pending.email)
        .with_email_verified(true)
        .maybe_role(is_administrator.then_some("admin"));
    let (user, hash) = (&user, &pending.hash);
    transaction(&*state.database, |tx| async move {
        let user = tx.create_user(user.clone()).await?;
        let account = CreateAccount::new(&user.id, "credential", &user.id).with_password(hash);
        tx.create_account(account).await?;
        Ok(user)
    })
    .await
}
