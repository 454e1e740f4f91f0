//! The life of one user, in memory:
//!
//! ```sh
//! cargo run --example quickstart
//! ```
//!
//! The same program on PostgreSQL:
//!
//! ```sh
//! DATABASE_URL=postgresql://… cargo run --example quickstart --features sqlx-postgres
//! ```

use std::sync::Arc;

use better_auth::adapters::{DatabaseAdapter, MemoryDatabaseAdapter};
use better_auth::types::{CreateAccount, CreateSession, CreateUser, CreateVerification, User};
use better_auth::{AuthError, AuthResult};
use chrono::{TimeDelta, Utc};

#[tokio::main]
async fn main() -> AuthResult<()> {
    let database = connect().await?;
    // A new address each time, so that the program can run again on a database that keeps it.
    let email = format!("Ada.{}@Example.com", Utc::now().timestamp_micros());
    let sign_up = CreateUser::new().with_name("Ada").with_email(&email);
    let user = database.create_user(sign_up).await?;
    println!(
        "signed up    {} <{}>",
        user.id,
        user.email.as_deref().unwrap_or_default()
    );
    let outcome = run(database.as_ref(), &user, &email).await;
    database.delete_user(&user.id).await?;
    println!("and deleted the user again");
    outcome
}

#[cfg(feature = "sqlx-postgres")]
async fn connect() -> AuthResult<Arc<dyn DatabaseAdapter>> {
    use better_auth::adapters::SqlxAdapter;

    let Ok(url) = std::env::var("DATABASE_URL") else {
        return Ok(in_memory());
    };
    let database = SqlxAdapter::new(&url).await?;
    database.migrate().await?;
    println!("on PostgreSQL, migrated");
    Ok(Arc::new(database))
}

#[cfg(not(feature = "sqlx-postgres"))]
#[allow(clippy::unused_async, reason = "the one on PostgreSQL waits")]
async fn connect() -> AuthResult<Arc<dyn DatabaseAdapter>> {
    Ok(in_memory())
}

fn in_memory() -> Arc<dyn DatabaseAdapter> {
    println!("in memory");
    Arc::new(MemoryDatabaseAdapter::new())
}

async fn run(database: &dyn DatabaseAdapter, user: &User, email: &str) -> AuthResult<()> {
    match database
        .create_user(CreateUser::new().with_email(email))
        .await
    {
        Err(error @ AuthError::Conflict { .. }) => println!("a second one is told: {error}"),
        answer => println!("a second one got through: {answer:?}"),
    }

    let week = Utc::now() + TimeDelta::days(7);
    let create = CreateSession::new(&user.id, week).with_user_agent("quickstart");
    let session = database.create_session(create).await?;
    println!(
        "signed in    session {} until {}",
        session.id, session.expires_at
    );

    let found = database.get_session_with_user(&session.token).await?;
    println!("looked up    {:?}", found.and_then(|(_, user)| user.name));

    database
        .update_session_expiry(&session.token, week + TimeDelta::days(7))
        .await?;
    database
        .create_session(CreateSession::new(&user.id, week))
        .await?;
    for session in database.get_user_sessions(&user.id).await? {
        println!(
            "open         session {} until {}",
            session.id, session.expires_at
        );
    }
    database.delete_session(&session.token).await?;
    database.delete_user_sessions(&user.id).await?;
    let open = database.get_user_sessions(&user.id).await?.len();
    println!("signed out   {open} sessions are open");

    let account = CreateAccount::new(&user.id, "github", &user.id).with_access_token("gho_secret");
    let account = database.create_account(account).await?;
    println!("linked       {account:?}");

    let code = CreateVerification::new(email, "493027", Utc::now() + TimeDelta::minutes(10));
    database.create_verification(code).await?;
    let first = database.consume_verification(email, "493027").await?;
    let second = database.consume_verification(email, "493027").await?;
    println!(
        "code         accepted {}, a second time {}",
        first.is_some(),
        second.is_some()
    );
    Ok(())
}
