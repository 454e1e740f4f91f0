//! The extractors.

use std::sync::Arc;

use axum_core::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use chrono::Utc;
use http::request::Parts;

use super::layer::PendingCookie;
use super::token::{self, Presented, Source};
use super::{AuthRejection, AuthState};
use crate::AuthError;
use crate::types::{CheckSession, CheckedSession, Member, Session, User};

/// The session of a request and its user.
///
/// An `Option<CurrentSession>` is `None` if nobody is signed in, and if the user is banned. It is refused, as is a request
/// with several tokens, if the session could not be looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentSession {
    /// The session.
    pub session: Session,
    /// Its user.
    pub user: User,
}

/// The user of a request's session; see [`CurrentSession`].
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentUser(pub User);

/// The session of a request, its user, and the user's membership of the session's active organization.
///
/// An `Option<CurrentMember>` is also `None` if there is no active organization, or no membership of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentMember {
    /// The session.
    pub session: Session,
    /// Its user.
    pub user: User,
    /// The membership, with the role.
    pub member: Member,
}

/// What an extractor has found, for the next one of the same request.
#[derive(Clone)]
struct Found {
    auth: AuthState,
    session: Session,
    user: User,
    /// `None` if no extractor has asked for it.
    member: Option<Option<Member>>,
}

/// Looks the session up once for each request, and the membership once if an extractor asks for it.
async fn find(parts: &mut Parts, auth: &AuthState, member: bool) -> Result<Found, AuthRejection> {
    let known = parts.extensions.get::<Found>();
    // What was found may belong to another part of the application, which uses another adapter or cookie.
    let known = known.filter(|known| Arc::ptr_eq(&known.auth.0, &auth.0));
    let found = match known.cloned() {
        Some(found) if !member || found.member.is_some() => return Ok(found),
        Some(mut found) => {
            let organizations = auth.database().organizations()?;
            found.member = Some(match &found.session.active_organization_id {
                Some(id) => organizations.get_member(id, &found.user.id).await?,
                None => None,
            });
            found
        }
        None => check(parts, auth, member).await?,
    };
    parts.extensions.insert(found.clone());
    Ok(found)
}

async fn check(parts: &Parts, auth: &AuthState, member: bool) -> Result<Found, AuthRejection> {
    let inner = &auth.0;
    let presented = token::find(&parts.headers, auth.cookie_name(), inner.takes_bearer)?;
    let Presented::Token(token, source) = presented else {
        return Err(AuthRejection::Unauthenticated);
    };
    let pending = parts.extensions.get::<PendingCookie>();
    let is_cookie_sliding = source == Source::Cookie && inner.check.lifetime.is_some();
    if is_cookie_sliding && pending.is_none() {
        return Err(AuthRejection::MissingLayer);
    }
    let check = CheckSession {
        member,
        ..inner.check
    };
    let checked = inner.database.check_session(token, check).await;
    let checked = checked.map_err(may_be_repeated)?;
    let checked = checked.ok_or(AuthRejection::Unauthenticated)?;
    let CheckedSession {
        session,
        user,
        member: membership,
        extended,
    } = checked;
    if user.is_banned_at(Utc::now()) {
        return Err(AuthRejection::Banned);
    }
    if extended
        && source == Source::Cookie
        && let Some(pending) = pending
    {
        pending.set(auth.cookie_name(), auth.cookie(&session));
    }
    Ok(Found {
        auth: auth.clone(),
        session,
        user,
        member: member.then_some(membership),
    })
}

/// A check may be repeated whatever became of the extension.
fn may_be_repeated(error: AuthError) -> AuthError {
    match error {
        AuthError::OutcomeUnknown { message, source } => AuthError::Unavailable {
            message,
            contention: false,
            source,
        },
        error => error,
    }
}

/// Nobody is signed in, rather than that it could not be found out.
fn optional<T>(found: Result<T, AuthRejection>) -> Result<Option<T>, AuthRejection> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(AuthRejection::Unauthenticated | AuthRejection::Banned | AuthRejection::NotMember) => {
            Ok(None)
        }
        Err(rejection) => Err(rejection),
    }
}

macro_rules! extractor {
    ($type:ty, |$parts:ident, $auth:ident| $find:expr) => {
        impl<S: Send + Sync> FromRequestParts<S> for $type
        where
            AuthState: FromRef<S>,
        {
            type Rejection = AuthRejection;

            async fn from_request_parts(
                $parts: &mut Parts,
                state: &S,
            ) -> Result<Self, AuthRejection> {
                let $auth = &AuthState::from_ref(state);
                $find
            }
        }

        impl<S: Send + Sync> OptionalFromRequestParts<S> for $type
        where
            AuthState: FromRef<S>,
        {
            type Rejection = AuthRejection;

            async fn from_request_parts(
                parts: &mut Parts,
                state: &S,
            ) -> Result<Option<Self>, AuthRejection> {
                optional(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await)
            }
        }
    };
}

extractor!(CurrentSession, |parts, auth| {
    let Found { session, user, .. } = find(parts, auth, false).await?;
    Ok(Self { session, user })
});

extractor!(CurrentUser, |parts, auth| {
    let found = find(parts, auth, false).await?;
    Ok(Self(found.user))
});

extractor!(CurrentMember, |parts, auth| {
    let Found {
        session,
        user,
        member,
        ..
    } = find(parts, auth, true).await?;
    let member = member.flatten().ok_or(AuthRejection::NotMember)?;
    Ok(Self {
        session,
        user,
        member,
    })
});
