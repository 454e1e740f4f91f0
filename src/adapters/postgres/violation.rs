//! Which of our constraints a statement has violated.
//!
//! A constraint of another table's is none of ours, whatever its name, and neither is one that the statements of a trigger
//! violate: their errors are no answers about what the caller did. A unique index of another name on our table may be: the
//! server names the oldest one.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use sqlx::postgres::PgDatabaseError;

use super::server_error::by_code_of_the_application;
use super::sqlstate;
use crate::{AuthError, ConflictField};

/// The constraints of a table that a caller's input may violate.
pub(super) struct Constraints {
    pub(super) table: &'static str,
    pub(super) keys: &'static [Key],
    pub(super) references: &'static [Reference],
}

/// What has to be unique.
pub(super) struct Key {
    pub(super) constraint: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) field: ConflictField,
}

/// What has to be there.
pub(super) struct Reference {
    pub(super) constraint: &'static str,
    /// As a detail of the server's quotes them.
    pub(super) columns: &'static str,
    pub(super) table: &'static str,
    pub(super) parent: Parent,
}

impl Reference {
    /// That of `user_id` to `users`.
    pub(super) const fn to_user(constraint: &'static str) -> Self {
        Self {
            constraint,
            columns: "user_id",
            table: "users",
            parent: Parent::User,
        }
    }

    /// That of `organization_id` to `organization`.
    pub(super) const fn to_organization(constraint: &'static str) -> Self {
        Self {
            constraint,
            columns: "organization_id",
            table: "organization",
            parent: Parent::Organization,
        }
    }
}

/// What a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    User,
    Organization,
    Member,
    Team,
}

/// What the server says was violated, and on which table.
pub(super) struct Violation {
    /// Schema and name; engines that send statements on to others do not say.
    pub(super) table: Option<(String, String)>,
    pub(super) our_table: &'static str,
    pub(super) violated: Violated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violated {
    /// A key is taken.
    Key(ConflictField),
    /// A unique index on our table, and the server does not say on which columns, or they are no key of ours. One of our
    /// keys may be taken as well.
    OtherIndex,
    /// What the row belongs to is missing.
    Missing(Parent),
}

impl Violated {
    /// The typed answer, if there is one.
    pub(super) fn answer(self) -> Option<AuthError> {
        match self {
            Self::Key(field) => Some(AuthError::Conflict { field }),
            Self::OtherIndex => None,
            Self::Missing(Parent::User) => Some(AuthError::UserNotFound),
            Self::Missing(Parent::Organization) => Some(AuthError::OrganizationNotFound),
            Self::Missing(Parent::Member) => Some(AuthError::MemberNotFound),
            Self::Missing(Parent::Team) => Some(AuthError::TeamNotFound),
        }
    }
}

impl Violation {
    /// `ours` are those of the tables that the statement writes to.
    pub(super) fn new(error: &PgDatabaseError, ours: &'static [Constraints]) -> Option<Self> {
        if by_code_of_the_application(error) {
            return None;
        }
        let is_named = |of: &&Constraints| error.table().map(without_shard) == Some(of.table);
        match ours.iter().find(is_named) {
            Some(ours) => Self::of(error, ours),
            // A partition, or an engine that does not name the table.
            None => ours.iter().find_map(|ours| Self::of(error, ours)),
        }
    }

    fn of(error: &PgDatabaseError, ours: &'static Constraints) -> Option<Self> {
        let is_unique = error.code() == sqlstate::UNIQUE_VIOLATION;
        let named = |name: &str| {
            if is_unique {
                let key = ours.keys.iter().find(|key| key.constraint == name)?;
                return Some(Violated::Key(key.field));
            }
            let mut references = ours.references.iter();
            let reference = references.find(|reference| reference.constraint == name)?;
            Some(Violated::Missing(reference.parent))
        };
        let (table, violated) = match (error.schema(), error.table(), error.constraint()) {
            (Some(schema), Some(table), Some(constraint)) => {
                let violated = match named(without_shard(constraint)) {
                    Some(violated) => violated,
                    None if is_unique => other_index(error, ours),
                    None => other_reference(error, ours)?,
                };
                (Some((schema.to_owned(), table.to_owned())), violated)
            }
            (_, None, None) => (None, names(error.message()).find_map(named)?),
            _ => return None,
        };
        Some(Self {
            table,
            our_table: ours.table,
            violated,
        })
    }
}

/// What is taken where a unique index of another name says so. The detail quotes its columns or expressions before the
/// values, in any language: `Key (lower(email))=(ada@example.com) already exists.`
fn other_index(error: &PgDatabaseError, ours: &Constraints) -> Violated {
    let detail = error.detail().unwrap_or_default();
    let columns = detail.split(")=(").next().unwrap_or_default();
    let columns: HashSet<&str> = match columns.split_once('(') {
        Some((_, columns)) => parts(columns).into_iter().map(folded_column).collect(),
        None => HashSet::new(),
    };
    let taken = |key: &&Key| key.columns.iter().all(|column| columns.contains(column));
    match ours.keys.iter().find(taken) {
        Some(key) => Violated::Key(key.field),
        None => Violated::OtherIndex,
    }
}

/// What is missing where a reference of another name says so, as two of them stand beside each other in some databases:
/// `Key (user_id)=(1) is not present in table "users".`
fn other_reference(error: &PgDatabaseError, ours: &Constraints) -> Option<Violated> {
    let detail = error.detail()?;
    let (before, from_columns) = detail.split_once('(')?;
    let (columns, _) = from_columns.split_once(")=(")?;
    let (_, behind) = detail.rsplit_once(')')?;
    let is_told = |reference: &&Reference| {
        let mut tables = [before, behind].into_iter().flat_map(names);
        columns == reference.columns && tables.any(|name| name == reference.table)
    };
    let reference = ours.references.iter().find(is_told)?;
    Some(Violated::Missing(reference.parent))
}

/// The columns and expressions of an index: what commas outside of brackets and quotes separate.
fn parts(columns: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (at, c) in columns.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(columns[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(columns[begin..].trim());
    parts
}

/// The column of an expression that only folds case, as emails and usernames are compared without it.
fn folded_column(expression: &str) -> &str {
    let folded = ["lower", "upper"]
        .iter()
        .find_map(|function| expression.strip_prefix(function).and_then(within_brackets));
    let column = folded.unwrap_or(expression);
    let column = column.strip_suffix("::text").unwrap_or(column);
    let column = within_brackets(column).unwrap_or(column);
    let quoted = column
        .strip_prefix('"')
        .and_then(|column| column.strip_suffix('"'));
    quoted.unwrap_or(column)
}

fn within_brackets(expression: &str) -> Option<&str> {
    expression.strip_prefix('(')?.strip_suffix(')')
}

/// The names in a message, without the shards' numbers.
fn names(message: &str) -> impl Iterator<Item = &str> {
    message
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .map(without_shard)
}

/// The name without the number that a sharding engine appends.
fn without_shard(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((base, shard)) if !shard.is_empty() && shard.bytes().all(|b| b.is_ascii_digit()) => {
            base
        }
        _ => name,
    }
}

/// The tables that are known to be ours, by schema and name: ours, or partitions of ours.
#[derive(Default)]
pub(super) struct OurTables(Mutex<HashSet<(String, String)>>);

impl OurTables {
    pub(super) fn contains(&self, table: &(String, String)) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(table)
    }

    pub(super) fn add(&self, table: (String, String)) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(table);
    }
}

#[cfg(test)]
mod tests {
    use super::{folded_column, parts, without_shard};

    #[test]
    fn shard_numbers_are_no_part_of_a_name() {
        assert_eq!(without_shard("users_email_key_102008"), "users_email_key");
        assert_eq!(without_shard("users_email_key"), "users_email_key");
        assert_eq!(without_shard("users_email_key_"), "users_email_key_");
    }

    #[test]
    fn an_expression_is_one_part() {
        let index = "email, COALESCE(username, (email || ', '::text)), \"a, b\"";
        let whole = [
            "email",
            "COALESCE(username, (email || ', '::text))",
            "\"a, b\"",
        ];
        assert_eq!(parts(index), whole);
        assert_eq!(parts("lower(email)"), ["lower(email)"]);
    }

    #[test]
    fn folding_case_is_no_other_column() {
        for expression in [
            "email",
            "\"email\"",
            "lower(email)",
            "upper((email)::text)",
            "(email)::text",
        ] {
            assert_eq!(folded_column(expression), "email", "{expression}");
        }
        for expression in [
            "COALESCE(username, email)",
            "(email || username)",
            "split_part(email, '@'::text, 2)",
            "md5(email)",
            "lower(name)",
        ] {
            assert_ne!(folded_column(expression), "email", "{expression}");
        }
    }
}
