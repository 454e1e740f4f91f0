//! What all adapters agree on about lists of members: the pages and their cursors.

use chrono::{DateTime, Utc};

use super::input;
use super::user_query::{MAX_LIMIT, Position, after_all_ids, cursor, parse_cursor};
use crate::types::{ListMembers, Member, MemberPage, MemberWithUser};
use crate::{AuthError, AuthResult};

/// A page to be looked up, in normal form.
pub(super) struct MemberQuery {
    pub(super) organization_id: String,
    pub(super) role: Option<String>,
    pub(super) limit: usize,
    /// The page begins behind it.
    pub(super) after: Position,
    /// The time of `after` as PostgreSQL counts it, which may lie beyond chrono's years.
    #[cfg_attr(not(feature = "sqlx-postgres"), expect(dead_code))]
    pub(super) after_micros: i64,
}

impl MemberQuery {
    /// `None` if no member can match.
    pub(super) fn new(query: ListMembers) -> AuthResult<Option<Self>> {
        let ListMembers {
            organization_id,
            role,
            limit,
            cursor,
        } = query;
        if !(1..=MAX_LIMIT).contains(&limit) {
            let message = format!("must be from 1 to {MAX_LIMIT}");
            return Err(AuthError::validation("limit", message));
        }
        let first = || {
            let end = input::postgres_micros(DateTime::<Utc>::MAX_UTC);
            (end, after_all_ids())
        };
        let cursor = cursor.as_deref().map(parse_cursor).transpose()?;
        let (after_micros, id) = cursor.unwrap_or_else(first);
        let role = match role.as_deref().map(input::lookup_role) {
            Some(None) => return Ok(None),
            Some(role) => role.map(str::to_owned),
            None => None,
        };
        if !input::is_possible_id(&organization_id) {
            return Ok(None);
        }
        Ok(Some(Self {
            organization_id,
            role,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            after: (input::time_from_postgres(after_micros), id),
            after_micros,
        }))
    }

    pub(super) fn matches(&self, member: &Member) -> bool {
        let role = self.role.as_deref();
        role.is_none_or(|role| member.roles().any(|name| name == role))
    }

    /// The page, from the members that were found: up to one more than the page holds.
    pub(super) fn page(&self, mut members: Vec<MemberWithUser>) -> MemberPage {
        let more = members.len() > self.limit;
        members.truncate(self.limit);
        let last = members.last().filter(|_| more);
        MemberPage {
            next_cursor: last.map(|MemberWithUser { member, .. }| {
                cursor(input::postgres_micros(member.created_at), &member.id)
            }),
            members,
        }
    }
}
