//! What a check of a session finds.

use chrono::{DateTime, Utc};

use super::batch_loader::Keyed;
use crate::types::{Session, User};

/// A live session with its user, and the database's time when it was found.
#[derive(Clone)]
pub(super) struct LiveSession {
    pub(super) session: Session,
    pub(super) user: User,
    pub(super) now: DateTime<Utc>,
}

impl Keyed for LiveSession {
    fn key(&self) -> &str {
        self.session.key()
    }
}
