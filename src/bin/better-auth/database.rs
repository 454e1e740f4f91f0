//! The connection to the database, and the user that an argument names.

use std::time::Duration;

use better_auth::adapters::{DatabaseAdapter, PoolConfig, SqlxAdapter};
use better_auth::{AuthError, User, sqlx};

use crate::arguments::Global;
use crate::output::Problem;

/// As many as `check_pooler` needs, and more than anything else does.
const MAX_CONNECTIONS: u32 = 4;
/// An operator who waits at a terminal gets an answer soon.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn connect(global: &Global) -> Result<SqlxAdapter, Problem> {
    let url = global.database_url.as_deref().unwrap_or_default();
    if url.is_empty() {
        let message = "no database is named: set DATABASE_URL, or give --database-url";
        return Err(Problem::not_asked(message));
    }
    connect_to(url).await
}

pub(crate) async fn connect_to(url: &str) -> Result<SqlxAdapter, Problem> {
    let config = PoolConfig {
        max_connections: MAX_CONNECTIONS,
        min_connections: 0,
        acquire_timeout: ACQUIRE_TIMEOUT,
        ..PoolConfig::default()
    };
    let connected = SqlxAdapter::builder(url).pool_config(config).connect();
    connected.await.map_err(|error| Problem::NotAsked {
        kind: error.kind(),
        message: error.to_string(),
    })
}

/// The user of this id, email or username, in this order.
pub(crate) async fn find_user(database: &SqlxAdapter, name: &str) -> Result<User, Problem> {
    let found = match database.get_user_by_id(name).await? {
        None => database.get_user_by_email(name).await?,
        found => found,
    };
    let found = match found {
        None => database.get_user_by_username(name).await?,
        found => found,
    };
    found.ok_or_else(|| {
        let message = "no user has this id, email or username: `better-auth users list --search TEXT` finds users";
        Problem::of(&AuthError::UserNotFound, message)
    })
}

/// The error of a statement of the program's own.
pub(crate) fn statement_error(doing: &str, error: sqlx::Error) -> Problem {
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    let advice = match code.as_deref() {
        Some(INSUFFICIENT_PRIVILEGE) => "the user of the URL lacks a privilege: grant it: ",
        _ => "",
    };
    let message = format!("{doing}: {advice}{error}");
    AuthError::database(message).with_source(error).into()
}
