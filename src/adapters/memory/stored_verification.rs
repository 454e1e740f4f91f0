//! The rows of the table of verifications.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::list::Ends;
use super::table::Row;
use crate::adapters::input;
use crate::types::Verification;

/// A verification with the wrong guesses that it has seen.
#[derive(Clone)]
pub(super) struct StoredVerification {
    pub(super) row: Verification,
    /// The form by which the value is found, if the row shows another one.
    hashed: Option<Box<str>>,
    /// Or [`input::USED_UP`].
    pub(super) attempts: i32,
    /// Whether it reserves its pair, so that there is one at the most.
    pub(super) is_marker: bool,
}

impl StoredVerification {
    pub(super) fn new(row: Verification) -> Self {
        Self {
            row,
            hashed: None,
            attempts: 0,
            is_marker: false,
        }
    }

    /// A row that shows `shown` in place of its value, and is found by `form`.
    pub(super) fn hashed(row: Verification, form: String, shown: String) -> Self {
        Self {
            hashed: Some(form.into()),
            ..Self::new(Verification {
                value: shown,
                ..row
            })
        }
    }

    pub(super) fn marker(row: Verification) -> Self {
        Self {
            is_marker: true,
            ..Self::new(row)
        }
    }

    /// The form in which the value is found.
    pub(super) fn form(&self) -> &str {
        self.hashed.as_deref().unwrap_or(&self.row.value)
    }

    pub(super) fn pair(&self) -> String {
        Key::composite(&self.row.identifier, self.form())
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
    const UNIQUE: usize = 1;
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

    fn unique_keys(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        iter::once(self.is_marker.then(|| self.pair().into()))
    }

    fn list_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (identifier, value) = (self.row.identifier.as_str(), self.form());
        [identifier.into(), value.into(), self.pair().into()].into_iter()
    }

    fn ends(&self) -> Ends {
        let expires_at = self.row.expires_at.timestamp_micros();
        let live_until = if self.is_used_up() {
            i64::MIN
        } else {
            expires_at
        };
        Ends {
            live_until,
            expires_at,
        }
    }
}
