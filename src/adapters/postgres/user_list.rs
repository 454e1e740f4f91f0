//! Pages of users, and how many users there are.

use chrono::{DateTime, Utc};

use super::columns::{ExactTime, IdentifiedMetadata, NullableTime, Time};
use super::error::Operation;
use super::repository::Repository;
use super::user::{query_user, with_user_columns};
use crate::AuthResult;
use crate::adapters::user_query::{UserMatch, UserQuery, cursor};
use crate::types::{
    ListUsers, SearchField, SearchOperator, User, UserFilter, UserOrder, UserPage, UserSearch,
};

/// How many characters of a name or role its index holds, as they may be megabytes long.
const INDEXED_CHARACTERS: usize = 64;

/// Looks up a page: by its place in the order of creation, and by a condition on `$8` and further arguments.
///
/// The planner cannot know how many users have a value, and where it is wrong, it walks the index of the order of
/// creation to the end for a value that hardly anyone has, or sorts all users for one that everybody has. So
/// `lead EXPRESSION = VALUE` makes what an index begins with a part of the order, and leaves only that index to walk;
/// `sorted` makes an order that no index has, for conditions that find their users first; and `COALESCE` hides the further
/// conditions, whatever they are believed to find.
macro_rules! query_user_page {
    ($database:ident, $query:ident, $condition:literal $(, $argument:expr)* $(,)?) => {
        query_user_page!(
            @either $database, $query,
            (
                "created_at >= $1 AND (created_at, id COLLATE \"C\") < ($2, $3) AND " + $condition,
                "users.created_at DESC, users.id COLLATE \"C\" DESC"
            )
            (
                "created_at <= $1 AND (created_at, id COLLATE \"C\") > ($2, $3) AND " + $condition,
                "users.created_at, users.id COLLATE \"C\""
            )
            $(, $argument)*
        )
    };
    (
        $database:ident, $query:ident, lead $lead:literal = $value:literal, $condition:literal
        $(, $argument:expr)* $(,)?
    ) => {
        query_user_page!(
            @either $database, $query,
            (
                "(" + $lead + ", created_at) >= (" + $value + ", $1) AND (" + $lead
                    + ", created_at, id COLLATE \"C\") < (" + $value + ", $2, $3) AND " + $condition,
                $lead + " DESC, users.created_at DESC, users.id COLLATE \"C\" DESC"
            )
            (
                "(" + $lead + ", created_at) <= (" + $value + ", $1) AND (" + $lead
                    + ", created_at, id COLLATE \"C\") > (" + $value + ", $2, $3) AND " + $condition,
                $lead + ", users.created_at, users.id COLLATE \"C\""
            )
            $(, $argument)*
        )
    };
    ($database:ident, $query:ident, sorted $condition:literal $(, $argument:expr)* $(,)?) => {
        query_user_page!(
            @either $database, $query,
            (
                "created_at >= $1 AND (created_at, id COLLATE \"C\") < ($2, $3) AND " + $condition,
                "users.created_at + INTERVAL '0' DESC, users.id COLLATE \"C\" DESC"
            )
            (
                "created_at <= $1 AND (created_at, id COLLATE \"C\") > ($2, $3) AND " + $condition,
                "users.created_at + INTERVAL '0', users.id COLLATE \"C\""
            )
            $(, $argument)*
        )
    };
    (@either $database:ident, $query:ident, $newest_first:tt $oldest_first:tt $(, $argument:expr)*) => {
        match $query.order {
            UserOrder::NewestFirst => query_user_page!(
                @run $database, $query, $query.filter.created_from, $newest_first $(, $argument)*
            ),
            UserOrder::OldestFirst => query_user_page!(
                @run $database, $query, $query.filter.created_until, $oldest_first $(, $argument)*
            ),
        }
    };
    (
        @run $database:ident, $query:ident, $end:expr,
        ($place:literal $(+ $more_place:literal)*, $order:literal $(+ $more_order:literal)*) $(, $argument:expr)*
    ) => {
        $database
            .run(Operation::read("list_users"), |connection| {
                let (_, id) = &$query.after;
                Box::pin(
                    query_user!(
                        listed "SELECT " COLUMNS " FROM users WHERE " + $place $(+ $more_place)*
                            + " AND COALESCE(banned = $4, TRUE) AND COALESCE(email_verified = $5, TRUE) \
                               AND COALESCE(role = $6, $6 IS NULL) ORDER BY "
                            + $order $(+ $more_order)* + " LIMIT $7",
                        Time::from($end) as _,
                        ExactTime($query.after_micros) as _,
                        id,
                        $query.filter.banned,
                        $query.filter.email_verified,
                        $query.filter.role.as_deref(),
                        i64::try_from($query.limit).unwrap_or(i64::MAX).saturating_add(1),
                        $($argument,)*
                    )
                    .fetch_all(connection),
                )
            })
            .await
    };
}

impl Repository {
    pub(super) async fn list_users(&self, query: ListUsers) -> AuthResult<UserPage> {
        let Some(query) = UserQuery::new(query)? else {
            return Ok(UserPage::default());
        };
        let filter = &query.filter;
        let users = if let Some(UserSearch {
            field,
            operator,
            value,
        }) = &filter.search
        {
            match operator {
                SearchOperator::Equals => self.users_equal(&query, *field, value).await,
                SearchOperator::StartsWith => self.users_with_prefix(&query, *field, value).await,
                SearchOperator::Contains => self.users_containing(&query, *field, value).await,
            }
        } else if let Some(role) = &filter.role {
            query_user_page!(
                self,
                query,
                lead "left(role, 64)" = "left($8, 64)",
                "COALESCE(role = $8, FALSE)",
                role
            )
        } else if let Some(banned) = filter.banned {
            query_user_page!(self, query, lead "banned" = "$8", "TRUE", banned)
        } else if let Some(email_verified) = filter.email_verified {
            query_user_page!(self, query, lead "email_verified" = "$8", "TRUE", email_verified)
        } else {
            query_user_page!(self, query, "TRUE")
        };
        let mut page = query.page(users?);
        // Such a time stands for others, too.
        if let (Some(next), Some(last)) = (&mut page.next_cursor, page.users.last())
            && [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC].contains(&last.created_at)
            && let Some(exact) = self.exact_created_at(&last.id).await?
        {
            *next = cursor(exact, &last.id);
        }
        Ok(page)
    }

    async fn exact_created_at(&self, id: &str) -> AuthResult<Option<i64>> {
        let created_at = self.fetch_optional(Operation::read("list_users"), || {
            sqlx::query!(
                "SELECT created_at AS \"created_at: ExactTime\" FROM users WHERE id = $1",
                id,
            )
        });
        Ok(created_at.await?.map(|user| user.created_at.0))
    }

    async fn users_equal(
        &self,
        query: &UserQuery,
        field: SearchField,
        value: &str,
    ) -> AuthResult<Vec<User>> {
        match field {
            SearchField::Email => query_user_page!(self, query, sorted "email = $8", value),
            SearchField::Username => query_user_page!(self, query, sorted "username = $8", value),
            SearchField::Name => query_user_page!(
                self,
                query,
                lead "left(name, 64) COLLATE \"C\"" = "left($8, 64)",
                "COALESCE(name = $8, FALSE)",
                value
            ),
        }
    }

    async fn users_with_prefix(
        &self,
        query: &UserQuery,
        field: SearchField,
        prefix: &str,
    ) -> AuthResult<Vec<User>> {
        match field {
            SearchField::Email => query_user_page!(
                self,
                query,
                sorted "email COLLATE \"C\" >= $8 AND email COLLATE \"C\" < $9",
                prefix,
                after_all_with(prefix),
            ),
            SearchField::Username => query_user_page!(
                self,
                query,
                sorted "username COLLATE \"C\" >= $8 AND username COLLATE \"C\" < $9",
                prefix,
                after_all_with(prefix),
            ),
            SearchField::Name => {
                let indexed: String = prefix.chars().take(INDEXED_CHARACTERS).collect();
                query_user_page!(
                    self,
                    query,
                    sorted "left(name, 64) COLLATE \"C\" >= $8 AND left(name, 64) COLLATE \"C\" < $9 \
                     AND starts_with(name, $10)",
                    indexed,
                    after_all_with(&indexed),
                    prefix,
                )
            }
        }
    }

    async fn users_containing(
        &self,
        query: &UserQuery,
        field: SearchField,
        value: &str,
    ) -> AuthResult<Vec<User>> {
        let pattern = format!("%{}%", literal(value));
        match field {
            SearchField::Email => query_user_page!(self, query, sorted "email LIKE $8", pattern),
            SearchField::Username => {
                query_user_page!(self, query, sorted "username LIKE $8", pattern)
            }
            SearchField::Name => query_user_page!(self, query, sorted "name LIKE $8", pattern),
        }
    }

    /// One statement for all filters: a count reads all that it counts anyway.
    pub(super) async fn count_users(&self, filter: UserFilter) -> AuthResult<u64> {
        let Some(filter) = UserMatch::new(filter) else {
            return Ok(0);
        };
        let pattern = |field| {
            let search = filter.search.as_ref()?;
            (search.field == field).then(|| like(search))
        };
        let count = self.fetch_one(Operation::read("count_users"), || {
            sqlx::query!(
                "SELECT count(*) AS \"count!\" FROM users \
                 WHERE ($1::TEXT IS NULL OR email LIKE $1) AND ($2::TEXT IS NULL OR username LIKE $2) \
                 AND ($3::TEXT IS NULL OR name LIKE $3) AND COALESCE(role = $4, $4 IS NULL) \
                 AND COALESCE(banned = $5, TRUE) AND COALESCE(email_verified = $6, TRUE) \
                 AND created_at BETWEEN $7 AND $8",
                pattern(SearchField::Email),
                pattern(SearchField::Username),
                pattern(SearchField::Name),
                filter.role.as_deref(),
                filter.banned,
                filter.email_verified,
                Time::from(filter.created_from) as _,
                Time::from(filter.created_until) as _,
            )
        });
        Ok(u64::try_from(count.await?.count).unwrap_or_default())
    }
}

/// A pattern of `LIKE` for a search.
fn like(search: &UserSearch) -> String {
    let literal = literal(&search.value);
    match search.operator {
        SearchOperator::Equals => literal,
        SearchOperator::StartsWith => format!("{literal}%"),
        SearchOperator::Contains => format!("%{literal}%"),
    }
}

/// A pattern of `LIKE` that only the text itself matches.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | '%' | '_') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// The first text, by its bytes, after all that begin with the prefix; where there is none, one that no indexed text
/// reaches.
fn after_all_with(prefix: &str) -> String {
    let mut next = prefix.to_owned();
    while let Some(last) = next.pop() {
        // A range of characters steps over the surrogates.
        if let Some(following) = (last..=char::MAX).nth(1) {
            next.push(following);
            return next;
        }
    }
    char::MAX.to_string().repeat(1000)
}

#[cfg(test)]
mod tests {
    use super::{after_all_with, literal};

    #[test]
    fn wildcards_are_literal() {
        assert_eq!(literal(r"50%_\'"), r"50\%\_\\'");
    }

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(after_all_with("ab"), "ac");
        assert_eq!(after_all_with("a\u{d7ff}"), "a\u{e000}");
        assert_eq!(after_all_with("a\u{10ffff}\u{10ffff}"), "b");
        assert!(*after_all_with("") > *"\u{10ffff}".repeat(255));
        assert!(*after_all_with("\u{10ffff}") > *"\u{10ffff}".repeat(255));
    }
}
