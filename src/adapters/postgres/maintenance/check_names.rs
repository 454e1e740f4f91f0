//! `check_names`: finds the emails and usernames that no lookup finds.

use super::super::SqlxAdapter;
use super::super::estimates::Rows;
use super::super::progress::{Observer, Progress};
use super::normalize_names::UserNames;
use crate::AuthResult;
use crate::adapters::input;

const NAME: &str = "check_names";
/// The most users that a report names.
const MAX_NAMED_USERS: usize = 10;

/// The result of [`SqlxAdapter::check_names`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameReport {
    /// How many users there are.
    pub users: u64,
    /// How many of them have an email or a username in a form that no lookup finds.
    pub unreachable: u64,
    /// The ids of the first ten of those.
    pub first_ids: Vec<String>,
}

impl SqlxAdapter {
    /// Looks for emails and usernames that another program stored in a form that lookups do not find, such as one with
    /// upper case. [`normalize_names`](Self::normalize_names) changes them.
    ///
    /// It reads all users, in batches of 1,000, and changes nothing.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable) or
    /// [`AuthError::Database`](crate::AuthError::Database).
    pub async fn check_names(&self) -> AuthResult<NameReport> {
        self.observe_names(&mut Observer::silent()).await
    }

    /// As [`check_names`](Self::check_names), with an observer that hears how many users were looked at, after each batch.
    ///
    /// # Errors
    ///
    /// As [`check_names`](Self::check_names).
    pub async fn check_names_with(
        &self,
        mut observe: impl FnMut(&Progress) + Send,
    ) -> AuthResult<NameReport> {
        self.observe_names(&mut Observer::new(&mut observe)).await
    }

    async fn observe_names(&self, observer: &mut Observer<'_>) -> AuthResult<NameReport> {
        let connections = &self.repository.connections;
        connections
            .observe(NAME, self.look_at_names(observer))
            .await
    }

    async fn look_at_names(&self, observer: &mut Observer<'_>) -> AuthResult<NameReport> {
        let database = &self.repository;
        let step = "checking emails and usernames";
        database.begin_step(observer, step, Rows::Users).await;
        let mut report = NameReport::default();
        let mut last = None;
        loop {
            let users = database.users_after(NAME, &mut last).await?;
            if users.is_empty() {
                return Ok(report);
            }
            let count = users.len();
            for user in users {
                report.note(user);
            }
            observer.advance(count).await;
        }
    }
}

impl NameReport {
    fn note(&mut self, user: UserNames) {
        let is_normal = |field, name: &Option<String>| {
            name.as_ref()
                .is_none_or(|name| input::name_key(field, name).is_ok_and(|key| key == *name))
        };
        self.users += 1;
        if is_normal("email", &user.email) && is_normal("username", &user.username) {
            return;
        }
        self.unreachable += 1;
        if self.first_ids.len() < MAX_NAMED_USERS {
            self.first_ids.push(user.id);
        }
    }
}
