use chrono::{DateTime, Utc};

use super::{PIECE, Position, Store, set};
use crate::adapters::rules;
use crate::types::{CreateSession, Session, UpdateSession, User};
use crate::{AuthError, AuthResult, ConflictField};

impl Store {
    pub(super) fn create_session(&self, session: CreateSession) -> AuthResult<Session> {
        let session = rules::new_session(session, rules::now())?;
        self.sequence.write(|| {
            if self.sessions.contains_key(&session.token) {
                return Err(AuthError::Conflict {
                    field: ConflictField::SessionToken,
                });
            }
            if !self.users.contains_key(&session.user_id) {
                return Err(AuthError::UserNotFound);
            }
            self.user_sessions
                .entry(session.user_id.clone())
                .or_default()
                .insert(position(&session), session.token.clone());
            self.sessions.insert(session.token.clone(), session.clone());
            Ok(session)
        })
    }

    pub(super) fn get_session(&self, token: &str) -> AuthResult<Option<Session>> {
        Ok(self.sequence.read(|| self.live_session(token)))
    }

    pub(super) fn get_user_sessions(&self, user_id: &str) -> AuthResult<Vec<Session>> {
        Ok(self.sequence.read(|| {
            let Some(tokens) = self.user_sessions.get(user_id) else {
                return Vec::new();
            };
            let newest_first = tokens.values().rev();
            newest_first
                .filter_map(|token| self.live_session(token))
                .collect()
        }))
    }

    pub(super) fn get_session_with_user(&self, token: &str) -> AuthResult<Option<(Session, User)>> {
        Ok(self.sequence.read(|| {
            let session = self.live_session(token)?;
            let user = self.user(&session.user_id)?;
            Some((session, user))
        }))
    }

    pub(super) fn update_session_expiry(
        &self,
        token: &str,
        expires_at: DateTime<Utc>,
    ) -> AuthResult<()> {
        let update = UpdateSession {
            expires_at: Some(expires_at),
            ..UpdateSession::default()
        };
        self.update_session(token, update).map(drop)
    }

    pub(super) fn update_session(&self, token: &str, update: UpdateSession) -> AuthResult<Session> {
        let update = rules::session_update(update)?;
        self.sequence.write(|| {
            let mut session = self.live_session(token).ok_or(AuthError::SessionNotFound)?;
            if update == UpdateSession::default() {
                return Ok(session);
            }
            apply(&mut session, update);
            self.sessions.insert(session.token.clone(), session.clone());
            Ok(session)
        })
    }

    pub(super) fn delete_session(&self, token: &str) -> AuthResult<()> {
        self.sequence.write(|| self.remove_session(token));
        Ok(())
    }

    pub(super) fn delete_user_sessions(&self, user_id: &str) -> AuthResult<()> {
        self.sequence.write(|| self.remove_user_sessions(user_id));
        Ok(())
    }

    pub(super) fn delete_expired_sessions(&self) -> AuthResult<usize> {
        let now = rules::now();
        let dead: Vec<String> = self
            .sessions
            .iter()
            .filter(|session| !is_live(session, now))
            .map(|session| session.token.clone())
            .collect();
        let removed = dead.chunks(PIECE).map(|tokens| {
            self.sequence.write(|| {
                let removed = tokens.iter().filter(|token| self.remove_session(token));
                removed.count()
            })
        });
        Ok(removed.sum())
    }

    /// Within the sequence.
    pub(super) fn remove_user_sessions(&self, user_id: &str) {
        if let Some((_, tokens)) = self.user_sessions.remove(user_id) {
            for token in tokens.values() {
                self.sessions.remove(token);
            }
        }
    }

    fn live_session(&self, token: &str) -> Option<Session> {
        let session = self.sessions.get(token)?;
        is_live(&session, rules::now()).then(|| session.clone())
    }

    fn remove_session(&self, token: &str) -> bool {
        let Some((_, session)) = self.sessions.remove(token) else {
            return false;
        };
        self.user_sessions
            .remove_if_mut(&session.user_id, |_, tokens| {
                tokens.remove(&position(&session));
                tokens.is_empty()
            });
        true
    }
}

fn is_live(session: &Session, now: DateTime<Utc>) -> bool {
    session.active && session.expires_at > now
}

fn position(session: &Session) -> Position {
    (session.created_at, session.id.clone())
}

fn apply(session: &mut Session, update: UpdateSession) {
    let UpdateSession {
        expires_at,
        ip_address,
        user_agent,
        impersonated_by,
        active_organization_id,
        active,
    } = update;
    set(&mut session.expires_at, expires_at);
    set(&mut session.ip_address, ip_address);
    set(&mut session.user_agent, user_agent);
    set(&mut session.impersonated_by, impersonated_by);
    set(&mut session.active_organization_id, active_organization_id);
    set(&mut session.active, active);
    session.updated_at = rules::next_update(session.updated_at, rules::now());
}
