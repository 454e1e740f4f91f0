//! Times in arguments.

use better_auth::chrono::{DateTime, Utc};

/// A time in an argument.
pub(crate) fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse()
        .map_err(|_| "expected a time with its zone, as in 2027-01-01T00:00:00Z".to_owned())
}

/// A time to come in an argument.
pub(crate) fn parse_future_time(text: &str) -> Result<DateTime<Utc>, String> {
    let time = parse_time(text)?;
    if time > Utc::now() {
        Ok(time)
    } else {
        Err("expected a time to come, as this one is past".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_future_time, parse_time};

    #[test]
    fn times_have_a_zone() {
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.5+02:00",
            "2026-01-01 00:00:00Z",
        ] {
            assert!(parse_time(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "tomorrow",
            "1700000000",
            "2026-02-30T00:00:00Z",
        ] {
            assert!(
                parse_time(text)
                    .unwrap_err()
                    .contains("2027-01-01T00:00:00Z"),
                "{text}"
            );
        }
        assert!(
            parse_future_time("2001-01-01T00:00:00Z")
                .unwrap_err()
                .contains("past")
        );
    }
}
