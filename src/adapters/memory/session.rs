//! Sessions.

use std::borrow::Cow;
use std::iter;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::store::{Access, Repository, View, set};
use super::stripes::Stripes;
use super::table::{ListIndex, Row};
use crate::adapters::input;
use crate::types::{CreateSession, Session, UpdateSession, User};
use crate::{AuthError, AuthResult, ConflictField};

pub(super) const BY_USER: ListIndex<Session> = ListIndex::nth(0);

impl Row for Session {
    const LISTS: usize = 1;

    fn key(&self) -> &str {
        &self.token
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn owner(&self) -> &str {
        &self.user_id
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        iter::once(Cow::Borrowed(self.user_id.as_str()))
    }
}

impl<A: Access> Repository<A> {
    pub(super) fn create_session(&self, session: CreateSession) -> AuthResult<Session> {
        let session = input::new_session(session, self.0.clock().now())?;
        let stripes = session.stripes();
        self.0.write(
            |_| stripes,
            session,
            |view, session| {
                if view.sessions().contains(&session.token) {
                    return Err(AuthError::Conflict {
                        field: ConflictField::SessionToken,
                    });
                }
                let user = view.users().rely(&session.user_id, |_| ());
                user.ok_or(AuthError::UserNotFound)?;
                view.sessions().insert(session.clone());
                Ok(session)
            },
        )
    }

    pub(super) fn get_session(&self, token: &str) -> AuthResult<Option<Session>> {
        Ok(self.0.read(|view| self.live_session(view, token)))
    }

    pub(super) fn get_user_sessions(&self, user_id: &str) -> AuthResult<Vec<Session>> {
        Ok(self.0.read(|view| {
            let now_micros = self.0.clock().now_micros();
            let live = |session: &Session| is_live(session, now_micros);
            view.sessions().list(&BY_USER, user_id, live)
        }))
    }

    pub(super) fn get_session_with_user(&self, token: &str) -> AuthResult<Option<(Session, User)>> {
        Ok(self.0.read(|view| {
            let session = self.live_session(view, token)?;
            let user = view
                .users()
                .with(&session.user_id, |user| User::clone(user))?;
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
        self.change_session(token, update, |_| ())
    }

    pub(super) fn update_session(&self, token: &str, update: UpdateSession) -> AuthResult<Session> {
        if update == UpdateSession::default() {
            return self.get_session(token)?.ok_or(AuthError::SessionNotFound);
        }
        self.change_session(token, update, Session::clone)
    }

    pub(super) fn refresh_session(
        &self,
        token: &str,
        lifetime: Duration,
        update_age: Duration,
    ) -> AuthResult<Option<(Session, User)>> {
        let refresh = input::Refresh::new(lifetime, update_age)?;
        let Some((session, user)) = self.get_session_with_user(token)? else {
            return Ok(None);
        };
        let now = self.0.clock().now();
        if !refresh.is_due(&session, now.timestamp_micros()) {
            return Ok(Some((session, user)));
        }
        let extended = self.0.write(
            |view| view.sessions().stripe_of(token),
            (token.to_owned(), refresh, now),
            |view, (token, refresh, now)| {
                let now_micros = now.timestamp_micros();
                let is_due = |session: &Session| {
                    is_live(session, now_micros) && refresh.is_due(session, now_micros)
                };
                if view.sessions().with(&token, is_due) != Some(true) {
                    return Ok(None);
                }
                Ok(view.sessions().update(&token, |session| {
                    session.expires_at = refresh.end(now);
                    session.updated_at = input::next_update(session.updated_at, now);
                    session.clone()
                }))
            },
        )?;
        Ok(Some((extended.unwrap_or(session), user)))
    }

    pub(super) fn delete_session(&self, token: &str) -> AuthResult<()> {
        self.0.write(
            |view| view.sessions().stripes_of(token),
            token.to_owned(),
            |view, token| {
                view.sessions().remove(&token);
                Ok(())
            },
        )
    }

    pub(super) fn delete_user_sessions(&self, user_id: &str) -> AuthResult<()> {
        let write = |view: &mut View<'_>| Ok(view.sessions().remove_list(&BY_USER, user_id));
        let removed = self.0.write_with_redo(
            |_| Stripes::of(user_id),
            write,
            // Not those that others open until the commit.
            |tokens| {
                let tokens = tokens.clone();
                Box::new(move |view| {
                    for token in &tokens {
                        view.sessions().remove(token.as_str());
                    }
                    Ok(())
                })
            },
        );
        removed.map(drop)
    }

    pub(super) fn delete_other_sessions(
        &self,
        user_id: &str,
        keep_token: &str,
    ) -> AuthResult<usize> {
        let removed = self.remove_some(user_id, |session| session.token != keep_token)?;
        let now_micros = self.0.clock().now_micros();
        let live = removed
            .iter()
            .filter(|session| is_live(session, now_micros));
        Ok(live.count())
    }

    pub(super) fn delete_session_by_id(&self, user_id: &str, id: &str) -> AuthResult<()> {
        let removed = self.remove_some(user_id, |session| session.id == id);
        removed.map(drop)
    }

    /// Removes the sessions of a user that pass the test.
    fn remove_some(
        &self,
        user_id: &str,
        test: impl Fn(&Session) -> bool,
    ) -> AuthResult<Vec<Session>> {
        fn remove(view: &mut View<'_>, sessions: &[Session]) {
            for session in sessions {
                view.sessions().remove(&session.token);
            }
        }
        self.0.write_with_redo(
            |_| Stripes::of(user_id),
            |view| {
                let sessions = view.sessions().list(&BY_USER, user_id, &test);
                remove(view, &sessions);
                Ok(sessions)
            },
            // Not those that others open until the commit.
            |sessions| {
                let sessions = sessions.clone();
                Box::new(move |view| {
                    remove(view, &sessions);
                    Ok(())
                })
            },
        )
    }

    pub(super) fn delete_expired_sessions(&self) -> AuthResult<usize> {
        let now_micros = self.0.clock().now_micros();
        let expired = |session: &Session| !is_live(session, now_micros);
        let expired = self.0.read(|view| view.sessions().keys(expired));
        // An expired session stays expired.
        self.delete_in_batches(
            &expired,
            |view, token| view.sessions().stripes_of(token),
            |view, token| view.sessions().remove(token),
        )
    }

    fn live_session(&self, view: &mut View<'_>, token: &str) -> Option<Session> {
        let now_micros = self.0.clock().now_micros();
        let live = |session: &Session| is_live(session, now_micros).then(|| session.clone());
        view.sessions().with(token, live).flatten()
    }

    fn change_session<T: 'static>(
        &self,
        token: &str,
        update: UpdateSession,
        answer: fn(&Session) -> T,
    ) -> AuthResult<T> {
        let update = input::session_update(update)?;
        let input = (token.to_owned(), update, self.0.clock().now(), answer);
        self.0.write(
            |view| view.sessions().stripe_of(token),
            input,
            |view, (token, update, now, answer)| {
                let change = |session: &mut Session| {
                    if !is_live(session, now.timestamp_micros()) {
                        return None;
                    }
                    apply(session, update);
                    session.updated_at = input::next_update(session.updated_at, now);
                    Some(answer(session))
                };
                let changed = view.sessions().update(&token, change).flatten();
                changed.ok_or(AuthError::SessionNotFound)
            },
        )
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
