//! The rows of the table of verifications.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::table::Row;
use crate::adapters::input;
use crate::types::Verification;

/// A verification with the wrong guesses that it has seen.
#[derive(Clone)]
pub(super) struct StoredVerification {
    pub(super) row: Verification,
    /// Or [`input::USED_UP`].
    pub(super) attempts: i32,
}

impl StoredVerification {
    pub(super) fn new(row: Verification) -> Self {
        Self { row, attempts: 0 }
    }

    fn is_used_up(&self) -> bool {
        self.attempts == input::USED_UP
    }

    pub(super) fn has_expired(&self, now_micros: i64) -> bool {
        self.row.expires_at.timestamp_micros() <= now_micros
    }

    pub(super) fn is_live(&self, now_micros: i64) -> bool {
        !self.has_expired(now_micros) && !self.is_used_up()
    }
}

impl Row for StoredVerification {
    const LISTS: usize = 3;

    fn key(&self) -> &str {
        &self.row.id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }

    fn owner(&self) -> &str {
        &self.row.identifier
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (identifier, value) = (self.row.identifier.as_str(), self.row.value.as_str());
        let pair = Key::composite(identifier, value);
        [identifier.into(), value.into(), pair.into()].into_iter()
    }

    fn expires_at(&self) -> DateTime<Utc> {
        if self.is_used_up() {
            DateTime::<Utc>::MIN_UTC
        } else {
            self.row.expires_at
        }
    }
}
