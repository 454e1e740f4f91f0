//! Pretend, a provider of identities that lives inside the example and believes everything. Without it, the example would
//! need a registration at a real provider. It is there in development only.
//!
//! A real provider has these pages on a site of its own, and [`Provider::exchange`] is a request to its token endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::get;
use data_encoding::BASE64URL_NOPAD;
use maud::{Markup, html};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{AppError, AppResult};
use crate::input::{Form, Query};
use crate::pages::{self, Page};
use crate::secrets;
use crate::state::AppState;

/// What the provider says of a user.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The user's id at the provider.
    pub id: String,
    /// The user's name.
    pub name: String,
    /// The user's address.
    pub email: String,
    /// Whether the provider has verified the address.
    pub email_verified: bool,
}

/// The codes that the provider has given out.
#[derive(Clone, Default)]
pub struct Provider(Arc<Mutex<HashMap<String, Grant>>>);

struct Grant {
    profile: Profile,
    challenge: String,
}

impl Provider {
    /// Who has signed in at the provider: for the code, once, and only to who has begun, as the verifier proves (PKCE).
    #[must_use]
    pub fn exchange(&self, code: &str, verifier: &str) -> Option<Profile> {
        let grant = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(code)?;
        (grant.challenge == challenge(verifier)).then_some(grant.profile)
    }

    fn grant(&self, challenge: String, profile: Profile) -> String {
        let code = secrets::random_token();
        let grant = Grant { profile, challenge };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(code.clone(), grant);
        code
    }
}

/// What the verifier's owner sends ahead.
#[must_use]
pub fn challenge(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(verifier))
}

/// The pages of the provider.
pub fn routes() -> Router<AppState> {
    Router::new().route("/pretend/authorize", get(show).post(submit))
}

#[derive(Deserialize)]
struct Authorize {
    redirect_uri: String,
    state: String,
    code_challenge: String,
}

async fn show(page: Page, Query(query): Query<Authorize>) -> Markup {
    page.render("Pretend to be someone", &html! {
        div .card {
            p .faint { "This is the page of a provider. Elsewhere you would sign in here." }
            (page.form("/pretend/authorize", &html! {
                input type="hidden" name="redirect_uri" value=(query.redirect_uri);
                input type="hidden" name="state" value=(query.state);
                input type="hidden" name="code_challenge" value=(query.code_challenge);
                (pages::field("name", "Name", "text", "off", ""))
                (pages::field("email", "Email", "email", "off", ""))
                label .check { input type="checkbox" name="email_verified" value="true"; "The provider has verified this address" }
                button .wide { "Go on" }
            }))
        }
    })
}

#[derive(Deserialize)]
struct Authorized {
    redirect_uri: String,
    state: String,
    code_challenge: String,
    name: String,
    email: String,
    #[serde(default)]
    email_verified: bool,
}

async fn submit(
    State(state): State<AppState>,
    Form(form): Form<Authorized>,
) -> AppResult<Redirect> {
    // A provider sends nobody to an address that was not registered.
    if form.redirect_uri != redirect_uri(&state) {
        return Err(AppError::FORBIDDEN);
    }
    let profile = Profile {
        id: secrets::digest(&form.email),
        name: form.name,
        email: form.email,
        email_verified: form.email_verified,
    };
    let code = state.provider.grant(form.code_challenge, profile);
    Ok(Redirect::to(&pages::link(
        &form.redirect_uri,
        &[("code", &code), ("state", &form.state)],
    )))
}

/// Where the provider sends users back to.
#[must_use]
pub fn redirect_uri(state: &AppState) -> String {
    format!("{}/oauth/callback", state.config.base_url)
}
