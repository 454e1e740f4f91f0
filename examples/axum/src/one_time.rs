//! What a flow remembers between two requests of one browser: a sign-in that waits for its second factor, a sign-up that
//! waits for the code of a mail, a journey to an OAuth provider.
//!
//! The browser holds a random token. The store holds a verification under the token's digest, with what is to be
//! remembered as its value. It expires, and is used up once.

use better_auth::chrono::{TimeDelta, Utc};
use better_auth::types::{CodeCheck, CreateVerification};
use better_auth::{AuthResult, DatabaseAdapter};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::secrets;

/// How many wrong codes a mail is good for.
const MAX_ATTEMPTS: u32 = 3;

/// A kind of flow.
#[derive(Clone, Copy)]
pub struct OneTime {
    purpose: &'static str,
    lifetime: TimeDelta,
}

impl OneTime {
    /// A flow that has to be finished in so many minutes.
    #[must_use]
    pub const fn new(purpose: &'static str, minutes: i64) -> Self {
        Self {
            purpose,
            lifetime: TimeDelta::minutes(minutes),
        }
    }

    /// Remembers the data for who has the token.
    ///
    /// # Errors
    ///
    /// Those of the adapter.
    pub async fn store(
        self,
        database: &dyn DatabaseAdapter,
        token: &str,
        data: &impl Serialize,
    ) -> AuthResult<()> {
        let data = serde_json::to_string(data).unwrap_or_default();
        let row = CreateVerification::new(self.identifier(token), data, Utc::now() + self.lifetime);
        database.create_verification(row).await.map(drop)
    }

    /// Remembers the data for who has the token and the code.
    ///
    /// # Errors
    ///
    /// Those of the adapter.
    pub async fn store_with_code(
        self,
        database: &dyn DatabaseAdapter,
        token: &str,
        code: &str,
        data: &impl Serialize,
    ) -> AuthResult<()> {
        self.store(database, token, data).await?;
        let end = Utc::now() + self.lifetime;
        let row = CreateVerification::new(self.code_identifier(token), code, end).hashed();
        database.create_verification(row).await.map(drop)
    }

    /// What is remembered.
    ///
    /// # Errors
    ///
    /// Those of the adapter.
    pub async fn look<T: DeserializeOwned>(
        self,
        database: &dyn DatabaseAdapter,
        token: &str,
    ) -> AuthResult<Option<T>> {
        let found = database
            .get_verification_by_identifier(&self.identifier(token))
            .await?;
        Ok(found.and_then(|row| serde_json::from_str(&row.value).ok()))
    }

    /// What is remembered, and forgets it: one caller gets it.
    ///
    /// # Errors
    ///
    /// Those of the adapter.
    pub async fn take<T: DeserializeOwned>(
        self,
        database: &dyn DatabaseAdapter,
        token: &str,
    ) -> AuthResult<Option<T>> {
        let found = database
            .consume_verification_by_identifier(&self.identifier(token))
            .await?;
        Ok(found.and_then(|row| serde_json::from_str(&row.value).ok()))
    }

    /// The same, if the code is right. A wrong one is counted.
    ///
    /// # Errors
    ///
    /// Those of the adapter.
    pub async fn take_with_code<T: DeserializeOwned>(
        self,
        database: &dyn DatabaseAdapter,
        token: &str,
        code: &str,
    ) -> AuthResult<Option<T>> {
        match database
            .check_code(&self.code_identifier(token), code.trim(), MAX_ATTEMPTS)
            .await?
        {
            CodeCheck::Accepted(_) => self.take(database, token).await,
            // All alike: a stranger learns nothing about the address.
            CodeCheck::Wrong { .. } | CodeCheck::TooManyAttempts | CodeCheck::NotFound => Ok(None),
        }
    }

    fn identifier(self, token: &str) -> String {
        format!("{} {}", self.purpose, secrets::digest(token))
    }

    fn code_identifier(self, token: &str) -> String {
        format!("{} code {}", self.purpose, secrets::digest(token))
    }
}
