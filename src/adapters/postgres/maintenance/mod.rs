//! What an operator runs beside the traffic: migrations, checks, and repairs of stored data.

mod check_pooler;
mod check_schema;
mod migrate;
mod normalize_names;

pub use self::migrate::MIGRATOR;
pub use self::normalize_names::{NormalizedNames, SkippedName};
