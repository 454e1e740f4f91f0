//! Which stores are migrated: asked before the first statement of a store is sent, and remembered once it is so.

use std::sync::atomic::{AtomicU32, Ordering};

use super::super::error::{Failure, Operation};
use super::super::repository::Repository;
use super::migration_set::MigrationSet;
use super::migrations::MIGRATIONS_TABLE;
use crate::adapters::Store;
use crate::{AuthError, AuthResult};

/// The stores that are known to be migrated, a bit for each.
#[derive(Default)]
pub(in super::super) struct MigratedStores(AtomicU32);

impl MigratedStores {
    fn contains(&self, store: Store) -> bool {
        self.0.load(Ordering::Relaxed) & bit(store) != 0
    }

    fn add(&self, store: Store) {
        self.0.fetch_or(bit(store), Ordering::Relaxed);
    }
}

fn bit(store: Store) -> u32 {
    1 << store as u32
}

impl Repository {
    /// Fails if the store is not migrated: tables with these names may be the application's.
    pub(in super::super) async fn require(
        &self,
        store: Store,
        operation: &'static str,
    ) -> AuthResult<()> {
        if self.is_migrated(store, operation).await? {
            return Ok(());
        }
        let operation = store.not_migrated();
        Err(AuthError::Unsupported { operation })
    }

    /// Whether the store is migrated. Once it is so, the answer takes no round trip; in a transaction, no answer aborts it.
    pub(in super::super) async fn is_migrated(
        &self,
        store: Store,
        operation: &'static str,
    ) -> AuthResult<bool> {
        let known = &self.connections.migrated_stores;
        if known.contains(store) {
            return Ok(true);
        }
        let operation = Operation::read(operation);
        // Unboxed, it would be part of every operation's future.
        let found = Box::pin(self.look_for(store, operation)).await;
        let is_migrated = found.map_err(|failure| self.error(failure, operation))?;
        if is_migrated {
            known.add(store);
        }
        Ok(is_migrated)
    }

    /// The tables that statements find have to be in the schema in which the store's migrations are recorded, with all
    /// columns and functions. [`MIGRATOR`](super::MIGRATOR) records them with those of all tables.
    async fn look_for(&self, store: Store, operation: Operation) -> Result<bool, Failure> {
        let set = MigrationSet::Of(store);
        let columns = set.parts().filter(|part| part.kind == "column");
        let columns = columns.map(|column| (column.table.to_owned(), column.name.to_owned()));
        let (tables, columns): (Vec<_>, Vec<_>) = columns.unzip();
        let functions = set.parts().filter(|part| part.kind == "function");
        let functions: Vec<_> = functions.map(|function| function.name.to_owned()).collect();
        let found = self.try_run(operation, |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH found AS (SELECT (SELECT relnamespace FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid \
                     WHERE pg_class.oid = to_regclass(needed.of_table) AND attname = needed.name AND NOT attisdropped) \
                     AS place FROM unnest($1::TEXT[], $2::TEXT[]) AS needed (of_table, name)), \
                     ours AS (SELECT min(place) AS place FROM found \
                     HAVING bool_and(place IS NOT NULL) AND min(place) = max(place)) \
                     SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = place AND relname = $4) AS \"is_recorded!\", \
                     COALESCE((SELECT relnamespace = place AND has_table_privilege(pg_class.oid, 'SELECT') \
                     FROM pg_class WHERE pg_class.oid = to_regclass($5)), FALSE) AS \"may_be_recorded!\" FROM ours \
                     WHERE (SELECT count(DISTINCT proname) FROM pg_proc \
                     WHERE pronamespace = place AND proname = ANY ($3)) = cardinality($3::TEXT[])",
                    &tables,
                    &columns,
                    &functions,
                    set.records(),
                    MIGRATIONS_TABLE,
                )
                .fetch_optional(connection),
            )
        });
        let found = found.await?;
        match found {
            Some(found) if found.is_recorded => Ok(true),
            Some(found) if found.may_be_recorded => self.is_in_records_of_all(set, operation).await,
            _ => Ok(false),
        }
    }

    async fn is_in_records_of_all(
        &self,
        set: MigrationSet,
        operation: Operation,
    ) -> Result<bool, Failure> {
        let versions: Vec<i64> = set.migrations().map(|it| it.version).collect();
        self.try_run(operation, |connection| {
            Box::pin(
                sqlx::query_scalar!(
                    "SELECT EXISTS (SELECT FROM _better_auth_migrations WHERE version = ANY ($1) AND success) \
                     AS \"is_recorded!\"",
                    &versions,
                )
                .fetch_one(connection),
            )
        })
        .await
    }
}
