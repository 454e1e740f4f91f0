//! The triggers that tell session caches what has changed. They are installed only where the cache is wanted, and recorded
//! apart from the migrations of the tables.

use sqlx::PgConnection;
use sqlx::migrate::{Migrate as _, MigrateError, Migration, Migrator};

use super::super::connection::Connections;
use super::super::error::{Failure as StatementFailure, Operation};
use super::migrations::{Failure, set_lock_timeout};

static TRIGGERS: Migrator = sqlx::migrate!("migrations/session_cache");

const RECORDS: &str = "_better_auth_session_cache_migrations";
/// Table and name.
const NAMES: [(&str, &str); 6] = [
    ("sessions", "better_auth_session_cache_delete"),
    ("sessions", "better_auth_session_cache_truncate"),
    ("sessions", "better_auth_session_cache_update"),
    ("users", "better_auth_session_cache_delete"),
    ("users", "better_auth_session_cache_truncate"),
    ("users", "better_auth_session_cache_update"),
];

/// What the schema of our tables has.
pub(in super::super) struct TriggerState {
    /// The channel that the triggers notify.
    pub(in super::super) channel: String,
    /// Those that do not exist or do not always fire, as `table.name`.
    pub(super) missing: Vec<String>,
}

impl TriggerState {
    pub(in super::super) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

fn up_migrations() -> impl Iterator<Item = &'static Migration> {
    let migrations = TRIGGERS.iter();
    migrations.filter(|migration| migration.migration_type.is_up_migration())
}

fn names() -> (Vec<String>, Vec<String>) {
    let owned = NAMES.map(|(table, name)| (table.to_owned(), name.to_owned()));
    owned.into_iter().unzip()
}

/// `None` if there is no table of sessions.
async fn read(connection: &mut PgConnection) -> sqlx::Result<Option<TriggerState>> {
    let (tables, names) = names();
    let state = sqlx::query_as!(
        TriggerState,
        "SELECT 'better_auth_' || to_hex(hashtextextended(nspname::TEXT, 0)) AS \"channel!\", \
         ARRAY(SELECT of_table || '.' || of_name FROM unnest($1::TEXT[], $2::TEXT[]) AS expected (of_table, of_name) \
         WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass(quote_ident(of_table)) \
         AND tgname = of_name AND tgenabled = 'A')) AS \"missing!\" \
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
         WHERE pg_class.oid = to_regclass('sessions')",
        &tables,
        &names,
    );
    state.fetch_optional(connection).await
}

pub(in super::super) async fn read_triggers(
    connections: &Connections,
) -> Result<Option<TriggerState>, StatementFailure> {
    connections
        .run(Operation::read("session_cache"), |connection| {
            Box::pin(read(connection))
        })
        .await
}

/// Whether nothing is left to install.
pub(super) async fn are_installed(connection: &mut PgConnection) -> Result<bool, Failure> {
    let state = read(connection).await?;
    if !state.is_some_and(|state| state.is_complete()) {
        return Ok(false);
    }
    let is_recorded = sqlx::query_scalar!(
        "SELECT to_regclass('_better_auth_session_cache_migrations') IS NOT NULL AS \"is_recorded!\""
    );
    if !is_recorded.fetch_one(&mut *connection).await? {
        return Ok(false);
    }
    Ok(pending(connection).await?.is_empty())
}

/// The versions that are to be applied.
async fn pending(connection: &mut PgConnection) -> Result<Vec<i64>, Failure> {
    let applied = connection.list_applied_migrations(RECORDS).await?;
    for migration in &applied {
        let known = up_migrations().find(|known| known.version == migration.version);
        match known {
            None => return Err(MigrateError::VersionMissing(migration.version).into()),
            Some(known) if known.checksum != migration.checksum => {
                return Err(MigrateError::VersionMismatch(migration.version).into());
            }
            Some(_) => {}
        }
    }
    let is_pending = |version: &i64| !applied.iter().any(|applied| applied.version == *version);
    let versions = up_migrations().map(|migration| migration.version);
    Ok(versions.filter(is_pending).collect())
}

/// Applies the next one, in the schema that `search_path` names. Whether there was one.
pub(super) async fn install_next(connection: &mut PgConnection) -> Result<bool, Failure> {
    connection.ensure_migrations_table(RECORDS).await?;
    if pending(connection).await?.is_empty() {
        if are_installed(connection).await? {
            return Ok(false);
        }
        // Somebody has dropped or disabled a trigger.
        for undo in TRIGGERS.iter().rev() {
            if undo.migration_type.is_down_migration() {
                set_lock_timeout(connection, undo).await?;
                connection.revert(RECORDS, undo).await?;
            }
        }
    }
    let pending = pending(connection).await?;
    let next = up_migrations().find(|migration| pending.contains(&migration.version));
    if let Some(migration) = next {
        set_lock_timeout(connection, migration).await?;
        connection.apply(RECORDS, migration).await?;
    }
    Ok(true)
}

impl TriggerState {
    /// What `check_schema` says of it.
    pub(super) fn complaint(state: Option<&Self>) -> Option<String> {
        let missing = &state?.missing;
        (!missing.is_empty()).then(|| {
            format!(
                "the session cache's triggers are missing or disabled ({}): call SqlxAdapter::migrate()",
                missing.join(", ")
            )
        })
    }
}
