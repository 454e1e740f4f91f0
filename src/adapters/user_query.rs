//! What all adapters agree on about lists of users: the pages, their cursors, and who matches.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};

use super::input;
use crate::types::{
    ListUsers, SearchField, SearchOperator, User, UserFilter, UserOrder, UserPage, UserSearch,
};
use crate::{AuthError, AuthResult};

pub(super) const MAX_LIMIT: u32 = 1000;

/// Where a row stands in a list: by `created_at`, then by the bytes of `id`.
pub(super) type Position = (DateTime<Utc>, String);

/// A page to be looked up, in normal form.
pub(super) struct UserQuery {
    pub(super) filter: UserMatch,
    pub(super) order: UserOrder,
    pub(super) limit: usize,
    /// The page begins behind it.
    pub(super) after: Position,
    /// The time of `after` as PostgreSQL counts it, which may lie beyond chrono's years.
    #[cfg_attr(not(feature = "sqlx-postgres"), expect(dead_code))]
    pub(super) after_micros: i64,
}

/// A filter in normal form: what it looks for is spelled as it is stored, and both ends of the time are given.
pub(super) struct UserMatch {
    pub(super) search: Option<UserSearch>,
    pub(super) role: Option<String>,
    pub(super) banned: Option<bool>,
    pub(super) email_verified: Option<bool>,
    /// `MIN_UTC` stands for PostgreSQL's `-infinity`.
    pub(super) created_from: DateTime<Utc>,
    /// The last moment that matches; `MAX_UTC` stands for PostgreSQL's `infinity`.
    pub(super) created_until: DateTime<Utc>,
}

impl UserQuery {
    /// `None` if no user can match.
    pub(super) fn new(query: ListUsers) -> AuthResult<Option<Self>> {
        let ListUsers {
            filter,
            order,
            limit,
            cursor,
        } = query;
        if !(1..=MAX_LIMIT).contains(&limit) {
            let message = format!("must be from 1 to {MAX_LIMIT}");
            return Err(AuthError::validation("limit", message));
        }
        let cursor = cursor.as_deref().map(parse_cursor).transpose()?;
        let Some(filter) = UserMatch::new(filter) else {
            return Ok(None);
        };
        // A position at the filter's own end of the time spares a condition.
        let exact = |(time, id)| (input::postgres_micros(time), id);
        let (after_micros, id) = match order {
            UserOrder::NewestFirst => {
                let start = exact((filter.created_until, after_all_ids()));
                cursor.map_or(start.clone(), |cursor| cursor.min(start))
            }
            UserOrder::OldestFirst => {
                let start = exact(just_before(filter.created_from));
                cursor.map_or(start.clone(), |cursor| cursor.max(start))
            }
        };
        Ok(Some(Self {
            filter,
            order,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            after: (input::time_from_postgres(after_micros), id),
            after_micros,
        }))
    }

    /// The page, from the users that were found: up to one more than the page holds.
    pub(super) fn page(&self, mut users: Vec<User>) -> UserPage {
        let more = users.len() > self.limit;
        users.truncate(self.limit);
        let last = users.last().filter(|_| more);
        UserPage {
            next_cursor: last.map(|user| cursor(input::postgres_micros(user.created_at), &user.id)),
            users,
        }
    }
}

impl UserMatch {
    /// `None` if no user can match.
    pub(super) fn new(filter: UserFilter) -> Option<Self> {
        let UserFilter {
            search,
            role,
            banned,
            email_verified,
            created_from,
            created_before,
        } = filter;
        let search = search.map(|search| UserSearch {
            value: match search.field {
                SearchField::Email | SearchField::Username => input::without_case(&search.value),
                SearchField::Name => search.value,
            },
            ..search
        });
        let texts = [search.as_ref().map(|search| &search.value), role.as_ref()];
        if !texts
            .into_iter()
            .flatten()
            .all(|text| input::is_possible_text(text))
        {
            return None;
        }
        let created_until = match created_before {
            // Nothing is before what PostgreSQL's first moment is before.
            Some(time) => input::storable_time(ceiling(time))?
                .checked_sub_signed(TimeDelta::microseconds(1))?,
            None => DateTime::<Utc>::MAX_UTC,
        };
        let created_from = match created_from {
            Some(time) => input::storable_time(ceiling(time)).unwrap_or(DateTime::<Utc>::MIN_UTC),
            None => DateTime::<Utc>::MIN_UTC,
        };
        Some(Self {
            search,
            role,
            banned,
            email_verified,
            created_from,
            created_until,
        })
    }

    pub(super) fn matches(&self, user: &User) -> bool {
        self.search
            .as_ref()
            .is_none_or(|search| found(search, user))
            && (self.role.is_none() || self.role == user.role)
            && self.banned.is_none_or(|banned| banned == user.banned)
            && self
                .email_verified
                .is_none_or(|verified| verified == user.email_verified)
            && (self.created_from..=self.created_until).contains(&user.created_at)
    }
}

fn found(search: &UserSearch, user: &User) -> bool {
    let text = match search.field {
        SearchField::Email => &user.email,
        SearchField::Username => &user.username,
        SearchField::Name => &user.name,
    };
    let value = search.value.as_str();
    text.as_deref().is_some_and(|text| match search.operator {
        SearchOperator::Equals => text == value,
        SearchOperator::StartsWith => text.starts_with(value),
        SearchOperator::Contains => text.contains(value),
    })
}

/// An id that no row has: greater than every one that fits.
pub(super) fn after_all_ids() -> String {
    char::MAX.to_string().repeat(input::MAX_NAME_BYTES / 4 + 1)
}

/// The last position before all those of the time.
fn just_before(time: DateTime<Utc>) -> Position {
    match time.checked_sub_signed(TimeDelta::microseconds(1)) {
        Some(before) if time != DateTime::<Utc>::MAX_UTC => (before, after_all_ids()),
        _ => (time, String::new()),
    }
}

/// The first microsecond that is not before the time.
fn ceiling(time: DateTime<Utc>) -> DateTime<Utc> {
    let floor = input::truncate(time);
    if floor == time {
        return time;
    }
    floor
        .checked_add_signed(TimeDelta::microseconds(1))
        .unwrap_or(time)
}

/// The time of creation, as PostgreSQL counts it, and the id, in base64url.
pub(super) fn cursor(created_micros: i64, id: &str) -> String {
    URL_SAFE_NO_PAD.encode([&created_micros.to_be_bytes(), id.as_bytes()].concat())
}

pub(super) fn parse_cursor(cursor: &str) -> AuthResult<(i64, String)> {
    let position = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| {
        let (micros, id) = bytes.split_first_chunk()?;
        let micros = i64::from_be_bytes(*micros);
        let id = String::from_utf8(id.to_vec()).ok()?;
        (input::is_postgres_time(micros) && input::is_possible_id(&id)).then_some((micros, id))
    });
    position.ok_or_else(|| {
        let message =
            "not valid; pass the page's next_cursor unchanged, or None for the first page";
        AuthError::validation("cursor", message)
    })
}

#[cfg(test)]
mod tests {
    use super::{after_all_ids, cursor, parse_cursor};

    #[test]
    fn cursors_come_back() {
        for time in [
            0,
            752_000_000_123_456,
            i64::MAX,
            i64::MIN,
            9_223_371_331_199_999_999,
        ] {
            for id in ["", "a", "\u{10ffff}/+", "018f"] {
                let cursor = cursor(time, id);
                assert!(
                    cursor
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                );
                assert_eq!(parse_cursor(&cursor).unwrap(), (time, id.to_owned()));
            }
        }
    }

    #[test]
    fn other_text_is_no_cursor() {
        let before_postgresql = cursor(-211_813_488_000_000_001, "");
        for text in ["", "!", "AAAA", "AAAAAAAAAAA=", &before_postgresql] {
            assert!(parse_cursor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_id_comes_after_all_ids() {
        assert!(after_all_ids() > char::MAX.to_string().repeat(63));
        assert!(after_all_ids().len() > 255);
    }
}
