//! The second factor: codes of an authenticator app, and backup codes.
//!
//! The store counts an attempt before a code is compared, and takes each code once. The secret is stored encrypted, the
//! backup codes signed.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use better_auth::types::{Attempt, StepOutcome, TwoFactor, User};
use data_encoding::BASE32_NOPAD;
use maud::{Markup, PreEscaped, html};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;

use crate::client::Client;
use crate::cookies::Jar;
use crate::error::{AppError, AppResult};
use crate::input::Form;
use crate::pages::{self, Code, Page};
use crate::sign_in::{self, PENDING, PENDING_COOKIE, Pending};
use crate::state::AppState;
use crate::visitor::SignedIn;
use crate::{account, secrets, totp};

const MAX_FAILURES: u32 = 5;
const LOCK: Duration = Duration::from_secs(15 * 60);
const BACKUP_CODES: usize = 10;

const LOCKED: &str = "There were too many wrong codes. Wait for a quarter of an hour.";
const WRONG: &str = "This code is wrong, or was used already.";

/// The pages.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/sign-in/second-factor", get(show_code).post(submit_code))
        .route("/account/second-factor", post(enroll))
        .route("/account/second-factor/confirm", post(confirm))
        .route("/account/second-factor/disable", post(disable))
}

async fn show_code(page: Page) -> Markup {
    code_form(&page, None)
}

fn code_form(page: &Page, error: Option<&str>) -> Markup {
    page.render("Second factor", &html! {
        (pages::error(error))
        div .card {
            p { "Type the code that your authenticator app shows, or one of your backup codes." }
            (page.form("/sign-in/second-factor", &html! { (pages::code_field("Code")) button .wide { "Sign in" } }))
        }
        p .below { a href="/sign-in" { "Begin again" } }
    })
}

async fn submit_code(
    State(state): State<AppState>,
    page: Page,
    client: Client,
    jar: Jar,
    Form(typed): Form<Code>,
) -> AppResult<Response> {
    let token = jar.get(PENDING_COOKIE).unwrap_or_default().to_owned();
    let waiting: Option<Pending> = PENDING.look(&*state.database, &token).await?;
    let Some(waiting) = waiting else {
        return Err(AppError::SignIn("/".to_owned()));
    };
    if let Some(wrong) = check(&state, &waiting.user_id, &typed.code).await? {
        return Ok(pages::unprocessable(code_form(&page, Some(wrong))));
    }
    // The pending sign-in opens one session, whoever else has its token.
    let Some(pending) = PENDING.take::<Pending>(&*state.database, &token).await? else {
        return Err(AppError::SignIn("/".to_owned()));
    };
    let user = state
        .database
        .get_user_by_id(&pending.user_id)
        .await?
        .ok_or(AppError::NOT_FOUND)?;
    sign_in::complete(&state, client, jar.forget(PENDING_COOKIE), &user, &pending).await
}

/// Uses a code up. What is wrong with it, or nothing.
async fn check(state: &AppState, user_id: &str, typed: &str) -> AppResult<Option<&'static str>> {
    let factors = state.database.two_factor()?;
    let factor = match factors.begin_attempt(user_id, MAX_FAILURES, LOCK).await? {
        Attempt::Granted(factor) if factor.verified => factor,
        Attempt::Granted(_) | Attempt::NotEnrolled => return Ok(Some(WRONG)),
        Attempt::Locked { .. } => return Ok(Some(LOCKED)),
    };
    if let Some(step) = totp::step_of(typed, &secret(state, &factor)?) {
        return Ok(match factors.accept_step(user_id, step).await? {
            StepOutcome::Accepted => None,
            StepOutcome::Locked { .. } => Some(LOCKED),
            StepOutcome::Replayed | StepOutcome::NotEnrolled => Some(WRONG),
        });
    }
    let stored = factor.backup_codes.as_deref();
    let Some(left) = without(stored, &sign(state, typed)) else {
        return Ok(Some(WRONG));
    };
    let is_taken = factors
        .replace_backup_codes(user_id, stored, Some(&left))
        .await?;
    Ok((!is_taken).then_some(WRONG))
}

fn secret(state: &AppState, factor: &TwoFactor) -> AppResult<String> {
    let secret = state.secrets.decrypt("second factor", &factor.secret);
    secret.ok_or_else(|| AppError::internal("decrypting a second factor", &AnotherSecret))
}

#[derive(Debug)]
struct AnotherSecret;

impl std::fmt::Display for AnotherSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it was encrypted by another SECRET")
    }
}

impl std::error::Error for AnotherSecret {}

/// The signatures of the backup codes without this one.
fn without(stored: Option<&str>, signature: &str) -> Option<String> {
    let left: Vec<&str> = stored?
        .split(' ')
        .filter(|other| *other != signature)
        .collect();
    let left = left.join(" ");
    (left.len() < stored?.len()).then_some(left)
}

/// What is stored of a backup code, however its owner spells it.
fn sign(state: &AppState, code: &str) -> String {
    let letters: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    state
        .secrets
        .sign("backup code", &letters.to_ascii_uppercase())
}

/// 50 random bits each.
fn new_backup_codes() -> Vec<String> {
    let code = |_| {
        let letters = BASE32_NOPAD.encode(&secrets::random_bytes::<7>());
        format!("{}-{}", &letters[..5], &letters[5..10])
    };
    (0..BACKUP_CODES).map(code).collect()
}

/// The part of the account page.
pub(crate) fn section(page: &Page, user: &User) -> Markup {
    html! {
        section .card {
            h2 { "Second factor " @if user.two_factor_enabled { span .tag.good { "on" } } }
            @if user.two_factor_enabled {
                p .faint { "Each sign-in asks for a code of your authenticator app." }
                (page.form("/account/second-factor/disable", &html! {
                    (pages::password_field("off-password", "Your password", "current-password"))
                    button .danger { "Switch it off" }
                }))
            } @else {
                p .faint { "An authenticator app on your phone shows codes that each sign-in then asks for." }
                (page.form("/account/second-factor", &html! {
                    (pages::password_field("on-password", "Your password", "current-password"))
                    button { "Set it up" }
                }))
            }
        }
    }
}

#[derive(Deserialize)]
struct Password {
    #[serde(alias = "on-password", alias = "off-password")]
    password: String,
}

async fn enroll(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(form): Form<Password>,
) -> AppResult<Response> {
    if let Some(wrong) = account::check_password(&state, &signed_in, &form.password).await? {
        return Ok(wrong);
    }
    let (secret, codes) = (totp::new_secret(), new_backup_codes());
    let signed: Vec<_> = codes.iter().map(|code| sign(&state, code)).collect();
    let sealed = state.secrets.encrypt("second factor", &secret);
    state
        .database
        .two_factor()?
        .enroll(&signed_in.user.id, &sealed, Some(&signed.join(" ")))
        .await?;
    Ok(setup(&signed_in, &secret, Some(&codes), None).into_response())
}

/// Shows the secret until a code of it was typed, and the backup codes once.
fn setup(
    signed_in: &SignedIn,
    secret: &str,
    codes: Option<&[String]>,
    error: Option<&str>,
) -> Markup {
    let url = totp::url(secret, signed_in.user.email.as_deref().unwrap_or_default());
    let picture =
        QrCode::new(&url).map(|code| code.render::<svg::Color<'_>>().quiet_zone(false).build());
    signed_in.page.render("Set up the second factor", &html! {
        (pages::error(error))
        div .columns {
            section .card {
                h2 { "1. Scan it" }
                @if let Ok(picture) = picture {
                    // Without the XML declaration, which is for files.
                    p .qr role="img" aria-label="The secret as a picture" { (PreEscaped(picture.split_once("?>").map_or("", |(_, svg)| svg))) }
                }
                p { "Or type the secret: " code { (secret) } }
                p { a href=(url) { "Open it in an app of this device" } }
            }
            section .card {
                @if let Some(codes) = codes {
                    h2 { "2. Keep the backup codes" }
                    p .faint { "Each signs you in once if the phone is lost. They are shown this once." }
                    ul .codes { @for code in codes { li { (code) } } }
                }
                h2 { "3. Type a code" }
                (signed_in.page.form("/account/second-factor/confirm", &html! {
                    (pages::code_field("Code of the app"))
                    button { "Switch it on" }
                }))
            }
        }
    })
}

async fn confirm(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(typed): Form<Code>,
) -> AppResult<Response> {
    let factors = state.database.two_factor()?;
    let factor = match factors
        .begin_attempt(&signed_in.user.id, MAX_FAILURES, LOCK)
        .await?
    {
        Attempt::Granted(factor) if !factor.verified => factor,
        Attempt::Granted(_) | Attempt::NotEnrolled => return Err(AppError::NOT_FOUND),
        Attempt::Locked { until } => return Err(AppError::until(until)),
    };
    let secret = secret(&state, &factor)?;
    let Some(step) = totp::step_of(&typed.code, &secret) else {
        return Ok(pages::unprocessable(setup(
            &signed_in,
            &secret,
            None,
            Some(WRONG),
        )));
    };
    factors.confirm(&signed_in.user.id, step).await?;
    Ok(Redirect::to("/account?notice=second-factor-on").into_response())
}

async fn disable(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(form): Form<Password>,
) -> AppResult<Response> {
    if let Some(wrong) = account::check_password(&state, &signed_in, &form.password).await? {
        return Ok(wrong);
    }
    state
        .database
        .two_factor()?
        .disable(&signed_in.user.id)
        .await?;
    Ok(Redirect::to("/account?notice=second-factor-off").into_response())
}
