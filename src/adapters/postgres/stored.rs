use chrono::{DateTime, TimeDelta, Utc};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, Encode, Postgres, Type, ValueRef as _};

use crate::adapters::rules;
use crate::types::Metadata;

/// A column's value as our types hold it, whatever else is found in the table.
pub(super) struct Stored<T>(T);

/// `TIMESTAMPTZ NOT NULL`, `infinity` included.
pub(super) type Time = Stored<DateTime<Utc>>;
/// `TIMESTAMPTZ`, `infinity` included. Takes `!` in a column's name: it decodes NULL itself.
pub(super) type NullableTime = Stored<Option<DateTime<Utc>>>;
/// `users.metadata`: `JSONB NOT NULL` that holds an object.
pub(super) type JsonObject = Stored<Metadata>;

impl From<Time> for DateTime<Utc> {
    fn from(Stored(time): Time) -> Self {
        time
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl From<NullableTime> for Option<DateTime<Utc>> {
    fn from(Stored(time): NullableTime) -> Self {
        time
    }
}

impl From<JsonObject> for Metadata {
    fn from(Stored(object): JsonObject) -> Self {
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
        <DateTime<Utc> as Type<Postgres>>::type_info()
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
        let Stored(time) = Time::decode(value)?;
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
    } else if rules::storable_time(time).is_none() {
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
