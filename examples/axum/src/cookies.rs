//! The cookies beside that of the session: each holds the token of a flow until the browser closes.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponseParts, ResponseParts};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};

use crate::state::AppState;

/// The cookies of a request, and those that the response sets.
pub struct Jar {
    cookies: CookieJar,
    session_name: String,
    /// Over plain http, browsers take neither `Secure` nor the prefix that needs it.
    is_secure: bool,
}

impl Jar {
    /// The cookies of a request.
    #[must_use]
    pub fn read(headers: &HeaderMap, state: &AppState) -> Self {
        Self {
            cookies: CookieJar::from_headers(headers),
            session_name: state.auth.cookie_name().to_owned(),
            is_secure: !state.config.is_development(),
        }
    }

    /// The token of the session, which may be anything.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.cookies.get(&self.session_name).map(Cookie::value)
    }

    /// The token of a flow.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.cookies.get(&self.full_name(name)).map(Cookie::value)
    }

    /// Sets the token of a flow.
    #[must_use]
    pub fn set(mut self, name: &str, token: &str) -> Self {
        self.cookies = self.cookies.clone().add(self.cookie(name, token));
        self
    }

    /// Takes the token of a flow away.
    #[must_use]
    pub fn forget(mut self, name: &str) -> Self {
        self.cookies = self.cookies.clone().remove(self.cookie(name, ""));
        self
    }

    fn cookie(&self, name: &str, token: &str) -> Cookie<'static> {
        Cookie::build((self.full_name(name), token.to_owned()))
            .path("/")
            .http_only(true)
            .secure(self.is_secure)
            // `Strict` would keep it back when the browser returns from a provider.
            .same_site(SameSite::Lax)
            .build()
    }

    fn full_name(&self, name: &str) -> String {
        if self.is_secure {
            format!("__Host-{name}")
        } else {
            name.to_owned()
        }
    }
}

impl FromRequestParts<AppState> for Jar {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::read(&parts.headers, state))
    }
}

impl IntoResponseParts for Jar {
    type Error = Infallible;

    fn into_response_parts(self, response: ResponseParts) -> Result<ResponseParts, Infallible> {
        self.cookies.into_response_parts(response)
    }
}
