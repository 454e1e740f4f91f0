//! The migrations, what their files tell of them, and why applying one fails.

use sqlx::PgConnection;
use sqlx::migrate::{MigrateError, Migration, Migrator};

use super::super::error::migration_error;
use super::super::server::Server;
use super::super::server_error::sqlstate;
use super::super::sqlstate::{
    DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, SERIALIZATION_FAILURE, UNIQUE_VIOLATION,
};
use super::migration_set::MigrationSet;
use crate::AuthError;

/// The migrations of the schema with those of all stores, for `#[sqlx::test(migrator = "better_auth::MIGRATOR")]` and tools. Applications call
/// [`SqlxAdapter::migrate`](crate::adapters::SqlxAdapter::migrate), which is safe from many processes at once.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// As `sqlx.toml` says.
pub(super) const MIGRATIONS_TABLE: &str = "_better_auth_migrations";
/// How long a statement may wait for a lock that makes later writers wait behind it, in milliseconds.
const LOCK_TIMEOUT: &str = "100";

/// Why a migration ended.
pub(super) enum Failure {
    Server(MigrateError),
    /// Found before anything was changed, with what to do.
    Refused(String),
}

impl<E: Into<MigrateError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Server(error.into())
    }
}

impl Failure {
    pub(super) fn into_error(self, server: &Server) -> AuthError {
        match self {
            Self::Server(error) => migration_error(error, server),
            Self::Refused(message) => AuthError::Database {
                message: format!("migrate on {server}: {message}"),
                source: None,
            },
        }
    }

    pub(super) fn violates_unique_index(&self) -> bool {
        match self {
            Self::Server(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) => sqlstate(error) == Some(UNIQUE_VIOLATION),
            _ => false,
        }
    }

    /// Whether the statement lost against another session: a deadlock, a lock not available, a serialization failure.
    pub(super) fn is_contention(&self) -> bool {
        match self {
            Self::Server(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) => {
                matches!(
                    sqlstate(error),
                    Some(DEADLOCK_DETECTED | LOCK_NOT_AVAILABLE | SERIALIZATION_FAILURE)
                )
            }
            _ => false,
        }
    }
}

/// Building or dropping an index concurrently waits for transactions, and no writer waits behind it. Any other statement
/// may make writers wait.
pub(super) async fn set_lock_timeout(
    connection: &mut PgConnection,
    migration: &Migration,
) -> Result<(), Failure> {
    let lock_timeout = if migration.no_tx { "0" } else { LOCK_TIMEOUT };
    sqlx::query_scalar!("SELECT set_config('lock_timeout', $1, false)", lock_timeout)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// A migration as progress names it: which of how many of its set, and what is done with it.
pub(super) fn step_name(migration: &Migration, doing: &str) -> String {
    let set = MigrationSet::of(migration.version);
    format!(
        "{doing} migration {} of {}, {}",
        migration.version % 100,
        set.migrations().count(),
        index_name(migration)
    )
}

pub(super) fn builds_index(migration: &Migration) -> bool {
    let sql = migration.sql.as_str();
    sql.contains("CREATE INDEX") || sql.contains("CREATE UNIQUE INDEX")
}

pub(super) fn drops_index(migration: &Migration) -> bool {
    migration.sql.as_str().contains("DROP INDEX")
}

/// A migration that builds an index is named after it; one that drops an index, `drop_` and its name.
pub(super) fn index_name(migration: &Migration) -> String {
    migration.description.replace(' ', "_")
}

/// Whether code that does not know a migration of this description has to stop: its statements do not fit afterwards. Any
/// other migration of a newer version is ignored.
pub(super) fn is_breaking(description: &str) -> bool {
    description.starts_with("breaking ")
}

/// The migration that removes what a unique index forbids, if rows of other programs may stand against it.
pub(super) fn prepares(migration: &Migration) -> Option<&'static Migration> {
    let builds_unique = migration.sql.as_str().contains("CREATE UNIQUE INDEX");
    let mut migrations = MIGRATOR.iter();
    migrations.find(|before| {
        builds_unique
            && before.description == "cancel older invitations"
            && before.migration_type.is_up_migration()
    })
}

/// The migration that makes the index or constraint of this name, if a migration names it.
pub(super) fn made_by(name: &str) -> Option<&'static Migration> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    MIGRATOR.iter().find(|migration| {
        migration.migration_type.is_up_migration()
            && !drops_index(migration)
            && migration
                .sql
                .as_str()
                .split(|c| !is_part(c))
                .any(|word| word == name)
    })
}

#[cfg(test)]
mod tests {
    use super::{
        Failure, MIGRATIONS_TABLE, MIGRATOR, builds_index, drops_index, index_name, made_by,
        prepares,
    };

    #[test]
    fn the_table_of_migrations_is_that_of_the_configuration() {
        assert_eq!(MIGRATOR.table_name, MIGRATIONS_TABLE);
    }

    #[test]
    fn migrations_of_an_index_are_named_after_it() {
        for migration in MIGRATOR.iter() {
            let sql = migration.sql.as_str();
            let name = index_name(migration);
            let index = name.strip_prefix("drop_").unwrap_or(&name);
            assert!(!sql.contains("INDEX") || sql.contains(index), "{sql}");
            assert_eq!(migration.no_tx, sql.contains("CONCURRENTLY"), "{sql}");
            if migration.no_tx {
                assert_ne!(builds_index(migration), drops_index(migration), "{sql}");
            }
        }
    }

    #[test]
    fn what_is_refused_before_a_statement_violates_nothing() {
        let refused = Failure::Refused("another schema".to_owned());
        assert!(!refused.violates_unique_index() && !refused.is_contention());
        let failed = Failure::from(sqlx::migrate::MigrateError::Execute(
            sqlx::Error::RowNotFound,
        ));
        assert!(!failed.violates_unique_index() && !failed.is_contention());
    }

    #[test]
    fn what_stands_against_a_unique_index_is_removed_before() {
        let prepared = MIGRATOR.iter().filter_map(|migration| {
            let preparation = prepares(migration)?;
            let sql = migration.sql.as_str();
            assert!(sql.contains("CREATE UNIQUE INDEX"), "{sql}");
            Some(preparation.description.as_ref())
        });
        let prepared: Vec<&str> = prepared.collect();
        assert!(!prepared.is_empty());
        assert!(
            prepared
                .iter()
                .all(|made| *made == "cancel older invitations")
        );
    }

    #[test]
    fn what_no_migration_names_is_made_by_none() {
        let index = "users_name_created_at_id_idx";
        assert_eq!(made_by(index).map(|made| made.version), Some(19));
        assert_eq!(made_by("users_name_created_at_id"), None);
    }
}
