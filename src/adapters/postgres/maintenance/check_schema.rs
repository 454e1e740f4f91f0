//! `check_schema`: compares the database with what the statements need.

use std::collections::{BTreeMap, BTreeSet};

use super::super::SqlxAdapter;
use super::super::error::Operation;
use super::migrate::MIGRATOR;
use crate::{AuthError, AuthResult};

/// Name and definition.
type Column = (&'static str, &'static str);

const TABLES: [(&str, &[Column]); 4] = [
    (
        "users",
        &[
            ("id", "text NOT NULL"),
            ("name", "text"),
            ("email", "text"),
            ("email_verified", "boolean NOT NULL DEFAULT false"),
            ("image", "text"),
            ("username", "text"),
            ("display_username", "text"),
            ("two_factor_enabled", "boolean NOT NULL DEFAULT false"),
            ("role", "text"),
            ("banned", "boolean NOT NULL DEFAULT false"),
            ("ban_reason", "text"),
            ("ban_expires", "timestamp with time zone"),
            ("metadata", "jsonb NOT NULL DEFAULT '{}'"),
            (
                "created_at",
                "timestamp with time zone NOT NULL DEFAULT now()",
            ),
            (
                "updated_at",
                "timestamp with time zone NOT NULL DEFAULT now()",
            ),
        ],
    ),
    (
        "sessions",
        &[
            ("id", "text NOT NULL"),
            ("expires_at", "timestamp with time zone NOT NULL"),
            ("token", "text NOT NULL"),
            ("ip_address", "text"),
            ("user_agent", "text"),
            ("user_id", "text NOT NULL"),
            ("impersonated_by", "text"),
            ("active_organization_id", "text"),
            ("active", "boolean NOT NULL DEFAULT true"),
            (
                "created_at",
                "timestamp with time zone NOT NULL DEFAULT now()",
            ),
            (
                "updated_at",
                "timestamp with time zone NOT NULL DEFAULT now()",
            ),
        ],
    ),
    (
        "accounts",
        &[
            ("id", "text NOT NULL"),
            ("account_id", "text NOT NULL"),
            ("provider_id", "text NOT NULL"),
            ("user_id", "text NOT NULL"),
            ("access_token", "text"),
            ("refresh_token", "text"),
            ("id_token", "text"),
            ("access_token_expires_at", "timestamp with time zone"),
            ("refresh_token_expires_at", "timestamp with time zone"),
            ("scope", "text"),
            ("password", "text"),
            (
                "created_at",
                "timestamp with time zone NOT NULL DEFAULT now()",
            ),
            (
                "updated_at",
                "timestamp with time zone NOT NULL DEFAULT now()",
            ),
        ],
    ),
    (
        "verifications",
        &[
            ("id", "text NOT NULL"),
            ("identifier", "text NOT NULL"),
            ("value", "text NOT NULL"),
            ("expires_at", "timestamp with time zone NOT NULL"),
            (
                "created_at",
                "timestamp with time zone NOT NULL DEFAULT now()",
            ),
            (
                "updated_at",
                "timestamp with time zone NOT NULL DEFAULT now()",
            ),
        ],
    ),
];

/// Table, name and definition.
const CONSTRAINTS: [(&str, &str, &str); 10] = [
    ("users", "users_pkey", "PRIMARY KEY (id)"),
    ("users", "users_email_key", "UNIQUE (email)"),
    ("users", "users_username_key", "UNIQUE (username)"),
    ("sessions", "sessions_pkey", "PRIMARY KEY (id)"),
    ("sessions", "sessions_token_key", "UNIQUE (token)"),
    ("sessions", "sessions_user_id_fkey", OF_USER),
    ("accounts", "accounts_pkey", "PRIMARY KEY (id)"),
    (
        "accounts",
        "accounts_provider_id_account_id_key",
        "UNIQUE (provider_id, account_id)",
    ),
    ("accounts", "accounts_user_id_fkey", OF_USER),
    ("verifications", "verifications_pkey", "PRIMARY KEY (id)"),
];
const OF_USER: &str = "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE";

/// The indexes that are no constraint's; each is made by the migration of its name.
const INDEXES: [(&str, &str); 14] = [
    ("users", "users_created_at_id_idx"),
    ("users", "users_role_created_at_id_idx"),
    ("users", "users_banned_created_at_id_idx"),
    ("users", "users_email_verified_created_at_id_idx"),
    ("users", "users_email_prefix_idx"),
    ("users", "users_username_prefix_idx"),
    ("users", "users_name_created_at_id_idx"),
    ("sessions", "sessions_user_id_created_at_id_idx"),
    ("sessions", "sessions_expires_at_id_idx"),
    ("sessions", "sessions_inactive_idx"),
    ("accounts", "accounts_user_id_created_at_id_idx"),
    (
        "verifications",
        "verifications_identifier_created_at_id_idx",
    ),
    ("verifications", "verifications_value_idx"),
    ("verifications", "verifications_expires_at_id_idx"),
];

impl SqlxAdapter {
    /// Tells whether the database has what the statements need, in one cheap round trip: the migrations, the columns with
    /// their types, the constraints with their definitions, and the indexes by their names. Columns, tables and indexes
    /// beyond that are nobody's business here.
    ///
    /// # Errors
    ///
    /// [`AuthError::Database`] that names everything that is wrong, with table and column, and what to do: that it is
    /// not migrated, or was by a newer version of this crate, or that someone has dropped or altered a column, a
    /// constraint, or dropped an index. [`AuthError::Unavailable`] where the database cannot be asked.
    pub async fn check_schema(&self) -> AuthResult<()> {
        let database = &self.database;
        let tables = TABLES.map(|(table, _)| table.to_owned());
        let found = database.run(Operation::read("check_schema"), |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH tables AS (SELECT name, to_regclass(name) AS oid FROM unnest($1::TEXT[]) AS name) \
                     SELECT 'column' AS \"kind!\", tables.name AS \"table!\", attname::TEXT AS \"name!\", \
                     format_type(atttypid, NULL) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END \
                     || COALESCE(' DEFAULT ' || pg_get_expr(adbin, adrelid), '') AS \"definition!\" \
                     FROM tables JOIN pg_attribute ON attrelid = tables.oid \
                     LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum \
                     WHERE attnum > 0 AND NOT attisdropped \
                     UNION ALL \
                     SELECT 'constraint', tables.name, conname::TEXT, pg_get_constraintdef(pg_constraint.oid) \
                     FROM tables JOIN pg_constraint ON conrelid = tables.oid \
                     UNION ALL \
                     SELECT 'index', tables.name, relname::TEXT, CASE WHEN indisvalid THEN '' ELSE 'INVALID' END \
                     FROM tables JOIN pg_index ON indrelid = tables.oid JOIN pg_class ON pg_class.oid = indexrelid \
                     UNION ALL \
                     SELECT 'migration', '', version::TEXT, '' FROM _better_auth_migrations WHERE success",
                    &tables,
                )
                .fetch_all(connection),
            )
        });
        let mut schema = Schema::default();
        for row in found.await? {
            match row.kind.as_str() {
                "migration" => schema.migrations.extend(row.name.parse::<i64>().ok()),
                kind => {
                    let key = (kind.to_owned(), row.table, row.name);
                    schema.parts.insert(key, row.definition);
                }
            }
        }
        let wrong = schema.wrong();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(AuthError::Database {
            message: format!(
                "check_schema on {}: {}",
                database.connections.server,
                wrong.join("; ")
            ),
            source: None,
        })
    }
}

/// What a database holds.
#[derive(Default)]
struct Schema {
    migrations: BTreeSet<i64>,
    /// Kind, table and name to definition.
    parts: BTreeMap<(String, String, String), String>,
}

impl Schema {
    /// What is wrong, and what to do about it.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = self.wrong_migrations();
        for (table, columns) in TABLES {
            let exists = columns
                .iter()
                .any(|(column, _)| self.part("column", table, column).is_some());
            if exists {
                wrong.extend(self.wrong_columns(table, columns));
            } else {
                wrong.push(format!(
                    "table {table} is missing: restore it from a backup; or, if nothing is to be kept, drop all four \
                     tables and _better_auth_migrations and call SqlxAdapter::migrate()"
                ));
            }
        }
        wrong.extend(self.wrong_constraints());
        wrong.extend(self.wrong_indexes());
        wrong
    }

    fn part(&self, kind: &str, table: &str, name: &str) -> Option<&str> {
        let key = (kind.to_owned(), table.to_owned(), name.to_owned());
        self.parts.get(&key).map(String::as_str)
    }

    fn wrong_migrations(&self) -> Vec<String> {
        let known: BTreeSet<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
        let list = |versions: Vec<String>| versions.join(", ");
        let mut wrong = Vec::new();
        let newer: Vec<String> = self
            .migrations
            .difference(&known)
            .map(i64::to_string)
            .collect();
        if !newer.is_empty() {
            wrong.push(format!(
                "migrated by a newer version of better-auth (migration {} is unknown here): update this program",
                list(newer)
            ));
        }
        let pending: Vec<String> = known
            .difference(&self.migrations)
            .map(i64::to_string)
            .collect();
        if !pending.is_empty() {
            wrong.push(format!(
                "not migrated, or not to the end (migration {} has not run): call SqlxAdapter::migrate()",
                list(pending)
            ));
        }
        wrong
    }

    fn wrong_columns(&self, table: &str, columns: &[Column]) -> Vec<String> {
        let wrong = columns.iter().filter_map(|(column, expected)| {
            match self.part("column", table, column) {
                None => Some(format!(
                    "column {table}.{column} is missing: ALTER TABLE {table} ADD COLUMN {column} {expected}"
                )),
                Some(found) if !does_for(found, expected) => Some(format!(
                    "column {table}.{column} is {found}, not {expected}: ALTER TABLE {table} ALTER COLUMN {column} …"
                )),
                Some(_) => None,
            }
        });
        wrong.collect()
    }

    fn wrong_constraints(&self) -> Vec<String> {
        let wrong = CONSTRAINTS.iter().filter_map(|(table, name, expected)| {
            match self.part("constraint", table, name) {
                None => Some(format!(
                    "constraint {name} on {table} is missing: ALTER TABLE {table} ADD CONSTRAINT {name} {expected}"
                )),
                Some(found) if found != *expected => Some(format!(
                    "constraint {name} on {table} is {found}, not {expected}: drop it and add it again"
                )),
                Some(_) => None,
            }
        });
        wrong.collect()
    }

    /// Of the indexes whose migration has run.
    fn wrong_indexes(&self) -> Vec<String> {
        let wrong = INDEXES.iter().filter_map(|(table, name)| {
            let migration = MIGRATOR.iter().find(|migration| {
                super::migrate::index_name(migration) == *name
                    && migration.migration_type.is_up_migration()
            })?;
            if !self.migrations.contains(&migration.version) {
                return None;
            }
            match self.part("index", table, name) {
                None => {
                    let sql: Vec<&str> = migration.sql.as_str().lines().skip(1).map(str::trim).collect();
                    let sql = sql.join(" ");
                    Some(format!("index {name} on {table} is missing: {}", sql.trim_end_matches(';')))
                }
                Some("INVALID") => Some(format!(
                    "index {name} on {table} is INVALID, as an interrupted build leaves it: call SqlxAdapter::migrate()"
                )),
                Some(_) => None,
            }
        });
        wrong.collect()
    }
}

/// Whether a column is of the same type as expected. Its default may be another, if it has any where one is expected.
fn does_for(found: &str, expected: &str) -> bool {
    let split = |definition: &str| match definition.split_once(" DEFAULT ") {
        Some((of_type, _)) => (of_type.to_owned(), true),
        None => (definition.to_owned(), false),
    };
    let ((found, has_default), (expected, needs_default)) = (split(found), split(expected));
    found == expected && has_default >= needs_default
}
