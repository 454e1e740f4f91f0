//! `normalize_names`: brings emails and usernames that another program stored into the form that lookups use.

use super::super::SqlxAdapter;
use super::super::database::Database;
use super::super::error::Operation;
use super::super::user::{CONSTRAINTS, NewKeys};
use crate::adapters::input;
use crate::{AuthError, AuthResult};

const NAME: &str = "normalize_names";

/// The result of [`SqlxAdapter::normalize_names`].
#[derive(Debug, Default)]
pub struct NormalizedNames {
    /// The number of emails and usernames that were changed.
    pub changed: usize,
    /// The names that were not changed, and why.
    pub skipped: Vec<SkippedName>,
}

/// An email or username that no lookup finds, and that [`SqlxAdapter::normalize_names`] cannot change.
#[derive(Debug)]
pub struct SkippedName {
    /// The user that has the name.
    pub user_id: String,
    /// [`AuthError::Conflict`] if another user has the normalized name, [`AuthError::Validation`] if the name is not
    /// valid, as one that is too long.
    pub error: AuthError,
}

impl SqlxAdapter {
    /// Lower-cases the emails and usernames that another program stored in mixed case; lookups do not find them. The
    /// original spelling of a username moves to `display_username` if that is NULL.
    ///
    /// Call it once after [`migrate`](Self::migrate) if another program filled the database. Further calls are harmless.
    /// It reads users in batches of 1,000 and changes one name at a time, so traffic goes on. If the names of two users
    /// differ in case only, one of them is skipped and reported: a person has to decide which user keeps the name.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`], [`AuthError::OutcomeUnknown`] or [`AuthError::Database`]. Some names may be changed
    /// already; call it again.
    pub async fn normalize_names(&self) -> AuthResult<NormalizedNames> {
        let mut done = NormalizedNames::default();
        let mut from = String::new();
        loop {
            let users = self.database.run(Operation::read(NAME), |connection| {
                Box::pin(
                    sqlx::query!(
                        "SELECT id, email, username FROM users WHERE id >= $1 ORDER BY id LIMIT 1000",
                        from,
                    )
                    .fetch_all(connection),
                )
            });
            let users = users.await?;
            let last = users.last().map(|user| user.id.clone());
            // The last user of a batch is the first of the next.
            for user in users
                .into_iter()
                .filter(|user| user.id != from || from.is_empty())
            {
                if let Some(email) = user.email {
                    let changed = self.database.normalize_email(&user.id, &email).await;
                    done.note(&user.id, changed)?;
                }
                if let Some(username) = user.username {
                    let changed = self.database.normalize_username(&user.id, &username).await;
                    done.note(&user.id, changed)?;
                }
            }
            match last {
                Some(last) if last != from => from = last,
                _ => return Ok(done),
            }
        }
    }
}

impl NormalizedNames {
    fn note(&mut self, user_id: &str, changed: AuthResult<bool>) -> AuthResult<()> {
        match changed {
            Ok(changed) => self.changed += usize::from(changed),
            Err(error @ (AuthError::Conflict { .. } | AuthError::Validation { .. })) => {
                self.skipped.push(SkippedName {
                    user_id: user_id.to_owned(),
                    error,
                });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Database {
    /// Whether a row was changed. A name that changed since it was read is not touched.
    async fn normalize_email(&self, id: &str, stored: &str) -> AuthResult<bool> {
        let email = input::name_key("email", stored)?;
        if email == stored {
            return Ok(false);
        }
        let operation = Operation::write(NAME).may_violate(&CONSTRAINTS);
        let changed = self.try_run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "UPDATE users SET email = $3, \
                     updated_at = GREATEST(statement_timestamp(), updated_at + INTERVAL '1 microsecond') \
                     WHERE id = $1 AND email = $2",
                    id,
                    stored,
                    email,
                )
                .execute(connection),
            )
        });
        match changed.await {
            Ok(changed) => Ok(changed.rows_affected() > 0),
            Err(failure) => {
                let keys = NewKeys {
                    own_id: id,
                    is_new: false,
                    email: Some(&email),
                    username: None,
                };
                Err(self.user_error(failure, operation, keys).await)
            }
        }
    }

    async fn normalize_username(&self, id: &str, stored: &str) -> AuthResult<bool> {
        let username = input::name_key("username", stored)?;
        if username == stored {
            return Ok(false);
        }
        let operation = Operation::write(NAME).may_violate(&CONSTRAINTS);
        let changed = self.try_run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "UPDATE users SET username = $3, display_username = COALESCE(display_username, username), \
                     updated_at = GREATEST(statement_timestamp(), updated_at + INTERVAL '1 microsecond') \
                     WHERE id = $1 AND username = $2",
                    id,
                    stored,
                    username,
                )
                .execute(connection),
            )
        });
        match changed.await {
            Ok(changed) => Ok(changed.rows_affected() > 0),
            Err(failure) => {
                let keys = NewKeys {
                    own_id: id,
                    is_new: false,
                    email: None,
                    username: Some(&username),
                };
                Err(self.user_error(failure, operation, keys).await)
            }
        }
    }
}
