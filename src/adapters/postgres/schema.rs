use std::collections::{BTreeMap, BTreeSet};

use super::SqlxAdapter;
use super::error::Operation;
use super::migrate::MIGRATOR;
use crate::{AuthError, AuthResult};

/// Name, type, and whether it is `NOT NULL`.
type Column = (&'static str, &'static str, bool);

const TABLES: [(&str, &[Column]); 4] = [
    (
        "users",
        &[
            ("id", "text", true),
            ("name", "text", false),
            ("email", "text", false),
            ("email_verified", "boolean", true),
            ("image", "text", false),
            ("username", "text", false),
            ("display_username", "text", false),
            ("two_factor_enabled", "boolean", true),
            ("role", "text", false),
            ("banned", "boolean", true),
            ("ban_reason", "text", false),
            ("ban_expires", TIME, false),
            ("metadata", "jsonb", true),
            ("created_at", TIME, true),
            ("updated_at", TIME, true),
        ],
    ),
    (
        "sessions",
        &[
            ("id", "text", true),
            ("expires_at", TIME, true),
            ("token", "text", true),
            ("ip_address", "text", false),
            ("user_agent", "text", false),
            ("user_id", "text", true),
            ("impersonated_by", "text", false),
            ("active_organization_id", "text", false),
            ("active", "boolean", true),
            ("created_at", TIME, true),
            ("updated_at", TIME, true),
        ],
    ),
    (
        "accounts",
        &[
            ("id", "text", true),
            ("account_id", "text", true),
            ("provider_id", "text", true),
            ("user_id", "text", true),
            ("access_token", "text", false),
            ("refresh_token", "text", false),
            ("id_token", "text", false),
            ("access_token_expires_at", TIME, false),
            ("refresh_token_expires_at", TIME, false),
            ("scope", "text", false),
            ("password", "text", false),
            ("created_at", TIME, true),
            ("updated_at", TIME, true),
        ],
    ),
    (
        "verifications",
        &[
            ("id", "text", true),
            ("identifier", "text", true),
            ("value", "text", true),
            ("expires_at", TIME, true),
            ("created_at", TIME, true),
            ("updated_at", TIME, true),
        ],
    ),
];
const TIME: &str = "timestamp with time zone";

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
    /// Tells whether the database is what the statements need, in one cheap round trip. Columns, tables and indexes
    /// beyond that are nobody's business here.
    ///
    /// # Errors
    ///
    /// [`AuthError::Database`] that names everything that is wrong, with table and column, and what to do: that it is
    /// not migrated, or was by a newer version of this crate, or that someone has dropped or altered a column, a
    /// constraint or an index. [`AuthError::Unavailable`] where the database cannot be asked.
    pub async fn check_schema(&self) -> AuthResult<()> {
        let database = &self.database;
        let tables = TABLES.map(|(table, _)| table.to_owned());
        let found = database.run(Operation::read("check_schema"), |connection| {
            Box::pin(
                sqlx::query!(
                    "WITH tables AS (SELECT name, to_regclass(name) AS oid FROM unnest($1::TEXT[]) AS name) \
                     SELECT 'column' AS \"kind!\", tables.name AS \"table!\", attname::TEXT AS \"name!\", \
                     format_type(atttypid, NULL) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END AS \"definition!\" \
                     FROM tables JOIN pg_attribute ON attrelid = tables.oid WHERE attnum > 0 AND NOT attisdropped \
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
            message: format!("check_schema on {}: {}", database.server, wrong.join("; ")),
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
            let has_columns =
                |(column, ..): &(&str, _, _)| self.part("column", table, column).is_some();
            if columns.iter().any(has_columns) {
                wrong.extend(self.wrong_columns(table, columns));
            } else {
                wrong.push(format!("table {table} is missing: restore it from a backup, or drop what is left of the schema with _better_auth_migrations and call SqlxAdapter::migrate()"));
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
        let wrong = columns.iter().filter_map(|(column, of_type, not_null)| {
            let expected = format!("{of_type}{}", if *not_null { " NOT NULL" } else { "" });
            match self.part("column", table, column) {
                None => Some(format!(
                    "column {table}.{column} is missing: ALTER TABLE {table} ADD COLUMN {column} {expected}"
                )),
                Some(found) if found != expected => Some(format!(
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
