//! `migrate`: brings the schema up to date.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::migrate::{Migrate as _, MigrateError, Migration, Migrator};

use super::super::SqlxAdapter;
use super::super::database::Connections;
use super::super::error::{connection_error, migration_error};
use crate::AuthResult;

/// The migrations of the schema, for `#[sqlx::test(migrator = "better_auth::MIGRATOR")]` and tools. Applications call
/// [`SqlxAdapter::migrate`](crate::adapters::SqlxAdapter::migrate), which is safe from many processes at once.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// As `sqlx.toml` says.
const BOOKKEEPING_TABLE: &str = "_better_auth_migrations";
/// Arbitrary, the same in every process. One lock per database.
const ADVISORY_LOCK: i64 = 0x6265_7474_6572_2d61;
const LOCK_POLL: Duration = Duration::from_millis(50);

impl SqlxAdapter {
    /// Brings the schema up to date: creates what is missing and adopts what is there.
    ///
    /// Call it as often as you like, from as many processes at once as you like, on a database with data and traffic:
    /// indexes are built `CONCURRENTLY`, and whoever comes second waits. It may be interrupted at any point; the next
    /// call completes what is missing, an index whose build was interrupted included. It works on a connection of its
    /// own, without the time limits of the pool's.
    ///
    /// It keeps its books in `_better_auth_migrations`, apart from an application's own `_sqlx_migrations`, and creates
    /// everything in the first schema of the connection's `search_path`.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`](crate::AuthError::Unavailable), or
    /// [`AuthError::Database`](crate::AuthError::Database) with what to do: a missing privilege, say, or a database
    /// that a newer version of this crate has migrated.
    pub async fn migrate(&self) -> AuthResult<()> {
        let Connections { pool, server, .. } = &*self.database.connections;
        // One of the pool's, for what the application's `after_connect` sets; never given back, as the advisory lock
        // goes with it, also where this future is dropped.
        let mut connection = pool
            .acquire()
            .await
            .map_err(|error| connection_error(error, "migrate", server))?;
        connection.close_on_drop();
        let outcome = run(&mut connection).await;
        let _ = connection.close().await;
        outcome.map_err(|error| migration_error(error, server))
    }
}

async fn run(connection: &mut PgConnection) -> Result<(), MigrateError> {
    sqlx::query!(
        "SELECT set_config('statement_timeout', '0', false) AS statement_timeout, \
         set_config('lock_timeout', '0', false) AS lock_timeout"
    )
    .fetch_one(&mut *connection)
    .await?;
    // Waiting inside the server, as sqlx's own lock does, would hold a snapshot, for whose end a concurrent index
    // build waits in turn.
    while !sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock($1) AS "locked!""#,
        ADVISORY_LOCK
    )
    .fetch_one(&mut *connection)
    .await?
    {
        tokio::time::sleep(LOCK_POLL).await;
    }
    connection
        .ensure_migrations_table(BOOKKEEPING_TABLE)
        .await?;
    drop_broken_indexes(connection).await?;
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
    migrator.set_locking(false);
    migrator.dangerous_set_table_name(BOOKKEEPING_TABLE);
    migrator.run_direct(None, connection, false).await
}

/// Undoes the migrations whose index is INVALID, as an interrupted `CREATE INDEX CONCURRENTLY` leaves it.
async fn drop_broken_indexes(connection: &mut PgConnection) -> Result<(), MigrateError> {
    for undo in MIGRATOR
        .iter()
        .filter(|migration| migration.migration_type.is_down_migration())
    {
        let broken = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid) AS "broken!""#,
            index_name(undo),
        )
        .fetch_one(&mut *connection)
        .await?;
        if broken {
            connection.revert(BOOKKEEPING_TABLE, undo).await?;
        }
    }
    Ok(())
}

/// A migration that builds an index is named after it; one that drops an index, `drop_` and its name.
pub(super) fn index_name(migration: &Migration) -> String {
    migration.description.replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use super::{BOOKKEEPING_TABLE, MIGRATOR, index_name};

    #[test]
    fn the_bookkeeping_table_is_that_of_the_configuration() {
        assert_eq!(MIGRATOR.table_name, BOOKKEEPING_TABLE);
    }

    #[test]
    fn migrations_of_an_index_are_named_after_it() {
        for migration in MIGRATOR.iter() {
            let sql = migration.sql.as_str();
            let name = index_name(migration);
            let index = name.strip_prefix("drop_").unwrap_or(&name);
            assert!(!sql.contains("INDEX") || sql.contains(index), "{sql}");
            assert_eq!(migration.no_tx, sql.contains("CONCURRENTLY"), "{sql}");
        }
    }
}
