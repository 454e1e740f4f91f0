//! How far a database is migrated, and what to do next.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use sqlx::PgConnection;
use sqlx::migrate::{MigrateError, Migration};
use sqlx::postgres::types::Oid;

use super::super::connection::StatementFuture;
use super::super::server_error::sqlstate;
use super::super::sqlstate::UNDEFINED_TABLE;
use super::expected;
use super::migration_set::MigrationSet;
use super::migrations::{Failure, MIGRATOR, drops_index, index_name, is_breaking, made_by};
use super::schema_place::Place;
use super::store_tables::is_recorded;
use crate::adapters::Store;

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
    fn of(applied: &[Applied], sets: &[MigrationSet]) -> Self {
        let versions = applied.iter().filter(|applied| applied.success);
        let applied: BTreeSet<i64> = versions.map(|applied| applied.version).collect();
        let wanted = sets.iter().flat_map(|set| set.migrations());
        let wanted: BTreeSet<i64> = wanted.map(|migration| migration.version).collect();
        let known: BTreeSet<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
        Self {
            applied: applied.intersection(&wanted).count(),
            pending: wanted.difference(&applied).count(),
            unknown: applied.difference(&known).count(),
        }
    }
}

/// Reads the tables of migrations by `search_path`: that of all tables, and those of the stores that there are.
pub(in super::super) fn read_migration_counts<'c>(
    connection: &'c mut PgConnection,
    stores: &[Store],
) -> StatementFuture<'c, MigrationCounts> {
    let stores = stores.iter().copied().map(MigrationSet::Of);
    let sets: Vec<_> = iter::once(MigrationSet::Tables).chain(stores).collect();
    Box::pin(async move {
        let mut applied = Vec::new();
        for set in &sets {
            match read_records(connection, *set).await {
                Ok(recorded) => applied.extend(recorded),
                Err(error) if sqlstate(&error) == Some(UNDEFINED_TABLE) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(MigrationCounts::of(&applied, &sets))
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
    /// Reads the tables of migrations by `search_path`, and the indexes of the schema.
    pub(super) async fn read(
        connection: &mut PgConnection,
        place: &Place,
        set: MigrationSet,
    ) -> Result<Self, Failure> {
        let applied = read_applied(connection, place, set).await?;
        let schema = &place.schema;
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
    place: &Place,
    set: MigrationSet,
) -> Result<Vec<Applied>, Failure> {
    let mut applied = Vec::new();
    if place.is_recorded {
        applied = read_records(connection, MigrationSet::Tables).await?;
    }
    if set == MigrationSet::Tables {
        return Ok(applied);
    }
    applied.retain(|applied| set.contains(applied.version));
    if is_recorded(connection, &place.schema, set).await? {
        applied.extend(read_records(connection, set).await?);
    }
    Ok(applied)
}

/// Reads the table in which a set is recorded.
async fn read_records(
    connection: &mut PgConnection,
    set: MigrationSet,
) -> sqlx::Result<Vec<Applied>> {
    macro_rules! read {
        ($table:literal) => {
            sqlx::query_as!(
                Applied,
                "SELECT version, description, checksum, success FROM "
                    + $table
                    + " ORDER BY version"
            )
            .fetch_all(connection)
            .await
        };
    }
    match set {
        MigrationSet::Tables => read!("_better_auth_migrations"),
        MigrationSet::Of(Store::Organizations) => read!("_better_auth_organizations_migrations"),
        MigrationSet::Of(Store::RateLimits) => read!("_better_auth_rate_limits_migrations"),
        MigrationSet::Of(Store::SigningKeys) => read!("_better_auth_signing_keys_migrations"),
        MigrationSet::Of(Store::TwoFactor) => read!("_better_auth_two_factor_migrations"),
        MigrationSet::Of(Store::Passkeys) => read!("_better_auth_passkeys_migrations"),
        MigrationSet::Of(Store::DeviceCodes) => read!("_better_auth_device_codes_migrations"),
        MigrationSet::Of(Store::ApiKeys) => read!("_better_auth_api_keys_migrations"),
    }
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

#[cfg(test)]
mod tests {
    use super::{MIGRATOR, constraints_of, made_by};

    #[test]
    fn each_constraint_is_of_the_migration_that_makes_it() {
        let mut constraints = 0;
        for migration in MIGRATOR.iter() {
            for name in constraints_of(migration) {
                assert_eq!(made_by(name), Some(migration), "{name}");
                constraints += 1;
            }
        }
        assert!(constraints > 5, "{constraints}");
    }
}
