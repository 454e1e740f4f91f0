//! `DatabaseAdapter` and `Transaction`: what every adapter promises, told at the methods.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::types::{
    Account, CreateAccount, CreateSession, CreateUser, CreateVerification, ListUsers, Removed,
    Session, UpdateAccount, UpdateSession, UpdateUser, User, UserFilter, UserPage, Verification,
};
use crate::{AuthError, AuthResult};

/// Where users, sessions, accounts and verifications are stored.
///
/// The 22 methods without a body are the required ones; everything beyond them is provided. The trait is object-safe:
/// hold it as `Arc<dyn DatabaseAdapter>`. It is implemented for `Arc<T>`, `Box<T>` and `&T` too.
///
/// ```
/// use std::sync::Arc;
///
/// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
/// use better_auth::types::CreateUser;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> better_auth::AuthResult<()> {
/// let database: Arc<dyn DatabaseAdapter> = Arc::new(MemoryDatabaseAdapter::new());
/// let user = database.create_user(CreateUser::new().with_email("Ada@Example.com")).await?;
/// assert_eq!(database.get_user_by_email("ADA@example.com").await?, Some(user));
/// # Ok(())
/// # }
/// ```
///
/// # What every adapter promises
///
/// The `conformance` feature tests these promises on any adapter.
///
/// - **Ids and tokens.** Ids are UUIDv7, hyphenated and lower-case, unless the caller gave one. Session tokens are 32
///   bytes from the operating system's random source, base64url without padding.
/// - **Times** are kept to the microsecond, truncated, so that what a create returns equals what every later get
///   returns. `updated_at` equals `created_at` at first and moves forward on every change, whatever the clock does. A
///   time beyond what chrono holds (PostgreSQL's `infinity`) reads as the furthest one that it holds.
/// - **Live** means `expires_at` is later than now (equal is expired) and, for a session, `active`. The clock is the
///   database's where there is one.
/// - **Emails and usernames** compare without case and are stored lower-cased, by Unicode's rules. A username given
///   without a display username leaves its spelling in `display_username`, on create and on update.
/// - **Impossible input** is [`AuthError::Validation`], names the field and changes nothing: a NUL character in any
///   text; an id, email, username or provider id over 255 bytes; an account id or identifier over 1,024 bytes; a time
///   before 4714-11-24 BC; metadata nested deeper than 100. All other text may be megabytes long. A *lookup* by an
///   impossible key answers `None`, a delete does nothing, an update answers that thing's `…NotFound`.
/// - **Text is data.** Quotes, `%`, `_`, backslashes and SQL come back unchanged. Numbers in metadata come back as they
///   went in; a whole float of 10¹⁶ or more comes back as the integer it equals, if 64 bits hold that.
/// - **Lists** are newest first (`created_at`, then `id` by bytes) and complete.
/// - **A failed operation changes nothing** (`delete_expired_*` apart, which work in pieces). Deletes of what is not
///   there succeed.
/// - **Every future may be dropped at any point.** No lock stays held and no half-written row stays.
/// - **Which error wins** when several apply: `Validation`; then `Conflict` on the user id, email, username (or the
///   account); then the missing user.
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
/// #[async_trait]
/// impl DatabaseAdapter for MyAdapter {
///     async fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>> {
///         todo!("look it up")
///     }
///     // … and the other required ones.
/// #   async fn create_user(&self, user: CreateUser) -> AuthResult<User> { todo!() }
/// #   async fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>> { todo!() }
/// #   async fn get_user_by_username(&self, username: &str) -> AuthResult<Option<User>> { todo!() }
/// #   async fn update_user(&self, id: &str, update: UpdateUser) -> AuthResult<User> { todo!() }
/// #   async fn delete_user(&self, id: &str) -> AuthResult<()> { todo!() }
/// #   async fn create_session(&self, session: CreateSession) -> AuthResult<Session> { todo!() }
/// #   async fn get_session(&self, token: &str) -> AuthResult<Option<Session>> { todo!() }
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
/// [`AuthError::Database`]; what else it may answer stands with it.
#[async_trait]
pub trait DatabaseAdapter: Send + Sync {
    /// Stores a new user.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] where the id, the email or the username is taken. Any number
    /// of users may have no email and no username.
    async fn create_user(&self, user: CreateUser) -> AuthResult<User>;

    /// The user with this id.
    async fn get_user_by_id(&self, id: &str) -> AuthResult<Option<User>>;

    /// The user with this email address, in whatever case.
    async fn get_user_by_email(&self, email: &str) -> AuthResult<Option<User>>;

    /// The user with this username, in whatever case.
    async fn get_user_by_username(&self, username: &str) -> AuthResult<Option<User>>;

    /// Changes a user and returns the changed row. An empty update returns the row as it is, `updated_at` included.
    /// `banned = Some(false)` clears the ban's reason and end too, whatever the update says of them.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] where the email or the username is someone else's;
    /// [`AuthError::UserNotFound`].
    async fn update_user(&self, id: &str, update: UpdateUser) -> AuthResult<User>;

    /// Removes a user together with all sessions and accounts.
    async fn delete_user(&self, id: &str) -> AuthResult<()>;

    /// Opens a session, with a new token.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::UserNotFound`].
    async fn create_session(&self, session: CreateSession) -> AuthResult<Session>;

    /// The live session with this token.
    async fn get_session(&self, token: &str) -> AuthResult<Option<Session>>;

    /// The live sessions of a user, newest first.
    async fn get_user_sessions(&self, user_id: &str) -> AuthResult<Vec<Session>>;

    /// Moves the end of a live session, also into the past.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::SessionNotFound`] where no *live* session has the token.
    async fn update_session_expiry(&self, token: &str, expires_at: DateTime<Utc>)
    -> AuthResult<()>;

    /// Removes the session with this token.
    async fn delete_session(&self, token: &str) -> AuthResult<()>;

    /// Removes all sessions of a user.
    async fn delete_user_sessions(&self, user_id: &str) -> AuthResult<()>;

    /// Removes every session that is not live, in bounded pieces, and says how many went.
    ///
    /// What fails half-way has removed some; call again.
    async fn delete_expired_sessions(&self) -> AuthResult<usize>;

    /// Links an account to a user.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`]; [`AuthError::Conflict`] where the account of the provider is linked already, to
    /// whomever; [`AuthError::UserNotFound`].
    async fn create_account(&self, account: CreateAccount) -> AuthResult<Account>;

    /// The account that a provider knows by this id (`accounts.account_id`).
    async fn get_account(&self, provider: &str, id: &str) -> AuthResult<Option<Account>>;

    /// The accounts of a user, newest first.
    async fn get_user_accounts(&self, user_id: &str) -> AuthResult<Vec<Account>>;

    /// Removes the account with this row id (`accounts.id`).
    async fn delete_account(&self, id: &str) -> AuthResult<()>;

    /// Issues a verification. The same identifier may hold several values, and the same pair may occur twice.
    ///
    /// # Errors
    ///
    /// [`AuthError::Validation`].
    async fn create_verification(&self, v: CreateVerification) -> AuthResult<Verification>;

    /// The newest live verification of this identifier with this value.
    ///
    /// To check and use up a one-time token, take [`consume_verification`](Self::consume_verification): between a look
    /// and a delete, another caller can look too.
    async fn get_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>>;

    /// The newest live verification with this value.
    async fn get_verification_by_value(&self, value: &str) -> AuthResult<Option<Verification>>;

    /// Removes the verification with this row id.
    async fn delete_verification(&self, id: &str) -> AuthResult<()>;

    /// Removes every verification that is not live, in bounded pieces, and says how many went.
    ///
    /// What fails half-way has removed some; call again.
    async fn delete_expired_verifications(&self) -> AuthResult<usize>;

    /// The live session with this token and its user. The default asks the two getters.
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
    /// [`AuthError::Unsupported`] unless the adapter has it: a race in a one-time token is a hole.
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

    /// The newest live verification of this identifier.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter has it.
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
    /// [`AuthError::Validation`]; [`AuthError::SessionNotFound`] where no *live* session has the token;
    /// [`AuthError::Unsupported`] unless the adapter has it.
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
    /// [`AuthError::Validation`]; [`AuthError::AccountNotFound`]; [`AuthError::Unsupported`] unless the adapter has it.
    async fn update_account(&self, id: &str, update: UpdateAccount) -> AuthResult<Account> {
        let _ = (id, update);
        Err(AuthError::Unsupported {
            operation: "update_account",
        })
    }

    /// A page of the users that match, for the screens of administrators.
    ///
    /// Pages are stable while users come and go: a page begins behind the last user of the one before, wherever that
    /// user has gone. On PostgreSQL a page costs what it reads on an index. The first of these that the filter gives
    /// leads: the search (`Equals` or `StartsWith`), the role, `banned`, `email_verified`, the time of creation; the
    /// rest is looked at in what that finds. `StartsWith` reads all that begins so, and `Contains` all users; for that on
    /// a large table, create the extension `pg_trgm` and an index such as
    /// `CREATE INDEX ON users USING gin (email gin_trgm_ops)`, which it then uses.
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
    /// [`AuthError::Validation`] where `limit` is not from 1 to 1,000 or `cursor` is none of this method's;
    /// [`AuthError::Unsupported`] unless the adapter has it.
    async fn list_users(&self, query: ListUsers) -> AuthResult<UserPage> {
        let _ = query;
        Err(AuthError::Unsupported {
            operation: "list_users",
        })
    }

    /// How many users match. On PostgreSQL this may read the whole table.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter has it.
    async fn count_users(&self, filter: UserFilter) -> AuthResult<u64> {
        let _ = filter;
        Err(AuthError::Unsupported {
            operation: "count_users",
        })
    }

    /// Removes every session and every verification that is not live, as
    /// [`delete_expired_sessions`](Self::delete_expired_sessions) and
    /// [`delete_expired_verifications`](Self::delete_expired_verifications) do, which the default calls. Where many
    /// instances share a database, one works at a time and the others leave it the rest: what is returned is what this
    /// one has removed. [`spawn_cleanup`](crate::spawn_cleanup) calls it at an interval.
    ///
    /// What fails half-way has removed some; call again.
    async fn clean_up(&self) -> AuthResult<Removed> {
        Ok(Removed {
            sessions: self.delete_expired_sessions().await?,
            verifications: self.delete_expired_verifications().await?,
        })
    }

    /// Begins a transaction; see [`Transaction`]. [`transaction`](crate::transaction()) is the comfortable way.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unsupported`] unless the adapter has it, and inside a transaction.
    async fn begin(&self) -> AuthResult<Box<dyn Transaction>> {
        Err(AuthError::Unsupported { operation: "begin" })
    }
}

/// Several operations that happen together or not at all. A transaction *is* an adapter: every method works in it, and
/// what is given to code that takes a `&dyn DatabaseAdapter` may be one.
///
/// - What it writes is visible in it at once, and outside it at commit: all of it, or none of it ever.
/// - Dropping it rolls it back, whatever it is doing.
/// - After any error in it but [`AuthError::Unsupported`], and after a call that was dropped before its answer, every
///   further operation and [`commit`](Self::commit) is [`AuthError::TransactionAborted`].
/// - Isolation is READ COMMITTED's: each operation sees what others have committed until then, and a later update of
///   the same row overwrites the columns that it names. Of two transactions that take the same email, username, account
///   or one-time token, or of which one removes the user that the other's row needs, one fails, at the operation or at
///   commit. (Where the server's default is stricter, the stricter holds.)
/// - What a write relied on, the user of a new row or the row it changed, is the same row at commit or the commit fails:
///   nothing reaches a user who was created meanwhile with a deleted one's id. What was only read is not checked.
/// - An open one never blocks readers outside it. On PostgreSQL a *writer* of the same row waits for its end, so keep it
///   short; in memory nobody waits, and who commits later finds out then. On PostgreSQL it holds one connection.
/// - Calls on one transaction run one after the other.
/// - Where a new user has several conflicts at once, PostgreSQL chooses in a transaction which to name.
/// - [`begin`](DatabaseAdapter::begin) in it is [`AuthError::Unsupported`].
///
/// ```
/// use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
/// use better_auth::types::{CreateAccount, CreateUser};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> better_auth::AuthResult<()> {
/// let database = MemoryDatabaseAdapter::new();
/// let transaction = database.begin().await?;
/// let user = transaction.create_user(CreateUser::new()).await?;
/// transaction.create_account(CreateAccount::new(&user.id, "github", "42")).await?;
/// assert_eq!(database.get_user_by_id(&user.id).await?, None);
/// transaction.commit().await?;
/// assert_eq!(database.get_user_by_id(&user.id).await?, Some(user));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Transaction: DatabaseAdapter {
    /// Makes everything that was done in the transaction last, and visible to all.
    ///
    /// # Errors
    ///
    /// [`AuthError::TransactionAborted`] where an operation has failed before. [`AuthError::Conflict`],
    /// `…NotFound` or [`AuthError::Unavailable`] where someone else was faster. Then nothing was done. Where the
    /// connection dies at this moment, [`AuthError::OutcomeUnknown`]: all was done, or nothing.
    async fn commit(self: Box<Self>) -> AuthResult<()>;

    /// Undoes everything that was done in the transaction. Dropping the transaction does so too; this waits for it.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`] where the connection is dead; nothing was done then, either.
    async fn rollback(self: Box<Self>) -> AuthResult<()>;
}
