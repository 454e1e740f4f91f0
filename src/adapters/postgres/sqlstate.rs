//! The SQLSTATEs of PostgreSQL that mean something here, by name.

pub(super) const PROTOCOL_VIOLATION: &str = "08P01";
pub(super) const FEATURE_NOT_SUPPORTED: &str = "0A000";
pub(super) const FOREIGN_KEY_VIOLATION: &str = "23503";
pub(super) const UNIQUE_VIOLATION: &str = "23505";
pub(super) const READ_ONLY_SQL_TRANSACTION: &str = "25006";
pub(super) const IDLE_IN_TRANSACTION_SESSION_TIMEOUT: &str = "25P03";
pub(super) const TRANSACTION_TIMEOUT: &str = "25P04";
pub(super) const INVALID_SQL_STATEMENT_NAME: &str = "26000";
pub(super) const INVALID_AUTHORIZATION_SPECIFICATION: &str = "28000";
pub(super) const INVALID_PASSWORD: &str = "28P01";
pub(super) const INVALID_CATALOG_NAME: &str = "3D000";
pub(super) const INVALID_SCHEMA_NAME: &str = "3F000";
pub(super) const SERIALIZATION_FAILURE: &str = "40001";
pub(super) const STATEMENT_COMPLETION_UNKNOWN: &str = "40003";
pub(super) const DEADLOCK_DETECTED: &str = "40P01";
pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";
pub(super) const SYNTAX_ERROR: &str = "42601";
pub(super) const UNDEFINED_COLUMN: &str = "42703";
pub(super) const UNDEFINED_FUNCTION: &str = "42883";
pub(super) const UNDEFINED_TABLE: &str = "42P01";
pub(super) const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";
pub(super) const OUT_OF_MEMORY: &str = "53200";
pub(super) const TOO_MANY_CONNECTIONS: &str = "53300";
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";
pub(super) const QUERY_CANCELED: &str = "57014";
pub(super) const ADMIN_SHUTDOWN: &str = "57P01";
pub(super) const CRASH_SHUTDOWN: &str = "57P02";
pub(super) const CANNOT_CONNECT_NOW: &str = "57P03";
pub(super) const IDLE_SESSION_TIMEOUT: &str = "57P05";

/// The first two characters of a class of SQLSTATEs.
pub(super) mod class {
    pub(in super::super) const CONNECTION_EXCEPTION: &str = "08";
    /// A constraint, a WITH CHECK OPTION of a view, RAISE in a trigger, or an expression refuses a row.
    pub(in super::super) const REFUSED_ROW: [&str; 4] = ["22", "23", "44", "P0"];
    pub(in super::super) const INSUFFICIENT_RESOURCES: &str = "53";
    pub(in super::super) const PROGRAM_LIMIT_EXCEEDED: &str = "54";
    pub(in super::super) const INTERNAL_ERROR: &str = "XX";

    /// Classes whose messages name no more than the schema, the user or the server's state. Others may quote a value.
    pub(in super::super) const WITHOUT_VALUES: [&str; 14] = [
        CONNECTION_EXCEPTION,
        "0A",
        "25",
        "28",
        "3D",
        "3F",
        "40",
        "42",
        INSUFFICIENT_RESOURCES,
        PROGRAM_LIMIT_EXCEEDED,
        "55",
        "57",
        "58",
        INTERNAL_ERROR,
    ];
}
