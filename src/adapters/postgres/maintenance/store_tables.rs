//! Which stores are migrated: those that the application asks for, and those whose tables another program has left. A table
//! of another kind with the name of one of theirs is the application's own, and stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::migration_set::MigrationSet;
use super::migrations::Failure;
use crate::adapters::Store;

/// All stores, with the tables that better-auth-rs 0.10 has of theirs.
const STORES: [(Store, &[&str]); 7] = [
    (
        Store::Organizations,
        &["organization", "member", "invitation"],
    ),
    (Store::RateLimits, &[]),
    (Store::SigningKeys, &[]),
    (Store::TwoFactor, &["two_factor"]),
    (Store::Passkeys, &["passkeys"]),
    (Store::DeviceCodes, &[]),
    (Store::ApiKeys, &["api_keys"]),
];
/// The columns that these lack, and get.
const ADDED: [(&str, &str); 10] = [
    ("organization", "revision"),
    ("invitation", "team_id"),
    ("two_factor", "verified"),
    ("two_factor", "failed_verification_count"),
    ("two_factor", "locked_until"),
    ("two_factor", "last_used_step"),
    ("passkeys", "aaguid"),
    ("api_keys", "organization_id"),
    ("api_keys", "config_id"),
    ("api_keys", "rate_limit_window_started_at"),
];
/// The columns that are narrower there, or may be NULL, with their types.
const WIDENED: [(&str, &str, &str); 3] = [
    ("api_keys", "refill_interval", "integer"),
    ("api_keys", "rate_limit_time_window", "integer"),
    ("api_keys", "request_count", "integer"),
];

const ORGANIZATIONS: MigrationSet = MigrationSet::Of(Store::Organizations);

/// A column of a table by the name of one of ours.
struct Column {
    table: String,
    name: String,
    of_type: String,
    is_not_null: bool,
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
    for (store, of_older_version) in STORES {
        let set = MigrationSet::Of(store);
        let tables = read_tables(connection, schema, &set.tables()).await?;
        let foreign = match foreign(set, schema, &tables, of_older_version) {
            None => hidden(connection, schema, &set.tables()).await?,
            foreign => foreign,
        };
        let is_asked = asked.contains(&store);
        let is_of_older_version = !of_older_version.is_empty()
            && of_older_version
                .iter()
                .all(|table| tables.contains_key(*table));
        let is_wanted = match foreign {
            Some(reason) if is_asked => {
                if !is_recorded(connection, schema, set).await? {
                    return Err(Failure::Refused(format!(
                        "{reason}, and nothing was changed: rename it, let search_path name a schema for our tables, or \
                         leave the store out of .stores(…)"
                    )));
                }
                true
            }
            Some(_) => false,
            None if is_asked => true,
            // Organizations own keys.
            None if store == Store::ApiKeys && !sets.contains(&ORGANIZATIONS) => false,
            None => is_of_older_version && may_read_records(connection, schema, set).await?,
        };
        if is_wanted {
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
         AS \"of_type!\", COALESCE(attnotnull, FALSE) AS \"is_not_null!\", \
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

/// Whether this role may read which migrations of the set there are, if that is recorded. An instance that does not ask for
/// the store needs no privilege for it: who migrates the store has it.
async fn may_read_records(
    connection: &mut PgConnection,
    schema: &str,
    set: MigrationSet,
) -> Result<bool, Failure> {
    let may_read = sqlx::query_scalar!(
        "SELECT COALESCE(bool_and(has_table_privilege(pg_class.oid, 'SELECT')), TRUE) AS \"may_read!\" \
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1 AND relname = $2",
        schema,
        set.records(),
    );
    Ok(may_read.fetch_one(connection).await?)
}

/// The application's own table by the name of one of ours, and how that shows.
fn foreign(
    set: MigrationSet,
    schema: &str,
    tables: &BTreeMap<String, Vec<Column>>,
    of_older_version: &[&str],
) -> Option<String> {
    tables.iter().find_map(|(table, columns)| {
        let may_lack: Vec<&str> = ADDED
            .iter()
            .filter(|(of_table, _)| of_table == table && of_older_version.contains(of_table))
            .map(|(_, column)| *column)
            .collect();
        let reason = mismatch(set, table, columns, &may_lack)?;
        Some(format!(
            "schema {schema} has a table {table} of another kind ({reason})"
        ))
    })
}

/// A relation by the name of one of ours in a schema that `search_path` has before ours: statements would go there.
async fn hidden(
    connection: &mut PgConnection,
    schema: &str,
    tables: &[String],
) -> Result<Option<String>, Failure> {
    let hiding = sqlx::query!(
        "SELECT nspname::TEXT AS \"schema!\", relname::TEXT AS \"table!\" \
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
         WHERE nspname = ANY (current_schemas(FALSE)) AND relname = ANY ($2) AND relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND array_position(current_schemas(FALSE), nspname) < array_position(current_schemas(FALSE), $1::TEXT::NAME) \
         ORDER BY 1, 2 LIMIT 1",
        schema,
        tables,
    );
    let hiding = hiding.fetch_optional(connection).await?;
    Ok(hiding.map(|hiding| {
        format!(
            "schema {} has a table {}, and search_path names it before schema {schema}",
            hiding.schema, hiding.table
        )
    }))
}

/// Why a table is not the one that the store needs, or can be made.
fn mismatch(
    set: MigrationSet,
    table: &str,
    columns: &[Column],
    may_lack: &[&str],
) -> Option<String> {
    let expected = set.parts();
    let expected = expected.filter(|part| part.kind == "column" && part.table == table);
    let expected: BTreeMap<&str, &str> =
        expected.map(|part| (part.name, part.definition)).collect();
    let found: BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut needed = expected.keys().filter(|name| !may_lack.contains(name));
    if let Some(name) = needed.find(|name| !found.contains(*name)) {
        return Some(format!("it has no column {name}"));
    }
    columns.iter().find_map(|column| {
        let (name, of_type) = (&column.name, &column.of_type);
        if WIDENED.contains(&(table, name, of_type)) {
            return None;
        }
        match expected.get(name.as_str()) {
            Some(definition) if !definition.starts_with(of_type.as_str()) => {
                Some(format!("its column {name} is {of_type}"))
            }
            Some(definition) if definition.contains("NOT NULL") && !column.is_not_null => {
                Some(format!("its column {name} may be NULL"))
            }
            None if column.is_required => {
                Some(format!("its column {name} is NOT NULL without a default"))
            }
            _ => None,
        }
    })
}
