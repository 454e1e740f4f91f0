//! The statements about second factors, and the constraints of their table.
//!
//! Those that also write to the user's row lock that first, as the removal of a user does.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::columns::{NullableTime, Time};
use super::error::Operation;
use super::repository::Repository;
use super::session::microseconds;
use super::violation::{Constraints, Key, Reference};
use crate::adapters::input::LockOut;
use crate::adapters::{Store, input};
use crate::types::{Attempt, StepOutcome, TwoFactor};
use crate::{AuthError, AuthResult, ConflictField};

/// A statement that answers with whole rows: `query_two_factor!("UPDATE two_factor … RETURNING " COLUMNS "", …)`.
macro_rules! query_two_factor {
    ($before:literal COLUMNS $after:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            TwoFactor,
            $before
                + "two_factor.id, two_factor.user_id, two_factor.secret, two_factor.backup_codes, two_factor.verified, \
                   two_factor.failed_verification_count, two_factor.locked_until AS \"locked_until!: NullableTime\", \
                   two_factor.last_used_step, two_factor.created_at AS \"created_at: Time\", \
                   two_factor.updated_at AS \"updated_at: Time\""
                + $after
            $(, $argument)*
        )
    };
}

const CONSTRAINTS: Constraints = Constraints {
    table: "two_factor",
    keys: &[Key {
        constraint: "two_factor_user_id_key",
        columns: &["user_id"],
        field: ConflictField::TwoFactor,
    }],
    references: &[Reference::to_user("two_factor_user_id_fkey")],
};

const fn write(name: &'static str) -> Operation {
    Operation::write(name).of_store(Store::TwoFactor)
}

impl Repository {
    /// The store. Whether its table is there is asked before its first statement.
    #[allow(clippy::unnecessary_wraps, reason = "the method of all adapters")]
    pub(super) fn two_factor(&self) -> AuthResult<&Self> {
        Ok(self)
    }

    pub(super) async fn enroll(
        &self,
        user_id: &str,
        secret: &str,
        backup_codes: Option<&str>,
    ) -> AuthResult<TwoFactor> {
        let new = input::new_two_factor(user_id, secret, backup_codes, input::now())?;
        if !input::is_possible_id(user_id) {
            return Err(AuthError::UserNotFound);
        }
        let operation = write("enroll").may_violate(&CONSTRAINTS);
        let enrolled = self.fetch_optional(operation, || {
            query_two_factor!(
                "INSERT INTO two_factor (id, user_id, secret, backup_codes, verified, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, FALSE, statement_timestamp(), statement_timestamp()) \
                 ON CONFLICT (user_id) DO UPDATE SET id = EXCLUDED.id, secret = EXCLUDED.secret, \
                 backup_codes = EXCLUDED.backup_codes, failed_verification_count = 0, locked_until = NULL, \
                 last_used_step = NULL, created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at \
                 WHERE two_factor.verified = FALSE RETURNING " COLUMNS "",
                new.id,
                new.user_id,
                new.secret,
                new.backup_codes,
            )
        });
        enrolled.await?.ok_or(AuthError::Conflict {
            field: ConflictField::TwoFactor,
        })
    }

    pub(super) async fn confirm(&self, user_id: &str, step: i64) -> AuthResult<TwoFactor> {
        let step = input::time_step(step)?;
        if !input::is_possible_id(user_id) {
            return Err(AuthError::TwoFactorNotFound);
        }
        let confirmed = self.fetch_optional(write("confirm"), || {
            query_two_factor!(
                "WITH owner AS MATERIALIZED (SELECT users.id FROM users WHERE users.id = $1 FOR NO KEY UPDATE), \
                 held AS MATERIALIZED (SELECT two_factor.user_id FROM two_factor \
                 WHERE two_factor.user_id = (SELECT owner.id FROM owner) AND NOT two_factor.verified \
                 AND (two_factor.locked_until IS NULL OR two_factor.locked_until <= statement_timestamp()) FOR UPDATE), \
                 flagged AS (UPDATE users SET two_factor_enabled = TRUE, updated_at = GREATEST(statement_timestamp(), \
                 (users.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 FROM held WHERE users.id = $1) \
                 UPDATE two_factor SET verified = TRUE, last_used_step = $2, failed_verification_count = 0, \
                 locked_until = NULL, updated_at = GREATEST(statement_timestamp(), \
                 (two_factor.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 FROM held WHERE two_factor.user_id = $1 RETURNING " COLUMNS "",
                user_id,
                step,
            )
        });
        confirmed.await?.ok_or(AuthError::TwoFactorNotFound)
    }

    /// The flag is cleared if a row goes, or if it stands without one and nobody has changed the user since: a row that
    /// another transaction has stored meanwhile keeps its flag.
    pub(super) async fn disable(&self, user_id: &str) -> AuthResult<()> {
        if !input::is_possible_id(user_id) {
            return Ok(());
        }
        let disabled = self.execute(write("disable"), || {
            sqlx::query!(
                "WITH owner AS MATERIALIZED (SELECT users.id FROM users WHERE users.id = $1 FOR NO KEY UPDATE), \
                 stray AS MATERIALIZED (SELECT users.updated_at FROM users WHERE users.id = $1 \
                 AND users.two_factor_enabled AND NOT EXISTS (SELECT FROM two_factor WHERE two_factor.user_id = $1)), \
                 gone AS (DELETE FROM two_factor WHERE two_factor.user_id = (SELECT owner.id FROM owner) \
                 RETURNING two_factor.user_id) \
                 UPDATE users SET two_factor_enabled = FALSE, updated_at = CASE WHEN users.two_factor_enabled \
                 THEN GREATEST(statement_timestamp(), \
                 (users.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 ELSE users.updated_at END \
                 WHERE users.id = $1 AND (EXISTS (SELECT FROM gone) \
                 OR users.updated_at = (SELECT stray.updated_at FROM stray))",
                user_id,
            )
        });
        disabled.await.map(drop)
    }

    /// Locks the row, decides by what it is then, and counts before the answer is sent.
    pub(super) async fn begin_attempt(
        &self,
        user_id: &str,
        max_failures: u32,
        lock_for: Duration,
    ) -> AuthResult<Attempt> {
        let lock_out = LockOut::new(max_failures, lock_for)?;
        if !input::is_possible_id(user_id) {
            return Ok(Attempt::NotEnrolled);
        }
        let counted = self.run(write("begin_attempt"), |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH held AS MATERIALIZED (SELECT two_factor.id, two_factor.secret, two_factor.backup_codes, \
                     two_factor.verified, two_factor.failed_verification_count, two_factor.locked_until, \
                     two_factor.last_used_step, two_factor.created_at, CASE \
                     WHEN two_factor.locked_until > statement_timestamp() THEN 'locked' \
                     WHEN two_factor.locked_until IS NULL AND two_factor.failed_verification_count >= $2 THEN 'full' \
                     ELSE 'granted' END AS outcome FROM two_factor WHERE two_factor.user_id = $1 FOR UPDATE), \
                     counted AS (UPDATE two_factor SET failed_verification_count = CASE \
                     WHEN held.outcome = 'full' THEN held.failed_verification_count \
                     WHEN held.locked_until IS NULL THEN held.failed_verification_count + 1 ELSE 1 END, \
                     locked_until = CASE WHEN held.outcome = 'full' THEN statement_timestamp() + $3::INTERVAL END, \
                     updated_at = GREATEST(statement_timestamp(), \
                     (two_factor.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                     FROM held WHERE two_factor.user_id = $1 AND held.outcome <> 'locked' \
                     RETURNING two_factor.failed_verification_count, two_factor.locked_until, two_factor.updated_at) \
                     SELECT held.outcome AS \"outcome!\", held.id AS \"id!\", held.secret AS \"secret!\", \
                     held.backup_codes, held.verified AS \"verified!\", held.last_used_step, \
                     held.created_at AS \"created_at!: Time\", \
                     COALESCE(counted.failed_verification_count, held.failed_verification_count) AS \"count!\", \
                     COALESCE(counted.updated_at, held.created_at) AS \"updated_at!: Time\", \
                     COALESCE(counted.locked_until, held.locked_until) AS \"until!: NullableTime\" \
                     FROM held LEFT JOIN counted ON TRUE",
                    user_id,
                    lock_out.max_failures,
                    microseconds(lock_out.lock_for) as _,
                )
                .fetch_optional(connection),
            )
        });
        let Some(row) = counted.await? else {
            return Ok(Attempt::NotEnrolled);
        };
        if row.outcome != "granted" {
            return Ok(Attempt::Locked {
                until: end(row.until),
            });
        }
        Ok(Attempt::Granted(TwoFactor {
            id: row.id,
            user_id: user_id.to_owned(),
            secret: row.secret,
            backup_codes: row.backup_codes,
            verified: row.verified,
            failed_verification_count: row.count,
            locked_until: None,
            last_used_step: row.last_used_step,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }))
    }

    pub(super) async fn accept_step(&self, user_id: &str, step: i64) -> AuthResult<StepOutcome> {
        let step = input::time_step(step)?;
        if !input::is_possible_id(user_id) {
            return Ok(StepOutcome::NotEnrolled);
        }
        let used = self.run(write("accept_step"), |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH held AS MATERIALIZED (SELECT two_factor.locked_until, CASE \
                     WHEN two_factor.locked_until > statement_timestamp() THEN 'locked' \
                     WHEN two_factor.last_used_step >= $2 THEN 'replayed' \
                     ELSE 'accepted' END AS outcome \
                     FROM two_factor WHERE two_factor.user_id = $1 AND two_factor.verified FOR UPDATE), \
                     used AS (UPDATE two_factor SET last_used_step = $2, failed_verification_count = 0, \
                     locked_until = NULL, updated_at = GREATEST(statement_timestamp(), \
                     (two_factor.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                     FROM held WHERE two_factor.user_id = $1 AND held.outcome = 'accepted') \
                     SELECT held.outcome AS \"outcome!\", held.locked_until AS \"until!: NullableTime\" FROM held",
                    user_id,
                    step,
                )
                .fetch_optional(connection),
            )
        });
        let Some(row) = used.await? else {
            return Ok(StepOutcome::NotEnrolled);
        };
        Ok(match row.outcome.as_str() {
            "accepted" => StepOutcome::Accepted,
            "replayed" => StepOutcome::Replayed,
            _ => StepOutcome::Locked {
                until: end(row.until),
            },
        })
    }

    pub(super) async fn replace_backup_codes(
        &self,
        user_id: &str,
        expected: Option<&str>,
        new: Option<&str>,
    ) -> AuthResult<bool> {
        let new = input::backup_codes_text("new", new)?;
        let is_possible = expected.is_none_or(input::is_possible_text);
        if !input::is_possible_id(user_id) || !is_possible {
            return Ok(false);
        }
        let replaced = self.execute(write("replace_backup_codes"), || {
            sqlx::query!(
                "UPDATE two_factor SET backup_codes = $3, failed_verification_count = 0, locked_until = NULL, \
                 updated_at = GREATEST(statement_timestamp(), \
                 (two_factor.updated_at AT TIME ZONE 'UTC' + INTERVAL '1 microsecond') AT TIME ZONE 'UTC') \
                 WHERE two_factor.user_id = $1 AND two_factor.backup_codes IS NOT DISTINCT FROM $2 \
                 AND (two_factor.locked_until IS NULL OR two_factor.locked_until <= statement_timestamp())",
                user_id,
                expected,
                new,
            )
        });
        Ok(replaced.await? > 0)
    }
}

/// The end of a lock. A row that is locked has one.
fn end(until: NullableTime) -> DateTime<Utc> {
    Option::from(until).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
