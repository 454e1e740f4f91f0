//! `pending_migrations`: what `migrate` would do, as statements that an administrator may run instead.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sqlx::migrate::Migration;
use sqlx::{Connection as _, PgConnection};

use super::super::SqlxAdapter;
use super::super::error::connection_error;
use super::advisory_lock::AdvisoryLock;
use super::foreign_tables::{Neighbours, refusal};
use super::migrate::sets_to_migrate;
use super::migration_set::MigrationSet;
use super::migration_state::{MigrationState, Step};
use super::migrations::{Failure, MIGRATIONS_TABLE, MIGRATOR, index_name};
use super::schema_place::{check_encoding, find_place};
use super::store_tables::is_recorded;
use super::time_limits::TIME_LIMITS;
use crate::AuthResult;
use crate::adapters::Store;

/// How long a statement of the script may wait for a lock that makes later writers wait behind it.
const LOCK_TIMEOUT: &str = "2s";

/// The result of [`SqlxAdapter::pending_migrations`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingMigrations {
    /// The schema that holds our tables, or that is to hold them.
    pub schema: String,
    /// In the order in which they have to run. Empty if the schema is up to date.
    pub migrations: Vec<PendingMigration>,
    /// The tables of migrations that the schema lacks.
    missing_records: Vec<&'static str>,
}

/// A migration that a database lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingMigration {
    /// Its number.
    pub version: i64,
    /// What it makes, such as an index.
    pub description: String,
    /// What is to be done with it.
    pub action: MigrationAction,
    /// The statements that do so, with the record of it.
    pub sql: String,
}

/// What [`SqlxAdapter::migrate`] would do with a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MigrationAction {
    /// Run its statement, and record it.
    Apply,
    /// Only record it, as the database has what it would make.
    Record,
    /// Drop its index, which an interrupted build has left INVALID, and build it again.
    Rebuild,
}

impl PendingMigrations {
    /// Whether the schema is up to date.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.migrations.is_empty()
    }

    /// A script for `psql -f` that does what [`SqlxAdapter::migrate`] would do, and records it, so that `migrate` finds
    /// nothing left to do. It holds no statement if the schema is up to date.
    ///
    /// The role that runs the script owns the tables. If the application has another role, grant it privileges on them.
    #[must_use]
    pub fn to_sql(&self) -> String {
        if self.is_empty() {
            return "-- The schema is up to date.\n".to_owned();
        }
        let mut script = format!(
            "-- Brings the schema of better-auth up to date. Run it with `psql -f`, outside a transaction: it builds\n\
             -- indexes CONCURRENTLY. If it stops, print it anew: the new script has what is left to do.\n\
             \\set ON_ERROR_STOP on\n\
             SET client_min_messages = warning;\n\
             SET search_path = {}, pg_temp;\n\
             DO $$ BEGIN PERFORM set_config(name, '0', false) FROM pg_settings\n    \
             WHERE name IN ('{}'); END $$;\n\
             DO $$ BEGIN IF NOT pg_try_advisory_lock({}) THEN\n    \
             RAISE EXCEPTION 'another process migrates this database: wait until it is done, then print this anew';\n\
             END IF; END $$;\n",
            quoted_identifier(&self.schema),
            TIME_LIMITS.join("', '"),
            AdvisoryLock::Migration.key(),
        );
        for table in &self.missing_records {
            script.push_str(&create_records(table));
        }
        for migration in &self.migrations {
            // Writing into a string does not fail.
            let _ = write!(
                script,
                "\n-- {}: {}\n{}",
                migration.version, migration.description, migration.sql
            );
        }
        script
    }
}

impl PendingMigration {
    fn new(step: Step) -> Result<Self, Failure> {
        let (migration, action) = match step {
            Step::Wait => {
                let message =
                    "another session builds an index on our tables: wait until it is done";
                return Err(Failure::Refused(message.to_owned()));
            }
            Step::Record(migration) => (migration, MigrationAction::Record),
            Step::Apply(migration) => (migration, MigrationAction::Apply),
            Step::Drop(undo) => (redone(undo), MigrationAction::Rebuild),
        };
        Ok(Self {
            version: migration.version,
            description: migration.description.clone().into_owned(),
            action,
            sql: statements(migration, action),
        })
    }
}

/// The migration that this one undoes.
fn redone(undo: &'static Migration) -> &'static Migration {
    let mut ups = MIGRATOR.iter();
    let up = ups.find(|migration| {
        migration.migration_type.is_up_migration() && migration.version == undo.version
    });
    up.unwrap_or(undo)
}

fn statements(migration: &Migration, action: MigrationAction) -> String {
    let records = MigrationSet::of(migration.version).records();
    let record = record(migration, records);
    let statement = migration.sql.as_str().trim_end();
    match action {
        MigrationAction::Record => record,
        MigrationAction::Rebuild => {
            let mut script = String::new();
            for table in BTreeSet::from([MIGRATIONS_TABLE, records]) {
                // Writing into a string does not fail.
                let _ = writeln!(
                    script,
                    "DELETE FROM {table} WHERE version = {};",
                    migration.version
                );
            }
            let index = index_name(migration);
            format!("{script}DROP INDEX CONCURRENTLY IF EXISTS {index};\n{statement}\n{record}")
        }
        MigrationAction::Apply if migration.no_tx => format!("{statement}\n{record}"),
        MigrationAction::Apply => format!(
            "BEGIN;\nSET LOCAL lock_timeout = '{LOCK_TIMEOUT}';\n{statement}\n{record}COMMIT;\n"
        ),
    }
}

/// The statement that makes a table of migrations as sqlx does.
fn create_records(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
);
"
    )
}

/// The statement that records a migration as sqlx does.
fn record(migration: &Migration, records: &str) -> String {
    let mut checksum = String::new();
    for byte in &*migration.checksum {
        // Writing into a string does not fail.
        let _ = write!(checksum, "{byte:02x}");
    }
    format!(
        "INSERT INTO {records} (version, description, success, checksum, execution_time)\n    \
         VALUES ({}, '{}', TRUE, decode('{checksum}', 'hex'), -1);\n",
        migration.version,
        migration.description.replace('\'', "''"),
    )
}

fn quoted_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl SqlxAdapter {
    /// Says what [`migrate`](Self::migrate) would do, and changes nothing. [`PendingMigrations::to_sql`] makes a script of
    /// it, for an administrator who does not let applications change the schema.
    ///
    /// The migrations of stores are among them as in `migrate`; the triggers of a
    /// [session cache](crate::adapters::SessionCache) are not.
    ///
    /// # Errors
    ///
    /// As [`migrate`](Self::migrate). It asks for no privilege but those of an up-to-date database.
    pub async fn pending_migrations(&self) -> AuthResult<PendingMigrations> {
        let connections = &self.repository.connections;
        connections
            .observe("pending_migrations", self.find_pending_migrations())
            .await
    }

    async fn find_pending_migrations(&self) -> AuthResult<PendingMigrations> {
        let connections = &self.repository.connections;
        let connection = connections.dedicated().await;
        let mut connection =
            connection.map_err(|error| connection_error(error, "migrate", &connections.server))?;
        let pending = find_pending(&mut connection, &self.repository.stores).await;
        // The answer is there; an error here changes nothing.
        let _ = connection.close().await;
        pending.map_err(|failure| failure.into_error(&connections.server))
    }
}

async fn find_pending(
    connection: &mut PgConnection,
    stores: &[Store],
) -> Result<PendingMigrations, Failure> {
    check_encoding(connection).await?;
    let place = find_place(connection).await?;
    let (mut migrations, mut missing_records) = (Vec::new(), Vec::new());
    for set in sets_to_migrate(connection, &place, stores).await? {
        let steps = MigrationState::read(connection, &place, set)
            .await?
            .steps()?;
        let is_recorded = match set {
            MigrationSet::Tables => place.is_recorded,
            MigrationSet::Of(_) => is_recorded(connection, &place.schema, set).await?,
        };
        if !is_recorded && !steps.is_empty() {
            missing_records.push(set.records());
        }
        for step in steps {
            migrations.push(PendingMigration::new(step)?);
        }
    }
    if !migrations.is_empty()
        && let Some(reason) = refusal(connection, &place, Neighbours::Unrelated).await?
    {
        return Err(Failure::Refused(reason));
    }
    Ok(PendingMigrations {
        migrations,
        schema: place.schema,
        missing_records,
    })
}
