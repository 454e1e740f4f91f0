//! Sessions.

use std::borrow::Cow;
use std::iter;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::member;
use super::store::{Access, Repository, View, lost_to_another, set};
use super::stripes::Stripes;
use super::table::{ListIndex, RemovedList, Row};
use crate::adapters::input;
use crate::types::{CheckSession, CheckedSession, CreateSession, Session, UpdateSession, User};
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
        let check = CheckSession::new().with_refresh(lifetime, update_age);
        let found = self.check_session(token, check)?;
        Ok(found.map(|found| (found.session, found.user)))
    }

    pub(super) fn check_session(
        &self,
        token: &str,
        check: CheckSession,
    ) -> AuthResult<Option<CheckedSession>> {
        let refresh = input::Refresh::of_check(&check)?;
        let found = self.0.read(|view| {
            let session = self.live_session(view, token)?;
            let user = view
                .users()
                .with(&session.user_id, |user| User::clone(user))?;
            let organization = session.active_organization_id.as_ref();
            let organization = organization.filter(|_| check.member);
            let member = organization.and_then(|id| member::find(view, id, &user.id));
            Some((session, user, member))
        });
        let Some((session, user, member)) = found else {
            return Ok(None);
        };
        let extended = match refresh {
            Some(refresh) => self.extend_session(&session, refresh)?,
            None => None,
        };
        Ok(Some(CheckedSession {
            extended: extended.is_some(),
            session: extended.unwrap_or(session),
            user,
            member,
        }))
    }

    /// `None` if it is not due, or someone else has just extended or ended it.
    fn extend_session(
        &self,
        session: &Session,
        refresh: input::Refresh,
    ) -> AuthResult<Option<Session>> {
        let now = self.0.clock().now();
        if !refresh.is_due(session, now) {
            return Ok(None);
        }
        let token = session.token.as_str();
        let now_micros = now.timestamp_micros();
        let is_due =
            |session: &Session| is_live(session, now_micros) && refresh.is_due(session, now);
        let extended = self.0.write_with_redo(
            |view| view.sessions().stripe_of(token),
            |view| {
                let end = |session: &Session| is_due(session).then_some(session.expires_at);
                let Some(seen) = view.sessions().with(token, end).flatten() else {
                    return Ok(None);
                };
                let extended = extend(view, token, refresh, now);
                Ok(extended.map(|session| (seen, session)))
            },
            // Others may have ended the session until the commit, or moved its end.
            |extended| {
                let seen = extended.as_ref().map(|(seen, _)| *seen);
                let token = token.to_owned();
                Box::new(move |view| {
                    let Some(seen) = seen else { return Ok(()) };
                    let end = |session: &Session| {
                        is_live(session, now_micros).then_some(session.expires_at)
                    };
                    match view.sessions().rely(&token, end).flatten() {
                        None => Err(AuthError::SessionNotFound),
                        Some(end) if end != seen => Err(lost_to_another("session")),
                        Some(_) => {
                            extend(view, &token, refresh, now);
                            Ok(())
                        }
                    }
                })
            },
        )?;
        Ok(extended.map(|(_, extended)| extended))
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
        let removed = self.remove_sessions(user_id, None)?;
        self.0.tables().sessions.sweep(removed, |_| {});
        Ok(())
    }

    pub(super) fn delete_other_sessions(
        &self,
        user_id: &str,
        keep_token: &str,
    ) -> AuthResult<usize> {
        let now_micros = self.0.clock().now_micros();
        let removed = self.remove_sessions(user_id, Some(keep_token))?;
        let mut live = 0;
        self.0.tables().sessions.sweep(removed, |session| {
            live += usize::from(is_live(session, now_micros));
        });
        Ok(live)
    }

    /// Removes the sessions of a user, but one.
    fn remove_sessions(
        &self,
        user_id: &str,
        spared: Option<&str>,
    ) -> AuthResult<RemovedList<Session>> {
        self.0.write_with_redo(
            |_| Stripes::of(user_id),
            |view| Ok(view.sessions().remove_list(&BY_USER, user_id, spared)),
            // Not those that others open until the commit.
            |removed| {
                let tokens = tokens(removed);
                Box::new(move |view| {
                    remove(view, &tokens);
                    Ok(())
                })
            },
        )
    }

    pub(super) fn delete_session_by_id(&self, user_id: &str, id: &str) -> AuthResult<()> {
        let find = |view: &mut View<'_>| {
            let mut sessions = view.sessions();
            sessions.find_in_list(&BY_USER, user_id, |session| session.id == id)
        };
        let Some(token) = self.0.read(find) else {
            return Ok(());
        };
        self.0.write(
            |view| view.sessions().stripes_of(token.as_str()),
            (token.clone(), id.to_owned()),
            |view, (token, id)| {
                let removed = view
                    .sessions()
                    .remove_if(token.as_str(), |session| session.id == id);
                drop(removed);
                Ok(())
            },
        )
    }

    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method takes one lifetime of views"
    )]
    pub(super) fn delete_expired_sessions(&self) -> AuthResult<usize> {
        self.delete_dead(
            |view| view.sessions(),
            |session, now_micros| !is_live(session, now_micros),
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

fn extend(
    view: &mut View<'_>,
    token: &str,
    refresh: input::Refresh,
    now: DateTime<Utc>,
) -> Option<Session> {
    view.sessions().update(token, |session| {
        session.expires_at = refresh.end(now);
        session.updated_at = input::next_update(session.updated_at, now);
        session.clone()
    })
}

/// The tokens of removed sessions, by which a commit removes the same ones.
pub(super) fn tokens(removed: &RemovedList<Session>) -> Vec<Key> {
    let tokens = removed.rows.iter().map(|session| Key::new(&session.token));
    tokens.collect()
}

pub(super) fn remove(view: &mut View<'_>, tokens: &[Key]) {
    for token in tokens {
        view.sessions().remove(token.as_str());
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
