//! The statements about signing keys.

use std::time::Duration;

use super::columns::{NullableTime, Time};
use super::error::Operation;
use super::repository::Repository;
use super::session::microseconds;
use crate::AuthResult;
use crate::adapters::{Store, input};
use crate::types::{CreateSigningKey, SigningKey};

/// A statement that answers with whole keys: `query_signing_key!("SELECT " COLUMNS " FROM jwks …", …)`.
macro_rules! query_signing_key {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            SigningKey,
            $before
                + "id AS \"id!\", public_key AS \"public_key!\", private_key AS \"private_key!\", alg, crv, \
                   generation AS \"generation!\", created_at AS \"created_at!: Time\", \
                   expires_at AS \"expires_at!: NullableTime\""
                + $after
            $(, $argument)*
        )
    };
}

impl Repository {
    /// The store. Whether its table is there is asked before its first statement.
    #[allow(clippy::unnecessary_wraps, reason = "the method of all adapters")]
    pub(super) fn signing_keys(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) async fn current(&self) -> AuthResult<Option<SigningKey>> {
        let operation = Operation::read("current").of_store(Store::SigningKeys);
        self.fetch_optional(operation, || {
            query_signing_key!(
                "SELECT " COLUMNS " FROM (SELECT * FROM jwks ORDER BY generation DESC LIMIT 1) AS newest \
                 WHERE expires_at IS NULL OR expires_at > statement_timestamp()"
            )
        })
        .await
    }

    pub(super) async fn list_signing_keys(&self) -> AuthResult<Vec<SigningKey>> {
        let operation = Operation::read("list_signing_keys").of_store(Store::SigningKeys);
        self.fetch_all(operation, || {
            query_signing_key!(
                "SELECT " COLUMNS " FROM jwks WHERE expires_at IS NULL OR expires_at > statement_timestamp() \
                 ORDER BY jwks.generation DESC"
            )
        })
        .await
    }

    /// The next generation decides among several callers. One that comes second writes nothing new to the winner's row, and
    /// so learns what it holds.
    pub(super) async fn rotate(
        &self,
        new: CreateSigningKey,
        older_than: Duration,
    ) -> AuthResult<SigningKey> {
        let new = input::new_signing_key(new, input::now())?;
        let operation = Operation::write("rotate").of_store(Store::SigningKeys);
        self.fetch_one(operation, || {
            query_signing_key!(
                "WITH newest AS MATERIALIZED (SELECT * FROM jwks ORDER BY generation DESC LIMIT 1), \
                 created AS (INSERT INTO jwks AS winner \
                 (id, public_key, private_key, alg, crv, generation, created_at, expires_at) \
                 SELECT $1, $2, $3, $4, $5, COALESCE((SELECT generation FROM newest), 0) + 1, statement_timestamp(), $6 \
                 WHERE NOT EXISTS (SELECT FROM newest WHERE newest.created_at > statement_timestamp() - $7::INTERVAL \
                 AND (newest.expires_at IS NULL OR newest.expires_at > statement_timestamp())) \
                 ON CONFLICT (generation) DO UPDATE SET generation = winner.generation RETURNING winner.*) \
                 SELECT " COLUMNS " FROM (SELECT * FROM created \
                 UNION ALL SELECT * FROM newest WHERE NOT EXISTS (SELECT FROM created)) AS answer",
                new.id,
                new.public_key,
                new.private_key,
                new.alg,
                new.crv,
                new.expires_at,
                microseconds(input::age_micros(older_than)) as _,
            )
        })
        .await
    }
}
