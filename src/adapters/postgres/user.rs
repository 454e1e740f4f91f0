use std::sync::Arc;

use sqlx::PgConnection;
use sqlx::types::Json;

use super::batch::{Batcher, Keyed};
use super::columns::{JsonObject, NullableTime, Time};
use super::database::{Batchers, Database, LookUp, StatementFuture};
use super::error::{Constraints, Operation};
use crate::adapters::input;
use crate::types::{CreateUser, UpdateUser, User};
use crate::{AuthError, AuthResult, ConflictField};

/// A statement that answers with whole users: `query_user!("SELECT " COLUMNS " FROM users WHERE id = $1", id)`.
macro_rules! query_user {
    ($before:literal COLUMNS $after:literal $(+ $more:literal)* $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            User,
            $before
                + "id, name, email, email_verified, image, username, display_username, two_factor_enabled, role, \
                   banned, ban_reason, ban_expires AS \"ban_expires!: NullableTime\", \
                   metadata AS \"metadata: JsonObject\", created_at AS \"created_at: Time\", \
                   updated_at AS \"updated_at: Time\""
                + $after $(+ $more)*
            $(, $argument)*
        )
    };
}
pub(super) use query_user;

pub(super) const CONSTRAINTS: Constraints = Constraints {
    table: "users",
    unique: &[
        ("users_pkey", ConflictField::UserId),
        ("users_email_key", ConflictField::Email),
        ("users_username_key", ConflictField::Username),
    ],
    user: None,
};

impl Keyed for User {
    fn key(&self) -> &str {
        &self.id
    }
}

impl LookUp for User {
    const OPERATION: Operation = Operation::read("get_user_by_id");

    fn batcher(batchers: &Batchers) -> &Arc<Batcher<Self>> {
        &batchers.users
    }

    fn find<'c>(
        connection: &'c mut PgConnection,
        ids: &[String],
    ) -> StatementFuture<'c, Vec<Self>> {
        let users = query_user!("SELECT " COLUMNS " FROM users WHERE id = ANY ((SELECT $1::TEXT[])::TEXT[])", ids);
        Box::pin(users.fetch_all(connection))
    }
}

impl Database {
    pub(super) async fn create_user(&self, user: CreateUser) -> AuthResult<User> {
        let user = input::new_user(user, input::now())?;
        let operation = Operation::write("create_user").may_violate(&CONSTRAINTS);
        let created = self.run(operation, |connection| {
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
            Err(AuthError::Conflict { field }) => {
                let new_id = Some(user.id.as_str());
                let first = self.first_conflict(field, new_id, &user.id, user.email.as_deref());
                Err(AuthError::Conflict {
                    field: first.await.unwrap_or(field),
                })
            }
            created => created,
        }
    }

    pub(super) async fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>> {
        if !input::is_possible_id(id) {
            return Ok(None);
        }
        self.look_up(id).await
    }

    pub(super) async fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>> {
        let Some(email) = input::lookup_name(email) else {
            return Ok(None);
        };
        self.run(Operation::read("get_user_by_email"), |connection| {
            Box::pin(
                query_user!("SELECT " COLUMNS " FROM users WHERE email = $1", email)
                    .fetch_optional(connection),
            )
        })
        .await
    }

    pub(super) async fn get_user_by_username(&self, username: &str) -> AuthResult<Option<User>> {
        let Some(username) = input::lookup_name(username) else {
            return Ok(None);
        };
        self.run(Operation::read("get_user_by_username"), |connection| {
            Box::pin(
                query_user!("SELECT " COLUMNS " FROM users WHERE username = $1", username)
                    .fetch_optional(connection),
            )
        })
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
        let updated = self.run(operation, |connection| {
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
                     updated_at = GREATEST(statement_timestamp(), updated_at + INTERVAL '1 microsecond') \
                     WHERE id = $1 RETURNING " COLUMNS "",
                    id,
                    update.name.is_some(),
                    update.name.as_ref().and_then(Option::as_ref),
                    update.email.is_some(),
                    update.email.as_ref().and_then(Option::as_ref),
                    update.email_verified,
                    update.image.is_some(),
                    update.image.as_ref().and_then(Option::as_ref),
                    update.username.is_some(),
                    update.username.as_ref().and_then(Option::as_ref),
                    update.display_username.is_some(),
                    update.display_username.as_ref().and_then(Option::as_ref),
                    update.two_factor_enabled,
                    update.role.is_some(),
                    update.role.as_ref().and_then(Option::as_ref),
                    update.banned,
                    update.ban_reason.is_some(),
                    update.ban_reason.as_ref().and_then(Option::as_ref),
                    update.ban_expires.is_some(),
                    update.ban_expires.flatten(),
                    update.metadata.as_ref().map(Json) as _,
                )
                .fetch_optional(connection),
            )
        });
        match updated.await {
            Err(AuthError::Conflict { field }) => {
                let email = update.email.as_ref().and_then(Option::as_deref);
                let first = self.first_conflict(field, None, id, email);
                Err(AuthError::Conflict {
                    field: first.await.unwrap_or(field),
                })
            }
            updated => updated?.ok_or(AuthError::UserNotFound),
        }
    }

    /// Which conflict to name where there may be several. The server names that of the oldest index, and a restored
    /// dump or a `REINDEX` changes their age. A transaction that has failed cannot be asked, so there its word stands.
    async fn first_conflict(
        &self,
        named: ConflictField,
        new_id: Option<&str>,
        own_id: &str,
        email: Option<&str>,
    ) -> AuthResult<ConflictField> {
        let nothing_before = match named {
            ConflictField::Email => new_id.is_none(),
            ConflictField::Username => new_id.is_none() && email.is_none(),
            _ => true,
        };
        if nothing_before || self.transaction.is_some() {
            return Ok(named);
        }
        let taken = self.run(Operation::read("conflict"), |connection| {
            Box::pin(
                sqlx::query!(
                    "SELECT EXISTS (SELECT FROM users WHERE id = $1) AS \"id!\", \
                     EXISTS (SELECT FROM users WHERE email = $2 AND id <> $3) AS \"email!\"",
                    new_id,
                    email,
                    own_id,
                )
                .fetch_one(connection),
            )
        });
        let taken = taken.await?;
        Ok(if taken.id {
            ConflictField::UserId
        } else if taken.email {
            ConflictField::Email
        } else {
            named
        })
    }

    pub(super) async fn delete_user(&self, id: &str) -> AuthResult<()> {
        if !input::is_possible_id(id) {
            return Ok(());
        }
        self.run(Operation::write("delete_user"), |connection| {
            Box::pin(sqlx::query!("DELETE FROM users WHERE id = $1", id).execute(connection))
        })
        .await
        .map(drop)
    }
}
