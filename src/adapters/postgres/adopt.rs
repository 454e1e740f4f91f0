use super::SqlxAdapter;
use super::database::Database;
use super::error::Operation;
use crate::adapters::rules;
use crate::{AuthError, AuthResult};

const NAME: &str = "normalize_names";

/// What [`SqlxAdapter::normalize_names`] has done.
#[derive(Debug, Default)]
pub struct NormalizedNames {
    /// How many emails and usernames it has changed.
    pub changed: usize,
    /// What it had to leave alone.
    pub left_alone: Vec<LeftAlone>,
}

/// An email or username that is stored in mixed case, so that no lookup finds it.
#[derive(Debug)]
pub struct LeftAlone {
    /// Whose it is.
    pub user_id: String,
    /// [`AuthError::Conflict`] where another user has it in lower case, [`AuthError::Validation`] where it is too long
    /// to be one.
    pub error: AuthError,
}

impl SqlxAdapter {
    /// Lower-cases the emails and usernames that another program stored in mixed case, which the lookups here would not
    /// find. A username leaves its spelling in `display_username`, if there is none.
    ///
    /// Call it once after [`migrate`](Self::migrate), where such a program had the database; again is harmless. It reads
    /// the users in pieces of 1,000 and changes one at a time, while traffic goes on. Where two users' names are the same
    /// but for case, one of them is left alone and reported: whose it is, is not for a program to decide.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`], [`AuthError::OutcomeUnknown`] or [`AuthError::Database`]. Some names may be changed
    /// by then; call again.
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
            // The last user of a piece is the first of the next.
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
                self.left_alone.push(LeftAlone {
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
    /// Whether there was anything to change. What others have changed meanwhile is left to them.
    async fn normalize_email(&self, id: &str, stored: &str) -> AuthResult<bool> {
        let email = rules::name_key("email", stored)?;
        if email == stored {
            return Ok(false);
        }
        let changed = self.run(Operation::write(NAME), |connection| {
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
        Ok(changed.await?.rows_affected() > 0)
    }

    async fn normalize_username(&self, id: &str, stored: &str) -> AuthResult<bool> {
        let username = rules::name_key("username", stored)?;
        if username == stored {
            return Ok(false);
        }
        let changed = self.run(Operation::write(NAME), |connection| {
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
        Ok(changed.await?.rows_affected() > 0)
    }
}
