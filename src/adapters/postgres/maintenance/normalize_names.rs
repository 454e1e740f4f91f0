//! `normalize_names`: brings emails and usernames that another program stored into the form that lookups use.

use sqlx::postgres::PgQueryResult;

use super::super::SqlxAdapter;
use super::super::error::{Failure, Operation};
use super::super::estimates::Rows;
use super::super::progress::{Observer, Progress};
use super::super::repository::Repository;
use super::super::row_batches::MAX_SLOW_ROWS;
use super::super::user::{CONSTRAINTS, NewKeys};
use crate::adapters::input;
use crate::{AuthError, AuthResult};

const NAME: &str = "normalize_names";
const OPERATION: Operation = Operation::write(NAME).may_violate(&CONSTRAINTS);

/// The result of [`SqlxAdapter::normalize_names`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct NormalizedNames {
    /// The number of emails and usernames that were changed.
    pub changed: usize,
    /// The names that were not changed, and why.
    pub skipped: Vec<SkippedName>,
}

/// An email or username that no lookup finds, and that [`SqlxAdapter::normalize_names`] cannot change.
#[derive(Debug)]
#[non_exhaustive]
pub struct SkippedName {
    /// The user that has the name.
    pub user_id: String,
    /// [`AuthError::Conflict`] if another user has the normalized name, [`AuthError::Validation`] if the name is not
    /// valid, as one that is empty or too long or has white space at an end, [`AuthError::Database`] if a constraint or a
    /// trigger of the application refuses the change, and [`AuthError::Unavailable`] if another transaction has locked the
    /// user or the change takes too long.
    pub error: AuthError,
}

impl SqlxAdapter {
    /// Brings the emails and usernames that another program stored into the form that lookups use: lower case, with σ for a
    /// final ς. Lookups do not find other forms. The original spelling of a username moves to `display_username` if that is
    /// NULL.
    ///
    /// Call it once after [`migrate`](Self::migrate) if another program filled the database. Further calls are harmless.
    /// It reads users in batches of 1,000 and changes one name at a time, so traffic goes on. A name that another user
    /// has in that form, that is empty, or that has white space at an end is skipped and reported: a person has to decide
    /// what becomes of it.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`], also after ten waits for a locked user, [`AuthError::OutcomeUnknown`] or
    /// [`AuthError::Database`]. Some names may be changed already; call it again.
    pub async fn normalize_names(&self) -> AuthResult<NormalizedNames> {
        let mut observer = Observer::silent();
        self.observe_normalizing(&mut observer).await
    }

    /// As [`normalize_names`](Self::normalize_names), with an observer that hears how many users were looked at, after
    /// each batch.
    ///
    /// # Errors
    ///
    /// As [`normalize_names`](Self::normalize_names).
    pub async fn normalize_names_with(
        &self,
        mut observe: impl FnMut(&Progress) + Send,
    ) -> AuthResult<NormalizedNames> {
        let mut observer = Observer::new(&mut observe);
        self.observe_normalizing(&mut observer).await
    }

    async fn observe_normalizing(
        &self,
        observer: &mut Observer<'_>,
    ) -> AuthResult<NormalizedNames> {
        let connections = &self.repository.connections;
        let normalize = self.normalize_all_names(observer);
        connections.observe(NAME, normalize).await
    }

    async fn normalize_all_names(
        &self,
        observer: &mut Observer<'_>,
    ) -> AuthResult<NormalizedNames> {
        let database = &self.repository;
        let step = "normalizing emails and usernames";
        database.begin_step(observer, step, Rows::Users).await;
        let mut done = NormalizedNames::default();
        let mut last = None;
        loop {
            let users = database.users_after(NAME, &mut last).await?;
            if users.is_empty() {
                return Ok(done);
            }
            let count = users.len();
            for UserNames {
                id,
                email,
                username,
            } in users
            {
                if let Some(email) = email {
                    let changed = database.normalize_email(&id, &email).await;
                    done.note(&id, changed)?;
                }
                if let Some(username) = username {
                    let changed = database.normalize_username(&id, &username).await;
                    done.note(&id, changed)?;
                }
            }
            observer.advance(count).await;
        }
    }
}

/// The names of a user, as they are stored.
pub(super) struct UserNames {
    pub(super) id: String,
    pub(super) email: Option<String>,
    pub(super) username: Option<String>,
}

/// Why a name was not changed.
enum NotChanged {
    Skipped(AuthError),
    Failed(AuthError),
}

impl NormalizedNames {
    fn note(&mut self, user_id: &str, changed: Result<bool, NotChanged>) -> AuthResult<()> {
        match changed {
            Ok(changed) => self.changed += usize::from(changed),
            Err(NotChanged::Skipped(error)) => {
                let slow = self.skipped.iter().filter(|name| name.error.is_retryable());
                if error.is_retryable() && slow.count() >= MAX_SLOW_ROWS {
                    return Err(error);
                }
                self.skipped.push(SkippedName {
                    user_id: user_id.to_owned(),
                    error,
                });
            }
            Err(NotChanged::Failed(error)) => return Err(error),
        }
        Ok(())
    }
}

impl Repository {
    /// The next users by id, at most 1,000, of whom `last` becomes the last. None if there are no more.
    pub(super) async fn users_after(
        &self,
        operation: &'static str,
        last: &mut Option<String>,
    ) -> AuthResult<Vec<UserNames>> {
        let from = last.clone().unwrap_or_default();
        let users = self.run(Operation::read(operation), |connection| {
            Box::pin(
                sqlx::query_as!(
                    UserNames,
                    "SELECT id, email, username FROM users WHERE id >= $1 ORDER BY id LIMIT 1000",
                    from,
                )
                .fetch_all(connection),
            )
        });
        let mut users = users.await?;
        // The last user of a batch is the first of the next.
        users.retain(|user| last.as_ref() != Some(&user.id));
        if let Some(user) = users.last() {
            *last = Some(user.id.clone());
        }
        Ok(users)
    }

    /// Whether a row was changed. A name that changed since it was read is not touched.
    async fn normalize_email(&self, id: &str, stored: &str) -> Result<bool, NotChanged> {
        let email = input::name_key("email", stored).map_err(NotChanged::Skipped)?;
        if email == stored {
            return Ok(false);
        }
        let changed = self.try_run(OPERATION, |connection| {
            Box::pin(
                sqlx::query!(
                    "UPDATE users SET email = $3, \
                     updated_at = GREATEST(statement_timestamp(), \
                     (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                     WHERE id = $1 AND email = $2",
                    id,
                    stored,
                    email,
                )
                .execute(connection),
            )
        });
        let new_email = (Some(&*email), None);
        self.name_changed(changed.await, id, new_email).await
    }

    async fn normalize_username(&self, id: &str, stored: &str) -> Result<bool, NotChanged> {
        let username = input::name_key("username", stored).map_err(NotChanged::Skipped)?;
        if username == stored {
            return Ok(false);
        }
        let changed = self.try_run(OPERATION, |connection| {
            Box::pin(
                sqlx::query!(
                    "UPDATE users SET username = $3, display_username = COALESCE(display_username, username), \
                     updated_at = GREATEST(statement_timestamp(), \
                     (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                     WHERE id = $1 AND username = $2",
                    id,
                    stored,
                    username,
                )
                .execute(connection),
            )
        });
        let new_username = (None, Some(&*username));
        self.name_changed(changed.await, id, new_username).await
    }

    async fn name_changed(
        &self,
        changed: Result<PgQueryResult, Failure>,
        own_id: &str,
        (email, username): (Option<&str>, Option<&str>),
    ) -> Result<bool, NotChanged> {
        let failure = match changed {
            Ok(changed) => return Ok(changed.rows_affected() > 0),
            Err(failure) => failure,
        };
        let concerns_row = failure.refuses_row() || failure.took_too_long();
        let keys = NewKeys {
            own_id,
            is_new: false,
            email,
            username,
        };
        let error = self.user_error(failure, OPERATION, keys).await;
        Err(if concerns_row {
            NotChanged::Skipped(error)
        } else {
            NotChanged::Failed(error)
        })
    }
}
