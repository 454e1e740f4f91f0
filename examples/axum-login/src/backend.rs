//! The backend for axum-login.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum_login::{AuthUser, AuthnBackend};
use better_auth::chrono::Utc;
use better_auth::prelude::*;
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The user of a request, with the session that says so.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub session: Session,
    pub user: User,
    token: SessionToken,
}

impl SignedIn {
    fn new((session, user): (Session, User)) -> Self {
        let token = SessionToken(session.token.clone());
        Self {
            session,
            user,
            token,
        }
    }
}

/// The token of a session. axum-login writes what `Display` says into its spans, so it says nothing.
#[derive(Clone, Deserialize, Serialize)]
pub struct SessionToken(String);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl AuthUser for SignedIn {
    type Id = SessionToken;

    fn id(&self) -> SessionToken {
        self.token.clone()
    }

    /// Whatever ends a session, such as a new password, removes its row: there is nothing else to compare.
    fn session_auth_hash(&self) -> &[u8] {
        self.session.id.as_bytes()
    }
}

/// What a sign-in form sends.
#[derive(Deserialize)]
pub struct Credentials {
    pub email: String,
    pub password: String,
}

/// Checks passwords and sessions.
#[derive(Clone)]
pub struct Backend {
    database: Arc<dyn DatabaseAdapter>,
    /// Whether a password is the one of a hash. A slow one runs on a thread of its own.
    is_right: fn(&str, &str) -> bool,
}

impl Backend {
    pub fn new(database: Arc<dyn DatabaseAdapter>, is_right: fn(&str, &str) -> bool) -> Self {
        Self { database, is_right }
    }

    /// Ends the session in the database. Call it after `AuthSession::logout`, with the user that it answers.
    pub async fn sign_out(&self, signed_in: &SignedIn) -> AuthResult<()> {
        self.database.delete_session(&signed_in.session.token).await
    }
}

impl AuthnBackend for Backend {
    type User = SignedIn;
    type Credentials = Credentials;
    type Error = AuthError;

    async fn authenticate(&self, given: Credentials) -> AuthResult<Option<SignedIn>> {
        let user = self.database.get_user_by_email(&given.email).await?;
        let Some(user) = user.filter(|user| !user.is_banned_at(Utc::now())) else {
            return Ok(None);
        };
        let account = self.database.get_credential_account(&user.id).await?;
        let hash = account.and_then(|account| account.password);
        if !hash.is_some_and(|hash| (self.is_right)(&given.password, &hash)) {
            return Ok(None);
        }
        let session = CreateSession::new(&user.id, Utc::now() + LIFETIME);
        let session = self.database.create_session(session).await?;
        Ok(Some(SignedIn::new((session, user))))
    }

    async fn get_user(&self, token: &SessionToken) -> AuthResult<Option<SignedIn>> {
        let found = self.database.refresh_session(&token.0, LIFETIME, DAY);
        let found = found.await?;
        let allowed = found.filter(|(_, user)| !user.is_banned_at(Utc::now()));
        Ok(allowed.map(SignedIn::new))
    }
}
