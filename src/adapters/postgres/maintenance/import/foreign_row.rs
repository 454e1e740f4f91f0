//! A row of the source: its columns by name, as JSON.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::Value;

use super::super::foreign_tables::snake_case;
use crate::types::Metadata;
use crate::{AuthError, AuthResult};

/// The columns that no field has taken yet.
pub(super) struct ForeignRow(Metadata);

impl ForeignRow {
    /// Without the blanks at the end of these columns.
    pub(super) fn parse(row: &str, padded_columns: &[String]) -> AuthResult<Self> {
        // The error of serde_json may quote the value.
        let row = serde_json::from_str(row).map(Self);
        let mut row = row.map_err(|_| {
            let message = "holds JSON that is nested too deep, or a number that is too great";
            AuthError::validation("row", message)
        })?;
        for column in padded_columns {
            if let Some(Value::String(text)) = row.0.get_mut(column) {
                text.truncate(text.trim_end_matches(' ').len());
            }
        }
        Ok(row)
    }

    /// The value of a column that may be written `emailVerified` or `email_verified`. NULL is none.
    fn take(&mut self, column: &str) -> Option<Value> {
        let value = self.0.remove(column);
        let value = value.or_else(|| self.0.remove(&snake_case(column)));
        value.filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.0.get(column).is_some_and(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, column: &str) -> Option<String> {
        self.take(column).map(into_text)
    }

    /// The user of a row, which stays in it.
    pub(super) fn user_id(&self) -> Option<String> {
        let column = "userId";
        let value = self.0.get(column);
        let value = value.or_else(|| self.0.get(&snake_case(column)))?;
        (!value.is_null()).then(|| into_text(value.clone()))
    }

    pub(super) fn required_text(&mut self, column: &'static str) -> AuthResult<String> {
        self.text(column)
            .ok_or_else(|| AuthError::validation(column, "is missing"))
    }

    /// False if there is none.
    pub(super) fn flag(&mut self, column: &'static str) -> AuthResult<bool> {
        match self.take(column) {
            None | Some(Value::Bool(false)) => Ok(false),
            Some(Value::Bool(true)) => Ok(true),
            Some(value) => match value.to_string().trim_matches('"') {
                "0" | "false" | "f" => Ok(false),
                "1" | "true" | "t" => Ok(true),
                _ => Err(AuthError::validation(column, "is neither true nor false")),
            },
        }
    }

    pub(super) fn time(&mut self, column: &'static str) -> AuthResult<Option<DateTime<Utc>>> {
        let Some(value) = self.take(column) else {
            return Ok(None);
        };
        let time = match &value {
            Value::String(text) => parse_time(text),
            // JavaScript counts milliseconds.
            Value::Number(number) => number.as_i64().and_then(DateTime::from_timestamp_millis),
            _ => None,
        };
        let is_storable = |time: &DateTime<Utc>| *time >= first_time() && *time <= last_time();
        time.filter(is_storable).map(Some).ok_or_else(|| {
            let message = "is not a time between the years 1 and 9999";
            AuthError::validation(column, message)
        })
    }

    pub(super) fn required_time(&mut self, column: &'static str) -> AuthResult<DateTime<Utc>> {
        self.time(column)?
            .ok_or_else(|| AuthError::validation(column, "is missing"))
    }

    /// An object, also as text: some programs keep JSON in such a column.
    pub(super) fn object(&mut self, column: &str) -> Option<Metadata> {
        let is_object = |value: &Value| match value {
            Value::Object(object) => Some(object.clone()),
            Value::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        };
        let object = self.0.get(column).and_then(is_object)?;
        self.0.remove(column);
        Some(object)
    }

    /// The columns that are left and have a value.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, Value)> {
        self.0.into_iter().filter(|(_, value)| !value.is_null())
    }
}

fn into_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// As PostgreSQL writes times in JSON and in text. Without a time zone they are UTC, as those that Prisma stores. `infinity` is the last
/// time that can be written in four digits of a year.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if text == "infinity" {
        return Some(last_time());
    }
    let with_zone = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .map(|time| time.with_timezone(&Utc));
    let without_zone = || {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f");
        time.or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
    };
    let time = with_zone.or_else(|_| without_zone().map(|time| time.and_utc()));
    time.ok().or_else(|| {
        let date = text.parse::<NaiveDate>().ok()?;
        Some(date.and_time(NaiveTime::MIN).and_utc())
    })
}

fn first_time() -> DateTime<Utc> {
    DateTime::from_timestamp(-62_135_596_800, 0).unwrap_or(DateTime::UNIX_EPOCH)
}

fn last_time() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::{ForeignRow, first_time, last_time};

    fn row(json: &str) -> ForeignRow {
        ForeignRow::parse(json, &[]).unwrap()
    }

    #[test]
    fn columns_have_two_spellings_and_many_types() {
        let mut row =
            row(r#"{"userId":17,"email_verified":1,"name":null,"expiresAt":1700000000000}"#);
        assert_eq!(row.text("userId").as_deref(), Some("17"));
        assert!(row.flag("emailVerified").unwrap());
        assert!(!row.flag("banned").unwrap());
        assert_eq!(row.text("name"), None);
        let time = row.required_time("expiresAt").unwrap();
        assert_eq!(time.to_rfc3339(), "2023-11-14T22:13:20+00:00");
        assert!(row.required_text("token").is_err());
    }

    #[test]
    fn times_are_those_of_postgres() {
        assert_eq!(first_time().to_rfc3339(), "0001-01-01T00:00:00+00:00");
        assert_eq!(last_time().to_rfc3339(), "9999-12-31T23:59:59+00:00");
        for (text, expected) in [
            (
                "2024-02-29T12:00:00.123456+02:00",
                "2024-02-29T10:00:00.123456+00:00",
            ),
            ("2024-02-29T12:00:00.5", "2024-02-29T12:00:00.500+00:00"),
            ("2024-02-29 12:00:00", "2024-02-29T12:00:00+00:00"),
            ("2024-02-29 12:00:00+02", "2024-02-29T10:00:00+00:00"),
            ("2024-02-29", "2024-02-29T00:00:00+00:00"),
            ("infinity", "9999-12-31T23:59:59+00:00"),
        ] {
            let mut row = row(&format!(r#"{{"time":"{text}"}}"#));
            assert_eq!(row.required_time("time").unwrap().to_rfc3339(), expected);
        }
        for text in [
            "-infinity",
            "0044-03-15T00:00:00+00:00 BC",
            "10000-01-01T00:00:00+00:00",
            "soon",
            "",
        ] {
            let mut row = row(&format!(r#"{{"time":"{text}"}}"#));
            let error = row.time("time").unwrap_err().to_string();
            assert!(error.starts_with("time: ") && (text.is_empty() || !error.contains(text)));
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        assert!(ForeignRow::parse(&deep, &[]).is_err());
    }
}
