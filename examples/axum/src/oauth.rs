//! Sign-in with a provider, by an authorization code with PKCE, and accounts that are linked to a user.
//!
//! An account is linked by its address only if the provider and this application have both verified the address. Otherwise
//! whoever writes someone else's address into a profile would get that person's account, or wait in it.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use better_auth::types::{CreateAccount, CreateUser, User};
use better_auth::{AuthError, AuthResult, DatabaseAdapter as _, transaction};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::cookies::Jar;
use crate::error::{AppError, AppResult};
use crate::input::{self, Form, Query};
use crate::limits::Limit;
use crate::one_time::OneTime;
use crate::pages::{self, Page};
use crate::provider::{self, Profile};
use crate::state::AppState;
use crate::{secrets, sign_in};

/// What accounts of the provider are stored under.
pub(crate) const PROVIDER: &str = "pretend";

const JOURNEY: OneTime = OneTime::new("oauth", 10);
const BY_CLIENT: Limit = Limit::new("oauth client", 50, 60);

const OUT_OF_DATE: AppError = AppError::Refused(
    StatusCode::BAD_REQUEST,
    "This sign-in is out of date. Begin again.",
);
const NOT_VERIFIED: AppError = AppError::Refused(
    StatusCode::CONFLICT,
    "There is an account with this address, which was never verified. Sign in to it, and link this one there.",
);

/// The way to the provider and back.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/oauth/start", post(start))
        .route("/oauth/callback", get(callback))
}

/// Who is on the way to the provider.
#[derive(Serialize, Deserialize)]
struct Journey {
    verifier: String,
    /// The user who was signed in, and links an account.
    link_to: Option<String>,
    next: String,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    next: String,
}

async fn start(
    State(state): State<AppState>,
    page: Page,
    client: Client,
    jar: Jar,
    Form(form): Form<Start>,
) -> AppResult<Response> {
    BY_CLIENT.take(&state, &client.address).await?;
    // The token is the `state` of OAuth. The cookie binds it to this browser.
    let (token, verifier) = (secrets::random_token(), secrets::random_token());
    let authorize = pages::link(
        "/pretend/authorize",
        &[
            ("response_type", "code"),
            ("client_id", "example"),
            ("redirect_uri", &provider::redirect_uri(&state)),
            ("state", &token),
            ("code_challenge", &provider::challenge(&verifier)),
            ("code_challenge_method", "S256"),
        ],
    );
    let link_to = page.user.map(|user| user.id);
    let journey = Journey {
        verifier,
        link_to,
        next: input::local_path(&form.next).to_owned(),
    };
    JOURNEY.store(&*state.database, &token, &journey).await?;
    Ok((jar.set("oauth", &token), Redirect::to(&authorize)).into_response())
}

#[derive(Deserialize)]
struct Callback {
    code: String,
    state: String,
}

async fn callback(
    State(state): State<AppState>,
    page: Page,
    client: Client,
    jar: Jar,
    Query(query): Query<Callback>,
) -> AppResult<Response> {
    if jar.get("oauth") != Some(&*query.state) {
        return Err(OUT_OF_DATE);
    }
    let journey: Option<Journey> = JOURNEY.take(&*state.database, &query.state).await?;
    let journey = journey.ok_or(OUT_OF_DATE)?;
    let profile = state
        .provider
        .exchange(&query.code, &journey.verifier)
        .ok_or(OUT_OF_DATE)?;
    let jar = jar.forget("oauth");
    if let Some(link_to) = journey.link_to {
        // Someone else may have signed in meanwhile.
        let user = page
            .user
            .filter(|user| user.id == link_to)
            .ok_or(OUT_OF_DATE)?;
        state
            .database
            .link_account(CreateAccount::new(user.id, PROVIDER, profile.id))
            .await?;
        return Ok((jar, Redirect::to("/account?notice=linked")).into_response());
    }
    let user = find_or_create(&state, profile).await?;
    let account = state.database.get_credential_account(&user.id).await?;
    let hash = account
        .and_then(|account| account.password)
        .unwrap_or_default();
    sign_in::proceed(&state, client, jar, &user, &hash, &journey.next).await
}

async fn find_or_create(state: &AppState, profile: Profile) -> AppResult<User> {
    let database = &*state.database;
    if let Some(account) = database.get_account(PROVIDER, &profile.id).await? {
        return database
            .get_user_by_id(&account.user_id)
            .await?
            .ok_or(AppError::NOT_FOUND);
    }
    let name = input::name(&profile.name).map_err(|_| OUT_OF_DATE)?;
    if !profile.email_verified {
        // Nor does the address tell whether it is known.
        return Ok(create(state, CreateUser::new().with_name(name), &profile.id).await?);
    }
    let email = input::email(&profile.email).map_err(|_| OUT_OF_DATE)?;
    match database.get_user_by_email(&email).await? {
        Some(user) if user.email_verified => {
            database
                .link_account(CreateAccount::new(&user.id, PROVIDER, profile.id))
                .await?;
            Ok(user)
        }
        Some(_) => Err(NOT_VERIFIED),
        None => {
            let user = CreateUser::new()
                .with_name(name)
                .with_email(email)
                .with_email_verified(true);
            Ok(create(state, user, &profile.id).await?)
        }
    }
}

/// The user and the account, or neither.
async fn create(state: &AppState, user: CreateUser, account_id: &str) -> AuthResult<User> {
    let user = &user;
    transaction(&*state.database, |tx| async move {
        let user = tx.create_user(user.clone()).await?;
        tx.create_account(CreateAccount::new(&user.id, PROVIDER, account_id))
            .await?;
        Ok::<_, AuthError>(user)
    })
    .await
}
