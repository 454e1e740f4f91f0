//! `MemoryDatabaseAdapter`.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::clock::Clock;
use super::store::{Repository, Store};
use crate::AuthResult;
use crate::adapters::VerificationKeys;
use crate::adapters::delegate::forward_database_adapter;

/// Keeps everything in memory, for development and tests. What it holds is lost when the process ends.
///
/// It keeps every promise that `SqlxAdapter` keeps: uniqueness, references, transactions,
/// and no operation half-visible. Clones share the data.
///
/// ```
/// use better_auth::adapters::MemoryDatabaseAdapter;
///
/// let database = MemoryDatabaseAdapter::new();
/// let same_data = database.clone();
/// # let _ = same_data;
/// ```
#[derive(Clone)]
pub struct MemoryDatabaseAdapter {
    repository: Repository<Arc<Store>>,
}

impl MemoryDatabaseAdapter {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Clock::default())
    }

    /// An empty store with a clock of your own, for tests: it decides when a session or verification expires, and what
    /// `created_at` and `updated_at` are.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
    /// use std::sync::Arc;
    ///
    /// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
    /// use better_auth::types::{CreateSession, CreateUser};
    /// use chrono::{DateTime, TimeDelta};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> better_auth::AuthResult<()> {
    /// let seconds = Arc::new(AtomicI64::new(1_700_000_000));
    /// let clock = Arc::clone(&seconds);
    /// let now = move || DateTime::from_timestamp(clock.load(Relaxed), 0).unwrap_or_default();
    /// let database = MemoryDatabaseAdapter::with_clock(now.clone());
    ///
    /// let user = database.create_user(CreateUser::new()).await?;
    /// let session = CreateSession::new(&user.id, now() + TimeDelta::hours(1));
    /// let session = database.create_session(session).await?;
    /// assert!(database.get_session(&session.token).await?.is_some());
    /// seconds.fetch_add(3600, Relaxed);
    /// assert_eq!(database.get_session(&session.token).await?, None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_clock(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self::with(Clock::new(now))
    }

    /// The same data, where the values of verifications that are created
    /// [`hashed`](crate::types::CreateVerification::hashed()) are told apart by these keys, as `SqlxAdapter` does:
    /// [`VerificationKeys`] has an example. Earlier clones keep the keys that they have.
    ///
    /// Nobody reads memory as a table or a backup, so random digits stand in for the digest that the row shows.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`](crate::AuthError::Validation) if a key has less than 32 bytes.
    pub fn verification_keys(mut self, keys: VerificationKeys) -> AuthResult<Self> {
        keys.check()?;
        self.repository.1 = Some(Arc::new(keys));
        Ok(self)
    }

    fn with(clock: Clock) -> Self {
        Self {
            repository: Repository(Arc::new(Store::new(clock)), None),
        }
    }
}

impl Default for MemoryDatabaseAdapter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryDatabaseAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("MemoryDatabaseAdapter");
        for (table, rows) in self.repository.0.tables.sizes() {
            debug.field(table, &rows);
        }
        debug.finish()
    }
}

forward_database_adapter!(impl [] for MemoryDatabaseAdapter, |this| this.repository, |call| call());

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{TimeDelta, Utc};

    use super::MemoryDatabaseAdapter;
    use crate::adapters::DatabaseAdapter;
    use crate::types::{
        CreateAccount, CreateApiKey, CreateDeviceCode, CreateInvitation, CreateOrganization,
        CreateOrganizationRole, CreatePasskey, CreateSession, CreateSigningKey, CreateTeam,
        CreateTeamMember, CreateUser, CreateVerification, Metadata, UpdateUser,
    };
    use crate::{AuthResult, transaction};

    /// Creates and removes rows of each kind, by each method that removes some.
    async fn come_and_go(database: &dyn DatabaseAdapter, sessions: usize) -> AuthResult<()> {
        let (past, later) = (
            Utc::now() - TimeDelta::hours(1),
            Utc::now() + TimeDelta::hours(1),
        );
        let code = |end| CreateVerification::new("a", "1", end);
        let create = CreateUser::new().with_email("a").with_username("a");
        let user = database.create_user(create).await?;
        let other = database.create_user(CreateUser::new()).await?;
        let rename = UpdateUser {
            email: Some(Some("b".to_owned())),
            username: Some(None),
            ..UpdateUser::default()
        };
        database.update_user(&user.id, rename).await?;
        for user in [&user, &other] {
            for end in [past, later] {
                let session = CreateSession::new(&user.id, end);
                let session = database.create_session(session).await?;
                database.delete_session(&session.token).await?;
            }
            for _ in 0..sessions {
                let session = CreateSession::new(&user.id, later);
                database.create_session(session).await?;
            }
            let dead = CreateSession::new(&user.id, past);
            database.create_session(dead).await?;
            let account = CreateAccount::new(&user.id, "github", &user.id);
            database.create_account(account).await?;
        }
        let account = CreateAccount::new(&other.id, "github", "1");
        let account = database.create_account(account).await?;
        database.delete_account(&account.id).await?;
        let row = database.create_verification(code(later)).await?;
        database.delete_verification(&row.id).await?;
        for end in [past, later] {
            database.create_verification(code(end)).await?;
        }
        database.consume_verification("a", "1").await?;
        for end in [past, later] {
            database.create_verification(code(end)).await?;
            database.consume_verification_by_identifier("a").await?;
            database.create_verification(code(end)).await?;
            database.delete_verifications_by_identifier("a").await?;
            database.create_verification(code(end)).await?;
            for guess in ["2", "1"] {
                database.check_code("a", guess, 3).await?;
            }
            database.delete_verifications_by_identifier("a").await?;
            for end in [past, end] {
                database.reserve_verification("a", "1", end).await?;
            }
            database.consume_verification("a", "1").await?;
            database.create_verification(code(end)).await?;
            // Its attempts are used up.
            database.check_code("a", "2", 1).await?;
            database.consume_verification_by_identifier("a").await?;
        }
        database.create_verification(code(past)).await?;
        database.clean_up().await?;
        for session in database.get_user_sessions(&user.id).await?.iter().take(1) {
            database
                .delete_other_sessions(&user.id, &session.token)
                .await?;
            database.delete_session_by_id(&user.id, &session.id).await?;
        }
        database.delete_other_sessions(&user.id, "unknown").await?;
        let session = CreateSession::new(&user.id, later);
        database.create_session(session).await?;
        database.ban_user(&user.id, None, None).await?;
        let session = CreateSession::new(&user.id, later);
        database.create_session(session).await?;
        database.delete_user_sessions(&user.id).await?;
        database.delete_user(&user.id).await?;
        database.delete_user(&other.id).await
    }

    #[tokio::test]
    async fn a_clean_up_gives_memory_back() -> AuthResult<()> {
        let database = MemoryDatabaseAdapter::new();
        let past = Utc::now() - TimeDelta::hours(1);
        for value in 0..10_000 {
            let code = CreateVerification::new("a", value.to_string(), past);
            database.create_verification(code).await?;
        }
        let tables = &database.repository.0.tables;
        assert!(tables.capacity() >= 10_000);
        database.delete_expired_verifications().await?;
        assert_eq!(tables.capacity(), 0);
        Ok(())
    }

    #[tokio::test]
    async fn each_row_is_guarded_by_its_owners_stripe() -> AuthResult<()> {
        let database = MemoryDatabaseAdapter::new();
        let later = Utc::now() + TimeDelta::hours(1);
        let ada = database.create_user(CreateUser::new()).await?.id;
        let session = database.create_session(CreateSession::new(&ada, later));
        session.await?;
        let account = CreateAccount::new(&ada, "github", "1");
        database.create_account(account).await?;
        let code = CreateVerification::new("a@example.com", "1", later);
        database.create_verification(code).await?;
        let organizations = database.organizations()?;
        let create = CreateOrganization::new("Engines", "engines", &ada);
        let (engines, _) = organizations.create_organization(create).await?;
        let engines = engines.id;
        let invite = CreateInvitation::new(&engines, "b@example.com", &ada, later);
        organizations.create_invitation(invite).await?;
        let team = organizations.create_team(CreateTeam::new(&engines, "Team"));
        let team = team.await?.id;
        let joins = CreateTeamMember::new(&team, &ada);
        organizations.create_team_member(joins).await?;
        let role = CreateOrganizationRole::new(&engines, "auditor", Metadata::new());
        organizations.create_organization_role(role).await?;
        let hour = Duration::from_secs(3600);
        database.rate_limits()?.take("limit", 1, hour).await?;
        let pair = CreateSigningKey::new("public", "private");
        database.signing_keys()?.rotate(pair, hour).await?;
        (database.two_factor()?.enroll(&ada, "secret", None)).await?;
        let passkey = CreatePasskey::new(&ada, "credential", "public");
        database.passkeys()?.create_passkey(passkey).await?;
        let codes = database.device_codes()?;
        let code = codes.create_device_code(CreateDeviceCode::new(later));
        let code = code.await?.device_code;
        let keys = database.api_keys()?;
        let key = keys.create_api_key(CreateApiKey::for_user(&ada)).await?.key;
        let owners = database.repository.0.tables.owners();
        let expected = [
            ("users", &*ada),
            ("sessions", &ada),
            ("accounts", &ada),
            ("verifications", "a@example.com"),
            ("organizations", &engines),
            ("members", &engines),
            ("invitations", &engines),
            ("teams", &engines),
            ("team_members", &team),
            ("organization_roles", &engines),
            ("rate_limits", "limit"),
            ("signing_keys", ""),
            ("two_factors", &ada),
            ("passkeys", &ada),
            ("device_codes", &code),
            ("api_keys", &key),
        ];
        let expected = expected.map(|(table, owner)| (table, owner.to_owned()));
        assert_eq!(owners, expected);
        Ok(())
    }

    #[tokio::test]
    async fn what_is_empty_leaves_the_indexes() {
        let database = MemoryDatabaseAdapter::new();
        // Long lists are removed in two steps.
        for sessions in [1, 3000] {
            come_and_go(&database, sessions).await.unwrap();
            assert_eq!(database.repository.0.tables.index_keys(), 0);
            transaction(
                &database,
                |tx| async move { come_and_go(&tx, sessions).await },
            )
            .await
            .unwrap();
            assert_eq!(database.repository.0.tables.index_keys(), 0);
        }
        database
            .create_user(CreateUser::new().with_email("a"))
            .await
            .unwrap();
        assert_eq!(database.repository.0.tables.index_keys(), 1);
    }
}
