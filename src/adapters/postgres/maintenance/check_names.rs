//! `check_names`: finds the emails, usernames, slugs and invited addresses that no lookup finds.

use sqlx::PgConnection;

use super::super::SqlxAdapter;
use super::super::error::Operation;
use super::super::estimates::Rows;
use super::super::progress::{Observer, Progress};
use super::super::repository::Repository;
use super::normalize_names::UserNames;
use crate::AuthResult;
use crate::adapters::{Store, input};

const NAME: &str = "check_names";
/// The most rows of a kind that a report names.
const MAX_NAMED_ROWS: usize = 10;

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
    /// Organizations whose slug no lookup finds. None if the store is not migrated.
    pub organizations: UnreachableNames,
    /// Pending invitations to an address that no user has, as emails are stored in lower case. None if the store is not
    /// migrated.
    pub invitations: UnreachableNames,
}

/// Rows of a store whose name is in a form that no lookup finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreachableNames {
    /// How many there are.
    pub count: u64,
    /// The ids of the first ten.
    pub first_ids: Vec<String>,
}

/// A row with its name.
struct Named {
    id: String,
    name: String,
}

impl SqlxAdapter {
    /// Looks for emails and usernames that another program stored in a form that lookups do not find, such as one with
    /// upper case. [`normalize_names`](Self::normalize_names) changes them.
    ///
    /// If the store of organizations is migrated, it looks at their slugs and at the addresses of pending invitations too.
    /// Give such an organization another slug by its id; cancel such an invitation and invite again.
    ///
    /// It reads all users, organizations and pending invitations, in batches of 1,000, and changes nothing.
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
                break;
            }
            let count = users.len();
            for user in users {
                report.note(user);
            }
            observer.advance(count).await;
        }
        if database.is_migrated(Store::Organizations, NAME).await? {
            report.organizations = database.unreachable_slugs().await?;
            report.invitations = database.unreachable_addresses().await?;
        }
        Ok(report)
    }
}

fn is_normal(name: &str) -> bool {
    input::lookup_name(name).is_some_and(|key| key == name)
}

impl NameReport {
    fn note(&mut self, user: UserNames) {
        self.users += 1;
        let mut names = [&user.email, &user.username].into_iter().flatten();
        if names.all(|name| is_normal(name)) {
            return;
        }
        self.unreachable += 1;
        if self.first_ids.len() < MAX_NAMED_ROWS {
            self.first_ids.push(user.id);
        }
    }
}

impl UnreachableNames {
    /// Notes the rows of a batch, of which `last` becomes the last. Whether there were any.
    fn note(&mut self, mut rows: Vec<Named>, last: &mut Option<String>) -> bool {
        // The last row of a batch is the first of the next.
        rows.retain(|row| last.as_ref() != Some(&row.id));
        let Some(new_last) = rows.last() else {
            return false;
        };
        *last = Some(new_last.id.clone());
        for row in rows.into_iter().filter(|row| !is_normal(&row.name)) {
            self.count += 1;
            if self.first_ids.len() < MAX_NAMED_ROWS {
                self.first_ids.push(row.id);
            }
        }
        true
    }
}

impl Repository {
    async fn unreachable_slugs(&self) -> AuthResult<UnreachableNames> {
        let (mut found, mut last) = (UnreachableNames::default(), None);
        loop {
            let slugs = self.run(Operation::read(NAME), |connection| {
                Box::pin(slugs_from(connection, last.clone()))
            });
            if !found.note(slugs.await?, &mut last) {
                return Ok(found);
            }
        }
    }

    async fn unreachable_addresses(&self) -> AuthResult<UnreachableNames> {
        let (mut found, mut last) = (UnreachableNames::default(), None);
        loop {
            let addresses = self.run(Operation::read(NAME), |connection| {
                Box::pin(addresses_from(connection, last.clone()))
            });
            if !found.note(addresses.await?, &mut last) {
                return Ok(found);
            }
        }
    }
}

/// As [`SqlxAdapter::check_names`] finds them in the store of organizations, on one connection.
pub(super) async fn unreachable_organization_names(
    connection: &mut PgConnection,
) -> sqlx::Result<[UnreachableNames; 2]> {
    let [mut slugs, mut addresses] = <[UnreachableNames; 2]>::default();
    let mut last = None;
    while slugs.note(slugs_from(connection, last.clone()).await?, &mut last) {}
    let mut last = None;
    while addresses.note(addresses_from(connection, last.clone()).await?, &mut last) {}
    Ok([slugs, addresses])
}

/// The next organizations by id, at most 1,000, from the last one on.
async fn slugs_from(
    connection: &mut PgConnection,
    last: Option<String>,
) -> sqlx::Result<Vec<Named>> {
    sqlx::query_as!(
        Named,
        "SELECT id, slug AS name FROM organization WHERE id >= $1 ORDER BY id LIMIT 1000",
        last.unwrap_or_default(),
    )
    .fetch_all(connection)
    .await
}

/// The next pending invitations by id, at most 1,000, from the last one on.
async fn addresses_from(
    connection: &mut PgConnection,
    last: Option<String>,
) -> sqlx::Result<Vec<Named>> {
    sqlx::query_as!(
        Named,
        "SELECT id, email AS name FROM invitation WHERE id >= $1 AND status = 'pending' ORDER BY id LIMIT 1000",
        last.unwrap_or_default(),
    )
    .fetch_all(connection)
    .await
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAMED_ROWS, NameReport, Named, UnreachableNames, UserNames};

    #[test]
    fn no_more_rows_are_named_than_can_be_read() {
        let rows = 0..MAX_NAMED_ROWS + 2;
        let slug = |row: usize| Named {
            id: row.to_string(),
            name: "Not-Lowercase".to_owned(),
        };
        let mut slugs = UnreachableNames::default();
        assert!(slugs.note(rows.clone().map(slug).collect(), &mut None));
        let mut users = NameReport::default();
        for row in rows.clone() {
            users.note(UserNames {
                id: row.to_string(),
                email: Some("Ada@example.com".to_owned()),
                username: None,
            });
        }
        for (count, listed) in [
            (slugs.count, slugs.first_ids),
            (users.unreachable, users.first_ids),
        ] {
            assert_eq!((count, listed.len()), (rows.len() as u64, MAX_NAMED_ROWS));
        }
    }
}
