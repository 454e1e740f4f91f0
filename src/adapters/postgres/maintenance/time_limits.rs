//! The server's time limits, which maintenance that may take hours lifts for its own connection.

use sqlx::PgConnection;

/// Not all releases of PostgreSQL have all of them.
pub(super) const TIME_LIMITS: [&str; 5] = [
    "statement_timeout",
    "lock_timeout",
    "transaction_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
];

/// Lifts those that this release has.
pub(super) async fn lift_time_limits(connection: &mut PgConnection) -> sqlx::Result<()> {
    let names = TIME_LIMITS.map(str::to_owned);
    sqlx::query!(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY ($1)",
        &names,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}
