//! Which stores are migrated: those that the application asks for, and those whose tables another program has left. A table
//! of another kind with the name of one of theirs is the application's own, and stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::migration_set::MigrationSet;
use super::migrations::Failure;
use crate::adapters::Store;

/// All stores, with the tables by which one of another program's is recognised.
const STORES: [(Store, &[&str]); 1] = [(
    Store::Organizations,
    &["organization", "member", "invitation"],
)];

/// A column of a table by the name of one of ours.
struct Column {
    table: String,
    name: String,
    of_type: String,
    /// Whether every new row has to name a value.
    is_required: bool,
}

/// The stores to migrate in a schema. Fails, with the name, if a table of a store that is asked for is the application's own.
pub(super) async fn stores_to_migrate(
    connection: &mut PgConnection,
    schema: &str,
    asked: &[Store],
) -> Result<Vec<MigrationSet>, Failure> {
    let mut sets = Vec::new();
    for (store, recognised_by) in STORES {
        let set = MigrationSet::Of(store);
        let tables = read_tables(connection, schema, &set.tables()).await?;
        let is_asked = asked.contains(&store);
        if is_asked && !is_recorded(connection, schema, set).await? {
            refuse_foreign(set, schema, &tables)?;
        }
        let is_left = |table: &&str| {
            let columns = tables.get(*table);
            columns.is_some_and(|columns| mismatch(set, table, columns).is_none())
        };
        if is_asked || recognised_by.iter().all(is_left) {
            sets.push(set);
        }
    }
    Ok(sets)
}

async fn read_tables(
    connection: &mut PgConnection,
    schema: &str,
    tables: &[String],
) -> Result<BTreeMap<String, Vec<Column>>, Failure> {
    let columns = sqlx::query_as!(
        Column,
        "SELECT relname::TEXT AS \"table!\", COALESCE(attname, '')::TEXT AS \"name!\", \
         CASE WHEN relkind IN ('r', 'p') THEN COALESCE(format_type(atttypid, NULL), '') ELSE 'no table' END \
         AS \"of_type!\", \
         COALESCE(attnotnull AND NOT atthasdef AND attidentity = '', FALSE) AS \"is_required!\" \
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
         LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped \
         WHERE nspname = $1 AND relname = ANY($2) AND relkind IN ('r', 'p', 'v', 'm', 'f')",
        schema,
        tables,
    );
    let mut found: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for column in columns.fetch_all(connection).await? {
        found.entry(column.table.clone()).or_default().push(column);
    }
    Ok(found)
}

/// Whether the schema has migrations of the set.
pub(super) async fn is_recorded(
    connection: &mut PgConnection,
    schema: &str,
    set: MigrationSet,
) -> Result<bool, Failure> {
    let is_recorded = sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
         WHERE nspname = $1 AND relname = $2) AS \"is_recorded!\"",
        schema,
        set.records(),
    );
    Ok(is_recorded.fetch_one(connection).await?)
}

fn refuse_foreign(
    set: MigrationSet,
    schema: &str,
    tables: &BTreeMap<String, Vec<Column>>,
) -> Result<(), Failure> {
    for (table, columns) in tables {
        if let Some(reason) = mismatch(set, table, columns) {
            return Err(Failure::Refused(format!(
                "schema {schema} has a table {table} of another kind ({reason}), and nothing was changed: rename it, let \
                 search_path name a schema for our tables, or leave the store out of .stores(…)"
            )));
        }
    }
    Ok(())
}

/// Why a table is not the one that the store needs, or can be made.
fn mismatch(set: MigrationSet, table: &str, columns: &[Column]) -> Option<String> {
    let expected = set.parts();
    let expected = expected.filter(|part| part.kind == "column" && part.table == table);
    let expected: BTreeMap<&str, &str> =
        expected.map(|part| (part.name, part.definition)).collect();
    let found: BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    // Those that have a default can be added.
    let needed = expected.iter().filter(|(_, definition)| {
        definition.contains("NOT NULL") && !definition.contains("DEFAULT")
    });
    if let Some((name, _)) = needed.into_iter().find(|(name, _)| !found.contains(*name)) {
        return Some(format!("it has no column {name}"));
    }
    columns.iter().find_map(|column| {
        let (name, of_type) = (&column.name, &column.of_type);
        match expected.get(name.as_str()) {
            Some(definition) if !definition.starts_with(of_type.as_str()) => {
                Some(format!("its column {name} is {of_type}"))
            }
            None if column.is_required => {
                Some(format!("its column {name} is NOT NULL without a default"))
            }
            _ => None,
        }
    })
}
