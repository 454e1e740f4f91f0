//! Where a session was opened.

use std::convert::Infallible;

use axum_core::extract::FromRequestParts;
use http::header::USER_AGENT;
use http::request::Parts;

/// The most that is kept of a user agent, in bytes.
const MAX_USER_AGENT: usize = 512;

/// What a list of sessions shows of a browser, for [`AuthState::sign_in`](super::AuthState::sign_in).
///
/// As an extractor it has the `User-Agent` header, of which it keeps the first 512 bytes. The address is the
/// application's to add: only the application knows whether a proxy stands before it.
///
/// ```
/// use better_auth::axum::ClientInfo;
///
/// let client = ClientInfo::default().with_ip_address("192.0.2.1");
/// assert_eq!(client.ip_address.as_deref(), Some("192.0.2.1"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The address of the client.
    pub ip_address: Option<String>,
    /// The browser, as it names itself.
    pub user_agent: Option<String>,
}

impl ClientInfo {
    /// Sets `ip_address`.
    #[must_use]
    pub fn with_ip_address(mut self, ip_address: impl Into<String>) -> Self {
        self.ip_address = Some(ip_address.into());
        self
    }

    /// Sets `user_agent`.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }
}

impl<S: Sync> FromRequestParts<S> for ClientInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // `to_str` takes visible ASCII alone, so any byte is a boundary.
        let user_agent = parts
            .headers
            .get(USER_AGENT)
            .and_then(|value| value.to_str().ok());
        Ok(Self {
            ip_address: None,
            user_agent: user_agent.map(|text| text.chars().take(MAX_USER_AGENT).collect()),
        })
    }
}
