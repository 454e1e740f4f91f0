//! New sessions and updates of sessions.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::random::{new_id, new_token};
use super::text::{optional_text, text_update};
use super::time::{later, micros, normal_time, positive_micros};
use crate::types::{CheckSession, CreateSession, Session, UpdateSession};
use crate::{AuthError, AuthResult};

/// The row of a new session, in normal form, with an id and a token.
///
/// # Errors
///
/// [`AuthError::Validation`](crate::AuthError::Validation), which names the field; [`AuthError::Unavailable`](crate::AuthError::Unavailable) if the operating system gives no random bytes.
pub fn new_session(session: CreateSession, now: DateTime<Utc>) -> AuthResult<Session> {
    let CreateSession {
        user_id,
        expires_at,
        ip_address,
        user_agent,
        impersonated_by,
        active_organization_id,
    } = session;
    Ok(Session {
        id: new_id()?,
        expires_at: normal_time("expires_at", expires_at)?,
        token: new_token()?,
        ip_address: optional_text("ip_address", ip_address)?,
        user_agent: optional_text("user_agent", user_agent)?,
        user_id,
        impersonated_by: optional_text("impersonated_by", impersonated_by)?,
        active_organization_id: optional_text("active_organization_id", active_organization_id)?,
        active: true,
        created_at: now,
        updated_at: now,
    })
}

/// The update in normal form.
///
/// # Errors
///
/// [`AuthError::Validation`](crate::AuthError::Validation), which names the field.
pub fn session_update(update: UpdateSession) -> AuthResult<UpdateSession> {
    let UpdateSession {
        expires_at,
        ip_address,
        user_agent,
        impersonated_by,
        active_organization_id,
        active,
    } = update;
    Ok(UpdateSession {
        expires_at: expires_at
            .map(|time| normal_time("expires_at", time))
            .transpose()?,
        ip_address: text_update("ip_address", ip_address)?,
        user_agent: text_update("user_agent", user_agent)?,
        impersonated_by: text_update("impersonated_by", impersonated_by)?,
        active_organization_id: text_update("active_organization_id", active_organization_id)?,
        active,
    })
}

/// How long sessions live and when they are extended, for
/// [`refresh_session`](crate::adapters::DatabaseAdapter::refresh_session).
#[derive(Clone, Copy, Debug)]
pub struct Refresh {
    /// In microseconds, as the other one.
    pub(in crate::adapters) lifetime: i64,
    update_age: i64,
}

impl Refresh {
    /// Checks both.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if `lifetime` is zero or longer than 100,000 years, or `update_age` is longer than
    /// `lifetime`.
    pub fn new(lifetime: Duration, update_age: Duration) -> AuthResult<Self> {
        let lifetime = positive_micros("lifetime", lifetime)?;
        let update_age = micros(update_age);
        if update_age > lifetime {
            let message = "is longer than the lifetime";
            return Err(AuthError::validation("update_age", message));
        }
        Ok(Self {
            lifetime,
            update_age,
        })
    }

    /// What a check asks for, if it extends sessions.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_check(check: &CheckSession) -> AuthResult<Option<Self>> {
        let lifetime = check.lifetime;
        lifetime
            .map(|lifetime| Self::new(lifetime, check.update_age))
            .transpose()
    }

    /// A session is due if it ends no later than so long from now.
    pub(in crate::adapters) fn due_within(self) -> i64 {
        self.lifetime - self.update_age
    }

    /// When a session ends that is extended now.
    #[must_use]
    pub fn end(self, now: DateTime<Utc>) -> DateTime<Utc> {
        later(now, self.lifetime)
    }

    /// Whether a session is to be extended, if it is live.
    #[must_use]
    pub fn is_due(self, session: &Session, now: DateTime<Utc>) -> bool {
        let due_within = now.timestamp_micros().saturating_add(self.due_within());
        session.expires_at.timestamp_micros() <= due_within
    }
}
