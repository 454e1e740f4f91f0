//! The check of a request's session: what is asked for, and what is found.

use std::time::Duration;

use super::{Member, Session, User, fields};

/// What [`check_session`](crate::DatabaseAdapter::check_session) does beside looking a session up.
///
/// ```
/// use std::time::Duration;
///
/// use better_auth::types::CheckSession;
///
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
///
/// let check = CheckSession::new().with_refresh(7 * DAY, DAY).with_member();
/// assert_eq!(check.lifetime, Some(7 * DAY));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckSession {
    /// How long the session lives from now on if it is due. Default: it is not extended.
    pub lifetime: Option<Duration>,
    /// How long ago a session was extended that is due. It is ignored without a `lifetime`.
    pub update_age: Duration,
    /// Whether the membership of the active organization is looked up too.
    pub member: bool,
}

fields!(CheckSession {
    lifetime,
    update_age,
    member
});

impl CheckSession {
    /// Looks up the session and its user.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also extends the session if it is due, as [`refresh_session`](crate::DatabaseAdapter::refresh_session) does.
    #[must_use]
    pub fn with_refresh(mut self, lifetime: Duration, update_age: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self.update_age = update_age;
        self
    }

    /// Also looks up the user's membership of the session's active organization.
    #[must_use]
    pub fn with_member(mut self) -> Self {
        self.member = true;
        self
    }
}

/// A live session, as [`check_session`](crate::DatabaseAdapter::check_session) finds it.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedSession {
    /// The session. Its active organization is a hint: only `member` says whether the user is in it.
    pub session: Session,
    /// Its user, who may be banned: check [`User::is_banned_at`].
    pub user: User,
    /// The user's membership of the active organization. `None` if it was not asked for, if no organization is active, and
    /// if the user is not in it.
    pub member: Option<Member>,
    /// Whether this call has extended the session. A cookie that ends with the session has to be sent again then.
    pub extended: bool,
}
