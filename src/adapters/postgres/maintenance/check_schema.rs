//! `check_schema`: compares the database with what the statements need.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use super::super::SqlxAdapter;
use super::super::error::{Operation, unfinished_migration};
use super::super::session::PLAIN_TOKEN;
use super::super::session_token::SessionTokens;
use super::expected::{self, Part};
use super::foreign_tables::{Neighbours, refusal_by_search_path};
use super::migration_set::MigrationSet;
use super::migrations::{MIGRATIONS_TABLE, MIGRATOR, is_breaking, made_by};
use super::schema_place::wrong_encoding;
use super::session_cache_triggers::{TriggerState, read_triggers};
use crate::{AuthError, AuthResult};

const NAME: &str = "check_schema";

/// The result of [`SqlxAdapter::check_schema`] on a schema that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaReport {
    /// Indexes on our tables that cost time and space for nothing, as another index does the same work. `DROP INDEX
    /// CONCURRENTLY` removes them. Programs that used these tables before leave such indexes behind: `idx_users_email`,
    /// say, beside the index of `UNIQUE (email)`. So does an interrupted `REINDEX CONCURRENTLY`: `users_email_key_ccnew`,
    /// which is INVALID.
    pub removable_indexes: Vec<String>,
    /// Whether a session's token is stored as it is. [`SessionTokens::HashedOnly`] needs that there is none.
    pub plain_session_tokens: bool,
}

impl SqlxAdapter {
    /// Checks in two round trips, and one more if there is a session cache, that the database has what the statements need: the migrations, the columns with their
    /// types, the constraints, the indexes and the session cache's triggers. Further columns, tables, constraints and indexes are ignored, and unique
    /// indexes of the right names are as good as unique constraints. The answer does not depend on the session's
    /// settings.
    ///
    /// # Errors
    ///
    /// [`AuthError::Database`] that names everything that is wrong, with table and column, and what to do: the database
    /// is not migrated, or was migrated by a newer version of this crate; a session's token is stored as it is although the
    /// adapter has [`SessionTokens::HashedOnly`]; a column, a constraint or an index is missing
    /// or was altered; row level security hides rows from this role; the encoding is not UTF8; the tables are in several
    /// schemas. [`AuthError::Unavailable`] if the database does not answer.
    pub async fn check_schema(&self) -> AuthResult<SchemaReport> {
        let connections = &self.repository.connections;
        connections.observe(NAME, self.compare_schema()).await
    }

    async fn compare_schema(&self) -> AuthResult<SchemaReport> {
        let database = &self.repository;
        let stores = database.stores.iter().copied().map(MigrationSet::Of);
        let sets: Vec<_> = iter::once(MigrationSet::Tables).chain(stores).collect();
        let tables: Vec<String> = sets.iter().flat_map(|set| set.tables()).collect();
        let rows = database.try_run(Operation::read(NAME), |connection| {
            Box::pin(
                sqlx::query_file!("src/adapters/postgres/maintenance/schema.sql", &tables)
                    .fetch_all(connection),
            )
        });
        let rows = match rows.await {
            Ok(rows) => rows,
            Err(failure) => {
                if failure.is_missing_table() {
                    self.check_place().await?;
                }
                return Err(database.error(failure, Operation::read(NAME)));
            }
        };
        let mut found = Found::default();
        for row in rows {
            found.note(&row.kind, row.table, row.name, row.definition);
        }
        let mut wrong = found.wrong(&sets);
        if database.session_cache.is_some() {
            let triggers = read_triggers(&database.connections).await;
            let triggers =
                triggers.map_err(|failure| database.error(failure, Operation::read(NAME)))?;
            wrong.extend(TriggerState::complaint(triggers.as_ref()));
        }
        // A table that is not as it should be may not be asked.
        let plain_session_tokens =
            wrong.is_empty() && database.has_plain_session_tokens(NAME).await?;
        if plain_session_tokens
            && database.connections.settings.session_tokens == SessionTokens::HashedOnly
        {
            wrong.push(PLAIN_TOKEN.to_owned());
        }
        if wrong.is_empty() {
            return Ok(SchemaReport {
                removable_indexes: found.removable_indexes(),
                plain_session_tokens,
            });
        }
        if !found.is_migrated() {
            self.check_place().await?;
        }
        Err(self.schema_error(&wrong.join("; ")))
    }

    /// Fails if tables of another program are where ours would be.
    async fn check_place(&self) -> AuthResult<()> {
        let refusal = self.repository.run(Operation::read(NAME), |connection| {
            Box::pin(refusal_by_search_path(connection, Neighbours::Unrelated))
        });
        match refusal.await? {
            Some(reason) => Err(self.schema_error(&reason)),
            None => Ok(()),
        }
    }

    fn schema_error(&self, what: &str) -> AuthError {
        let server = &self.repository.connections.server;
        AuthError::Database {
            message: format!("{NAME} on {server}: {what}"),
            source: None,
        }
    }
}

/// What the database holds.
#[derive(Default)]
struct Found {
    migrations: BTreeMap<i64, String>,
    /// Kind, table and name to definition.
    parts: BTreeMap<(String, String, String), String>,
    /// Table to schema.
    schemas: BTreeMap<String, String>,
    /// Pairs of an index and one that does the same work.
    covered_indexes: Vec<(String, String)>,
    /// What an interrupted REINDEX has left.
    left_over_indexes: Vec<String>,
    /// What needs no comparison.
    wrong: Vec<String>,
}

impl Found {
    fn note(&mut self, kind: &str, table: String, name: String, definition: String) {
        match kind {
            "migration" => {
                let version = name.parse::<i64>().ok();
                self.migrations.extend(version.zip(Some(definition)));
            }
            "unfinished migration" => {
                self.wrong.push(unfinished_migration(&name));
                let version = name.parse::<i64>().ok();
                self.migrations.extend(version.zip(Some(definition)));
            }
            "schema" => drop(self.schemas.insert(table, name)),
            "covered index" => self.covered_indexes.push((name, definition)),
            "left-over index" => self.left_over_indexes.push(name),
            "encoding" => self.wrong.extend(wrong_encoding(&name)),
            "row security" => self.wrong.push(format!(
                "row level security on {table} hides rows from role {name}: ALTER ROLE {name} BYPASSRLS, or CREATE \
                 POLICY … ON {table} TO {name} USING (true)"
            )),
            _ => drop(self.parts.insert((kind.to_owned(), table, name), definition)),
        }
    }

    /// What is wrong, and what to do about it.
    fn wrong(&self, sets: &[MigrationSet]) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        wrong.extend(self.wrong_migrations());
        wrong.extend(self.wrong_schemas());
        for set in sets {
            wrong.extend(self.missing_tables(*set));
        }
        // A missing table is named once, without its parts, and what a migration is still to make is not missing.
        let parts = sets.iter().flat_map(|set| set.parts());
        let parts = parts.filter(|part| self.schemas.contains_key(part.table));
        wrong.extend(parts.filter_map(|part| match part.kind {
            "column" => self.wrong_column(&part),
            _ if !self.has_run(&part) => None,
            "constraint" => self.wrong_constraint(&part),
            "function" => self.wrong_function(&part),
            _ => self.wrong_index(&part),
        }));
        wrong
    }

    fn missing_tables(&self, set: MigrationSet) -> Vec<String> {
        let mut tables = set.tables();
        tables.retain(|table| !self.schemas.contains_key(table));
        if set != MigrationSet::Tables {
            let call =
                |table| format!("table {table} of a store is missing: call SqlxAdapter::migrate()");
            return tables.into_iter().map(call).collect();
        }
        let mut wrong = Vec::new();
        for table in tables {
            wrong.push(format!(
                "table {table} is missing: restore it from a backup; or, if nothing is to be kept, drop all of our \
                 tables and {MIGRATIONS_TABLE} and call SqlxAdapter::migrate()"
            ));
        }
        wrong
    }

    fn part(&self, kind: &str, part: &Part) -> Option<&str> {
        let key = (kind.to_owned(), part.table.to_owned(), part.name.to_owned());
        self.parts.get(&key).map(String::as_str)
    }

    /// Whether a table has a constraint of this definition, by any name.
    fn has_constraint(&self, table: &str, definition: &str) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|((kind, of_table, _), found)| {
            kind == "constraint" && of_table == table && found == definition
        })
    }

    /// Whether the migration that makes the part has run. Those of stores are recorded elsewhere.
    fn has_run(&self, part: &Part) -> bool {
        MigrationSet::of_table(part.table) != MigrationSet::Tables
            || made_by(part.name)
                .is_none_or(|made_by| self.migrations.contains_key(&made_by.version))
    }

    /// Whether every migration that is known here has run.
    fn is_migrated(&self) -> bool {
        let mut known = MigrationSet::Tables.migrations();
        known.all(|migration| self.migrations.contains_key(&migration.version))
    }

    fn wrong_migrations(&self) -> Vec<String> {
        let list = |versions: Vec<i64>| {
            let versions: Vec<String> = versions.iter().map(i64::to_string).collect();
            (!versions.is_empty()).then(|| versions.join(", "))
        };
        let newer = self.unknown_migrations();
        let newer = newer.filter(|(_, description)| is_breaking(description));
        let newer = list(newer.map(|(version, _)| version).collect());
        let newer = newer.map(|newer| {
            format!(
                "migrated by a newer version of better-auth (migration {newer} is unknown here): update this program"
            )
        });
        let tables = MigrationSet::Tables.migrations();
        let mut pending: Vec<i64> = tables.map(|migration| migration.version).collect();
        pending.retain(|version| !self.migrations.contains_key(version));
        let pending = list(pending).map(|pending| {
            format!(
                "not migrated, or not to the end (migration {pending} has not run): call SqlxAdapter::migrate()"
            )
        });
        newer.into_iter().chain(pending).collect()
    }

    /// Those of a newer version.
    fn unknown_migrations(&self) -> impl Iterator<Item = (i64, &str)> {
        let is_known = |version| MIGRATOR.iter().any(|known| known.version == version);
        let migrations = self.migrations.iter();
        migrations
            .filter(move |(version, _)| !is_known(**version))
            .map(|(version, description)| (*version, description.as_str()))
    }

    /// Whether a newer version has dropped an index that this one uses.
    fn was_dropped_by_newer(&self, index: &str) -> bool {
        self.unknown_migrations().any(|(_, description)| {
            description.replace(' ', "_").strip_prefix("drop_") == Some(index)
        })
    }

    /// All tables have to be where the migrations are recorded.
    fn wrong_schemas(&self) -> Option<String> {
        let recorded = self.schemas.get(MIGRATIONS_TABLE)?;
        let (table, schema) = self
            .schemas
            .iter()
            .find(|(_, schema)| *schema != recorded)?;
        Some(format!(
            "the migrations are recorded in schema {recorded}, but search_path finds {table} in schema {schema}: name \
             only the schema of our tables in search_path"
        ))
    }

    fn wrong_column(&self, part: &Part) -> Option<String> {
        let &Part {
            table,
            name,
            definition: expected,
            ..
        } = part;
        match self.part("column", part) {
            None => Some(format!(
                "column {table}.{name} is missing: ALTER TABLE {table} ADD COLUMN {name} {expected}"
            )),
            Some(found) if !column_fits(found, expected) => Some(format!(
                "column {table}.{name} is {found}, not {expected}: ALTER TABLE {table} ALTER COLUMN {name} …"
            )),
            Some(_) => None,
        }
    }

    fn wrong_constraint(&self, part: &Part) -> Option<String> {
        let &Part {
            table,
            name,
            definition: expected,
            ..
        } = part;
        // As the migration does it: rows that another program has stored do not stop it.
        let not_valid = if expected.starts_with("CHECK") {
            " NOT VALID"
        } else {
            ""
        };
        let add = format!("ALTER TABLE {table} ADD CONSTRAINT {name} {expected}{not_valid}");
        // The index of a constraint has its name. Without the constraint, a unique index does the same.
        let index = self.part("index", part);
        if index.is_some_and(|index| index.ends_with(" INVALID")) {
            let advice = format!("REINDEX INDEX CONCURRENTLY {name}");
            return Some(invalid(name, table, &advice));
        }
        let unique = expected.replace("PRIMARY KEY", "UNIQUE");
        match (self.part("constraint", part), index) {
            (Some(found), _) if found == expected => None,
            _ if expected.starts_with("CHECK") && self.has_constraint(table, expected) => None,
            (Some(found), _) if found.starts_with("CHECK") => Some(format!(
                "constraint {name} on {table} is {found}, not {expected}: ALTER TABLE {table} RENAME CONSTRAINT {name} \
                 TO …, or DROP CONSTRAINT {name}, then {add}"
            )),
            (Some(found), _) => Some(format!(
                "constraint {name} on {table} is {found}, not {expected}: ALTER TABLE {table} DROP CONSTRAINT {name}, \
                 then {add}"
            )),
            (None, Some(found)) if found == unique => None,
            (None, Some(found)) => Some(format!(
                "index {name} on {table} is {found}, not {unique}: DROP INDEX CONCURRENTLY {name}, then {add}"
            )),
            (None, None) => Some(format!("constraint {name} on {table} is missing: {add}")),
        }
    }

    fn wrong_index(&self, part: &Part) -> Option<String> {
        let &Part {
            table,
            name,
            definition: expected,
            ..
        } = part;
        // The index of a constraint is looked at with it.
        let migration = made_by(name)?;
        let create = one_line(migration.sql.as_str());
        match self.part("index", part) {
            None if self.was_dropped_by_newer(name) => None,
            None => Some(format!("index {name} on {table} is missing: {create}")),
            Some(found) if found.ends_with(" INVALID") => {
                Some(invalid(name, table, "call SqlxAdapter::migrate()"))
            }
            Some(found) if found != expected => Some(format!(
                "index {name} on {table} is {found}, not {expected}: DROP INDEX CONCURRENTLY {name}, then {create}"
            )),
            Some(_) => None,
        }
    }

    fn wrong_function(&self, part: &Part) -> Option<String> {
        let found = self.part("function", part);
        if found == Some(part.definition) {
            return None;
        }
        let state = if found.is_some() {
            "altered"
        } else {
            "missing"
        };
        let create = one_line(made_by(part.name)?.sql.as_str());
        Some(format!("function {} is {state}: {create}", part.name))
    }

    fn removable_indexes(&self) -> Vec<String> {
        let covered = self.covered_indexes.iter();
        let removable =
            covered.filter(|(index, by)| !expected::is_index(index) && expected::is_index(by));
        let removable = removable.map(|(index, _)| index);
        let removable: BTreeSet<&String> = removable.chain(&self.left_over_indexes).collect();
        removable.into_iter().cloned().collect()
    }
}

fn invalid(name: &str, table: &str, advice: &str) -> String {
    format!("index {name} on {table} is INVALID, as an interrupted build leaves it: {advice}")
}

/// A migration's statement, without the comment lines and the final semicolon.
fn one_line(sql: &str) -> String {
    let lines = sql
        .lines()
        .filter(|line| !line.starts_with("--"))
        .map(str::trim);
    let sql = lines.collect::<Vec<_>>().join(" ");
    sql.trim_end_matches(';').to_owned()
}

/// Whether a column is of the expected type. It may have another default than the expected one, but not none.
fn column_fits(found: &str, expected: &str) -> bool {
    let split = |definition: &str| match definition.split_once(" DEFAULT ") {
        Some((of_type, _)) => (of_type.to_owned(), true),
        None => (definition.to_owned(), false),
    };
    let ((found, has_default), (expected, needs_default)) = (split(found), split(expected));
    found == expected && has_default >= needs_default
}
