//! The adapter and how sessions are kept: what a router's state holds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum_core::extract::FromRef;
use chrono::{DateTime, Utc};

use super::cookie::{CookieConfig, CookieTemplate};
use super::{AuthRejection, ClientInfo, SameSite, SessionCookie};
use crate::adapters::input::{self, Refresh};
use crate::types::{CheckSession, CreateSession, Session, User};
use crate::{AuthResult, DatabaseAdapter};

const DAY: Duration = Duration::from_hours(24);

/// The adapter, and how sessions are kept: the state of a router, or a part of it.
///
/// ```
/// use std::sync::Arc;
///
/// use axum::extract::FromRef;
/// use better_auth::axum::AuthState;
///
/// #[derive(Clone)]
/// struct AppState {
///     auth: AuthState,
///     name: Arc<str>,
/// }
///
/// // Or `#[derive(FromRef)]`, with axum's feature `macros`.
/// impl FromRef<AppState> for AuthState {
///     fn from_ref(state: &AppState) -> Self {
///         state.auth.clone()
///     }
/// }
/// ```
///
/// A clone shares everything.
#[derive(Clone)]
pub struct AuthState(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) database: Arc<dyn DatabaseAdapter>,
    pub(super) cookie: CookieTemplate,
    pub(super) takes_bearer: bool,
    lifetime: Duration,
    /// What every request asks for.
    pub(super) check: CheckSession,
}

impl AuthState {
    /// Sessions of seven days that are extended once a day, in a cookie `__Host-session` or a bearer token.
    #[must_use]
    pub fn new(database: Arc<dyn DatabaseAdapter>) -> Self {
        Self::builder(database).into_state()
    }

    /// Another kind of sessions or cookies.
    pub fn builder(database: Arc<dyn DatabaseAdapter>) -> AuthStateBuilder {
        AuthStateBuilder {
            database,
            cookie: CookieConfig::default(),
            takes_bearer: true,
            lifetime: 7 * DAY,
            update_age: Some(DAY),
        }
    }

    /// The adapter.
    #[must_use]
    pub fn database(&self) -> &Arc<dyn DatabaseAdapter> {
        &self.0.database
    }

    /// Opens a session for a user who has proven to be the user, with a new token. Return the cookie, or send the token
    /// of the session to a client without cookies.
    ///
    /// # Errors
    ///
    /// [`AuthRejection::Banned`]; [`AuthRejection::Database`].
    pub async fn sign_in(
        &self,
        user: &User,
        client: ClientInfo,
    ) -> Result<(Session, SessionCookie), AuthRejection> {
        let now = Utc::now();
        if user.is_banned_at(now) {
            return Err(AuthRejection::Banned);
        }
        let session = CreateSession {
            ip_address: client.ip_address,
            user_agent: client.user_agent,
            ..CreateSession::new(&user.id, self.session_end()?)
        };
        let session = self.0.database.create_session(session).await?;
        let cookie = self.cookie(&session);
        Ok((session, cookie))
    }

    /// When a session ends that is opened now.
    fn session_end(&self) -> AuthResult<DateTime<Utc>> {
        let refresh = Refresh::new(self.0.lifetime, self.0.lifetime)?;
        Ok(refresh.end(input::now()))
    }

    /// Ends a session. Return the cookie, which takes the client's away.
    ///
    /// # Errors
    ///
    /// Those of [`delete_session`](DatabaseAdapter::delete_session).
    pub async fn sign_out(&self, session: &Session) -> AuthResult<SessionCookie> {
        self.0.database.delete_session(&session.token).await?;
        Ok(self.removal_cookie())
    }

    /// The cookie of a session, until its end.
    pub fn cookie(&self, session: &Session) -> SessionCookie {
        self.0.cookie.of(session, Utc::now())
    }

    /// A cookie that takes the client's away.
    pub fn removal_cookie(&self) -> SessionCookie {
        self.0.cookie.removal()
    }

    /// The name of the cookie, with its prefix.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        &self.0.cookie.name
    }
}

impl fmt::Debug for AuthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthState")
            .field("cookie", &self.0.cookie)
            .field("takes_bearer", &self.0.takes_bearer)
            .field("lifetime", &self.0.lifetime)
            .field("check", &self.0.check)
            .finish_non_exhaustive()
    }
}

impl FromRef<AuthState> for Arc<dyn DatabaseAdapter> {
    fn from_ref(auth: &AuthState) -> Self {
        Self::clone(auth.database())
    }
}

/// Makes an [`AuthState`].
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use better_auth::MemoryDatabaseAdapter;
/// use better_auth::axum::{AuthState, SameSite};
///
/// let development = true;
/// let auth = AuthState::builder(Arc::new(MemoryDatabaseAdapter::new()))
///     .lifetime(Duration::from_hours(24 * 30))
///     .update_age(Duration::from_hours(1))
///     .same_site(SameSite::Strict)
///     .plain_http(development)
///     .build()?;
/// assert_eq!(auth.cookie_name(), "session");
/// # Ok::<(), better_auth::AuthError>(())
/// ```
#[must_use = "nothing is made before `build`"]
pub struct AuthStateBuilder {
    database: Arc<dyn DatabaseAdapter>,
    cookie: CookieConfig,
    takes_bearer: bool,
    lifetime: Duration,
    update_age: Option<Duration>,
}

impl AuthStateBuilder {
    /// How long a session lasts that is not used. Default: seven days.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How old the last extension of a session is before a request extends it again, to `lifetime` from then. Default: a
    /// day. See [`refresh_session`](DatabaseAdapter::refresh_session).
    pub fn update_age(mut self, update_age: Duration) -> Self {
        self.update_age = Some(update_age);
        self
    }

    /// Sessions end `lifetime` after the sign-in, however much they are used. Such a router needs no
    /// [`SessionCookieLayer`](super::SessionCookieLayer).
    pub fn fixed_lifetime(mut self) -> Self {
        self.update_age = None;
        self
    }

    /// The name of the cookie, without its prefix. Default: `session`.
    ///
    /// The prefix is `__Host-`; `__Secure-` if the cookie has a domain or another path than `/`; none for plain http. With
    /// `__Host-`, browsers let no other host and no script set the cookie.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie.name = name.into();
        self
    }

    /// Sends the cookie to this domain and all below it. Default: to the host that has set it, and no other.
    pub fn cookie_domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.domain = Some(domain.into());
        self
    }

    /// Sends the cookie with this path and all below it. Default: `/`.
    pub fn cookie_path(mut self, path: impl Into<String>) -> Self {
        self.cookie.path = path.into();
        self
    }

    /// Which requests from other sites carry the cookie. Default: [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.cookie.same_site = same_site;
        self
    }

    /// Whether browsers reach the application by http, as in development: the cookie is neither `Secure` nor has a prefix,
    /// so it can be read on the way. Default: `false`.
    pub fn plain_http(mut self, plain_http: bool) -> Self {
        self.cookie.plain_http = plain_http;
        self
    }

    /// Whether a token in the header `Authorization: Bearer` counts, and before the cookie. Default: `true`.
    pub fn bearer(mut self, takes_bearer: bool) -> Self {
        self.takes_bearer = takes_bearer;
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`](crate::AuthError::Validation) of a name, domain or path that cannot stand in a cookie, of
    /// `SameSite=None` over plain http, and of times that [`refresh_session`](DatabaseAdapter::refresh_session) refuses.
    pub fn build(self) -> AuthResult<AuthState> {
        Refresh::new(self.lifetime, self.update_age.unwrap_or_default())?;
        self.cookie.check()?;
        Ok(self.into_state())
    }

    fn into_state(self) -> AuthState {
        AuthState(Arc::new(Inner {
            cookie: CookieTemplate::new(&self.cookie),
            database: self.database,
            takes_bearer: self.takes_bearer,
            lifetime: self.lifetime,
            check: match self.update_age {
                Some(update_age) => CheckSession::new().with_refresh(self.lifetime, update_age),
                None => CheckSession::new(),
            },
        }))
    }
}

impl fmt::Debug for AuthStateBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthStateBuilder")
            .field("cookie", &self.cookie)
            .field("takes_bearer", &self.takes_bearer)
            .field("lifetime", &self.lifetime)
            .field("update_age", &self.update_age)
            .finish_non_exhaustive()
    }
}
