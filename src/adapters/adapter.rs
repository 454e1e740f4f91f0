//! `DatabaseAdapter` and `Transaction`: what every adapter guarantees, method by method.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    ApiKeyStore, DeviceCodeStore, OrganizationStore, PasskeyStore, RateLimitStore, SigningKeyStore,
    TwoFactorStore, input,
};
use crate::types::{
    Account, CREDENTIAL, CheckSession, CheckedSession, CodeCheck, CreateAccount, CreateSession,
    CreateUser, CreateVerification, Linked, ListUsers, Removed, Session, UpdateAccount,
    UpdateSession, UpdateUser, User, UserFilter, UserPage, Verification,
};
use crate::{AuthError, AuthResult};

/// The store of users, sessions, accounts and verifications.
///
/// | method | what it does |
/// |---|---|
/// | **Users** | |
/// | [`create_user`](Self::create_user)`(user: CreateUser) -> User` | stores a new user |
/// | [`get_user_by_id`](Self::get_user_by_id)`(id: &str) -> Option<User>` | finds a user by id |
/// | [`get_user_by_email`](Self::get_user_by_email)`(email: &str) -> Option<User>` | finds a user by email, in any case |
/// | [`get_user_by_username`](Self::get_user_by_username)`(username: &str) -> Option<User>` | finds a user by username, in any case |
/// | [`update_user`](Self::update_user)`(id: &str, update: UpdateUser) -> User` | changes a user |
/// | [`delete_user`](Self::delete_user)`(id: &str)` | removes a user with all sessions and accounts |
/// | [`get_users_by_ids`](Self::get_users_by_ids)`(ids: &[String]) -> Vec<User>` ¹ | finds up to 1,000 users at once |
/// | [`ban_user`](Self::ban_user)`(id: &str, reason: Option<String>, until: Option<DateTime<Utc>>) -> User` ¹ | bans a user and ends all sessions |
/// | [`unban_user`](Self::unban_user)`(id: &str) -> User` ¹ | ends a ban |
/// | [`list_users`](Self::list_users)`(query: ListUsers) -> UserPage` ¹ | a page of the users that match |
/// | [`count_users`](Self::count_users)`(filter: UserFilter) -> u64` ¹ | counts the users that match |
/// | **Sessions** | |
/// | [`create_session`](Self::create_session)`(session: CreateSession) -> Session` | creates a session with a new token |
/// | [`get_session`](Self::get_session)`(token: &str) -> Option<Session>` | finds a live session |
/// | [`get_session_with_user`](Self::get_session_with_user)`(token: &str) -> Option<(Session, User)>` ¹ | finds a live session and its user |
/// | [`refresh_session`](Self::refresh_session)`(token: &str, lifetime: Duration, update_age: Duration) -> Option<(Session, User)>` ¹ | the same, and extends the session if it is due |
/// | [`check_session`](Self::check_session)`(token: &str, check: CheckSession) -> Option<CheckedSession>` ¹ | the same, says whether it was extended, and finds the membership of the active organization |
/// | [`get_user_sessions`](Self::get_user_sessions)`(user_id: &str) -> Vec<Session>` | the live sessions of a user |
/// | [`update_session_expiry`](Self::update_session_expiry)`(token: &str, expires_at: DateTime<Utc>)` | moves the end of a live session |
/// | [`update_session`](Self::update_session)`(token: &str, update: UpdateSession) -> Session` ¹ | changes a live session |
/// | [`delete_session`](Self::delete_session)`(token: &str)` | removes a session |
/// | [`delete_session_by_id`](Self::delete_session_by_id)`(user_id: &str, id: &str)` ¹ | removes a session of a user without its token |
/// | [`delete_user_sessions`](Self::delete_user_sessions)`(user_id: &str)` | removes all sessions of a user |
/// | [`delete_other_sessions`](Self::delete_other_sessions)`(user_id: &str, keep_token: &str) -> usize` ¹ | removes all sessions of a user but one |
/// | [`delete_expired_sessions`](Self::delete_expired_sessions)`() -> usize` | removes the sessions that are not live |
/// | **Accounts** | |
/// | [`create_account`](Self::create_account)`(account: CreateAccount) -> Account` | links an account to a user |
/// | [`link_account`](Self::link_account)`(account: CreateAccount) -> (Account, Linked)` ¹ | links an account, or refreshes its tokens |
/// | [`get_account`](Self::get_account)`(provider: &str, id: &str) -> Option<Account>` | finds an account by the provider's id |
/// | [`get_credential_account`](Self::get_credential_account)`(user_id: &str) -> Option<Account>` ¹ | the account with the user's password hash |
/// | [`get_user_accounts`](Self::get_user_accounts)`(user_id: &str) -> Vec<Account>` | the accounts of a user |
/// | [`update_account`](Self::update_account)`(id: &str, update: UpdateAccount) -> Account` ¹ | changes an account |
/// | [`delete_account`](Self::delete_account)`(id: &str)` | removes an account |
/// | **Verifications** | |
/// | [`create_verification`](Self::create_verification)`(v: CreateVerification) -> Verification` | stores a one-time token |
/// | [`consume_verification`](Self::consume_verification)`(identifier: &str, value: &str) -> Option<Verification>` ¹ | uses up a one-time token: exactly one caller gets it |
/// | [`consume_verification_by_identifier`](Self::consume_verification_by_identifier)`(identifier: &str) -> Option<Verification>` ¹ | uses up the newest of an identifier: exactly one caller gets it |
/// | [`check_code`](Self::check_code)`(identifier: &str, value: &str, max_attempts: u32) -> CodeCheck` ¹ | uses up a code that could be guessed, and counts wrong guesses |
/// | [`reserve_verification`](Self::reserve_verification)`(identifier: &str, value: &str, expires_at: DateTime<Utc>) -> bool` ¹ | sets a marker: exactly one caller sets it |
/// | [`get_verification`](Self::get_verification)`(identifier: &str, value: &str) -> Option<Verification>` | finds the newest live one of a pair |
/// | [`get_verification_by_value`](Self::get_verification_by_value)`(value: &str) -> Option<Verification>` | finds the newest live one of a value |
/// | [`get_verification_by_identifier`](Self::get_verification_by_identifier)`(identifier: &str) -> Option<Verification>` ¹ | finds the newest live one of an identifier |
/// | [`delete_verification`](Self::delete_verification)`(id: &str)` | removes a verification |
/// | [`delete_verifications_by_identifier`](Self::delete_verifications_by_identifier)`(identifier: &str)` ¹ | removes all verifications of an identifier |
/// | [`delete_expired_verifications`](Self::delete_expired_verifications)`() -> usize` | removes the verifications that have expired |
/// | **All tables** | |
/// | [`clean_up`](Self::clean_up)`() -> Removed` ¹ | removes the sessions that are not live and the verifications that have expired |
/// | [`begin`](Self::begin)`() -> Box<dyn Transaction>` ¹ | begins a transaction |
/// | **Stores** | |
/// | [`organizations`](Self::organizations)`() -> &dyn OrganizationStore` ¹ | organizations, members, invitations, teams and roles; not `async` |
/// | [`rate_limits`](Self::rate_limits)`() -> &dyn RateLimitStore` ¹ | how often something may happen; not `async` |
/// | [`signing_keys`](Self::signing_keys)`() -> &dyn SigningKeyStore` ¹ | keys that sign tokens; not `async` |
/// | [`two_factor`](Self::two_factor)`() -> &dyn TwoFactorStore` ¹ | second factors; not `async` |
/// | [`passkeys`](Self::passkeys)`() -> &dyn PasskeyStore` ¹ | credentials of WebAuthn; not `async` |
/// | [`device_codes`](Self::device_codes)`() -> &dyn DeviceCodeStore` ¹ | sign-in of devices; not `async` |
/// | [`api_keys`](Self::api_keys)`() -> &dyn ApiKeyStore` ¹ | keys of machines; not `async` |
///
/// Each is an `async fn(&self, …)` that returns its answer in an [`AuthResult`], although the signatures below show what
/// [`async_trait`](crate::async_trait) makes of it. The methods marked ¹ are provided; the other 22 are required. The
/// trait is object-safe: hold it as `Arc<dyn DatabaseAdapter>`. It is implemented for `Arc<T>`, `Box<T>` and `&T`.
///
/// ```
/// use std::sync::Arc;
///
/// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
/// use better_auth::types::CreateUser;
///
/// #[tokio::main]
/// async fn main() -> better_auth::AuthResult<()> {
///     let database: Arc<dyn DatabaseAdapter> = Arc::new(MemoryDatabaseAdapter::new());
///     let user = database.create_user(CreateUser::new().with_email("Ada@Example.com")).await?;
///     assert_eq!(database.get_user_by_email("ADA@example.com").await?, Some(user));
///     Ok(())
/// }
/// ```
///
/// # What every adapter guarantees
///
/// The `conformance` feature tests these guarantees on any adapter.
///
/// - **Ids and tokens.** Ids are UUIDv7, hyphenated and lower-case, unless the caller gives one. Session tokens are 32
///   bytes from the operating system's random source, as base64url without padding.
/// - **Times** are truncated to the microsecond, so that the row a create returns equals the row that every later get
///   returns. `updated_at` equals `created_at` at first and moves forward on every change, even if the clock goes back. A
///   time beyond chrono's range (PostgreSQL's `infinity`) reads as the furthest time in that range.
/// - **Live** means that `expires_at` is later than now (equal is expired); for a session, that `active` is set as well;
///   for a verification, that [`check_code`](Self::check_code) has left attempts. The clock is the database's, if there is
///   one.
/// - **Emails and usernames** compare without case and are stored in lower case, by Unicode's rules. If a username is
///   given without a display username, its original spelling is stored as `display_username`, on create and on update.
/// - **Input that cannot be stored** is [`AuthError::Validation`], which names the field; nothing is changed. This
///   covers: a NUL character in any text; an id, email, username or provider id over 255 bytes; an account id or
///   identifier over 1,024 bytes; a time before 4714-11-24 BC; metadata nested deeper than 100, with a key that begins
///   with `$serde_json::private::`, or with numbers beyond the [limits](crate::adapters::input#limits); a value of a
///   verification that has the form of a stored digest ([`VerificationKeys`](crate::adapters::VerificationKeys)). All
///   other text may be megabytes long. A key that only names a row is not stored: a *lookup* by such a key answers `None`,
///   a delete does nothing, an update answers that row's `…NotFound`, and a create with such a `user_id` answers
///   `UserNotFound`.
/// - **Text is data.** Quotes, `%`, `_`, backslashes and SQL come back unchanged. Numbers in metadata come back as they
///   went in; a whole float of 10¹⁶ or more comes back as the integer it equals, if 64 bits hold that integer. If any crate
///   of the application switches on serde_json's `arbitrary_precision`, numbers keep all their digits and come back as JSONB
///   writes them: without an exponent, and zero without a sign.
/// - **Lists** are newest first (`created_at`, then `id` by bytes) and complete.
/// - **A failed operation changes nothing**, except `delete_expired_*`, which work in batches. Deleting a row that does
///   not exist succeeds.
/// - **Every future may be dropped at any point.** No lock stays held and no half-written row stays.
/// - **If several errors apply**, the first of these wins: `Validation`; `Conflict` on the user id, the email, the
///   username (or the account); the missing user.
///
/// # Implementing it
///
/// ```no_run
/// use better_auth::adapters::DatabaseAdapter;
/// use better_auth::{AuthResult, async_trait, types::*};
/// use chrono::{DateTime, Utc};
///
/// struct MyAdapter;
///
/// # impl MyAdapter {
/// #     fn find(&self, _: &str) -> Option<(String, String, DateTime<Utc>, DateTime<Utc>, Option<String>)> { None }
/// # }
/// #[async_trait]
/// impl DatabaseAdapter for MyAdapter {
///     async fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>> {
///         todo!("look it up")
///     }
///     // `new` takes the columns that have no default, so that a later column breaks no adapter.
///     async fn get_session(&self, token: &str) -> AuthResult<Option<Session>> {
///         let Some((id, user_id, expires_at, created_at, ip_address)) = self.find(token) else {
///             return Ok(None);
///         };
///         let session = Session::new(id, token, user_id, expires_at, created_at);
///         Ok(Some(Session { ip_address, ..session }))
///     }
///     // … and the other required ones.
/// #   async fn create_user(&self, user: CreateUser) -> AuthResult<User> { todo!() }
/// #   async fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>> { todo!() }
/// #   async fn get_user_by_username(&self, username: &str) -> AuthResult<Option<User>> { todo!() }
/// #   async fn update_user(&self, id: &str, update: UpdateUser) -> AuthResult<User> { todo!() }
/// #   async fn delete_user(&self, id: &str) -> AuthResult<()> { todo!() }
/// #   async fn create_session(&self, session: CreateSession) -> AuthResult<Session> { todo!() }
/// #   async fn get_user_sessions(&self, user_id: &str) -> AuthResult<Vec<Session>> { todo!() }
/// #   async fn update_session_expiry(&self, token: &str, expires_at: DateTime<Utc>) -> AuthResult<()> { todo!() }
/// #   async fn delete_session(&self, token: &str) -> AuthResult<()> { todo!() }
/// #   async fn delete_user_sessions(&self, user_id: &str) -> AuthResult<()> { todo!() }
/// #   async fn delete_expired_sessions(&self) -> AuthResult<usize> { todo!() }
/// #   async fn create_account(&self, account: CreateAccount) -> AuthResult<Account> { todo!() }
/// #   async fn get_account(&self, provider: &str, id: &str) -> AuthResult<Option<Account>> { todo!() }
/// #   async fn get_user_accounts(&self, user_id: &str) -> AuthResult<Vec<Account>> { todo!() }
/// #   async fn delete_account(&self, id: &str) -> AuthResult<()> { todo!() }
/// #   async fn create_verification(&self, v: CreateVerification) -> AuthResult<Verification> { todo!() }
/// #   async fn get_verification(&self, identifier: &str, value: &str) -> AuthResult<Option<Verification>> { todo!() }
/// #   async fn get_verification_by_value(&self, value: &str) -> AuthResult<Option<Verification>> { todo!() }
/// #   async fn delete_verification(&self, id: &str) -> AuthResult<()> { todo!() }
/// #   async fn delete_expired_verifications(&self) -> AuthResult<usize> { todo!() }
/// }
/// ```
///
/// # Errors
///
/// Every method may answer [`AuthError::Unavailable`], [`AuthError::OutcomeUnknown`] (writes only) and
/// [`AuthError::Database`]. Further errors are listed at each method.
#[async_trait]
pub trait DatabaseAdapter: Send + Sync {
    /// Stores a new user.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] if the id, the email or the username is taken. Any number
    /// of users may have no email and no username.
    async fn create_user(&self, user: CreateUser) -> AuthResult<User>;

    /// Returns the user with this id.
    async fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>>;

    /// Returns the user with this email address, in any case.
    async fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>>;

    /// Returns the user with this username, in any case.
    async fn get_user_by_username(&self, username: &str) -> AuthResult<Option<User>>;

    /// Changes a user and returns the changed row. An empty update returns the row as it is, `updated_at` included.
    /// `banned = Some(false)` also clears the reason and the end of the ban, even if the update sets them.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] if the email or the username belongs to another user;
    /// [`AuthError::UserNotFound`].
    async fn update_user(&self, id: &str, update: UpdateUser) -> AuthResult<User>;

    /// Removes a user together with all sessions and accounts.
    async fn delete_user(&self, id: &str) -> AuthResult<()>;

    /// Creates a session with a new token. A ban is stored, not enforced: check [`User::is_banned_at`] before.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::UserNotFound`].
    async fn create_session(&self, session: CreateSession) -> AuthResult<Session>;

    /// Returns the live session with this token.
    async fn get_session(&self, token: &str) -> AuthResult<Option<Session>>;

    /// Returns the live sessions of a user, newest first.
    async fn get_user_sessions(&self, user_id: &str) -> AuthResult<Vec<Session>>;

    /// Moves the end of a live session. The new end may be in the past.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::SessionNotFound`] if no *live* session has the token.
    async fn update_session_expiry(&self, token: &str, expires_at: DateTime<Utc>)
    -> AuthResult<()>;

    /// Removes the session with this token.
    async fn delete_session(&self, token: &str) -> AuthResult<()>;

    /// Removes all sessions of a user.
    async fn delete_user_sessions(&self, user_id: &str) -> AuthResult<()>;

    /// Removes every session that is not live, in bounded batches, and returns how many were removed.
    ///
    /// If the call fails part-way, some rows are already gone; call it again.
    async fn delete_expired_sessions(&self) -> AuthResult<usize>;

    /// Links an account to a user.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] if the provider's account is already linked, to this user
    /// or another; [`AuthError::UserNotFound`].
    async fn create_account(&self, account: CreateAccount) -> AuthResult<Account>;

    /// Returns the account that a provider knows by this id (`accounts.account_id`).
    async fn get_account(&self, provider: &str, id: &str) -> AuthResult<Option<Account>>;

    /// Returns the accounts of a user, newest first.
    async fn get_user_accounts(&self, user_id: &str) -> AuthResult<Vec<Account>>;

    /// Removes the account with this row id (`accounts.id`).
    async fn delete_account(&self, id: &str) -> AuthResult<()>;

    /// Stores a verification. The same identifier may hold several values, and the same pair may occur twice.
    ///
    /// A verification that is to be [`hashed`](CreateVerification::hashed()) needs an adapter with
    /// [`VerificationKeys`](crate::adapters::VerificationKeys).
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Unsupported`] if the value is to be hashed and the adapter has no keys.
    async fn create_verification(&self, v: CreateVerification) -> AuthResult<Verification>;

    /// Returns the newest live verification of this identifier with this value.
    ///
    /// To check and use up a one-time token, call [`consume_verification`](Self::consume_verification) instead: between a
    /// lookup and a delete, another caller can find the same token.
    async fn get_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>>;

    /// Returns the newest live verification with this value.
    ///
    /// Some programs keep a user's id as the value, in the row of a token to reset a password, and the token in the
    /// identifier. A value that a client sends proves nothing there: look up the identifier or the pair.
    async fn get_verification_by_value(&self, value: &str) -> AuthResult<Option<Verification>>;

    /// Removes the verification with this row id.
    async fn delete_verification(&self, id: &str) -> AuthResult<()>;

    /// Removes every verification that has expired, in bounded batches, and returns how many were removed.
    ///
    /// If the call fails part-way, some rows are already gone; call it again.
    async fn delete_expired_verifications(&self) -> AuthResult<usize>;

    /// Returns the live session with this token, and its user. The default calls the two getters.
    ///
    /// The user may be banned: a ban is stored, not enforced, so check [`User::is_banned_at`].
    async fn get_session_with_user(&self, token: &str) -> AuthResult<Option<(Session, User)>> {
        let Some(session) = self.get_session(token).await? else {
            return Ok(None);
        };
        let user = self.get_user_by_id(&session.user_id).await?;
        Ok(user.map(|user| (session, user)))
    }

    /// Uses up a one-time token: removes *all* rows of the pair and returns the newest live one. Among any number of
    /// callers, exactly one gets it.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it. There is no default, because a lookup followed by a
    /// delete would let two callers use the same token.
    async fn consume_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let _ = (identifier, value);
        Err(AuthError::Unsupported {
            operation: "consume_verification",
        })
    }

    /// Returns the newest live verification of this identifier. It shows a digest if the value is
    /// [`hashed`](CreateVerification::hashed()).
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    async fn get_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        let _ = identifier;
        Err(AuthError::Unsupported {
            operation: "get_verification_by_identifier",
        })
    }

    /// Changes a live session and returns the changed row. An empty update returns the row as it is.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::SessionNotFound`] if no *live* session has the token;
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    async fn update_session(&self, token: &str, update: UpdateSession) -> AuthResult<Session> {
        let _ = (token, update);
        Err(AuthError::Unsupported {
            operation: "update_session",
        })
    }

    /// Changes the account with this row id and returns the changed row. An empty update returns the row as it is.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::AccountNotFound`]; [`AuthError::Unsupported`] unless the adapter implements it.
    async fn update_account(&self, id: &str, update: UpdateAccount) -> AuthResult<Account> {
        let _ = (id, update);
        Err(AuthError::Unsupported {
            operation: "update_account",
        })
    }

    /// Returns a page of the users that match, for admin screens.
    ///
    /// Pages are stable while users are created and deleted: a page begins after the last user of the page before, even if
    /// that user is gone. On PostgreSQL a page is read from an index, chosen by the first of these that the filter
    /// contains: the search (`Equals` or `StartsWith`), the role, `banned`, `email_verified`, the time of creation. The
    /// rest of the filter is applied to the rows found there. `StartsWith` reads all users with that prefix, and
    /// `Contains` reads all users. If the table is large, create the extension `pg_trgm` and an index such as
    /// `CREATE INDEX ON users USING gin (email gin_trgm_ops)`; `Contains` then uses it.
    ///
    /// ```
    /// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
    /// use better_auth::types::{CreateUser, ListUsers};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> better_auth::AuthResult<()> {
    /// let database = MemoryDatabaseAdapter::new();
    /// for _ in 0..5 {
    ///     database.create_user(CreateUser::new()).await?;
    /// }
    /// let mut query = ListUsers::new().with_limit(2);
    /// let mut pages = 0;
    /// loop {
    ///     let page = database.list_users(query.clone()).await?;
    ///     pages += 1;
    ///     let Some(cursor) = page.next_cursor else { break };
    ///     query = query.with_cursor(cursor);
    /// }
    /// assert_eq!(pages, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if `limit` is not from 1 to 1,000 or `cursor` was not returned by this method;
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    async fn list_users(&self, query: ListUsers) -> AuthResult<UserPage> {
        let _ = query;
        Err(AuthError::Unsupported {
            operation: "list_users",
        })
    }

    /// Counts the users that match. On PostgreSQL this may read the whole table.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    async fn count_users(&self, filter: UserFilter) -> AuthResult<u64> {
        let _ = filter;
        Err(AuthError::Unsupported {
            operation: "count_users",
        })
    }

    /// Returns the live session with this token and its user, as
    /// [`get_session_with_user`](Self::get_session_with_user) does, and extends the session to `lifetime` from now if it is
    /// due. This is the check of every request where sessions live as long as they are used.
    ///
    /// A session is due when `expires_at <= now + lifetime - update_age`: with a lifetime of seven days and an `update_age`
    /// of one day, a session that is used is extended once a day. With an `update_age` of zero, every check extends it. The
    /// clock is the database's, if there is one.
    ///
    /// A session that is not due is only looked up, in one round trip. If many callers check a session that is due, one of
    /// them extends it; the others do not wait for that, and return the session as they read it. A session is never
    /// shortened, and never revived: if it ends during the call, the answer is `None` or the session as it was read. In a
    /// transaction that has extended a session, the commit fails if someone else ended the session or moved its end first;
    /// a database that locks the row lets them wait instead.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
    /// use better_auth::chrono::{TimeDelta, Utc};
    /// use better_auth::types::{CreateSession, CreateUser};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> better_auth::AuthResult<()> {
    /// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    ///
    /// let database = MemoryDatabaseAdapter::new();
    /// let user = database.create_user(CreateUser::new()).await?;
    /// let in_five_days = Utc::now() + TimeDelta::days(5);
    /// let session = database.create_session(CreateSession::new(&user.id, in_five_days)).await?;
    /// let checked = database.refresh_session(&session.token, 7 * DAY, DAY).await?;
    /// assert!(checked.is_some_and(|(session, _)| session.expires_at > in_five_days));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if `lifetime` is zero or longer than 100,000 years, or `update_age` is longer than
    /// `lifetime`; [`AuthError::Unsupported`] unless the adapter implements it.
    async fn refresh_session(
        &self,
        token: &str,
        lifetime: Duration,
        update_age: Duration,
    ) -> AuthResult<Option<(Session, User)>> {
        let _ = (token, lifetime, update_age);
        Err(AuthError::Unsupported {
            operation: "refresh_session",
        })
    }

    /// Checks the session of a request: finds the live session with this token and its user, extends it if the check says
    /// so and it is due, as [`refresh_session`](Self::refresh_session) does, and finds the user's membership of the
    /// session's active organization.
    ///
    /// The adapters of this crate look up all of it in one round trip, and extend in a second one. With the session cache,
    /// the session and its user are found as it knows them, and the membership is looked up in the database.
    ///
    /// ```
    /// use better_auth::prelude::*;
    /// use better_auth::chrono::{TimeDelta, Utc};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> AuthResult<()> {
    /// let database = MemoryDatabaseAdapter::new();
    /// let ada = database.create_user(CreateUser::new()).await?;
    /// let create = CreateOrganization::new("Analytical Engines", "engines", &ada.id);
    /// let (engines, _) = database.organizations()?.create_organization(create).await?;
    /// let create = CreateSession::new(&ada.id, Utc::now() + TimeDelta::days(7));
    /// let session = database.create_session(create.with_active_organization_id(&engines.id)).await?;
    ///
    /// let found = database.check_session(&session.token, CheckSession::new().with_member()).await?;
    /// let member = found.and_then(|found| found.member);
    /// assert!(member.is_some_and(|member| member.is_owner()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The default calls [`get_session_with_user`](Self::get_session_with_user), `refresh_session` if the session is due,
    /// and [`OrganizationStore::get_member`].
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if `lifetime` is zero or longer than 100,000 years, or `update_age` is longer than
    /// `lifetime`; [`AuthError::Unsupported`] if the adapter lacks `refresh_session` or the store of organizations, and the
    /// check needs it.
    async fn check_session(
        &self,
        token: &str,
        check: CheckSession,
    ) -> AuthResult<Option<CheckedSession>> {
        let refresh = input::Refresh::of_check(&check)?;
        let organizations = check.member.then(|| self.organizations()).transpose()?;
        let Some((mut session, mut user)) = self.get_session_with_user(token).await? else {
            return Ok(None);
        };
        let seen = session.expires_at;
        if let (Some(refresh), Some(lifetime)) = (refresh, check.lifetime)
            && refresh.is_due(&session, input::now())
        {
            let refreshed = self.refresh_session(token, lifetime, check.update_age);
            match refreshed.await? {
                Some(refreshed) => (session, user) = refreshed,
                None => return Ok(None),
            }
        }
        let member = match (organizations, &session.active_organization_id) {
            (Some(organizations), Some(id)) => organizations.get_member(id, &user.id).await?,
            _ => None,
        };
        Ok(Some(CheckedSession {
            extended: session.expires_at != seen,
            session,
            user,
            member,
        }))
    }

    /// Removes all sessions of a user but the one with this token ("sign out everywhere else"), and returns how many of
    /// them were live. If no session of the user has the token, all are removed.
    ///
    /// The default finds the live sessions and removes each.
    async fn delete_other_sessions(&self, user_id: &str, keep_token: &str) -> AuthResult<usize> {
        // A list may show digests in place of tokens.
        let kept = self.get_session(keep_token).await?.map(|kept| kept.id);
        let mut removed = 0;
        for session in self.get_user_sessions(user_id).await? {
            if kept.as_ref() != Some(&session.id) {
                self.delete_session(&session.token).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes the session with this row id (`sessions.id`) if it is this user's ("revoke this device"). A page that lists
    /// sessions can so do without their tokens.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    async fn delete_session_by_id(&self, user_id: &str, id: &str) -> AuthResult<()> {
        let _ = (user_id, id);
        Err(AuthError::Unsupported {
            operation: "delete_session_by_id",
        })
    }

    /// Returns the users with these ids, in the order of the ids. Users that do not exist are left out. The default finds
    /// one after the other.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if there are more than 1,000 ids.
    async fn get_users_by_ids(&self, ids: &[String]) -> AuthResult<Vec<User>> {
        input::check_ids(ids)?;
        let mut users = Vec::new();
        for id in ids {
            users.extend(self.get_user_by_id(id).await?);
        }
        Ok(users)
    }

    /// Bans a user, until this time or for good, and removes all sessions of the user that were there when the call began.
    /// A session that is created meanwhile or later stays: a ban is stored, not enforced, so the code that finds that
    /// session has to check [`User::is_banned_at`].
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`], which names the field `ban_reason` or `ban_expires`; [`AuthError::UserNotFound`];
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    async fn ban_user(
        &self,
        id: &str,
        reason: Option<String>,
        until: Option<DateTime<Utc>>,
    ) -> AuthResult<User> {
        let _ = (id, reason, until);
        Err(AuthError::Unsupported {
            operation: "ban_user",
        })
    }

    /// Ends a user's ban and clears its reason and its end. The default calls [`update_user`](Self::update_user).
    ///
    /// # Errors
    ///
    /// [`AuthError::UserNotFound`].
    async fn unban_user(&self, id: &str) -> AuthResult<User> {
        self.update_user(id, UpdateUser::new().with_banned(false))
            .await
    }

    /// Links an account to a user, or refreshes it if it is linked to this user already: what a sign-in with OAuth does
    /// with the answer of the provider. Among any number of callers, one creates the account.
    ///
    /// A refresh sets the tokens, their ends and the scope that are given. Those that are left out are kept, because
    /// providers send a refresh token only once. The password is never changed.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] if the account is linked to another user, and nothing is changed;
    /// [`AuthError::UserNotFound`]; [`AuthError::Unsupported`] unless the adapter implements it.
    async fn link_account(&self, account: CreateAccount) -> AuthResult<(Account, Linked)> {
        let _ = account;
        Err(AuthError::Unsupported {
            operation: "link_account",
        })
    }

    /// Returns the user's account whose provider is `credential`, the newest if there are several. Its
    /// [`password`](Account::password) is the hash to check a password against. The default looks through
    /// [`get_user_accounts`](Self::get_user_accounts).
    async fn get_credential_account(&self, user_id: &str) -> AuthResult<Option<Account>> {
        let accounts = self.get_user_accounts(user_id).await?;
        let credential = |account: &Account| account.provider_id == CREDENTIAL;
        Ok(accounts.into_iter().find(credential))
    }

    /// Uses up the newest live verification of an identifier: removes *all* rows of the identifier and returns the newest
    /// live one. Among any number of callers, exactly one gets it.
    ///
    /// The row shows a digest if the value is [`hashed`](CreateVerification::hashed()).
    ///
    /// Use it where the identifier itself is the secret, such as the token of a link. A code that a user types has to be
    /// compared: call [`check_code`](Self::check_code) or [`consume_verification`](Self::consume_verification).
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    async fn consume_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        let _ = identifier;
        Err(AuthError::Unsupported {
            operation: "consume_verification_by_identifier",
        })
    }

    /// Removes all verifications of an identifier.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    async fn delete_verifications_by_identifier(&self, identifier: &str) -> AuthResult<()> {
        let _ = identifier;
        Err(AuthError::Unsupported {
            operation: "delete_verifications_by_identifier",
        })
    }

    /// Checks a code that is short enough to be guessed, such as six digits, against the newest verification of the
    /// identifier that has not expired. Older ones never count.
    ///
    /// - The right code is accepted once: all verifications of the identifier are removed, and among any number of callers
    ///   exactly one is told [`CodeCheck::Accepted`].
    /// - A wrong code is counted. The one that makes it `max_attempts` wrong codes, and every code after that, the right one
    ///   too, is [`CodeCheck::TooManyAttempts`], until the verification expires or a new one is made. With a `max_attempts`
    ///   of 3, [`CodeCheck::Wrong`] is answered at most twice, however many callers guess at once.
    /// - A verification whose attempts are used up is not live for other methods either.
    ///
    /// A new code comes with new attempts, so limit how often codes are made. In a transaction, a rollback undoes the count
    /// of its wrong codes: check codes outside of transactions that may fail.
    ///
    /// ```
    /// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
    /// use better_auth::chrono::{TimeDelta, Utc};
    /// use better_auth::types::{CodeCheck, CreateVerification};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> better_auth::AuthResult<()> {
    /// let database = MemoryDatabaseAdapter::new();
    /// let end = Utc::now() + TimeDelta::minutes(10);
    /// database.create_verification(CreateVerification::new("ada@example.com", "493027", end)).await?;
    /// let message = match database.check_code("ada@example.com", "493028", 3).await? {
    ///     CodeCheck::Accepted(_) => "welcome".to_owned(),
    ///     CodeCheck::Wrong { attempts_left } => format!("wrong, {attempts_left} attempts left"),
    ///     CodeCheck::TooManyAttempts | CodeCheck::NotFound => "ask for a new code".to_owned(),
    /// };
    /// assert_eq!(message, "wrong, 2 attempts left");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`] if `max_attempts` is zero; [`AuthError::Unsupported`] unless the adapter implements it.
    async fn check_code(
        &self,
        identifier: &str,
        value: &str,
        max_attempts: u32,
    ) -> AuthResult<CodeCheck> {
        let _ = (identifier, value, max_attempts);
        Err(AuthError::Unsupported {
            operation: "check_code",
        })
    }

    /// Sets a marker for this pair that lasts until `expires_at`, and answers whether this call has set it. While the marker
    /// lasts, `false` is answered to everyone else: among any number of callers, exactly one sets it. So something that
    /// must be accepted once, such as the id of a signed token, is accepted once.
    ///
    /// The marker is a verification of the pair, and [`delete_verification`](Self::delete_verification) and the other
    /// methods treat it so. Rows of [`create_verification`](Self::create_verification) are no markers. Use identifiers that
    /// nothing else uses.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Unsupported`] unless the adapter implements it.
    async fn reserve_verification(
        &self,
        identifier: &str,
        value: &str,
        expires_at: DateTime<Utc>,
    ) -> AuthResult<bool> {
        let _ = (identifier, value, expires_at);
        Err(AuthError::Unsupported {
            operation: "reserve_verification",
        })
    }

    /// Removes every session and every verification that is not live. The default calls
    /// [`delete_expired_sessions`](Self::delete_expired_sessions) and
    /// [`delete_expired_verifications`](Self::delete_expired_verifications). If several instances share a database, one
    /// of them works at a time and the others return at once; each returns what it removed itself.
    /// [`spawn_cleanup`](crate::spawn_cleanup) calls it at an interval.
    ///
    /// The adapters of this crate also remove the [`rate_limits`](Self::rate_limits) whose window has ended, and the
    /// [`device_codes`](Self::device_codes) and [`api_keys`](Self::api_keys) that have. [`Removed`] does not count them.
    ///
    /// If the call fails part-way, some rows are already gone; call it again.
    async fn clean_up(&self) -> AuthResult<Removed> {
        Ok(Removed {
            sessions: self.delete_expired_sessions().await?,
            verifications: self.delete_expired_verifications().await?,
        })
    }

    /// Begins a transaction; see [`Transaction`]. The function [`transaction`](crate::transaction()) also commits, rolls
    /// back and retries.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it, and always inside a transaction.
    async fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        Err(AuthError::Unsupported { operation: "begin" })
    }

    /// The store of organizations, members, invitations, teams and roles. In a transaction, it works in the transaction.
    ///
    /// `SqlxAdapter` has the tables of the store if `migrate` ran on an adapter that was built with
    /// `stores([Store::Organizations])`. Until then, each method of the store is [`AuthError::Unsupported`], and aborts a
    /// transaction.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    fn organizations(&self) -> AuthResult<&dyn OrganizationStore> {
        Err(AuthError::Unsupported {
            operation: "organizations",
        })
    }

    /// The store of rate limits; see [`organizations`](Self::organizations).
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    fn rate_limits(&self) -> AuthResult<&dyn RateLimitStore> {
        Err(AuthError::Unsupported {
            operation: "rate_limits",
        })
    }

    /// The store of keys that sign tokens; see [`organizations`](Self::organizations).
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    fn signing_keys(&self) -> AuthResult<&dyn SigningKeyStore> {
        Err(AuthError::Unsupported {
            operation: "signing_keys",
        })
    }

    /// The store of second factors; see [`organizations`](Self::organizations).
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    fn two_factor(&self) -> AuthResult<&dyn TwoFactorStore> {
        Err(AuthError::Unsupported {
            operation: "two_factor",
        })
    }

    /// The store of passkeys; see [`organizations`](Self::organizations).
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    fn passkeys(&self) -> AuthResult<&dyn PasskeyStore> {
        Err(AuthError::Unsupported {
            operation: "passkeys",
        })
    }

    /// The store of device codes; see [`organizations`](Self::organizations).
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    fn device_codes(&self) -> AuthResult<&dyn DeviceCodeStore> {
        Err(AuthError::Unsupported {
            operation: "device_codes",
        })
    }

    /// The store of API keys; see [`organizations`](Self::organizations).
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter implements it.
    fn api_keys(&self) -> AuthResult<&dyn ApiKeyStore> {
        Err(AuthError::Unsupported {
            operation: "api_keys",
        })
    }
}

/// Several operations that happen together or not at all. A transaction *is* an adapter: every method works in it, and
/// it can be passed to code that takes a `&dyn DatabaseAdapter`.
///
/// - Its writes are visible inside it at once. Outside, all of them become visible at commit, or none ever does.
/// - Dropping it rolls it back, even during a call.
/// - After any error in it but [`AuthError::Unsupported`], and after a call that was dropped before its answer, every
///   further operation and [`commit`](Self::commit) is [`AuthError::TransactionAborted`].
/// - Isolation is READ COMMITTED's: each operation sees what others have committed until then, and a later update of
///   the same row overwrites the columns that it names. Of two transactions that take the same email, username, account
///   or one-time token, or of which one removes the user that the other's row needs, one fails, at the operation or at
///   commit. If the server's default isolation is stricter, that one applies.
/// - What a write relied on, the user of a new row or the row it changed, is the same row at commit or the commit fails:
///   nothing reaches a user who was created meanwhile with a deleted one's id. What was only read is not checked.
/// - An open transaction never blocks readers outside it. On PostgreSQL a *writer* of the same row waits for its end, so
///   keep it short, and it holds one connection. In memory no writer waits; the transaction that commits later fails.
/// - Calls on one transaction run one after the other.
/// - If a new user has several conflicts at once, PostgreSQL decides inside a transaction which of them is named.
/// - [`begin`](DatabaseAdapter::begin) in it is [`AuthError::Unsupported`].
///
/// ```
/// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
/// use better_auth::types::{CreateAccount, CreateUser};
///
/// #[tokio::main]
/// async fn main() -> better_auth::AuthResult<()> {
///     let database = MemoryDatabaseAdapter::new();
///     let transaction = database.begin().await?;
///     let user = transaction.create_user(CreateUser::new()).await?;
///     transaction.create_account(CreateAccount::new(&user.id, "github", "42")).await?;
///     assert_eq!(database.get_user_by_id(&user.id).await?, None);
///     transaction.commit().await?;
///     assert_eq!(database.get_user_by_id(&user.id).await?, Some(user));
///     Ok(())
/// }
/// ```
#[async_trait]
pub trait Transaction: DatabaseAdapter {
    /// Makes everything that was done in the transaction permanent and visible to all.
    ///
    /// # Errors
    ///
    /// [`AuthError::TransactionAborted`] if an operation has failed before; [`AuthError::Conflict`], `…NotFound` or
    /// [`AuthError::Unavailable`] if another transaction was faster. Nothing was done then. If the connection breaks
    /// during the commit, [`AuthError::OutcomeUnknown`]: everything was done, or nothing.
    async fn commit(self: Box<Self>) -> AuthResult<()>;

    /// Undoes everything that was done in the transaction, and waits until that is done. Dropping the transaction does
    /// not wait.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`] if the connection is broken. Nothing was done then, either.
    async fn rollback(self: Box<Self>) -> AuthResult<()>;
}
