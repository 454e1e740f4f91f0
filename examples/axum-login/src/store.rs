//! The store for tower-sessions.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use better_auth::chrono::{DateTime, Utc};
use better_auth::prelude::*;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

/// Keeps each session of tower-sessions as a verification: its id in the identifier, its data in the value.
///
/// The rows belong to no user. `clean_up` removes those that have expired.
#[derive(Clone)]
pub struct VerificationStore {
    database: Arc<dyn DatabaseAdapter>,
}

impl VerificationStore {
    pub fn new(database: Arc<dyn DatabaseAdapter>) -> Self {
        Self { database }
    }

    async fn find(&self, id: &Id) -> Result<Option<Verification>> {
        let identifier = identifier(id);
        let found = self.database.get_verification_by_identifier(&identifier);
        found.await.map_err(failed)
    }
}

impl fmt::Debug for VerificationStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerificationStore")
    }
}

/// Nothing else uses identifiers that begin so.
fn identifier(id: &Id) -> String {
    format!("tower-sessions {id}")
}

fn row(record: &Record) -> Result<CreateVerification> {
    let value = serde_json::to_string(record).map_err(|error| Error::Encode(error.to_string()))?;
    let end = record.expiry_date;
    let end: Option<DateTime<Utc>> =
        DateTime::from_timestamp(end.unix_timestamp(), end.nanosecond());
    let end = end.ok_or_else(|| Error::Encode("the session ends too late".to_owned()))?;
    Ok(CreateVerification::new(identifier(&record.id), value, end))
}

fn failed(error: AuthError) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for VerificationStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        while self.find(&record.id).await?.is_some() {
            record.id = Id::default();
        }
        let created = self.database.create_verification(row(record)?).await;
        created.map(drop).map_err(failed)
    }

    /// Replaces the row. A session that was deleted meanwhile stays so.
    async fn save(&self, record: &Record) -> Result<()> {
        let (identifier, row) = (&identifier(&record.id), &row(record)?);
        let saved = transaction(&self.database, |tx| async move {
            if tx
                .consume_verification_by_identifier(identifier)
                .await?
                .is_some()
            {
                tx.create_verification(row.clone()).await?;
            }
            Ok(())
        });
        saved.await.map_err(failed)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(row) = self.find(id).await? else {
            return Ok(None);
        };
        let record = serde_json::from_str(&row.value);
        record
            .map(Some)
            .map_err(|error| Error::Decode(error.to_string()))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let identifier = identifier(id);
        let deleted = self
            .database
            .delete_verifications_by_identifier(&identifier);
        deleted.await.map_err(failed)
    }
}
