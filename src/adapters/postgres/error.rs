//! What PostgreSQL and sqlx say, classified once, and turned into errors of ours where an operation answers.

use std::fmt::Display;
use std::io;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::redaction::{Cause, redacted};
use super::server::Server;
use super::server_error::{by_code_of_the_application, postgres_error, sqlstate};
use super::sqlstate;
use super::tls::configuration_mistake;
use super::violation::{Constraints, Violation};
use crate::adapters::{Store, telemetry};
use crate::{AuthError, SharedError};

/// An operation on behalf of a caller, for messages and for what may be tried again.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    writes: bool,
    pub(super) in_transaction: bool,
    constraints: &'static [Constraints],
    pub(super) store: Option<Store>,
}

impl Operation {
    pub(super) const fn read(name: &'static str) -> Self {
        Self {
            name,
            writes: false,
            in_transaction: false,
            constraints: &[],
            store: None,
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
        self.may_violate_any(std::slice::from_ref(constraints))
    }

    /// The same, where it writes to several tables.
    pub(super) const fn may_violate_any(self, constraints: &'static [Constraints]) -> Self {
        Self {
            constraints,
            ..self
        }
    }

    /// The same, of a store whose tables may not be there.
    pub(super) const fn of_store(self, store: Store) -> Self {
        Self {
            store: Some(store),
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
    pub(super) fn is_durable_write(self) -> bool {
        self.writes && !self.in_transaction
    }
}

/// What a failure means for what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Rolled back because of others at work at the same time; the next try may pass.
    Contention,
    /// The connection's prepared statement no longer fits, so nothing was done; another connection may serve.
    StalePlan,
    /// The server takes no writes, so nothing was done; another connection may lead to one that does.
    ReadOnly,
    /// The server ended the connection before the statement did anything, or the statement was a read.
    DeadConnection,
    /// There is no answer, and no other connection is to be asked: the statement did nothing that lasts.
    NoAnswer,
    /// There was no connection to send the statement on.
    NoConnection,
    /// The server is busy, starting, stopping, or out of a resource; a later try may pass.
    Busy,
    /// The server gave the statement up for what it took, in time or memory; one that wants less may pass.
    TookTooMuch,
    /// The change may or may not have happened.
    OutcomeUnknown,
    /// A constraint was violated.
    Violation,
    /// The answer: the same statement would fail again.
    Refused,
}

impl Class {
    pub(super) fn of_statement(error: &sqlx::Error, operation: Operation) -> Self {
        let is_durable_write = operation.is_durable_write();
        let Some(server_error) = postgres_error(error) else {
            return match error {
                sqlx::Error::ColumnDecode { .. } if is_durable_write => Self::OutcomeUnknown,
                _ if !lost_connection(error) => Self::Refused,
                _ if is_durable_write => Self::OutcomeUnknown,
                _ if timed_out(error) => Self::NoAnswer,
                _ => Self::DeadConnection,
            };
        };
        match server_error.code() {
            sqlstate::SERIALIZATION_FAILURE | sqlstate::DEADLOCK_DETECTED => Self::Contention,
            _ if is_raised_by_the_application(server_error) => Self::Refused,
            _ if stale_plan(server_error) => Self::StalePlan,
            // A server that was fenced, perhaps, while its address has moved to another.
            sqlstate::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly,
            // Said only before the commit: a backend that is ended later, while it waits for a standby, closes the
            // connection without an error.
            sqlstate::ADMIN_SHUTDOWN | sqlstate::IDLE_SESSION_TIMEOUT => Self::DeadConnection,
            _ if lost_connection(error) && is_durable_write => Self::OutcomeUnknown,
            _ if lost_connection(error) => Self::DeadConnection,
            // A sharding engine says so where the server that holds the row died during the commit.
            code if code.starts_with(sqlstate::class::INTERNAL_ERROR) && is_durable_write => {
                Self::OutcomeUnknown
            }
            sqlstate::QUERY_CANCELED | sqlstate::OUT_OF_MEMORY => Self::TookTooMuch,
            sqlstate::LOCK_NOT_AVAILABLE
            | sqlstate::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            | sqlstate::TRANSACTION_TIMEOUT
            | sqlstate::CANNOT_CONNECT_NOW => Self::Busy,
            code if code.starts_with(sqlstate::class::INSUFFICIENT_RESOURCES) => Self::Busy,
            sqlstate::UNIQUE_VIOLATION | sqlstate::FOREIGN_KEY_VIOLATION => Self::Violation,
            _ => Self::Refused,
        }
    }

    fn of_commit(error: &sqlx::Error) -> Self {
        match sqlstate(error) {
            // A server that stops may have committed before.
            Some(
                sqlstate::ADMIN_SHUTDOWN
                | sqlstate::CRASH_SHUTDOWN
                | sqlstate::IDLE_SESSION_TIMEOUT,
            ) => Self::OutcomeUnknown,
            _ => Self::of_statement(error, COMMIT),
        }
    }

    fn of_connection(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::NoConnection,
            _ if configuration_mistake(error).is_some() => Self::Refused,
            _ if lost_connection(error) => Self::NoConnection,
            _ => Self::of_statement(error, CONNECT),
        }
    }

    /// As telemetry names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Contention => "contention",
            Self::StalePlan => "stale_plan",
            Self::ReadOnly => "read_only_server",
            Self::DeadConnection => "dead_connection",
            Self::NoAnswer => "no_answer",
            Self::NoConnection => "no_connection",
            Self::Busy => "busy",
            Self::TookTooMuch => "took_too_much",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Violation => "violation",
            Self::Refused => "refused",
        }
    }

    /// Whether the connection is to be closed, as it would refuse the next statement too.
    pub(super) fn is_connection_unfit(self) -> bool {
        matches!(self, Self::StalePlan | Self::ReadOnly)
    }

    /// Whether every statement would fail so, for now.
    pub(super) fn concerns_all(self) -> bool {
        !matches!(
            self,
            Self::TookTooMuch | Self::OutcomeUnknown | Self::Violation | Self::Refused
        )
    }

    /// Whether nothing was done, and a later try may succeed.
    pub(super) fn is_retryable(self) -> bool {
        !matches!(self, Self::OutcomeUnknown | Self::Violation | Self::Refused)
    }

    /// Whether the same again may pass at once.
    pub(super) fn is_contention(self) -> bool {
        matches!(self, Self::Contention | Self::StalePlan)
    }
}

const COMMIT: Operation = Operation::write("commit");
const CONNECT: Operation = Operation::read("connect");
/// One of the application's.
pub(super) const STATEMENT: Operation = Operation::write("statement");

/// An operation that failed: why, and what that means. An [`AuthError`] is made of it where the operation answers.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) class: Class,
    pub(super) error: sqlx::Error,
}

impl Failure {
    pub(super) fn of_statement(error: sqlx::Error, operation: Operation) -> Self {
        Self::new(Class::of_statement(&error, operation), error)
    }

    pub(super) fn of_connection(error: sqlx::Error) -> Self {
        Self::new(Class::of_connection(&error), error)
    }

    fn of_commit(error: sqlx::Error) -> Self {
        Self::new(Class::of_commit(&error), error)
    }

    fn new(class: Class, error: sqlx::Error) -> Self {
        telemetry::failed(sqlstate(&error));
        Self { class, error }
    }

    /// Whether the server knows no table of that name.
    pub(super) fn is_missing_table(&self) -> bool {
        sqlstate(&self.error) == Some(sqlstate::UNDEFINED_TABLE)
    }

    /// Whether the server, or code of the application in it, refused this row, so that the same statement may succeed for
    /// another one.
    pub(super) fn refuses_row(&self) -> bool {
        matches!(self.class, Class::Violation | Class::Refused)
            && postgres_error(&self.error).is_some_and(|error| {
                let refused_row = sqlstate::class::REFUSED_ROW
                    .iter()
                    .any(|class| error.code().starts_with(class));
                refused_row || by_code_of_the_application(error)
            })
    }

    /// Whether a statement for fewer rows may pass: the server has ended this one, or it has waited for a lock.
    pub(super) fn took_too_long(&self) -> bool {
        self.class == Class::TookTooMuch
            || sqlstate(&self.error) == Some(sqlstate::LOCK_NOT_AVAILABLE)
    }

    /// Whether the statement, or a value of it, is more than the server takes.
    pub(super) fn exceeds_limit(&self) -> bool {
        sqlstate(&self.error)
            .is_some_and(|code| code.starts_with(sqlstate::class::PROGRAM_LIMIT_EXCEEDED))
    }

    /// What the caller's input has violated, as the server says it.
    pub(super) fn violation(&self, operation: Operation) -> Option<Violation> {
        let error = postgres_error(&self.error).filter(|_| self.class == Class::Violation)?;
        Violation::new(error, operation.constraints)
    }

    pub(super) fn into_source(self) -> SharedError {
        redacted(self.error)
    }

    /// What the caller asks for, if it is a store that is not migrated.
    fn missing_store(&self, operation: Operation) -> Option<&'static str> {
        let error = postgres_error(&self.error).filter(|_| self.class == Class::Refused)?;
        let is_missing = matches!(
            error.code(),
            sqlstate::UNDEFINED_TABLE | sqlstate::UNDEFINED_COLUMN | sqlstate::UNDEFINED_FUNCTION
        );
        let is_missing = is_missing && !by_code_of_the_application(error);
        operation
            .store
            .filter(|_| is_missing)
            .map(Store::not_migrated)
    }

    pub(super) fn into_error(self, operation: Operation, server: &Server) -> AuthError {
        if let Some(operation) = self.missing_store(operation) {
            return AuthError::Unsupported { operation };
        }
        let advice = advice(self.class, &self.error, operation);
        let message = format!(
            "{} on {server}: {advice}{}",
            operation.name,
            Cause(&self.error)
        );
        self.with_message(message)
    }

    pub(super) fn with_message(self, message: String) -> AuthError {
        let Self { class, error } = self;
        let source = Some(redacted(error));
        match class {
            Class::OutcomeUnknown => AuthError::OutcomeUnknown { message, source },
            _ if class.is_retryable() => AuthError::Unavailable {
                message,
                contention: class.is_contention(),
                source,
            },
            _ => AuthError::Database { message, source },
        }
    }
}

impl telemetry::Kind for Failure {
    fn kind(&self) -> &'static str {
        self.class.name()
    }
}

/// What a failure was about, in words, and what to do.
fn advice(class: Class, error: &sqlx::Error, operation: Operation) -> &'static str {
    match class {
        Class::Contention => "still conflicting with concurrent transactions after all retries",
        Class::StalePlan => {
            "the statement has to be prepared again, as a column's type has changed or DISCARD ALL was sent: nothing \
             was done"
        }
        Class::ReadOnly => "the server is read-only, as a standby is",
        Class::OutcomeUnknown if matches!(error, sqlx::Error::ColumnDecode { .. }) => {
            "the change was made, but the changed row holds a value that cannot be read"
        }
        Class::OutcomeUnknown if timed_out(error) => {
            "no answer came within answer_timeout: the server is silent, overloaded, or needs longer; the change may or \
             may not have happened, so look before trying again"
        }
        Class::OutcomeUnknown if lost_connection(error) => {
            "the connection died before the answer came; the change may or may not have happened, so look before trying \
             again"
        }
        Class::OutcomeUnknown => {
            "the server failed; the change may or may not have happened, so look before trying again"
        }
        Class::NoConnection => match error {
            _ if timed_out(error) || matches!(error, sqlx::Error::PoolTimedOut) => {
                "no connection within acquire_timeout: the server does not answer or has reached its max_connections, \
                 or all of the pool's connections are busy"
            }
            sqlx::Error::PoolClosed => "the adapter was closed",
            _ => "no connection: is the server running, and are host and port right?",
        },
        Class::NoAnswer | Class::DeadConnection if lost_connection(error) => {
            no_answer_reason(error, operation)
        }
        Class::Refused => configuration_mistake(error).unwrap_or_else(|| server_advice(error)),
        _ => server_advice(error),
    }
}

fn server_advice(error: &sqlx::Error) -> &'static str {
    match sqlstate(error).unwrap_or_default() {
        sqlstate::INVALID_PASSWORD | sqlstate::INVALID_AUTHORIZATION_SPECIFICATION => {
            "the server refused the user name or password"
        }
        sqlstate::INVALID_CATALOG_NAME => {
            "there is no such database: create it, or correct the URL"
        }
        sqlstate::UNDEFINED_TABLE | sqlstate::UNDEFINED_COLUMN | sqlstate::INVALID_SCHEMA_NAME => {
            "a table or column is missing: the database is not migrated, call SqlxAdapter::migrate(), or was altered by \
             hand"
        }
        sqlstate::INSUFFICIENT_PRIVILEGE => "the user of the URL lacks a privilege: grant it",
        sqlstate::LOCK_NOT_AVAILABLE => "someone else held a lock for longer than acquire_timeout",
        sqlstate::IDLE_IN_TRANSACTION_SESSION_TIMEOUT | sqlstate::TRANSACTION_TIMEOUT => {
            "the server ended a transaction that stayed open for too long, and nothing of it was done"
        }
        sqlstate::TOO_MANY_CONNECTIONS => {
            "the server has no connection left: raise max_connections or shrink the pools"
        }
        sqlstate::QUERY_CANCELED => {
            "the server cancelled the statement: is statement_timeout too short?"
        }
        sqlstate::ADMIN_SHUTDOWN
        | sqlstate::CRASH_SHUTDOWN
        | sqlstate::CANNOT_CONNECT_NOW
        | sqlstate::IDLE_SESSION_TIMEOUT => "the server is starting, stopping or recovering",
        code if code.starts_with(sqlstate::class::INSUFFICIENT_RESOURCES) => {
            "the server is out of a resource such as disk or memory"
        }
        _ if matches!(error, sqlx::Error::ColumnDecode { .. }) => "a stored value cannot be read",
        _ => "the database refused",
    }
}

/// Why there is no answer to a statement that was sent.
fn no_answer_reason(error: &sqlx::Error, operation: Operation) -> &'static str {
    match (timed_out(error), operation.in_transaction) {
        (false, false) => "the connection died before the answer came",
        (false, true) => {
            "the connection died before the answer came, and the transaction ended: nothing of it was done"
        }
        (true, false) => {
            "no answer came within answer_timeout: the server is silent, overloaded, or needs longer"
        }
        (true, true) => {
            "no answer came within answer_timeout: the server is silent, overloaded, or needs longer, and the \
             transaction ended: nothing of it was done"
        }
    }
}

/// The error of a statement that was sent.
pub(super) fn statement_error(
    error: sqlx::Error,
    operation: Operation,
    server: &Server,
) -> AuthError {
    Failure::of_statement(error, operation).into_error(operation, server)
}

/// The error of a COMMIT that was sent.
pub(super) fn commit_error(error: sqlx::Error, server: &Server) -> AuthError {
    Failure::of_commit(error).into_error(COMMIT, server)
}

/// The error of an attempt to get a connection, so of an operation that was not begun.
pub(super) fn connection_error(
    error: sqlx::Error,
    doing: &'static str,
    server: &Server,
) -> AuthError {
    Failure::of_connection(error).into_error(Operation::read(doing), server)
}

/// The error of a migration.
pub(super) fn migration_error(error: MigrateError, server: &Server) -> AuthError {
    // What was done is recorded, so that the next call goes on from there.
    const MIGRATE: Operation = Operation::read("migrate");
    let advice = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            return statement_error(error, MIGRATE, server);
        }
        MigrateError::VersionMissing(version) => {
            format!(
                "migration {version} is unknown here: a newer version of better-auth migrated this database"
            )
        }
        MigrateError::VersionMismatch(version) => {
            format!("migration {version} was applied with other text than it has here")
        }
        MigrateError::Dirty(version) => unfinished_migration(version),
        other => other.to_string(),
    };
    AuthError::Database {
        message: format!("{} on {server}: {advice}", MIGRATE.name),
        source: None,
    }
}

/// What to do about a migration that is recorded as begun. `migrate` records a migration when it is done.
pub(super) fn unfinished_migration(version: impl Display) -> String {
    format!(
        "another program has recorded migration {version} as begun and not done (success = false in \
         _better_auth_migrations): nothing is changed until that is settled: see by hand what of it is there; then set \
         success = true if all of it is, or undo it and delete the record, so that migrate runs it"
    )
}

/// Whether an error that the code of an application reports says nothing of this connection and this server: a trigger
/// that writes to another server reports what became of that. What comes of other transactions, of limits and of
/// resources is the same wherever it arises.
fn is_raised_by_the_application(error: &PgDatabaseError) -> bool {
    let code = error.code();
    let concerns_statement = matches!(
        code,
        sqlstate::LOCK_NOT_AVAILABLE | sqlstate::QUERY_CANCELED
    ) || code.starts_with(sqlstate::class::INSUFFICIENT_RESOURCES);
    error.severity() == PgSeverity::Error
        && !concerns_statement
        && by_code_of_the_application(error)
}

/// Whether the connection's prepared statement no longer fits: a column has another type, or others dropped the statement.
/// Not every 0A000 is one.
fn stale_plan(error: &PgDatabaseError) -> bool {
    match error.code() {
        sqlstate::FEATURE_NOT_SUPPORTED => error.routine() == Some("RevalidateCachedQuery"),
        code => code == sqlstate::INVALID_SQL_STATEMENT_NAME,
    }
}

/// Whether the outcome of a statement that was sent cannot be known.
fn lost_connection(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        Some(sqlstate::STATEMENT_COMPLETION_UNKNOWN | sqlstate::CRASH_SHUTDOWN) => true,
        Some(code) => code.starts_with(sqlstate::class::CONNECTION_EXCEPTION),
        None => matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed
        ),
    }
}

/// Whether a statement in a transaction conflicted with another transaction, so that the same transaction may pass.
pub(super) fn conflicts(error: &sqlx::Error) -> bool {
    Class::of_statement(error, STATEMENT.in_transaction()).is_contention()
}

/// Whether the connection serves no more after this.
pub(super) fn broke_connection(error: &sqlx::Error) -> bool {
    match postgres_error(error) {
        Some(error) => matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic),
        None => lost_connection(error),
    }
}

/// Whether trying again to connect cannot help: a wrong password, say.
pub(super) fn is_final_refusal(error: &sqlx::Error) -> bool {
    Class::of_connection(error) == Class::Refused
}

/// Whether the answer did not come in time.
pub(super) fn timed_out(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{
        Class, Failure, Operation, advice, conflicts, is_final_refusal, unfinished_migration,
    };
    use crate::adapters::telemetry::Kind as _;

    const READ: Operation = Operation::read("look");
    const WRITE: Operation = Operation::write("store");

    fn io_error(kind: io::ErrorKind) -> sqlx::Error {
        io::Error::from(kind).into()
    }

    #[test]
    fn silence_and_a_lost_connection_say_what_became_of_the_statement() {
        for (kind, operation, name, said) in [
            (
                io::ErrorKind::TimedOut,
                WRITE,
                "outcome_unknown",
                "no answer came within answer_timeout: the server is silent, overloaded, or needs longer; the change may",
            ),
            (
                io::ErrorKind::ConnectionReset,
                WRITE,
                "outcome_unknown",
                "the connection died before the answer came; the change may",
            ),
            (
                io::ErrorKind::TimedOut,
                READ,
                "no_answer",
                "no answer came within answer_timeout",
            ),
            (
                io::ErrorKind::ConnectionReset,
                READ,
                "dead_connection",
                "the connection died before the answer came",
            ),
            (
                io::ErrorKind::TimedOut,
                WRITE.in_transaction(),
                "no_answer",
                "the transaction ended: nothing of it was done",
            ),
        ] {
            let failure = Failure::of_statement(io_error(kind), operation);
            assert_eq!(failure.kind(), name);
            let said_here = advice(failure.class, &failure.error, operation);
            assert!(said_here.contains(said), "{name}: {said_here}");
        }
    }

    #[test]
    fn what_the_server_says_is_advised_on_as_the_servers_word() {
        for (class, said) in [
            (Class::Contention, "still conflicting"),
            (Class::OutcomeUnknown, "the server failed"),
            (Class::DeadConnection, "the database refused"),
        ] {
            let advice = advice(class, &sqlx::Error::RowNotFound, READ);
            assert!(advice.contains(said), "{class:?}: {advice}");
        }
    }

    #[test]
    fn an_error_that_is_not_the_servers_has_no_code() {
        let failure = Failure::of_statement(sqlx::Error::RowNotFound, READ);
        assert!(!failure.is_missing_table() && !failure.exceeds_limit());
        assert!(!failure.took_too_long() && !failure.refuses_row());
        assert!(!conflicts(&failure.error));
    }

    #[test]
    fn to_connect_again_may_help_unless_something_is_refused() {
        let refused = sqlx::Error::Configuration("no TLS feature".into());
        assert!(is_final_refusal(&refused));
        for error in [
            sqlx::Error::PoolTimedOut,
            io_error(io::ErrorKind::ConnectionRefused),
        ] {
            assert!(!is_final_refusal(&error), "{error}");
        }
    }

    #[test]
    fn a_migration_that_is_recorded_as_begun_is_named() {
        let advice = unfinished_migration(12);
        assert!(
            advice.contains("migration 12") && advice.contains("success = true"),
            "{advice}"
        );
    }

    #[test]
    fn what_one_statement_took_may_be_less_for_another() {
        assert!(!Class::TookTooMuch.concerns_all() && Class::TookTooMuch.is_retryable());
        assert!(Class::Busy.concerns_all() && Class::Busy.is_retryable());
    }
}
