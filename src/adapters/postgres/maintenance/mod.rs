//! What an operator runs beside the traffic: migrations, checks, and repairs of stored data.

mod advisory_lock;
mod check_pooler;
mod check_schema;
mod expected;
mod migrate;
mod migration_state;
mod migrations;
mod normalize_names;
mod schema_place;

pub(super) use self::advisory_lock::AdvisoryLock;
pub use self::check_schema::SchemaReport;
pub use self::migrations::MIGRATOR;
pub use self::normalize_names::{NormalizedNames, SkippedName};
