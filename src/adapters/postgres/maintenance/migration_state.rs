//! How far a database is migrated, and what to do next.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use sqlx::migrate::{MigrateError, Migration};

use super::expected;
use super::migrate::{Failure, MIGRATOR, drops_index, index_name};

/// What a schema holds.
pub(super) struct Progress {
    applied: Vec<Applied>,
    /// The indexes on our tables, by name.
    indexes: BTreeMap<String, Index>,
}

struct Applied {
    version: i64,
    checksum: Vec<u8>,
    success: bool,
}

struct Index {
    table: String,
    is_valid: bool,
    /// Another session may be building it: it holds the lock that a concurrent build takes.
    is_locked: bool,
}

/// One change, after which the database is looked at again.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Another session is at work on an index.
    Wait,
    /// What the migration would do is done, or a later one undoes it.
    Record(&'static Migration),
    Apply(&'static Migration),
    /// The index of the migration that this one undoes is INVALID.
    Drop(&'static Migration),
}

impl Progress {
    /// Reads the table of migrations by `search_path`, and the indexes of `schema`.
    pub(super) async fn read(connection: &mut PgConnection, schema: &str) -> Result<Self, Failure> {
        let applied = sqlx::query_as!(
            Applied,
            "SELECT version, checksum, success FROM _better_auth_migrations ORDER BY version"
        )
        .fetch_all(&mut *connection)
        .await?;
        // A build holds its lock on the table from the first to the last of its transactions.
        let indexes = sqlx::query!(
            "SELECT index.relname::TEXT AS \"name!\", indexed.relname::TEXT AS \"table!\", indisvalid AS is_valid, \
             NOT indisvalid AND EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database \
             WHERE datname = current_database() AND locktype = 'relation' AND relation IN (indrelid, indexrelid) \
             AND mode = 'ShareUpdateExclusiveLock' AND granted AND pid <> pg_backend_pid()) AS \"is_locked!\" \
             FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid \
             JOIN pg_class AS indexed ON indexed.oid = indrelid \
             JOIN pg_namespace ON pg_namespace.oid = indexed.relnamespace \
             WHERE nspname = $1 AND indexed.relname = ANY($2)",
            schema,
            &expected::tables(),
        )
        .fetch_all(connection)
        .await?;
        let indexes = indexes.into_iter().map(|row| {
            let index = Index {
                table: row.table,
                is_valid: row.is_valid,
                is_locked: row.is_locked,
            };
            (row.name, index)
        });
        Ok(Self {
            applied,
            indexes: indexes.collect(),
        })
    }

    /// `None` if the schema is up to date.
    pub(super) fn next_step(&self) -> Result<Option<Step>, Failure> {
        self.check_applied()?;
        if let Some(step) = self.invalid_index()? {
            return Ok(Some(step));
        }
        let pending = MIGRATOR.iter().find(|migration| {
            migration.migration_type.is_up_migration() && !self.is_applied(migration.version)
        });
        Ok(pending.map(|migration| self.step_for(migration)))
    }

    fn is_applied(&self, version: i64) -> bool {
        self.applied
            .iter()
            .any(|applied| applied.version == version)
    }

    fn check_applied(&self) -> Result<(), MigrateError> {
        if let Some(dirty) = self.applied.iter().find(|applied| !applied.success) {
            return Err(MigrateError::Dirty(dirty.version));
        }
        for applied in &self.applied {
            let known = MIGRATOR.iter().find(|migration| {
                migration.version == applied.version && migration.migration_type.is_up_migration()
            });
            match known {
                None => return Err(MigrateError::VersionMissing(applied.version)),
                Some(known) if known.checksum != applied.checksum => {
                    return Err(MigrateError::VersionMismatch(applied.version));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn invalid_index(&self) -> Result<Option<Step>, Failure> {
        let invalid = self
            .indexes
            .iter()
            .find(|(name, index)| !index.is_valid && expected::is_index(name));
        let Some((name, index)) = invalid else {
            return Ok(None);
        };
        if index.is_locked {
            return Ok(Some(Step::Wait));
        }
        let undo = MIGRATOR.iter().find(|migration| {
            migration.migration_type.is_down_migration() && index_name(migration) == *name
        });
        match undo {
            Some(undo) => Ok(Some(Step::Drop(undo))),
            None => Err(Failure::Refused(format!(
                "index {name} on {} is INVALID: REINDEX INDEX CONCURRENTLY {name}",
                index.table
            ))),
        }
    }

    fn step_for(&self, migration: &'static Migration) -> Step {
        let name = index_name(migration);
        let is_done = if drops_index(migration) {
            let index = name.strip_prefix("drop_").unwrap_or(&name);
            !self.indexes.contains_key(index)
        } else {
            self.indexes.contains_key(&name) || is_dropped_later(&name)
        };
        if is_done {
            Step::Record(migration)
        } else {
            Step::Apply(migration)
        }
    }
}

fn is_dropped_later(index: &str) -> bool {
    MIGRATOR.iter().any(|migration| {
        migration.migration_type.is_up_migration()
            && index_name(migration).strip_prefix("drop_") == Some(index)
    })
}
