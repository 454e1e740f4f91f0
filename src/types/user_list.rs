//! Lists of users: filters, pages and cursors.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{User, fields};

/// Which page of which users to list.
///
/// ```
/// use better_auth::types::{ListUsers, SearchField, SearchOperator, UserFilter, UserOrder, UserSearch};
///
/// let query = ListUsers::new()
///     .with_filter(UserFilter {
///         search: Some(UserSearch::new(SearchField::Email, SearchOperator::StartsWith, "ada@")),
///         banned: Some(false),
///         ..UserFilter::default()
///     })
///     .with_order(UserOrder::OldestFirst)
///     .with_limit(50);
///
/// // A client may send it as JSON. What it leaves out has its default.
/// let sent = r#"{
///     "filter": { "search": { "field": "email", "operator": "startsWith", "value": "ada@" }, "banned": false },
///     "order": "oldestFirst",
///     "limit": 50
/// }"#;
/// assert_eq!(serde_json::from_str::<ListUsers>(sent)?, query);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListUsers {
    /// Which users. Default: all.
    pub filter: UserFilter,
    /// In which order. Default: the newest first.
    pub order: UserOrder,
    /// How many users a page holds at most, 1 to 1,000. Default: 100.
    pub limit: u32,
    /// [`UserPage::next_cursor`] of the page before; `None` asks for the first page. Pass it with the same filter and
    /// order.
    pub cursor: Option<String>,
}

fields!(ListUsers {
    filter,
    order,
    limit,
    cursor
});

impl Default for ListUsers {
    fn default() -> Self {
        Self {
            filter: UserFilter::default(),
            order: UserOrder::default(),
            limit: 100,
            cursor: None,
        }
    }
}

impl ListUsers {
    /// The first page of all users, the newest first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `filter`.
    #[must_use]
    pub fn with_filter(mut self, filter: UserFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets `order`.
    #[must_use]
    pub fn with_order(mut self, order: UserOrder) -> Self {
        self.order = order;
        self
    }

    /// Sets `limit`.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Sets `cursor`.
    #[must_use]
    pub fn with_cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}

/// Which users: those for whom all that is given holds. `Default` is all users.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserFilter {
    /// Only users whose email, username or name matches.
    pub search: Option<UserSearch>,
    /// Only users with exactly this role.
    pub role: Option<String>,
    /// Only users who are banned, or only users who are not, by `users.banned` alone; `ban_expires` is ignored.
    pub banned: Option<bool>,
    /// Only users whose email address is verified, or only users whose address is not.
    pub email_verified: Option<bool>,
    /// Only users who were created at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Only users who were created before this time.
    pub created_before: Option<DateTime<Utc>>,
}

fields!(UserFilter {
    search,
    role,
    banned,
    email_verified,
    created_from,
    created_before
});

/// A search in a column of text. The value is literal: `%`, `_` and `\` match only themselves.
///
/// Emails and usernames match without case, as they are stored; names match as they are spelled. A user without the
/// column never matches.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserSearch {
    /// Where to look.
    pub field: SearchField,
    /// How to compare.
    pub operator: SearchOperator,
    /// What to look for.
    pub value: String,
}

fields!(UserSearch {
    field,
    operator,
    value
});

impl UserSearch {
    /// A search for this value.
    pub fn new(field: SearchField, operator: SearchOperator, value: impl Into<String>) -> Self {
        Self {
            field,
            operator,
            value: value.into(),
        }
    }
}

/// A column that [`UserSearch`] looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum SearchField {
    /// `users.email`.
    Email,
    /// `users.username`.
    Username,
    /// `users.name`.
    Name,
}

/// How [`UserSearch`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum SearchOperator {
    /// The column is the value.
    Equals,
    /// The column begins with the value.
    StartsWith,
    /// The value is somewhere in the column. PostgreSQL looks at every user for it, unless it is given an index; see
    /// [`list_users`](crate::adapters::DatabaseAdapter::list_users).
    Contains,
}

/// In which order users are listed: by `created_at`, then by the bytes of `id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum UserOrder {
    /// The newest users first.
    #[default]
    NewestFirst,
    /// The oldest users first.
    OldestFirst,
}

/// A page of users.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserPage {
    /// The users, in the order that was asked for.
    pub users: Vec<User>,
    /// Where the next page begins: opaque, safe in a URL as it is. `None` where there is no further user.
    pub next_cursor: Option<String>,
}
