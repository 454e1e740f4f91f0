//! The account page: address, password, second factor, linked accounts.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use better_auth::types::{Account, UpdateAccount, UpdateUser};
use better_auth::{AuthError, AuthResult, ConflictField, DatabaseAdapter as _, transaction};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use crate::cookies::Jar;
use crate::error::{AppError, AppResult};
use crate::input::{self, Form};
use crate::limits::Limit;
use crate::one_time::OneTime;
use crate::pages::{self, Code, Page};
use crate::state::AppState;
use crate::visitor::SignedIn;
use crate::{oauth, second_factor, secrets};

const NEW_EMAIL: OneTime = OneTime::new("new email", 30);
const MAILS: Limit = Limit::new("new email user", 5, 3600);
const PASSWORDS: Limit = Limit::new("password user", 10, 60);

/// The pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/account", get(show))
        .route("/account/name", post(change_name))
        .route("/account/password", post(change_password))
        .route("/account/email", post(change_email))
        .route("/account/email/code", get(show_code).post(confirm_email))
        .route("/account/unlink", post(unlink))
}

async fn show(State(state): State<AppState>, signed_in: SignedIn) -> AppResult<Markup> {
    let accounts = state.database.get_user_accounts(&signed_in.user.id).await?;
    Ok(account_page(&signed_in, &accounts, None))
}

fn account_page(signed_in: &SignedIn, accounts: &[Account], error: Option<&str>) -> Markup {
    let SignedIn { page, user, .. } = signed_in;
    let name = user.name.as_deref().unwrap_or_default();
    let has_password = accounts.iter().any(|account| account.password.is_some());
    page.render(&format!("Hello, {name}"), &html! {
        (pages::error(error))
        div .columns {
            div {
                section .card {
                    h2 { "Profile" }
                    (page.form("/account/name", &html! {
                        (pages::field("name", "Name", "text", "name", name))
                        button .quiet { "Save the name" }
                    }))
                }
                section .card {
                    h2 { "Email" }
                    p { (user.email.as_deref().unwrap_or("No address yet")) " "
                        @if user.email_verified { span .tag.good { "verified" } } }
                    (page.form("/account/email", &html! {
                        (pages::field("email", "New address", "email", "email", ""))
                        button .quiet { "Send a code to it" }
                    }))
                }
                section .card {
                    h2 { "Linked accounts" }
                    (linked(page, accounts))
                }
            }
            div {
                @if has_password { (second_factor::section(page, user)) }
                section .card {
                    h2 { "Password" }
                    @if has_password {
                        (page.form("/account/password", &html! {
                            (pages::password_field("current", "Your password", "current-password"))
                            (pages::password_field("password", "New password, 10 letters or more", "new-password"))
                            button .quiet { "Change the password" }
                        }))
                    } @else {
                        p { "You have none. " a href="/forgot" { "Get one by mail" } }
                    }
                }
            }
        }
    })
}

fn linked(page: &Page, accounts: &[Account]) -> Markup {
    let linked = accounts
        .iter()
        .find(|account| account.provider_id == oauth::PROVIDER);
    html! {
        @match linked {
            Some(_) => ul .list { li {
                div .what { strong { "Pretend" } span .faint { "You can sign in with it." } }
                // The last way to sign in stays.
                @if accounts.len() > 1 { (page.button("/account/unlink", "Unlink", "danger")) }
            } },
            None => {
                p .faint { "Sign in with an account that you have elsewhere." }
                (page.button("/oauth/start", "Link Pretend", "quiet"))
            }
        }
    }
}

/// The page again, with what is wrong.
async fn refused(state: &AppState, signed_in: &SignedIn, error: &str) -> AppResult<Response> {
    let accounts = state.database.get_user_accounts(&signed_in.user.id).await?;
    Ok(pages::unprocessable(account_page(
        signed_in,
        &accounts,
        Some(error),
    )))
}

/// Whoever sits at an open session has to know the password too. The response that refuses, or nothing.
pub(crate) async fn check_password(
    state: &AppState,
    signed_in: &SignedIn,
    password: &str,
) -> AppResult<Option<Response>> {
    PASSWORDS.take(state, &signed_in.user.id).await?;
    let account = state
        .database
        .get_credential_account(&signed_in.user.id)
        .await?;
    let hash = account.and_then(|account| account.password);
    if state.passwords.verify(password, hash.as_deref()).await? {
        return Ok(None);
    }
    refused(state, signed_in, "Your password is another one.")
        .await
        .map(Some)
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

async fn change_name(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(form): Form<Name>,
) -> AppResult<Response> {
    let name = match input::name(&form.name) {
        Ok(name) => name,
        Err(error) => return refused(&state, &signed_in, error).await,
    };
    state
        .database
        .update_user(&signed_in.user.id, UpdateUser::new().with_name(name))
        .await?;
    Ok(Redirect::to("/account?notice=saved").into_response())
}

#[derive(Deserialize)]
struct Password {
    current: String,
    password: String,
}

async fn change_password(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(form): Form<Password>,
) -> AppResult<Response> {
    if let Some(wrong) = check_password(&state, &signed_in, &form.current).await? {
        return Ok(wrong);
    }
    if let Err(error) = input::password(&form.password) {
        return refused(&state, &signed_in, error).await;
    }
    let hash = &state.passwords.hash(&form.password).await?;
    let SignedIn { session, user, .. } = &signed_in;
    let changed: AuthResult<_> = transaction(&*state.database, |tx| async move {
        let account = tx
            .get_credential_account(&user.id)
            .await?
            .ok_or(AuthError::AccountNotFound)?;
        tx.update_account(&account.id, UpdateAccount::new().with_password(hash))
            .await?;
        tx.delete_other_sessions(&user.id, &session.token).await
    })
    .await;
    changed?;
    Ok(Redirect::to("/account?notice=password").into_response())
}

#[derive(Deserialize)]
struct Email {
    email: String,
}

/// An address that waits for its code.
#[derive(Serialize, Deserialize)]
struct NewEmail {
    user_id: String,
    email: String,
}

/// Tells nobody whether the address has an account: its owner is told by the mail.
async fn change_email(
    State(state): State<AppState>,
    signed_in: SignedIn,
    jar: Jar,
    Form(form): Form<Email>,
) -> AppResult<Response> {
    let email = match input::email(&form.email) {
        Ok(email) => email,
        Err(error) => return refused(&state, &signed_in, error).await,
    };
    MAILS.take(&state, &signed_in.user.id).await?;
    let token = secrets::random_token();
    let jar = jar.set("new-email", &token);
    let background = state.clone();
    let user_id = signed_in.user.id;
    state.background.spawn(async move {
        if let Err(error) = send_code(&background, &token, NewEmail { user_id, email }).await {
            tracing::error!(%error, "a change of an address could not begin");
        }
    });
    Ok((jar, Redirect::to("/account/email/code")).into_response())
}

async fn send_code(state: &AppState, token: &str, new: NewEmail) -> AuthResult<()> {
    let code = secrets::random_code();
    let email = new.email.clone();
    let is_known = state.database.get_user_by_email(&email).await?.is_some();
    NEW_EMAIL
        .store_with_code(&*state.database, token, &code, &(!is_known).then_some(new))
        .await?;
    let text = if is_known {
        "Someone wants to use this address, but it has an account already.".to_owned()
    } else {
        format!("Your code is {code}. It is good for 30 minutes.")
    };
    state.mailer.send(&email, "Your new address", &text).await;
    Ok(())
}

async fn show_code(signed_in: SignedIn) -> Markup {
    code_form(&signed_in.page, None)
}

fn code_form(page: &Page, error: Option<&str>) -> Markup {
    page.render("Look into your mail", &html! {
        (pages::error(error))
        div .card {
            p { "We have sent a mail to the new address. If it has a code, type it here." }
            (page.form("/account/email/code", &html! { (pages::code_field("Code")) button { "Go on" } }))
        }
    })
}

async fn confirm_email(
    State(state): State<AppState>,
    signed_in: SignedIn,
    jar: Jar,
    Form(typed): Form<Code>,
) -> AppResult<Response> {
    let token = jar.get("new-email").unwrap_or_default();
    let new = NEW_EMAIL
        .take_with_code::<Option<NewEmail>>(&*state.database, token, &typed.code)
        .await?;
    // Another user's, if someone else has signed in meanwhile.
    let new = new.flatten().filter(|new| new.user_id == signed_in.user.id);
    let Some(new) = new else {
        return Ok(pages::unprocessable(code_form(
            &signed_in.page,
            Some(pages::WRONG_CODE),
        )));
    };
    let update = UpdateUser::new()
        .with_email(new.email)
        .with_email_verified(true);
    match state.database.update_user(&signed_in.user.id, update).await {
        // Someone else has proven it meanwhile.
        Err(AuthError::Conflict {
            field: ConflictField::Email,
        }) => return Err(AppError::NOT_FOUND),
        updated => updated?,
    };
    Ok((
        jar.forget("new-email"),
        Redirect::to("/account?notice=email"),
    )
        .into_response())
}

async fn unlink(State(state): State<AppState>, signed_in: SignedIn) -> AppResult<Response> {
    let accounts = state.database.get_user_accounts(&signed_in.user.id).await?;
    let linked = accounts
        .iter()
        .find(|account| account.provider_id == oauth::PROVIDER);
    if let Some(account) = linked
        && accounts.len() > 1
    {
        state.database.delete_account(&account.id).await?;
    }
    Ok(Redirect::to("/account?notice=unlinked").into_response())
}
