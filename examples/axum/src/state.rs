//! What handlers share.

use std::sync::Arc;

use axum::extract::FromRef;
use better_auth::adapters::{Store, VerificationKeys};
use better_auth::axum::AuthState;
use better_auth::{AuthResult, DatabaseAdapter, MemoryDatabaseAdapter, SqlxAdapter};
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::mail::Mailer;
use crate::passwords::Passwords;
use crate::provider::Provider;
use crate::secrets::Secrets;

/// A clone shares everything.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// How sessions are kept.
    pub auth: AuthState,
    /// Users, sessions and all else.
    pub database: Arc<dyn DatabaseAdapter>,
    /// What the environment has decided.
    pub config: Arc<Config>,
    /// Signs and encrypts.
    pub secrets: Secrets,
    /// Hashes.
    pub passwords: Passwords,
    /// Sends mails.
    pub mailer: Mailer,
    /// The fake provider.
    pub provider: Provider,
    /// What goes on after a response. The process waits for it before it ends.
    pub background: TaskTracker,
}

impl AppState {
    /// Connects to the database that the configuration names.
    ///
    /// # Errors
    ///
    /// Those of the adapter.
    pub async fn new(config: Config) -> AuthResult<Self> {
        let secrets = Secrets::new(&config.secret);
        let keys = VerificationKeys::new(secrets.key("verifications"));
        let database: Arc<dyn DatabaseAdapter> = match &config.database_url {
            Some(url) => Arc::new(connect(url, keys).await?),
            None => Arc::new(MemoryDatabaseAdapter::new().verification_keys(keys)?),
        };
        let auth = AuthState::builder(Arc::clone(&database))
            .plain_http(config.is_development())
            .build()?;
        Ok(Self {
            auth,
            database,
            secrets,
            passwords: Passwords::new(),
            mailer: Mailer::new(config.mail_folder.clone()),
            provider: Provider::default(),
            background: TaskTracker::new(),
            config: Arc::new(config),
        })
    }
}

async fn connect(url: &str, keys: VerificationKeys) -> AuthResult<SqlxAdapter> {
    SqlxAdapter::builder(url)
        .stores([
            Store::ApiKeys,
            Store::Organizations,
            Store::RateLimits,
            Store::TwoFactor,
        ])
        .migrate(true)
        .check_schema(true)
        .check_pooler(true)
        .hash_session_tokens(true)
        .verification_keys(keys)
        .connect()
        .await
}
