//! New sessions and updates of sessions.

use chrono::{DateTime, Utc};

use super::random::{new_id, new_token};
use super::text::{optional_text, text_update};
use super::time::normal_time;
use crate::AuthResult;
use crate::types::{CreateSession, Session, UpdateSession};

/// The row of a new session, with its token.
pub(in crate::adapters) fn new_session(
    session: CreateSession,
    now: DateTime<Utc>,
) -> AuthResult<Session> {
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
pub(in crate::adapters) fn session_update(update: UpdateSession) -> AuthResult<UpdateSession> {
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
