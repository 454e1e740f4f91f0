//! Sessions.

use std::iter;

use chrono::{DateTime, Utc};

use super::table::Row;
use super::{Access, Change, Database, Tables, set};
use crate::adapters::input;
use crate::adapters::user_query::Position;
use crate::types::{CreateSession, Session, UpdateSession, User};
use crate::{AuthError, AuthResult, ConflictField};

const BY_USER: usize = 0;

impl Row for Session {
    const UNIQUE: usize = 0;
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.token
    }

    fn position(&self) -> Position {
        (self.created_at, self.id.clone())
    }

    fn unique_keys(&self) -> impl Iterator<Item = Option<String>> {
        iter::empty()
    }

    fn list_keys(&self) -> impl Iterator<Item = String> {
        iter::once(self.user_id.clone())
    }
}

impl<A: Access> Database<A> {
    pub(super) fn create_session(&self, session: CreateSession) -> AuthResult<Session> {
        let session = input::new_session(session, input::now())?;
        self.0.write(move |tables| {
            if tables.sessions.contains(&session.token) {
                return Err(AuthError::Conflict {
                    field: ConflictField::SessionToken,
                });
            }
            if tables.users.rely(&session.user_id, |_| ()).is_none() {
                return Err(AuthError::UserNotFound);
            }
            tables.sessions.put(session.clone());
            Ok(session.clone())
        })
    }

    pub(super) fn get_session(&self, token: &str) -> AuthResult<Option<Session>> {
        Ok(self
            .0
            .read(|tables| tables.live_session(token, input::now_micros())))
    }

    pub(super) fn get_user_sessions(&self, user_id: &str) -> AuthResult<Vec<Session>> {
        Ok(self.0.read(|Tables { sessions, .. }| {
            let now_micros = input::now_micros();
            sessions.list(BY_USER, user_id, |session| {
                is_live(session, now_micros).then(|| session.clone())
            })
        }))
    }

    pub(super) fn get_session_with_user(&self, token: &str) -> AuthResult<Option<(Session, User)>> {
        Ok(self.0.read(|tables| {
            let session = tables.live_session(token, input::now_micros())?;
            let user = tables.users.get(&session.user_id)?;
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
        let update = input::session_update(update)?;
        if update == UpdateSession::default() {
            return self.get_session(token)?.ok_or(AuthError::SessionNotFound);
        }
        let token = token.to_owned();
        let now = input::now();
        self.0.write(move |tables| {
            let live = |session: &Session| {
                is_live(session, now.timestamp_micros()).then(|| session.clone())
            };
            let session = tables.sessions.rely(&token, live).flatten();
            let mut session = session.ok_or(AuthError::SessionNotFound)?;
            apply(&mut session, update.clone());
            session.updated_at = input::next_update(session.updated_at, now);
            tables.sessions.put(session.clone());
            Ok(session)
        })
    }

    pub(super) fn delete_session(&self, token: &str) -> AuthResult<()> {
        let token = token.to_owned();
        self.0.write(move |Tables { sessions, .. }| {
            sessions.remove(&token);
            Ok(())
        })
    }

    pub(super) fn delete_user_sessions(&self, user_id: &str) -> AuthResult<()> {
        let remove = |tables: &Tables| Ok(tables.remove_user_sessions(user_id));
        // Not those that others open until the commit.
        let again = |tokens: &Vec<String>| -> Change {
            let tokens = tokens.clone();
            Box::new(move |Tables { sessions, .. }| {
                for token in &tokens {
                    sessions.remove(token);
                }
                Ok(())
            })
        };
        self.0.write_once(remove, again).map(drop)
    }

    pub(super) fn delete_expired_sessions(&self) -> AuthResult<usize> {
        let now_micros = input::now_micros();
        let sessions = &self.0.tables().sessions;
        let dead = sessions.keys(&|session| !is_live(session, now_micros));
        // A dead session stays dead.
        self.remove_in_pieces(&dead, |Tables { sessions, .. }, token| {
            sessions.remove(token).is_some()
        })
    }
}

impl Tables {
    /// Removes all sessions of a user and returns their tokens.
    pub(super) fn remove_user_sessions(&self, user_id: &str) -> Vec<String> {
        let token = |session: &Session| Some(session.token.clone());
        let tokens = self.sessions.list(BY_USER, user_id, token);
        for token in &tokens {
            self.sessions.remove(token);
        }
        tokens
    }

    fn live_session(&self, token: &str, now_micros: i64) -> Option<Session> {
        let live = |session: &Session| is_live(session, now_micros).then(|| session.clone());
        self.sessions.look(token, live).flatten()
    }
}

fn is_live(session: &Session, now_micros: i64) -> bool {
    session.active && session.expires_at.timestamp_micros() > now_micros
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
}
