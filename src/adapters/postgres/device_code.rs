//! The statements about device codes.

use super::columns::{DeviceStatus, NullableTime, Time};
use super::digest::token_digest;
use super::error::Operation;
use super::repository::Repository;
use crate::adapters::{Store, input};
use crate::types::{CreateDeviceCode, DeviceCode, DevicePoll, IssuedDeviceCode};
use crate::{AuthError, AuthResult};

/// A statement that answers with whole codes: `query_device_code!("SELECT " COLUMNS " FROM device_code WHERE …", …)`.
macro_rules! query_device_code {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            DeviceCode,
            $before
                + "id, user_code, user_id, expires_at AS \"expires_at: Time\", status AS \"status: DeviceStatus\", \
                   last_polled_at AS \"last_polled_at!: NullableTime\", polling_interval, client_id, scope, \
                   created_at AS \"created_at: Time\", updated_at AS \"updated_at: Time\""
                + $after
            $(, $argument)*
        )
    };
}

const fn read(name: &'static str) -> Operation {
    Operation::read(name).of_store(Store::DeviceCodes)
}

const fn write(name: &'static str) -> Operation {
    Operation::write(name).of_store(Store::DeviceCodes)
}

impl Repository {
    /// The store. Whether its table is there is asked before its first statement.
    #[allow(clippy::unnecessary_wraps, reason = "the method of all adapters")]
    pub(super) fn device_codes(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    /// Tries again with another user code if that is taken.
    pub(super) async fn create_device_code(
        &self,
        code: CreateDeviceCode,
    ) -> AuthResult<IssuedDeviceCode> {
        let IssuedDeviceCode {
            device_code,
            mut row,
        } = input::new_device_code(code, input::now())?;
        let digest = token_digest(&device_code);
        loop {
            let created = self.fetch_optional(write("create_device_code"), || {
                query_device_code!(
                    "INSERT INTO device_code (id, device_code, user_code, expires_at, status, polling_interval, client_id, \
                     scope, created_at, updated_at) \
                     VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, statement_timestamp(), statement_timestamp()) \
                     ON CONFLICT (user_code) DO NOTHING RETURNING " COLUMNS "",
                    row.id,
                    digest,
                    row.user_code,
                    row.expires_at,
                    row.polling_interval,
                    row.client_id,
                    row.scope,
                )
            });
            if let Some(row) = created.await? {
                return Ok(IssuedDeviceCode { device_code, row });
            }
            row.user_code = input::new_user_code()?;
        }
    }

    pub(super) async fn get_device_code(&self, user_code: &str) -> AuthResult<Option<DeviceCode>> {
        let Some(code) = input::user_code(user_code) else {
            return Ok(None);
        };
        self.fetch_optional(read("get_device_code"), || {
            query_device_code!(
                "SELECT " COLUMNS " FROM device_code WHERE user_code = $1 AND expires_at > statement_timestamp()",
                code,
            )
        })
        .await
    }

    /// The rows of code and user are locked, so that both are there when the code is approved.
    pub(super) async fn approve(&self, user_code: &str, user_id: &str) -> AuthResult<bool> {
        let Some(code) = input::user_code(user_code) else {
            return Ok(false);
        };
        // NULL finds nobody.
        let user_id = input::is_possible_id(user_id).then_some(user_id);
        let approved = self.run(write("approve"), |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH held AS MATERIALIZED (SELECT device_code.user_code FROM device_code \
                     WHERE device_code.user_code = $1 AND device_code.status = 'pending' \
                     AND device_code.expires_at > statement_timestamp() FOR UPDATE), \
                     approver AS MATERIALIZED (SELECT users.id FROM users WHERE users.id = $2 \
                     AND EXISTS (SELECT FROM held) FOR KEY SHARE), \
                     approved AS (UPDATE device_code SET status = 'approved', user_id = $2, \
                     updated_at = GREATEST(statement_timestamp(), \
                     (device_code.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                     FROM held, approver WHERE device_code.user_code = $1) \
                     SELECT EXISTS (SELECT FROM held) AS \"is_open!\", EXISTS (SELECT FROM approver) AS \"has_user!\"",
                    code,
                    user_id,
                )
                .fetch_one(connection),
            )
        });
        let approved = approved.await?;
        match (approved.is_open, approved.has_user) {
            (true, true) => Ok(true),
            (true, false) => Err(AuthError::UserNotFound),
            (false, _) => Ok(false),
        }
    }

    pub(super) async fn deny(&self, user_code: &str) -> AuthResult<bool> {
        let Some(code) = input::user_code(user_code) else {
            return Ok(false);
        };
        let denied = self.execute(write("deny"), || {
            sqlx::query!(
                "UPDATE device_code SET status = 'denied', updated_at = GREATEST(statement_timestamp(), \
                 (updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 WHERE device_code.user_code = $1 AND device_code.status = 'pending' \
                 AND device_code.expires_at > statement_timestamp()",
                code,
            )
        });
        Ok(denied.await? > 0)
    }

    /// Locks the row, and decides by what it is then. An approved one goes with the answer.
    pub(super) async fn poll(
        &self,
        device_code: &str,
        client_id: Option<&str>,
    ) -> AuthResult<DevicePoll> {
        let digest = token_digest(device_code);
        // No row has a NUL character, so the code alone is looked for in vain.
        let is_possible = client_id.is_none_or(input::is_possible_id);
        let client_id = client_id.filter(|_| is_possible);
        let polled = self.run(write("poll"), |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH held AS MATERIALIZED (SELECT device_code.user_id, device_code.scope, \
                     device_code.polling_interval, CASE \
                     WHEN device_code.expires_at <= statement_timestamp() THEN 'expired' \
                     WHEN device_code.status <> 'pending' THEN device_code.status \
                     WHEN (device_code.last_polled_at AT TIME ZONE 'UTC' \
                     + device_code.polling_interval * INTERVAL '1 millisecond') AT TIME ZONE 'UTC' \
                     > statement_timestamp() THEN 'too soon' \
                     ELSE 'pending' END AS outcome FROM device_code \
                     WHERE device_code.device_code = $1 AND device_code.client_id IS NOT DISTINCT FROM $2 AND $3 \
                     FOR UPDATE), \
                     polled AS (UPDATE device_code SET last_polled_at = statement_timestamp(), \
                     polling_interval = CASE WHEN held.outcome = 'too soon' \
                     THEN LEAST(held.polling_interval::BIGINT + $4, 2147483647)::INTEGER ELSE held.polling_interval END, \
                     updated_at = GREATEST(statement_timestamp(), \
                     (device_code.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                     FROM held WHERE device_code.device_code = $1 AND held.outcome IN ('pending', 'too soon')), \
                     used AS (DELETE FROM device_code USING held \
                     WHERE device_code.device_code = $1 AND held.outcome = 'approved') \
                     SELECT held.outcome AS \"outcome!\", held.user_id, held.scope FROM held",
                    digest,
                    client_id,
                    is_possible,
                    i64::from(input::SLOW_DOWN),
                )
                .fetch_optional(connection),
            )
        });
        let Some(row) = polled.await? else {
            return Ok(DevicePoll::NotFound);
        };
        Ok(match (row.outcome.as_str(), row.user_id) {
            ("approved", Some(user_id)) => DevicePoll::Approved {
                user_id,
                scope: row.scope,
            },
            ("pending", _) => DevicePoll::Pending,
            ("too soon", _) => DevicePoll::SlowDown,
            ("expired", _) => DevicePoll::Expired,
            _ => DevicePoll::Denied,
        })
    }
}
