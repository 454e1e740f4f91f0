//! What PostgreSQL and sqlx say, as errors of ours.

use std::error::Error;
use std::fmt;
use std::io;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

use super::pool::Server;
use crate::{AuthError, ConflictField, SharedError};

/// An operation on behalf of a caller, for messages and for what may be tried again.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    writes: bool,
    pub(super) in_transaction: bool,
    constraints: Option<&'static Constraints>,
}

/// The constraints of a table that a caller's input may violate.
pub(super) struct Constraints {
    pub(super) table: &'static str,
    /// Name and what is taken.
    pub(super) unique: &'static [(&'static str, ConflictField)],
    /// The name of the reference to `users`.
    pub(super) user: Option<&'static str>,
}

impl Operation {
    pub(super) const fn read(name: &'static str) -> Self {
        Self {
            name,
            writes: false,
            in_transaction: false,
            constraints: None,
        }
    }

    pub(super) const fn write(name: &'static str) -> Self {
        Self {
            writes: true,
            ..Self::read(name)
        }
    }

    /// The same, where the caller's input may violate these.
    pub(super) const fn may_violate(self, constraints: &'static Constraints) -> Self {
        Self {
            constraints: Some(constraints),
            ..self
        }
    }

    /// The same in a transaction, where nothing lasts before the commit.
    pub(super) const fn in_transaction(self) -> Self {
        Self {
            in_transaction: true,
            ..self
        }
    }

    /// Whether it may have changed something even if its answer never came.
    fn may_last(self) -> bool {
        self.writes && !self.in_transaction
    }
}

/// What a failed statement has left behind, and so what to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Failure {
    /// Rolled back because it collided with another; the next try may pass.
    Collision,
    /// The server ended the connection before the statement did anything, or the statement was a read.
    DeadConnection,
    /// Refused for the state of this connection, before the statement did anything; another one may serve.
    UnfitConnection,
    /// The answer: the same statement would fail again.
    Final,
}

pub(super) fn failure(error: &sqlx::Error, operation: Operation) -> Failure {
    match sqlstate(error) {
        Some(state) if collided(state) => Failure::Collision,
        _ if stale_plan(error) => Failure::UnfitConnection,
        // A server that was fenced, perhaps, while its address has moved to another.
        Some("25006") => Failure::UnfitConnection,
        // Said only before the commit: a backend that is ended later, while it waits for a standby, closes the
        // connection without an error.
        Some("57P01" | "57P05") => Failure::DeadConnection,
        _ if lost_connection(error) && !timed_out(error) && !operation.may_last() => {
            Failure::DeadConnection
        }
        _ => Failure::Final,
    }
}

/// The error of a statement that was sent.
pub(super) fn statement_error(
    error: sqlx::Error,
    operation: Operation,
    server: &Server,
) -> AuthError {
    if let Some(answer) = operation
        .constraints
        .and_then(|ours| violation(&error, ours))
    {
        return answer;
    }
    let name = operation.name;
    if lost_connection(&error) && operation.may_last() {
        return outcome_unknown(error, name, server);
    }
    if let (sqlx::Error::ColumnDecode { .. }, true) = (&error, operation.may_last()) {
        return AuthError::OutcomeUnknown {
            message: format!(
                "{name} on {server}: the change was made, but the changed row holds a value that cannot be read{}",
                Said(&error)
            ),
            source: Some(scrubbed(error)),
        };
    }
    if operation.in_transaction && lost_connection(&error) {
        return AuthError::Unavailable {
            message: format!(
                "{name} on {server}: {}, and the transaction ended: nothing of it was done{}",
                silence(&error),
                Said(&error)
            ),
            contention: false,
            source: Some(scrubbed(error)),
        };
    }
    server_error(error, name, server)
}

/// The error of a COMMIT that was sent.
pub(super) fn commit_error(error: sqlx::Error, server: &Server) -> AuthError {
    const COMMIT: Operation = Operation::write("commit");
    match sqlstate(&error) {
        // A server that stops may have committed before.
        Some("57P01" | "57P02" | "57P05") => outcome_unknown(error, COMMIT.name, server),
        _ => statement_error(error, COMMIT, server),
    }
}

fn outcome_unknown(error: sqlx::Error, doing: &str, server: &Server) -> AuthError {
    AuthError::OutcomeUnknown {
        message: format!(
            "{doing} on {server}: {}; the change may or may not have happened, so look before trying again",
            silence(&error)
        ),
        source: Some(scrubbed(error)),
    }
}

/// The error of an attempt to get a connection, so of an operation that was not begun.
pub(super) fn connection_error(error: sqlx::Error, doing: &str, server: &Server) -> AuthError {
    let advice = match &error {
        sqlx::Error::PoolTimedOut => {
            // While a server starts or has no connection left, sqlx goes on trying, and keeps to itself what it said.
            "no connection within acquire_timeout: the server does not answer or has reached its max_connections, or \
             all of the pool's connections are busy"
        }
        sqlx::Error::PoolClosed => "the adapter was closed",
        _ if refused_certificate(&error) => {
            let advice = "the server's certificate is refused: its authority has to be in sslrootcert or among the \
                          trusted ones, and with sslmode=verify-full its name the URL's host";
            return AuthError::Database {
                message: format!("{doing} on {server}: {advice}{}", Said(&error)),
                source: Some(scrubbed(error)),
            };
        }
        _ if lost_connection(&error) => {
            "no connection: is the server running, and are host and port right?"
        }
        _ => return server_error(error, doing, server),
    };
    AuthError::Unavailable {
        message: format!("{doing} on {server}: {advice}{}", Said(&error)),
        contention: false,
        source: Some(scrubbed(error)),
    }
}

/// The error of a migration.
pub(super) fn migration_error(error: MigrateError, server: &Server) -> AuthError {
    const DOING: &str = "migrate";
    let advice = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            return server_error(error, DOING, server);
        }
        MigrateError::VersionMissing(version) => {
            format!(
                "migration {version} is unknown here: a newer version of better-auth migrated this database"
            )
        }
        MigrateError::VersionMismatch(version) => {
            format!("migration {version} was applied with other text than it has here")
        }
        MigrateError::Dirty(version) => {
            format!("migration {version} was left half-done by another program: see to it by hand")
        }
        other => other.to_string(),
    };
    AuthError::Database {
        message: format!("{DOING} on {server}: {advice}"),
        source: None,
    }
}

/// The typed answer where a constraint says what the caller did. A constraint of another table's says nothing of the kind,
/// whatever its name, and neither does one that a trigger's statements violate.
fn violation(error: &sqlx::Error, ours: &Constraints) -> Option<AuthError> {
    let error = postgres_error(error)?;
    if !matches!(error.code(), "23505" | "23503") || by_code_of_the_application(error) {
        return None;
    }
    let words = match (error.table(), error.constraint()) {
        (Some(table), Some(constraint)) if without_shard(table) == ours.table => constraint,
        // Some engines name both only in the message.
        (None, None) => error.message(),
        _ => return None,
    };
    words
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .map(without_shard)
        .find_map(|name| match error.code() {
            "23505" => ours
                .unique
                .iter()
                .find(|(constraint, _)| *constraint == name)
                .map(|&(_, field)| AuthError::Conflict { field }),
            _ => (ours.user == Some(name)).then_some(AuthError::UserNotFound),
        })
}

/// Whether it comes out of a trigger, function or procedure. The context names each of these that was under way, in any
/// language of the server, and then, if the role wants that, the statement's parameters.
fn by_code_of_the_application(error: &PgDatabaseError) -> bool {
    let context = error.r#where().unwrap_or_default();
    let context = context.split("$1 = ").next().unwrap_or_default();
    context.contains("PL/") || context.contains("SQL") || error.routine() == Some("exec_stmt_raise")
}

/// The name without the number that a sharding engine appends.
fn without_shard(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((base, shard)) if !shard.is_empty() && shard.bytes().all(|b| b.is_ascii_digit()) => {
            base
        }
        _ => name,
    }
}

/// What the server or sqlx said, where it means that nothing was done.
fn server_error(error: sqlx::Error, doing: &str, server: &Server) -> AuthError {
    let state = sqlstate(&error).unwrap_or_default().to_owned();
    let stale = stale_plan(&error);
    let (later, advice) = match state.as_str() {
        "28P01" | "28000" => (false, "the server refused the user name or password"),
        "3D000" => (
            false,
            "there is no such database: create it, or correct the URL",
        ),
        _ if collided(&state) => (
            true,
            "collided with others at work at the same time, as often as it was tried",
        ),
        _ if stale => (
            true,
            "the statement has to be prepared again, as a column's type has changed or DISCARD ALL was sent: nothing was done",
        ),
        "42P01" | "42703" | "3F000" => (
            false,
            "a table or column is missing: the database is not migrated, call SqlxAdapter::migrate(), or was altered by hand",
        ),
        "42501" => (false, "the user of the URL lacks a privilege: grant it"),
        "55P03" => (
            true,
            "someone else held a lock for longer than acquire_timeout",
        ),
        "25P03" | "25P04" => (
            true,
            "the server ended a transaction that stayed open for too long, and nothing of it was done",
        ),
        "25006" => (true, "the server is read-only, as a standby is"),
        "53300" => (
            true,
            "the server has no connection left: raise max_connections or shrink the pools",
        ),
        "57014" => (
            true,
            "the server cancelled the statement: is statement_timeout too short?",
        ),
        "57P01" | "57P02" | "57P03" | "57P05" => {
            (true, "the server is starting, stopping or recovering")
        }
        _ if state.starts_with("53") => (
            true,
            "the server is out of a resource such as disk or memory",
        ),
        _ if lost_connection(&error) => (true, silence(&error)),
        _ => match error {
            sqlx::Error::ColumnDecode { .. } => (false, "a stored value cannot be read"),
            _ => (false, "the database refused"),
        },
    };
    let message = format!("{doing} on {server}: {advice}{}", Said(&error));
    let contention = collided(&state) || stale;
    let source = Some(scrubbed(error));
    if later {
        AuthError::Unavailable {
            message,
            contention,
            source,
        }
    } else {
        AuthError::Database { message, source }
    }
}

/// Whether the server ended the statement for a deadlock or a serialization failure.
fn collided(state: &str) -> bool {
    matches!(state, "40001" | "40P01")
}

/// Whether the connection's prepared statement fits no longer: a column has another type, or others dropped the statement.
/// Not every 0A000 is one.
fn stale_plan(error: &sqlx::Error) -> bool {
    postgres_error(error).is_some_and(|error| match error.code() {
        "0A000" => error.routine() == Some("RevalidateCachedQuery"),
        state => state == "26000",
    })
}

/// Whether nobody can know what became of a statement that was sent.
fn lost_connection(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        Some(state) => matches!(state, "40003" | "57P02") || state.starts_with("08"),
        None => matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed
        ),
    }
}

/// Whether the answer did not come in time.
fn timed_out(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Why there is no answer to a statement that was sent.
fn silence(error: &sqlx::Error) -> &'static str {
    if timed_out(error) {
        "no answer came within answer_timeout: the server is silent, overloaded, or needs longer"
    } else {
        "the connection died before the answer came"
    }
}

/// native-tls says so in an error of TLS, rustls in one of I/O; both may also mean a connection that died.
fn refused_certificate(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Tls(_) | sqlx::Error::Io(_))
        && error.to_string().contains("certificate")
}

pub(super) fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    postgres_error(error).map(PgDatabaseError::code)
}

fn postgres_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Whether the server gave the statement up for what it took, in time or memory.
pub(super) fn took_too_much(error: &AuthError) -> bool {
    let said = error.source().and_then(|source| source.downcast_ref());
    said.is_some_and(|said: &ServerError| matches!(said.sqlstate.as_str(), "57014" | "53200"))
}

/// The part of the error that may be shown, in brackets.
pub(super) struct Said<'a>(pub(super) &'a sqlx::Error);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (postgres_error(self.0), self.0) {
            (Some(error), _) => write!(f, " ({})", ServerError::new(error)),
            (None, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => Ok(()),
            (None, error) => write!(f, " ({error})"),
        }
    }
}

fn scrubbed(error: sqlx::Error) -> SharedError {
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
        // The classes whose messages name no more than the schema, the user or the server's state.
        let harmless = [
            "08", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "XX",
        ]
        .iter()
        .any(|class| error.code().starts_with(class));
        Self {
            sqlstate: error.code().to_owned(),
            message: harmless.then(|| error.message().to_owned()),
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

#[cfg(test)]
mod tests {
    use super::{ServerError, took_too_much, without_shard};
    use crate::AuthError;

    #[test]
    fn what_one_statement_took_may_be_less_for_another() {
        for (sqlstate, expected) in [("57014", true), ("53200", true), ("55P03", false)] {
            let said = ServerError {
                sqlstate: sqlstate.to_owned(),
                message: None,
                schema: None,
                table: None,
                column: None,
                constraint: None,
            };
            let error = AuthError::Unavailable {
                message: String::new(),
                contention: false,
                source: Some(said.into()),
            };
            assert_eq!(took_too_much(&error), expected, "{sqlstate}");
        }
    }

    #[test]
    fn shard_numbers_are_no_part_of_a_name() {
        assert_eq!(without_shard("users_email_key_102008"), "users_email_key");
        assert_eq!(without_shard("users_email_key"), "users_email_key");
        assert_eq!(without_shard("users_email_key_"), "users_email_key_");
    }
}
