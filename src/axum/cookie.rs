//! The cookie that holds a session's token.

use std::convert::Infallible;
use std::fmt;

use axum_core::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use chrono::{DateTime, Utc};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::types::Session;
use crate::{AuthError, AuthResult};

/// Which requests from other sites carry the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// Links that are followed to the application, not its forms and scripts elsewhere.
    #[default]
    Lax,
    /// All of them. The application then needs another protection against forged requests.
    None,
}

impl SameSite {
    fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// How the cookie is called and sent.
#[derive(Clone, Debug)]
pub(super) struct CookieConfig {
    pub(super) name: String,
    pub(super) domain: Option<String>,
    pub(super) path: String,
    pub(super) same_site: SameSite,
    pub(super) plain_http: bool,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: "session".to_owned(),
            domain: None,
            path: "/".to_owned(),
            same_site: SameSite::default(),
            plain_http: false,
        }
    }
}

/// What every cookie of a [`CookieConfig`] has.
#[derive(Clone, Debug)]
pub(super) struct CookieTemplate {
    /// With its prefix.
    pub(super) name: String,
    attributes: String,
}

impl CookieConfig {
    /// # Errors
    ///
    /// [`AuthError::Validation`] of what browsers would refuse or read as something else.
    pub(super) fn check(&self) -> AuthResult<()> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            let message = "must be letters, digits and any of !#$%&'*+-.^_`|~";
            return Err(AuthError::validation("cookie_name", message));
        }
        let is_value = |byte: u8| byte.is_ascii_graphic() && byte != b';';
        if !self.path.starts_with('/') || !self.path.bytes().all(is_value) {
            let message = "must begin with a slash and have neither white space nor semicolons";
            return Err(AuthError::validation("cookie_path", message));
        }
        let domain = self.domain.as_deref();
        if domain.is_some_and(|domain| domain.is_empty() || !domain.bytes().all(is_value)) {
            let message = "must be a domain";
            return Err(AuthError::validation("cookie_domain", message));
        }
        if self.plain_http && self.same_site == SameSite::None {
            let message = "browsers take SameSite=None over https only";
            return Err(AuthError::validation("same_site", message));
        }
        Ok(())
    }
}

impl CookieTemplate {
    pub(super) fn new(config: &CookieConfig) -> Self {
        let CookieConfig {
            name,
            domain,
            path,
            same_site,
            plain_http,
        } = config;
        let prefix = match (plain_http, domain, path.as_str()) {
            (true, ..) => "",
            (false, None, "/") => "__Host-",
            (false, ..) => "__Secure-",
        };
        let domain = domain.as_ref().map(|domain| format!("; Domain={domain}"));
        let secure = if *plain_http { "" } else { "; Secure" };
        Self {
            name: format!("{prefix}{name}"),
            attributes: format!(
                "; Path={path}{}; HttpOnly{secure}; SameSite={}",
                domain.unwrap_or_default(),
                same_site.as_str()
            ),
        }
    }

    /// The cookie of a session, until it ends.
    pub(super) fn of(&self, session: &Session, now: DateTime<Utc>) -> SessionCookie {
        let seconds = (session.expires_at - now).num_seconds().max(0);
        self.cookie(&session.token, seconds)
    }

    /// Takes the cookie away.
    pub(super) fn removal(&self) -> SessionCookie {
        self.cookie("", 0)
    }

    fn cookie(&self, token: &str, max_age: i64) -> SessionCookie {
        let Self { name, attributes } = self;
        let text = format!("{name}={token}{attributes}; Max-Age={max_age}");
        // The token of an adapter that hands out others than ours may hold anything.
        let is_cookie_value = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        let value = token
            .bytes()
            .all(is_cookie_value)
            .then(|| HeaderValue::try_from(text).ok());
        SessionCookie(value.flatten())
    }
}

/// A `Set-Cookie` header with the token of a session, or with none, which takes the cookie away. Return it from a handler.
///
/// The response is `Cache-Control: no-store`, unless it says `private` or `no-store` already.
///
/// ```
/// # use std::sync::Arc;
/// use axum::response::{IntoResponse, Redirect};
/// use better_auth::axum::{AuthRejection, AuthState, ClientInfo};
/// use better_auth::types::User;
///
/// async fn signed_in(auth: AuthState, user: User, client: ClientInfo) -> Result<impl IntoResponse, AuthRejection> {
///     let (_, cookie) = auth.sign_in(&user, client).await?;
///     Ok((cookie, Redirect::to("/")))
/// }
/// ```
#[derive(Clone)]
#[must_use = "a handler has to return the cookie"]
pub struct SessionCookie(Option<HeaderValue>);

impl SessionCookie {
    /// The value of the `Set-Cookie` header. `None` if the token can stand in no cookie, as only those of an adapter of
    /// your own may.
    #[must_use]
    pub fn header_value(&self) -> Option<&HeaderValue> {
        self.0.as_ref()
    }

    pub(super) fn add_to(self, headers: &mut HeaderMap) {
        let Some(mut value) = self.0 else { return };
        value.set_sensitive(true);
        headers.append(SET_COOKIE, value);
        let is_private = headers.get_all(CACHE_CONTROL).iter().any(|value| {
            let directives = value.to_str().unwrap_or_default().split(',').map(str::trim);
            directives.into_iter().any(|directive| {
                directive.eq_ignore_ascii_case("private")
                    || directive.eq_ignore_ascii_case("no-store")
            })
        });
        if !is_private {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}

impl fmt::Debug for SessionCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionCookie([redacted])")
    }
}

impl IntoResponseParts for SessionCookie {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        self.add_to(response.headers_mut());
        Ok(response)
    }
}

impl IntoResponse for SessionCookie {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}
