//! Times as PostgreSQL stores them, to the microsecond.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{AuthError, AuthResult};

/// The first moment that PostgreSQL's TIMESTAMPTZ holds, 4714-11-24 BC, in microseconds since 1970. The last one lies
/// beyond chrono's.
const MIN_TIME_MICROS: i64 = -210_866_803_200_000_000;

/// 2000-01-01, from which PostgreSQL counts microseconds.
const EPOCH_SECONDS: i64 = 946_684_800;
/// What PostgreSQL takes for `infinity` and `-infinity`.
const INFINITY: i64 = i64::MAX;
const MINUS_INFINITY: i64 = i64::MIN;

/// Now, to the microsecond.
#[must_use]
pub fn now() -> DateTime<Utc> {
    truncate(Utc::now())
}

/// Now, in microseconds since 1970, for lookups: to work out the date, as [`now`] does, takes longer than to read the
/// clock.
pub(in crate::adapters) fn now_micros() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since_1970.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// `updated_at` of a row that last changed at `previous` and changes again at `now`: later than before, whatever the clock
/// does.
#[must_use]
pub fn next_update(previous: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    now.max(
        previous
            .checked_add_signed(TimeDelta::microseconds(1))
            .unwrap_or(previous),
    )
}

pub(super) fn normal_time(field: &'static str, time: DateTime<Utc>) -> AuthResult<DateTime<Utc>> {
    storable_time(time).ok_or_else(|| {
        let message = "is before 4714-11-24 BC, the first day that PostgreSQL can store";
        AuthError::validation(field, message)
    })
}

/// The time as it is stored, to the microsecond, if PostgreSQL can store it.
#[must_use]
pub fn storable_time(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (time.timestamp_micros() >= MIN_TIME_MICROS).then(|| truncate(time))
}

/// The longest time that is added to a moment: what comes of it is a time that every store and chrono can hold.
const MAX_MICROS: i64 = 100_000 * 365 * 24 * 60 * 60 * 1_000_000;

/// The longest time that is looked back.
const MAX_WINDOW_MICROS: i64 = 100 * 365 * 24 * 60 * 60 * 1_000_000;

/// An age in microseconds. No row is as old as the greatest one.
pub(in crate::adapters) fn age_micros(age: Duration) -> i64 {
    micros(age).min(10 * MAX_WINDOW_MICROS)
}

/// A time span in microseconds.
pub(super) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// A time span in microseconds that is neither zero nor too long to be added to a moment.
pub(super) fn positive_micros(field: &'static str, span: Duration) -> AuthResult<i64> {
    match micros(span) {
        0 => Err(AuthError::validation(field, "is zero")),
        micros if micros > MAX_MICROS => {
            let message = "is longer than 100,000 years";
            Err(AuthError::validation(field, message))
        }
        micros => Ok(micros),
    }
}

/// As [`positive_micros`], for a span that reaches back from now as well.
pub(super) fn window_micros(field: &'static str, span: Duration) -> AuthResult<i64> {
    match positive_micros(field, span)? {
        micros if micros > MAX_WINDOW_MICROS => {
            Err(AuthError::validation(field, "is longer than 100 years"))
        }
        micros => Ok(micros),
    }
}

/// The moment so many microseconds later, or the furthest one.
pub(in crate::adapters) fn later(time: DateTime<Utc>, micros: i64) -> DateTime<Utc> {
    let later = time.timestamp_micros().saturating_add(micros);
    DateTime::from_timestamp_micros(later).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The moment so many microseconds earlier, or the first one that can be stored.
pub(in crate::adapters) fn earlier(time: DateTime<Utc>, micros: i64) -> DateTime<Utc> {
    let earlier = time.timestamp_micros().saturating_sub(micros);
    DateTime::from_timestamp_micros(earlier.max(MIN_TIME_MICROS))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// To the microsecond, which is what PostgreSQL keeps; a leap second becomes part of the next.
pub(in crate::adapters) fn truncate(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

/// The time as PostgreSQL takes it; `infinity` for the furthest one of chrono's, as it is read.
pub(in crate::adapters) fn postgres_micros(time: DateTime<Utc>) -> i64 {
    let since_epoch = time
        .timestamp_micros()
        .saturating_sub(EPOCH_SECONDS * 1_000_000);
    if time == DateTime::<Utc>::MAX_UTC {
        INFINITY
    } else if storable_time(time).is_none() {
        MINUS_INFINITY
    } else {
        since_epoch
    }
}

/// The time that PostgreSQL sends as microseconds since 2000; the furthest one of chrono's where that lies beyond.
pub(in crate::adapters) fn time_from_postgres(micros: i64) -> DateTime<Utc> {
    let furthest = if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    };
    DateTime::from_timestamp(EPOCH_SECONDS, 0)
        .and_then(|epoch| epoch.checked_add_signed(TimeDelta::microseconds(micros)))
        .unwrap_or(furthest)
}

/// Whether PostgreSQL stores a time of so many microseconds since 2000: from 4714-11-24 BC to the year 294276, or infinity.
pub(in crate::adapters) fn is_postgres_time(micros: i64) -> bool {
    matches!(micros, INFINITY | MINUS_INFINITY)
        || (MIN_TIME_MICROS - EPOCH_SECONDS * 1_000_000..9_223_371_331_200_000_000)
            .contains(&micros)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};

    use super::{
        age_micros, is_postgres_time, positive_micros, postgres_micros, time_from_postgres,
        window_micros,
    };

    #[test]
    fn spans_have_a_longest() {
        let micros = |micros: i64| Duration::from_micros(micros.unsigned_abs());
        let year = 31_536_000_000_000;
        for (longest, check) in [
            (100_000 * year, positive_micros as fn(_, _) -> _),
            (100 * year, window_micros),
        ] {
            for span in [1, longest] {
                assert_eq!(check("span", micros(span)).unwrap(), span);
            }
            for span in [0, longest + 1, i64::MAX] {
                assert!(check("span", micros(span)).is_err(), "{span}");
            }
        }
        assert_eq!(age_micros(micros(1)), 1);
        assert_eq!(age_micros(Duration::MAX), 1_000 * year);
    }

    #[test]
    fn postgresql_stores_times_of_some_years() {
        // From 4714-11-24 BC to the year 294276, in microseconds since 2000.
        let (first, last) = (-211_813_488_000_000_000, 9_223_371_331_199_999_999);
        for micros in [first, -1, 0, 1, last, i64::MIN, i64::MAX] {
            assert!(is_postgres_time(micros), "{micros}");
        }
        for micros in [i64::MIN + 1, first - 1, last + 1, i64::MAX - 1] {
            assert!(!is_postgres_time(micros), "{micros}");
        }
    }

    #[test]
    fn the_furthest_times_are_infinity() {
        for micros in [i64::MAX, i64::MIN, 0, 1, -1, 9_223_371_244_800_000] {
            assert_eq!(postgres_micros(time_from_postgres(micros)), micros);
        }
        let too_early = "-5000-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(postgres_micros(too_early), i64::MIN);
    }

    #[test]
    fn times_beyond_chrono_are_the_furthest() {
        assert_eq!(time_from_postgres(i64::MAX), DateTime::<Utc>::MAX_UTC);
        assert_eq!(time_from_postgres(i64::MIN), DateTime::<Utc>::MIN_UTC);
        // The last microsecond that PostgreSQL stores, in the year 294276.
        assert_eq!(
            time_from_postgres(9_223_371_331_199_999_999),
            DateTime::<Utc>::MAX_UTC
        );
        assert_eq!(
            time_from_postgres(1).to_rfc3339(),
            "2000-01-01T00:00:00.000001+00:00"
        );
        assert_eq!(
            time_from_postgres(-1).to_rfc3339(),
            "1999-12-31T23:59:59.999999+00:00"
        );
    }
}
