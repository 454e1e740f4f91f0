//! What PostgreSQL itself said, out of an error of sqlx's.

use sqlx::postgres::PgDatabaseError;

pub(super) fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    postgres_error(error).map(PgDatabaseError::code)
}

pub(super) fn postgres_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Whether an error comes out of a trigger, function or procedure. The context names each of these that was under way, in
/// any language of the server, and then, if the role wants that, the statement's parameters.
pub(super) fn by_code_of_the_application(error: &PgDatabaseError) -> bool {
    let context = error.r#where().unwrap_or_default();
    let context = context.split("$1 = ").next().unwrap_or_default();
    context.contains("PL/") || context.contains("SQL") || error.routine() == Some("exec_stmt_raise")
}
