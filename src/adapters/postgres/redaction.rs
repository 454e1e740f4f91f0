//! What may be shown of an error of PostgreSQL's or sqlx's: no value of the statement's.

use std::error::Error;
use std::fmt;

use sqlx::postgres::PgDatabaseError;

use super::server_error::{by_code_of_the_application, postgres_error};
use super::sqlstate;
use crate::SharedError;

/// The part of the error that may be shown, in brackets.
pub(super) struct Cause<'a>(pub(super) &'a sqlx::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (postgres_error(self.0), self.0) {
            (Some(error), _) => write!(f, " ({})", ServerError::new(error)),
            (None, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => Ok(()),
            (None, error) => write!(f, " ({error})"),
        }
    }
}

pub(super) fn redacted(error: sqlx::Error) -> SharedError {
    match postgres_error(&error) {
        Some(error) => ServerError::new(error).into(),
        None => error.into(),
    }
}

/// What PostgreSQL said, without what may quote a value: the detail, the hint, the context, and most messages.
#[derive(Debug)]
struct ServerError {
    sqlstate: String,
    message: Option<String>,
    schema: Option<String>,
    table: Option<String>,
    column: Option<String>,
    constraint: Option<String>,
}

impl ServerError {
    fn new(error: &PgDatabaseError) -> Self {
        let without_values = sqlstate::class::WITHOUT_VALUES
            .iter()
            .any(|class| error.code().starts_with(class));
        let may_show = without_values && !by_code_of_the_application(error);
        Self {
            sqlstate: error.code().to_owned(),
            message: may_show.then(|| error.message().to_owned()),
            schema: error.schema().map(str::to_owned),
            table: error.table().map(str::to_owned),
            column: error.column().map(str::to_owned),
            constraint: error.constraint().map(str::to_owned),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLSTATE {}", self.sqlstate)?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        match (&self.schema, &self.table) {
            (Some(schema), Some(table)) => write!(f, ", table {schema}.{table}")?,
            (None, Some(name)) => write!(f, ", table {name}")?,
            _ => {}
        }
        for (what, name) in [("column", &self.column), ("constraint", &self.constraint)] {
            if let Some(name) = name {
                write!(f, ", {what} {name}")?;
            }
        }
        Ok(())
    }
}

impl Error for ServerError {}
