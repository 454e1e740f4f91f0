//! What all adapters agree on about lists of API keys: the pages and their cursors.

use chrono::{DateTime, Utc};

use super::input;
use super::user_query::{MAX_LIMIT, Position, after_all_ids, cursor, parse_cursor};
use crate::types::{ApiKey, ApiKeyPage, ListApiKeys};
use crate::{AuthError, AuthResult};

/// Whose keys are listed.
pub(super) enum Owner {
    User(String),
    Organization(String),
}

/// A page to be looked up, in normal form.
pub(super) struct ApiKeyQuery {
    pub(super) owner: Owner,
    pub(super) limit: usize,
    /// The page begins behind it.
    pub(super) after: Position,
    /// The time of `after` as PostgreSQL counts it, which may lie beyond chrono's years.
    #[cfg_attr(not(feature = "sqlx-postgres"), expect(dead_code))]
    pub(super) after_micros: i64,
}

impl ApiKeyQuery {
    /// `None` if no key can match.
    pub(super) fn new(query: ListApiKeys) -> AuthResult<Option<Self>> {
        let ListApiKeys {
            user_id,
            organization_id,
            limit,
            cursor,
        } = query;
        if !(1..=MAX_LIMIT).contains(&limit) {
            let message = format!("must be from 1 to {MAX_LIMIT}");
            return Err(AuthError::validation("limit", message));
        }
        let (owner, id) = match (user_id, organization_id) {
            (Some(id), None) => (Owner::User(id.clone()), id),
            (None, Some(id)) => (Owner::Organization(id.clone()), id),
            _ => {
                let message =
                    "is not the only owner: list the keys of a user or of an organization";
                return Err(AuthError::validation("user_id", message));
            }
        };
        let cursor = cursor.as_deref().map(parse_cursor).transpose()?;
        let (after_micros, after_id) = cursor.unwrap_or_else(|| {
            let end = input::postgres_micros(DateTime::<Utc>::MAX_UTC);
            (end, after_all_ids())
        });
        Ok(input::is_possible_id(&id).then(|| Self {
            owner,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            after: (input::time_from_postgres(after_micros), after_id),
            after_micros,
        }))
    }

    /// The page, from the keys that were found: up to one more than the page holds.
    pub(super) fn page(&self, mut keys: Vec<ApiKey>) -> ApiKeyPage {
        let more = keys.len() > self.limit;
        keys.truncate(self.limit);
        let last = keys.last().filter(|_| more);
        ApiKeyPage {
            next_cursor: last.map(|key| cursor(input::postgres_micros(key.created_at), &key.id)),
            keys,
        }
    }
}
