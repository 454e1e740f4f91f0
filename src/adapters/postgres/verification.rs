//! The statements about verifications.

use chrono::{DateTime, Utc};

use super::columns::Time;
use super::error::Operation;
use super::repository::Repository;
use super::verification_value::{digest, stored_values, with_value};
use crate::AuthResult;
use crate::adapters::{VerificationKeys, input};
use crate::types::{CodeCheck, CreateVerification, Verification};

/// A statement that answers with whole verifications:
/// `query_verification!("SELECT " COLUMNS " FROM verifications WHERE …", …)`.
macro_rules! query_verification {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Verification,
            $before
                + "id, identifier, value, expires_at AS \"expires_at: Time\", created_at AS \"created_at: Time\", \
                   updated_at AS \"updated_at: Time\""
                + $after
            $(, $argument)*
        )
    };
}
pub(super) use query_verification;

/// A row of `verifications` with the column that [`Verification`] does not show.
struct CheckedVerification {
    id: String,
    identifier: String,
    value: String,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    attempts: i32,
}

impl From<CheckedVerification> for Verification {
    fn from(row: CheckedVerification) -> Self {
        Self {
            id: row.id,
            identifier: row.identifier,
            value: row.value,
            expires_at: row.expires_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl Repository {
    pub(super) async fn create_verification(
        &self,
        v: CreateVerification,
    ) -> AuthResult<Verification> {
        let (verification, key) =
            input::new_keyed_verification(v, self.verification_keys(), input::now())?;
        let hashed = key.map(|key| digest(key, &verification.value));
        let stored_value = hashed.as_ref().unwrap_or(&verification.value);
        let created = self.fetch_one(Operation::write("create_verification"), || {
            query_verification!(
                "INSERT INTO verifications (id, identifier, value, expires_at, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, statement_timestamp(), statement_timestamp()) RETURNING " COLUMNS "",
                verification.id,
                verification.identifier,
                stored_value,
                verification.expires_at,
            )
        });
        let created = created.await?;
        Ok(match hashed {
            Some(_) => with_value(created, &verification.value),
            None => created,
        })
    }

    fn verification_keys(&self) -> Option<&VerificationKeys> {
        self.connections.settings.verification_keys.as_ref()
    }

    fn stored_values(&self, value: &str) -> Vec<String> {
        stored_values(value, self.verification_keys())
    }

    pub(super) async fn get_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let stored = self.stored_values(value);
        if !input::is_possible_identifier(identifier) || stored.is_empty() {
            return Ok(None);
        }
        let found = self.fetch_optional(Operation::read("get_verification"), || {
            query_verification!(
                "SELECT " COLUMNS " FROM unnest((SELECT $2::TEXT[])) AS form (stored) CROSS JOIN LATERAL ( \
                 SELECT * FROM verifications \
                 WHERE identifier = $1 AND hashtextextended(value, 0) = hashtextextended(stored, 0) AND value = stored \
                 AND expires_at > statement_timestamp() AND attempts >= 0 \
                 ORDER BY created_at DESC, id COLLATE \"C\" DESC LIMIT 1) AS newest \
                 ORDER BY newest.created_at DESC, newest.id COLLATE \"C\" DESC LIMIT 1",
                identifier,
                &stored,
            )
        });
        Ok(found.await?.map(|row| with_value(row, value)))
    }

    pub(super) async fn get_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        if !input::is_possible_identifier(identifier) {
            return Ok(None);
        }
        self.fetch_optional(Operation::read("get_verification_by_identifier"), || {
            query_verification!(
                "SELECT " COLUMNS " FROM verifications \
                 WHERE identifier = $1 AND expires_at > statement_timestamp() AND attempts >= 0 \
                 ORDER BY verifications.created_at DESC, verifications.id COLLATE \"C\" DESC LIMIT 1",
                identifier,
            )
        })
        .await
    }

    pub(super) async fn get_verification_by_value(
        &self,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let stored = self.stored_values(value);
        if stored.is_empty() {
            return Ok(None);
        }
        let operation = Operation::read("get_verification_by_value");
        let found = self.fetch_optional(operation, || {
            query_verification!(
                "SELECT " COLUMNS " FROM unnest((SELECT $1::TEXT[])) AS form (stored) CROSS JOIN LATERAL ( \
                 SELECT * FROM verifications \
                 WHERE hashtextextended(value, 0) = hashtextextended(stored, 0) AND value = stored \
                 AND expires_at > statement_timestamp() AND attempts >= 0 \
                 ORDER BY created_at DESC, id COLLATE \"C\" DESC LIMIT 1) AS newest \
                 ORDER BY newest.created_at DESC, newest.id COLLATE \"C\" DESC LIMIT 1",
                &stored,
            )
        });
        Ok(found.await?.map(|row| with_value(row, value)))
    }

    /// Locks the rows from the newest to the oldest, as all statements here do, so that callers queue instead of
    /// deadlocking. Returns rows as they were when they were removed, as another caller may have used up an attempt.
    pub(super) async fn consume_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        let stored = self.stored_values(value);
        if !input::is_possible_identifier(identifier) || stored.is_empty() {
            return Ok(None);
        }
        let consumed = self.fetch_optional(Operation::write("consume_verification"), || {
            query_verification!(
                "WITH consumed AS ( \
                 DELETE FROM verifications WHERE id = ANY (ARRAY( \
                 SELECT id FROM verifications WHERE id = ANY (ARRAY( \
                 SELECT pair.id FROM unnest((SELECT $2::TEXT[])) AS form (stored) CROSS JOIN LATERAL ( \
                 SELECT id FROM verifications WHERE identifier = $1 \
                 AND hashtextextended(value, 0) = hashtextextended(stored, 0) AND value = stored OFFSET 0) AS pair)) \
                 ORDER BY created_at DESC, id COLLATE \"C\" DESC FOR UPDATE)) RETURNING *) \
                 SELECT " COLUMNS " FROM consumed WHERE expires_at > statement_timestamp() AND attempts >= 0 \
                 ORDER BY consumed.created_at DESC, consumed.id COLLATE \"C\" DESC LIMIT 1",
                identifier,
                &stored,
            )
        });
        Ok(consumed.await?.map(|row| with_value(row, value)))
    }

    /// As [`consume_verification`](Self::consume_verification).
    pub(super) async fn consume_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        if !input::is_possible_identifier(identifier) {
            return Ok(None);
        }
        let operation = Operation::write("consume_verification_by_identifier");
        self.fetch_optional(operation, || {
            query_verification!(
                "WITH consumed AS ( \
                 DELETE FROM verifications WHERE id = ANY (ARRAY( \
                 SELECT id FROM verifications WHERE identifier = $1 \
                 ORDER BY created_at DESC, id COLLATE \"C\" DESC FOR UPDATE)) RETURNING *) \
                 SELECT " COLUMNS " FROM consumed WHERE expires_at > statement_timestamp() AND attempts >= 0 \
                 ORDER BY consumed.created_at DESC, consumed.id COLLATE \"C\" DESC LIMIT 1",
                identifier,
            )
        })
        .await
    }

    pub(super) async fn delete_verifications_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<()> {
        if !input::is_possible_identifier(identifier) {
            return Ok(());
        }
        let operation = Operation::write("delete_verifications_by_identifier");
        let deleted = self.execute(operation, || {
            sqlx::query!(
                "DELETE FROM verifications WHERE id = ANY (ARRAY( \
                 SELECT id FROM verifications WHERE identifier = $1 \
                 ORDER BY created_at DESC, id COLLATE \"C\" DESC FOR UPDATE))",
                identifier,
            )
        });
        deleted.await.map(drop)
    }

    /// Finds the newest row first and then locks that row. A caller who waits for the lock while another one deletes the row
    /// gets no row, and not an older one. What is written here is what [`input::Attempts`] says of the row.
    pub(super) async fn check_code(
        &self,
        identifier: &str,
        value: &str,
        max_attempts: u32,
    ) -> AuthResult<CodeCheck> {
        let attempts = input::Attempts::new(max_attempts)?;
        if !input::is_possible_identifier(identifier) {
            return Ok(CodeCheck::NotFound);
        }
        // No value has a NUL character or the form of a digest, but a guess is a guess.
        let stored = self.stored_values(value);
        let checked = self.fetch_optional(Operation::write("check_code"), || {
            sqlx::query_as!(
                CheckedVerification,
                "WITH checked AS MATERIALIZED ( \
                 SELECT id, identifier, value, expires_at, created_at, updated_at, attempts, \
                 attempts >= 0 AND attempts < $3 AND value = ANY ($2::TEXT[]) AS accepted FROM verifications \
                 WHERE id = (SELECT id FROM verifications \
                 WHERE identifier = $1 AND expires_at > statement_timestamp() \
                 ORDER BY created_at DESC, id COLLATE \"C\" DESC LIMIT 1) FOR UPDATE), \
                 refused AS (UPDATE verifications \
                 SET attempts = CASE WHEN checked.attempts < $3 - 1 THEN checked.attempts + 1 ELSE -1 END FROM checked \
                 WHERE verifications.id = checked.id AND NOT accepted AND checked.attempts >= 0), \
                 used AS (DELETE FROM verifications WHERE id = ANY (ARRAY( \
                 SELECT id FROM verifications WHERE identifier = $1 AND (SELECT accepted FROM checked) \
                 ORDER BY created_at DESC, id COLLATE \"C\" DESC FOR UPDATE))) \
                 SELECT id, identifier, value, expires_at AS \"expires_at: Time\", created_at AS \"created_at: Time\", \
                 updated_at AS \"updated_at: Time\", attempts FROM checked",
                identifier,
                &stored,
                attempts.0,
            )
        });
        Ok(match checked.await? {
            Some(checked) => {
                let seen = checked.attempts;
                let is_right = stored.contains(&checked.value);
                let guessed = is_right.then(|| with_value(checked.into(), value));
                attempts.check(seen, guessed)
            }
            None => CodeCheck::NotFound,
        })
    }

    pub(super) async fn reserve_verification(
        &self,
        identifier: &str,
        value: &str,
        expires_at: DateTime<Utc>,
    ) -> AuthResult<bool> {
        let marker = input::reserved_verification(
            super::digest::digest,
            identifier,
            value,
            expires_at,
            input::now(),
        )?;
        let reserved = self.execute(Operation::write("reserve_verification"), || {
            sqlx::query!(
                "INSERT INTO verifications (id, identifier, value, expires_at, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, statement_timestamp(), statement_timestamp()) \
                 ON CONFLICT (id) DO UPDATE SET expires_at = $4, created_at = statement_timestamp(), \
                 updated_at = statement_timestamp(), attempts = 0 \
                 WHERE verifications.expires_at <= statement_timestamp()",
                marker.id,
                marker.identifier,
                marker.value,
                marker.expires_at,
            )
        });
        Ok(reserved.await? > 0)
    }

    pub(super) async fn delete_verification(&self, id: &str) -> AuthResult<()> {
        if !input::is_possible_id(id) {
            return Ok(());
        }
        self.execute(Operation::write("delete_verification"), || {
            sqlx::query!("DELETE FROM verifications WHERE id = $1", id)
        })
        .await
        .map(drop)
    }
}
