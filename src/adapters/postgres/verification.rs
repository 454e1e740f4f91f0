//! The statements about verifications.

use super::columns::{NullableTime, Time};
use super::delete_batches::{Batch, Instances, fetch_batch};
use super::error::Operation;
use super::maintenance::AdvisoryLock;
use super::repository::Repository;
use crate::AuthResult;
use crate::adapters::input;
use crate::types::{CreateVerification, Verification};

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

impl Repository {
    pub(super) async fn create_verification(
        &self,
        v: CreateVerification,
    ) -> AuthResult<Verification> {
        let verification = input::new_verification(v, input::now())?;
        self.fetch_one(Operation::write("create_verification"), || query_verification!(
                    "INSERT INTO verifications (id, identifier, value, expires_at, created_at, updated_at) \
                     VALUES ($1, $2, $3, $4, statement_timestamp(), statement_timestamp()) RETURNING " COLUMNS "",
                    verification.id,
                    verification.identifier,
                    verification.value,
                    verification.expires_at,
                ))
        .await
    }

    pub(super) async fn get_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        if !input::is_possible_identifier(identifier) || !input::is_possible_text(value) {
            return Ok(None);
        }
        self.fetch_optional(Operation::read("get_verification"), || query_verification!(
                    "SELECT " COLUMNS " FROM verifications \
                     WHERE identifier = $1 AND hashtextextended(value, 0) = hashtextextended($2, 0) AND value = $2 \
                     AND expires_at > statement_timestamp() \
                     ORDER BY verifications.created_at DESC, verifications.id COLLATE \"C\" DESC LIMIT 1",
                    identifier,
                    value,
                ))
        .await
    }

    pub(super) async fn get_verification_by_identifier(
        &self,
        identifier: &str,
    ) -> AuthResult<Option<Verification>> {
        if !input::is_possible_identifier(identifier) {
            return Ok(None);
        }
        self.fetch_optional(Operation::read("get_verification_by_identifier"), || query_verification!(
                        "SELECT " COLUMNS " FROM verifications \
                         WHERE identifier = $1 AND expires_at > statement_timestamp() \
                         ORDER BY verifications.created_at DESC, verifications.id COLLATE \"C\" DESC LIMIT 1",
                        identifier,
                    ))
        .await
    }

    pub(super) async fn get_verification_by_value(
        &self,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        if !input::is_possible_text(value) {
            return Ok(None);
        }
        self.fetch_optional(Operation::read("get_verification_by_value"), || query_verification!(
                    "SELECT " COLUMNS " FROM verifications \
                     WHERE hashtextextended(value, 0) = hashtextextended($1, 0) AND value = $1 \
                     AND expires_at > statement_timestamp() \
                     ORDER BY verifications.created_at DESC, verifications.id COLLATE \"C\" DESC LIMIT 1",
                    value,
                ))
        .await
    }

    /// Locks the rows in the order of their ids, so that callers queue instead of deadlocking. The outer `SELECT` still
    /// sees what the inner statement removes.
    pub(super) async fn consume_verification(
        &self,
        identifier: &str,
        value: &str,
    ) -> AuthResult<Option<Verification>> {
        if !input::is_possible_identifier(identifier) || !input::is_possible_text(value) {
            return Ok(None);
        }
        self.fetch_optional(Operation::write("consume_verification"), || query_verification!(
                    "WITH consumed AS ( \
                     DELETE FROM verifications WHERE id = ANY (ARRAY( \
                     SELECT id FROM verifications WHERE identifier = $1 \
                     AND hashtextextended(value, 0) = hashtextextended($2, 0) AND value = $2 ORDER BY id FOR UPDATE)) \
                     RETURNING id) \
                     SELECT " COLUMNS " FROM verifications \
                     WHERE id = ANY (ARRAY(SELECT id FROM consumed)) AND expires_at > statement_timestamp() \
                     ORDER BY verifications.created_at DESC, verifications.id COLLATE \"C\" DESC LIMIT 1",
                    identifier,
                    value,
                ))
        .await
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

    pub(super) async fn delete_expired_verifications(&self) -> AuthResult<usize> {
        self.delete_dead_verifications("delete_expired_verifications", Instances::Any)
            .await
    }

    pub(super) async fn delete_dead_verifications(
        &self,
        name: &'static str,
        instances: Instances,
    ) -> AuthResult<usize> {
        self.delete_in_batches(
            Operation::write(name),
            "verifications",
            AdvisoryLock::ExpiredVerifications,
            instances,
            |connection, query| {
                let batch = sqlx::query_as!(
                    Batch,
                    "WITH batch AS MATERIALIZED ( \
                     SELECT id, expires_at FROM verifications WHERE expires_at <= (SELECT statement_timestamp()) \
                     AND (expires_at, id) > ($1, $2) \
                     AND (SELECT CASE WHEN $5 THEN pg_try_advisory_xact_lock( \
                     hashtextextended(current_schema()::TEXT, $6)) ELSE TRUE END) \
                     ORDER BY expires_at, id LIMIT $3 FOR UPDATE SKIP LOCKED), \
                     deleted AS (DELETE FROM verifications WHERE $4 AND id = ANY (ARRAY(SELECT id FROM batch)) RETURNING id) \
                     SELECT (SELECT count(*) FROM batch) AS \"selected!\", \
                     ARRAY(SELECT id FROM batch WHERE id NOT IN (SELECT id FROM deleted)) AS \"kept!\", \
                     (SELECT max(expires_at) FROM batch) AS \"last_time!: NullableTime\", \
                     (SELECT max(id) FROM batch WHERE expires_at = (SELECT max(expires_at) FROM batch)) AS last_id",
                    query.after_time as _,
                    query.after_id,
                    query.limit,
                    query.deletes,
                    query.takes_lock,
                    query.lock,
                );
                fetch_batch(batch, connection)
            },
        )
        .await
    }
}
