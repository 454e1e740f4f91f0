//! How the columns of the four tables become the fields of [`User`], [`Session`], [`Account`] and [`Verification`], for
//! checked statements of an application's own.
//!
//! `sqlx::query_as!` takes them by the name of the column. Every time needs [`Time`] or [`NullableTime`], as an
//! administrator may have stored `infinity`, at which sqlx's own decoding panics.
//!
//! ```ignore
//! // ignored: checked against the application's database, as in `examples/app`
//! use better_auth::columns::{JsonObject, NullableTime, Time};
//! use better_auth::types::User;
//!
//! let admins: Vec<User> = sqlx::query_as!(
//!     User,
//!     r#"SELECT id, name, email, email_verified, image, username, display_username, two_factor_enabled, role, banned,
//!        ban_reason, ban_expires AS "ban_expires!: NullableTime", metadata AS "metadata: JsonObject",
//!        created_at AS "created_at: Time", updated_at AS "updated_at: Time" FROM users WHERE role = $1"#,
//!     "admin",
//! )
//! .fetch_all(&mut *database.acquire().await?)
//! .await?;
//! ```
//!
//! [`User`]: crate::types::User
//! [`Session`]: crate::types::Session
//! [`Account`]: crate::types::Account
//! [`Verification`]: crate::types::Verification

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, Encode, Postgres, Type, ValueRef as _};

use crate::adapters::input;
use crate::types::Metadata;

/// `TIMESTAMPTZ NOT NULL`, `infinity` included, which reads as the furthest time that chrono holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(DateTime<Utc>);

/// `TIMESTAMPTZ`, `infinity` included. Takes `!` in a column's name: it decodes NULL itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NullableTime(Option<DateTime<Utc>>);

/// `users.metadata`: `JSONB NOT NULL` that holds an object. `Debug` shows nothing of it.
#[derive(Clone, PartialEq)]
pub struct JsonObject(Metadata);

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonObject").finish_non_exhaustive()
    }
}

impl From<Time> for DateTime<Utc> {
    fn from(Time(time): Time) -> Self {
        time
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl From<NullableTime> for Option<DateTime<Utc>> {
    fn from(NullableTime(time): NullableTime) -> Self {
        time
    }
}

impl From<JsonObject> for Metadata {
    fn from(JsonObject(object): JsonObject) -> Self {
        object
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl Type<Postgres> for NullableTime {
    fn type_info() -> PgTypeInfo {
        Time::type_info()
    }
}

impl Type<Postgres> for JsonObject {
    fn type_info() -> PgTypeInfo {
        <Json<Metadata> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Time {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        // sqlx's own decoding panics at `infinity` and at years that chrono does not reach.
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(time_from_micros(micros)))
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode(micros_from_time(self.0), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for NullableTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.is_null() {
            return Ok(Self(None));
        }
        let Time(time) = Time::decode(value)?;
        Ok(Self(Some(time)))
    }
}

impl<'r> Decode<'r, Postgres> for JsonObject {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        // The error of serde_json may quote the value.
        match <Json<Metadata> as Decode<Postgres>>::decode(value) {
            Ok(Json(object)) => Ok(Self(object)),
            Err(_) => {
                Err("users.metadata is not a JSON object, or is nested too deep to be read".into())
            }
        }
    }
}

/// 2000-01-01, from which PostgreSQL counts microseconds.
const EPOCH_SECONDS: i64 = 946_684_800;
/// What PostgreSQL takes for `infinity` and `-infinity`.
const INFINITY: i64 = i64::MAX;
const MINUS_INFINITY: i64 = i64::MIN;

/// The time as PostgreSQL takes it; `infinity` for the furthest one of chrono's, as it is read.
fn micros_from_time(time: DateTime<Utc>) -> i64 {
    let since_epoch = time
        .timestamp_micros()
        .saturating_sub(EPOCH_SECONDS * 1_000_000);
    if time == DateTime::<Utc>::MAX_UTC {
        INFINITY
    } else if input::storable_time(time).is_none() {
        MINUS_INFINITY
    } else {
        since_epoch
    }
}

/// The time that PostgreSQL sends as microseconds since 2000; the furthest one of chrono's where that lies beyond.
fn time_from_micros(micros: i64) -> DateTime<Utc> {
    let furthest = if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    };
    DateTime::from_timestamp(EPOCH_SECONDS, 0)
        .and_then(|epoch| epoch.checked_add_signed(TimeDelta::microseconds(micros)))
        .unwrap_or(furthest)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::{micros_from_time, time_from_micros};

    #[test]
    fn the_furthest_times_are_infinity() {
        for micros in [i64::MAX, i64::MIN, 0, 1, -1, 9_223_371_244_800_000] {
            assert_eq!(micros_from_time(time_from_micros(micros)), micros);
        }
        let too_early = "-5000-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(micros_from_time(too_early), i64::MIN);
    }

    #[test]
    fn times_beyond_chrono_are_the_furthest() {
        assert_eq!(time_from_micros(i64::MAX), DateTime::<Utc>::MAX_UTC);
        assert_eq!(time_from_micros(i64::MIN), DateTime::<Utc>::MIN_UTC);
        // The last microsecond that PostgreSQL stores, in the year 294276.
        assert_eq!(
            time_from_micros(9_223_371_331_199_999_999),
            DateTime::<Utc>::MAX_UTC
        );
        assert_eq!(
            time_from_micros(1).to_rfc3339(),
            "2000-01-01T00:00:00.000001+00:00"
        );
        assert_eq!(
            time_from_micros(-1).to_rfc3339(),
            "1999-12-31T23:59:59.999999+00:00"
        );
    }
}
