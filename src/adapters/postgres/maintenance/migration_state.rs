//! How far a database is migrated, and what to do next.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use sqlx::migrate::{Migrate as _, MigrateError, Migration};
use sqlx::postgres::types::Oid;

use super::super::connection::StatementFuture;
use super::expected;
use super::migration_set::MigrationSet;
use super::migrations::{Failure, MIGRATOR, drops_index, index_name, is_breaking, made_by};
use super::store_tables::is_recorded;

/// What a schema holds.
pub(super) struct MigrationState {
    set: MigrationSet,
    applied: Vec<Applied>,
    /// The indexes on our tables, by name.
    indexes: BTreeMap<String, Index>,
    /// The constraints on our tables, by name.
    constraints: BTreeSet<String>,
    /// Our tables on which another session builds an index.
    busy_tables: BTreeSet<String>,
}

/// How many migrations are applied.
#[derive(Clone, Copy)]
pub(in super::super) struct MigrationCounts {
    pub(in super::super) applied: usize,
    pub(in super::super) pending: usize,
    /// Of a newer version of this crate.
    pub(in super::super) unknown: usize,
}

impl MigrationCounts {
    pub(in super::super) fn of(applied: &[Applied]) -> Self {
        let versions = applied.iter().filter(|applied| applied.success);
        let applied: BTreeSet<i64> = versions.map(|applied| applied.version).collect();
        let tables = MigrationSet::Tables.migrations();
        let tables: BTreeSet<i64> = tables.map(|migration| migration.version).collect();
        let known: BTreeSet<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
        Self {
            applied: applied.intersection(&tables).count(),
            pending: tables.difference(&applied).count(),
            unknown: applied.difference(&known).count(),
        }
    }
}

/// Reads the table of migrations by `search_path`.
pub(in super::super) fn read_migration_counts(
    connection: &mut PgConnection,
) -> StatementFuture<'_, MigrationCounts> {
    Box::pin(async move {
        let applied = sqlx::query_as!(
            Applied,
            "SELECT version, description, checksum, success FROM _better_auth_migrations ORDER BY version"
        );
        Ok(MigrationCounts::of(&applied.fetch_all(connection).await?))
    })
}

pub(in super::super) struct Applied {
    version: i64,
    description: String,
    checksum: Vec<u8>,
    success: bool,
}

struct Index {
    oid: Oid,
    table: String,
    is_valid: bool,
    /// The transaction that changes or has changed its row in `pg_index`.
    xmax: String,
    /// Whether a session builds it, which the lock on its table does not always tell.
    is_changing: bool,
}

/// One change, after which the database is looked at again.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Another session builds an index on the table.
    Wait,
    /// What the migration would do is done, or a later one undoes it.
    Record(&'static Migration),
    Apply(&'static Migration),
    /// The index of the migration that this one undoes is INVALID.
    Drop(&'static Migration),
}

impl MigrationState {
    /// Reads the tables of migrations by `search_path`, and the indexes of `schema`.
    pub(super) async fn read(
        connection: &mut PgConnection,
        schema: &str,
        set: MigrationSet,
    ) -> Result<Self, Failure> {
        let applied = read_applied(connection, schema, set).await?;
        Self::read_schema(connection, schema, set, applied).await
    }

    /// As [`read`](Self::read), where there is no table of migrations yet.
    pub(super) async fn read_unrecorded(
        connection: &mut PgConnection,
        schema: &str,
    ) -> Result<Self, Failure> {
        Self::read_schema(connection, schema, MigrationSet::Tables, Vec::new()).await
    }

    async fn read_schema(
        connection: &mut PgConnection,
        schema: &str,
        set: MigrationSet,
        applied: Vec<Applied>,
    ) -> Result<Self, Failure> {
        let tables = set.tables();
        let seen = read_indexes(connection, schema, &tables).await?;
        let constraints = sqlx::query_scalar!(
            "SELECT conname::TEXT AS \"name!\" FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid \
             JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1 AND relname = ANY($2)",
            schema,
            &tables,
        )
        .fetch_all(&mut *connection)
        .await?;
        // A concurrent build holds this lock on the table from its first transaction to its last. VACUUM and ANALYZE take
        // it too, and make way.
        let busy_tables = sqlx::query_scalar!(
            "SELECT relname::TEXT AS \"name!\" FROM pg_locks JOIN pg_class ON pg_class.oid = relation \
             JOIN pg_namespace ON pg_namespace.oid = relnamespace \
             JOIN pg_database ON pg_database.oid = database \
             WHERE datname = current_database() AND locktype = 'relation' AND mode = 'ShareUpdateExclusiveLock' \
             AND granted AND pid <> pg_backend_pid() AND nspname = $1 AND relname = ANY($2) \
             AND pid NOT IN (SELECT pid FROM pg_stat_progress_vacuum WHERE pid IS NOT NULL) \
             AND pid NOT IN (SELECT pid FROM pg_stat_progress_analyze WHERE pid IS NOT NULL)",
            schema,
            &tables,
        )
        .fetch_all(&mut *connection)
        .await?;
        // A build gives its lock back before its last transaction, which marks the index as valid, has ended.
        let running_transactions = sqlx::query_scalar!(
            "SELECT transactionid::TEXT AS \"id!\" FROM pg_locks \
             WHERE locktype = 'transactionid' AND granted AND pid <> pg_backend_pid()"
        )
        .fetch_all(&mut *connection)
        .await?;
        let mut indexes = read_indexes(connection, schema, &tables).await?;
        for (name, index) in &mut indexes {
            let is_new = seen.get(name).is_none_or(|seen| seen.oid != index.oid);
            index.is_changing = is_new || running_transactions.contains(&index.xmax);
        }
        Ok(Self {
            set,
            applied,
            indexes,
            constraints: constraints.into_iter().collect(),
            busy_tables: busy_tables.into_iter().collect(),
        })
    }

    /// `None` if the schema is up to date.
    pub(super) fn next_step(&self) -> Result<Option<Step>, Failure> {
        self.check_applied()?;
        if let Some((name, index)) = self.invalid_indexes().next() {
            return Ok(Some(self.step_for_invalid(name, index)?));
        }
        Ok(self
            .pending()
            .next()
            .map(|migration| self.step_for(migration)))
    }

    /// All steps that are left, as the schema is now.
    pub(super) fn steps(&self) -> Result<Vec<Step>, Failure> {
        self.check_applied()?;
        let mut steps = Vec::new();
        for (name, index) in self.invalid_indexes() {
            steps.push(self.step_for_invalid(name, index)?);
        }
        let is_rebuilt = |migration: &Migration| {
            let name = index_name(migration);
            self.invalid_indexes().any(|(invalid, _)| *invalid == name)
        };
        let pending = self.pending().filter(|migration| !is_rebuilt(migration));
        steps.extend(pending.map(|migration| self.step_for(migration)));
        Ok(steps)
    }

    fn pending(&self) -> impl Iterator<Item = &'static Migration> {
        let migrations = self.set.migrations();
        migrations.filter(|migration| !self.is_applied(migration.version))
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
                None if is_breaking(&applied.description) => {
                    return Err(MigrateError::VersionMissing(applied.version));
                }
                Some(known) if known.checksum != applied.checksum => {
                    return Err(MigrateError::VersionMismatch(applied.version));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn invalid_indexes(&self) -> impl Iterator<Item = (&String, &Index)> {
        let indexes = self.indexes.iter();
        indexes.filter(|(name, index)| !index.is_valid && expected::is_index(name))
    }

    fn step_for_invalid(&self, name: &String, index: &Index) -> Result<Step, Failure> {
        if index.is_changing || self.busy_tables.contains(&index.table) {
            return Ok(Step::Wait);
        }
        let undo = MIGRATOR.iter().find(|migration| {
            migration.migration_type.is_down_migration() && index_name(migration) == *name
        });
        match undo {
            Some(undo) => Ok(Step::Drop(undo)),
            None => Err(Failure::Refused(format!(
                "index {name} on {} is INVALID: REINDEX INDEX CONCURRENTLY {name}",
                index.table
            ))),
        }
    }

    fn has_constraints_of(&self, migration: &Migration) -> bool {
        let mut names = constraints_of(migration).peekable();
        names.peek().is_some() && names.all(|name| self.constraints.contains(name))
    }

    fn step_for(&self, migration: &'static Migration) -> Step {
        let name = index_name(migration);
        let is_done = if drops_index(migration) {
            let index = name.strip_prefix("drop_").unwrap_or(&name);
            !self.indexes.contains_key(index)
        } else {
            self.indexes.contains_key(&name)
                || is_dropped_later(&name)
                || self.has_constraints_of(migration)
        };
        // Two builds on one table wait for each other: a deadlock.
        let builds_on = expected::all_parts()
            .find_map(|part| (part.kind == "index" && part.name == name).then_some(part.table));
        if is_done {
            Step::Record(migration)
        } else if builds_on.is_some_and(|table| self.busy_tables.contains(table)) {
            Step::Wait
        } else {
            Step::Apply(migration)
        }
    }
}

/// What is recorded of a set: in its own table, or in that of [`MIGRATOR`], which records all sets in one.
async fn read_applied(
    connection: &mut PgConnection,
    schema: &str,
    set: MigrationSet,
) -> Result<Vec<Applied>, Failure> {
    let mut applied = sqlx::query_as!(
        Applied,
        "SELECT version, description, checksum, success FROM _better_auth_migrations ORDER BY version"
    )
    .fetch_all(&mut *connection)
    .await?;
    if set == MigrationSet::Tables {
        return Ok(applied);
    }
    applied.retain(|applied| set.contains(applied.version));
    if is_recorded(connection, schema, set).await? {
        let records = set.records();
        let dirty = connection.dirty_version(records).await?;
        for recorded in connection.list_applied_migrations(records).await? {
            applied.push(Applied {
                version: recorded.version,
                // Those of a newer version are ignored.
                description: String::new(),
                checksum: recorded.checksum.into_owned(),
                success: dirty != Some(recorded.version),
            });
        }
    }
    Ok(applied)
}

/// The indexes on our tables, by name.
async fn read_indexes(
    connection: &mut PgConnection,
    schema: &str,
    tables: &[String],
) -> Result<BTreeMap<String, Index>, Failure> {
    let indexes = sqlx::query!(
        "SELECT index.oid AS \"oid!\", index.relname::TEXT AS \"name!\", indexed.relname::TEXT AS \"table!\", \
         indisvalid AS is_valid, pg_index.xmax::TEXT AS \"xmax!\" FROM pg_index \
         JOIN pg_class AS index ON index.oid = indexrelid JOIN pg_class AS indexed ON indexed.oid = indrelid \
         JOIN pg_namespace ON pg_namespace.oid = indexed.relnamespace \
         WHERE nspname = $1 AND indexed.relname = ANY($2)",
        schema,
        tables,
    )
    .fetch_all(connection)
    .await?;
    let indexes = indexes.into_iter().map(|row| {
        let index = Index {
            oid: row.oid,
            table: row.table,
            is_valid: row.is_valid,
            xmax: row.xmax,
            is_changing: false,
        };
        (row.name, index)
    });
    Ok(indexes.collect())
}

/// The constraints that a migration names.
fn constraints_of(migration: &Migration) -> impl Iterator<Item = &'static str> {
    let constraints = expected::all_parts().filter(|part| part.kind == "constraint");
    let names = constraints.map(|constraint| constraint.name);
    names.filter(move |name| made_by(name).is_some_and(|maker| maker == migration))
}

fn is_dropped_later(index: &str) -> bool {
    MIGRATOR.iter().any(|migration| {
        migration.migration_type.is_up_migration()
            && index_name(migration).strip_prefix("drop_") == Some(index)
    })
}
