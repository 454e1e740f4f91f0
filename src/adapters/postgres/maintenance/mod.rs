//! What an operator runs beside the traffic: migrations, checks, and repairs of stored data.

mod advisory_lock;
mod check_names;
mod check_pooler;
mod check_schema;
mod expected;
mod foreign_tables;
mod import;
mod index_builds;
mod migrate;
mod migrated_stores;
mod migration_set;
mod migration_state;
mod migrations;
mod normalize_names;
mod pending;
mod schema_place;
mod session_cache_triggers;
mod store_tables;
mod time_limits;

pub(super) use self::advisory_lock::AdvisoryLock;
pub use self::check_names::{NameReport, UnreachableNames};
pub use self::check_schema::SchemaReport;
pub use self::import::{Import, ImportReport, ImportedRows, LeftRow};
pub use self::migrate::MigrationReport;
pub(super) use self::migrated_stores::MigratedStores;
pub(super) use self::migration_state::{MigrationCounts, read_migration_counts};
pub use self::migrations::MIGRATOR;
pub use self::normalize_names::{NormalizedNames, SkippedName};
pub use self::pending::{MigrationAction, PendingMigration, PendingMigrations};
pub(super) use self::session_cache_triggers::{TriggerState, read_triggers};
