//! The statements about API keys, and the constraints of their table.

use super::columns::{ExactTime, NullableTime, Time, new_value};
use super::digest::token_digest;
use super::error::Operation;
use super::repository::Repository;
use super::violation::{Constraints, Reference};
use crate::adapters::api_key_query::{ApiKeyQuery, Owner};
use crate::adapters::{Store, input};
use crate::types::{ApiKey, ApiKeyPage, CreateApiKey, IssuedApiKey, ListApiKeys, UpdateApiKey};
use crate::{AuthError, AuthResult};

/// Calls a macro with its arguments and behind them the columns of a key, which the statement names `answer`.
macro_rules! with_api_key_columns {
    ($name:ident { $($arguments:tt)* }) => {
        $name! {
            $($arguments)*
            "answer.id AS \"id!\", answer.name, answer.start, answer.prefix, answer.user_id, answer.organization_id, \
             answer.config_id AS \"config_id!\", answer.refill_interval, answer.refill_amount, \
             answer.last_refill_at AS \"last_refill_at!: NullableTime\", answer.enabled AS \"enabled!\", \
             answer.rate_limit_enabled AS \"rate_limit_enabled!\", answer.rate_limit_time_window, answer.rate_limit_max, \
             answer.rate_limit_window_started_at AS \"rate_limit_window_started_at!: NullableTime\", \
             answer.request_count AS \"request_count!\", answer.remaining, \
             answer.last_request AS \"last_request!: NullableTime\", answer.expires_at AS \"expires_at!: NullableTime\", \
             answer.permissions, answer.metadata, answer.created_at AS \"created_at!: Time\", \
             answer.updated_at AS \"updated_at!: Time\""
        }
    };
}
pub(super) use with_api_key_columns;

/// A statement that answers with whole keys: `query_api_key!("SELECT " COLUMNS " FROM api_keys AS answer …", …)`.
macro_rules! query_api_key {
    (@columns [$before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?] $columns:literal) => {
        sqlx::query_as!(ApiKey, $before + $columns + $after $(, $argument)*)
    };
    ($($statement:tt)*) => {
        with_api_key_columns! { query_api_key { @columns [$($statement)*] } }
    };
}

const CONSTRAINTS: Constraints = Constraints {
    table: "api_keys",
    keys: &[],
    references: &[
        Reference::to_user("api_keys_user_id_fkey"),
        Reference::to_organization("api_keys_organization_id_fkey"),
    ],
};

pub(super) const fn read(name: &'static str) -> Operation {
    Operation::read(name).of_store(Store::ApiKeys)
}

pub(super) const fn write(name: &'static str) -> Operation {
    Operation::write(name).of_store(Store::ApiKeys)
}

impl Repository {
    /// The store. Whether its table is there is asked before its first statement.
    #[allow(clippy::unnecessary_wraps, reason = "the method of all adapters")]
    pub(super) fn api_keys(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) async fn create_api_key(&self, key: CreateApiKey) -> AuthResult<IssuedApiKey> {
        let IssuedApiKey { key, row } = input::new_api_key(key, input::now())?;
        let is_possible = |id: &Option<String>| id.as_deref().is_none_or(input::is_possible_id);
        if !is_possible(&row.user_id) {
            return Err(AuthError::UserNotFound);
        }
        if !is_possible(&row.organization_id) {
            return Err(AuthError::OrganizationNotFound);
        }
        let digest = token_digest(&key);
        let operation = write("create_api_key").may_violate(&CONSTRAINTS);
        let row = self.fetch_one(operation, || {
            query_api_key!(
                "INSERT INTO api_keys AS answer (id, name, start, prefix, key, user_id, organization_id, config_id, \
                 refill_interval, refill_amount, rate_limit_enabled, rate_limit_time_window, rate_limit_max, remaining, \
                 expires_at, permissions, metadata, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
                 date_trunc('milliseconds', statement_timestamp()), date_trunc('milliseconds', statement_timestamp())) \
                 RETURNING " COLUMNS "",
                row.id,
                row.name,
                row.start,
                row.prefix,
                digest,
                row.user_id,
                row.organization_id,
                row.config_id,
                row.refill_interval,
                row.refill_amount,
                row.rate_limit_enabled,
                row.rate_limit_time_window,
                row.rate_limit_max,
                row.remaining,
                row.expires_at,
                row.permissions,
                row.metadata,
            )
        });
        let row = row.await?;
        Ok(IssuedApiKey { key, row })
    }

    pub(super) async fn get_api_key(&self, id: &str) -> AuthResult<Option<ApiKey>> {
        if !input::is_possible_id(id) {
            return Ok(None);
        }
        self.fetch_optional(read("get_api_key"), || {
            query_api_key!("SELECT " COLUMNS " FROM api_keys AS answer WHERE answer.id = $1", id)
        })
        .await
    }

    pub(super) async fn list_api_keys(&self, query: ListApiKeys) -> AuthResult<ApiKeyPage> {
        let Some(query) = ApiKeyQuery::new(query)? else {
            return Ok(ApiKeyPage::default());
        };
        let operation = read("list_api_keys");
        let after = ExactTime(query.after_micros);
        let after_id = &query.after.1;
        // One more tells whether there is a next page.
        let limit = i64::try_from(query.limit + 1).unwrap_or(i64::MAX);
        let keys = match &query.owner {
            Owner::User(id) => {
                let keys = self.fetch_all(operation, || {
                    query_api_key!(
                        "SELECT " COLUMNS " FROM api_keys AS answer WHERE answer.user_id = $1 \
                         AND (answer.created_at, answer.id COLLATE \"C\") < ($2, $3) \
                         ORDER BY answer.created_at DESC, answer.id COLLATE \"C\" DESC LIMIT $4",
                        id,
                        &after as _,
                        after_id,
                        limit,
                    )
                });
                keys.await?
            }
            Owner::Organization(id) => {
                let keys = self.fetch_all(operation, || {
                    query_api_key!(
                        "SELECT " COLUMNS " FROM api_keys AS answer WHERE answer.organization_id = $1 \
                         AND (answer.created_at, answer.id COLLATE \"C\") < ($2, $3) \
                         ORDER BY answer.created_at DESC, answer.id COLLATE \"C\" DESC LIMIT $4",
                        id,
                        &after as _,
                        after_id,
                        limit,
                    )
                });
                keys.await?
            }
        };
        Ok(query.page(keys))
    }

    pub(super) async fn update_api_key(
        &self,
        id: &str,
        update: UpdateApiKey,
    ) -> AuthResult<ApiKey> {
        let update = input::api_key_update(update)?;
        if !input::is_possible_id(id) {
            return Err(AuthError::ApiKeyNotFound);
        }
        if update == UpdateApiKey::default() {
            let found = self.get_api_key(id).await?;
            return found.ok_or(AuthError::ApiKeyNotFound);
        }
        let changed = self.fetch_optional(write("update_api_key"), || {
            query_api_key!(
                "UPDATE api_keys AS answer SET name = CASE WHEN $2 THEN $3 ELSE answer.name END, \
                 enabled = COALESCE($4, answer.enabled), \
                 refill_interval = CASE WHEN $5 THEN $6 ELSE answer.refill_interval END, \
                 refill_amount = CASE WHEN $7 THEN $8 ELSE answer.refill_amount END, \
                 rate_limit_enabled = COALESCE($9, answer.rate_limit_enabled), \
                 rate_limit_time_window = CASE WHEN $10 THEN $11 ELSE answer.rate_limit_time_window END, \
                 rate_limit_max = CASE WHEN $12 THEN $13 ELSE answer.rate_limit_max END, \
                 remaining = CASE WHEN $14 THEN $15 ELSE answer.remaining END, \
                 expires_at = CASE WHEN $16 THEN $17 ELSE answer.expires_at END, \
                 permissions = CASE WHEN $18 THEN $19 ELSE answer.permissions END, \
                 metadata = CASE WHEN $20 THEN $21 ELSE answer.metadata END, \
                 updated_at = GREATEST(date_trunc('milliseconds', statement_timestamp()), \
                 (answer.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 millisecond') AT TIME ZONE 'UTC') \
                 WHERE answer.id = $1 RETURNING " COLUMNS "",
                id,
                update.name.is_some(),
                new_value(&update.name),
                update.enabled,
                update.refill_interval.is_some(),
                update.refill_interval.flatten(),
                update.refill_amount.is_some(),
                update.refill_amount.flatten(),
                update.rate_limit_enabled,
                update.rate_limit_time_window.is_some(),
                update.rate_limit_time_window.flatten(),
                update.rate_limit_max.is_some(),
                update.rate_limit_max.flatten(),
                update.remaining.is_some(),
                update.remaining.flatten(),
                update.expires_at.is_some(),
                update.expires_at.flatten(),
                update.permissions.is_some(),
                new_value(&update.permissions),
                update.metadata.is_some(),
                new_value(&update.metadata),
            )
        });
        changed.await?.ok_or(AuthError::ApiKeyNotFound)
    }

    pub(super) async fn delete_api_key(&self, id: &str) -> AuthResult<()> {
        if !input::is_possible_id(id) {
            return Ok(());
        }
        self.execute(write("delete_api_key"), || {
            sqlx::query!("DELETE FROM api_keys WHERE id = $1", id)
        })
        .await
        .map(drop)
    }
}
