//! The statements about users, and the constraints of their table.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::batch_loader::{BatchLoader, Keyed};
use super::columns::{IdentifiedMetadata, JsonObject, NullableTime, Time, new_value};
use super::connection::{Settings, StatementFuture};
use super::error::{Failure, Operation};
use super::repository::{Loaders, LookUp, Repository};
use super::violation::{Constraints, Key, Violated};
use crate::adapters::input;
use crate::types::{CreateUser, UpdateUser, User};
use crate::{AuthError, AuthResult, ConflictField};

/// Calls a macro with its arguments and behind them the columns of a user that stand for themselves, so that they are listed
/// here only: `name! { arguments… "name" "email" … }`.
macro_rules! with_user_columns {
    ($name:ident { $($arguments:tt)* }) => {
        $name! {
            $($arguments)*
            "name" "email" "email_verified" "image" "username" "display_username" "two_factor_enabled" "role" "banned"
            "ban_reason" "ban_expires AS \"ban_expires!: NullableTime\""
        }
    };
}

/// A statement that answers with whole users: `query_user!("SELECT " COLUMNS " FROM users WHERE id = $1", id)`.
macro_rules! query_user {
    // The errors of lists name the user.
    (listed $($statement:tt)*) => {
        with_user_columns! { query_user {
            @columns ["ROW(id, metadata) AS \"metadata!: IdentifiedMetadata\""] [$($statement)*]
        } }
    };
    (
        @columns [$metadata:literal] [$before:literal COLUMNS $after:literal $(+ $more:literal)* $(, $argument:expr)* $(,)?]
        $($column:literal)*
    ) => {
        sqlx::query_as!(
            User,
            $before
                + "id" $(+ ", " + $column)*
                + ", " + $metadata + ", created_at AS \"created_at: Time\", updated_at AS \"updated_at: Time\""
                + $after $(+ $more)*
            $(, $argument)*
        )
    };
    ($($statement:tt)*) => {
        with_user_columns! { query_user { @columns ["metadata AS \"metadata: JsonObject\""] [$($statement)*] } }
    };
}
pub(super) use {query_user, with_user_columns};

pub(super) const CONSTRAINTS: Constraints = Constraints {
    table: "users",
    keys: &[
        Key {
            constraint: "users_pkey",
            columns: &["id"],
            field: ConflictField::UserId,
        },
        Key {
            constraint: "users_email_key",
            columns: &["email"],
            field: ConflictField::Email,
        },
        Key {
            constraint: "users_username_key",
            columns: &["username"],
            field: ConflictField::Username,
        },
    ],
    references: &[],
};

/// What a write gives a user, and others may have.
#[derive(Clone, Copy)]
pub(super) struct NewKeys<'a> {
    /// The user's own id.
    pub(super) own_id: &'a str,
    pub(super) is_new: bool,
    pub(super) email: Option<&'a str>,
    pub(super) username: Option<&'a str>,
}

impl Keyed for User {
    fn key(&self) -> &str {
        &self.id
    }
}

impl LookUp for User {
    const OPERATION: Operation = Operation::read("get_user_by_id");

    fn loader(loaders: &Loaders) -> &Arc<BatchLoader<Self>> {
        &loaders.users
    }

    fn find<'c>(
        connection: &'c mut PgConnection,
        ids: &[String],
        _: &Settings,
    ) -> StatementFuture<'c, Vec<Self>> {
        let users = query_user!("SELECT " COLUMNS " FROM users WHERE id = ANY ((SELECT $1::TEXT[])::TEXT[])", ids);
        Box::pin(users.fetch_all(connection))
    }
}

impl Repository {
    pub(super) async fn create_user(&self, user: CreateUser) -> AuthResult<User> {
        let user = input::new_user(user, input::now())?;
        let operation = Operation::write("create_user").may_violate(&CONSTRAINTS);
        let created = self.try_run(operation, |connection| {
            Box::pin(
                query_user!(
                    "INSERT INTO users (id, name, email, email_verified, image, username, display_username, role, \
                     metadata, created_at, updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, statement_timestamp(), statement_timestamp()) \
                     RETURNING " COLUMNS "",
                    user.id,
                    user.name,
                    user.email,
                    user.email_verified,
                    user.image,
                    user.username,
                    user.display_username,
                    user.role,
                    Json(&user.metadata) as _,
                )
                .fetch_one(connection),
            )
        });
        match created.await {
            Ok(user) => Ok(user),
            Err(failure) => {
                let keys = NewKeys {
                    own_id: &user.id,
                    is_new: true,
                    email: user.email.as_deref(),
                    username: user.username.as_deref(),
                };
                Err(self.user_error(failure, operation, keys).await)
            }
        }
    }

    pub(super) async fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>> {
        if !input::is_possible_id(id) {
            return Ok(None);
        }
        self.look_up::<User>(id).await
    }

    pub(super) async fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>> {
        let Some(email) = input::lookup_name(email) else {
            return Ok(None);
        };
        self.fetch_optional(
            Operation::read("get_user_by_email"),
            || query_user!("SELECT " COLUMNS " FROM users WHERE email = $1", email),
        )
        .await
    }

    pub(super) async fn get_user_by_username(&self, username: &str) -> AuthResult<Option<User>> {
        let Some(username) = input::lookup_name(username) else {
            return Ok(None);
        };
        self.fetch_optional(
            Operation::read("get_user_by_username"),
            || query_user!("SELECT " COLUMNS " FROM users WHERE username = $1", username),
        )
        .await
    }

    pub(super) async fn update_user(&self, id: &str, update: UpdateUser) -> AuthResult<User> {
        let update = input::user_update(update)?;
        if update == UpdateUser::default() {
            return self
                .get_user_by_id(id)
                .await?
                .ok_or(AuthError::UserNotFound);
        }
        if !input::is_possible_id(id) {
            return Err(AuthError::UserNotFound);
        }
        let operation = Operation::write("update_user").may_violate(&CONSTRAINTS);
        let updated = self.try_run(operation, |connection| {
            Box::pin(
                query_user!(
                    "UPDATE users SET \
                     name = CASE WHEN $2 THEN $3 ELSE name END, \
                     email = CASE WHEN $4 THEN $5 ELSE email END, \
                     email_verified = COALESCE($6, email_verified), \
                     image = CASE WHEN $7 THEN $8 ELSE image END, \
                     username = CASE WHEN $9 THEN $10 ELSE username END, \
                     display_username = CASE WHEN $11 THEN $12 ELSE display_username END, \
                     two_factor_enabled = COALESCE($13, two_factor_enabled), \
                     role = CASE WHEN $14 THEN $15 ELSE role END, \
                     banned = COALESCE($16, banned), \
                     ban_reason = CASE WHEN $17 THEN $18 ELSE ban_reason END, \
                     ban_expires = CASE WHEN $19 THEN $20 ELSE ban_expires END, \
                     metadata = COALESCE($21, metadata), \
                     updated_at = GREATEST(statement_timestamp(), \
                     (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                     WHERE id = $1 RETURNING " COLUMNS "",
                    id,
                    update.name.is_some(),
                    new_value(&update.name),
                    update.email.is_some(),
                    new_value(&update.email),
                    update.email_verified,
                    update.image.is_some(),
                    new_value(&update.image),
                    update.username.is_some(),
                    new_value(&update.username),
                    update.display_username.is_some(),
                    new_value(&update.display_username),
                    update.two_factor_enabled,
                    update.role.is_some(),
                    new_value(&update.role),
                    update.banned,
                    update.ban_reason.is_some(),
                    new_value(&update.ban_reason),
                    update.ban_expires.is_some(),
                    new_value(&update.ban_expires),
                    update.metadata.as_ref().map(Json) as _,
                )
                .fetch_optional(connection),
            )
        });
        match updated.await {
            Ok(user) => user.ok_or(AuthError::UserNotFound),
            Err(failure) => {
                let keys = NewKeys {
                    own_id: id,
                    is_new: false,
                    email: update.email.as_ref().and_then(Option::as_deref),
                    username: update.username.as_ref().and_then(Option::as_deref),
                };
                Err(self.user_error(failure, operation, keys).await)
            }
        }
    }

    pub(super) async fn get_users_by_ids(&self, ids: &[String]) -> AuthResult<Vec<User>> {
        input::check_ids(ids)?;
        let possible = ids.iter().filter(|id| input::is_possible_id(id));
        let possible: Vec<String> = possible.cloned().collect();
        if possible.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.fetch_all(Operation::read("get_users_by_ids"), || {
            query_user!(
                listed "SELECT " COLUMNS " FROM users WHERE id = ANY ((SELECT $1::TEXT[])::TEXT[])",
                &possible,
            )
        });
        let found = found.await?.into_iter().map(|user| (user.id.clone(), user));
        let found: HashMap<String, User> = found.collect();
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    /// The server changes the user first, so that a user who is being deleted has no session left to wait for.
    pub(super) async fn ban_user(
        &self,
        id: &str,
        reason: Option<String>,
        until: Option<DateTime<Utc>>,
    ) -> AuthResult<User> {
        let update = input::ban_update(reason, until)?;
        if !input::is_possible_id(id) {
            return Err(AuthError::UserNotFound);
        }
        let banned = self.fetch_optional(Operation::write("ban_user"), || {
            query_user!(
                "WITH ended AS (DELETE FROM sessions WHERE user_id = $1) \
                 UPDATE users SET banned = TRUE, ban_reason = $2, ban_expires = $3, \
                 updated_at = GREATEST(statement_timestamp(), \
                 (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 WHERE id = $1 RETURNING " COLUMNS "",
                id,
                new_value(&update.ban_reason),
                new_value(&update.ban_expires),
            )
        });
        banned.await?.ok_or(AuthError::UserNotFound)
    }

    pub(super) async fn unban_user(&self, id: &str) -> AuthResult<User> {
        self.update_user(id, UpdateUser::new().with_banned(false))
            .await
    }

    /// The error of a write to `users` that failed. Of several conflicts the first is named: the server names that of the
    /// oldest index, and a restored dump or a `REINDEX` changes their age. In a transaction its word stands, as what the
    /// transaction has done cannot be looked at any more.
    pub(super) async fn user_error(
        &self,
        failure: Failure,
        operation: Operation,
        keys: NewKeys<'_>,
    ) -> AuthError {
        let violated = self.violated(&failure, operation).await;
        let named = match violated {
            Some(Violated::Key(field)) => Some(field),
            Some(Violated::OtherIndex) => None,
            _ => return self.error(failure, operation),
        };
        let may_be_first = match named {
            Some(ConflictField::Email) => !keys.is_new,
            Some(ConflictField::Username) => !keys.is_new && keys.email.is_none(),
            Some(_) => true,
            None => false,
        };
        let field = match named {
            Some(field) if may_be_first || self.transaction.is_some() => Some(field),
            _ => self.first_taken(keys).await.unwrap_or_default().or(named),
        };
        match field {
            Some(field) => AuthError::Conflict { field },
            None => self.error(failure, operation),
        }
    }

    async fn first_taken(&self, keys: NewKeys<'_>) -> Result<Option<ConflictField>, Failure> {
        let taken = self.run_after_failure(Operation::read("conflict"), |connection| {
            Box::pin(
                sqlx::query!(
                    "SELECT EXISTS (SELECT FROM users WHERE id = $1 AND $2) AS \"id!\", \
                     EXISTS (SELECT FROM users WHERE email = $3 AND id <> $1) AS \"email!\", \
                     EXISTS (SELECT FROM users WHERE username = $4 AND id <> $1) AS \"username!\"",
                    keys.own_id,
                    keys.is_new,
                    keys.email,
                    keys.username,
                )
                .fetch_one(connection),
            )
        });
        let taken = taken.await?;
        let first = [
            (taken.id, ConflictField::UserId),
            (taken.email, ConflictField::Email),
            (taken.username, ConflictField::Username),
        ];
        Ok(first
            .into_iter()
            .find_map(|(is_taken, field)| is_taken.then_some(field)))
    }

    pub(super) async fn delete_user(&self, id: &str) -> AuthResult<()> {
        if !input::is_possible_id(id) {
            return Ok(());
        }
        self.execute(Operation::write("delete_user"), || {
            sqlx::query!("DELETE FROM users WHERE id = $1", id)
        })
        .await
        .map(drop)
    }
}
