//! Sign-up with rows of the application's own, and an outbox: all rows or none.
//!
//! Twice the same: [`sign_up`] in a transaction of better-auth's, [`sign_up_in`] in one of the application's.

use std::fmt;

use better_auth::adapters::{DatabaseAdapter, SqlxAdapter};
use better_auth::chrono::{TimeDelta, Utc};
use better_auth::types::{CreateAccount, CreateSession, CreateUser, Session};
use better_auth::{AuthError, sqlx_transaction};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor as _, PgConnection, PgExecutor, PgPool, PgTransaction};

/// What the sign-up form sends.
#[derive(Clone, Debug)]
pub struct Form {
    pub email: String,
    pub handle: String,
    pub password_hash: String,
}

/// Why nobody was signed up.
#[derive(Debug)]
pub enum SignUpError {
    /// Another profile has the handle.
    HandleTaken,
    Auth(AuthError),
    Database(sqlx::Error),
}

impl From<AuthError> for SignUpError {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl From<sqlx::Error> for SignUpError {
    fn from(error: sqlx::Error) -> Self {
        let violated = error
            .as_database_error()
            .and_then(|error| error.constraint());
        match violated {
            Some("profiles_handle_key") => Self::HandleTaken,
            _ => Self::Database(error),
        }
    }
}

impl fmt::Display for SignUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandleTaken => f.write_str("this handle is taken"),
            Self::Auth(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SignUpError {}

/// A pool for transactions of the application's own. A request that is dropped while its BEGIN is under way leaves the
/// connection in a transaction; it is ended before the connection serves anyone else.
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new().after_release(|connection, _| {
        Box::pin(async move {
            connection.execute("BEGIN; ROLLBACK").await?;
            Ok(true)
        })
    })
}

/// In a transaction of better-auth's, which runs again after a conflict.
pub async fn sign_up(database: &SqlxAdapter, form: &Form) -> Result<Session, SignUpError> {
    sqlx_transaction(database, |tx| async move {
        let user = tx
            .create_user(CreateUser::new().with_email(&form.email))
            .await?;
        let account = CreateAccount::new(&user.id, "credential", &user.id);
        tx.create_account(account.with_password(&form.password_hash))
            .await?;
        {
            let mut lent = tx.connection().await?;
            add_profile(&mut *lent, &user.id, &form.handle).await?;
            announce(&mut *lent, "signed-up", &user.id).await?;
        }
        let next_week = Utc::now() + TimeDelta::days(7);
        Ok(tx
            .create_session(CreateSession::new(&user.id, next_week))
            .await?)
    })
    .await
}

/// In a transaction of the application's, which may have done something before and goes on afterwards: it is committed by
/// the caller.
pub async fn sign_up_in(
    transaction: PgTransaction<'static>,
    database: &SqlxAdapter,
    form: &Form,
) -> Result<(PgTransaction<'static>, Session), SignUpError> {
    let joined = database.join(transaction);
    let user = joined
        .create_user(CreateUser::new().with_email(&form.email))
        .await?;
    let account = CreateAccount::new(&user.id, "credential", &user.id);
    joined
        .create_account(account.with_password(&form.password_hash))
        .await?;
    let next_week = Utc::now() + TimeDelta::days(7);
    let session = joined
        .create_session(CreateSession::new(&user.id, next_week))
        .await?;
    let mut transaction = joined.into_inner().await?;
    add_profile(&mut *transaction, &user.id, &form.handle).await?;
    announce(&mut *transaction, "signed-up", &user.id).await?;
    Ok((transaction, session))
}

async fn add_profile(
    executor: impl PgExecutor<'_>,
    user_id: &str,
    handle: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO profiles (user_id, handle) VALUES ($1, $2)",
        user_id,
        handle
    )
    .execute(executor)
    .await
    .map(drop)
}

/// Promises a message, in the transaction that makes it true.
async fn announce(executor: impl PgExecutor<'_>, topic: &str, user_id: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO outbox (topic, user_id) VALUES ($1, $2)",
        topic,
        user_id
    )
    .execute(executor)
    .await
    .map(drop)
}

/// A message of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The same at every delivery: receivers that have seen it ignore it.
    pub id: i64,
    pub topic: String,
    pub user_id: String,
}

/// Delivers the oldest message that nobody else is delivering, and removes it if `send` succeeds. `false` if there is none.
///
/// Called in a loop, by as many instances as you like. A message is delivered at least once: if the instance dies between
/// `send` and the commit, another delivers it again.
pub async fn deliver_one<E>(
    pool: &PgPool,
    send: impl AsyncFnOnce(&Message) -> Result<(), E>,
) -> Result<bool, E>
where
    E: From<sqlx::Error>,
{
    let mut transaction = pool.begin().await?;
    let Some(message) = take_one(&mut transaction).await? else {
        return Ok(false);
    };
    send(&message).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn take_one(connection: &mut PgConnection) -> sqlx::Result<Option<Message>> {
    sqlx::query_as!(
        Message,
        "DELETE FROM outbox WHERE id = (SELECT id FROM outbox ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) \
         RETURNING id, topic, user_id",
    )
    .fetch_optional(connection)
    .await
}
